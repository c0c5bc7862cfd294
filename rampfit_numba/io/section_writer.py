"""FITS files whose images are filled section by section, in files whose space is allocated before."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.io.whole_files import allocate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rampfit_numba.io.product_parts import Product
    from rampfit_numba.io.whole_files import WholeFile

_BLOCK = 2880
#: What FITS stores unsigned integers of 32 bits less, which is to flip their highest bit.
_SIGN = np.uint32(1 << 31)


@dataclass(frozen=True)
class _Image:
    offset: int
    shape: tuple[int, ...]


class SectionedFile:
    """A product whose large images are written section by section.

    Parameters
    ----------
    file : WholeFile
    product : Product
        As it will be, with arrays of :func:`rampfit_numba.io.product_parts.planned` in the place of images that are not
        known yet; headers and tables are written at once.

    Raises
    ------
    RampFileError
        The file cannot be made, or the disk has no room for it.
    """

    def __init__(self, file: WholeFile, product: Product) -> None:
        self._whole = file
        parts: list[tuple[int, bytes]] = []
        self._images: dict[str, _Image] = {}
        size = 0
        for piece in product.pieces():
            parts.append((size, piece.head))
            if piece.image is not None:
                self._images[piece.name] = _Image(size + len(piece.head), piece.image.shape)
            size += piece.size
        self._file: Any = file.open()
        with file.telling():
            allocate(self._file, size)
            self._file.truncate(size)  # where space cannot be allocated; what is not written of a file is 0
            for offset, content in parts:
                self._write(offset, memoryview(content))

    def put(self, images: Mapping[str, np.ndarray], top: int, left: int) -> None:
        """Write sections of the images whose upper left pixels are the detector's at row `top` and column `left`.

        Parameters
        ----------
        images : mapping of str to ndarray of 4-byte elements, shape (..., rows, columns)
            By name of extension; overwritten by what FITS stores for them.
        top, left : int
        """
        for name, values in images.items():
            image = self._images[name]
            stored = _stored(values)
            nrows, ncols = image.shape[-2:]
            height, width = values.shape[-2:]
            pieces = stored.reshape(-1, height * width) if width == ncols else stored.reshape(-1, width)
            if (height, width) == (nrows, ncols):
                pieces = stored.reshape(1, -1)
            per_plane = len(pieces) // max(math.prod(values.shape[:-2]), 1)
            with self._whole.telling():
                for number, piece in enumerate(pieces):
                    plane, row = divmod(number, max(per_plane, 1))
                    place = (plane * nrows + top + row) * ncols + left
                    self._write(image.offset + place * values.itemsize, memoryview(piece.view(np.uint8)))  # type: ignore[arg-type]

    def _write(self, offset: int, content: memoryview) -> None:
        raw = self._file.raw
        raw.seek(offset)
        while content:
            content = content[raw.write(content) :]


def _stored(values: np.ndarray) -> np.ndarray:
    """Turn values into what FITS stores for them, in place."""
    if values.dtype.kind == "u":
        values ^= _SIGN
    if sys.byteorder == "little":
        values.byteswap(inplace=True)
    return values
