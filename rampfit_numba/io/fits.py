"""The FITS functions that a program calls, in one place."""

from __future__ import annotations

from rampfit_numba.io.exposures import read_exposure
from rampfit_numba.io.outputs import check_outputs, product_paths, write_products
from rampfit_numba.io.product_headers import Provenance
from rampfit_numba.io.products import chisq_hdulist, fitopt_hdulist, rate_hdulist, rateints_hdulist

__all__ = [
    "Provenance",
    "check_outputs",
    "chisq_hdulist",
    "fitopt_hdulist",
    "product_paths",
    "rate_hdulist",
    "rateints_hdulist",
    "read_exposure",
    "write_products",
]
