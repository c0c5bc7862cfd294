"""Copies between a row of a block and memory elsewhere, of which only the address is known.

Arrays of a user come with any layout, and a kernel would be compiled for each. Addresses of contiguous runs are the
same for all of them. Whoever hands them over keeps the arrays alive, and says where they begin and end: where Numba
checks bounds, every copy is checked against that.
"""

# ruff: noqa: ANN401, ARG001  (the compiler's own objects; intrinsics get them in one tuple)
from __future__ import annotations

import ctypes
from typing import Any, Final

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types

from rampfit_numba.kernels._jit import jit, jit_inline, jit_intrinsic

#: Bytes of a cache line, or of several; and 4-byte words in it.
LINE: Final = 64
_WORDS: Final = LINE // 4
_WORD_BITS: Final = 32
#: Whether copies are checked: Numba's own check of bounds does not see them.
CHECKED: Final = bool(numba.config.BOUNDSCHECK or numba.config.DISABLE_JIT)


def _place(context: Any, builder: Any, kind: Any, array: Any) -> tuple[Any, int]:
    """Return the pointer to an array's first element, and the size of one."""
    return context.make_array(kind)(context, builder, array).data, kind.dtype.bitwidth // 8


@jit_intrinsic(lambda row, address, count: ctypes.memmove(row.ctypes.data, int(address), int(count) * row.itemsize))
def _move_in(_context: Any, row: Any, address: Any, count: Any) -> Any:
    """Copy `count` elements from `address` to the front of a contiguous row."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place, size = _place(context, builder, signature.args[0], arguments[0])
        cgutils.raw_memcpy(builder, place, builder.inttoptr(arguments[1], place.type), arguments[2], size)
        return context.get_dummy_value()

    return types.void(row, types.int64, types.int64), generate


@jit_intrinsic(lambda address, row, count: ctypes.memmove(int(address), row.ctypes.data, int(count) * row.itemsize))
def _move_out(_context: Any, address: Any, row: Any, count: Any) -> Any:
    """Copy the first `count` elements of a contiguous row to `address`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place, size = _place(context, builder, signature.args[1], arguments[1])
        cgutils.raw_memcpy(builder, builder.inttoptr(arguments[0], place.type), place, arguments[2], size)
        return context.get_dummy_value()

    return types.void(types.int64, row, types.int64), generate


def _put_plainly(address: Any, element: Any, row: Any, k: Any) -> None:
    ctypes.memmove(int(address) + int(element) * row.itemsize, row[k : k + 1].ctypes.data, row.itemsize)


@jit_intrinsic(_put_plainly)
def _move_one(_context: Any, address: Any, element: Any, row: Any, k: Any) -> Any:
    """Copy element `k` of a contiguous row to the place of `element` in an array that begins at `address`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place, _ = _place(context, builder, signature.args[2], arguments[2])
        target = builder.gep(builder.inttoptr(arguments[0], place.type), [arguments[1]])
        builder.store(builder.load(builder.gep(place, [arguments[3]])), target, align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, row, types.int64), generate


def _stream_plainly(address: Any, row: Any, first: Any) -> None:
    ctypes.memmove(int(address), row[first : first + _WORDS].ctypes.data, LINE)


@jit_intrinsic(_stream_plainly)
def _stream_line(_context: Any, address: Any, row: Any, first: Any) -> Any:
    """Copy a line of a contiguous row, from word `first` on, past the caches to `address`, a multiple of LINE."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place, _ = _place(context, builder, signature.args[1], arguments[1])
        kind = ir.VectorType(ir.IntType(_WORD_BITS), _WORDS).as_pointer()
        words = builder.load(builder.bitcast(builder.gep(place, [arguments[2]]), kind), align=4)
        stored = builder.store(words, builder.inttoptr(arguments[0], kind), align=LINE)
        stored.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return types.void(types.int64, row, types.int64), generate


def _fetch_plainly(_address: Any) -> None:
    pass


@jit_intrinsic(_fetch_plainly)
def _fetch_line(_context: Any, address: Any) -> Any:
    """Have the line at `address` brought to the second cache. Where there is no such memory, nothing happens."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        word, anything = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [anything, word, word, word])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        to_read, second_cache, data = word(0), word(2), word(1)
        builder.call(fetch, [builder.inttoptr(arguments[0], anything), to_read, second_cache, data])
        return context.get_dummy_value()

    return types.void(types.int64), generate


@jit_inline
def fetch(address, nbytes):
    """Have `nbytes` from `address` on brought nearer while other things are done.

    That is no access: it may reach beyond an array, and nothing is checked.
    """
    for place in range(address - address % LINE, address + nbytes, LINE):
        _fetch_line(place)


@jit_intrinsic(lambda: None)
def end_streams(_context: Any) -> Any:
    """Let other threads see all that was streamed before what is written from here on."""

    def generate(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


def _check(address, nbytes, spans):
    """Refuse `nbytes` bytes at `address` that do not lie in one of `spans`, which are in order."""
    # The last that begins no later, nearly always: a search through all takes minutes in plain Python.
    low, high = 0, spans.shape[0]
    while low < high:
        half = (low + high) // 2
        if spans[half, 0] <= address:
            low = half + 1
        else:
            high = half
    if low > 0 and spans[low - 1, 0] <= address and address + nbytes <= spans[low - 1, 1]:
        return
    for s in range(spans.shape[0]):
        if spans[s, 0] <= address and address + nbytes <= spans[s, 1]:
            return
    raise IndexError("a copy by address reaches beyond the arrays that were handed over")


def _trust(address, nbytes, spans):
    """Take a copy as it comes."""


_check_copy = jit_inline(_check if CHECKED else _trust)


@jit_inline
def copy_in(row, address, count, spans):
    """Copy `count` elements from `address`, which lies in one of `spans`, to the front of a contiguous row."""
    _check_copy(address, count * row.itemsize, spans)
    _move_in(row, address, count)


@jit_inline
def copy_out(address, row, count, spans):
    """Copy the first `count` elements of a contiguous row to `address`, which lies in one of `spans`."""
    _check_copy(address, count * row.itemsize, spans)
    _move_out(address, row, count)


@jit
def stream_out(address, row, count, spans):
    """Do what :func:`copy_out` does with 4-byte words that nobody reads soon: whole lines go past the caches.

    So memory is not read before it is written: half of the time, where much is written. Who is done calls
    :func:`end_streams`.
    """
    _check_copy(address, count * row.itemsize, spans)
    before = -address % LINE
    first = min(before // row.itemsize if before % row.itemsize == 0 else count, count)
    if first > 0:  # never, mostly: outputs that the package makes begin at a line
        _move_out(address, row, first)
    while first + _WORDS <= count:
        _stream_line(address + first * row.itemsize, row, first)
        first += _WORDS
    for k in range(first, count):
        _move_one(address, k, row, k)


@jit_inline
def put(address, element, row, k, spans):
    """Copy element `k` of a contiguous row to that of an array which begins at `address`, in one of `spans`."""
    _check_copy(address + element * row.itemsize, row.itemsize, spans)
    _move_one(address, element, row, k)


def addresses(array: np.ndarray) -> np.ndarray:
    """Return where the planes of an array begin: its last two axes."""
    found = np.int64(array.__array_interface__["data"][0])
    for axis, size in enumerate(array.shape[:-2]):
        found = np.add.outer(found, np.arange(size, dtype=np.int64) * array.strides[axis])
    return np.asarray(found)


def spans_of(*arrays: np.ndarray) -> np.ndarray:
    """Return where the planes of arrays begin and end, for :func:`copy_in` and its like, if these look at them.

    The last two axes are contiguous. They look where Numba checks bounds (``NUMBA_BOUNDSCHECK=1``) and in plain Python.

    Returns
    -------
    ndarray of int64, shape (number of planes, 2) or (0, 2)
    """
    if not CHECKED:
        return np.empty((0, 2), np.int64)
    found = [np.empty((0, 2), np.int64)]
    for array in arrays:
        if array.size > 0:
            begins = addresses(array).ravel()
            found.append(np.stack([begins, begins + array.shape[-2] * array.shape[-1] * array.itemsize], axis=1))
    spans = np.concatenate(found)
    return spans[np.argsort(spans[:, 0])]
