"""Arrays that stand in a file: read piece by piece, or mapped where that does no harm.

A map of a file that is truncated under it kills the process (SIGBUS) when it is touched; a read that comes up short is
an error. So mapped inputs are recognised (:mod:`rampfit_numba.mapped_arrays`), and whoever fits rows reads them. Only
worker processes map them, whose end is an error in the process that waits for them: to copy what is read takes a fifth
of the time of a fit.
"""

from __future__ import annotations

import mmap
import os
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.checked_files import Stamp, ended_early, failure_named, opened, read_pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from io import FileIO


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
        with self.open() as file, failure_named(self.path):
            for pieces, place, stride in groups:
                read_pieces(file, pieces, place, stride, self.path)
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
            raise ended_early(self.path)

    def open(self) -> AbstractContextManager[FileIO]:
        """Open the file, if it is still the one that it was; raises as :meth:`check` says."""
        return opened(self.path, self.stamp)


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


def take_plane(source: np.ndarray | FileArray, *leading: int, rows: slice) -> np.ndarray:
    """Return some rows of one plane of an array, read if it stands in a file."""
    if isinstance(source, FileArray):
        return source.plane(*leading).rows(rows).read()
    plane: np.ndarray = source[leading]
    return plane[rows]
