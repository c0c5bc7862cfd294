"""The slow implementation's median rate of a pixel; see `tile`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tests.naive.ols.block import Detector, Ramp

D, J = 1, 4
NAN = np.float64("nan")


def find_rates(ramps: list[Ramp], detector: Detector) -> np.float64:
    """Return the rate in DN/s that sets the Poisson variance."""
    total = np.float64(0)
    for ramp in ramps:
        if len(ramp.d) == 1:
            total += ramp.d[0] / detector.one_group_time
            continue
        one = median_of_ramp(ramp, detector)
        total += 0 if np.isnan(one) else one
    return total / len(ramps)


def median_of_ramp(ramp: Ramp, detector: Detector) -> np.float64:
    if ramp.sole_zeroth:
        return ramp.d[0] / detector.one_group_time
    if ramp.zeroframe:
        return ramp.d[0] / detector.frame_time
    v = [NAN if f & D else d / detector.group_time for d, f in zip(ramp.d, ramp.flags, strict=True)]
    differences = [NAN if ramp.flags[g] & J else v[g] - v[g - 1] for g in range(1, len(v))]
    valid = sorted(e for e in differences if not np.isnan(e))
    if not valid:
        return v[0]
    middle = len(valid) // 2
    return valid[middle] if len(valid) % 2 else (valid[middle - 1] + valid[middle]) / 2
