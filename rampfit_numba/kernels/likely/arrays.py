"""What the kernels give for one tile."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np


class LikelyResult(NamedTuple):
    """Outputs of one tile; float32 arrays begin with an axis SLOPE, ERR, VAR_POISSON, VAR_RNOISE, CHISQ, DOF.

    Attributes
    ----------
    rate, rate_dq : ndarray, shapes (RESULTS, npixels), (npixels,)
    rateints, rateints_dq : ndarray, shapes (RESULTS, nints, npixels), (nints, npixels)
    jumps : ndarray of uint8, shape (nints, ngroups, npixels)
        JUMP_DET in the groups where a jump was found; zeroed by the caller.
    """

    rate: np.ndarray
    rate_dq: np.ndarray
    rateints: np.ndarray
    rateints_dq: np.ndarray
    jumps: np.ndarray
