"""What is in an HDU: the stored and the physical values of images, and the rows of tables."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from astropy.io import fits

from rampfit_numba.checked_files import read_planes
from rampfit_numba.file_arrays import FileArray
from rampfit_numba.io.hdus import BLOCK, DTYPES, keyword, keyword_value, one_line, read_exactly, text
from rampfit_numba.io.table_hdus import table_hdu
from rampfit_numba.mapped_arrays import as_file_array, map_file
from rampfit_numba.messages import RampFileError, remedy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rampfit_numba.io.hdus import Hdu
    from rampfit_numba.io.scratch import Scratch

_IMAGE = 2
#: FITS allows no more in a table.
_MOST_COLUMNS = 999


def check_image(path: Path, hdu: Hdu) -> None:
    """Refuse an HDU that holds no image.

    Raises
    ------
    RampFileError
        It is a table, a tile-compressed image, or without data.
    """
    if text(hdu.header, "XTENSION") not in ("", "IMAGE"):  # the primary HDU has none
        compressed = text(hdu.header, "ZIMAGE") == "True"  # others have been unpacked by now
        hint = "is tile-compressed within a compressed file; gunzip that" if compressed else "is a table, not an image"
        raise RampFileError(f"{path}: extension {hdu.name} {hint}")
    if not hdu.nbytes:
        raise RampFileError(f"{path}: extension {hdu.name} holds no data")


def holds_image(hdu: Hdu) -> bool:
    """Tell whether an HDU holds an image of two axes or more."""
    return len(hdu.shape) >= _IMAGE and hdu.nbytes > 0 and text(hdu.header, "XTENSION") in ("", "IMAGE")


def image(path: Path, hdu: Hdu) -> np.ndarray:
    """Return the stored values of an image: mapped, read-only and big-endian; of a compressed file as it is unpacked.

    Raises
    ------
    RampFileError
        The HDU holds no image, or the file changed since it was scanned.
    """
    check_image(path, hdu)
    dtype = DTYPES[hdu.header["BITPIX"]]
    if hdu.content is not None:
        content = hdu.content if isinstance(hdu.content, np.ndarray) else np.frombuffer(hdu.content, np.uint8)
        stored = content.view(dtype).reshape(hdu.shape)
        stored.flags.writeable = False
        return stored
    try:
        return map_file(path, hdu.stamp, dtype, hdu.shape, hdu.offset)
    except (OSError, ValueError) as error:
        way_out = remedy(error) if isinstance(error, OSError) else ""
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise RampFileError(
            f"{path}: cannot be mapped ({reason}){way_out or '; has it changed in the meantime?'}"
        ) from error


def _planes(path: Path, hdu: Hdu) -> Iterator[np.ndarray]:
    """Yield the planes of an image as they are stored, read and not mapped: for those that are copied anyway."""
    dtype = np.dtype(DTYPES[hdu.header["BITPIX"]])
    if hdu.content is None:
        yield from read_planes(str(path), hdu.stamp, dtype, hdu.shape, hdu.offset)
        return
    stored = as_file_array(image(path, hdu))
    if isinstance(stored, FileArray):
        yield from read_planes(stored.path, stored.stamp, dtype, hdu.shape, stored.offset)
    else:
        yield from stored.reshape(-1, *hdu.shape[-2:])


def data_bytes(path: Path, hdu: Hdu) -> bytes | bytearray:
    """Return the data of an HDU as they are stored."""
    if hdu.content is not None:
        return hdu.content if isinstance(hdu.content, bytearray) else hdu.content.tobytes()
    with path.open("rb") as file:
        file.seek(hdu.offset)
        return read_exactly(path, file, hdu.nbytes, f"extension {hdu.name}")


def table(path: Path, hdu: Hdu) -> fits.FITS_rec:
    """Return the rows of a binary table, in memory.

    Raises
    ------
    RampFileError
        The HDU holds no binary table, or one without sense.
    """

    def unpacked() -> fits.FITS_rec:
        whole = hdu.header.tostring().encode("ascii") + data_bytes(path, hdu)
        return fits.BinTableHDU.fromstring(whole + bytes(-len(whole) % BLOCK)).data

    rows = checked_rows(path, hdu, unpacked)
    size, stated = rows.dtype.itemsize, hdu.header["NAXIS1"]
    if size != stated:  # astropy would read on behind the table
        raise RampFileError(
            f"{path}: extension {hdu.name} cannot be understood (its columns take {size} bytes of rows of {stated})"
        )
    if rows.nbytes > hdu.nbytes:  # NAXIS = 1, say, has one row for its data
        raise RampFileError(
            f"{path}: extension {hdu.name} cannot be understood (its rows take {rows.nbytes} of {hdu.nbytes} bytes)"
        )
    return rows


def checked_rows(path: Path, hdu: Hdu, read: Callable[[], fits.FITS_rec]) -> fits.FITS_rec:
    """Return the rows that `read` finds in a binary table.

    Raises
    ------
    RampFileError
        The HDU holds no binary table, or one without sense.
    """
    if text(hdu.header, "XTENSION") != "BINTABLE":
        raise RampFileError(f"{path}: extension {hdu.name} must be a binary table")
    columns = keyword(path, hdu.header, "TFIELDS", f"extension {hdu.name}")
    if not 0 <= columns <= _MOST_COLUMNS:  # astropy makes a list of so many
        raise RampFileError(f"{path}: extension {hdu.name} cannot be understood (TFIELDS = {columns})")
    try:
        for card in hdu.header.cards:
            _ = card.value  # what cannot be parsed would be taken as it stands, as the name of a column for instance
        rows = read()
        # Some descriptions without sense show only when the rows are written again, as they are with the products.
        table_hdu(rows.copy()).writeto(io.BytesIO())
    except Exception as error:  # astropy meets descriptions without sense in many ways
        raise RampFileError(f"{path}: extension {hdu.name} cannot be understood ({one_line(error)})") from error
    return rows


class _Scaling(NamedTuple):
    """What makes physical values of the stored ones.

    Attributes
    ----------
    scale, zero : float
    blank : int or None
    dtype : dtype
        Of the physical values: the stored one where nothing is to be done.
    """

    scale: float
    zero: float
    blank: int | None
    dtype: np.dtype[Any]


def _scaling(path: Path, hdu: Hdu, *, flags: bool) -> _Scaling:
    check_image(path, hdu)
    stored = np.dtype(DTYPES[hdu.header["BITPIX"]])
    scale, zero = (_number(path, hdu, name, default) for name, default in (("BSCALE", 1.0), ("BZERO", 0.0)))
    integer = stored.kind in "iu"
    # FITS defines BLANK for integers alone.
    blank = _blank(path, hdu) if integer and not flags else None
    half = 1 << (8 * stored.itemsize - 1)
    dtype: np.dtype[Any] = np.dtype(np.float32)
    if scale == 1 and zero == 0 and blank is None:
        dtype = stored
    elif integer and scale == 1 and blank is None and zero == (-half if stored.kind == "u" else half):
        dtype = np.dtype("i1") if stored.kind == "u" else np.dtype(f"=u{stored.itemsize}")
    return _Scaling(scale, zero, blank, dtype)


def physical_dtype(path: Path, hdu: Hdu) -> np.dtype[Any]:
    """Return the type of the values that :func:`physical_image` returns; raises as it does."""
    return _scaling(path, hdu, flags=False).dtype


def physical_image(
    path: Path, hdu: Hdu, *, flags: bool = False, scratch: Scratch | None = None, mapped: bool = True
) -> np.ndarray:
    """Return an image's physical values: :func:`image` as it is where BSCALE, BZERO and BLANK do nothing.

    Integers stored with the offset that FITS uses for unsigned types (and for signed bytes) become these types, native;
    other scaled images become float32, with NaN for BLANK. With `flags` there is no BLANK: any value is a set of flags.
    What is not :func:`image` stands in memory, or where there is a `scratch`, which decides, in a temporary file; so
    does everything where nothing is to be `mapped`.

    Raises
    ------
    RampFileError
        As :func:`image`, or a scaling keyword is no number.
    """
    scale, zero, blank, dtype = _scaling(path, hdu, flags=flags)
    stored = np.dtype(DTYPES[hdu.header["BITPIX"]])
    if dtype == stored:
        # Flags wider than bytes will be converted to these.
        copied = not mapped or (flags and dtype.itemsize > 1)
        return _copied(path, hdu, _same, dtype, scratch) if copied else image(path, hdu)
    if dtype.kind in "iu":
        unsigned = np.dtype(f"=u{stored.itemsize}")
        half = unsigned.type(1 << (8 * stored.itemsize - 1))
        # Adding half the range is flipping the highest bit.
        return _copied(path, hdu, lambda raw: (raw.astype(unsigned) ^ half).view(dtype), dtype, scratch)

    def scaled(raw: np.ndarray) -> np.ndarray:
        values = (raw * scale + zero).astype(np.float32)
        if blank is not None:
            values[raw == blank] = np.nan
        return values

    return _copied(path, hdu, scaled, dtype, scratch)


def _same(raw: np.ndarray) -> np.ndarray:
    return raw


def _copied(
    path: Path,
    hdu: Hdu,
    convert: Callable[[np.ndarray], np.ndarray],
    dtype: np.dtype[Any],
    scratch: Scratch | None,
) -> np.ndarray:
    """Return an image whose planes are converted, one by one as they are read."""
    planes = map(convert, _planes(path, hdu))
    if scratch is not None and not scratch.holds(math.prod(hdu.shape) * dtype.itemsize):
        return scratch.write(map(np.ascontiguousarray, planes), hdu.shape, dtype, f"{path}: extension {hdu.name}")
    values = np.empty(hdu.shape, dtype)
    for plane, converted in zip(values.reshape(-1, *hdu.shape[-2:]), planes, strict=True):
        plane[...] = converted
    return values


def _blank(path: Path, hdu: Hdu) -> int | None:
    where = f"extension {hdu.name}"
    if keyword_value(path, hdu.header, "BLANK", where) is None:
        return None
    return keyword(path, hdu.header, "BLANK", where)


def _number(path: Path, hdu: Hdu, name: str, default: float) -> float:
    value = keyword_value(path, hdu.header, name, f"extension {hdu.name}")
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RampFileError(f"{path}: keyword {name} of extension {hdu.name} must be a number; it is {value!r}")
    return float(value)
