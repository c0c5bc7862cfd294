"""What a ramp's flags say as a whole: usable at all, one good group only, rescued by its zeroframe.

Source: section 2 of the rules in ``docs/algorithm.md``.
"""

from __future__ import annotations

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES, jit

# A status is the OR of the group flags (low eight bits) and these:
NO_USABLE_GROUP = np.uint16(1 << 8)  #: every group is DO_NOT_USE or SATURATED, or the ramp is suppressed
ALL_SATURATED = np.uint16(1 << 9)  #: ... and every group is SATURATED
FIRST_SATURATED = np.uint16(1 << 10)  #: group 0 is SATURATED: nothing after it counts
SOLE_FIRST = np.uint16(1 << 11)  #: group 0 is the only good one; it stands for the time since the reset
ZEROFRAME = np.uint16(1 << 12)  #: no good group: the zeroframe stands in for group 0

_D, _S = np.uint8(dq.DO_NOT_USE), np.uint8(dq.SATURATED)
_DS, _JP = np.uint8(dq.DO_NOT_USE | dq.SATURATED), np.uint8(dq.JUMP_DET | dq.PERSISTENCE)
_NOT_P = np.uint8(0xFF ^ dq.PERSISTENCE)
_NOT_J = np.uint8(0xFF ^ dq.JUMP_DET)
_ALL = np.uint8(0xFF)
_EXPONENT = np.int32(0x7F800000)


@jit
def flag_non_finite(bits, flags, first):
    """Add DO_NOT_USE to non-finite samples that are not SATURATED, and tell whether the block has any flag.

    Parameters
    ----------
    bits : ndarray of int32, shape (ngroups, npixels)
        The samples' bit patterns: infinities and NaNs are those with all exponent bits set.
    flags : ndarray of uint8, shape (ngroups, npixels)
        Modified in place.
    first : int
        First pixel of the block.
    """
    ngroups = flags.shape[0]
    found = np.uint8(0)
    bad = False
    for g in range(ngroups):
        here = flags[g, first : first + LANES]
        sample = bits[g, first : first + LANES]
        for k in range(LANES):
            found |= here[k]
            bad |= (sample[k] & _EXPONENT) == _EXPONENT
    if bad:
        for g in range(ngroups):
            here = flags[g, first : first + LANES]
            sample = bits[g, first : first + LANES]
            for k in range(LANES):
                if (sample[k] & _EXPONENT) == _EXPONENT and (here[k] & _S) == 0:
                    here[k] |= _D
    return found != 0 or bad


@jit
def ramp_status(flags, first, zeroframe, suppressed, settings, status, added, late):
    """Find the status of one block of ramps.

    Parameters
    ----------
    flags : ndarray of uint8, shape (ngroups, npixels)
        Flags of one integration.
    first : int
        First pixel of the block.
    zeroframe : ndarray of float32, shape (npixels,) or (0,)
        Samples in DN, 0 or not finite where unusable; empty where there are none.
    suppressed : ndarray of bool, shape (npixels,) or (0,)
        Ramps whose only good group is among those that were dropped; empty where there are none.
    settings : Settings
    status : ndarray of uint16, shape (LANES,)
        Result.
    added, late : ndarray of uint8, shape (LANES,)
        Results: the bits that the integration gets. Those in `late` (SATURATED if any group is) join after the fit and
        do not invalidate it.
    """
    ngroups = flags.shape[0]
    any_bits = np.zeros(LANES, np.uint8)
    all_bits = np.full(LANES, _ALL)
    all_unusable = np.full(LANES, np.uint8(1))
    good = np.zeros(LANES, np.int32)
    unflagged = np.zeros(LANES, np.int32)
    for g in range(ngroups):
        here = flags[g, first : first + LANES]
        kept = _NOT_J if g == 0 and settings.clear_first_jump else _ALL
        for k in range(LANES):
            any_bits[k] |= here[k] & kept
            all_bits[k] &= here[k]
            all_unusable[k] &= here[k] | (here[k] >> 1)
            # The reference suppresses before it voids the jump of the first kept group, and counts good groups
            # afterwards.
            good[k] += (here[k] & _NOT_P) == 0
            unflagged[k] += (here[k] & kept) == 0
    if suppressed.size > 0:
        for k in range(LANES):
            good[k] += suppressed[first + k]
    first_flags = flags[0, first : first + LANES]
    first_kept = _NOT_J if settings.clear_first_jump else _ALL
    for k in range(LANES):
        value = np.uint16(any_bits[k])
        if value == 0 and good[k] == ngroups and ngroups > 1:
            status[k], added[k], late[k] = 0, 0, 0
            continue
        if (all_bits[k] & _S) != 0:
            value |= ALL_SATURATED
        if all_unusable[k] != 0:
            value |= NO_USABLE_GROUP
        first_saturated = (first_flags[k] & _S) != 0
        if settings.suppress_one_group:
            if good[k] == 1:
                value |= NO_USABLE_GROUP
        elif unflagged[k] == 1 and (first_flags[k] & first_kept) == 0:
            value |= SOLE_FIRST
        elif (
            unflagged[k] == 0 and zeroframe.size > 0 and zeroframe[first + k] != 0 and np.isfinite(zeroframe[first + k])
        ):
            value = (value ^ (value & NO_USABLE_GROUP)) | ZEROFRAME
            first_saturated = False
        if first_saturated:
            value |= FIRST_SATURATED
        status[k] = value
        bits = value & _JP
        if (value & NO_USABLE_GROUP) != 0:
            bits |= _DS if (value & ALL_SATURATED) != 0 else _D
        if first_saturated:
            bits |= _DS
        added[k] = bits
        # A zeroframe that stands in for the only, saturated group leaves no saturated group behind.
        vanished = ngroups == 1 and (value & ZEROFRAME) != 0 and (value & ALL_SATURATED) != 0
        late[k] = 0 if vanished else any_bits[k] & _S
