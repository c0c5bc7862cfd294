"""Where the HDUs of a FITS file stand.

The headers are walked here, and not by ``astropy.io.fits.open``, for three reasons: a file that is shorter than its
headers say is refused before any of it is mapped (touching a map beyond the end of its file kills the process), nothing
stays open but the maps themselves, and a compressed file is read once, from front to back.
"""

from __future__ import annotations

import gzip
import logging
import math
import os
import re
import stat
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NoReturn, TypeAlias

from astropy.io import fits

from rampfit_numba.checked_files import Stamp
from rampfit_numba.io.header_cards import CARD, PRINTABLE, check_keywords
from rampfit_numba.io.reference_names import file_in
from rampfit_numba.messages import RampFileError, remedy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    import numpy as np

    from rampfit_numba.io.scratch import Scratch

log = logging.getLogger(__name__)

_File: TypeAlias = IO[bytes] | gzip.GzipFile

BLOCK = 2880
_GZIP_MAGIC = b"\x1f\x8b"
# No header of an observation comes near 20,000 blocks (720,000 cards); a file of noise that begins like FITS may.
_MAX_HEADER_BLOCKS = 20_000
# What can stand in the name of a keyword: an END before one of these is another keyword (ENDTIME).
_IN_KEYWORDS = re.compile(rb"[A-Z0-9_-]")
# Bytes that are read at a time where a header's word is not taken for how many come.
_CHUNK = 5760 * BLOCK
# No compressed stream is longer when it is decompressed: deflate stores 258 bytes in two bits at best.
MOST_COMPRESSED = 1100
DTYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


class _Everything:
    """All names there are."""

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 1


#: What is to be kept of a compressed file where all of it is.
EVERYTHING: Collection[str] = _Everything()


@dataclass(frozen=True, eq=False)
class Hdu:
    """One HDU: its header and where its data stand.

    Attributes
    ----------
    name : str
        EXTNAME in capitals, ``"PRIMARY"`` for the first HDU.
    header : astropy.io.fits.Header
        The header as the file has it.
    shape : tuple of int
        NAXISn in NumPy's order; empty where there are no data.
    offset, nbytes : int
        Position and length of the data in the (decompressed) file, without padding.
    stamp : Stamp
        What the file was like when its headers were read.
    content : bytearray, ndarray or None
        The data themselves where the file is compressed and they were asked for: as bytes, or as an array of them or of
        the image's stored values.
    """

    name: str
    header: fits.Header
    shape: tuple[int, ...]
    offset: int
    nbytes: int
    stamp: Stamp
    content: bytearray | np.ndarray | None = None


def scan(path: Path, keep: Collection[str], scratch: Scratch | None = None) -> tuple[Hdu, ...]:
    """Return the HDUs of a FITS file; of a gzip-compressed one also the data of those named in `keep`, and of tables.

    These stand in memory, or where there is a `scratch`, which decides, in temporary files.

    Raises
    ------
    RampFileError
        The file cannot be opened, is no FITS file, is truncated, or has a header without sense.
    """
    try:
        if not stat.S_ISREG(_status(path).st_mode):
            if path.is_dir():
                raise RampFileError(f"{path}: is a directory; {file_in(path)}")
            raise RampFileError(f"{path}: is no regular file; give the name of a FITS file")
        with path.open("rb") as file:
            magic = file.read(len(_GZIP_MAGIC))
            file.seek(0)
            status = os.fstat(file.fileno())
            if magic != _GZIP_MAGIC:
                return tuple(_walk(path, file, status, ()))
            with gzip.GzipFile(fileobj=file) as unpacked:
                found = _walk(path, unpacked, status, keep, scratch, compressed=True)
                Stamp.of(status).check(str(path), os.fstat(file.fileno()))
                return tuple(found)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RampFileError(f"{path}: the compressed file is truncated or damaged ({error}); fetch it again") from error
    except FileNotFoundError as error:
        raise RampFileError(f"{path}: no such file") from error
    except OSError as error:
        raise RampFileError(f"{path}: cannot be read ({error.strerror or error}){remedy(error)}") from error


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except ValueError as error:
        raise RampFileError(f"{str(path)!r}: is no name that a file can have") from error


def _walk(
    path: Path,
    file: _File,
    status: os.stat_result,
    keep: Collection[str],
    scratch: Scratch | None = None,
    *,
    compressed: bool = False,
) -> list[Hdu]:
    hdus: list[Hdu] = []
    # A decompressing file cannot know its size: it stops where the stream ends.
    most = status.st_size * MOST_COMPRESSED if compressed else status.st_size
    while (header := _read_header(path, file, hdus)) is not None:
        name = text(header, "EXTNAME").upper() if hdus else "PRIMARY"
        where = f"extension {name or len(hdus)}" if hdus else "the primary HDU"
        if not hdus and keyword_value(path, header, "GROUPS", where) is True:
            raise RampFileError(
                f"{path}: holds random groups (GROUPS = T), a format of radio interferometers; expected images of ramps"
            )
        shape, nbytes = data_size(path, header, where)
        offset = file.tell()
        end = offset + nbytes
        if end > most:
            size = (
                f"no compressed file of {status.st_size} bytes goes so far"
                if compressed
                else f"the file at byte {most}"
            )
            _raise_truncated(path, f"{where} ends at byte {end}, {size}")
        wanted = name in keep or (bool(keep) and text(header, "XTENSION") == "BINTABLE")
        content = _content(path, file, nbytes, where, scratch) if wanted else None
        file.seek(offset + -(-nbytes // BLOCK) * BLOCK)
        # The last padding may be missing.
        if compressed and file.tell() < end:
            _raise_truncated(path, f"{where} ends at byte {end}, the decompressed file at byte {file.tell()}")
        hdus.append(Hdu(name, header, shape, offset, nbytes, Stamp.of(status), content))
    return hdus


def _read_header(path: Path, file: _File, before: Sequence[Hdu]) -> fits.Header | None:
    """Return the next header, or None where no further HDU follows those `before`."""
    first = not before
    start = file.tell()
    block = file.read(BLOCK)
    if first and not block:
        raise RampFileError(f"{path}: the file is empty; fetch it again")
    begin = b"SIMPLE  =" if first else b"XTENSION"
    if not block.startswith(begin):
        if first:
            raise RampFileError(f"{path}: is no FITS file (it does not begin with 'SIMPLE  =')")
        if not block or len(block) == BLOCK or not begin.startswith(block[: len(begin)]):
            _check_rest(path, file, block, f"extension {before[-1].name or len(before) - 1}", start)
            return None
    blocks = [block]
    while not _holds_end(path, blocks[-1]):
        if len(blocks[-1]) < BLOCK:
            _raise_truncated(path, "it ends within a header")
        if len(blocks) == _MAX_HEADER_BLOCKS:
            raise RampFileError(f"{path}: is no FITS file (a header without END)")
        blocks.append(file.read(BLOCK))
    content = b"".join(blocks)
    check_keywords(path, content, start)
    try:
        return fits.Header.fromstring(content.translate(PRINTABLE))
    except (ValueError, fits.VerifyError) as error:
        raise RampFileError(f"{path}: a header cannot be understood ({one_line(error)})") from error


def _check_rest(path: Path, file: _File, block: bytes, last: str, start: int) -> None:
    """Look at what follows the last HDU: padding is nothing, what was or is a header is an error, the rest is named.

    Parameters
    ----------
    block : bytes
        The first of it, which is no header of an extension.
    last : str
        The last HDU.
    start : int
        Where `block` begins.
    """
    begin = b"XTENSION"
    junk, lost, tail = False, _is_header(block), b""
    while block and not lost:
        junk = junk or bool(block.strip(b"\0 "))
        lost = begin in tail + block  # anywhere: bytes may have been lost or put in before it
        tail = block[-len(begin) :]
        block = file.read(_CHUNK)
    if lost:
        raise RampFileError(
            f"{path}: what follows {last}, at byte {start}, is an extension with a damaged header; fetch the file again"
        )
    if junk:
        log.warning("%s: what follows %s, at byte %d, is no FITS and is left out", path, last, start)


def _is_header(block: bytes) -> bool:
    """Whether a block has cards that every header has, wherever it may be damaged."""
    cards = {block[i : i + len("KEYWORD=")].rstrip(b" =") for i in range(0, len(block), CARD)}
    return len(cards & {b"BITPIX", b"NAXIS", b"PCOUNT", b"GCOUNT", b"END"}) > 1


def _holds_end(path: Path, block: bytes) -> bool:
    """Whether a header ends in this block; astropy, too, ends it at an END card that is damaged behind its name."""
    if b"END" not in block:
        return False
    for i in range(0, len(block), CARD):
        card = block[i : i + CARD]
        if card.startswith(b"END") and not _IN_KEYWORDS.match(card[3:4]):
            if card.rstrip() != b"END":
                raise RampFileError(f"{path}: a header is damaged (its END card); fetch the file again")
            return True
    return False


def data_size(path: Path, header: fits.Header, where: str) -> tuple[tuple[int, ...], int]:
    """Return the shape of the data that a header describes, and their bytes; raises a RampFileError for nonsense."""
    bitpix = keyword(path, header, "BITPIX", where)
    axes = [keyword(path, header, f"NAXIS{i + 1}", where) for i in range(keyword(path, header, "NAXIS", where))]
    pcount, gcount = (keyword(path, header, name, where, default) for name, default in (("PCOUNT", 0), ("GCOUNT", 1)))
    if bitpix not in DTYPES or min(axes, default=0) < 0 or pcount < 0 or gcount < 1:
        sizes = f"BITPIX = {bitpix}, axes {axes}, PCOUNT = {pcount}, GCOUNT = {gcount}"
        raise RampFileError(f"{path}: {where} is damaged: {sizes}; fetch the file again")
    nbytes = (pcount + math.prod(axes)) * gcount * abs(bitpix) // 8 if axes else 0
    return tuple(reversed(axes)), nbytes


def keyword(path: Path, header: fits.Header, name: str, where: str, default: int | None = None) -> int:
    """Return an integer keyword.

    Parameters
    ----------
    where : str
        What the header belongs to, for the message.
    default : int, optional
        Value where the keyword is absent or empty; None: it must be there.

    Raises
    ------
    RampFileError
        The keyword is missing or no integer.
    """
    value = keyword_value(path, header, name, where)
    if value is None:
        if default is None:
            raise RampFileError(f"{path}: {where} has no keyword {name}; add it (an integer)")
        return default
    # Some writers store whole numbers as 1.0.
    if isinstance(value, bool) or not isinstance(value, int | float) or not float(value).is_integer():
        raise RampFileError(f"{path}: keyword {name} of {where} must be an integer; it is {value!r}")
    return int(value)


def keyword_value(path: Path, header: fits.Header, name: str, where: str) -> object:
    """Return a keyword's value, None where it is absent or empty.

    Raises
    ------
    RampFileError
        The card does not follow FITS.
    """
    try:
        value = header.get(name)
    except fits.VerifyError as error:
        raise RampFileError(f"{path}: keyword {name} of {where} cannot be understood; correct its card") from error
    return None if isinstance(value, fits.card.Undefined) else value


def stripe_keywords(header: fits.Header) -> str:
    """Return the keywords of a readout in stripes that a header has, with their values; empty where it has none."""
    found = [(card.keyword, card.value) for card in header.cards if re.match(r"[MS]STR_", card.keyword)]
    return ", ".join(f"{name} = {value}" for name, value in found if not isinstance(value, fits.card.Undefined))


def text(header: fits.Header, name: str) -> str:
    """Return a keyword as text without blanks at its ends, empty where it is absent or its card breaks the standard."""
    try:
        value = header.get(name, "")
    except fits.VerifyError:
        return ""
    return "" if isinstance(value, fits.card.Undefined) else str(value).strip()


def _content(path: Path, file: _File, nbytes: int, where: str, scratch: Scratch | None) -> bytearray | np.ndarray:
    """Read so many bytes of a compressed file into memory, or where that has no room for them, into another file."""
    if scratch is None or scratch.holds(nbytes):
        return read_exactly(path, file, nbytes, where)
    return scratch.write(_chunks(path, file, nbytes, where), (nbytes,), "u1", f"{path}: {where}")


def _chunks(path: Path, file: _File, nbytes: int, where: str) -> Iterator[bytes]:
    left = nbytes
    while left:
        chunk = file.read(min(left, _CHUNK))
        if not chunk:
            _raise_truncated(path, f"{where} has {nbytes - left} of its {nbytes} bytes")
        yield chunk
        left -= len(chunk)


def read_exactly(path: Path, file: _File, nbytes: int, where: str) -> bytearray:
    """Read so many bytes; memory is taken as they come, not as the header claims."""
    try:
        content = bytearray(nbytes)  # of pages that are there when they are written
        done, view = 0, memoryview(content)
        while count := file.readinto(view[done : done + _CHUNK]):  # type: ignore[union-attr]
            done += count
    except (MemoryError, OverflowError) as error:
        raise RampFileError(f"{path}: {where} ({nbytes} bytes) does not fit in memory; decompress the file") from error
    if done < nbytes:
        _raise_truncated(path, f"{where} has {done} of its {nbytes} bytes")
    return content


def _raise_truncated(path: Path, what: str) -> NoReturn:
    raise RampFileError(f"{path}: the file is truncated ({what}); fetch it again")


def find(hdus: Sequence[Hdu], name: str) -> Hdu | None:
    """Return the first HDU of that name, None where there is none."""
    return next((hdu for hdu in hdus if hdu.name == name), None)


def one_line(error: Exception) -> str:
    """Return what an error of another package says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
