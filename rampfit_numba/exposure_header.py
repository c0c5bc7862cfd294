"""What the file of an exposure says beside its arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astropy.io import fits


@dataclass(frozen=True, eq=False)
class CarriedTable:
    """A table of the input file that goes on into the products.

    Attributes
    ----------
    name : str
        EXTNAME.
    header : astropy.io.fits.Header
    rows : astropy.io.fits.FITS_rec
    """

    name: str
    header: fits.Header
    rows: fits.FITS_rec


@dataclass(frozen=True, eq=False)
class ExposureHeader:
    """What the input file says beside its arrays, carried over to the products.

    Attributes
    ----------
    primary, sci : astropy.io.fits.Header
        Headers of the primary HDU and of the SCI extension.
    int_times : astropy.io.fits.FITS_rec or None
        Rows of the INT_TIMES table, None where the file has none.
    filename : str
        Base name of the file, empty where there is none.
    tables : tuple of CarriedTable
        The other tables that belong to the result.
    left_out : tuple of str
        Names of the extensions that neither the fit uses nor the products get.
    """

    primary: fits.Header
    sci: fits.Header
    int_times: fits.FITS_rec | None = None
    filename: str = ""
    tables: tuple[CarriedTable, ...] = ()
    left_out: tuple[str, ...] = ()


def check_header(value: Any) -> ExposureHeader | None:  # noqa: ANN401
    """Return the argument ``header`` of an exposure, a plain header as the primary one; raises a TypeError."""
    if value is None or isinstance(value, ExposureHeader):
        return value
    from astropy.io import fits

    if isinstance(value, fits.Header):
        return ExposureHeader(primary=value, sci=fits.Header())
    raise TypeError(f"header: expected an ExposureHeader or an astropy.io.fits.Header; got {type(value).__name__}")
