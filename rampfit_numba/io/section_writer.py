"""FITS files whose images are filled section by section, in files whose space is allocated before."""

from __future__ import annotations

import io
import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from rampfit_numba.io.whole_files import allocate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rampfit_numba.io.whole_files import WholeFile

_BLOCK = 2880
#: What FITS stores unsigned integers of 32 bits less, which is to flip their highest bit.
_SIGN = np.uint32(1 << 31)


def planned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:  # noqa: ANN401  (what NumPy takes)
    """Return an array that stands for one to come, and takes no memory.

    Examples
    --------
    >>> planned((70000, 2048, 2048), np.float32).strides
    (0, 0, 0)
    """
    return np.broadcast_to(np.zeros((), dtype), shape)


def is_planned(array: np.ndarray) -> bool:
    """Tell whether an array is one of :func:`planned`."""
    return array.ndim > 0 and not any(array.strides)


@dataclass(frozen=True)
class _Image:
    offset: int
    shape: tuple[int, ...]


class SectionedFile:
    """A product whose large images are written section by section.

    Parameters
    ----------
    file : WholeFile
    hdulist : astropy.io.fits.HDUList
        The product as it will be, with arrays of :func:`planned` in the place of what is not known yet; everything else
        is written at once.

    Raises
    ------
    RampFileError
        The file cannot be made, or the disk has no room for it.
    """

    def __init__(self, file: WholeFile, hdulist: fits.HDUList) -> None:
        self._whole = file
        hdulist.verify("silentfix+ignore")
        hdulist.update_extend()
        parts: list[tuple[int, bytes]] = []
        self._images: dict[str, _Image] = {}
        size = 0
        for hdu in hdulist:
            to_come = hdu.is_image and hdu.data is not None and is_planned(hdu.data)
            content = hdu.header.tostring().encode("ascii") if to_come else _whole_hdu(hdu)
            parts.append((size, content))
            size += len(content)
            if to_come:
                self._images[hdu.name] = _Image(size, hdu.data.shape)
                size += -(-math.prod(hdu.data.shape) * hdu.data.itemsize // _BLOCK) * _BLOCK
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


def _whole_hdu(hdu: Any) -> bytes:  # noqa: ANN401  (of any kind)
    """Return an HDU as it stands in a file."""
    if isinstance(hdu, fits.PrimaryHDU) or hdu.data is None:
        return bytes(hdu.header.tostring().encode("ascii"))
    first = fits.PrimaryHDU()
    stream = io.BytesIO()
    fits.HDUList([first, hdu]).writeto(stream, output_verify="silentfix+ignore")
    return stream.getvalue()[len(first.header.tostring()) :]


def _stored(values: np.ndarray) -> np.ndarray:
    """Turn values into what FITS stores for them, in place."""
    if values.dtype.kind == "u":
        values ^= _SIGN
    if sys.byteorder == "little":
        values.byteswap(inplace=True)
    return values
