"""Memory that worker processes reach without copying.

It is anonymous (``memfd``): nothing has a name in /dev/shm that could be left behind, and the system frees it with the
last process that uses it, whatever way that ends. A worker opens it through this process's entry in /proc. Blocks go
from call to call, see :mod:`memory_pool`, and workers keep their maps of them.
"""

from __future__ import annotations

import mmap
import os
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rampfit_numba.engine.memory_pool import ALIGNMENT, Allocator, Arena, MemoryPool

Owned = tuple[int, int]

#: Results below this many bytes are quicker copied than mapped.
_WORTHWHILE = 1 << 20
#: Blocks of memory that may be alive at once.
_MOST_BLOCKS = 64


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
    """

    owner: int
    descriptor: int
    inode: int
    size: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]

    def attach(self) -> np.ndarray:
        """Return the array in another process, which keeps the map of its memory until :func:`unmap_all_but`."""
        block = (self.owner, self.inode)
        memory = _maps.get(block)
        if memory is None:
            memory = _maps[block] = _map(self.owner, self.descriptor, self.inode, self.size)
        return np.ndarray(self.shape, self.dtype, memory, self.offset, self.strides)


#: What this process, a worker, has mapped.
_maps: dict[Owned, mmap.mmap] = {}


def unmap_all_but(alive: frozenset[Owned]) -> None:
    """Let go of the memory that its owner has no more use for; `alive` are owners and inodes."""
    for block in _maps.keys() - alive:
        del _maps[block]


def alive_blocks() -> frozenset[Owned]:
    """Return owner and inode of all memory of this process."""
    with _LOCK:
        return frozenset((owner, inode) for _, _, owner, _, inode in _ENTRIES)


def _map(owner: int, descriptor: int, inode: int, size: int) -> mmap.mmap:
    file = os.open(f"/proc/{owner}/fd/{descriptor}", os.O_RDWR)
    try:
        if os.fstat(file).st_ino != inode:
            raise RuntimeError(f"the shared memory of process {owner} is gone")
        return mmap.mmap(file, size)
    finally:
        os.close(file)


class SharedMemory:
    """A block of shared memory, freed with the last array in it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._descriptor = os.memfd_create("rampfit_numba", os.MFD_CLOEXEC)
        try:
            os.ftruncate(self._descriptor, self.size)
            self._memory = mmap.mmap(self._descriptor, self.size)
        except BaseException:
            os.close(self._descriptor)
            raise
        self.owner = os.getpid()
        self._inode = os.fstat(self._descriptor).st_ino
        self._address = np.frombuffer(self._memory, np.uint8).__array_interface__["data"][0]
        entry = (self._address, self.size, self.owner, self._descriptor, self._inode)
        _register(entry)
        # The map lives as long as an array in it; the descriptor is closed with it.
        weakref.finalize(self._memory, _forget, entry)

    def whole(self) -> np.ndarray:
        """Return all of it as a new array of bytes, which every array made in it must keep alive."""
        return np.frombuffer(self._memory, np.uint8)


def shared_allocator(nbytes: int, arrays: int) -> Allocator:
    """Return what makes arrays for results that workers write: so many arrays, so many bytes in all.

    Each block of shared memory holds a file descriptor as long as it lives; so all the arrays stand in one, and small
    results, and those of somebody who collects many, are ordinary arrays, which the results are copied to.
    """
    if not available() or nbytes < _WORTHWHILE or len(_ENTRIES) >= _MOST_BLOCKS:
        return Allocator()
    size = nbytes + arrays * ALIGNMENT
    used: Arena | None = None

    def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:  # noqa: ANN401  (what NumPy takes)
        nonlocal used
        if used is None:
            used = pool.arena(size)
        return used.empty(shape, dtype)

    return Allocator(empty)


def available() -> bool:
    """Tell whether this process can have such memory."""
    return not obstacle()


def obstacle() -> str:
    """Return why this process can have no such memory, or nothing."""
    if not (hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir()):
        return "This system has no memory that processes can share without copies"
    import resource

    if resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY:
        return "The size of files is limited (ulimit -f), and with it that of memory that processes share"
    return ""


def as_shared_array(array: np.ndarray) -> SharedArray | None:
    """Return where `array` stands, if it is a view of shared memory of this process."""
    address = array.__array_interface__["data"][0]
    with _LOCK:
        for start, size, owner, descriptor, inode in _ENTRIES:
            if start <= address < start + size and owner == os.getpid():
                return SharedArray(
                    owner, descriptor, inode, size, address - start, array.shape, array.strides, array.dtype
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


pool = MemoryPool(SharedMemory)


def _begin_anew() -> None:
    """Forget in a forked child what is the parent's."""
    global _LOCK, pool  # noqa: PLW0603  (what the parent's other threads held at the fork)
    _LOCK = threading.RLock()
    _ENTRIES.clear()
    pool = MemoryPool(SharedMemory)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
