"""Reference files: checked, and read once for all exposures of a job."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from rampfit_numba.checked_files import Stamp
from rampfit_numba.file_arrays import FileArray
from rampfit_numba.io import hdu_data, hdus, tiles
from rampfit_numba.mapped_arrays import as_file_array
from rampfit_numba.messages import RampFileError

if TYPE_CHECKING:
    from pathlib import Path

    from astropy.io import fits

_KINDS = ("readnoise", "gain")


def check_reference(path: Path, name: str) -> tuple[fits.Header, hdus.Hdu]:
    """Return primary header and image of a reference file.

    Parameters
    ----------
    path : Path
    name : {"readnoise", "gain"}
        What it should be.

    Raises
    ------
    RampFileError
        It is no such file; the message says why.
    """
    found = tiles.scan(path, ("SCI",))
    primary = found[0].header
    kind = hdus.text(primary, "REFTYPE").lower()
    if kind in _KINDS and kind != name:
        raise RampFileError(f"{path}: is a {kind} reference file (REFTYPE), not {name}; were the two swapped?")
    sci = hdus.find(found, "SCI")
    if sci is None:
        raise RampFileError(f"{path}: extension SCI is missing; give a {name} reference file")
    if len(sci.shape) != 2:  # noqa: PLR2004
        raise RampFileError(
            f"{path}: is no {name} reference file: its extension SCI must have 2 axes (columns, rows); it has "
            f"{len(sci.shape)}"
        )
    return primary, sci


class ReferenceFiles:
    """Reference files of a job, each of which is read once, as long as it stays as it is; no file's fit changes them.

    It can be pickled, without what was read.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[tuple[Path, str], ReferenceFile] = {}

    def file(self, path: Path, name: str) -> ReferenceFile:
        """Return what stands in a file; raises as :func:`check_reference` says."""
        with self._lock:
            found = self._files.get((path, name))
            if found is None or not found.is_as_it_was():
                found = self._files[path, name] = ReferenceFile(path, name)
            return found

    def __reduce__(self) -> tuple[type[ReferenceFiles], tuple[()]]:
        return ReferenceFiles, ()


class ReferenceFile:
    """A reference file, and the part of its image that was asked for last.

    Attributes
    ----------
    primary : astropy.io.fits.Header
    science : Hdu
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self.primary, self.science = check_reference(path, name)
        self._image = hdu_data.physical_image(path, self.science)
        self._lock = threading.Lock()
        self._part: tuple[tuple[slice, slice], np.ndarray] | None = None

    def is_as_it_was(self) -> bool:
        """Tell whether the file is still what was read."""
        try:
            return Stamp.of(self._path.stat()) == self.science.stamp
        except OSError:
            return False

    def part(self, rows: slice, cols: slice) -> np.ndarray:
        """Return some rows and columns in single precision; others are given the same array."""
        with self._lock:
            if self._part is None or self._part[0] != (rows, cols):
                part = as_file_array(self._image[rows, cols])
                values = np.array(part.read() if isinstance(part, FileArray) else part, np.float32, order="C")
                self._part = (rows, cols), values
            return self._part[1]
