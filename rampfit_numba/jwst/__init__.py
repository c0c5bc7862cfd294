"""The JWST pipeline's ramp fit with this package's engine: a step, a pipeline, and stcal's two functions.

It needs the extra ``jwst``; see ``docs/jwst.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rampfit_numba.jwst.compat import check_detector1, check_ramp_fit

check_ramp_fit()  # before the imports below, so that what is missing is said in one sentence

from rampfit_numba.jwst.calls import ramp_fit, ramp_fit_data  # noqa: E402
from rampfit_numba.jwst.step import RampFitStep  # noqa: E402

if TYPE_CHECKING:
    from rampfit_numba.jwst.pipeline import Detector1Pipeline, install, uninstall

__all__ = ["Detector1Pipeline", "RampFitStep", "install", "ramp_fit", "ramp_fit_data", "uninstall"]

# Where a name is made decides how parameter files name the class: let that be here, the public place.
RampFitStep.__module__ = __name__
_OF_THE_PIPELINE = ("Detector1Pipeline", "install", "uninstall")


def __getattr__(name: str) -> Any:  # noqa: ANN401  (whatever the public name is)
    """Import the pipeline when it is asked for: all of its twenty steps come with it, which takes seconds."""
    if name not in _OF_THE_PIPELINE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    check_detector1()
    from rampfit_numba.jwst import pipeline

    pipeline.Detector1Pipeline.__module__ = __name__
    for each in _OF_THE_PIPELINE:
        globals()[each] = getattr(pipeline, each)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
