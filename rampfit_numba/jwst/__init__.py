"""The JWST pipeline's ramp fit with this package's engine: a step, a pipeline, and stcal's two functions.

It needs the extra ``jwst``; see ``docs/jwst.md``.
"""

from __future__ import annotations

from rampfit_numba.jwst.compat import check_pipeline

check_pipeline()  # before the imports below, so that what is missing is said in one sentence

from rampfit_numba.jwst.calls import ramp_fit, ramp_fit_data  # noqa: E402
from rampfit_numba.jwst.pipeline import Detector1Pipeline, install, uninstall  # noqa: E402
from rampfit_numba.jwst.step import RampFitStep  # noqa: E402

__all__ = ["Detector1Pipeline", "RampFitStep", "install", "ramp_fit", "ramp_fit_data", "uninstall"]

# Parameter files that are exported name the class by its module: let that be the public one.
for _step in (RampFitStep, Detector1Pipeline):
    _step.__module__ = __name__
