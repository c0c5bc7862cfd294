"""Memory that goes from call to call.

The system clears new memory and maps it page by page, which takes as long as half of a fit (10x5: of 200 ms, 60). So
what results stood in is kept for a while once nobody has them any more, and the next results stand there.
"""

from __future__ import annotations

import math
import mmap
import os
import threading
import time
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds for which memory, and workers, wait for another call.
IDLE = 120.0
#: Bytes and blocks that may wait, and a block's share that must be used.
_MOST_BYTES = 1 << 30
_MOST_BLOCKS = 24
_LEAST_SHARE = 0.5
#: Results below this many bytes are quicker made anew.
_WORTHWHILE = 1 << 20
#: Arrays begin at multiples of this, so that no two share a page or a cache line.
ALIGNMENT = 4096


class Allocator(NamedTuple):
    """A function like that of NumPy, for the arrays of a result."""

    empty: Callable[..., np.ndarray] = np.empty


class Block(Protocol):
    """A block of memory."""

    size: int
    owner: int

    def whole(self) -> np.ndarray:
        """Return all of it as a new array of bytes, which every array made in it must keep alive."""


class PrivateMemory:
    """A block of this process's memory."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.owner = os.getpid()
        try:
            self._memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError as error:
            raise MemoryError(f"no memory for a result of {size} bytes: {error.strerror}") from error
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with suppress(OSError):  # not all systems have large pages
                self._memory.madvise(mmap.MADV_HUGEPAGE)

    def whole(self) -> np.ndarray:
        """Return all of it as a new array of bytes, which every array made in it must keep alive."""
        return np.frombuffer(self._memory, np.uint8)


class Arena:
    """Arrays, one after the other, in a block of memory that nobody else uses. Each keeps the array `whole` alive."""

    def __init__(self, whole: np.ndarray) -> None:
        self.whole = whole
        self._used = 0

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:  # noqa: ANN401  (what NumPy takes)
        """Return a new array."""
        array = np.ndarray(shape, dtype, self.whole, self._used)
        self._used += padded(array.nbytes)
        return array


class MemoryPool:
    """Blocks of memory that wait for another call, made by `make` from a number of bytes."""

    def __init__(self, make: Callable[[int], Any]) -> None:
        # Reentrant: results can be released whenever the garbage is collected, also while this thread is in here.
        self._lock = threading.RLock()
        self._make = make
        self._blocks: list[tuple[float, Block]] = []
        self._in_use = 0
        self._timer: threading.Timer | None = None

    def acquire(self, size: int) -> Any:  # noqa: ANN401  (what make returns)
        """Return a block of at least `size` bytes that nobody else uses."""
        with self._lock:
            self._in_use += 1
            if self._timer is None:
                self._start_timer()
            fitting = [block for block in self._blocks if size <= block[1].size <= size / _LEAST_SHARE]
            if fitting:
                best = min(fitting, key=lambda block: block[1].size)
                self._blocks = [block for block in self._blocks if block is not best]
                return best[1]
        return self._make(max(size, 1))

    def release(self, memory: Block) -> None:
        """Keep `memory`, whose arrays are all gone, for another call, for IDLE seconds or somewhat more.

        This runs wherever a result ends, in the middle of anything, so it starts no thread.
        """
        if memory.owner != os.getpid():  # a forked child would write into what its parent uses
            return
        with self._lock:
            self._in_use -= 1
            blocks = [*self._blocks, (time.monotonic(), memory)]
            while len(blocks) > _MOST_BLOCKS or sum(block[1].size for block in blocks) > _MOST_BYTES:
                del blocks[0]
            self._blocks = blocks

    def arena(self, size: int) -> Arena:
        """Return an arena, which is released when the last of its arrays is gone."""
        memory = self.acquire(size)
        arena = Arena(memory.whole())
        weakref.finalize(arena.whole, self.release, memory).atexit = False
        return arena

    def free(self) -> None:
        """Let all of it go."""
        with self._lock:
            self._blocks = []

    def _free_old(self) -> None:
        with self._lock:
            now = time.monotonic()
            self._blocks = [block for block in self._blocks if now - block[0] < IDLE]
            self._timer = None
            if self._blocks or self._in_use:
                self._start_timer()

    def _start_timer(self) -> None:
        self._timer = threading.Timer(IDLE / 2, self._free_old)
        self._timer.daemon = True
        try:
            self._timer.start()
        except RuntimeError:  # the interpreter is ending
            self._timer = None


def padded(nbytes: int) -> int:
    """Return `nbytes` rounded up to where the next array begins."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def private_allocator(_nbytes: int, _arrays: int) -> Allocator:
    """Return what makes arrays for results of this process, each in a block of its own.

    Whoever keeps one of them keeps no other's memory.
    """
    return Allocator(_recycled) if hasattr(mmap, "MAP_ANONYMOUS") else Allocator()


def _recycled(shape: tuple[int, ...], dtype: Any) -> np.ndarray:  # noqa: ANN401
    size = math.prod(shape) * np.dtype(dtype).itemsize
    return _private.arena(size).empty(shape, dtype) if size >= _WORTHWHILE else np.empty(shape, dtype)


_private = MemoryPool(PrivateMemory)


def free_private() -> None:
    """Let go of the memory of this process that waits for another call."""
    _private.free()


def _begin_anew() -> None:
    """Forget in a forked child what other threads of the parent may have held."""
    global _private  # noqa: PLW0603
    _private = MemoryPool(PrivateMemory)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
