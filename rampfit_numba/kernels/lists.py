"""Lists of the ramps whose bit is set in masks of 64 ramps, and of what belongs to them.

Where the processor can set some bytes of a register side by side, no branch has to be guessed; elsewhere they are
listed one by one.
"""

# ruff: noqa: ANN401, ARG001  (the compiler's own objects; intrinsics get them in one tuple)
from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types

from rampfit_numba.kernels._jit import jit_inline, jit_intrinsic
from rampfit_numba.kernels.bits import BITS, lowest_bit, number_of_bits, plainly_where
from rampfit_numba.kernels.vectors import WIDTH, everywhere, known_features, pointer

#: Integers that are overwritten behind those that are listed.
SPARE = 16
#: Whether the processor can set some bytes of a register side by side.
COMPRESSES = "+avx512vbmi2" in known_features() and WIDTH == SPARE
_ONE, _ALWAYS, _LAST_BIT = np.uint64(1), np.uint64(2), np.uint64(BITS - 1)
_REGISTER, _WORD = 512, ir.IntType(32)


def _append(context: Any, builder: Any, kind: Any, listed: Any, number: Any, values: Any, bits: Any, more: Any) -> Any:
    """Write those of BITS `values` whose bit is set side by side, plus `more`; return `number` plus how many."""
    width = values.type.element.width
    together, words = _REGISTER // width, ir.VectorType(_WORD, SPARE)
    whole, index = ir.VectorType(ir.IntType(width), together), ir.IntType(32)
    mask_kind, count_kind = ir.VectorType(ir.IntType(1), together), ir.IntType(together)
    compress = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(whole, [whole, whole, mask_kind]),
        f"llvm.x86.avx512.mask.compress.v{together}i{width}",
    )

    def taken(vector: Any, first: int, count: int) -> Any:
        places = ir.Constant(ir.VectorType(index, count), list(range(first, first + count)))
        return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), places)

    for first in range(0, BITS, together):
        here = builder.trunc(builder.lshr(bits, ir.Constant(bits.type, first)), count_kind)
        mask = builder.bitcast(here, mask_kind)
        packed = builder.call(compress, [taken(values, first, together), ir.Constant(whole, None), mask])
        count = builder.ctpop(builder.zext(here, bits.type) if together < BITS else here)

        def put(begin: int, packed: Any = packed, number: Any = number) -> None:
            place = builder.add(number, ir.Constant(number.type, begin))
            found = builder.add(builder.zext(taken(packed, begin, SPARE), words), more)
            builder.store(found, pointer(context, builder, kind, words, listed, place), align=4)

        put(0)
        for begin in range(SPARE, together, SPARE):
            with builder.if_then(builder.icmp_unsigned(">", count, ir.Constant(count.type, begin)), likely=False):
                put(begin)
        number = builder.add(number, count)
    return number


def _list_plainly(bits: int, first: int, listed: np.ndarray, number: int) -> np.uint64:
    found = [first + k for k in range(BITS) if int(bits) >> k & 1]
    listed[int(number) : int(number) + len(found)] = found
    return np.uint64(int(number) + len(found))


@jit_intrinsic(_list_plainly)
def _list_side_by_side(_context: Any, bits: Any, first: Any, listed: Any, number: Any) -> Any:
    """Do what :func:`list_bits` does."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits, first, listed, number = arguments
        places = ir.Constant(ir.VectorType(ir.IntType(8), BITS), list(range(BITS)))
        more = everywhere(builder, builder.trunc(first, _WORD), ir.VectorType(_WORD, SPARE))
        return _append(context, builder, signature.args[2], listed, number, places, bits, more)

    return types.uint64(types.uint64, types.int64, listed, types.uint64), generate


def _list_values_plainly(bits: int, array: np.ndarray, first: int, listed: np.ndarray, number: int) -> np.uint64:
    found = array[plainly_where(bits, array, first)]
    listed[int(number) : int(number) + found.size] = found
    return np.uint64(int(number) + found.size)


@jit_intrinsic(_list_values_plainly)
def _list_values(_context: Any, bits: Any, array: Any, first: Any, listed: Any, number: Any) -> Any:
    """Append those of BITS small integers of an array, from place `first` on, whose bit is set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits, array, first, listed, number = arguments
        kind = ir.VectorType(ir.IntType(signature.args[1].dtype.bitwidth), BITS)
        values = builder.load(pointer(context, builder, signature.args[1], kind, array, first), align=1)
        nothing = ir.Constant(ir.VectorType(_WORD, SPARE), [0] * SPARE)
        return _append(context, builder, signature.args[3], listed, number, values, bits, nothing)

    return types.uint64(types.uint64, array, types.int64, listed, types.uint64), generate


@jit_inline
def _list_one_by_one(bits, first, listed, number):
    """Do what :func:`list_bits` does: two are written always, since it is hard to guess how many there are."""
    end = number + number_of_bits(bits)
    for s in range(number, number + _ALWAYS):
        listed[s] = np.uint64(first) + lowest_bit(bits)
        bits &= bits - _ONE
    number += _ALWAYS
    while bits != 0:
        listed[number] = np.uint64(first) + lowest_bit(bits)
        bits &= bits - _ONE
        number += _ONE
    return end


@jit_inline
def list_bits(bits, first, listed, number):
    """Append `first` + the place of each bit that is set to the `number` integers in `listed`; return their number.

    `listed` has room for SPARE more, which are overwritten.
    """
    return _list_bits(bits, first, listed, number)


def _mark_plainly(bits: int, mark: int, marks: np.ndarray, number: int) -> None:
    marks[int(number) : int(number) + int(bits).bit_count()] = mark


@jit_intrinsic(_mark_plainly)
def _mark(_context: Any, bits: Any, mark: Any, marks: Any, number: Any) -> Any:
    """Append `mark` as often as bits are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits, mark, marks, number = arguments
        words = ir.VectorType(_WORD, SPARE)
        everything = everywhere(builder, builder.trunc(mark, _WORD), words)
        count = builder.ctpop(bits)

        def put(begin: int) -> None:
            place = builder.add(number, ir.Constant(number.type, begin))
            builder.store(everything, pointer(context, builder, signature.args[2], words, marks, place), align=4)

        put(0)
        for begin in range(SPARE, BITS, SPARE):
            with builder.if_then(builder.icmp_unsigned(">", count, ir.Constant(count.type, begin)), likely=False):
                put(begin)
        return context.get_dummy_value()

    return types.void(types.uint64, types.int64, marks, types.uint64), generate


@jit_inline
def _list_all_side_by_side(bits, first, values, mark, lists, number):
    """Do what :func:`list_bits_and_values` does."""
    listed, listed_values, marks = lists
    _list_values(bits, values, first, listed_values, number)
    _mark(bits, mark, marks, number)
    return _list_side_by_side(bits, first, listed, number)


@jit_inline
def _list_all_one_by_one(bits, first, values, mark, lists, number):
    """Do what :func:`list_bits_and_values` does."""
    listed, listed_values, marks = lists
    end = number + number_of_bits(bits)
    for s in range(number, number + _ALWAYS):  # as in _list_one_by_one
        k = np.uint64(first) + (lowest_bit(bits) & _LAST_BIT)
        listed[s], listed_values[s], marks[s] = k, values[k], mark
        bits &= bits - _ONE
    number += _ALWAYS
    while bits != 0:
        k = np.uint64(first) + lowest_bit(bits)
        bits &= bits - _ONE
        listed[number], listed_values[number], marks[number] = k, values[k], mark
        number += _ONE
    return end


@jit_inline
def list_bits_and_values(bits, first, values, mark, lists, number):
    """Do what :func:`list_bits` does, and append the small integer at each place in `values`, and `mark`, likewise.

    `lists` are three: of places, of values, of marks.
    """
    return _list_all(bits, first, values, mark, lists, number)


_list_bits = _list_side_by_side if COMPRESSES else _list_one_by_one
_list_all = _list_all_side_by_side if COMPRESSES else _list_all_one_by_one
