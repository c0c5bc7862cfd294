"""Fit detector ramps "up the ramp" with Numba: count rates equal to the JWST pipeline's."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rampfit_numba.messages import PrintableRecords

if TYPE_CHECKING:
    from rampfit_numba._version import __version__
    from rampfit_numba.api import fit_ramps
    from rampfit_numba.compilation import warm_up
    from rampfit_numba.exposure import Exposure
    from rampfit_numba.exposure_header import ExposureHeader
    from rampfit_numba.files import FileResult, fit_file, fit_files
    from rampfit_numba.flags import make_groupdq
    from rampfit_numba.io.fits import read_exposure, write_products
    from rampfit_numba.io.hdulists import exposure_from_hdulist
    from rampfit_numba.io.nddata import to_ccddata, to_nddata
    from rampfit_numba.io.products import to_hdulists
    from rampfit_numba.io.reads import read_reads
    from rampfit_numba.io.references import read_reference
    from rampfit_numba.io.roman import read_roman
    from rampfit_numba.io.roman_images import write_roman
    from rampfit_numba.io.wfc3 import read_ima
    from rampfit_numba.io.wfc3_flt import write_flt
    from rampfit_numba.jumps import find_jumps
    from rampfit_numba.messages import RampFileError, RampFitWarning
    from rampfit_numba.options import FitOptions
    from rampfit_numba.read_files import fit_reads
    from rampfit_numba.readnoise import estimate_readnoise
    from rampfit_numba.result import FitInputs, FitOpt, RampFit, Rate, RateInts
    from rampfit_numba.segments import find_samples, find_segments
    from rampfit_numba.simulate import simulate_exposure
    from rampfit_numba.used_reads import count_reads
    from rampfit_numba.view.viewer import view

__all__ = [
    "Exposure",
    "ExposureHeader",
    "FileResult",
    "FitInputs",
    "FitOpt",
    "FitOptions",
    "RampFileError",
    "RampFit",
    "RampFitWarning",
    "Rate",
    "RateInts",
    "__version__",
    "count_reads",
    "estimate_readnoise",
    "exposure_from_hdulist",
    "find_jumps",
    "find_samples",
    "find_segments",
    "fit_file",
    "fit_files",
    "fit_ramps",
    "fit_reads",
    "make_groupdq",
    "read_exposure",
    "read_ima",
    "read_reads",
    "read_reference",
    "read_roman",
    "simulate_exposure",
    "to_ccddata",
    "to_hdulists",
    "to_nddata",
    "view",
    "warm_up",
    "write_flt",
    "write_products",
    "write_roman",
]

# Where each public name lives: astropy and numba take half a second to import, so nothing is imported before it is
# used.
_MODULES = {
    "Exposure": "exposure",
    "ExposureHeader": "exposure_header",
    "FileResult": "files",
    "FitInputs": "result",
    "FitOpt": "result",
    "FitOptions": "options",
    "RampFileError": "messages",
    "RampFit": "result",
    "RampFitWarning": "messages",
    "Rate": "result",
    "RateInts": "result",
    "__version__": "_version",
    "count_reads": "used_reads",
    "estimate_readnoise": "readnoise",
    "exposure_from_hdulist": "io.hdulists",
    "find_jumps": "jumps",
    "find_samples": "segments",
    "find_segments": "segments",
    "fit_file": "files",
    "fit_files": "files",
    "fit_ramps": "api",
    "fit_reads": "read_files",
    "make_groupdq": "flags",
    "read_exposure": "io.fits",
    "read_ima": "io.wfc3",
    "read_reads": "io.reads",
    "read_reference": "io.references",
    "read_roman": "io.roman",
    "simulate_exposure": "simulate",
    "to_ccddata": "io.nddata",
    "to_hdulists": "io.products",
    "to_nddata": "io.nddata",
    "view": "view.viewer",
    "warm_up": "compilation",
    "write_flt": "io.wfc3_flt",
    "write_products": "io.fits",
    "write_roman": "io.roman_images",
}

# A library says nothing unasked: without this, Python prints warnings and errors of loggers that nobody listens to.
# What stands in names and headers is data to whoever listens; the steps of pipelines log below "stpipe".
logging.getLogger(__name__).addHandler(PrintableRecords())
logging.getLogger(f"stpipe.{__name__}").addHandler(PrintableRecords())


def __getattr__(name: str) -> Any:  # noqa: ANN401  (whatever the public name is)
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
