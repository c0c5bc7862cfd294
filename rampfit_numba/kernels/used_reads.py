"""How many reads of a ramp a fit used."""

from __future__ import annotations

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES, jit_entry_allocating
from rampfit_numba.kernels.samples import flag_non_finite

_NOT_J = np.uint8(0xFF ^ dq.JUMP_DET)


@jit_entry_allocating
def count_used(bits, flags, npixels, first_used, last_used, result):
    """Count the reads that belong to a difference of neighbouring reads which a fit can use.

    A difference joins two reads without flags; JUMP_DET at the later one takes it away, but neither of the reads.

    Parameters
    ----------
    bits : ndarray of int32, shape (nints, nreads, most_pixels)
        The samples' bit patterns; most_pixels is a multiple of LANES.
    flags : ndarray of uint8, shape of `bits`
        Modified.
    npixels : int
    first_used, last_used : int
        Reads outside this inclusive range count as flagged.
    result : ndarray of int16, shape (nints, most_pixels)
    """
    nints, nreads, _ = flags.shape
    joined, joins = np.empty(LANES, np.uint8), np.empty(LANES, np.uint8)
    first_used, stop = max(first_used, 0), min(last_used + 1, nreads)
    for first in range(0, npixels, LANES):
        for i in range(nints):
            flag_non_finite(bits[i], flags[i], first)
            count = result[i, first : first + LANES]
            count[:] = 0
            joined[:] = 0
            for g in range(first_used, stop):
                here = flags[i, g, first : first + LANES]
                joins[:] = 0
                if g + 1 < stop:
                    after = flags[i, g + 1, first : first + LANES]
                    for k in range(LANES):
                        joins[k] = np.uint8(((here[k] & _NOT_J) | after[k]) == 0)
                for k in range(LANES):
                    count[k] += joined[k] | joins[k]
                    joined[k] = joins[k]
