"""Binary tables of FITS files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astropy.io import fits

if TYPE_CHECKING:
    import numpy as np


def table_hdu(rows: np.ndarray, header: fits.Header | None = None, *, name: str = "") -> fits.BinTableHDU:
    """Return a binary table of `rows`, a structured array, as ``fits.BinTableHDU`` makes it.

    That one imports all of astropy.table to see whether it was given one of those, a quarter of a short run.
    """
    hdu = fits.BinTableHDU.__new__(fits.BinTableHDU)
    super(fits.BinTableHDU, hdu).__init__(rows, header, name=name or None)
    return hdu
