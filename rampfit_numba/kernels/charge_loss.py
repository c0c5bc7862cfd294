"""Read-noise variance of pixels with charge loss, as if the charge-loss step had not been (end of section 6)."""

from __future__ import annotations

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels import ramp_status
from rampfit_numba.kernels._jit import LANES, jit
from rampfit_numba.kernels.combine import VAR_RNOISE, bounded
from rampfit_numba.kernels.ols import single_group_time
from rampfit_numba.kernels.pixels import READ, READ_LONG
from rampfit_numba.kernels.segments import charge_loss_masks, list_segments

_CHARGELOSS = np.uint16(dq.CHARGELOSS)
_ZEROFRAME = ramp_status.ZEROFRAME
_FEW = 2


@jit
def has_charge_loss(status):
    """Tell whether any ramp of a block, `status` of shape (nints, LANES), has a CHARGELOSS group."""
    found = np.uint16(0)
    for i in range(status.shape[0]):
        for k in range(LANES):
            found |= status[i, k]
    return (found & _CHARGELOSS) != 0


@jit
def recompute_read_variances(flags, first, settings, status, replaced_flag, constants, read_variances, rateints, rate):
    """Replace var_rnoise of the pixels of a block that have CHARGELOSS; everything else stays.

    Parameters
    ----------
    flags : ndarray of uint8, shape (nints, ngroups, npixels)
    first : int
        First pixel of the block.
    settings : Settings
    status : ndarray of uint16, shape (nints, LANES)
    replaced_flag : ndarray of uint8, shape (nints, LANES)
        Flags of group 0 where a zeroframe took its place.
    constants : ndarray of float64, shape (CONSTANTS, LANES)
    read_variances : ndarray of float64, shape (nints, LANES)
        The integrations' var_rnoise so far, in (DN/s)^2.
    rateints, rate : ndarray of float32, shapes (4, nints, npixels), (4, npixels)
        Row VAR_RNOISE is modified.
    """
    nints, ngroups, _ = flags.shape
    good = np.empty((ngroups // 64 + 1, LANES), np.uint64)
    jump = np.empty((ngroups // 64 + 1, LANES), np.uint64)
    begins = np.empty(ngroups // 2 + 2, np.int64)
    ends = np.empty(ngroups // 2 + 2, np.int64)
    for k in range(LANES):
        affected = False
        for i in range(nints):
            affected |= (status[i, k] & _CHARGELOSS) != 0
        if not affected:
            continue
        total = 0.0
        for i in range(nints):
            if (status[i, k] & _CHARGELOSS) == 0:
                if read_variances[i, k] > 0:
                    total += 1.0 / read_variances[i, k]
                continue
            if (status[i, k] & _ZEROFRAME) != 0:
                flags[i, 0, first + k] = replaced_flag[i, k]
            charge_loss_masks(flags[i], first + k, good, jump)
            used, _ = list_segments(good, jump, 0, begins, ends)
            weight = 0.0
            for s in range(used):
                length = ends[s] - begins[s]
                n = np.float64(max(length, 2))
                ratio = settings.group_time / single_group_time(status[i, k], settings) if length == 1 else 1.0
                constant = constants[READ_LONG if length > _FEW else READ, k]
                var_rnoise = constant * (ratio * ratio) / (n * n * n - n)
                if var_rnoise > 0:
                    weight += 1.0 / var_rnoise
            rateints[VAR_RNOISE, i, first + k] = bounded(1.0 / weight) if weight > 0 else 0.0
            total += weight
        if total > 0:
            rate[VAR_RNOISE, first + k] = bounded(1.0 / total)
