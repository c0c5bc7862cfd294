"""The installed stcal as an oracle: runs it on copies of a case, one core, and returns plain arrays."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.cases import Case, PlainFit, bad_readnoise, bad_samples, flag_missing_rates

if TYPE_CHECKING:
    from numpy.typing import NDArray

DQ_FLAGS = {
    "GOOD": 0,
    "DO_NOT_USE": 1,
    "SATURATED": 2,
    "JUMP_DET": 4,
    "PERSISTENCE": 32,
    "CHARGELOSS": 128,
    "NO_GAIN_VALUE": 1 << 19,
    "UNRELIABLE_SLOPE": 1 << 24,
}


class Model(SimpleNamespace):
    """As much of a data model as stcal asks for."""

    def hasattr(self, name: str) -> bool:
        """Tell whether an optional array is there."""
        return getattr(self, name, None) is not None


def with_deviations(case: Case) -> Case:
    """Return a copy on which the reference does what the package does on purpose.

    Non-finite samples outside saturated groups become DO_NOT_USE, non-finite zeroframe values 0 (deviation 1); pixels
    with unusable read noise become DO_NOT_USE (deviation 2), and keep that read noise, since the rates of a
    DO_NOT_USE pixel do not depend on it. What it does to results, rates that are missing get DO_NOT_USE (deviation 6),
    is done after the fit.
    """
    changed = case.copy()
    changed.groupdq[bad_samples(case)] |= 1
    changed.pixeldq[bad_readnoise(case)] |= 1
    if changed.zeroframe is not None:
        changed.zeroframe[~np.isfinite(changed.zeroframe)] = 0
    return changed


def step_group_range(groupdq: NDArray[np.uint8], first: int | None, last: int | None) -> None:
    """Flag what the pipeline step's firstgroup and lastgroup exclude, in place, before the fit is called."""
    ngroups = groupdq.shape[1]
    low = 0 if first is None or first < 0 else first
    high = ngroups - 1 if last is None else last
    if low >= high:
        return
    groupdq[:, :low] |= 1
    groupdq[:, high + 1 :] |= 1


def reference_fit(case: Case, *, deviations: bool = True) -> PlainFit | None:
    """Fit a case with stcal; None where stcal returns None."""
    from stcal.ramp_fitting.ramp_fit import ramp_fit

    case = with_deviations(case) if deviations else case.copy()
    step_group_range(case.groupdq, case.firstgroup, case.lastgroup)
    exposure = SimpleNamespace(
        frame_time=case.frame_time,
        group_time=case.group_time,
        groupgap=case.groupgap,
        nframes=case.nframes,
        drop_frames1=case.drop_frames1,
        read_times=None,
    )
    model = Model(
        data=case.data,
        groupdq=case.groupdq,
        pixeldq=case.pixeldq,
        average_dark_current=case.average_dark_current,
        zeroframe=case.zeroframe,
        meta=SimpleNamespace(exposure=exposure, instrument=SimpleNamespace(name=case.instrument)),
    )
    with np.errstate(all="ignore"):
        rate, rateints, fitopt = ramp_fit(
            model,
            case.save_opt,
            case.readnoise,
            case.gain,
            "OLS_C",
            "optimal",
            "none",
            DQ_FLAGS,
            suppress_one_group=case.suppress_one_group,
        )
    if rate is None:
        return None
    rate, rateints = _renamed(rate), _renamed(rateints)
    if deviations:
        flag_missing_rates(rate, rateints)
    return PlainFit(rate, rateints, dict(fitopt) if fitopt is not None else None)


def _renamed(planes: dict[str, Any]) -> dict[str, Any]:
    return {("data" if name == "slope" else name): plane for name, plane in planes.items()}
