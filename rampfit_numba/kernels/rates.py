"""Rates that are no numbers."""

from __future__ import annotations

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels._jit import jit

_D, _NONE = np.uint32(dq.DO_NOT_USE), np.uint32(0)


@jit
def flag_unfitted(slope, flags):
    """Add DO_NOT_USE to the flags of a block of pixels where there is no rate, whatever the reason.

    Parameters
    ----------
    slope : ndarray of float32, shape (npixels,)
        In DN/s; not finite where there is none.
    flags : ndarray of uint32, shape (npixels,)
        Modified in place.
    """
    for k in range(slope.size):
        flags[k] |= _NONE if slope[k] - slope[k] == 0 else _D
