"""Reads of a file that must be the same as it was: one that was replaced, changed or truncated is an error."""

from __future__ import annotations

import os
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rampfit_numba.messages import RampFileError, remedy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO

#: Bytes that are read at a time of an array that is not contiguous.
SPAN = 16 << 20
#: Bytes between two pieces that are rather read and left than skipped: another call takes as long.
_GAP = 4096


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
            raise ended_early(path)
        if Stamp.of(status) != self:
            raise RampFileError(f"{path}: was changed while it was read; read it again when nobody writes to it")


@contextmanager
def opened(path: str, stamp: Stamp) -> Iterator[FileIO]:
    """Open a file, if it is still the one that it was; raises a RampFileError."""
    with failure_named(path):
        file = Path(path).open("rb", buffering=0)  # noqa: SIM115  (closed below)
    # Whatever else fails while the file is open is no failure of the file.
    with file:
        stamp.check(path, os.fstat(file.fileno()))
        yield file


@contextmanager
def failure_named(path: str) -> Iterator[None]:
    """Make what goes wrong with a file a RampFileError that names it."""
    try:
        yield
    except OSError as error:
        raise RampFileError(f"{path}: cannot be read any more: {error.strerror}{remedy(error)}") from error


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
    with opened(path, stamp) as file:
        for number in range(prod(shape[:-2])):
            with failure_named(path):
                read_into(file, plane.reshape(-1).view(np.uint8), offset + number * plane.nbytes, path)
            yield plane
        stamp.check(path, os.fstat(file.fileno()))


def read_pieces(file: FileIO, pieces: np.ndarray, place: int, stride: int, path: str) -> None:
    """Fill the rows of `pieces`, of bytes, with what stands at `place` of a file and every `stride` bytes behind it.

    `pieces` is C-contiguous.
    """
    count, length = pieces.shape
    if stride == length:
        read_into(file, pieces.reshape(-1), place, path)
    elif stride - length > _GAP:
        # Hundreds of thousands of pieces, in a long series: an array for each would take as long as to read it.
        content = memoryview(pieces.reshape(-1))  # type: ignore[arg-type]
        for number in range(count):
            _fill(file, content[number * length : (number + 1) * length], place + number * stride, path)
    else:
        most = max(SPAN // stride, 1)
        buffer = np.empty(min(most, count) * stride, np.uint8)
        for first in range(0, count, most):
            part = pieces[first : first + most]
            # The last gap may be beyond the end of the file.
            span = len(part) * stride - (stride - length)
            read_into(file, buffer[:span], place + first * stride, path)
            part[...] = buffer[: len(part) * stride].reshape(len(part), stride)[:, :length]


def read_into(file: FileIO, buffer: np.ndarray, place: int, path: str) -> None:
    """Fill a buffer of bytes from `place` of a file on; raises a RampFileError where it ends before."""
    _fill(file, memoryview(buffer), place, path)  # type: ignore[arg-type]


def _fill(file: FileIO, rest: memoryview, place: int, path: str) -> None:
    while rest:
        if hasattr(os, "preadv"):  # one call for both; Windows has none
            count = os.preadv(file.fileno(), (rest,), place)
        else:
            file.seek(place)
            count = file.readinto(rest)
        if count == 0:
            raise ended_early(path)
        rest, place = rest[count:], place + count


def ended_early(path: str) -> RampFileError:
    """Return the complaint about a file that is shorter than it was."""
    return RampFileError(f"{path}: ended early: it was truncated while it was read; restore the file")
