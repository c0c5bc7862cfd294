"""Middle ranks of many differences, for ramps of too many groups for a sorting network.

A network of n values takes n log^2 n steps. Here the place of the middle is bracketed and the bracket narrowed by
counting what is below a pivot, as bisection does (n log n, and nearly all of it one comparison), until few values are
left between its lower end and the middle: these are sorted. What is found are values of the list, as with a network.

Values are counted SIDE columns at a time, copied to memory of their own, so that they stay in the nearer caches.
"""

# ruff: noqa: ANN401, ARG001  (the compiler's own objects; intrinsics get them in one tuple)
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import types

from rampfit_numba.kernels._jit import LANES, jit, jit_inline, jit_intrinsic

#: Columns that are looked at together: 16 numbers are one register of the widest kind.
SIDE = min(16, LANES)
#: Rows that are compared before a count goes back to memory.
_STEP = 8
#: So many values from the lower end of the bracket on are sorted at last. Each costs as much as two fifths of a count,
#: and doubling their number saves one.
_SORTED = 8
#: About so many values say where the bracket begins and ends at first.
_SAMPLED = 64
_INF = np.float32(np.inf)
_POSITIVE = np.int32(0x7FFFFFFF)
_KEY_INF = np.int32(0x7F800000)
_KEY_MINUS_INF = np.int32(-0x7F800001)
#: Rows of `keys` and `counts`.
_LOW, _HIGH, _PIVOT, _KEYS = range(4)
_BELOW_LOW, _BELOW_HIGH, _BELOW_PIVOT, _BY_KEY, _COUNTS = range(5)


_ZERO = ir.Constant(ir.IntType(64), 0)
_SINGLES, _INTEGERS = ir.VectorType(ir.FloatType(), SIDE), ir.VectorType(ir.IntType(32), SIDE)


# Loops over so few numbers are unrolled before the compiler looks for vectors in them, and take ten times as long.
def _vectors(context: Any, builder: Any, kind: Any, array: Any, first: Any, vector: Any = _SINGLES) -> Any:
    """Return the pointer to the SIDE elements of an array from place `first` on."""
    place = builder.gep(context.make_array(kind)(context, builder, array).data, [first], inbounds=True)
    return builder.bitcast(place, vector.as_pointer())


def _copy_plainly(values: np.ndarray, first: int, column: np.ndarray, to: int) -> None:
    column[to : to + SIDE] = values[first : first + SIDE]


@jit_intrinsic(_copy_plainly)
def _copy(_context: Any, values: Any, first: Any, column: Any, to: Any) -> Any:
    """Copy SIDE numbers of a row from place `first` on to place `to` of `column`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        found = builder.load(_vectors(context, builder, kinds[0], *arguments[:2]), align=4)
        builder.store(found, _vectors(context, builder, kinds[2], *arguments[2:]), align=4)
        return context.get_dummy_value()

    return types.void(values, types.int64, column, types.int64), generate


def _count_plainly(column: np.ndarray, start: int, limits: np.ndarray, counts: np.ndarray) -> None:
    counts += (column[start : start + _STEP * SIDE].reshape(_STEP, SIDE) < limits).sum(axis=0)


@jit_intrinsic(_count_plainly)
def _count_step(_context: Any, column: Any, start: Any, limits: Any, counts: Any) -> Any:
    """Add to `counts` how many of _STEP rows of `column` from place `start` on are below `limits`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        limits = builder.load(_vectors(context, builder, kinds[2], arguments[2], _ZERO), align=4)
        place = _vectors(context, builder, kinds[3], arguments[3], _ZERO, _INTEGERS)
        counts = builder.load(place, align=4)
        for step in range(_STEP):
            start = builder.add(arguments[1], ir.Constant(ir.IntType(64), step * SIDE))
            row = builder.load(_vectors(context, builder, kinds[0], arguments[0], start), align=4)
            counts = builder.add(counts, builder.zext(builder.fcmp_ordered("<", row, limits), _INTEGERS))
        builder.store(counts, place, align=4)
        return context.get_dummy_value()

    return types.void(column, types.int64, limits, counts), generate


def _insert_plainly(column: np.ndarray, start: int, limits: np.ndarray, smallest: np.ndarray) -> None:
    row = column[start : start + SIDE]
    smallest[_SORTED] = np.where((row < limits) & (row > smallest[_SORTED]), row, smallest[_SORTED])
    smallest[:_SORTED] = np.sort([*smallest[:_SORTED], np.where(row < limits, _INF, row)], axis=0)[:_SORTED]


@jit_intrinsic(_insert_plainly)
def _insert(_context: Any, column: Any, start: Any, limits: Any, smallest: Any) -> Any:
    """Sort a row of `column` into the rows of `smallest` where not below `limits`, or else into the last of these."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        places = [
            _vectors(context, builder, kinds[3], arguments[3], ir.Constant(ir.IntType(64), rank * SIDE))
            for rank in range(_SORTED + 1)
        ]
        limits = builder.load(_vectors(context, builder, kinds[2], arguments[2], _ZERO), align=4)
        moved = builder.load(_vectors(context, builder, kinds[0], *arguments[:2]), align=4)
        low, largest = builder.fcmp_ordered("<", moved, limits), builder.load(places[-1], align=4)
        larger = builder.and_(low, builder.fcmp_ordered(">", moved, largest))
        builder.store(builder.select(larger, moved, largest), places[-1], align=4)
        moved = builder.select(low, ir.Constant(_SINGLES, [float("inf")] * SIDE), moved)
        for place in places[:-1]:
            kept = builder.load(place, align=4)
            smaller = builder.fcmp_ordered("<", moved, kept)
            builder.store(builder.select(smaller, moved, kept), place, align=4)
            moved = builder.select(smaller, kept, moved)
        return context.get_dummy_value()

    return types.void(column, types.int64, limits, smallest), generate


def _widen_plainly(column: np.ndarray, start: int, ends: np.ndarray) -> None:
    row = column[start : start + SIDE]
    finite = abs(row) < _INF
    ends[0] = np.where(finite & (row < ends[0]), row, ends[0])
    ends[1] = np.where(finite & (row > ends[1]), row, ends[1])


@jit_intrinsic(_widen_plainly)
def _widen(_context: Any, column: Any, start: Any, ends: Any) -> Any:
    """Let the first row of `ends` be the smaller, and the second the larger, of itself and a row of `column`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        row = builder.load(_vectors(context, builder, signature.args[0], *arguments[:2]), align=4)
        limits = [ir.Constant(_SINGLES, [float(limit)] * SIDE) for limit in (-_INF, _INF)]
        finite = builder.and_(*(builder.fcmp_ordered("!=", row, limit) for limit in limits))
        for end, comparison in enumerate("<>"):
            first = ir.Constant(ir.IntType(64), end * SIDE)
            place = _vectors(context, builder, signature.args[2], arguments[2], first)
            kept = builder.load(place, align=4)
            wider = builder.and_(finite, builder.fcmp_ordered(comparison, row, kept))
            builder.store(builder.select(wider, row, kept), place, align=4)
        return context.get_dummy_value()

    return types.void(column, types.int64, ends), generate


class Selection(NamedTuple):
    """What :func:`select_middle` works in.

    Attributes
    ----------
    column : ndarray of float32, shape (whole steps of rows * SIDE,)
        SIDE columns of the values.
    pivot, pivot_bits : ndarray of float32 and int32, shape (SIDE,)
        What the values are compared with; the same memory.
    keys : ndarray of int32, shape (3, SIDE)
        Lower end of each bracket, upper end (beyond it), and pivot, as integers in the order of the numbers.
    counts : ndarray of int32, shape (4, SIDE)
        How many values are below each of these; whether the next pivot is to halve the keys.
    sorted : ndarray of float32, shape (_SORTED + 1, SIDE)
        The smallest values from the lower end on; then the largest one below it.
    """

    column: np.ndarray
    pivot: np.ndarray
    pivot_bits: np.ndarray
    keys: np.ndarray
    counts: np.ndarray
    sorted: np.ndarray


def empty_selection(length: int) -> Selection:
    """Return :class:`Selection` for columns of `length` values."""
    pivot = np.zeros(SIDE, np.float32)
    return Selection(
        column=np.empty(-(-length // _STEP) * _STEP * SIDE, np.float32),
        pivot=pivot,
        pivot_bits=pivot.view(np.int32),
        keys=np.zeros((_KEYS, SIDE), np.int32),
        counts=np.zeros((_COUNTS, SIDE), np.int32),
        sorted=np.zeros((_SORTED + 1, SIDE), np.float32),
    )


@jit_inline
def _key(bits):
    """Return the bits of a float32 as an integer in the order of the numbers, or the bits of such an integer."""
    return bits ^ ((bits >> np.int32(31)) & _POSITIVE)


@jit
def select_middle(values, selection):
    """Bring the two middle ranks of each column to the middle rows, as :func:`bring_to_middle` does.

    Parameters
    ----------
    values : ndarray of float32, shape (length, LANES)
        No NaN; two or more rows. Rows length // 2 - 1 and length // 2 are results, the others stay.
    selection : Selection
        That of :func:`empty_selection` for `length` or more values.
    """
    length = values.shape[0]
    rank = length // 2
    smallest = selection.sorted
    for first in range(0, LANES, SIDE):
        _take_columns(values, first, selection.column)
        _find_brackets(length, selection)
        while _choose_pivots(rank, selection):
            _count_below(length, selection)
            _narrow(rank, selection)
        _sort_smallest(length, selection)
        upper, lower = values[rank], values[rank - 1]
        below_low = selection.counts[_BELOW_LOW]
        for k in range(SIDE):
            place = rank - np.int64(below_low[k])
            # More of them than are sorted are alike: the bracket holds one number.
            alike = place >= _SORTED
            upper[first + k] = smallest[0 if alike else place, k]
            lower[first + k] = smallest[0 if alike else place - 1 if place > 0 else _SORTED, k]


@jit
def _take_columns(values, first, column):
    """Copy SIDE columns from `first` on, and fill the last step of rows with what no count counts."""
    length = values.shape[0]
    for g in range(length):
        _copy(values[g], first, column, g * SIDE)
    for a in range(length * SIDE, len(column)):
        column[a] = _INF


@jit
def _find_brackets(length, selection):
    """Let the brackets begin and end with the smallest and largest of a sample of the finite values."""
    column, pivot, bits = selection.column, selection.pivot, selection.pivot_bits
    keys, counts, smallest = selection.keys, selection.counts, selection.sorted
    for k in range(SIDE):
        smallest[0, k], smallest[1, k] = _INF, -_INF
    for g in range(0, length, max(length // _SAMPLED, 1)):
        _widen(column, g * SIDE, smallest)
    for k in range(SIDE):
        keys[_LOW, k], keys[_HIGH, k] = _KEY_MINUS_INF, _KEY_INF + np.int32(1)
        counts[_BELOW_LOW, k], counts[_BELOW_HIGH, k], counts[_BY_KEY, k] = 0, length, 0
    for end in range(2):
        for k in range(SIDE):
            pivot[k] = smallest[end, k]
        for k in range(SIDE):
            keys[_PIVOT, k] = _key(bits[k])
        _count_below(length, selection)
        _narrow(length // 2, selection)


@jit
def _choose_pivots(rank, selection):
    """Choose the next pivots, and tell whether any column needs one."""
    keys, counts, pivot, bits = selection.keys, selection.counts, selection.pivot, selection.pivot_bits
    some = False
    for k in range(SIDE):
        low, high = keys[_LOW, k], keys[_HIGH, k]
        needed = rank - counts[_BELOW_LOW, k] >= _SORTED and np.int64(high) - np.int64(low) > 1
        some = some or bool(needed)
        bits[k] = _key(low)
        least = np.float64(pivot[k])
        bits[k] = _key(min(high, _KEY_INF))
        middle = 0.5 * (least + np.float64(pivot[k]))
        # Halving what is between the numbers is quick where they are alike, halving their keys where there are outliers
        # or infinities.
        by_key = counts[_BY_KEY, k] != 0 or not abs(middle) < np.inf
        pivot[k] = np.float32(middle)
        chosen = (np.int64(low) + np.int64(high)) >> 1 if by_key else np.int64(_key(bits[k]))
        chosen = min(max(chosen, np.int64(low) + 1), np.int64(high) - 1)
        keys[_PIVOT, k] = np.int32(chosen) if needed else low
        bits[k] = _key(keys[_PIVOT, k])
    return some


@jit
def _count_below(length, selection):
    """Count the values that are smaller than the pivots."""
    column, pivot, counts = selection.column, selection.pivot, selection.counts[_BELOW_PIVOT]
    for k in range(SIDE):
        counts[k] = 0
    for start in range(0, length * SIDE, _STEP * SIDE):
        _count_step(column, start, pivot, counts)


@jit
def _narrow(rank, selection):
    """Let the pivot be the upper or lower end of the bracket, as the number of values below it says."""
    keys, counts = selection.keys, selection.counts
    for k in range(SIDE):
        low, high, pivot = keys[_LOW, k], keys[_HIGH, k], keys[_PIVOT, k]
        below_low, below_high, below = counts[_BELOW_LOW, k], counts[_BELOW_HIGH, k], counts[_BELOW_PIVOT, k]
        inside = low < pivot < high
        raised = inside and below <= rank
        lowered = inside and below > rank
        keys[_LOW, k] = pivot if raised else low
        keys[_HIGH, k] = pivot if lowered else high
        left = (below_high if raised else below) - (below if raised else below_low)
        counts[_BELOW_LOW, k] = below if raised else below_low
        counts[_BELOW_HIGH, k] = below if lowered else below_high
        # A pivot that left nearly all was badly chosen.
        poor = 4 * left > 3 * (below_high - below_low)
        counts[_BY_KEY, k] = inside and poor and counts[_BY_KEY, k] == 0


@jit
def _sort_smallest(length, selection):
    """Sort the smallest values from the brackets' lower ends on, and find the largest values below these."""
    column, pivot, bits, smallest = selection.column, selection.pivot, selection.pivot_bits, selection.sorted
    keys = selection.keys
    below = smallest[_SORTED]
    for k in range(SIDE):
        bits[k] = _key(keys[_LOW, k])
        below[k] = -_INF
    for rank in range(_SORTED):
        for k in range(SIDE):
            smallest[rank, k] = _INF
    for start in range(0, length * SIDE, SIDE):
        _insert(column, start, pivot, smallest)
