"""Exposures in HDU lists that a program has in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.exposure import Exposure
from rampfit_numba.exposure_header import ExposureHeader
from rampfit_numba.io.exposures import ORIGINS, Keywords
from rampfit_numba.messages import RampFileError

if TYPE_CHECKING:
    from astropy.io import fits


def exposure_from_hdulist(hdulist: fits.HDUList) -> Exposure:
    """Return the exposure in an HDU list, as the jump step's files have it; its arrays are those of the HDUs.

    Also as ``Exposure.from_hdulist(hdulist)``.

    Parameters
    ----------
    hdulist : astropy.io.fits.HDUList
        With the extensions and keywords that :func:`rampfit_numba.read_exposure` reads. Explicit read times, which only
        an ASDF extension holds, are not looked for. An open file must stay open while the exposure is used.

    Returns
    -------
    Exposure
        Its header is that of the list.

    Raises
    ------
    TypeError
        `hdulist` is no HDUList.
    RampFileError
        An extension or a keyword is missing or unusable; the message says which.

    Examples
    --------
    >>> from astropy.io import fits
    >>> with fits.open("jw01_nrca1_jump.fits") as hdulist:  # doctest: +SKIP
    ...     fit = fit_ramps(Exposure.from_hdulist(hdulist), readnoise=14.0, gain=5.5)
    """
    from astropy.io import fits

    if not isinstance(hdulist, fits.HDUList):
        raise TypeError(f"hdulist: expected an astropy HDUList; got {type(hdulist).__name__}")
    where = Path(hdulist.filename() or "hdulist")
    primary = hdulist[0].header
    for name in ("SCI", "GROUPDQ"):
        if name not in hdulist or hdulist[name].data is None:
            raise RampFileError(f"{where}: extension {name} is missing, or without data; give one of the jump step")
    keywords = Keywords(where, primary)
    times = hdulist["INT_TIMES"].data if "INT_TIMES" in hdulist else None
    try:
        return Exposure(
            hdulist["SCI"].data,
            _flags(hdulist["GROUPDQ"].data),
            keywords.number("TGROUP", "the time from group to group in s"),
            pixeldq=_flags(_optional(hdulist, "PIXELDQ")),
            frame_time=keywords.number("TFRAME", "the time from frame to frame in s"),
            nframes=keywords.integer("NFRAMES"),
            groupgap=keywords.integer("GROUPGAP", 0),
            drop_frames1=keywords.integer("DRPFRMS1", 0),
            average_dark_current=_optional(hdulist, "AVDRKCUR"),
            zeroframe=_optional(hdulist, "ZEROFRAME"),
            instrument=keywords.text("INSTRUME"),
            header=ExposureHeader(primary, hdulist["SCI"].header, times, Path(hdulist.filename() or "").name),
        )
    except (TypeError, ValueError) as error:
        if isinstance(error, RampFileError):
            raise
        argument, _, complaint = str(error).partition(": ")
        raise RampFileError(f"{where}: {ORIGINS.get(argument, argument)}: {complaint}") from error


def _optional(hdulist: fits.HDUList, name: str) -> Any:  # noqa: ANN401  (an array, or None)
    return hdulist[name].data if name in hdulist else None


def _flags(values: Any) -> Any:  # noqa: ANN401  (the same)
    """Return flags as integers: astropy gives those that FITS has to shift as floats, in some of its versions."""
    return values if values is None or values.dtype.kind in "iu" else np.asarray(values).astype(np.int64)
