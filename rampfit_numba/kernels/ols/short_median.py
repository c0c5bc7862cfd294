"""Medians of few differences, for a vector of ramps side by side, in registers.

A sorting network that goes through memory takes a load and a store for every value that it exchanges. Up to 24 values
stay in the registers of a processor with AVX-512 from the samples to the median, and most of them in those of others.

There is one network for 8 values, one for 16 and one for 24: values that are missing count as the smallest and the
largest in equal parts, so that the middle stays the middle. They sort eight values each with the 19 exchanges that are
the fewest possible (Knuth, The Art of Computer Programming 3, section 5.3.4), and merge what is sorted. What no median
depends on is never computed: the compiler leaves it out.
"""

# ruff: noqa: ANN401  (the compiler's own objects)
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba.core import types

from rampfit_numba.kernels._jit import LANES, jit, jit_intrinsic
from rampfit_numba.kernels.vectors import WIDTH

if TYPE_CHECKING:
    from collections.abc import Callable

_RUN = 8
#: The most differences whose median is found here.
LONGEST = 3 * _RUN
_SORT_EIGHT = (
    *((0, 2), (1, 3), (4, 6), (5, 7), (0, 4), (1, 5), (2, 6), (3, 7), (0, 1), (2, 3), (4, 5), (6, 7)),
    *((2, 4), (3, 5), (1, 4), (3, 6), (1, 2), (3, 4), (5, 6)),
)
_VECTOR = ir.VectorType(ir.FloatType(), WIDTH)
_INDEX = ir.IntType(64)


# --------------------------------------------------------------------------------------- what is done with the values
def _merge(low: int, high: int, step: int) -> list[tuple[int, int]]:
    """Return Batcher's exchanges that merge the sorted halves of the places from `low` to `high`, `step` apart."""
    if 2 * step > high - low:
        return [(low, low + step)]
    inner = [(place, place + step) for place in range(low + step, high - step, 2 * step)]
    return [*_merge(low, high, 2 * step), *_merge(low + step, high, 2 * step), *inner]


def _middle(values: list[Any], smaller: Callable[..., Any], larger: Callable[..., Any]) -> tuple[Any, Any]:
    """Return the two middle ones of 8, 16 or 24 values."""

    def exchange(i: int, j: int) -> None:
        values[i], values[j] = smaller(values[i], values[j]), larger(values[i], values[j])

    for begin in range(0, len(values), _RUN):
        for i, j in _SORT_EIGHT:
            exchange(begin + i, begin + j)
    if len(values) == _RUN:
        return values[_RUN // 2 - 1], values[_RUN // 2]
    if len(values) > 2 * _RUN:
        for i, j in _merge(0, 2 * _RUN - 1, 1):
            exchange(i, j)
    merged, run = values[:-_RUN], values[-_RUN:]
    return (
        _of_two(merged, run, len(values) // 2, smaller, larger),
        _of_two(merged, run, len(values) // 2 + 1, smaller, larger),
    )


def _of_two(a: list[Any], b: list[Any], rank: int, smaller: Callable[..., Any], larger: Callable[..., Any]) -> Any:
    """Return the value of a rank, from 1 on, of two sorted lists: the least larger one of all pairs of that rank."""
    found = None
    for i in range(max(rank - len(b), 0), min(rank, len(a)) + 1):
        j = rank - i
        pair = a[i - 1] if j == 0 else b[j - 1] if i == 0 else larger(a[i - 1], b[j - 1])
        found = pair if found is None else smaller(found, pair)
    return found


# ----------------------------------------------------------------------------------------------- as code, and without
def _find(places: int, *, of_samples: bool) -> Callable[..., Any]:
    """Return what finds the two middle ones of up to `places` values, for a vector of ramps.

    ``find(array, length, lane, found)`` takes the values, or the differences of samples, from the rows of `array`, and
    stores the middle ones in the middle rows of `found`.
    """

    def plain(array: np.ndarray, length: int, lane: int, found: np.ndarray) -> None:
        columns = slice(lane, lane + WIDTH)
        values = [array[g + 1, columns] - array[g, columns] if of_samples else array[g, columns] for g in range(length)]
        smallest = places // 2 - length // 2
        missing = (np.full_like(values[0], -np.inf if k < smallest else np.inf) for k in range(places - length))
        filled = [value.copy() for value in (*values, *missing)]
        lower, upper = _middle(filled, lambda a, b: np.where(a < b, a, b), lambda a, b: np.where(a < b, b, a))
        found[max(length // 2 - 1, 0), columns] = lower
        found[length // 2, columns] = upper

    def typed(_context: Any, array: Any, _length: Any, _lane: Any, found: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array_value, length_value, lane_value, found_value = arguments

            def index(number: int) -> Any:
                return ir.Constant(_INDEX, number)

            def row_of(kind: Any, value: Any, row: Any) -> Any:
                data = context.make_array(kind)(context, builder, value).data
                first = builder.add(builder.mul(row, index(LANES)), lane_value)
                return builder.bitcast(builder.gep(data, [first]), _VECTOR.as_pointer())

            def load(row: Any) -> Any:
                return builder.load(row_of(signature.args[0], array_value, row), align=4)

            def smaller(a: Any, b: Any) -> Any:  # one instruction
                return builder.select(builder.fcmp_ordered("<", a, b), a, b)

            def larger(a: Any, b: Any) -> Any:
                return builder.select(builder.fcmp_ordered("<", a, b), b, a)

            half = builder.lshr(length_value, index(1))
            end_of_smallest = builder.add(length_value, builder.sub(index(places // 2), half))
            last = builder.sub(length_value, index(0 if of_samples else 1))
            before = load(index(0)) if of_samples else None
            infinite = [ir.Constant(_VECTOR, [float(text)] * WIDTH) for text in ("-inf", "inf")]
            values = []
            for place in range(places):
                exists = builder.icmp_signed("<", index(place), length_value)
                after = load(builder.select(exists, index(place + of_samples), last))
                among_smallest = builder.icmp_signed("<", index(place), end_of_smallest)
                missing = builder.select(among_smallest, *infinite)
                value = builder.fsub(after, before) if of_samples else after
                values.append(builder.select(exists, value, missing))
                before = after
            lower_row = builder.sub(half, index(1))
            lower_row = builder.select(builder.icmp_signed("<", lower_row, index(0)), index(0), lower_row)
            for row, value in zip((lower_row, half), _middle(values, smaller, larger), strict=True):
                builder.store(value, row_of(signature.args[3], found_value, row), align=4)
            return context.get_dummy_value()

        return types.void(array, types.int64, types.int64, found), generate

    return jit_intrinsic(plain)(typed)


_values_8, _values_16, _values_24 = (_find(places, of_samples=False) for places in (8, 16, 24))
_steps_8, _steps_16, _steps_24 = (_find(places, of_samples=True) for places in (8, 16, 24))


@jit
def middle_of_values(values):
    """Bring the two middle ones of `values`, shape (length, LANES), to the middle rows, in each lane; others stay.

    Up to LONGEST rows. Of an odd number, the upper one is the median.
    """
    length = values.shape[0]
    for lane in range(0, LANES, WIDTH):
        if length <= _RUN:
            _values_8(values, length, lane, values)
        elif length <= 2 * _RUN:
            _values_16(values, length, lane, values)
        else:
            _values_24(values, length, lane, values)


@jit
def middle_of_steps(samples, found):
    """Do the same for the differences of the rows of `samples`, shape (length + 1, LANES); the result is in `found`."""
    length = samples.shape[0] - 1
    for lane in range(0, LANES, WIDTH):
        if length <= _RUN:
            _steps_8(samples, length, lane, found)
        elif length <= 2 * _RUN:
            _steps_16(samples, length, lane, found)
        else:
            _steps_24(samples, length, lane, found)
