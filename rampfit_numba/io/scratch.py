"""Arrays that stand in a file in another form than they are fitted in: in memory, and what is too large in files."""

from __future__ import annotations

import logging
import mmap
import os
from contextlib import contextmanager, suppress
from math import prod
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from rampfit_numba.checked_files import Stamp
from rampfit_numba.engine.memory import size_text
from rampfit_numba.io.temporary_files import TemporaryFile
from rampfit_numba.io.whole_files import allocate, make_folder, remove_folders
from rampfit_numba.mapped_arrays import FileMemory, map_file
from rampfit_numba.messages import RampFileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

log = logging.getLogger(__name__)

#: Bytes that are written at once where space is claimed by writing.
_ZEROS = 1 << 20


class Scratch:
    """Room for the arrays of one file that is compressed, or has to be converted, and for results, while it is fitted.

    Used in a ``with`` statement, at the end of which the temporary files are removed. Arrays in them are mapped, as
    those of any other file: a fit reads them piece by piece.

    Parameters
    ----------
    folder : Path
        Of the temporary files; made if it does not exist.
    memory : int
        Bytes of arrays that may stand in memory.
    """

    def __init__(self, folder: Path, memory: int) -> None:
        self._folder = folder
        self._free = memory
        self._files: list[TemporaryFile] = []
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.remove()
        remove_folders(self._made)

    def holds(self, nbytes: int) -> bool:
        """Take so much memory for an array, if there is enough; tell whether."""
        # Windows removes no file that is mapped.
        if nbytes > self._free and os.name != "nt":
            return False
        self._free -= nbytes
        return True

    def write(self, pieces: Iterable[Any], shape: tuple[int, ...], dtype: Any, what: str) -> np.ndarray:  # noqa: ANN401
        """Return an array in a file, read-only.

        Parameters
        ----------
        pieces : iterable of bytes-like
            Its content in memory order: disk space is taken as they come, not as a header claims.
        shape : tuple of int
        dtype : dtype
        what : str
            What it is, for messages.

        Raises
        ------
        RampFileError
            The file cannot be written.
        """
        size = prod(shape) * np.dtype(dtype).itemsize
        with self._file(size, what) as (file, stream):
            written = [stream.write(piece) for piece in pieces]
            stream.flush()
            stamp = Stamp.of(os.fstat(stream.fileno()))
        assert sum(written) == size  # noqa: S101
        return map_file(file.path, stamp, dtype, shape, 0)

    def room(self, size: int, what: str) -> mmap.mmap:
        """Return so many bytes of a file, at least one, to be written and read; parameters as for :meth:`write`."""
        if os.name == "nt":
            return mmap.mmap(-1, size)
        with self._file(size, what) as (_, stream):
            if not allocate(stream, size):
                # Where it is written through the map, a full disk would end the process.
                for begin in range(0, size, _ZEROS):
                    stream.write(bytes(min(_ZEROS, size - begin)))
                stream.flush()
            return FileMemory(stream.fileno(), size)

    @contextmanager
    def _file(self, size: int, what: str) -> Iterator[tuple[TemporaryFile, BinaryIO]]:
        folder = self._folder
        log.info("%s, %s, stands in a temporary file in %s", what, size_text(size), folder)
        try:
            self._made += make_folder(folder)
            file = TemporaryFile(folder)
            self._files.append(file)
            with file.create() as stream:
                yield file, stream
        except OSError as error:
            self._remove_last()
            raise RampFileError(
                f"{what}: its {size} bytes cannot be written to {folder} ({error.strerror or error}), and are too "
                "many for max_memory; make room"
            ) from error

    def _remove_last(self) -> None:
        """Make room on a full disk at once."""
        with suppress(IndexError):
            self._files.pop().remove()
