"""What a pixel brings to all of its ramps."""

from __future__ import annotations

import numpy as np

from rampfit_numba.kernels.ols.pixels import (
    GAIN,
    POISSON,
    POISSON_WEIGHT,
    READ,
    READ_LONG,
    READ_WEIGHT,
    READNOISE,
    SLOPE_WEIGHT,
    UNFITTABLE,
)

D, NO_GAIN = 1, 1 << 19


def load_pixels(ramps, settings, constants, base):
    for k in range(base.size):
        gain, noise = float(ramps.gain[k]), float(ramps.readnoise[k])
        constants[GAIN, k] = gain
        constants[READNOISE, k] = np.float32(noise * (gain / settings.readnoise_scale))
        base[k] = ramps.pixeldq[k]
        if not gain > 0:
            base[k] |= D | NO_GAIN
        if not noise > 0:
            base[k] |= D


def find_constants(settings, rate, constants):
    """Variances of segments but for what their length n brings: 1 / (n - 1), and 1 / (n^3 - n)."""
    for k, one in enumerate(rate):
        noise, gain = constants[READNOISE, k], constants[GAIN, k]
        poisson = one / (settings.group_time * gain)
        read = 12 * (noise / (settings.group_time * gain)) ** 2
        constants[POISSON, k], constants[READ, k] = poisson, read
        constants[POISSON_WEIGHT, k] = 1 / poisson if poisson > 0 else 0
        constants[READ_WEIGHT, k] = 1 / read
        constants[SLOPE_WEIGHT, k] = 1 / (read * settings.group_time)
        constants[READ_LONG, k] = read if gain > 0 else 0
        constants[UNFITTABLE, k] = 0 if np.isfinite(noise) and noise != 0 else np.nan
