"""Cards of FITS headers, byte by byte: astropy sees another HDU, or none, where those that describe it break rules."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from astropy.io import fits

from rampfit_numba.messages import RampFileError

if TYPE_CHECKING:
    from pathlib import Path

CARD = 80
_INDICATOR = slice(8, 10)  # what says that a card has a value
_VALUE = 30  # where a card's value ends, if it has the fixed format
# FITS allows nothing else in headers, and astropy could not write it again.
PRINTABLE = bytes(byte if 32 <= byte < 127 else ord("?") for byte in range(256))  # noqa: PLR2004
# As astropy decodes headers.
_ASCII = bytes(byte if byte < 128 else ord("?") for byte in range(256))  # noqa: PLR2004
_COMMENTARY = frozenset((b"COMMENT ", b"HISTORY ", b" " * 8))
# Where one of these makes no sense, astropy sees no such HDU.
_STRUCTURE = re.compile(rb"(SIMPLE|XTENSION|BITPIX|EXTEND|PCOUNT|GCOUNT|EXTNAME|BZERO|BSCALE|NAXIS.*) *")
# Or where one of these cannot be read, whatever it says.
_READ_FIRST = re.compile(rb"(BLANK|CHECKSUM|DATASUM|GROUPS) *")
# And where one of these is no text, no such column.
_COLUMN = re.compile(rb"T(FORM|TYPE|DIM|NULL|SCAL|ZERO)\d+ *")


def check_keywords(path: Path, content: bytes, start: int) -> None:
    """Refuse a header with keywords that are no text: its END is damaged, and data were read as cards.

    So are cards that tell how an HDU is built and do not follow FITS in every byte.

    Parameters
    ----------
    path : Path
        The file, for messages.
    content : bytes
        The header, from its first card to its END or beyond.
    start : int
        Where it begins in the file.

    Raises
    ------
    RampFileError
        As said.
    """
    seen: dict[bytes, bytes] = {}
    for i in range(0, len(content), CARD):
        keyword = content[i : i + len("KEYWORD=")]
        if keyword.translate(PRINTABLE) != keyword:
            raise RampFileError(f"{path}: the header at byte {start} is damaged (a keyword is no text); fetch it again")
        if keyword.rstrip() == b"END":
            return
        card = content[i : i + CARD]
        if _STRUCTURE.fullmatch(keyword):
            # Of two that contradict each other, it is chance which one is read.
            sound = seen.setdefault(keyword, card)[:_VALUE] == card[:_VALUE] and _is_sound(card)
        elif _READ_FIRST.fullmatch(keyword) and not _is_readable(card):
            sound = False
        elif (plain := card.translate(PRINTABLE)) == card:
            continue
        else:
            sound = keyword in _COMMENTARY or (not _COLUMN.fullmatch(keyword) and _has_same_value(card, plain))
        if not sound:
            name = keyword.decode("ascii").rstrip()
            raise RampFileError(
                f"{path}: a header is damaged (its card {name} does not follow FITS); fetch the file again"
            )


@lru_cache(maxsize=1024)  # files of a programme share nearly all of these cards
def _is_sound(card: bytes) -> bool:
    """Whether a card is text with a value; where SIMPLE is not T, a file is no FITS file."""
    if card[_INDICATOR] != b"= ":  # for astropy, what follows is a text
        return False
    try:
        value = fits.Card.fromstring(card).value
    except (ValueError, fits.VerifyError):
        return False
    if card.translate(PRINTABLE) != card or isinstance(value, fits.card.Undefined):
        return False
    return value is True or not card.startswith(b"SIMPLE")


def _is_readable(card: bytes) -> bool:
    """Whether astropy reads a value, or that there is none."""
    try:
        _ = fits.Card.fromstring(card.translate(_ASCII)).value
    except (ValueError, fits.VerifyError):
        return False
    return True


def _has_same_value(card: bytes, plain: bytes) -> bool:
    """Whether astropy reads the same value with `plain` text, or can read none: some bytes are blanks to it."""
    if not _is_readable(card):
        return True
    value = fits.Card.fromstring(card.translate(_ASCII)).value
    return _is_readable(plain) and bool(fits.Card.fromstring(plain).value == value)
