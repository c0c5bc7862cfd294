"""The pipeline's ramp_fit step with this package's engine."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np
from roman_datamodels import datamodels
from romancal.ramp_fitting import ramp_fit_step as pipeline

from rampfit_numba.api import fit_ramps
from rampfit_numba.exposure import Exposure
from rampfit_numba.io.roman import group_time, times_of_reads
from rampfit_numba.io.roman_images import few_resultants, jump_indices
from rampfit_numba.messages import RampFitWarning

log = logging.getLogger(f"stpipe.{__name__}")  # below "stpipe", whose messages the pipeline shows and keeps


class RampFitStep(pipeline.RampFitStep):  # type: ignore[misc]  # romancal ships no types
    """
    Fit ramp data to determine the mean count rate, with the engine of rampfit_numba.

    Parameters, reference files and products are those of romancal.ramp_fitting.RampFitStep with the algorithm likely,
    the only one here. Unlike there, rejection_threshold and maximum_cores are used.
    """

    class_alias = "ramp_fit"

    spec = """
        algorithm = option('likely', default='likely')  # The one of the pipeline's that is not deprecated
        maximum_cores = pass(default='none')  # Workers: 'none', 'quarter', 'half', 'all', or a number
    """

    def process(self, dataset: Any) -> Any:  # noqa: ANN401
        """
        Fit the ramps.

        Parameters
        ----------
        dataset : str or RampModel
            The output of the linearity step. The arrays of a model are not modified.

        Returns
        -------
        ImageModel
            The count rate of the exposure.
        """
        if self.expand_large_events:
            raise ValueError("expand_large_events: expected False, since snowballs are not searched for here; got True")
        model = pipeline.open_dataset(dataset, update_version=self.update_version)
        references = []
        for name in ("readnoise", "gain"):
            path = self.get_reference_file(model, name)
            log.info("Using %s reference file: %s", name.upper(), path)
            with datamodels.open(path) as reference:
                references.append(np.array(reference.data))
        times = times_of_reads("the exposure", model.meta.exposure.read_pattern, model.meta.exposure.frame_time)
        exposure = Exposure(
            np.asarray(model.data)[None],
            np.asarray(model.groupdq)[None],
            group_time(times),
            pixeldq=np.asarray(model.pixeldq),
            read_times=times,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RampFitWarning)  # it is said below
            fit = fit_ramps(
                exposure,
                *references,
                algorithm=self.algorithm,
                readnoise_kind="single",
                rejection_threshold=self.rejection_threshold,
                maximum_cores=self.maximum_cores or "none",
            )
        if fit.nothing_to_fit:
            log.warning("No ramp can be fitted: %s", fit.nothing_to_fit)
        rate, groupdq = fit.rate, exposure.groupdq[0] if fit.groupdq is None else fit.groupdq[0]
        planes = {name: getattr(rate, name) for name in ("var_poisson", "var_rnoise", "err", "chisq")}
        planes |= {"slope": rate.data, "dq": rate.dq | few_resultants(groupdq)}
        with np.errstate(over="ignore", invalid="ignore"):  # what half precision cannot hold is infinite
            image = pipeline._create_image_model(  # noqa: SLF001  (metadata and planes as the pipeline has them)
                model, planes, include_var_rnoise=self.include_var_rnoise
            )
        if self.record_jumps:
            image["jump_indices"] = jump_indices(groupdq)
        image.meta.cal_step.ramp_fit = "COMPLETE"
        return image
