"""Tile-compressed images (``.fits.fz``): astropy decompresses them, some planes at a time."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.io import hdus
from rampfit_numba.messages import RampFileError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from rampfit_numba.io.hdus import Hdu
    from rampfit_numba.io.scratch import Scratch

#: Bytes that are decompressed at a time; more where one tile has more.
_PIECE = 16 << 20
#: No table has more columns, and no image more axes.
_MOST = 999


def scan(path: Path, keep: Collection[str], scratch: Scratch | None = None) -> tuple[Hdu, ...]:
    """Return the HDUs of a FITS file as :func:`rampfit_numba.io.hdus.scan` does, compressed images in `keep` as images.

    Raises
    ------
    RampFileError
        As there, or an image cannot be decompressed.
    """
    found = hdus.scan(path, keep, scratch)
    # Also those that are not used: one that makes no sense may have lost its name.
    numbers = [i for i, hdu in enumerate(found) if _is_compressed(hdu) and hdu.content is None]
    if not numbers:
        return found
    unpacked = list(found)
    for number in numbers:
        image = _decompressed(path, number, found[number], scratch, wanted=found[number].name in keep)
        unpacked[number] = image or found[number]
    found[0].stamp.check(str(path), path.stat())
    return tuple(unpacked)


def _is_compressed(hdu: Hdu) -> bool:
    return hdus.text(hdu.header, "XTENSION") == "BINTABLE" and hdus.text(hdu.header, "ZIMAGE") == "True"


def _decompressed(path: Path, number: int, table: Hdu, scratch: Scratch | None, *, wanted: bool) -> Hdu | None:
    """Return the image in a table of tiles, None where it is not wanted."""
    from astropy.io import fits

    where = f"extension {table.name or number}"
    for name in ("TFIELDS", "ZNAXIS"):  # astropy looks at so many one by one
        if not 0 <= (value := hdus.keyword(path, table.header, name, where)) <= _MOST:
            raise RampFileError(f"{path}: {where} is damaged: {name} = {value}; fetch the file again")
    try:
        with (
            path.open("rb") as file,
            fits.open(file, memmap=False, lazy_load_hdus=True, do_not_scale_image_data=True) as hdulist,
        ):
            image = hdulist[number]
            return _unpacked(path, image, table, where, scratch) if wanted else None
    except RampFileError:
        raise
    except Exception as error:  # astropy and zlib each have their own classes
        raise RampFileError(
            f"{path}: {where} cannot be decompressed ({hdus.one_line(error)}); fetch the file again"
        ) from error


def _unpacked(path: Path, image: Any, table: Hdu, where: str, scratch: Scratch | None) -> Hdu:  # noqa: ANN401
    header = image.header.copy()
    shape, nbytes = hdus.data_size(path, header, where)
    size = path.stat().st_size
    if nbytes > size * hdus.MOST_COMPRESSED:
        raise RampFileError(
            f"{path}: {where} claims {nbytes} bytes, no compressed file of {size} bytes goes so far; fetch it again"
        )
    tile = tuple(map(int, image.tile_shape))
    if min(tile, default=1) < 1:  # nothing would be decompressed
        raise RampFileError(f"{path}: {where} is damaged: tiles of shape {tile}; fetch the file again")
    unpacked = replace(table, header=header, shape=shape, nbytes=nbytes)
    if not nbytes:
        return unpacked
    dtype = np.dtype(hdus.DTYPES[header["BITPIX"]])
    pieces = _pieces(image, shape, dtype)
    if scratch is not None and not scratch.holds(nbytes):
        return replace(unpacked, content=scratch.write(pieces, shape, dtype, f"{path}: {where}"))
    values, done = np.empty(math.prod(shape), dtype), 0
    for piece in pieces:
        values[done : done + piece.size] = piece.reshape(-1)
        done += piece.size
    return replace(unpacked, content=values.reshape(shape))


def _pieces(image: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[np.ndarray]:  # noqa: ANN401
    """Yield the stored values of an image in memory order, a piece and at least a tile at a time."""
    for index in _cuts(shape, image.tile_shape, _PIECE // dtype.itemsize):
        yield np.ascontiguousarray(image.section[index], dtype)


def _cuts(shape: tuple[int, ...], tile: tuple[int, ...], most: int) -> Iterator[tuple[slice, ...]]:
    """Yield slices, whole tiles of `most` elements or one tile more, that are the array one after the other."""
    inner = math.prod(shape[1:])
    if tile[0] == 1 and inner > most and len(shape) > 1:
        for i in range(shape[0]):
            for rest in _cuts(shape[1:], tile[1:], most):
                yield slice(i, i + 1), *rest
        return
    step = max(most // (inner * tile[0]), 1) * tile[0]
    for start in range(0, shape[0], step):
        yield (slice(start, min(start + step, shape[0])),)
