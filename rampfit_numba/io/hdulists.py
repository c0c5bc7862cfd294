"""Exposures in HDU lists that a program has in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.checked_files import Stamp
from rampfit_numba.io import hdu_data
from rampfit_numba.io.exposures import Parts, assemble
from rampfit_numba.io.hdus import DTYPES, Hdu, data_size, keyword_value, one_line
from rampfit_numba.messages import RampFileError

if TYPE_CHECKING:
    from astropy.io import fits

    from rampfit_numba.exposure import Exposure


def exposure_from_hdulist(hdulist: fits.HDUList) -> Exposure:
    """Return the exposure in an HDU list, as the jump step's files have it; its arrays are those of the HDUs.

    Also as ``Exposure.from_hdulist(hdulist)``.

    Parameters
    ----------
    hdulist : astropy.io.fits.HDUList
        With the extensions and keywords that :func:`rampfit_numba.read_exposure` reads, and by its rules: the exposure
        is the same, or refused for the same reason. (Flags with a BLANK are refused: astropy has made NaN of it.) An
        open file must stay open while the exposure is used.

    Returns
    -------
    Exposure
        Its header is that of the list.

    Raises
    ------
    TypeError
        `hdulist` is no HDUList.
    RampFileError
        An extension or a keyword is missing or unusable; the message says which, and why.

    Examples
    --------
    >>> from astropy.io import fits
    >>> with fits.open("jw01_nrca1_jump.fits") as hdulist:  # doctest: +SKIP
    ...     fit = fit_ramps(Exposure.from_hdulist(hdulist), readnoise=14.0, gain=5.5)
    """
    from astropy.io import fits

    if not isinstance(hdulist, fits.HDUList):
        raise TypeError(f"hdulist: expected an astropy HDUList; got {type(hdulist).__name__}")
    path = Path(hdulist.filename() or "hdulist")
    found = [_listed(path, hdu, first=not number) for number, hdu in enumerate(hdulist)]
    if not found:
        raise RampFileError(f"{path}: holds no HDU; give the list of a jump-step or ramp file")
    return assemble(_PartsOfList(path, Path(hdulist.filename() or "").name, found))


@dataclass(frozen=True, eq=False)
class _Listed(Hdu):
    """An HDU in memory: astropy's, and what is known of it without its data."""

    listed: Any = None


def _listed(path: Path, hdu: Any, *, first: bool) -> _Listed:  # noqa: ANN401
    name = "PRIMARY" if first else hdu.name.upper()
    if hdu.is_image:  # compressed ones too, whatever their headers say
        shape, nbytes = hdu.shape, hdu.size
    else:
        shape, nbytes = data_size(path, hdu.header, f"extension {name}")
    return _Listed(name, hdu.header, shape, 0, nbytes, Stamp(0, None), listed=hdu)


class _PartsOfList(Parts):
    """Those of a list in memory: its arrays as they are."""

    def image(self, hdu: Hdu, *, flags: bool = False, large: bool = False) -> np.ndarray:  # noqa: ARG002
        hdu_data.check_image(self.path, hdu)
        values = np.asarray(self._data(hdu))
        # Astropy takes the cards away when it has scaled, or makes another type of it.
        scaled = any(
            keyword_value(self.path, hdu.header, card, f"extension {hdu.name}") not in (None, default)
            for card, default in (("BSCALE", 1), ("BZERO", 0))
        )
        if scaled and values.dtype == np.dtype(DTYPES[hdu.header["BITPIX"]]):
            raise RampFileError(
                f"{self.path}: extension {hdu.name} holds values without their scale (BSCALE, BZERO); open the file "
                "without do_not_scale_image_data"
            )
        if flags and values.dtype.kind == "f" and (values == np.rint(values)).all():
            # Astropy gives those that FITS has to shift as floats where it was asked to (uint=False).
            return values.astype(np.int64)
        return values

    def table(self, hdu: Hdu) -> fits.FITS_rec:
        return hdu_data.checked_rows(self.path, hdu, lambda: self._data(hdu))

    def content(self, hdu: Hdu) -> bytes:
        return bytes(self._data(hdu).tobytes())

    def _data(self, hdu: Hdu) -> Any:  # noqa: ANN401  (an array, or the rows of a table)
        assert isinstance(hdu, _Listed)  # noqa: S101  (for mypy)
        try:
            return hdu.listed.data
        except Exception as error:  # astropy meets descriptions without sense in many ways
            raise RampFileError(
                f"{self.path}: extension {hdu.name} cannot be understood ({one_line(error)})"
            ) from error
