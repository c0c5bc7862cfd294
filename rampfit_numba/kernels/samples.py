"""Samples that are no numbers."""

from __future__ import annotations

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES, jit

_D, _S = np.uint8(dq.DO_NOT_USE), np.uint8(dq.SATURATED)
_EXPONENT = np.int32(0x7F800000)


@jit
def flag_non_finite(bits, flags, first):
    """Add DO_NOT_USE to the non-finite samples of a block that are not SATURATED.

    Parameters
    ----------
    bits : ndarray of int32, shape (ngroups, npixels)
        The samples' bit patterns: infinities and NaNs are those with all exponent bits set.
    flags : ndarray of uint8, shape (ngroups, npixels)
        Modified in place.
    first : int
        First pixel of the block, which ends with the rows, or LANES pixels on.
    """
    ngroups = flags.shape[0]
    bad = False
    for g in range(ngroups):
        sample = bits[g, first : first + LANES]
        for k in range(sample.size):
            bad |= (sample[k] & _EXPONENT) == _EXPONENT
    if bad:
        for g in range(ngroups):
            here = flags[g, first : first + LANES]
            sample = bits[g, first : first + LANES]
            for k in range(sample.size):
                if (sample[k] & _EXPONENT) == _EXPONENT and (here[k] & _S) == 0:
                    here[k] |= _D
