"""Copies between a row of a block and memory elsewhere, of which only the address is known.

Arrays of a user come with any layout, and a kernel would be compiled for each. Addresses of contiguous runs are the
same for all of them. Whoever hands them over keeps the arrays alive and has checked that the runs lie inside.
"""

# ruff: noqa: ANN401, ARG001  (the compiler's own objects; intrinsics get them in one tuple)
from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numba.core import cgutils, types

from rampfit_numba.kernels._jit import jit_intrinsic


def _place(context: Any, builder: Any, kind: Any, array: Any) -> tuple[Any, int]:
    """Return the pointer to an array's first element, and the size of one."""
    return context.make_array(kind)(context, builder, array).data, kind.dtype.bitwidth // 8


@jit_intrinsic(lambda row, address, count: ctypes.memmove(row.ctypes.data, int(address), int(count) * row.itemsize))
def copy_in(_context: Any, row: Any, address: Any, count: Any) -> Any:
    """Copy `count` elements from `address` to the front of a contiguous row."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place, size = _place(context, builder, signature.args[0], arguments[0])
        cgutils.raw_memcpy(builder, place, builder.inttoptr(arguments[1], place.type), arguments[2], size)
        return context.get_dummy_value()

    return types.void(row, types.int64, types.int64), generate


@jit_intrinsic(lambda address, row, count: ctypes.memmove(int(address), row.ctypes.data, int(count) * row.itemsize))
def copy_out(_context: Any, address: Any, row: Any, count: Any) -> Any:
    """Copy the first `count` elements of a contiguous row to `address`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place, size = _place(context, builder, signature.args[1], arguments[1])
        cgutils.raw_memcpy(builder, builder.inttoptr(arguments[0], place.type), place, arguments[2], size)
        return context.get_dummy_value()

    return types.void(types.int64, row, types.int64), generate


def _put(address: Any, element: Any, row: Any, k: Any) -> None:
    ctypes.memmove(int(address) + int(element) * row.itemsize, row[k : k + 1].ctypes.data, row.itemsize)


@jit_intrinsic(_put)
def put(_context: Any, address: Any, element: Any, row: Any, k: Any) -> Any:
    """Copy element `k` of a contiguous row to the place of `element` in an array that begins at `address`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place, _ = _place(context, builder, signature.args[2], arguments[2])
        target = builder.gep(builder.inttoptr(arguments[0], place.type), [arguments[1]])
        builder.store(builder.load(builder.gep(place, [arguments[3]])), target, align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, row, types.int64), generate


def addresses(array: np.ndarray) -> np.ndarray:
    """Return where the planes of an array begin: its last two axes."""
    found = np.int64(array.__array_interface__["data"][0])
    for axis, size in enumerate(array.shape[:-2]):
        found = np.add.outer(found, np.arange(size, dtype=np.int64) * array.strides[axis])
    return np.asarray(found)
