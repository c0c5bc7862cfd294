"""What a pixel brings to all of its ramps: flags, noise and gain, and variances of segments but for their length.

Source: sections 2.4, 2.9 and 5 of the rules in ``docs/algorithm.md``.
"""

from __future__ import annotations

import numpy as np
from numba import types

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES, jit, jit_apart

#: Rows of the array of constants. A segment of n groups has var_poisson = POISSON / (n - 1), var_rnoise = READ / (n^3 -
#: n) and 1 / var_rnoise = (n^3 - n) READ_WEIGHT; the reference treats bad gains of longer segments (n > 2) apart.
#: POISSON_WEIGHT is 1 / POISSON, or 0 where that is not positive: such segments do not count. SLOPE_WEIGHT is
#: READ_WEIGHT / group_time. READNOISE is the noise of a group in e-, GAIN that of the reference file in e-/DN.
POISSON, POISSON_WEIGHT, READ, READ_WEIGHT, SLOPE_WEIGHT, READ_LONG, UNFITTABLE, READNOISE, GAIN = range(9)
CONSTANTS = 9

_BAD_GAIN = np.uint32(dq.DO_NOT_USE | dq.NO_GAIN_VALUE)
_D = np.uint32(dq.DO_NOT_USE)
_NONE = np.uint32(0)


@jit
def load_pixels(ramps, settings, constants, base):
    """Find noise, gain and flags of a block of pixels.

    Parameters
    ----------
    ramps : Ramps
    settings : Settings
    constants : ndarray of float64, shape (CONSTANTS, LANES)
        Results: rows READNOISE, rounded to single precision as in the reference, and GAIN.
    base : ndarray of uint32, shape (LANES,)
        Result: PIXELDQ, with DO_NOT_USE and NO_GAIN_VALUE where the gain is no positive number, and DO_NOT_USE where
        the read noise is none (which the reference does not notice).

    Formula
    -------
    R = C G / sqrt(2 N)

    Source
    ------
    The noise of a group, the mean of N frames, from that of the difference of two; sections 2.4 and 2.9 of
    ``docs/algorithm.md``.

    Units
    -----
    C (CDS noise) in DN, G (gain) in e-/DN, R in e-; ``settings.readnoise_scale`` is sqrt(2 N).
    """
    noise_in = ramps.readnoise
    gain_in = ramps.gain
    flags_in = ramps.pixeldq
    readnoise, gain = constants[READNOISE], constants[GAIN]
    for k in range(LANES):
        gain[k] = gain_in[k]
        readnoise[k] = np.float32(np.float64(noise_in[k]) * (np.float64(gain_in[k]) / settings.readnoise_scale))
        bad_gain = _NONE if gain_in[k] > 0 else _BAD_GAIN
        bad_noise = _NONE if noise_in[k] > 0 else _D
        base[k] = flags_in[k] | bad_gain | bad_noise


@jit_apart(types.none)
def find_constants(settings, rate, constants):
    """Find the rows POISSON to UNFITTABLE of `constants` of a block of pixels from their median rates in DN/s.

    Formula
    -------
    var_poisson (n - 1)   = p / (t_g G)           row POISSON
    var_rnoise  (n^3 - n) = 12 (R / (t_g G))^2    rows READ, READ_LONG

    Source
    ------
    Robberto 2008 (JWST-STScI-0001490) and Regan 2007 (JWST-STScI-001212) for a segment of n groups; section 5 of
    ``docs/algorithm.md``.

    Units
    -----
    Variances in (DN/s)^2, p (`rate`) in DN/s, group time t_g in s, gain G in e-/DN, noise of a group R in e-.
    """
    readnoise, gain = constants[READNOISE], constants[GAIN]
    poisson, poisson_weight = constants[POISSON], constants[POISSON_WEIGHT]
    read, read_weight, slope_weight = constants[READ], constants[READ_WEIGHT], constants[SLOPE_WEIGHT]
    read_long, unfittable = constants[READ_LONG], constants[UNFITTABLE]
    # Divisions are what this takes its time for (1x10 on an old processor: a fifth of the whole fit), so there are few.
    per_second = 1.0 / settings.group_time
    for k in range(LANES):
        per_electron = per_second / gain[k]
        scaled = readnoise[k] * per_electron
        read[k] = 12.0 * scaled * scaled
        poisson[k] = rate[k] * per_electron
    for k in range(LANES):
        weight = 1.0 / read[k]
        read_weight[k] = weight
        slope_weight[k] = weight * per_second
    for k in range(LANES):
        weight = 1.0 / poisson[k]
        poisson_weight[k] = weight if poisson[k] > 0 else 0.0
    for k in range(LANES):
        read_long[k] = read[k] if gain[k] > 0 else 0.0
        # NaN where the read noise leaves no finite weights.
        unfittable[k] = 0.0 if abs(readnoise[k]) > 0 and abs(readnoise[k]) < np.inf else np.nan
