"""The JWST pipeline's ramp fit with this package's engine: a step, a pipeline, and stcal's two functions.

It needs the extra ``jwst``; see ``docs/jwst.md``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rampfit_numba.jwst.compat import check_detector1, check_ramp_fit

check_ramp_fit()  # before the imports below, so that what is missing is said in one sentence

from rampfit_numba.jwst import ramp_fit_step  # noqa: E402
from rampfit_numba.jwst.calls import ramp_fit, ramp_fit_data  # noqa: E402
from rampfit_numba.jwst.models import exposure_from_datamodel  # noqa: E402
from rampfit_numba.jwst.ramp_fit_step import RampFitStep  # noqa: E402

if TYPE_CHECKING:
    from rampfit_numba.jwst.installing import install, uninstall
    from rampfit_numba.jwst.pipeline import Detector1Pipeline

__all__ = [
    "Detector1Pipeline",
    "RampFitStep",
    "exposure_from_datamodel",
    "install",
    "ramp_fit",
    "ramp_fit_data",
    "ramp_fit_step",
    "uninstall",
]

# Where a name is made decides how parameter files name the class: let that be here, the public place.
RampFitStep.__module__ = __name__
_OF_THE_PIPELINE = {"Detector1Pipeline": "pipeline", "install": "installing", "uninstall": "installing"}


def __getattr__(name: str) -> Any:  # noqa: ANN401  (whatever the public name is)
    """Import the pipeline when it is asked for: all of its twenty steps come with it, which takes seconds."""
    if name not in _OF_THE_PIPELINE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    check_detector1()
    found = getattr(import_module(f"{__name__}.{_OF_THE_PIPELINE[name]}"), name)
    if name == "Detector1Pipeline":
        found.__module__ = __name__
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
