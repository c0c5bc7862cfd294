"""Headers of products: what the input's say of the observation, and what is said of the fit and its references."""

from __future__ import annotations

import copy
import logging
import re
import textwrap
import unicodedata
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from astropy.io import fits

from rampfit_numba._version import __version__
from rampfit_numba.units import DN_PER_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rampfit_numba.result import RampFit

log = logging.getLogger(__name__)

# Cards that belong to the input's arrays, HDUs or bytes, not to the observation.
_STRUCTURE = re.compile(
    r"(SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|NEXTEND|PCOUNT|GCOUNT|GROUPS|BSCALE|BZERO|BLANK|DATAMAX|DATAMIN"
    r"|EXTNAME|EXTVER|EXTLEVEL|BUNIT|CHECKSUM|DATASUM|ZHECKSUM|ZDATASUM|END)"
)
# A text, or a value under a keyword; CONTINUE alone is the rest of a string whose beginning is gone.
_CARD = re.compile(r"( {8}|COMMENT |HISTORY |HIERARCH |(?!CONTINUE)(?=[A-Z0-9_-]+ *= )[A-Z0-9_ -]{8}= )")
_HISTORY_WIDTH = 72
#: Characters that a value in quotation marks and a comment may have together in one card.
_WITH_COMMENT = 65


@dataclass(frozen=True)
class Provenance:
    """Where a fit's references came from, for the headers of its products.

    Attributes
    ----------
    readnoise_name, gain_name : str
        R_READNO and R_GAIN; empty: the input's cards stay as they are.
    gain_factor : float or None
        GAINFACT; None: the input's card stays as it is.
    history : sequence of str
        Lines for HISTORY, after the software's own.
    rate_unit : str
        BUNIT of rates: electron/s where a gain of 1 stands for reads in electrons.
    """

    readnoise_name: str = ""
    gain_name: str = ""
    gain_factor: float | None = None
    history: Sequence[str] = field(default=())
    rate_unit: str = DN_PER_S


def carried_cards(header: fits.Header) -> fits.Header:
    """Return a copy without the cards of structure: comments, section titles and history stay, in their order."""
    carried = fits.Header()
    for card in map(copy.copy, header.cards):
        if _STRUCTURE.fullmatch(card.keyword):
            continue
        if _mend(card):
            carried.append(card, end=True)
        else:
            log.warning("A card of the input's header is beyond understanding and is left out: %s", card.keyword)
    return carried


def _mend(card: fits.Card) -> bool:
    """Make a card follow the standard, its value a string if it must be; return whether that was possible.

    A fault of the input's header must not cost the fit, nor make a product unreadable.
    """
    try:
        card.verify("silentfix+ignore")
        image = str(card)
    except (ValueError, TypeError, fits.VerifyError):
        return False
    return _CARD.match(image) is not None


class ProductHeaders:
    """The headers of one fit's products, of which most is the same for all of them.

    Parameters
    ----------
    fit : RampFit
    provenance : Provenance, optional
        What they say about the references.
    """

    def __init__(self, fit: RampFit, provenance: Provenance | None = None) -> None:
        self._fit = fit
        self._provenance = provenance or Provenance()
        self._made: dict[tuple[bool, bool, bool], fits.Header] = {}

    @property
    def unit(self) -> tuple[str, str, str]:
        """The card of the rates' unit."""
        return "BUNIT", self._provenance.rate_unit, "physical units of the array values"

    @cached_property
    def science(self) -> fits.Header:
        """The cards of the input's SCI that go on: not to be changed."""
        return carried_cards(self._fit.header.sci) if self._fit.header is not None else fits.Header()

    def primary(self, model: str, filename: str, *, fitted: bool) -> fits.Header:
        """Return the primary header of a product as it will stand in its file, where extensions follow it.

        Parameters
        ----------
        model : str
            DATAMODL; empty: none.
        filename : str
            FILENAME; empty: what the input's header says.
        fitted : bool
            Whether it says that the ramps were fitted (S_RAMP).
        """
        own = [("FILENAME", filename, "Name of the file"), ("DATAMODL", model, "Type of data model")]
        kind = (bool(model), bool(filename), fitted)
        if kind not in self._made:
            self._made[kind] = self._first_primary(own, fitted=fitted)
        header = self._made[kind].copy()
        for key, value, comment in own:
            if value:
                _set(header, key, value, comment)
        return header

    def _first_primary(self, own: Sequence[tuple[str, str, str]], *, fitted: bool) -> fits.Header:
        fit, provenance = self._fit, self._provenance
        header = carried_cards(fit.header.primary) if fit.header is not None else fits.Header()
        now = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
        _set(header, "DATE", now, "UTC date file created")
        for key, value, comment in own:
            if value:
                _set(header, key, value, comment)
            elif key == "DATAMODL":
                header.remove(key, ignore_missing=True)
        if fitted:
            _set(header, "S_RAMP", "COMPLETE", "Ramp Fitting", section="S_")
        if provenance.gain_name:
            _set(header, "R_GAIN", provenance.gain_name, "Gain reference file name", section="R_")
        if provenance.readnoise_name:
            _set(header, "R_READNO", provenance.readnoise_name, "Read noise reference file name", section="R_")
        if provenance.gain_factor is not None:
            _set(header, "GAINFACT", provenance.gain_factor, "Gain scale factor")
        for line in history_lines(fit, provenance.history):
            header.add_history(line)
        # As astropy does before it writes a file.
        hdulist = fits.HDUList([fits.PrimaryHDU(header=header), fits.ImageHDU()])
        hdulist[0].verify("silentfix+ignore")
        hdulist.update_extend()
        found: fits.Header = hdulist[0].header
        return found


def header_text(text: str) -> str:
    """Return `text` as a header can hold it, in printable ASCII: without accents, ``?`` for what has no like."""
    plain = (char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in plain)


def _set(header: fits.Header, key: str, value: str | float, comment: str, section: str = "") -> None:
    """Set a card where it stands; a new one goes behind the last of its section."""
    if isinstance(value, str):
        value = header_text(value)
        if len(value.replace("'", "''")) + len(comment) > _WITH_COMMENT:  # astropy would warn, and cut the comment
            comment = ""
    same = [card.keyword for card in header.cards if section and card.keyword.startswith(section)]
    if key not in header and same:
        header.set(key, value, comment, after=same[-1])
    else:
        header.set(key, value, comment)


def history_lines(fit: RampFit, more: Sequence[str] = ()) -> list[str]:
    """Return what the header's HISTORY says about a fit: software, version, options; in lines that a card can hold.

    Parameters
    ----------
    fit : RampFit
    more : sequence of str
        Lines to follow.
    """
    options = ", ".join(f"{option.name}={getattr(fit.options, option.name)}" for option in fields(fit.options))
    lines = [f"rampfit_numba {__version__}: ramp fitting", f"rampfit_numba parameters: {options}"]
    if fit.nothing_to_fit:
        lines.append(f"rampfit_numba: no pixel could be fitted: {fit.nothing_to_fit}")
    # A card holds 72 characters; astropy would go on in the next one in the middle of a word.
    parts = [textwrap.wrap(line, _HISTORY_WIDTH, subsequent_indent="  ") for line in (*lines, *more)]
    return [header_text(part) for line in parts for part in line]
