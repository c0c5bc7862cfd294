"""Fits to the HDU lists of rate, rateints, fitopt and likely_chisq files.

The HDUs, their names and their order are those of the pipeline's data models ImageModel (IFUImageModel), CubeModel and
RampFitOutputModel, which open them. Differences, all on purpose:

- Rates with chi-squares also have CHISQ (and, where it is counted, DOF) behind the planes that the models know.

- The ASDF extension is empty. The input's must not be copied: its tree describes the ramp, and refers to extensions
  that a product does not have. Nothing need stand there: data models fill their metadata from the FITS keywords, and
  in a ramp file only explicit read times, which mean nothing any more after the fit, exist in ASDF alone. But the
  extension must be there: later pipeline steps (``Step.call`` with a file name) refuse files without it.
- Cards that no data model knows are carried over too, and so are comments and history.
- An axis of length 0 (fitopt, where no ramp has a segment or a jump) is stored as such: FITS allows NAXISn = 0, the
  extension has no data then, and astropy and the data models return an array of that shape.
"""

from __future__ import annotations

import copy
import logging
import re
import textwrap
import unicodedata
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from rampfit_numba._version import __version__
from rampfit_numba.io.table_hdus import table_hdu
from rampfit_numba.registry import ALGORITHMS
from rampfit_numba.result import RampFit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.table import QTable

    from rampfit_numba.result import Rate

log = logging.getLogger(__name__)

# Cards that belong to the input's arrays, HDUs or bytes, not to the observation.
_STRUCTURE = re.compile(
    r"(SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|NEXTEND|PCOUNT|GCOUNT|GROUPS|BSCALE|BZERO|BLANK|DATAMAX|DATAMIN"
    r"|EXTNAME|EXTVER|EXTLEVEL|BUNIT|CHECKSUM|DATASUM|ZHECKSUM|ZDATASUM|END)"
)
# A text, or a value under a keyword; CONTINUE alone is the rest of a string whose beginning is gone.
_CARD = re.compile(r"( {8}|COMMENT |HISTORY |HIERARCH |(?!CONTINUE)(?=[A-Z0-9_-]+ *= )[A-Z0-9_ -]{8}= )")
_IFU_TYPES = frozenset({"NRS_IFU", "MIR_MRS"})
_IFU_LAMP_TYPES = frozenset({"NRS_AUTOWAVE", "NRS_LAMP"})
_HISTORY_WIDTH = 72
#: Characters that a value in quotation marks and a comment may have together in one card.
_WITH_COMMENT = 65
_EMPTY_ASDF = (
    b"#ASDF 1.0.0\n#ASDF_STANDARD 1.5.0\n%YAML 1.1\n%TAG ! tag:stsci.edu:asdf/\n--- !core/asdf-1.1.0\n{}\n...\n"
)
_RATE_UNIT = "DN/s"
#: Tables with a row for each integration (or stripe of one): they go with the rates of these.
_OF_INTEGRATIONS = frozenset({"INT_TIMES_STRIPE"})


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
    """

    readnoise_name: str = ""
    gain_name: str = ""
    gain_factor: float | None = None
    history: Sequence[str] = field(default=())


def rate_hdulist(fit: RampFit, filename: str = "", provenance: Provenance | None = None) -> fits.HDUList:
    """Return the rate product: SCI, ERR, DQ, VAR_POISSON, VAR_RNOISE (and CHISQ, DOF) of shape (nrows, ncols).

    Parameters
    ----------
    fit : RampFit
        Result of a fit; the HDUs hold read-only views of its arrays.
    filename : str
        FILENAME, the base name of the file to come.
    provenance : Provenance, optional
        What the headers say about the references.

    Examples
    --------
    >>> from rampfit_numba import fit_ramps, simulate_exposure
    >>> simulation = simulate_exposure(1, 6, 8, 8)
    >>> fit = fit_ramps(simulation.exposure, simulation.readnoise, simulation.gain)
    >>> rate_hdulist(fit)["SCI"].header["BUNIT"]
    'DN/s'
    """
    primary = _primary(fit, "IFUImageModel" if _is_ifu(fit) else "ImageModel", filename, provenance, fitted=True)
    images = [*_rate_images(fit, fit.rate), *_tables(fit, but=_OF_INTEGRATIONS)]
    return fits.HDUList([primary, *images, empty_asdf()])


def rateints_hdulist(fit: RampFit, filename: str = "", provenance: Provenance | None = None) -> fits.HDUList:
    """Return the rateints product: the images of :func:`rate_hdulist` with a leading axis of nints, and INT_TIMES.

    Parameters are those of :func:`rate_hdulist`; INT_TIMES is there where the input had it.
    """
    images = _rate_images(fit, fit.rateints)
    if fit.header is not None and fit.header.int_times is not None:
        # A copy, since astropy may change the rows that it writes.
        times = table_hdu(fit.header.int_times.copy(), name="INT_TIMES")
        times.ver = 1
        images.insert(3, times)
    images += _tables(fit)
    return fits.HDUList([_primary(fit, "CubeModel", filename, provenance, fitted=True), *images, empty_asdf()])


def fitopt_hdulist(fit: RampFit, filename: str = "", provenance: Provenance | None = None) -> fits.HDUList:
    """Return the fitopt product: SLOPE, SIGSLOPE, VAR_POISSON, VAR_RNOISE, YINT, SIGYINT, PEDESTAL, WEIGHTS, CRMAG.

    Parameters are those of :func:`rate_hdulist`. What the input's SCI header says stands in an SCI HDU without data, as
    the pipeline writes it: there the data models look for the times and the pointing of any product.

    Raises
    ------
    ValueError
        The fit has no ``fitopt``.
    """
    if fit.fitopt is None:
        raise ValueError("fit: expected one with fitopt; it was made with save_opt=False")
    # The pipeline marks rate and rateints as fitted (S_RAMP), not this one.
    hdulist = fits.HDUList([_primary(fit, "RampFitOutputModel", filename, provenance, fitted=False)])
    cards = _science_cards(fit)
    if len(cards):
        hdulist.append(image_hdu("SCI", None, cards))
    hdulist.extend(image_hdu(plane.name.upper(), getattr(fit.fitopt, plane.name)) for plane in fields(fit.fitopt))
    hdulist.append(empty_asdf())
    return hdulist


def chisq_hdulist(fit: RampFit, filename: str = "", provenance: Provenance | None = None) -> fits.HDUList:
    """Return the likely_chisq product: the chi-square of the rate image in SCI, as the pipeline writes it.

    Parameters are those of :func:`rate_hdulist`.

    Raises
    ------
    ValueError
        The fit has no chi-square.
    """
    if fit.rate.chisq is None:
        raise ValueError(f"fit: expected one with a chi-square; the algorithm {fit.options.algorithm!r} has none")
    # Always an ImageModel, and not marked as fitted: both as in the pipeline.
    primary = _primary(fit, "ImageModel", filename, provenance, fitted=False)
    return fits.HDUList([primary, image_hdu("SCI", fit.rate.chisq, _science_cards(fit)), empty_asdf()])


def _tables(fit: RampFit, but: frozenset[str] = frozenset()) -> list[fits.BinTableHDU]:
    """Return the input's tables that go on, as they are."""
    if fit.header is None:
        return []
    carried = [table for table in fit.header.tables if table.name not in but]
    # Copies, since astropy may change the rows that it writes.
    return [table_hdu(table.rows.copy(), table.header.copy(), name=table.name) for table in carried]


def _science_cards(fit: RampFit) -> fits.Header:
    return carried_cards(fit.header.sci) if fit.header is not None else fits.Header()


def _is_ifu(fit: RampFit) -> bool:
    if fit.header is None:
        return False
    kind = _text(fit.header.primary, "EXP_TYPE")
    return kind in _IFU_TYPES or (kind in _IFU_LAMP_TYPES and _text(fit.header.primary, "OPMODE") == "IFU")


def _text(header: fits.Header, key: str) -> str:
    try:
        return str(header.get(key, ""))
    except fits.VerifyError:  # a card that breaks the standard says nothing
        return ""


def _rate_images(fit: RampFit, rate: Rate) -> list[fits.ImageHDU | fits.BinTableHDU]:
    sci = _science_cards(fit)
    unit = fits.Header([("BUNIT", _RATE_UNIT, "physical units of the array values")])
    sci.update(unit)
    images = [
        image_hdu("SCI", rate.data, sci),
        image_hdu("ERR", rate.err, unit),
        image_hdu("DQ", rate.dq),
        image_hdu("VAR_POISSON", rate.var_poisson),
        image_hdu("VAR_RNOISE", rate.var_rnoise),
    ]
    optional = (("CHISQ", rate.chisq), ("DOF", rate.dof))
    return images + [image_hdu(name, plane) for name, plane in optional if plane is not None]


class _SwappedFreely(np.ndarray):
    """An array whose bytes astropy can swap while other threads run: a fit beside it takes 73 instead of 174 ms."""

    def byteswap(self, inplace: bool = False) -> np.ndarray:  # type: ignore[override]  # noqa: FBT001, FBT002  (NumPy's)
        """Return the array with its bytes swapped; unlike NumPy's own, this gives up Python's lock meanwhile."""
        if inplace:
            return super().byteswap(inplace=True)
        swapped = np.empty(self.shape, self.dtype.newbyteorder())
        np.copyto(swapped, self)
        return swapped.view(self.dtype)


def image_hdu(name: str, values: np.ndarray | None, header: fits.Header | None = None) -> fits.ImageHDU:
    """Return an image HDU of a read-only view: astropy would swap the bytes of a writable array in place to write it.

    uint32 is stored as FITS and JWST files have it: int32 with BZERO = 2^31.
    """
    if values is not None:
        # What is only planned yet has no strides, and takes no memory.
        values = (values if not any(values.strides) else np.ascontiguousarray(values)).view(_SwappedFreely)
        values.flags.writeable = False
    hdu = fits.ImageHDU(values, header, name=name)
    hdu.ver = 1
    return hdu


def jumps_hdulist(
    fit: RampFit, filename: str = "", provenance: Provenance | None = None, jumps: QTable | None = None
) -> fits.HDUList:
    """Return the jumps as a table, JUMPS: what :func:`rampfit_numba.find_jumps` returns, or `jumps`.

    Parameters are otherwise those of :func:`rate_hdulist`.

    Raises
    ------
    ValueError
        The fit does not know what was fitted.
    """
    from astropy.table import Table

    from rampfit_numba.jumps import find_jumps

    table = Table(find_jumps(fit) if jumps is None else jumps)
    hdu = fits.table_to_hdu(Table({name: table[name].value for name in table.colnames}))
    hdu.name, hdu.ver = "JUMPS", 1
    for number, name in enumerate(table.colnames, 1):
        if name == "size":
            # FITS knows DN as adu, and electrons not at all: their comment says what they are.
            hdu.columns[name].unit = "adu"
        hdu.header.comments[f"TTYPE{number}"] = table[name].info.description[:47]
    return fits.HDUList([_primary(fit, "", filename, provenance, fitted=False), hdu])


def to_hdulists(fit: RampFit) -> dict[str, fits.HDUList]:
    """Return the products of a fit as HDU lists: what the files would hold.

    Also as ``fit.to_hdulists()``.

    Parameters
    ----------
    fit : RampFit
        Result of a fit.

    Returns
    -------
    dict of str to astropy.io.fits.HDUList
        ``"rate"``, ``"rateints"``, and what the fit has beside them: ``"fitopt"``, ``"likely_chisq"``. The arrays are
        read-only views of those of the fit.

    Raises
    ------
    TypeError
        `fit` is no RampFit.

    Examples
    --------
    >>> import numpy as np
    >>> from rampfit_numba import Exposure, fit_ramps
    >>> ramp = np.arange(10, dtype=np.float32).reshape(1, 10, 1, 1) * 30
    >>> fit = fit_ramps(Exposure(ramp, None, group_time=3.0), readnoise=14.0, gain=5.5)
    >>> list(fit.to_hdulists())
    ['rate', 'rateints']
    """
    if not isinstance(fit, RampFit):
        raise TypeError(f"fit: expected a RampFit; got {type(fit).__name__}")
    made = {"rate": rate_hdulist(fit), "rateints": rateints_hdulist(fit)}
    if fit.fitopt is not None:
        made["fitopt"] = fitopt_hdulist(fit)
    if ALGORITHMS[fit.options.algorithm].optional_product == "likely_chisq":
        made["likely_chisq"] = chisq_hdulist(fit)
    return made


def empty_asdf() -> fits.BinTableHDU:
    """Return the extension without which the pipeline's steps refuse a file, with an empty tree."""
    content = np.frombuffer(_EMPTY_ASDF, np.uint8)[None]
    column = fits.Column("ASDF_METADATA", f"{content.size}B", array=content)
    return table_hdu(fits.FITS_rec.from_columns(fits.ColDefs([column])), name="ASDF")


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


def _primary(
    fit: RampFit, model: str, filename: str, provenance: Provenance | None, *, fitted: bool
) -> fits.PrimaryHDU:
    provenance = provenance or Provenance()
    header = carried_cards(fit.header.primary) if fit.header is not None else fits.Header()
    now = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    _set(header, "DATE", now, "UTC date file created")
    if filename:
        _set(header, "FILENAME", filename, "Name of the file")
    if model:
        _set(header, "DATAMODL", model, "Type of data model")
    else:
        header.remove("DATAMODL", ignore_missing=True)
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
    return fits.PrimaryHDU(header=header)


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
