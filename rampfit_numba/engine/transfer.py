"""Slices of arrays, handed to worker processes and taken back without going through a pipe.

Inputs are copied into shared memory that is kept for the next call, unless they are in some already, in a file, or one
number for all pixels. Outputs are written where they stand if that is shared memory, and copied from there if it is
not.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rampfit_numba.engine import shared
from rampfit_numba.engine.chunks import CHUNK_BYTES, run_chunks
from rampfit_numba.engine.memory_pool import Arena, padded
from rampfit_numba.engine.shared import SharedArray, as_shared_array
from rampfit_numba.file_arrays import FileArray, mapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Bytes that stand together in a file, from which on maps are faster than reads.
_MAPPED_PIECE = 64 << 10


class SharedTask(NamedTuple):
    """What a worker needs to find the arrays of a slice, and which shared memory it may still have mapped."""

    alive: frozenset[tuple[int, int]]
    input_type: Any
    inputs: list[Any]
    output_type: Any
    outputs: list[Any]


@dataclass(frozen=True)
class Empty:
    """An array without elements: it has no place in memory."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def attach(self) -> np.ndarray:
        """Return the array."""
        return np.empty(self.shape, self.dtype)


@dataclass(frozen=True)
class Constant:
    """An array whose elements are all the same one."""

    value: Any
    shape: tuple[int, ...]

    def attach(self) -> np.ndarray:
        """Return the array."""
        return np.broadcast_to(self.value, self.shape)


@contextmanager
def sharing(slices: list[tuple[Any, Any]]) -> Iterator[Callable[[Any, Any], SharedTask]]:
    """Give a function that puts slices where workers reach them; copy the outputs back at the end, if all went well.

    Parameters
    ----------
    slices : list of (inputs, outputs)
        Named tuples of the arrays of every slice that will be sent; outputs may be None.

    Yields
    ------
    callable
        Takes the inputs and outputs of a slice, returns a :class:`SharedTask`.
    """
    size = sum(
        padded(array.nbytes) for pair in slices for arrays in pair for array in arrays or () if _must_be_copied(array)
    )
    memory = shared.pool.acquire(size) if size > 0 else None
    arena = None if memory is None else Arena(memory.whole())
    returning: list[tuple[np.ndarray, np.ndarray]] = []

    def share(inputs: Any, outputs: Any) -> SharedTask:  # noqa: ANN401
        sent_inputs = [_share(array, arena) for array in inputs]
        for array, (_, copy) in zip(inputs, sent_inputs, strict=True):
            if copy is not None:
                np.copyto(copy, array)
        sent_outputs = [_share(array, arena) for array in outputs or ()]
        returning.extend(
            (array, copy) for array, (_, copy) in zip(outputs or (), sent_outputs, strict=True) if copy is not None
        )
        found_inputs, found_outputs = ([location for location, _ in sent] for sent in (sent_inputs, sent_outputs))
        output_type = None if outputs is None else type(outputs)
        return SharedTask(shared.alive_blocks(), type(inputs), found_inputs, output_type, found_outputs)

    try:
        yield share
        for array, copy in returning:
            array[...] = copy
    finally:
        if memory is not None:
            shared.pool.release(memory)


def run_shared(task: Callable[[Any, Any], Any], shared_task: SharedTask, budget: int) -> list[Any]:
    """Run `task` in a worker process on the arrays of a slice, and return a list of its results.

    `budget` is that of :func:`run_chunks`, for files that are rather read than mapped.
    """
    shared.unmap_all_but(shared_task.alive)
    outputs = None if shared_task.output_type is None else shared_task.output_type(*map(_attach, shared_task.outputs))
    found = [_attach(place) for place in shared_task.inputs]
    if any(isinstance(place, FileArray) and _is_scattered(place) for place in found):
        results = run_chunks(task, shared_task.input_type(*found), outputs, budget)
    else:
        with mapped(found) as inputs:
            results = [task(shared_task.input_type(*inputs), outputs)]
    _freeze_once()
    return results


def _is_scattered(array: FileArray) -> bool:
    """Tell whether a part of a file is many small pieces: each would be a page fault or more, and a map of its own."""
    return array.nbytes > CHUNK_BYTES and array.shape[-2] * array.shape[-1] * array.dtype.itemsize < _MAPPED_PIECE


@cache
def _freeze_once() -> None:
    """Leave what a worker holds after its first task out of collections.

    After a pause loky has each worker collect garbage: what Numba holds made that 30 ms, a third of a fit. To ask how
    much is left out already counts it, 3 ms after each task.
    """
    gc.freeze()


def _must_be_copied(array: Any) -> bool:  # noqa: ANN401  (an array, an array in a file, or None)
    return (
        isinstance(array, np.ndarray) and array.size > 0 and not _is_constant(array) and as_shared_array(array) is None
    )


def _is_constant(array: np.ndarray) -> bool:
    return array.size > 1 and not any(array.strides)


def _share(array: Any, arena: Arena | None) -> tuple[Any, np.ndarray | None]:  # noqa: ANN401
    """Return what to send for `array`, and the array in shared memory that stands for it if there must be one."""
    if array is None or isinstance(array, FileArray):
        return array, None
    if array.size == 0:
        return Empty(array.shape, array.dtype), None
    if _is_constant(array):
        return Constant(array[(0,) * array.ndim], array.shape), None
    location = as_shared_array(array)
    if location is not None:
        return location, None
    assert arena is not None  # noqa: S101  (there is arena for whatever must be copied)
    copy = arena.empty(array.shape, array.dtype)
    return as_shared_array(copy), copy


def _attach(location: Any) -> Any:  # noqa: ANN401
    return location.attach() if isinstance(location, SharedArray | Constant | Empty) else location
