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
from rampfit_numba.kernels.memory import copy_in
from rampfit_numba.kernels.ols.segments import MOST_IN_BYTES

#: Pixels that are counted side by side: what is known of them stays in the nearest cache.
_PIXELS = 10 * LANES
_D, _J = np.uint8(dq.DO_NOT_USE), np.uint8(dq.JUMP_DET)
_S = np.uint8(dq.SATURATED)
_NOT_P, _NOT_J = np.uint8(0xFF ^ dq.PERSISTENCE), np.uint8(0xFF ^ dq.JUMP_DET)
_NOT_PJ = np.uint8(0xFF ^ dq.PERSISTENCE ^ dq.JUMP_DET)
_NONE, _ONE, _TWO, _ALL = np.uint8(0), np.uint8(1), np.uint8(2), np.uint8(0xFF)


class Counts(NamedTuple):
    """What is counted in some ramps, group by group.

    Attributes
    ----------
    flags : ndarray of uint8, shape (2, npixels)
        Of the group at hand and of the next one, in turn.
    states : ndarray of uint8, shape (7, npixels)
        Whether a group is good, and whether a jump opens a segment there; groups of the segment at hand, up to two;
        whether any group counts as good, and whether several do; whether none can be used; the flags of group 0.
    numbers : ndarray of uint8 or uint16, shape (3, npixels)
        Segments of two or more groups, of a single one, jumps.
    """

    flags: np.ndarray
    states: np.ndarray
    numbers: np.ndarray


def empty_counts(ngroups: int) -> Counts:
    """Return :class:`Counts` for ramps of `ngroups` groups."""
    number = np.uint8 if ngroups <= MOST_IN_BYTES else np.uint16
    return Counts(np.empty((2, _PIXELS), np.uint8), np.empty((7, _PIXELS), np.uint8), np.empty((3, _PIXELS), number))


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
    most_segments = most_jumps = 0
    for first in range(0, npixels, _PIXELS):
        number = min(_PIXELS, npixels - first)
        for i in range(nints):
            _begin(counts)
            _load(places[i, 0] + first, number, not used[0] <= 0 <= used[1], counts.flags[0], spans)
            for g in range(ngroups):
                after = min(g + 1, ngroups - 1)
                if after > g:
                    outside = not used[0] <= after <= used[1]
                    _load(places[i, after] + first, number, outside, counts.flags[after % 2], spans)
                _follow(counts.flags[g % 2], counts.flags[after % 2], g == 0, settings, counts)
            _end(settings, counts)
            several, single, jumps = counts.numbers[0], counts.numbers[1], counts.numbers[2]
            for k in range(number):
                most_segments = max(most_segments, several[k] if several[k] > 0 else single[k])
                most_jumps = max(most_jumps, jumps[k])
    return most_segments, most_jumps


@jit
def _load(address, number, outside, flags, spans):
    """Load the flags of one group of some pixels."""
    copy_in(flags, address, number, spans)
    if outside:
        for k in range(number):
            flags[k] |= _D


@jit
def _begin(counts):
    counts.states[:] = _NONE
    counts.states[5] = _ONE
    counts.numbers[:] = 0


@jit
def _follow(here, after, is_first, settings, counts):
    """Take one group more into account, given its flags and those of the next one, or its own again at the end."""
    states, numbers = counts.states, counts.numbers
    good, opened, length, some, more, unusable, first = (
        states[0],
        states[1],
        states[2],
        states[3],
        states[4],
        states[5],
        states[6],
    )
    several, single, jumps = numbers[0], numbers[1], numbers[2]
    cleared = is_first and settings.clear_first_jump
    kept = _NOT_PJ if cleared else _NOT_P
    for k in range(_PIXELS):
        flags = here[k] & kept
        good[k] = flags == 0
        opened[k] = (flags == _J) & ((after[k] & _NOT_P) == 0)
    for k in range(_PIXELS):
        several[k] += (length[k] == _TWO) & (good[k] == 0)
        single[k] += (length[k] == _ONE) & (good[k] == 0)
    for k in range(_PIXELS):
        longer = _TWO if length[k] > 0 else _ONE
        length[k] = longer if good[k] != 0 else opened[k]
    # As in ramp_status: where ramps of one good group are suppressed, PERSISTENCE is good, and a void jump is not.
    counted = _NOT_P if settings.suppress_one_group else _NOT_J if cleared else _ALL
    for k in range(_PIXELS):
        counts_here = np.uint8((here[k] & counted) == 0)
        more[k] |= some[k] & counts_here
        some[k] |= counts_here
    for k in range(_PIXELS):
        unusable[k] &= here[k] | (here[k] >> _ONE)
    if is_first:
        for k in range(_PIXELS):
            first[k] = here[k]
    else:
        for k in range(_PIXELS):
            jumps[k] += (here[k] & _J) != 0


@jit
def _end(settings, counts):
    """Count what is open, and nothing of ramps that are not fitted."""
    states = counts.states
    length, some, more, unusable, first = states[2], states[3], states[4], states[5], states[6]
    several, single = counts.numbers[0], counts.numbers[1]
    for k in range(_PIXELS):
        several[k] += length[k] == _TWO
        single[k] += length[k] == _ONE
    for k in range(_PIXELS):
        suppressed = settings.suppress_one_group and some[k] > more[k]
        if unusable[k] != 0 or suppressed or (first[k] & _S) != 0:
            several[k] = single[k] = 0
