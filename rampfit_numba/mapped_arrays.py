"""Arrays that are mapped from a file, and how a fit recognises them, so that it does not touch the map."""

from __future__ import annotations

import mmap
import os
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy import memmap

from rampfit_numba.checked_files import SPAN, Stamp, failure_named, opened, read_into
from rampfit_numba.file_arrays import FileArray

if TYPE_CHECKING:
    from io import FileIO

#: The attribute of a map that holds the stamp which its file had when its headers were read.
_STAMP = "rampfit_stamp"
#: Samples by which a file is told from another one, and bytes of each.
_SAMPLES, _SAMPLE = 32, 4096


def map_file(path: Path, stamp: Stamp, dtype: str, shape: tuple[int, ...], offset: int) -> np.ndarray:
    """Return an array that is mapped from a file, read-only; a fit refuses it when the file is not as `stamp` says.

    Raises
    ------
    OSError, ValueError
        It cannot be mapped.
    """
    array = np.memmap(path, dtype, "r", offset, shape)
    setattr(array, _STAMP, stamp)
    return array


class FileMemory(mmap.mmap):
    """Memory that stands in a file of ours, which what is written there reaches: this process need not have it."""


def let_go(array: np.ndarray) -> None:
    """Take an array that stands in :class:`FileMemory`, and its neighbours, out of this process's memory.

    They are there again when somebody looks. Of any other array nothing happens.
    """
    root = array.base
    while isinstance(root, np.ndarray):
        root = root.base
    memory = root.obj if isinstance(root, memoryview) else root
    if isinstance(memory, FileMemory) and hasattr(mmap, "MADV_DONTNEED"):
        memory.madvise(mmap.MADV_DONTNEED)


def as_file_array(array: np.ndarray) -> np.ndarray | FileArray:
    """Return what to fit in place of an array, so that no map of a file is touched.

    Returns
    -------
    FileArray or ndarray
        A :class:`FileArray` for what is mapped from a file, whole or some of its rows (the last axis but one). Other
        parts, like some columns or every second row, are read into memory, plane by plane. Arrays that are in memory
        already are returned as they are, and so are maps that a write would not reach the file of (copy on write).

    Raises
    ------
    RampFileError
        The file is gone, was replaced, or is shorter than it was.
    """
    root = array
    while isinstance(root.base, np.ndarray):
        root = root.base
    if not isinstance(root, memmap) or root.filename is None or root.mode == "c":
        return array
    if array.ndim < 2 or array.size == 0:  # noqa: PLR2004  (rows and columns)
        return array
    path = os.fspath(root.filename)
    stamp = _mapped_stamp(root, path)
    if stamp is None:
        return array
    before = array.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    rows = _whole_rows(array, before, root.nbytes)
    if rows is None:
        with opened(path, stamp) as file, failure_named(path):
            copy = _read_copy(file, array, root.offset + before, path)
            stamp.check(path, os.fstat(file.fileno()))
            return copy
    whole, start = rows
    skipped = start * whole[-1] * array.itemsize
    offset = root.offset + before - skipped
    return FileArray(path, stamp, array.dtype, offset, whole, start, start + array.shape[-2])


def _whole_rows(array: np.ndarray, before: int, nbytes: int) -> tuple[tuple[int, ...], int] | None:
    """Return the shape of the C-contiguous array that `array` is some rows of, and the first of them; None: it is not.

    `before` are the bytes in front of the array's first element in a map of `nbytes` bytes.
    """
    *leading, nrows, ncols = array.shape
    row = ncols * array.itemsize
    columns_follow = ncols == 1 or array.strides[-1] == array.itemsize
    if not columns_follow or (nrows > 1 and array.strides[-2] != row) or before % row:
        return None
    height, rest = nrows, 0
    # Of several leading axes some may have one element, whose strides say nothing.
    for axis in reversed(range(len(leading))):
        if leading[axis] > 1:
            inner = prod(leading[axis + 1 :])
            height, rest = divmod(array.strides[axis], inner * row)
            break
    if rest or height < nrows:
        return None
    whole = (*leading, height, ncols)
    right = [prod(whole[axis + 1 :]) * array.itemsize for axis in range(len(leading))]
    if any(size > 1 and stride != wanted for size, stride, wanted in zip(leading, array.strides, right, strict=False)):
        return None
    start = before // row % height
    begin = before - start * row
    if start + nrows > height or begin < 0 or begin + prod(whole) * array.itemsize > nbytes:
        return None
    return whole, start


def _read_copy(file: FileIO, array: np.ndarray, offset: int, path: str) -> np.ndarray:
    """Read an array of any strides whose first element is at `offset` of a file."""
    once = tuple(slice(None) if stride else slice(1) for stride in array.strides)
    values = np.empty(array[once].shape, array.dtype)
    _read_strided(file, values, offset, array.strides, path)
    return np.broadcast_to(values, array.shape)


def _read_strided(file: FileIO, values: np.ndarray, offset: int, strides: tuple[int, ...], path: str) -> None:
    """Fill `values` from a file in pieces of up to `SPAN` bytes, the gaps between elements included."""
    steps = [(size - 1) * stride for size, stride in zip(values.shape, strides, strict=True)]
    low = sum(min(step, 0) for step in steps)
    span = sum(map(abs, steps)) + values.itemsize
    if span <= SPAN or values.ndim == 0:
        buffer = np.empty(span, np.uint8)
        read_into(file, buffer, offset + low, path)
        values[...] = np.ndarray(values.shape, values.dtype, buffer, -low, strides)
        return
    axis = max(range(values.ndim), key=lambda axis: abs(steps[axis]))
    inner = strides[:axis] + strides[axis + 1 :]
    for number in range(values.shape[axis]):
        part = values[(slice(None),) * axis + (number, ...)]
        _read_strided(file, part, offset + number * strides[axis], inner, path)


def _mapped_stamp(root: np.memmap, path: str) -> Stamp | None:
    """Return the stamp of the file that is mapped; None where its name has gone over to another file."""
    stamp: Stamp | None = getattr(root, _STAMP, None)
    try:
        status = Path(path).stat()
        inode = _mapped_inode(root.__array_interface__["data"][0])
        if inode is None:  # the system does not tell
            inode = status.st_ino if stamp is None and _looks_like(path, root) else stamp and stamp.inode
    except OSError:
        return None
    if status.st_ino != inode:
        return None
    return stamp or (Stamp.of(status) if root.mode == "r" else Stamp(inode, None))


def _mapped_inode(address: int) -> int | None:
    """Return the inode of the file that is mapped at `address`, where the system (Linux) tells."""
    try:
        with Path("/proc/self/maps").open(encoding="utf-8", errors="replace", newline="\n") as lines:
            for line in lines:
                span, _, _, _, inode, *_ = line.split(maxsplit=5)
                low, high = (int(end, 16) for end in span.split("-"))
                if low <= address < high:
                    return int(inode) or None
    except OSError:
        pass
    return None


def _looks_like(path: str, root: np.memmap) -> bool:
    """Whether a file has what the map of a file shows, in samples all over it."""
    seen = root.ravel("K").view(np.uint8)
    with Path(path).open("rb", buffering=0) as file:
        # Of a file that was cut, nothing behind its end may be touched.
        seen = seen[: max(0, os.fstat(file.fileno()).st_size - root.offset)]
        for place in np.linspace(0, max(0, len(seen) - _SAMPLE), _SAMPLES).astype(int):
            file.seek(root.offset + place)
            if file.read(min(_SAMPLE, len(seen))) != seen[place : place + _SAMPLE].tobytes():
                return False
    return True
