"""Arrays that stand in a file: read piece by piece, or mapped where that does no harm.

A map of a file that is truncated under it kills the process (SIGBUS) when it is touched; a read that comes up short is
an error. So mapped inputs are recognised here, and whoever fits rows reads them. Only worker processes map them, whose
end is an error in the process that waits for them: to copy what is read takes a fifth of the time of a fit.
"""

from __future__ import annotations

import mmap
import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from rampfit_numba.messages import RampFileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True)
class FileArray:
    """Some rows of a C-contiguous array in a file.

    Attributes
    ----------
    path : str
    inode : int
        Tells whether another file has taken this one's name.
    dtype : numpy.dtype
        Byte order included.
    offset : int
        Of the whole array in the file, in bytes.
    whole : tuple of int
        Shape of the whole array.
    start, stop : int
        The rows (last axis but one) that this object stands for.
    """

    path: str
    inode: int
    dtype: np.dtype[Any]
    offset: int
    whole: tuple[int, ...]
    start: int
    stop: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the rows that this object stands for."""
        return (*self.whole[:-2], self.stop - self.start, self.whole[-1])

    @property
    def nbytes(self) -> int:
        """Size of these rows in bytes."""
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

    def read(self, room: np.ndarray | None = None) -> np.ndarray:
        """Return the rows as an array, in the front of `room` (of uint8) where that is given.

        Raises
        ------
        RampFileError
            The file is gone, was replaced, or is shorter than it was.
        """
        if room is None:
            room = np.empty(self.nbytes, np.uint8)
        values = room[: self.nbytes].view(self.dtype).reshape(self.shape)
        planes = values.reshape(-1, values.shape[-2] * values.shape[-1])
        row = self.whole[-1] * self.dtype.itemsize
        with self._opened() as file, self._failure_named():
            for number, plane in enumerate(planes):
                place = self.offset + (number * self.whole[-2] + self.start) * row
                _read_into(file.fileno(), plane.view(np.uint8), place, self.path)
        return values

    def check(self) -> None:
        """Refuse a file that is not any more what it was.

        Raises
        ------
        RampFileError
            The file is gone, was replaced, or is shorter than it was.
        """
        with self._opened() as file:
            self.check_size(file)

    def check_size(self, file: BinaryIO) -> None:
        """Do what :meth:`check` does for the file as it was opened."""
        if os.fstat(file.fileno()).st_size < self.offset + prod(self.whole) * self.dtype.itemsize:
            raise _ended_early(self.path)

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        with self._failure_named():
            file = Path(self.path).open("rb", buffering=0)  # noqa: SIM115  (closed below)
        # Whatever else fails while the file is open is no failure of the file.
        with file:
            if os.fstat(file.fileno()).st_ino != self.inode:
                raise RampFileError(f"{self.path}: was replaced by another file while it was read; read it again")
            yield file

    @contextmanager
    def _failure_named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RampFileError(f"{self.path}: cannot be read any more: {error.strerror}") from error


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
            file = files.enter_context(array._opened())  # noqa: SLF001  (the class above)
            array.check_size(file)
            opened.append((array, file))
            try:
                memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError):  # not all file systems can
                found.append(array.read())
                continue
            whole = np.ndarray(array.whole, array.dtype, memory, array.offset)
            found.append(whole[..., array.start : array.stop, :])
        yield found
        for array, file in opened:
            # What is lost of a file's last page reads as 0 instead of ending the process.
            array.check_size(file)


def _read_into(descriptor: int, buffer: np.ndarray, place: int, path: str) -> None:
    done = 0
    while done < len(buffer):
        count = os.preadv(descriptor, [memoryview(buffer)[done:]], place + done)  # type: ignore[arg-type]
        if count == 0:
            raise _ended_early(path)
        done += count


def _ended_early(path: str) -> RampFileError:
    return RampFileError(f"{path}: ended early: it was truncated while it was read; restore the file")


def as_file_array(array: np.ndarray) -> np.ndarray | FileArray:
    """Return a :class:`FileArray` for an array that is mapped whole and unchanged from a file, others as they are."""
    root = array
    while isinstance(root.base, np.ndarray):
        root = root.base
    if not isinstance(root, np.memmap) or root.filename is None or root.mode == "c" or not hasattr(os, "preadv"):
        return array
    if not array.flags.c_contiguous or array.ndim < 2 or array.size == 0:  # noqa: PLR2004  (rows and columns)
        return array
    address = array.__array_interface__["data"][0]
    root_address = root.__array_interface__["data"][0]
    path = os.fspath(root.filename)
    inode = _mapped_inode(root_address)
    try:
        if inode is None or Path(path).stat().st_ino != inode:
            return array
    except OSError:
        return array
    return FileArray(
        path=path,
        inode=inode,
        dtype=array.dtype,
        offset=root.offset + address - root_address,
        whole=array.shape,
        start=0,
        stop=array.shape[-2],
    )


def _mapped_inode(address: int) -> int | None:
    """Return the inode of the file that is mapped at `address`: a file's name can have gone over to another one."""
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


def take_plane(source: np.ndarray | FileArray, *leading: int, rows: slice) -> np.ndarray:
    """Return some rows of one plane of an array, read if it stands in a file."""
    if isinstance(source, FileArray):
        return source.plane(*leading).rows(rows).read()
    plane: np.ndarray = source[leading]
    return plane[rows]
