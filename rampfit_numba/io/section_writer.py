"""FITS files whose images are filled section by section, in files whose space is allocated before."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.io.product_parts import STORED_AT_ONCE, stored_as
from rampfit_numba.io.whole_files import allocate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rampfit_numba.io.product_parts import Product
    from rampfit_numba.io.whole_files import WholeFile


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
            By name of extension.
        top, left : int
        """
        with self._whole.telling():
            for name, values in images.items():
                self._put(self._images[name], values, top, left)

    def _put(self, image: _Image, values: np.ndarray, top: int, left: int) -> None:
        nrows, ncols = image.shape[-2:]
        height, width = values.shape[-2:]
        planes = values.reshape(-1, height, width)
        # What stands together in the file: planes, rows, or a part of a row.
        length = height * width if width == ncols else width
        if height * width == nrows * ncols:
            length = planes.size
        at_once = max(STORED_AT_ONCE // max(height * width * values.itemsize, 1), 1)
        stored = np.empty((min(at_once, len(planes)), height, width), values.dtype.newbyteorder(">"))
        for first in range(0, len(planes), at_once):
            part = planes[first : first + at_once]
            content = memoryview(stored_as(part, stored[: len(part)]).reshape(-1).view(np.uint8))  # type: ignore[arg-type]
            step = min(length * values.itemsize, len(content))
            for begin in range(0, len(content), step):
                plane, pixel = divmod(begin // values.itemsize, height * width)
                place = ((first + plane) * nrows + top + pixel // width) * ncols + left
                self._write(image.offset + place * values.itemsize, content[begin : begin + step])

    def _write(self, offset: int, content: memoryview) -> None:
        raw = self._file.raw
        while content:
            if hasattr(os, "pwrite"):  # one call for both; Windows has none
                count = os.pwrite(raw.fileno(), content, offset)
            else:
                raw.seek(offset)
                count = raw.write(content)
            content, offset = content[count:], offset + count
