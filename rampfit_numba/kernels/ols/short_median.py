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
from rampfit_numba.kernels.bits import BITS
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
def _find(places: int, *, some: bool) -> Callable[..., Any]:
    """Return what finds the two middle ones of up to `places` steps, for a vector of ramps.

    ``find(samples, length, lane, found)`` stores the middle ones in the middle rows of `found`. With `some`, a mask of
    the steps that count comes behind: those that do not become +inf and -inf in turn.
    """

    def plain(samples: np.ndarray, length: int, lane: int, found: np.ndarray, usable: np.ndarray | None = None) -> None:
        columns = slice(lane, lane + WIDTH)
        values = [samples[g + 1, columns] - samples[g, columns] for g in range(length)]
        if usable is not None:
            filler = np.full_like(values[0], np.inf)
            for g, value in enumerate(values):
                word = int(usable[lane // BITS, g]) >> lane % BITS
                counts = np.array([word >> k & 1 for k in range(filler.size)], bool)
                values[g] = np.where(counts, value, filler)
                filler = np.where(counts, filler, -filler)
        smallest = places // 2 - length // 2
        missing = (np.full_like(values[0], -np.inf if k < smallest else np.inf) for k in range(places - length))
        filled = [value.copy() for value in (*values, *missing)]
        lower, upper = _middle(filled, lambda a, b: np.where(a < b, a, b), lambda a, b: np.where(a < b, b, a))
        found[max(length // 2 - 1, 0), columns] = lower
        found[length // 2, columns] = upper

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        length, lane = arguments[1], arguments[2]

        def index(number: int) -> Any:
            return ir.Constant(_INDEX, number)

        def place_in(argument: int, row: Any, kind: Any = _VECTOR) -> Any:
            data = context.make_array(signature.args[argument])(context, builder, arguments[argument]).data
            first = builder.add(builder.mul(row, index(LANES)), lane)
            return builder.bitcast(builder.gep(data, [first]), kind.as_pointer())

        def smaller(a: Any, b: Any) -> Any:  # one instruction
            return builder.select(builder.fcmp_ordered("<", a, b), a, b)

        def larger(a: Any, b: Any) -> Any:
            return builder.select(builder.fcmp_ordered("<", a, b), b, a)

        def counts(group: Any) -> Any:
            array = context.make_array(signature.args[4])(context, builder, arguments[4])
            columns = builder.extract_value(array.shape, 1)
            row = builder.mul(builder.udiv(lane, index(BITS)), columns)
            word = builder.load(builder.gep(array.data, [builder.add(row, group)]))
            shifted = builder.lshr(word, builder.urem(lane, index(BITS)))
            return builder.bitcast(builder.trunc(shifted, ir.IntType(WIDTH)), ir.VectorType(ir.IntType(1), WIDTH))

        half = builder.lshr(length, index(1))
        end_of_smallest = builder.add(length, builder.sub(index(places // 2), half))
        before = builder.load(place_in(0, index(0)), align=4)
        infinite = [ir.Constant(_VECTOR, [float(text)] * WIDTH) for text in ("-inf", "inf")]
        filler, values = infinite[1], []
        for place in range(places):
            exists = builder.icmp_signed("<", index(place), length)
            after = builder.load(place_in(0, builder.select(exists, index(place + 1), length)), align=4)
            among_smallest = builder.icmp_signed("<", index(place), end_of_smallest)
            missing = builder.select(among_smallest, *infinite)
            value = builder.fsub(after, before)
            if some:
                usable = counts(builder.select(exists, index(place), index(0)))
                value = builder.select(usable, value, filler)
                filler = builder.select(usable, filler, builder.fneg(filler))
            values.append(builder.select(exists, value, missing))
            before = after
        lower_row = builder.sub(half, index(1))
        lower_row = builder.select(builder.icmp_signed("<", lower_row, index(0)), index(0), lower_row)
        for row, value in zip((lower_row, half), _middle(values, smaller, larger), strict=True):
            builder.store(value, place_in(3, row), align=4)
        return context.get_dummy_value()

    def typed(_context: Any, samples: Any, _length: Any, _lane: Any, found: Any) -> Any:
        return types.void(samples, types.int64, types.int64, found), generate

    def typed_with_some(_context: Any, samples: Any, _length: Any, _lane: Any, found: Any, usable: Any) -> Any:
        return types.void(samples, types.int64, types.int64, found, usable), generate

    return jit_intrinsic(plain)(typed_with_some if some else typed)


_all_8, _all_16, _all_24 = (_find(places, some=False) for places in (8, 16, 24))
_some_8, _some_16, _some_24 = (_find(places, some=True) for places in (8, 16, 24))


@jit
def middle_of_steps(samples, found):
    """Find the two middle ones of the steps from row to row of `samples`, shape (length + 1, LANES), in each lane.

    They are stored in the middle rows of `found`, shape (length, LANES); its other rows stay. Up to LONGEST steps. Of
    an odd number, the upper one is the median.
    """
    length = samples.shape[0] - 1
    for lane in range(0, LANES, WIDTH):
        if length <= _RUN:
            _all_8(samples, length, lane, found)
        elif length <= 2 * _RUN:
            _all_16(samples, length, lane, found)
        else:
            _all_24(samples, length, lane, found)


@jit
def middle_of_usable_steps(samples, usable, found):
    """Do the same where not all steps count: those that do not are +inf and -inf in turn, from +inf on.

    Bit k % BITS of word (k // BITS, g) of `usable`, shape (words, length), tells whether the step of lane k to row g +
    1 counts.
    """
    length = samples.shape[0] - 1
    for lane in range(0, LANES, WIDTH):
        if length <= _RUN:
            _some_8(samples, length, lane, found, usable)
        elif length <= 2 * _RUN:
            _some_16(samples, length, lane, found, usable)
        else:
            _some_24(samples, length, lane, found, usable)
