"""What a pixel brings to all of its ramps: flags, noise and gain, and variances of segments but for their length.

Source: sections 2.4, 2.9 and 5 of the rules in ``docs/algorithm.md``.
"""

from __future__ import annotations

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES, jit

#: Rows of the array of constants. A segment of n groups has var_poisson = POISSON / (n - 1), var_rnoise = READ / (n^3 -
#: n) and 1 / var_rnoise = (n^3 - n) READ_WEIGHT; the reference treats bad gains of longer segments (n > 2) apart.
#: POISSON_WEIGHT is 1 / POISSON, or 0 where that is not positive: such segments do not count. READNOISE is the noise of
#: a group in e-, GAIN that of the reference file in e-/DN.
POISSON, POISSON_WEIGHT, READ, READ_WEIGHT, READ_LONG, UNFITTABLE, READNOISE, GAIN = range(8)
CONSTANTS = 8

_BAD_GAIN = np.uint32(dq.DO_NOT_USE | dq.NO_GAIN_VALUE)
_D = np.uint32(dq.DO_NOT_USE)
_NONE = np.uint32(0)


@jit
def load_pixels(tile, first, settings, constants, base):
    """Find noise, gain and flags of a block of pixels.

    Parameters
    ----------
    tile : Tile
    first : int
        First pixel of the block.
    settings : Settings
    constants : ndarray of float64, shape (CONSTANTS, LANES)
        Results: rows READNOISE, rounded to single precision as in the reference, and GAIN.
    base : ndarray of uint32, shape (LANES,)
        Result: PIXELDQ, with DO_NOT_USE and NO_GAIN_VALUE where the gain is no positive number, and DO_NOT_USE where
        the read noise is none (which the reference does not notice).
    """
    noise_in = tile.readnoise[first : first + LANES]
    gain_in = tile.gain[first : first + LANES]
    flags_in = tile.pixeldq[first : first + LANES]
    readnoise, gain = constants[READNOISE], constants[GAIN]
    for k in range(LANES):
        gain[k] = gain_in[k]
        readnoise[k] = np.float32(np.float64(noise_in[k]) * (np.float64(gain_in[k]) / settings.readnoise_scale))
        bad_gain = _NONE if gain_in[k] > 0 else _BAD_GAIN
        bad_noise = _NONE if noise_in[k] > 0 else _D
        base[k] = flags_in[k] | bad_gain | bad_noise


@jit
def find_constants(settings, rate, constants):
    """Find the rows POISSON to UNFITTABLE of `constants` of a block of pixels from their median rates in DN/s."""
    readnoise, gain = constants[READNOISE], constants[GAIN]
    poisson, poisson_weight = constants[POISSON], constants[POISSON_WEIGHT]
    read, read_weight = constants[READ], constants[READ_WEIGHT]
    read_long, unfittable = constants[READ_LONG], constants[UNFITTABLE]
    for k in range(LANES):
        scaled = readnoise[k] / settings.group_time
        variance = 12.0 * scaled * scaled / (gain[k] * gain[k])
        square = readnoise[k] * readnoise[k]
        noise = rate[k] / (settings.group_time * gain[k])
        poisson[k] = noise
        poisson_weight[k] = 1.0 / noise if noise > 0 else 0.0
        read[k] = variance
        read_weight[k] = 1.0 / variance
        read_long[k] = variance if gain[k] > 0 else 0.0
        # 0, or NaN where the read noise leaves no finite weights.
        unfittable[k] = (square * (1.0 / square)) * 0.0
