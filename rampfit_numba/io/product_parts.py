"""What products consist of: images and tables, as HDUs of astropy, or as they stand in a file.

A file of hundreds of cards takes astropy longer than a fit of its pixels, nearly all of it for headers that are the
same in every file: these are made once.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from astropy.io import fits

from rampfit_numba.io.table_hdus import table_hdu
from rampfit_numba.io.whole_files import allocate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

_BLOCK = 2880
#: Bytes of an image that are turned into what FITS stores at a time: they stay in the processor's cache.
STORED_AT_ONCE = 256 << 10
_EMPTY_ASDF = (
    b"#ASDF 1.0.0\n#ASDF_STANDARD 1.5.0\n%YAML 1.1\n%TAG ! tag:stsci.edu:asdf/\n--- !core/asdf-1.1.0\n{}\n...\n"
)


class Piece(NamedTuple):
    """An HDU as it stands in a file: bytes, and the image that follows them, if there is one."""

    name: str
    head: bytes
    image: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Bytes of the file that it takes."""
        nbytes = 0 if self.image is None else math.prod(self.image.shape) * self.image.itemsize
        return len(self.head) + -(-nbytes // _BLOCK) * _BLOCK


@dataclass(frozen=True)
class Image:
    """An image to be.

    Attributes
    ----------
    name : str
        Of the extension.
    values : ndarray or None
        None: a header alone.
    cards : sequence of (str, str, str), or Header
        What the header says beside how the image is stored: key, value and comment.
    """

    name: str
    values: np.ndarray | None
    cards: tuple[tuple[str, str, str], ...] | fits.Header = ()

    def hdu(self) -> fits.ImageHDU:
        """Return the image as an HDU."""
        return image_hdu(self.name, self.values, fits.Header(self.cards))

    def piece(self) -> Piece:
        """Return the image as it stands in a file."""
        form = None if self.values is None else (self.values.shape, self.values.dtype)
        make = _image_head if isinstance(self.cards, tuple) else _image_head.__wrapped__
        head = make(self.name, form, self.cards)
        return Piece(self.name, head, self.values)


@dataclass(frozen=True)
class Table:
    """A table to be."""

    table: fits.BinTableHDU

    def hdu(self) -> fits.BinTableHDU:
        """Return the table as an HDU."""
        return self.table

    def piece(self) -> Piece:
        """Return the table as it stands in a file."""
        first, stream = fits.PrimaryHDU(), io.BytesIO()
        fits.HDUList([first, self.table]).writeto(stream, output_verify="silentfix+ignore")
        return Piece(self.table.name, stream.getvalue()[len(first.header.tostring()) :])


class EmptyAsdf:
    """The extension without which the pipeline's steps refuse a file, with an empty tree."""

    @staticmethod
    def hdu() -> fits.BinTableHDU:
        """Return it as an HDU."""
        content = np.frombuffer(_EMPTY_ASDF, np.uint8)[None]
        column = fits.Column("ASDF_METADATA", f"{content.size}B", array=content)
        return table_hdu(fits.FITS_rec.from_columns(fits.ColDefs([column])), name="ASDF")

    @staticmethod
    @cache
    def piece() -> Piece:
        """Return it as it stands in a file."""
        return Table(EmptyAsdf.hdu()).piece()


@dataclass(frozen=True)
class Product:
    """A product to be written.

    Attributes
    ----------
    primary : astropy.io.fits.Header
        Its primary header.
    parts : sequence
        What follows.
    """

    primary: fits.Header
    parts: Sequence[Image | Table | EmptyAsdf]

    def hdulist(self) -> fits.HDUList:
        """Return the product as HDUs; images are read-only views of the arrays."""
        return fits.HDUList([fits.PrimaryHDU(header=self.primary), *(part.hdu() for part in self.parts)])

    def pieces(self) -> list[Piece]:
        """Return the product as it stands in a file."""
        first = Piece("PRIMARY", self.primary.tostring().encode("ascii"))
        return [first, *(part.piece() for part in self.parts)]

    def write_to(self, file: BinaryIO) -> None:
        """Write the product, into space that is allocated before."""
        pieces = self.pieces()
        allocate(file, sum(piece.size for piece in pieces))
        for piece in pieces:
            file.write(piece.head)
            if piece.image is not None:
                _write_image(file, piece.image)


def planned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:  # noqa: ANN401  (what NumPy takes)
    """Return an array that stands for one to come, and takes no memory.

    Examples
    --------
    >>> planned((70000, 2048, 2048), np.float32).strides
    (0, 0, 0)
    """
    return np.broadcast_to(np.zeros((), dtype), shape)


def image_hdu(name: str, values: np.ndarray | None, header: fits.Header | None = None) -> fits.ImageHDU:
    """Return an image HDU of a read-only view: astropy would swap the bytes of a writable array in place to write it.

    uint32 is stored as FITS and JWST files have it: int32 with BZERO = 2^31.
    """
    if values is not None:
        # What is only planned yet has no strides, and takes no memory.
        values = (values if not any(values.strides) else np.ascontiguousarray(values)).view()
        values.flags.writeable = False
    hdu = fits.ImageHDU(values, header, name=name)
    hdu.ver = 1
    return hdu


@lru_cache(maxsize=256)
def _image_head(
    name: str,
    form: tuple[tuple[int, ...], np.dtype[Any]] | None,
    cards: tuple[tuple[str, str, str], ...] | fits.Header,
) -> bytes:
    """Return the header of an image as it stands in a file."""
    hdu = image_hdu(name, None if form is None else planned(*form), fits.Header(cards))
    hdu.verify("silentfix+ignore")
    return bytes(hdu.header.tostring().encode("ascii"))


def _write_image(file: BinaryIO, values: np.ndarray) -> None:
    """Write an image as FITS stores it, with the padding that follows, piece by piece."""
    flat = np.ascontiguousarray(values).reshape(-1)
    step = STORED_AT_ONCE // values.dtype.itemsize
    stored = np.empty(min(flat.size, step), values.dtype.newbyteorder(">"))
    for first in range(0, flat.size, step):
        part = flat[first : first + step]
        file.write(memoryview(stored_as(part, stored[: part.size]).view(np.uint8)))  # type: ignore[arg-type]
    file.write(bytes(-flat.nbytes % _BLOCK))


def stored_as(values: np.ndarray, stored: np.ndarray) -> np.ndarray:
    """Fill `stored`, of the other byte order, with what FITS stores for values, and return it.

    By functions of NumPy that give up Python's lock: its ``byteswap`` keeps it, and a fit in another thread would wait
    (174 instead of 73 ms).
    """
    size = values.dtype.itemsize
    # FITS has unsigned integers (and signed bytes) as what has another highest bit.
    flips = values.dtype.kind == "u" if size > 1 else values.dtype.kind == "i"
    if flips:
        values = values ^ values.dtype.type(np.iinfo(values.dtype).min or 1 << (8 * size - 1))
    np.copyto(stored, values)
    return stored
