"""Differences of neighbouring groups, ramp by ramp."""

from __future__ import annotations

import numpy as np

from rampfit_numba.kernels.likely.columns import DELTA_T
from rampfit_numba.kernels.vectors import WIDTH

J, P = 4, 32


def load_differences(samples, flags, first, table, joint, difference, used):
    for g in range(samples.shape[0] - 1):
        for k in range(WIDTH):
            before, after = int(flags[g, first + k]), int(flags[g + 1, first + k])
            if joint:
                before, after = before & ~(J | P), after & ~P
            value = float(samples[g + 1, first + k] - samples[g, first + k]) / table[g, DELTA_T]
            difference[g * WIDTH + k] = value if np.isfinite(value) else np.inf
            used[g * WIDTH + k] = np.isfinite(value) and not before and not after


def list_finite(difference, count, values):
    """What is not finite becomes +inf, -inf, +inf ... in the list, and 0 in the differences."""
    return list_used(difference, np.isfinite(difference).astype(float), count, values, 0, np.full(WIDTH, np.inf))


def list_used(difference, used, count, values, place, filler):
    filler = filler.copy()
    for g in range(count):
        for k in range(WIDTH):
            here = g * WIDTH + k
            if used[here]:
                values[place * WIDTH + here] = difference[here]
            else:
                values[place * WIDTH + here] = filler[k]
                filler[k] *= -1
            if not difference[here] < np.inf:
                difference[here] = 0
    return filler


def middle(values, count, network, filler):
    lanes = [values[k : count * WIDTH : WIDTH] for k in range(WIDTH)]
    finite = [lane[np.isfinite(lane)] for lane in lanes]
    return np.array([np.median(lane) if lane.size else np.nan for lane in finite])
