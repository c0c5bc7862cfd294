"""Masks of 64 ramps as the bits of a number: what flags say of many ramps, found and counted at once.

Vectors of bytes are compared in one instruction or a few, whatever the processor, and what comes of it is one word.
Without compilation the same functions work on NumPy arrays.
"""

# ruff: noqa: ANN401, ARG001  (the compiler's own objects; intrinsics get them in one tuple)
from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types

from rampfit_numba.kernels._jit import jit_intrinsic
from rampfit_numba.kernels.vectors import WIDTH, everywhere, pointer

#: Small integers that are looked at together.
BITS = 64


@jit_intrinsic(lambda mask: np.uint64(sum(1 << k for k, holds in enumerate(mask.tolist()) if holds)))
def bits_of(_context: Any, mask: Any) -> Any:
    """Return a mask as the lowest bits of a number."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.zext(builder.bitcast(arguments[0], ir.IntType(WIDTH)), ir.IntType(BITS))

    return types.uint64(mask), generate


def _plain_bits(array: np.ndarray, first: int, limit: int) -> np.uint64:
    return np.uint64(sum(1 << k for k, value in enumerate(array[first : first + BITS].tolist()) if value > limit))


@jit_intrinsic(_plain_bits)
def bits_above(_context: Any, array: Any, first: Any, limit: Any) -> Any:
    """Return which of BITS numbers of an array of unsigned integers are above `limit`, from place `first` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        element = signature.args[0].dtype
        kind = ir.VectorType(ir.IntType(element.bitwidth), BITS)
        place = pointer(context, builder, signature.args[0], kind, *arguments[:2])
        values = builder.load(place, align=element.bitwidth // 8)
        least = context.cast(builder, arguments[2], types.int64, element)
        mask = builder.icmp_unsigned(">", values, everywhere(builder, least, kind))
        return builder.bitcast(mask, ir.IntType(BITS))

    return types.uint64(array, types.int64, types.int64), generate


def _plain_bits_equal(array: np.ndarray, first: int, kept: int, value: int) -> np.uint64:
    found = (array[first : first + BITS].view(np.uint8) & np.uint8(kept)) == value
    return np.uint64(sum(1 << k for k, holds in enumerate(found.tolist()) if holds))


@jit_intrinsic(_plain_bits_equal)
def bits_equal(_context: Any, array: Any, first: Any, kept: Any, value: Any) -> Any:
    """Return which of BITS bytes of an array, from place `first` on, are `value` in the bits that are `kept`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.VectorType(ir.IntType(8), BITS)
        values = builder.load(pointer(context, builder, signature.args[0], kind, *arguments[:2]), align=1)
        kept, value = (everywhere(builder, argument, kind) for argument in arguments[2:])
        mask = builder.icmp_unsigned("==", builder.and_(values, kept), value)
        return builder.bitcast(mask, ir.IntType(BITS))

    return types.uint64(array, types.int64, types.uint8, types.uint8), generate


def plainly_where(bits: int, array: np.ndarray, first: int) -> np.ndarray:
    """Return the places in an array, from `first` on, whose bit is set: for what stands in for an intrinsic."""
    return first + np.flatnonzero([int(bits) >> k & 1 for k in range(min(BITS, array.size - first))])


def _put_plainly(array: np.ndarray, first: int, bits: int, value: int) -> None:
    array[plainly_where(bits, array, first)] = value


@jit_intrinsic(_put_plainly)
def put_bits(_context: Any, array: Any, first: Any, bits: Any, value: Any) -> Any:
    """Set those of BITS unsigned integers to `value`, from place `first` on, whose bit is set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        element = signature.args[0].dtype
        kind = ir.VectorType(ir.IntType(element.bitwidth), BITS)
        place = pointer(context, builder, signature.args[0], kind, *arguments[:2])
        mask = builder.bitcast(arguments[2], ir.VectorType(ir.IntType(1), BITS))
        wanted = everywhere(builder, context.cast(builder, arguments[3], types.uint64, element), kind)
        before = builder.load(place, align=element.bitwidth // 8)
        builder.store(builder.select(mask, wanted, before), place, align=element.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint64, types.uint64), generate


def _count_plainly(array: np.ndarray, first: int, bits: int) -> None:
    array[plainly_where(bits, array, first)] += array.dtype.type(1)


@jit_intrinsic(_count_plainly)
def count_bits(_context: Any, array: Any, first: Any, bits: Any) -> Any:
    """Add 1 to those of BITS unsigned integers, from place `first` on, whose bit is set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.VectorType(ir.IntType(signature.args[0].dtype.bitwidth), BITS)
        size = signature.args[0].dtype.bitwidth // 8
        place = pointer(context, builder, signature.args[0], kind, *arguments[:2])
        more = builder.zext(builder.bitcast(arguments[2], ir.VectorType(ir.IntType(1), BITS)), kind)
        builder.store(builder.add(builder.load(place, align=size), more), place, align=size)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint64), generate


@jit_intrinsic(lambda bits: np.uint64((int(bits) & -int(bits)).bit_length() - 1 if bits else BITS))
def lowest_bit(_context: Any, bits: Any) -> Any:
    """Return the place of the lowest bit that is set, BITS where there is none."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


@jit_intrinsic(lambda bits: np.uint64(int(bits).bit_count()))
def number_of_bits(_context: Any, bits: Any) -> Any:
    """Return how many bits are set."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate
