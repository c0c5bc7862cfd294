"""How many segments and jumps ramps have as far as their flags tell: the size of the optional results, nearly always.

Samples that are not finite, and zeroframes, can change it. To look at the flags alone takes a fifth of the time of a
count of all (:func:`rampfit_numba.kernels.ols.tile.count_tile`), which knows the same rules.

Source: sections 2 and 3 of the rules in ``docs/algorithm.md``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES, jit, jit_entry
from rampfit_numba.kernels.bits import BITS, bits_equal
from rampfit_numba.kernels.memory import copy_in, fetch

#: Pixels that are counted side by side, BITS in a word: what is known of them stays in the nearest cache.
_PIXELS = 10 * max(LANES, BITS)
_COLUMNS = _PIXELS // BITS
_NONE, _ALL = np.uint8(0), np.uint8(0xFF)
_J, _S, _DS = np.uint8(dq.JUMP_DET), np.uint8(dq.SATURATED), np.uint8(dq.DO_NOT_USE | dq.SATURATED)
_NOT_P, _NOT_J = np.uint8(0xFF ^ dq.PERSISTENCE), np.uint8(0xFF ^ dq.JUMP_DET)
_NOT_PJ = np.uint8(0xFF ^ dq.PERSISTENCE ^ dq.JUMP_DET)
_NO_BITS, _ALL_BITS = np.uint64(0), np.uint64(0xFFFFFFFFFFFFFFFF)
_GOOD, _LONE_JUMP, _GOOD_BEFORE, _LONE_JUMP_BEFORE, _ONE_GROUP, _MORE_GROUPS, _JUMP = range(7)
_SOME, _SEVERAL, _UNUSABLE, _FIRST_SATURATED, _WANTED, _ENDED, _ENDED_SINGLE, _STATES = range(7, 15)
_SEGMENTS, _SINGLES, _JUMPS = range(3)


class Counts(NamedTuple):
    """What is known of some ramps while their groups are gone through: a bit a ramp, BITS ramps in a word.

    Attributes
    ----------
    flags : ndarray of uint8, shape (npixels,)
        Of the group at hand.
    states : ndarray of uint64, shape (14, npixels / BITS)
        Whether the group at hand, and the one before, is good, and whether it has a jump alone; whether a segment of
        one group, or of more, is open; whether the group at hand has a jump; whether any group counts as good, and
        whether several do; whether none can be used; whether the first group is saturated; whether the ramp is looked
        at; whether a segment of two or more groups has ended, or one of a single group.
    digits : ndarray of uint64, shape (3, digits, npixels / BITS)
        Numbers in binary, digit by digit from the lowest one on: segments of two or more groups, of a single one,
        jumps.
    """

    flags: np.ndarray
    states: np.ndarray
    digits: np.ndarray


def empty_counts(ngroups: int) -> Counts:
    """Return :class:`Counts` for ramps of `ngroups` groups."""
    return Counts(
        np.zeros(_PIXELS, np.uint8),
        np.zeros((_STATES, _COLUMNS), np.uint64),
        np.zeros((3, max(ngroups.bit_length(), 1), _COLUMNS), np.uint64),
    )


@jit_entry
def count_flags(places, npixels, used, settings, counts, spans):
    """Return the largest number of segments and of jumps of a ramp, if all its samples are finite.

    Parameters
    ----------
    places : ndarray of int64, shape (nints, ngroups)
        Where the flags of each group stand, those of all pixels behind each other.
    npixels : int
    used : tuple of int
        First and last group that counts; the others are DO_NOT_USE.
    settings : Settings
    counts : Counts
        Workspace to work in.
    spans : ndarray of int64, shape (number, 2)
        See :func:`rampfit_numba.kernels.memory.spans_of`.
    """
    nints, ngroups = places.shape
    most_segments = most_jumps = np.int64(0)
    for first in range(0, npixels, _PIXELS):
        number = min(_PIXELS, npixels - first)
        for i in range(nints):
            _begin(number, counts)
            for g in range(ngroups):
                copy_in(counts.flags, places[i, g] + first, number, spans)
                if g + 1 < ngroups:
                    fetch(places[i, g + 1] + first, number)
                elif i + 1 < nints:
                    fetch(places[i + 1, 0] + first, number)
                else:
                    fetch(places[0, 0] + first + _PIXELS, number)
                _look(g, used[0] <= g <= used[1], settings, counts)
                if g > 0:
                    _follow(counts)
            _end(settings, counts)
            segments, jumps = _largest(counts)
            most_segments, most_jumps = max(most_segments, segments), max(most_jumps, jumps)
    return most_segments, most_jumps


@jit
def _begin(number, counts):
    """Forget all, and look at the first `number` ramps."""
    counts.states[:] = _NO_BITS
    counts.digits[:] = _NO_BITS
    counts.states[_UNUSABLE] = _ALL_BITS
    for w in range(_COLUMNS):
        here = min(max(number - w * BITS, 0), BITS)
        counts.states[_WANTED, w] = _ALL_BITS >> np.uint64(BITS - here) if here > 0 else _NO_BITS


@jit
def _look(g, is_used, settings, counts):
    """See what the flags of group `g` say."""
    flags, states, is_first = counts.flags, counts.states, g == 0
    cleared = is_first and settings.clear_first_jump
    kept = _NOT_PJ if cleared else _NOT_P
    # As in ramp_status: where ramps of one good group are suppressed, PERSISTENCE is good, and a void jump is not.
    counted = _NOT_P if settings.suppress_one_group else _NOT_J if cleared else _ALL
    for w in range(_COLUMNS):
        start = w * BITS
        jump = bits_equal(flags, start, _J, _J)
        states[_JUMP, w] = jump
        states[_GOOD, w] = bits_equal(flags, start, kept, _NONE) if is_used else _NO_BITS
        states[_LONE_JUMP, w] = bits_equal(flags, start, kept, _J) if is_used else _NO_BITS
        counts_here = bits_equal(flags, start, counted, _NONE) if is_used else _NO_BITS
        states[_SEVERAL, w] |= states[_SOME, w] & counts_here
        states[_SOME, w] |= counts_here
        states[_UNUSABLE, w] &= ~bits_equal(flags, start, _DS, _NONE) if is_used else _ALL_BITS
        if is_first:
            states[_FIRST_SATURATED, w] = bits_equal(flags, start, _S, _S)
            states[_GOOD_BEFORE, w], states[_LONE_JUMP_BEFORE, w] = states[_GOOD, w], states[_LONE_JUMP, w]


@jit
def _follow(counts):
    """Take the group before into account, now that it is known what follows it, and the jump of the one at hand."""
    states = counts.states
    good, lone_jump, jump = states[_GOOD], states[_LONE_JUMP], states[_JUMP]
    good_before, opened = states[_GOOD_BEFORE], states[_LONE_JUMP_BEFORE]
    for w in range(_COLUMNS):
        opened[w] &= good[w]
    _close(good_before, opened, counts)
    _count(_JUMPS, jump, counts)
    for w in range(_COLUMNS):
        good_before[w] = good[w]
    for w in range(_COLUMNS):
        opened[w] = lone_jump[w]


@jit
def _close(good, opened, counts):
    """Count the segments that end before a group, which is good or opens a segment, and open those that begin."""
    states = counts.states
    one, more, ended, ended_single = states[_ONE_GROUP], states[_MORE_GROUPS], states[_ENDED], states[_ENDED_SINGLE]
    for w in range(_COLUMNS):
        ended[w] = more[w] & ~good[w]
    for w in range(_COLUMNS):
        ended_single[w] = one[w] & ~good[w]
    for w in range(_COLUMNS):
        more[w] = good[w] & (one[w] | more[w])
    for w in range(_COLUMNS):
        one[w] = (good[w] & ~more[w]) | opened[w]
    _count(_SEGMENTS, ended, counts)
    _count(_SINGLES, ended_single, counts)


@jit
def _count(what, carried, counts):
    """Add 1 where bits are set in `carried`, which is overwritten.

    Digit by digit for all ramps: how far one word is carried is hard to guess.
    """
    for d in range(counts.digits.shape[1]):
        digit, some = counts.digits[what, d], _NO_BITS
        for w in range(_COLUMNS):
            here, before = carried[w], digit[w]
            digit[w] = before ^ here
            carried[w] = before & here
            some |= before & here
        if some == _NO_BITS:
            return


@jit
def _end(settings, counts):
    """Count what is open at the end, and nothing of ramps that are not fitted."""
    states = counts.states
    none = states[_LONE_JUMP_BEFORE]
    none[:] = _NO_BITS
    _close(states[_GOOD_BEFORE], none, counts)
    _close(none, none, counts)
    for w in range(_COLUMNS):
        left_out = states[_UNUSABLE, w] | states[_FIRST_SATURATED, w]
        if settings.suppress_one_group:
            left_out |= states[_SOME, w] & ~states[_SEVERAL, w]
        for d in range(counts.digits.shape[1]):
            counts.digits[_SEGMENTS, d, w] &= ~left_out
            counts.digits[_SINGLES, d, w] &= ~left_out


@jit
def _largest(counts):
    """Return the largest numbers of segments, single ones counting only where there is no longer one, and of jumps."""
    digits, states = counts.digits, counts.states
    for d in range(digits.shape[1]):
        for w in range(_COLUMNS):
            for e in range(digits.shape[1]):
                digits[_SINGLES, d, w] &= ~digits[_SEGMENTS, e, w]
    segments = max(_largest_number(digits[_SEGMENTS], states), _largest_number(digits[_SINGLES], states))
    return segments, _largest_number(digits[_JUMPS], states)


@jit
def _largest_number(digits, states):
    """Return the largest of some numbers: digit by digit from the highest one on, among those that share all before."""
    among, number = states[_JUMP], np.int64(0)
    for w in range(_COLUMNS):
        among[w] = states[_WANTED, w]
    for d in range(digits.shape[0] - 1, -1, -1):
        some = _NO_BITS
        for w in range(_COLUMNS):
            some |= among[w] & digits[d, w]
        if some != 0:
            number |= np.int64(1) << d
            for w in range(_COLUMNS):
                among[w] &= digits[d, w]
    return number
