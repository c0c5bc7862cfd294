"""As much of a data model as stcal asks for, of cases; they need no pipeline."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from tests.random_exposures import random_case
from tests.reference import Model, with_deviations


def model_of(case, **changes):
    exposure = {
        name: getattr(case, name) for name in ("frame_time", "group_time", "groupgap", "nframes", "drop_frames1")
    }
    arrays = {
        name: None if (array := getattr(case, name)) is None else array.copy()
        for name in ("data", "groupdq", "pixeldq", "average_dark_current", "zeroframe")
    }
    meta = SimpleNamespace(
        exposure=SimpleNamespace(**exposure, read_times=None), instrument=SimpleNamespace(name=case.instrument)
    )
    return Model(**(arrays | {"meta": meta} | changes))


def some_model(shape=(2, 6, 5, 7), *, charge_loss=False):
    """Return a model of bright ramps, and read noise and gain."""
    case = with_deviations(random_case(5))
    rng = np.random.default_rng(4)
    data = np.cumsum(rng.poisson(300.0, shape), axis=1).astype(np.float32)
    groupdq = np.zeros(shape, np.uint8)
    if charge_loss:
        groupdq[:, 4:] = 129
    case = case.copy(data=data, groupdq=groupdq, pixeldq=np.zeros(shape[2:], np.uint32), instrument="NIRISS")
    case = case.copy(average_dark_current=None, zeroframe=None, group_time=3.0, frame_time=3.0, nframes=1, groupgap=0)
    return model_of(case), np.full(shape[2:], 12, np.float32), np.full(shape[2:], 1.6, np.float32)
