"""The plan of an exposure reads little: a few rows first, each plane once, and data only where flags decide nothing."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from rampfit_numba import Exposure, dq, fit_ramps
from rampfit_numba.file_arrays import FileArray
from tests.scripts import LINUX

pytestmark = LINUX

SHAPE = (5, 8, 512, 40)
PLANE = 512 * 40


@pytest.fixture
def reads(monkeypatch):
    """Bytes that were read so far, by the name of the file, and how often."""
    found = {"bytes": Counter(), "times": Counter()}
    read = FileArray.read

    def counted(self, buffer=None):
        name = self.path.rpartition("/")[2]
        found["bytes"][name] += self.nbytes
        found["times"][name] += 1
        return read(self, buffer)

    monkeypatch.setattr(FileArray, "read", counted)
    return found


def exposure_in(folder, flags):
    ramps = np.cumsum(np.random.default_rng(1).normal(20, 3, SHAPE), axis=1).astype(np.float32)
    for name, array in (("data", ramps), ("flags", flags)):
        array.tofile(folder / name)
    data, groupdq = (np.memmap(folder / n, t, "r", 0, SHAPE) for n, t in (("data", "f4"), ("flags", "u1")))
    return Exposure(data, groupdq, 2.5, instrument="MIRI")


def test_groups_that_are_flagged_everywhere(tmp_path, reads):
    flags = np.zeros(SHAPE, np.uint8)
    flags[:, [0, -1]] = dq.DO_NOT_USE
    fit_ramps(exposure_in(tmp_path, flags), 14.0, 5.5)
    fitted = {"data": 4 * flags.size, "flags": flags.size}
    planned = {name: reads["bytes"][name] - size for name, size in fitted.items()}
    few = 16 * 40
    # Flags of the first and the last group of each integration, and a few rows of the groups that stay.
    assert planned["flags"] <= 2 * SHAPE[0] * PLANE + 40 * few
    assert planned["data"] <= 4 * 40 * few
    assert sum(reads["times"].values()) < 100


def test_nothing_but_flags_decides_where_flags_can(tmp_path, reads):
    flags = np.full(SHAPE, dq.DO_NOT_USE, np.uint8)
    with pytest.warns(match="no ramp can be fitted"):
        fit_ramps(exposure_in(tmp_path, flags), 14.0, 5.5)
    assert reads["bytes"]["data"] == 4 * flags.size
    assert reads["bytes"]["flags"] <= 2 * flags.size
