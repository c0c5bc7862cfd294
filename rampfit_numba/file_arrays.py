"""Arrays that stand in a file: read piece by piece, or mapped where that does no harm.

A map of a file that is truncated under it kills the process (SIGBUS) when it is touched; a read that comes up short is
an error. So mapped inputs are recognised here, and whoever fits rows reads them. Only worker processes map them, whose
end is an error in the process that waits for them: to copy what is read takes a fifth of the time of a fit.
"""

from __future__ import annotations

import mmap
import os
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy import memmap

from rampfit_numba.messages import RampFileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from io import FileIO


#: The attribute of a map that holds the stamp which its file had when its headers were read.
_STAMP = "rampfit_stamp"
#: Bytes that are read at a time of an array that is not contiguous.
_SPAN = 16 << 20
#: Bytes between two pieces that are rather read and left than skipped: another call takes as long.
_GAP = 4096
#: Samples by which a file is told from another one, and bytes of each.
_SAMPLES, _SAMPLE = 32, 4096


class Stamp(NamedTuple):
    """What tells a file from another one of its name, and from itself after a change.

    Attributes
    ----------
    inode : int
    state : tuple of int, or None
        Size, modification and change time; None where whoever has mapped the file may be writing to it.
    """

    inode: int
    state: tuple[int, int, int] | None

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """Return the stamp of a file from its status."""
        return cls(status.st_ino, (status.st_size, status.st_mtime_ns, status.st_ctime_ns))

    def check(self, path: str, status: os.stat_result) -> None:
        """Refuse a file that is not any more what it was; raises a RampFileError."""
        if status.st_ino != self.inode:
            raise RampFileError(f"{path}: was replaced by another file while it was read; read it again")
        if self.state is None:
            return
        if status.st_size < self.state[0]:
            raise _ended_early(path)
        if Stamp.of(status) != self:
            raise RampFileError(f"{path}: was changed while it was read; read it again when nobody writes to it")


@dataclass(frozen=True)
class FileArray:
    """Some rows, and some columns of them, of a C-contiguous array in a file.

    Attributes
    ----------
    path : str
    stamp : Stamp
        Tells whether another file has taken this one's name, or its content was changed.
    dtype : numpy.dtype
        Byte order included.
    offset : int
        Of the whole array in the file, in bytes.
    whole : tuple of int
        Shape of the whole array.
    start, stop : int
        The rows (last axis but one) that this object stands for.
    columns : tuple of int, or None
        The first of the columns (last axis), and the first after them; None: all.
    """

    path: str
    stamp: Stamp
    dtype: np.dtype[Any]
    offset: int
    whole: tuple[int, ...]
    start: int
    stop: int
    columns: tuple[int, int] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the part that this object stands for."""
        left, right = self.columns or (0, self.whole[-1])
        return (*self.whole[:-2], self.stop - self.start, right - left)

    @property
    def nbytes(self) -> int:
        """Size of this part in bytes."""
        return prod(self.shape) * self.dtype.itemsize

    def plane(self, *leading: int) -> FileArray:
        """Return one of the two-dimensional planes that the array is made of."""
        number = int(np.ravel_multi_index(leading, self.whole[:-2]))
        skipped = number * prod(self.whole[-2:]) * self.dtype.itemsize
        return replace(self, offset=self.offset + skipped, whole=self.whole[-2:])

    def rows(self, rows: slice) -> FileArray:
        """Return the same array with only `rows`, counted from this object's first."""
        start, stop, _ = rows.indices(self.stop - self.start)
        return replace(self, start=self.start + start, stop=self.start + stop)

    def cut(self, columns: slice) -> FileArray:
        """Return the same rows with only `columns`, counted from this object's first."""
        left, right = self.columns or (0, self.whole[-1])
        start, stop, _ = columns.indices(right - left)
        return replace(self, columns=(left + start, left + stop))

    def read(self, buffer: np.ndarray | None = None) -> np.ndarray:
        """Return this part as an array, in the front of `buffer` (of uint8) where that is given.

        Raises
        ------
        RampFileError
            The file is gone, was replaced, or is shorter than it was.
        """
        if buffer is None:
            buffer = np.empty(self.nbytes, np.uint8)
        content = buffer[: self.nbytes]
        height, row = self.whole[-2], self.whole[-1] * self.dtype.itemsize
        *leading, nrows, ncols = self.shape
        left = 0 if self.columns is None else self.columns[0] * self.dtype.itemsize
        begin = self.offset + self.start * row + left
        if ncols == self.whole[-1] or nrows == 1:  # what is wanted of a plane stands together
            groups = [(content.reshape(prod(leading), -1), begin, height * row)]
        else:
            planes = content.reshape(prod(leading), nrows, -1)
            groups = [(plane, begin + number * height * row, row) for number, plane in enumerate(planes)]
        with self.open() as file, _failure_named(self.path):
            for pieces, place, stride in groups:
                _read_pieces(file, pieces, place, stride, self.path)
            self.stamp.check(self.path, os.fstat(file.fileno()))
        return content.view(self.dtype).reshape(self.shape)

    def expect(self) -> None:
        """Tell the system, where it listens, that all of the file's array will be read soon, in whatever order."""
        if hasattr(os, "posix_fadvise"):
            size = prod(self.whole) * self.dtype.itemsize
            with self.open() as file, suppress(OSError):
                os.posix_fadvise(file.fileno(), self.offset, size, os.POSIX_FADV_WILLNEED)

    def check(self) -> None:
        """Refuse a file that is not any more what it was.

        Raises
        ------
        RampFileError
            The file is gone, was replaced, or is shorter than it was.
        """
        with self.open() as file:
            self.check_size(file)

    def check_size(self, file: FileIO) -> None:
        """Do what :meth:`check` does for the file as it was opened."""
        status = os.fstat(file.fileno())
        self.stamp.check(self.path, status)
        if status.st_size < self.offset + prod(self.whole) * self.dtype.itemsize:
            raise _ended_early(self.path)

    def open(self) -> AbstractContextManager[FileIO]:
        """Open the file, if it is still the one that it was; raises as :meth:`check` says."""
        return _opened(self.path, self.stamp)


@contextmanager
def _opened(path: str, stamp: Stamp) -> Iterator[FileIO]:
    with _failure_named(path):
        file = Path(path).open("rb", buffering=0)  # noqa: SIM115  (closed below)
    # Whatever else fails while the file is open is no failure of the file.
    with file:
        stamp.check(path, os.fstat(file.fileno()))
        yield file


@contextmanager
def _failure_named(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RampFileError(f"{path}: cannot be read any more: {error.strerror}") from error


@contextmanager
def mapped(arrays: Iterable[Any]) -> Iterator[list[Any]]:
    """Give the same list with maps in the place of each :class:`FileArray`; in worker processes only.

    Raises
    ------
    RampFileError
        A file is gone, was replaced, or is shorter than it was, at the beginning or at the end.
    """
    with ExitStack() as files:
        found, opened = [], []
        for array in arrays:
            if not isinstance(array, FileArray):
                found.append(array)
                continue
            file = files.enter_context(array.open())
            array.check_size(file)
            opened.append((array, file))
            try:
                memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError):  # not all file systems can
                found.append(array.read())
                continue
            whole = np.ndarray(array.whole, array.dtype, memory, array.offset)
            found.append(whole[..., array.start : array.stop, slice(*(array.columns or (None,)))])
        yield found
        for array, file in opened:
            # What is lost of a file's last page reads as 0 instead of ending the process.
            array.check_size(file)


def read_planes(
    path: str, stamp: Stamp, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int
) -> Iterator[np.ndarray]:
    """Yield the planes of an array in a file one after the other, each in the same memory.

    Raises
    ------
    RampFileError
        The file is gone, was replaced or changed, or is shorter than it was.
    """
    plane = np.empty(shape[-2:], dtype)
    with _opened(path, stamp) as file:
        for number in range(prod(shape[:-2])):
            with _failure_named(path):
                _read_into(file, plane.reshape(-1).view(np.uint8), offset + number * plane.nbytes, path)
            yield plane
        stamp.check(path, os.fstat(file.fileno()))


def _read_pieces(file: FileIO, pieces: np.ndarray, place: int, stride: int, path: str) -> None:
    """Fill the rows of `pieces`, of bytes, with what stands at `place` of a file and every `stride` bytes behind it."""
    count, length = pieces.shape
    if stride == length:
        _read_into(file, pieces.reshape(-1), place, path)
    elif stride - length > _GAP:
        for number, piece in enumerate(pieces):
            _read_into(file, piece, place + number * stride, path)
    else:
        most = max(_SPAN // stride, 1)
        buffer = np.empty(min(most, count) * stride, np.uint8)
        for first in range(0, count, most):
            part = pieces[first : first + most]
            # The last gap may be beyond the end of the file.
            span = len(part) * stride - (stride - length)
            _read_into(file, buffer[:span], place + first * stride, path)
            part[...] = buffer[: len(part) * stride].reshape(len(part), stride)[:, :length]


def _read_into(file: FileIO, buffer: np.ndarray, place: int, path: str) -> None:
    file.seek(place)
    done = 0
    while done < len(buffer):
        count = file.readinto(memoryview(buffer)[done:])  # type: ignore[arg-type]
        if count == 0:
            raise _ended_early(path)
        done += count


def _ended_early(path: str) -> RampFileError:
    return RampFileError(f"{path}: ended early: it was truncated while it was read; restore the file")


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
        with _opened(path, stamp) as file, _failure_named(path):
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
    """Fill `values` from a file in pieces of up to `_SPAN` bytes, the gaps between elements included."""
    steps = [(size - 1) * stride for size, stride in zip(values.shape, strides, strict=True)]
    low = sum(min(step, 0) for step in steps)
    span = sum(map(abs, steps)) + values.itemsize
    if span <= _SPAN or values.ndim == 0:
        buffer = np.empty(span, np.uint8)
        _read_into(file, buffer, offset + low, path)
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
        with Path("/proc/self/maps").open(encoding="utf-8", errors="replace") as lines:
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
        if os.fstat(file.fileno()).st_size < root.offset + len(seen):
            return True  # to touch the map of a file that was cut ends the process; to read it is an error
        for place in np.linspace(0, max(0, len(seen) - _SAMPLE), _SAMPLES).astype(int):
            file.seek(root.offset + place)
            if file.read(_SAMPLE) != seen[place : place + _SAMPLE].tobytes():
                return False
    return True


def take_plane(source: np.ndarray | FileArray, *leading: int, rows: slice) -> np.ndarray:
    """Return some rows of one plane of an array, read if it stands in a file."""
    if isinstance(source, FileArray):
        return source.plane(*leading).rows(rows).read()
    plane: np.ndarray = source[leading]
    return plane[rows]
