"""Samples that are no numbers."""

from __future__ import annotations

import numpy as np

from rampfit_numba.kernels._jit import LANES

D, S = 1, 2


def flag_non_finite(bits, flags, first):
    values = bits.view(np.float32)
    for g in range(flags.shape[0]):
        for k in range(first, first + LANES):
            if not np.isfinite(values[g, k]) and not flags[g, k] & S:
                flags[g, k] |= D
