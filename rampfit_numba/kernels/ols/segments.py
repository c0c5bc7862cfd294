"""Segments of a ramp: runs of good groups between cosmic rays, saturation and bad samples.

Source: section 3 of the rules in ``docs/algorithm.md``; Robberto 2008 (JWST-STScI-0001490) for the method.
"""

# ruff: noqa: ANN401, ARG001  (the compiler's own objects; intrinsics get them in one tuple)
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import types

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES, jit, jit_apart, jit_intrinsic
from rampfit_numba.kernels.bits import BITS, bits_above, count_bits
from rampfit_numba.kernels.lists import SPARE, list_bits_and_values
from rampfit_numba.kernels.ols.long_segments import WORKSPACE
from rampfit_numba.kernels.vectors import WIDTH, everywhere, pointer

_J = np.uint8(dq.JUMP_DET)
_NOT_P = np.uint8(0xFF ^ dq.PERSISTENCE)
_NOT_PJ = np.uint8(0xFF ^ dq.PERSISTENCE ^ dq.JUMP_DET)
#: Ramps of up to so many groups are counted in bytes; kernels are compiled apart for these and for longer ones, since
#: a vector holds twice as many: in words, ramps with hits, and optional results, take a twentieth more. From about
#: there on, counting is also quicker than a network for medians (:mod:`long_median`).
MOST_IN_BYTES = 254


class RunLengths(NamedTuple):
    """Segments of a block of ramps, group by group.

    Attributes
    ----------
    length : ndarray of uint8 or uint16, shape (ngroups + 1, LANES)
        How many groups each segment has up to and including every group: 1 at its first group, its length at the last;
        0 outside of segments, and behind the last group.
    nsegments, sum_steps : ndarray of the same type, shape (LANES,)
        Number of segments of two or more groups; sum over these of their number of groups less one: found by
        :func:`list_segments`.
    sum_cubes : ndarray of uint32 or uint64, shape (LANES,)
        Sum over these of n^3 - n, n being the number of groups: found by :func:`.segment_fit.sum_segments`.
    """

    length: np.ndarray
    nsegments: np.ndarray
    sum_steps: np.ndarray
    sum_cubes: np.ndarray


def empty_runs(ngroups: int) -> RunLengths:
    """Return :class:`RunLengths` for ramps of `ngroups` groups, of types that can count to what they must."""
    small = ngroups <= MOST_IN_BYTES
    count = np.uint8 if small else np.uint16
    return RunLengths(
        length=np.zeros((ngroups + 1, LANES), count),
        nsegments=np.zeros(LANES, count),
        sum_steps=np.zeros(LANES, count),
        sum_cubes=np.zeros(LANES, np.uint32 if small else np.uint64),
    )


class Segments(NamedTuple):
    """Segments of two or more groups of a block of ramps, those of each ramp in time order.

    Attributes
    ----------
    lane, last, length : ndarray of uint32
        Ramp, last group, number of groups.
    row : ndarray of uint32
        Where the factor of the last sample stands in the table of weights.
    slope, weight : ndarray of float64
        Slope per group times n^3 - n, in DN; 1 / (var_poisson + var_rnoise) in (s/DN)^2.
    low, high, longer, step, first_constant, second_constant : ndarray of uint32 (three) and of float64 (three)
        Overwritten by each kernel that goes through the segments; see there.
    begins : ndarray of uint32, shape (ngroups + 2,)
        The same, for each length.
    long_workspace : ndarray of float64, shape (3, ngroups) or larger, or None
        See :mod:`long_segments`. With None, as where no segment is long, its code is not even compiled.
    """

    lane: np.ndarray
    last: np.ndarray
    length: np.ndarray
    low: np.ndarray
    high: np.ndarray
    row: np.ndarray
    step: np.ndarray
    slope: np.ndarray
    first_constant: np.ndarray
    second_constant: np.ndarray
    weight: np.ndarray
    longer: np.ndarray
    begins: np.ndarray
    long_workspace: np.ndarray | None


def empty_segments(ngroups: int) -> Segments:
    """Return :class:`Segments` with room for all that a block of ramps of `ngroups` groups can have, and SPARE more."""
    size = LANES * (ngroups // 2) + SPARE
    return Segments(
        lane=np.empty(size, np.uint32),
        last=np.empty(size, np.uint32),
        length=np.empty(size, np.uint32),
        low=np.empty(size, np.uint32),
        high=np.empty(size, np.uint32),
        row=np.empty(size, np.uint32),
        step=np.empty(size, np.float64),
        slope=np.empty(size, np.float64),
        first_constant=np.empty(size, np.float64),
        second_constant=np.empty(size, np.float64),
        weight=np.empty(size, np.float64),
        longer=np.empty(size, np.uint32),
        begins=np.empty(ngroups + 2, np.uint32),
        long_workspace=np.empty((3, max(ngroups, WORKSPACE)), np.float64) if ngroups > MOST_IN_BYTES else None,
    )


def _extend_plainly(
    now: np.ndarray,
    before: np.ndarray,
    here: np.ndarray,
    following: np.ndarray,
    left_out: np.ndarray,
    first: int,
    kept: int,
) -> None:
    some = slice(first, first + BITS)
    flags = here[some] & np.uint8(kept)
    opened = (flags == _J) & ((following[some] & _NOT_P) == 0)
    now[some] = np.where(left_out[some], 0, np.where(flags == 0, before[some] + 1, opened))


@jit_intrinsic(_extend_plainly)
def _extend(
    _context: Any, now: Any, before: Any, here: Any, following: Any, left_out: Any, first: Any, kept: Any
) -> Any:
    """Find the row `now` of :class:`RunLengths` for BITS ramps, from the row `before` it and the flags of two groups.

    In one go, since of loops over more than a few arrays the compiler does not check that they are apart, and uses no
    vectors.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = ir.VectorType(ir.IntType(8), BITS)
        counts = ir.VectorType(ir.IntType(now.dtype.bitwidth), BITS)
        kinds = counts, counts, bits, bits, bits
        places = [
            pointer(context, builder, *both, arguments[5])
            for both in zip(signature.args[:5], kinds, arguments[:5], strict=True)
        ]
        count, flags, next_flags, out = (builder.load(place, align=1) for place in places[1:])
        zero, one, none = (
            ir.Constant(counts, [0] * BITS),
            ir.Constant(counts, [1] * BITS),
            ir.Constant(bits, [0] * BITS),
        )
        flags = builder.and_(flags, everywhere(builder, arguments[6], bits))
        next_flags = builder.and_(next_flags, ir.Constant(bits, [int(_NOT_P)] * BITS))
        opened = builder.and_(
            builder.icmp_unsigned("==", flags, ir.Constant(bits, [int(_J)] * BITS)),
            builder.icmp_unsigned("==", next_flags, none),
        )
        good = builder.icmp_unsigned("==", flags, none)
        length = builder.select(good, builder.add(count, one), builder.select(opened, one, zero))
        length = builder.select(builder.icmp_unsigned("==", out, none), length, zero)
        builder.store(length, places[0], align=1)
        return context.get_dummy_value()

    return types.void(now, before, here, following, left_out, types.int64, types.uint8), generate


@jit_apart(types.none)
def find_runs(flags, clear_jump, left_out, runs):
    """Find the segments of a block of ramps: how many groups each has up to and including every group.

    A run of groups that are good but for PERSISTENCE is extended back over a JUMP_DET just before it that has no other
    flag but PERSISTENCE (section 3).

    Parameters
    ----------
    flags : ndarray of uint8, shape (ngroups, LANES)
    clear_jump : bool
        Void the JUMP_DET of group 0.
    left_out : ndarray of bool, shape (LANES,)
        Ramps that get no segments.
    runs : RunLengths
        Result: `length`.
    """
    ngroups = flags.shape[0]
    groups, behind = runs.length, runs.length[ngroups]
    for k in range(LANES):
        behind[k] = 0
    for g in range(ngroups):
        kept = _NOT_PJ if g == 0 and clear_jump else _NOT_P
        # Nothing is open before the first group. The last one is its own follower: no good group follows a jump there.
        before, following = groups[g - 1 if g > 0 else ngroups], flags[min(g + 1, ngroups - 1)]
        for start in range(0, LANES, BITS):
            _extend(groups[g], before, flags[g], following, left_out, start, kept)


@jit_apart(types.int64)
def list_segments(runs, segments):
    """List the segments of two or more groups in `runs`, and return their number.

    Behind them stand WIDTH of the first two groups of ramp 0: vectors of segments take what is there.

    Parameters
    ----------
    runs : RunLengths
        As :func:`find_runs` leaves it; `nsegments` and `sum_steps` are results.
    segments : Segments
        Results: lane, last and length.
    """
    groups, count, steps = runs.length, runs.nsegments, runs.sum_steps
    lane, last, length = segments.lane, segments.last, segments.length
    for k in range(LANES):
        count[k] = steps[k] = 0
    number = np.uint64(0)  # an index with a sign would be tested for being negative: a quarter of this loop's time
    for g in range(1, groups.shape[0] - 1):
        here, after = groups[g], groups[g + 1]
        for start in range(0, LANES, BITS):
            several = bits_above(here, start, 1)
            bits = several & ~bits_above(after, start, 1)
            count_bits(steps, start, several)  # a group behind the first one of its segment
            count_bits(count, start, bits)
            number = list_bits_and_values(bits, start, here, g, (lane, length, last), number)
    for s in range(number, number + np.uint64(WIDTH)):
        lane[s], last[s], length[s] = 0, 1, 2
    return np.int64(number)


@jit
def count_segments(runs, several, single):
    """Count the segments of each ramp of a block: `several`, of two or more groups, and `single`, of one.

    Both are arrays of int32 of shape (LANES,). Single groups are segments only where there is none of several; the
    first of them is fitted then.
    """
    groups = runs.length
    for k in range(LANES):
        several[k] = single[k] = 0
    for g in range(groups.shape[0] - 1):
        here, after = groups[g], groups[g + 1]
        for k in range(LANES):
            several[k] += (here[k] > 1) & (after[k] < 2)
            single[k] += (here[k] == 1) & (after[k] < 2)


@jit
def find_single_group(runs, k):
    """Return the first good group of lane `k`, which is its only segment if it has none of several groups; or -1."""
    for g in range(runs.length.shape[0] - 1):
        if runs.length[g, k] > 0:
            return g
    return -1
