"""The pipeline's ramp_fit step with this package's engine; the module has the name of the pipeline's own."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import fields
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from jwst.ramp_fitting import RampFitStep as _PipelineStep
from stdatamodels.jwst import datamodels

from rampfit_numba.io.reference_names import check_number
from rampfit_numba.jwst.files import exposure_named, has_group_flags
from rampfit_numba.jwst.fitting import (
    LOGGER,
    fit_exposure,
    is_likelihood,
    known_algorithm,
    known_cores,
    logged_warnings,
    pipeline_groups,
    shown_name,
    usable_options,
    warn_of_skipped,
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
from rampfit_numba.options import FitOptions, Weighting, parse_weighting
from rampfit_numba.registry import ALGORITHMS

if TYPE_CHECKING:
    from rampfit_numba.result import RampFit

__all__ = ["RampFitStep"]

log = logging.getLogger(f"stpipe.{__name__}")  # below "stpipe", whose messages the pipeline shows and keeps


class RampFitStep(_PipelineStep):  # type: ignore[misc]  # jwst ships no types
    """
    Fit ramp data to determine the mean count rate, with the engine of rampfit_numba.

    Parameters, reference files and products are those of jwst.ramp_fitting.RampFitStep, whose place it takes. Beyond
    these, algorithm may be likely_joint, rejection_threshold and pedestal are options of the likelihood fits,
    weighting and errors of the least squares, executor chooses between threads and processes where maximum_cores allows
    several workers, int_name names the
    per-integration product, override_readnoise and override_gain may be numbers, readnoise_kind tells CDS read noise,
    which JWST's reference files have, from that of a single frame, dark_current_unit states the unit of the average
    dark current, and progress shows a progress bar, or none.
    """

    class_alias = "ramp_fit"

    spec = """
        algorithm = option('OLS_C', 'OLS', 'ols', 'LIKELY', 'likely', 'LIKELY_JOINT', 'likely_joint', default='OLS_C')  # Ramp fitting algorithm
        int_name = string(default='')  # Name of the per-integration product
        save_opt = boolean(default=False)  # Save optional output
        opt_name = string(default='')  # Name of the optional product
        suppress_one_group = boolean(default=True)  # Suppress saturated ramps with good 0th group
        firstgroup = integer(default=None)  # Ignore groups before this one (zero indexed)
        lastgroup = integer(default=None)  # Ignore groups after this one (zero indexed)
        rejection_threshold = float(default=None)  # LIKELY, likely_joint: sigma from which a jump is flagged
        pedestal = float_list(min=2, max=2, default=None)  # likely_joint: mean and sigma of the signal at time 0, DN
        dark_current_unit = option('DN/s', 'electron/s', default=None)  # Unit of the average dark current; None: DN/s
        readnoise_kind = option('cds', 'single', default='cds')  # Read noise of the difference of two frames, or of one
        weighting = string(default='optimal')  # OLS_C: optimal, uniform, interpolated, a power, or 5:0.4,10:1 (signal-to-noise: power)
        errors = option('weights', 'reference', default=None)  # OLS_C: errors that follow the weights, or the pipeline's
        maximum_cores = pass(default='none')  # Workers: 'none', 'quarter', 'half', 'all', or a number
        executor = option('threads', 'processes', default='threads')  # What the workers are
        progress = boolean(default=None)  # Show a progress bar; None: where standard error is a terminal
    """  # noqa: E501  (a parameter is one line)

    reference_file_types = ["readnoise", "gain"]  # noqa: RUF012  (as the pipeline declares it)

    @staticmethod
    def get_stpipe_loggers() -> tuple[str, ...]:
        """Return the names of the loggers that the pipeline shows while the step runs, the engine's included."""
        return (*_PipelineStep.get_stpipe_loggers(), LOGGER)

    @classmethod
    def build_config(cls, input: Any, **others: Any) -> Any:  # noqa: A002, ANN401  (the pipeline's names)
        """Return the parameters of a call, and the file that they came from."""
        with exposure_named(input, KeyError):  # of a file without metadata
            return super().build_config(input, **others)

    @classmethod
    def load_spec_file(cls, *arguments: Any, **others: Any) -> Any:  # noqa: ANN401
        """Return the parameters; references may also be numbers, which the pipeline's check would not let pass."""
        spec = super().load_spec_file(*arguments, **others)
        for name in cls.reference_file_types:
            spec[f"override_{name}"] = "pass(default=None)"
            spec.inline_comments[f"override_{name}"] = f"# The {name} reference: a file or a number"
        return spec

    def get_ref_override(self, reference_file_type: str) -> Any:  # noqa: ANN401
        """Return what the user named instead of a reference of CRDS: a path or a model; "N/A" for a number."""
        if self._number_for(reference_file_type) is not None:
            return "N/A"  # the pipeline neither fetches nor opens that
        return super().get_ref_override(reference_file_type)

    def get_reference_file(self, input_file: Any, reference_file_type: str) -> Any:  # noqa: ANN401
        """Return the path of a reference, a model, or a number (float)."""
        number = self._number_for(reference_file_type)
        if number is None:
            return super().get_reference_file(input_file, reference_file_type)
        self._reference_files_used.append((reference_file_type, f"value {number:g}"))
        return number

    def _number_for(self, reference_file_type: str) -> float | None:
        """Return the number that replaces a reference; None where there is none."""
        name = f"override_{reference_file_type}"
        value = getattr(self, name, None)
        if value is None or isinstance(value, datamodels.JwstDataModel):
            return None
        if isinstance(value, str | os.PathLike):
            if os.path.exists(value):  # noqa: PTH110  (any text may be tried; Path.exists fails for some)
                return None
            try:
                number = float(os.fspath(value))
            except ValueError:
                return None  # a file that is not there: the pipeline says so
        elif isinstance(value, Real) and not isinstance(value, bool | np.bool_):
            number = float(value)
        else:
            raise TypeError(f"{name}: expected a file, a data model or a number; got {value!r}")
        try:
            check_number(number)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        return number

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
        if not isinstance(step_input, str | os.PathLike | datamodels.JwstDataModel):
            raise TypeError(f"step_input: expected the name of a file, or a data model; got {step_input!r}")
        algorithm, cores = known_algorithm(self.algorithm), known_cores(self.maximum_cores)
        if self.parent is None and isinstance(step_input, datamodels.JwstDataModel):
            step_input = with_own_metadata(step_input)  # before it is opened as a RampModel, which renames its type
        with exposure_named(step_input):
            model = self.prepare_output(step_input, make_copy=False, open_as_type=datamodels.RampModel)
            if isinstance(step_input, str | os.PathLike) and not has_group_flags(step_input):
                raise ValueError("expected the flags of the groups, extension GROUPDQ; there are none")
        readnoise_file = self.get_reference_file(model, "readnoise")
        gain_file = self.get_reference_file(model, "gain")

        read_times = getattr(model.meta.exposure, "read_times", None)
        if read_times is not None and len(read_times) > 0 and not ALGORITHMS[algorithm].finds_jumps:
            log.warning("Setting the algorithm to LIKELY for unevenly sampled exposure")
            algorithm = "likely"
        firstgroup, lastgroup, nothing_left = pipeline_groups(self.firstgroup, self.lastgroup, model.data.shape[1])
        given = {option.name: getattr(self, option.name) for option in fields(FitOptions) if hasattr(self, option.name)}
        given |= {"algorithm": algorithm, "firstgroup": firstgroup, "lastgroup": lastgroup}
        given["pedestal"] = None if self.pedestal is None else tuple(self.pedestal)
        given["weighting"] = _weighting(self.weighting)
        options = FitOptions(**given)
        options = usable_options(options, model.data.shape[1], read_times)

        log.info("Using READNOISE reference file: %s", readnoise_file)
        log.info("Using GAIN reference file: %s", gain_file)
        readnoise, gain, gain_factor = read_references(model, readnoise_file, gain_file)
        if gain_factor is not None:  # for the gain_scale step
            model.meta.exposure.gain_factor = gain_factor
        log.info("Using algorithm = %s", shown_name(options))
        log.info("Using weighting = %s", self.weighting)

        with exposure_named(step_input), logged_warnings():
            exposure = exposure_of(
                model,
                likelihood=is_likelihood(options),
                dark_current_unit=self.dark_current_unit,
                nothing_left=nothing_left,
            )
        warn_of_skipped(model, options)
        fit = fit_exposure(
            exposure,
            readnoise,
            gain,
            options,
            maximum_cores=cores,
            executor=self.executor,
            progress=_on_a_terminal() if self.progress is None else self.progress,
        )
        if fit is None:
            return None, None
        self._save_optional(model, fit)
        return rate_model(model, fit), rateints_model(model, fit)

    def _save_optional(self, model: Any, fit: RampFit) -> None:  # noqa: ANN401
        """Save what save_opt asks for: as in the pipeline, whatever save_results says."""
        name = self.opt_name or model.meta.filename
        if fit.fitopt is not None:
            self.save_model(fitopt_model(model, fit), "fitopt", output_file=name)
        if self.save_opt and fit.rate.chisq is not None:
            self.save_model(chisq_model(model, fit), "likely_chisq", output_file=name)

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


def _on_a_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _weighting(text: str) -> Weighting:
    try:
        return parse_weighting(text)
    except ValueError as error:
        raise ValueError(f"weighting: {error}") from None
