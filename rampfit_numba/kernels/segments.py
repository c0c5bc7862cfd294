"""Segments of a ramp: runs of good groups between cosmic rays, saturation and bad samples.

Source: section 3 of the rules in ``docs/algorithm.md``; Robberto 2008 (JWST-STScI-0001490) for the method.
"""

from __future__ import annotations

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES, jit, jit_inline
from rampfit_numba.kernels.bits import trailing_zeros

_NOT_P = np.uint8(0xFF ^ dq.PERSISTENCE)
_NOT_PJ = np.uint8(0xFF ^ dq.PERSISTENCE ^ dq.JUMP_DET)
_J = np.uint8(dq.JUMP_DET)
_D = np.uint8(dq.DO_NOT_USE)
_C = np.uint8(dq.CHARGELOSS)
_ONE = np.uint64(1)


@jit
def group_masks(flags, first, good, jump):
    """Gather each ramp's good groups and pure jumps into words of 64 bits; PERSISTENCE does not count.

    Parameters
    ----------
    flags : ndarray of uint8, shape (ngroups, npixels)
    first : int
        First pixel of the block.
    good, jump : ndarray of uint64, shape (ngroups // 64 + 1, LANES)
        Results: bit g % 64 of word g // 64 for group g. There is always a bit to spare behind the last group.
    """
    good[:] = 0
    jump[:] = 0
    for g in range(flags.shape[0]):
        here = flags[g, first : first + LANES]
        good_word = good[g // 64]
        jump_word = jump[g // 64]
        shift = np.uint64(g % 64)
        for k in range(LANES):
            bits = here[k] & _NOT_P
            good_word[k] |= np.uint64(bits == 0) << shift
            jump_word[k] |= np.uint64(bits == _J) << shift


@jit
def charge_loss_masks(flags, pixel, good, jump):
    """Gather one ramp's masks into lane 0, with DO_NOT_USE inverted and CHARGELOSS cleared where CHARGELOSS is set.

    The parameters are those of :func:`group_masks`. Before, CHARGELOSS groups are marked DO_NOT_USE; where one is not,
    it becomes so, as in the reference.
    """
    good[:] = 0
    jump[:] = 0
    for g in range(flags.shape[0]):
        bits = flags[g, pixel] & _NOT_P
        if (bits & _C) != 0:
            bits ^= _C | _D
        shift = np.uint64(g % 64)
        good[g // 64, 0] |= np.uint64(bits == 0) << shift
        jump[g // 64, 0] |= np.uint64(bits == _J) << shift


@jit_inline
def list_segments(good, jump, lane, begins, ends):
    """List one ramp's segments in time order.

    A run of good groups is extended back over a jump just before it. Runs of a single group count only where there is
    no longer one; then the first of them is used.

    Parameters
    ----------
    good, jump : ndarray of uint64, shape (nwords, LANES)
    lane : int
    begins, ends : ndarray of int64
        Results: the first group of each segment, and the group after its last.

    Returns
    -------
    used, reported : int
        Number of segments, and the number that the reference reserves space for in fitopt: it counts all single groups.
    """
    runs = 0
    closed = 0
    longest = 0
    member_before = np.uint64(0)
    for w in range(good.shape[0]):
        good_word = good[w, lane]
        jump_word = jump[w, lane]
        following = good_word >> _ONE
        if w + 1 < good.shape[0]:
            following |= good[w + 1, lane] << np.uint64(63)
        opening = jump_word & following
        member = good_word | opening
        after_member = (member << _ONE) | member_before
        member_before = member >> np.uint64(63)
        start = member & (opening | ~after_member)
        stop = after_member & ~(member & ~start)
        while start != 0:
            begins[runs] = w * 64 + trailing_zeros(start)
            start &= start - _ONE
            runs += 1
        while stop != 0:
            ends[closed] = w * 64 + trailing_zeros(stop)
            longest = max(longest, ends[closed] - begins[closed])
            stop &= stop - _ONE
            closed += 1
    if longest == 1:
        return 1, runs
    used = 0
    for r in range(runs):
        if ends[r] - begins[r] > 1:
            begins[used] = begins[r]
            ends[used] = ends[r]
            used += 1
    return used, used


@jit
def clear_first_jump(flags, first, good, jump):
    """Void the JUMP_DET of group 0 in the masks of a block: the parameters are those of :func:`group_masks`."""
    for k in range(LANES):
        jump[0, k] &= ~_ONE
        good[0, k] |= np.uint64((flags[0, first + k] & _NOT_PJ) == 0)
