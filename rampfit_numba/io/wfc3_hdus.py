"""HDUs of WFC3/IR's files: what stands in a read's planes, which are no image where all values are equal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rampfit_numba.io import hdu_data, hdus
from rampfit_numba.messages import RampFileError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rampfit_numba.io.hdus import Hdu

_IMAGE = 2
#: Rows or columns of a constant plane, at most: no detector has more.
_LARGEST = 1 << 14


def _place(hdu: Hdu) -> str:
    return f"{hdu.name}, EXTVER {hdus.text(hdu.header, 'EXTVER') or 1}"


def version(path: Path, hdu: Hdu) -> int:
    """Return the number of the read that an HDU belongs to: 1 is the last one."""
    return hdus.keyword(path, hdu.header, "EXTVER", f"extension {hdu.name}", 1)


def number(path: Path, hdu: Hdu, key: str) -> float:
    """Return a keyword that is a finite number; refuse any other value, and none."""
    value = hdus.keyword_value(path, hdu.header, key, f"extension {_place(hdu)}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise RampFileError(f"{path}: keyword {key} of {_place(hdu)}: expected a number; got {value!r}")
    return float(value)


def shape_of_reads(path: Path, science: Sequence[Hdu]) -> tuple[int, int]:
    """Return the shape of the first image, or of what is constant where there is none."""
    image = next((hdu for hdu in science if hdu.shape), None)
    if image is None:
        return _size_of_constant(path, science[0], (0, 0))
    hdu_data.check_image(path, image)
    if len(image.shape) != _IMAGE:
        raise RampFileError(f"{path}: {_place(image)}: expected an image; got shape {image.shape}")
    nrows, ncols = image.shape
    return nrows, ncols


def _size_of_constant(path: Path, hdu: Hdu, default: tuple[int, int]) -> tuple[int, int]:
    nrows, ncols = (
        hdus.keyword(path, hdu.header, key, f"extension {_place(hdu)}", size)
        for key, size in zip(("NPIX2", "NPIX1"), default, strict=True)
    )
    if max(nrows, ncols) > _LARGEST:
        raise RampFileError(f"{path}: {_place(hdu)}: NPIX1, NPIX2: expected the size of an image; got {ncols}, {nrows}")
    return nrows, ncols


def plane(path: Path, hdu: Hdu, shape: tuple[int, int], *, flags: bool = False) -> np.ndarray:
    """Return a plane, which is stored as one value (PIXVALUE) where it is constant."""
    if hdu.shape:
        if hdu.shape != shape:
            raise RampFileError(f"{path}: {_place(hdu)}: expected shape {shape}; got {hdu.shape}")
        return hdu_data.physical_image(path, hdu, flags=flags, mapped=False)
    size = _size_of_constant(path, hdu, shape)
    value = hdus.keyword_value(path, hdu.header, "PIXVALUE", f"extension {_place(hdu)}")
    if size != shape or value is None:
        raise RampFileError(
            f"{path}: {_place(hdu)}: expected an image of shape {shape}, or PIXVALUE with NPIX1 and NPIX2; got "
            f"PIXVALUE {value} for shape {size}"
        )
    return np.full(shape, number(path, hdu, "PIXVALUE"))


def flags(path: Path, hdu: Hdu, shape: tuple[int, int]) -> np.ndarray:
    """Return WFC3's flags (uint16), which are stored as signed integers."""
    values = plane(path, hdu, shape, flags=True)
    if values.dtype.kind == "f" and not (np.abs(values) < 1 << 16).all():
        raise RampFileError(f"{path}: {_place(hdu)}: expected flags of 16 bits; got other values")
    return values.astype(np.int64).astype(np.uint16)
