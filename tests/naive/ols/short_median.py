"""The middle ones of a few values, by sorting."""

from __future__ import annotations

import numpy as np

from rampfit_numba.kernels.bits import BITS


def middle_of_steps(samples, found):
    length = len(samples) - 1
    ordered = np.sort(samples[1:] - samples[:-1], axis=0)
    for row in {max(length // 2 - 1, 0), length // 2}:
        found[row] = ordered[row]


def middle_of_usable_steps(samples, usable, found):
    length = len(samples) - 1
    for k in range(samples.shape[1]):
        ramp, filler = samples[:, k].copy(), np.float32(np.inf)
        values = []
        for g in range(length):
            counts = int(usable[k // BITS, g]) >> k % BITS & 1
            values.append(ramp[g + 1] - ramp[g] if counts else filler)
            filler = filler if counts else -filler
        for row in {max(length // 2 - 1, 0), length // 2}:
            found[row, k] = sorted(values)[row]
