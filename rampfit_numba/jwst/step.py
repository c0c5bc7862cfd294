"""The pipeline's ramp_fit step with this package's engine."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jwst import ramp_fitting
from stdatamodels.jwst import datamodels

from rampfit_numba.jwst.fitting import (
    LIKELY,
    FitSettings,
    Fitted,
    fit_exposure,
    known_algorithm,
    known_cores,
    usable_algorithm,
)
from rampfit_numba.jwst.models import (
    chisq_model,
    exposure_of,
    fitopt_model,
    rate_model,
    rateints_model,
    read_references,
    with_own_metadata,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(f"stpipe.{__name__}")  # below "stpipe", whose messages the pipeline shows and keeps

#: The package's own logger, which the pipeline does not know.
LOGGER = "rampfit_numba"


class _Relay(logging.Handler):
    """Hands messages to the pipeline's logger."""

    def emit(self, record: logging.LogRecord) -> None:
        """Have the pipeline's handlers show and keep a message."""
        logging.getLogger("stpipe").handle(record)


@contextmanager
def _relayed(step: Any) -> Iterator[None]:  # noqa: ANN401
    """Show and keep the engine's messages also in a pipeline whose loggers do not include the engine's."""
    while step.parent is not None:
        step = step.parent
    if LOGGER in step.get_stpipe_loggers():
        yield
        return
    engine, relay = logging.getLogger(LOGGER), _Relay()
    level, propagate = engine.level, engine.propagate
    engine.addHandler(relay)
    engine.propagate = False  # the pipeline's logger propagates each message to the root once already
    if engine.level == logging.NOTSET:
        engine.setLevel(logging.getLogger("stpipe").getEffectiveLevel())
    try:
        yield
    finally:
        engine.removeHandler(relay)
        engine.setLevel(level)
        engine.propagate = propagate


class RampFitStep(ramp_fitting.RampFitStep):  # type: ignore[misc]  # jwst ships no types
    """
    Fit ramp data to determine the mean count rate, with the engine of rampfit_numba.

    Parameters, reference files and products are those of jwst.ramp_fitting.RampFitStep, whose place it takes. Beyond
    these, the parameter executor chooses between threads and processes where maximum_cores allows several workers,
    int_name names the per-integration product, readnoise_kind tells CDS read noise, which JWST's reference files have,
    from that of a single frame, and progress shows a progress bar.
    """

    class_alias = "ramp_fit"

    spec = """
        algorithm = option('OLS_C', 'OLS', 'ols', 'LIKELY', 'likely', default='OLS_C')  # Ramp fitting algorithm
        int_name = string(default='')  # Name of the per-integration product
        save_opt = boolean(default=False)  # Save optional output
        opt_name = string(default='')  # Name of the optional product
        suppress_one_group = boolean(default=True)  # Suppress saturated ramps with good 0th group
        firstgroup = integer(default=None)  # Ignore groups before this one (zero indexed)
        lastgroup = integer(default=None)  # Ignore groups after this one (zero indexed)
        readnoise_kind = option('cds', 'single', default='cds')  # Read noise of the difference of two frames, or of one
        maximum_cores = pass(default='none')  # Workers: 'none', 'quarter', 'half', 'all', or a number
        executor = option('threads', 'processes', default='threads')  # What the workers are
        progress = boolean(default=False)  # Show a progress bar
    """

    reference_file_types = ["readnoise", "gain"]  # noqa: RUF012  (as the pipeline declares it)

    @staticmethod
    def get_stpipe_loggers() -> tuple[str, ...]:
        """Return the names of the loggers that the pipeline shows while the step runs, the engine's included."""
        return (*ramp_fitting.RampFitStep.get_stpipe_loggers(), LOGGER)

    def process(self, step_input: Any) -> tuple[Any, Any]:  # noqa: ANN401
        """
        Fit the ramps.

        Parameters
        ----------
        step_input : str or RampModel
            A file or a model. It is not modified, and its arrays are used without a copy.

        Returns
        -------
        out_model : ImageModel, IFUImageModel or None
            The count rate of the exposure; None where there is nothing to fit.
        int_model : CubeModel or None
            The count rate of each integration.
        """
        algorithm, cores = known_algorithm(self.algorithm), known_cores(self.maximum_cores)
        if self.parent is None and isinstance(step_input, datamodels.JwstDataModel):
            step_input = with_own_metadata(step_input)  # before it is opened as a RampModel, which renames its type
        model = self.prepare_output(step_input, make_copy=False, open_as_type=datamodels.RampModel)
        readnoise_file = self.get_reference_file(model, "readnoise")
        gain_file = self.get_reference_file(model, "gain")

        read_times = getattr(model.meta.exposure, "read_times", None)
        if read_times is not None and len(read_times) > 0 and algorithm != LIKELY:
            log.warning("Setting the algorithm to LIKELY for unevenly sampled exposure")
            algorithm = LIKELY
        algorithm = usable_algorithm(algorithm, model.data.shape[1])

        log.info("Using READNOISE reference file: %s", readnoise_file)
        log.info("Using GAIN reference file: %s", gain_file)
        readnoise, gain, gain_factor = read_references(model, readnoise_file, gain_file)
        if gain_factor is not None:  # for the gain_scale step
            model.meta.exposure.gain_factor = gain_factor
        log.info("Using algorithm = %s", algorithm)
        log.info("Using weighting = %s", self.weighting)

        settings = FitSettings(
            algorithm=algorithm,
            save_opt=self.save_opt,
            suppress_one_group=self.suppress_one_group,
            firstgroup=self.firstgroup,
            lastgroup=self.lastgroup,
            readnoise_kind=self.readnoise_kind,
            maximum_cores=cores,
            executor=self.executor,
            progress=self.progress,
        )
        with _relayed(self):
            fitted = fit_exposure(exposure_of(model, keep_read_times=algorithm == LIKELY), readnoise, gain, settings)
        if fitted is None:
            return None, None
        self._save_optional(model, fitted)
        return rate_model(model, fitted.rate), rateints_model(model, fitted.rateints)

    def _save_optional(self, model: Any, fitted: Fitted) -> None:  # noqa: ANN401
        """Save what save_opt asks for: as in the pipeline, whatever save_results says."""
        name = self.opt_name or model.meta.filename
        if fitted.fitopt is not None:
            self.save_model(fitopt_model(model, fitted.fitopt), "fitopt", output_file=name)
        if self.save_opt and fitted.chisq is not None:
            self.save_model(chisq_model(model, fitted.chisq), "likely_chisq", output_file=name)

    def save_model(self, model: Any, suffix: Any = None, idx: int | None = None, **others: Any) -> Any:  # noqa: ANN401
        """
        Save a product under the step's naming scheme.

        Parameters and result are those of the pipeline's step, with two differences. The per-integration product goes
        by int_name where that is given. And output_use_model, which gives both products one name, does not let the
        second overwrite the first: that keeps its index in its name.
        """
        # In a pipeline the product is the pipeline's, which names it: another one must not have that name, too.
        if suffix is None and self.int_name and self.parent is None and isinstance(model, datamodels.CubeModel):
            return self._save_as(model, self.int_name, "rateints", None)
        if suffix is None and self.output_use_model and idx == 0:
            return self._save_as(model, model.meta.filename, None, idx)
        return super().save_model(model, suffix, idx, **others)

    def _save_as(self, model: Any, name: str, suffix: str | None, idx: int | None) -> str:  # noqa: ANN401
        path: str = model.save(self.make_output_path(basepath=name, suffix=suffix, idx=idx))
        log.info("Saved model in %s", path)
        return path
