"""Memory that worker processes reach without copying.

It is anonymous (``memfd``): nothing has a name in /dev/shm that could be left behind, and the system frees it with the
last process that uses it, whatever way that ends. A worker opens it through this process's entry in /proc.
"""

from __future__ import annotations

import mmap
import os
import threading
import weakref
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

#: Arrays begin at multiples of this, so that no two share a page or a cache line.
_ALIGNMENT = 4096
#: Results below this many bytes are quicker copied than mapped.
_WORTHWHILE = 1 << 20
#: Pieces of memory that may be alive at once.
_MOST_PIECES = 64


@dataclass(frozen=True)
class SharedArray:
    """Where an array stands in shared memory: all that a worker needs to know.

    Attributes
    ----------
    owner, descriptor, inode : int
        Process that made the memory, its file descriptor there, and the inode that tells it from a later one of that
        number.
    size : int
        Of the memory, in bytes.
    offset : int
        Of the array's first element.
    shape, strides : tuple of int
    dtype : numpy.dtype
    kept : bool
        The memory serves many calls: a worker keeps its map.
    """

    owner: int
    descriptor: int
    inode: int
    size: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]
    kept: bool

    def attach(self) -> np.ndarray:
        """Return the array in another process."""
        attach = _kept_map if self.kept else _map
        memory = attach(self.owner, self.descriptor, self.inode, self.size)
        return np.ndarray(self.shape, self.dtype, memory, self.offset, self.strides)


def _map(owner: int, descriptor: int, inode: int, size: int) -> mmap.mmap:
    file = os.open(f"/proc/{owner}/fd/{descriptor}", os.O_RDWR)
    try:
        if os.fstat(file).st_ino != inode:
            raise RuntimeError(f"the shared memory of process {owner} is gone")
        return mmap.mmap(file, size)
    finally:
        os.close(file)


_kept_map = lru_cache(maxsize=1)(_map)


class SharedMemory:
    """A piece of shared memory, freed with the last array in it."""

    def __init__(self, size: int) -> None:
        self.size = max(size, 1)
        self._descriptor = os.memfd_create("rampfit_numba", os.MFD_CLOEXEC)
        try:
            os.ftruncate(self._descriptor, self.size)
            self._memory = mmap.mmap(self._descriptor, self.size)
        except BaseException:
            os.close(self._descriptor)
            raise
        self._inode = os.fstat(self._descriptor).st_ino
        self._address = np.frombuffer(self._memory, np.uint8).__array_interface__["data"][0]
        self._used = 0
        entry = (self._address, self.size, os.getpid(), self._descriptor, self._inode)
        _register(entry)
        # The map lives as long as an array in it; the descriptor is closed with it.
        weakref.finalize(self._memory, _forget, entry)

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:  # noqa: ANN401  (what NumPy takes)
        """Return a new array in this memory."""
        array = np.ndarray(shape, dtype, self._memory, self._used)
        self._used += padded(array.nbytes)
        return array

    def clear(self) -> None:
        """Let the next array begin at the front again."""
        self._used = 0


def output_allocator(nbytes: int, arrays: int) -> Callable[..., np.ndarray]:
    """Return a function like ``numpy.empty`` for results that workers write: so many arrays, so many bytes in all.

    Each piece of shared memory holds file descriptors as long as it lives; so small results, and those of somebody who
    collects many, are ordinary arrays, which the results are copied to.
    """
    if not available() or nbytes < _WORTHWHILE or len(_ENTRIES) >= _MOST_PIECES:
        return np.empty
    return SharedMemory(nbytes + arrays * _ALIGNMENT).empty


def padded(nbytes: int) -> int:
    """Return `nbytes` rounded up to where the next array begins."""
    return -(-nbytes // _ALIGNMENT) * _ALIGNMENT


def available() -> bool:
    """Tell whether this system has such memory."""
    return hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir()


def shared_source(array: np.ndarray, *, kept: bool = False) -> SharedArray | None:
    """Return where `array` stands, if it is a view of shared memory of this process."""
    address = array.__array_interface__["data"][0]
    with _LOCK:
        for start, size, owner, descriptor, inode in _ENTRIES:
            if start <= address < start + size and owner == os.getpid():
                return SharedArray(
                    owner, descriptor, inode, size, address - start, array.shape, array.strides, array.dtype, kept
                )
    return None


_LOCK = threading.RLock()
_ENTRIES: list[tuple[int, int, int, int, int]] = []


def _register(entry: tuple[int, int, int, int, int]) -> None:
    with _LOCK:
        _ENTRIES.append(entry)


def _forget(entry: tuple[int, int, int, int, int]) -> None:
    with _LOCK:
        if entry in _ENTRIES:
            _ENTRIES.remove(entry)
    if entry[2] == os.getpid():
        os.close(entry[3])


class _Spare:
    """Keeps one piece of memory from call to call: to fill it again takes a fifth of the time of filling a new one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._memory: SharedMemory | None = None
        self._timer: threading.Timer | None = None

    def take(self, size: int) -> SharedMemory:
        """Return memory of at least `size` bytes that nobody else uses."""
        with self._lock:
            memory, self._memory = self._memory, None
            self._stop_timer()
        if memory is None or memory.size < size:
            memory = None  # freed before the new one is made
            return SharedMemory(size)
        memory.clear()
        return memory

    def give_back(self, memory: SharedMemory, seconds: float) -> None:
        """Keep `memory` for the next call, at most so many seconds."""
        with self._lock:
            self._memory = memory
            self._stop_timer()
            self._timer = threading.Timer(seconds, self.free)
            self._timer.daemon = True
            self._timer.start()

    def free(self) -> None:
        """Let the memory go."""
        with self._lock:
            self._memory = None
            self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


spare = _Spare()


def _begin_anew() -> None:
    """Forget in a forked child what is the parent's."""
    global _LOCK, spare  # noqa: PLW0603  (what the parent's other threads held at the fork)
    _LOCK = threading.RLock()
    _ENTRIES.clear()
    spare = _Spare()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
