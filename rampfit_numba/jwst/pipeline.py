"""The Detector1 pipeline with this package's ramp_fit step."""

from __future__ import annotations

from typing import Any, ClassVar

from jwst import pipeline

from rampfit_numba.jwst.fitting import LOGGER
from rampfit_numba.jwst.ramp_fit_step import RampFitStep


class Detector1Pipeline(pipeline.Detector1Pipeline):  # type: ignore[misc]  # jwst ships no types
    """
    Apply all calibration steps to raw JWST ramps to produce a 2-D slope product.

    It is jwst.pipeline.Detector1Pipeline with the ramp_fit step of rampfit_numba.
    """

    step_defs: ClassVar[dict[str, Any]] = {**pipeline.Detector1Pipeline.step_defs, "ramp_fit": RampFitStep}

    @staticmethod
    def get_stpipe_loggers() -> tuple[str, ...]:
        """Return the names of the loggers that the pipeline shows while it runs, the engine's included."""
        return (*pipeline.Detector1Pipeline.get_stpipe_loggers(), LOGGER)

    def save_model(self, model: Any, suffix: Any = None, *args: Any, **others: Any) -> Any:  # noqa: ANN401
        """
        Save a product under the pipeline's naming scheme.

        Parameters and result are those of jwst.pipeline.Detector1Pipeline. The per-integration product goes by the
        ramp_fit step's int_name where that is given.
        """
        name = self.ramp_fit.int_name
        if name and suffix == "rateints" and (self.save_results or self.output_file):
            others["output_file"] = name
        return super().save_model(model, suffix, *args, **others)
