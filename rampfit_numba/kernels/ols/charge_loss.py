"""Read-noise variance of pixels with charge loss, as if the charge-loss step had not been (end of section 6)."""

from __future__ import annotations

import numpy as np
from numba import types

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES, jit, jit_apart
from rampfit_numba.kernels.ols import ramp_status
from rampfit_numba.kernels.ols.combine import VAR_RNOISE, bounded
from rampfit_numba.kernels.ols.pixels import READ, READ_LONG
from rampfit_numba.kernels.ols.segment_fit import segment_variances, single_group_time, single_group_variances
from rampfit_numba.kernels.ols.segments import find_runs, find_single_group

_CHARGELOSS = np.uint16(dq.CHARGELOSS)
_ZEROFRAME = ramp_status.ZEROFRAME
_C, _CD = np.uint8(dq.CHARGELOSS), np.uint8(dq.CHARGELOSS | dq.DO_NOT_USE)
_FEW = 2


@jit
def has_charge_loss(status):
    """Tell whether any ramp of a block, `status` of shape (nints, LANES), has a CHARGELOSS group."""
    found = np.uint16(0)
    for i in range(status.shape[0]):
        for k in range(LANES):
            found |= status[i, k]
    return (found & _CHARGELOSS) != 0


@jit_apart(types.none)
def recompute_read_variances(
    flags,
    settings,
    status,
    replaced_flag,
    constants,
    read_variances,
    runs,
    rate,
    affected,
    left_out,
    total,
):
    """Find var_rnoise of the ramps and pixels of a block that have CHARGELOSS; everything else stays.

    Parameters
    ----------
    flags : ndarray of uint8, shape (nints, ngroups, LANES)
        Modified: this comes last.
    settings : Settings
    status : ndarray of uint16, shape (nints, LANES)
    replaced_flag : ndarray of uint8, shape (nints, LANES)
        Flags of group 0 where a zeroframe took its place.
    constants : ndarray of float64, shape (CONSTANTS, LANES)
    read_variances : ndarray of float64, shape (nints, LANES)
        The integrations' var_rnoise so far, in (DN/s)^2; replaced where there is CHARGELOSS.
    runs : RunLengths
        Workspace to work in.
    rate : ndarray of float32, shape (4, LANES)
        Row VAR_RNOISE is modified.
    affected, left_out, total : ndarray of bool, bool and float64, shape (LANES,)
        Workspace to work in.

    Formula
    -------
    var_rnoise = 1 / I,  I = sum 1 / v_r
    rate:  var_rnoise = 1 / sum I

    Source
    ------
    End of section 6 of ``docs/algorithm.md``; v_r of the segments that CHARGELOSS does not shorten:
    :func:`segment_variances`, :func:`single_group_variances`.

    Units
    -----
    (DN/s)^2.
    """
    nints, ngroups, _ = flags.shape
    groups = runs.length
    for k in range(LANES):
        affected[k], total[k] = False, 0.0
    for i in range(nints):
        for k in range(LANES):
            left_out[k] = (status[i, k] & _CHARGELOSS) == 0
            affected[k] |= not left_out[k]
            if left_out[k]:
                total[k] += 1.0 / read_variances[i, k] if read_variances[i, k] > 0 else 0.0
                continue
            if (status[i, k] & _ZEROFRAME) != 0:
                flags[i, 0, k] = replaced_flag[i, k]
            # Charge loss marks its groups DO_NOT_USE as well; where one is not marked, it becomes so, as in the
            # reference.
            for g in range(ngroups):
                if (flags[i, g, k] & _C) != 0:
                    flags[i, g, k] ^= _CD
        find_runs(flags[i], False, left_out, runs)  # noqa: FBT003  (a kernel takes no keywords)
        for k in range(LANES):
            if left_out[k]:
                continue
            weight, several = 0.0, False
            for g in range(ngroups):
                if groups[g, k] > 1 and groups[g + 1, k] < _FEW:
                    several = True
                    n = groups[g, k]
                    _, var_rnoise = segment_variances(0.0, constants[READ_LONG if n > _FEW else READ, k], n)
                    weight += 1.0 / var_rnoise if var_rnoise > 0 else 0.0
            if not several and find_single_group(runs, k) >= 0:
                time = single_group_time(status[i, k], settings)
                _, var_rnoise = single_group_variances(time, 0.0, constants[READ, k], settings)
                weight = 1.0 / var_rnoise if var_rnoise > 0 else 0.0
            read_variances[i, k] = bounded(1.0 / weight, settings.largest_variance) if weight > 0 else 0.0
            total[k] += weight
    for k in range(LANES):
        if affected[k] and total[k] > 0:
            rate[VAR_RNOISE, k] = bounded(1.0 / total[k], settings.largest_variance)
