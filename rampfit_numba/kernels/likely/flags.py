"""Flags of integrations and of the exposure from those of the groups.

Source: section 7 of the rules in ``docs/likelihood.md``.
"""

from __future__ import annotations

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels._jit import jit, jit_allocating

_D8 = np.uint8(dq.DO_NOT_USE)
#: The flags of groups that integrations get; in the pipeline's rules PERSISTENCE is not among them.
CARRIED, CARRIED_JOINT = np.uint8(dq.SATURATED | dq.JUMP_DET), np.uint8(dq.SATURATED | dq.JUMP_DET | dq.PERSISTENCE)
_D = np.uint32(dq.DO_NOT_USE)
_NO_GAIN = np.uint32(dq.DO_NOT_USE | dq.NO_GAIN_VALUE)
_NOT_D = np.uint32(0xFFFFFFFF ^ dq.DO_NOT_USE)


@jit_allocating
def integration_flags(flags, jumps, pixeldq, carried, first, result):
    """Find the flags of a block of ramps.

    Parameters
    ----------
    flags : ndarray of uint8, shape (ngroups, lanes)
    jumps : ndarray of uint8, shape (ngroups, npixels)
        Those that the search set.
    pixeldq : ndarray of uint32, shape (lanes,)
    carried : uint8
        CARRIED or CARRIED_JOINT.
    first : int
        First pixel of the block.
    result : ndarray of uint32, shape (npixels,)
        PIXELDQ, with DO_NOT_USE where every group is DO_NOT_USE or SATURATED, and those of the bits `carried` that any
        group has.
    """
    lanes = pixeldq.size
    found = np.zeros(lanes, np.uint8)
    unusable = np.full(lanes, _D8)
    for g in range(flags.shape[0]):
        here = flags[g]
        set_here = jumps[g, first : first + lanes]
        for k in range(lanes):
            found[k] |= here[k] | set_here[k]
            unusable[k] &= here[k] | (here[k] >> 1)
    out = result[first : first + lanes]
    for k in range(lanes):
        out[k] = pixeldq[k] | np.uint32(found[k] & carried) | np.uint32(unusable[k])


@jit_allocating
def combine_flags(rateints_dq, first, lanes, rate_dq):
    """Find the flags of the exposure for a block of pixels: those of any integration, but DO_NOT_USE only of all.

    Parameters
    ----------
    rateints_dq : ndarray of uint32, shape (nints, npixels)
    first, lanes : int
        First pixel of the block, and how many it has.
    rate_dq : ndarray of uint32, shape (npixels,)
        Result.
    """
    found = np.zeros(lanes, np.uint32)
    unusable = np.full(lanes, _D)
    for i in range(rateints_dq.shape[0]):
        here = rateints_dq[i, first : first + lanes]
        for k in range(lanes):
            found[k] |= here[k]
            unusable[k] &= here[k]
    out = rate_dq[first : first + lanes]
    for k in range(lanes):
        out[k] = (found[k] & _NOT_D) | unusable[k]


@jit
def flag_unfitted_joint(gain, slope, first, result):
    """Add DO_NOT_USE where an integration has no rate, and NO_GAIN_VALUE where the gain is no positive number.

    Parameters
    ----------
    gain : ndarray of float32, shape (lanes,)
        In e-/DN.
    slope : ndarray of float32, shape (npixels,)
        In DN/s; not finite where there is none.
    first : int
        First pixel of the block.
    result : ndarray of uint32, shape (npixels,)
        Modified in place.
    """
    lanes = gain.size
    slope_here, out = slope[first : first + lanes], result[first : first + lanes]
    for k in range(lanes):
        good_gain = gain[k] > 0 and gain[k] < np.inf
        fitted = slope_here[k] - slope_here[k] == 0
        missing = np.uint32(0) if fitted else _D
        out[k] |= missing if good_gain else _NO_GAIN
