"""What a ramp's flags say as a whole: usable at all, one good group only, rescued by its zeroframe.

Source: section 2 of the rules in ``docs/algorithm.md``.
"""

from __future__ import annotations

import numpy as np
from numba import types

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES, jit_apart
from rampfit_numba.kernels.bits import BITS, bits_above, bits_equal, put_bits
from rampfit_numba.kernels.lists import list_bits
from rampfit_numba.kernels.samples import flag_non_finite

# A status is the OR of the group flags (low eight bits) and these:
NO_USABLE_GROUP = np.uint16(1 << 8)  #: every group is DO_NOT_USE or SATURATED, or the ramp is suppressed
ALL_SATURATED = np.uint16(1 << 9)  #: ... and every group is SATURATED
FIRST_SATURATED = np.uint16(1 << 10)  #: group 0 is SATURATED: nothing after it counts
SINGLE_FIRST_GROUP = np.uint16(1 << 11)  #: group 0 is the only good one; it stands for the time since the reset
ZEROFRAME = np.uint16(1 << 12)  #: no good group: the zeroframe stands in for group 0

_D, _S = np.uint8(dq.DO_NOT_USE), np.uint8(dq.SATURATED)
_DS, _JP = np.uint8(dq.DO_NOT_USE | dq.SATURATED), np.uint8(dq.JUMP_DET | dq.PERSISTENCE)
_NOT_P = np.uint8(0xFF ^ dq.PERSISTENCE)
_NOT_J = np.uint8(0xFF ^ dq.JUMP_DET)
_NONE, _ONE, _ALL = np.uint8(0), np.uint8(1), np.uint8(0xFF)
_NO_BITS, _ALL_LANES = np.uint64(0), np.uint64((1 << min(LANES, BITS)) - 1)
_NOTHING = np.uint16(0)
_INF = np.float32(np.inf)


@jit_apart(types.boolean)
def gather_flags(samples, bits, flags, found, sums):
    """Do what :func:`flag_non_finite` does, and find which ramps of a block have any flag.

    Parameters
    ----------
    samples : ndarray of float32, shape (ngroups, LANES)
        In DN.
    bits : ndarray of int32
        The same memory.
    flags : ndarray of uint8, shape (ngroups, LANES)
        Modified in place.
    found : ndarray of uint8, shape (LANES,)
        Result: each ramp's flags, of all groups together.
    sums : ndarray of float32, shape (LANES,)
        Workspace to work in.

    Returns
    -------
    bool
        Whether any ramp has a flag.
    """
    # What is not finite makes the sum so. To add takes half the time of looking at the bits; a sum that overflows
    # costs only a second look.
    for k in range(LANES):
        sums[k] = 0.0
    for g in range(samples.shape[0]):
        here = samples[g]
        for k in range(LANES):
            sums[k] += here[k]
    finite = True
    for k in range(LANES):
        finite &= abs(sums[k]) < _INF
    if not finite:
        first = np.int64(0)  # a literal would be compiled apart
        flag_non_finite(bits, flags, first)
    for k in range(LANES):
        found[k] = 0
    for g in range(flags.shape[0]):
        here_flags = flags[g]
        for k in range(LANES):
            found[k] |= here_flags[k]
    some = _NONE
    for k in range(LANES):
        some |= found[k]
    return some != 0


@jit_apart(types.int64)
def ramp_status(flags, zeroframe, suppressed, settings, status, added, partly_saturated, lanes, work):
    """Find the status of one block of ramps.

    Parameters
    ----------
    flags : ndarray of uint8, shape (ngroups, LANES)
        Flags of one integration.
    zeroframe : ndarray of float32, shape (LANES,) or (0,)
        Samples in DN, 0 or not finite where unusable; empty where there are none.
    suppressed : ndarray of bool, shape (LANES,) or (0,)
        Ramps whose only good group is among those that were dropped; empty where there are none.
    settings : Settings
    status : ndarray of uint16, shape (LANES,)
        Result.
    added, partly_saturated : ndarray of uint8, shape (LANES,)
        Results: the bits that the integration gets. Those in `partly_saturated` (SATURATED if any
        group is) join after the fit and do not invalidate it.
    lanes : ndarray of uint32, shape (LANES + SPARE,)
        Result: the ramps that have a flag; all of them where there is a single group.
    work : ndarray of uint8, shape (5, LANES)
        Workspace to work in.

    Returns
    -------
    int
        The number of these ramps. A void jump of group 0 alone is no flag.
    """
    ngroups = flags.shape[0]
    # What is true of a ramp is a bit while the groups are gone through. The reference suppresses before it voids the
    # jump of the first kept group, with PERSISTENCE as good; otherwise it is not.
    any_bits, all_saturated, all_unusable, good, alone = work[0], work[1], work[2], work[3], work[4]
    for k in range(LANES):
        any_bits[k] = all_saturated[k] = all_unusable[k] = good[k] = alone[k] = 0
    for g in range(ngroups):
        here = flags[g]
        kept = _NOT_J if g == 0 and settings.clear_first_jump else _ALL
        for k in range(LANES):
            any_bits[k] |= here[k] & kept
    suppress = settings.suppress_one_group
    for start in range(0, LANES, BITS):
        saturated = unusable = ~_NO_BITS
        some = several = _NO_BITS
        for g in range(ngroups):
            here = flags[g]
            kept = _NOT_J if g == 0 and settings.clear_first_jump else _ALL
            counts = bits_equal(here, start, _NOT_P if suppress else kept, _NONE)
            several |= some & counts
            some |= counts
            saturated &= bits_equal(here, start, _S, _S)
            unusable &= ~bits_equal(here, start, _DS, _NONE)
        if suppress and suppressed.size > 0:
            dropped = bits_equal(suppressed, start, _ONE, _ONE)
            several |= some & dropped
            some |= dropped
        put_bits(all_saturated, start, saturated, _ONE)
        put_bits(all_unusable, start, unusable, _ONE)
        put_bits(good, start, some, _ONE)
        put_bits(alone, start, some & ~several, _ONE)
    first_flags = flags[0]
    first_kept = _NOT_J if settings.clear_first_jump else _ALL
    for k in range(LANES):
        value = np.uint16(any_bits[k])
        value |= ALL_SATURATED if all_saturated[k] != 0 else _NOTHING
        value |= NO_USABLE_GROUP if all_unusable[k] != 0 else _NOTHING
        status[k] = value
    for k in range(LANES):
        first_only = alone[k] != 0 and (first_flags[k] & first_kept) == 0
        lonely = NO_USABLE_GROUP if alone[k] != 0 else _NOTHING
        value = lonely if suppress else (SINGLE_FIRST_GROUP if first_only else _NOTHING)
        status[k] |= value | (FIRST_SATURATED if (first_flags[k] & _S) != 0 else _NOTHING)
    for k in range(LANES):
        value = status[k]
        unusable_bits = _DS if (value & ALL_SATURATED) != 0 else _D
        bits = np.uint8(value) & _JP
        bits |= unusable_bits if (value & NO_USABLE_GROUP) != 0 else _NONE
        added[k] = bits | (_DS if (value & FIRST_SATURATED) != 0 else _NONE)
    for k in range(LANES):
        partly_saturated[k] = any_bits[k] & _S
    if zeroframe.size > 0 and not suppress:
        for k in range(LANES):
            sample = zeroframe[k]
            if good[k] > 0 or sample == 0 or not np.isfinite(sample):
                continue
            lost = NO_USABLE_GROUP | FIRST_SATURATED
            value = status[k] ^ (status[k] & lost) | ZEROFRAME
            status[k], added[k] = value, np.uint8(value) & _JP
            if ngroups == 1 and (value & ALL_SATURATED) != 0:
                # What stands in for the only, saturated group leaves no saturated group behind.
                partly_saturated[k] = 0
    number = _NO_BITS
    for start in range(0, LANES, BITS):
        listed = bits_above(status, start, 0) if ngroups > 1 else _ALL_LANES
        number = list_bits(listed, start, lanes, number)
    return np.int64(number)
