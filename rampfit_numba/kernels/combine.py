"""Combination of segments into integrations, and of integrations into the exposure.

Source: sections 6 and 7 of the rules in ``docs/algorithm.md``; Robberto 2008 (JWST-STScI-0001490). Segments and integrations
are weighted by their read-noise variances alone.
"""

from __future__ import annotations

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES, jit

#: Variances from here on count as unknown and are set to 0, in (DN/s)^2.
LARGEST_VARIANCE = 1e6

_D, _S = np.uint32(dq.DO_NOT_USE), np.uint32(dq.SATURATED)
_DS = np.uint32(dq.DO_NOT_USE | dq.SATURATED)
_JP = np.uint32(dq.JUMP_DET | dq.PERSISTENCE)


@jit
def bounded(variance):
    """Return `variance`, 0 where it is too large to mean anything; NaN stays."""
    return 0.0 if variance >= LARGEST_VARIANCE else variance


@jit
def combine_integration(segments, slope_sum, poisson_weight, read_weight, total_weight, invalid):
    """Combine the segments of one integration of one pixel.

    Parameters
    ----------
    segments : int
        Their number.
    slope_sum : float
        N = sum slope / var_rnoise.
    poisson_weight, read_weight, total_weight : float
        I_p = sum 1 / var_poisson over positive ones, I_r = sum 1 / var_rnoise, I_e = sum 1 / (var_poisson + var_rnoise).
    invalid : bool
        The integration has DO_NOT_USE or SATURATED.

    Returns
    -------
    slope, var_poisson, var_rnoise, err : float
        In DN/s and (DN/s)^2.
    """
    if invalid:
        return np.nan, 0.0, 0.0, 0.0
    if segments == 0:
        return 0.0, 0.0, 0.0, 0.0
    var_poisson = bounded(1.0 / poisson_weight) if poisson_weight > 0 else 0.0
    var_rnoise = bounded(1.0 / read_weight)
    variance = 1.0 / total_weight
    # The bound of err is exclusive, that of the variances inclusive.
    err = 0.0 if variance > LARGEST_VARIANCE else np.sqrt(variance)
    return slope_sum * var_rnoise, var_poisson, var_rnoise, err


@jit
def combine_exposure(slope_sum, poisson_weight, read_weight, invalid):
    """Combine the integrations of one pixel; parameters and results are those of :func:`combine_integration`, summed."""
    if invalid:
        return np.nan, 0.0, 0.0, 0.0
    var_poisson = bounded(1.0 / poisson_weight) if poisson_weight > 0 else 0.0
    var_rnoise = bounded(1.0 / read_weight if read_weight > 0 else read_weight)
    return slope_sum * var_rnoise, var_poisson, var_rnoise, np.sqrt(var_poisson + var_rnoise)


@jit
def base_dq(pixel_flags, readnoise, gain):
    """Return the flags that a pixel has in every integration.

    A gain that is no positive number is DO_NOT_USE and NO_GAIN_VALUE; a read noise that is none is DO_NOT_USE (the reference
    knows only the former).
    """
    flags = pixel_flags
    if not gain > 0:
        flags |= np.uint32(dq.DO_NOT_USE | dq.NO_GAIN_VALUE)
    if not readnoise > 0:
        flags |= _D
    return flags
