"""Plan and rows of straight-line fits that the pipeline does not know: other weights, uneven times, other errors."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rampfit_numba.algorithms.blocks import AllGroups, InputPointers
from rampfit_numba.algorithms.ols.rules import Fitted
from rampfit_numba.algorithms.ols.weighting import Exponents, find_exponents
from rampfit_numba.algorithms.read_pattern import even_read_times, read_pattern
from rampfit_numba.algorithms.rows import fitting_pixels
from rampfit_numba.kernels.blocks import empty_ramps
from rampfit_numba.kernels.ols.general import fit_general_tile
from rampfit_numba.kernels.ols.general_settings import GeneralSettings, GeneralTimes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rampfit_numba.algorithms.corrections import ReadRules
    from rampfit_numba.algorithms.ols.rules import OlsOutputs, OlsRules
    from rampfit_numba.algorithms.rows import RowInputs
    from rampfit_numba.exposure import Exposure
    from rampfit_numba.options import FitOptions

log = logging.getLogger(__name__)

_PLANES = 4


class GeneralRules(NamedTuple):
    """What holds for every pixel of an exposure.

    Attributes
    ----------
    settings : GeneralSettings
    times : GeneralTimes
    exponents : Exponents
    first_used, last_used : int
        Groups outside this inclusive range count as DO_NOT_USE.
    reads : ReadRules or None
        What is to be done with raw reads.
    """

    settings: GeneralSettings
    times: GeneralTimes
    exponents: Exponents
    first_used: int
    last_used: int
    reads: ReadRules | None = None


def is_general(exposure: Exposure, options: FitOptions) -> bool:
    """Tell whether a fit is not one of the pipeline's."""
    return (
        not exposure.evenly_read
        or options.weighting != "optimal"
        or options.errors == "weights"
        or (options.errors is None and is_one_timed_group(exposure))
    )


def is_one_timed_group(exposure: Exposure) -> bool:
    """Tell whether all there is of an exposure is one group whose reads have times.

    The pipeline has no such times, and takes the noise of an exposure's one group for that of a difference of two.
    """
    return exposure.ngroups == 1 and exposure.read_times is not None


def group_step(exposure: Exposure, mean_t: np.ndarray) -> float:
    """Return the time between evenly spaced groups, in s, given the mean times of their frames."""
    if exposure.read_times is not None and exposure.ngroups > 1:
        return float((mean_t[-1] - mean_t[0]) / (exposure.ngroups - 1))
    return float(np.float32(exposure.group_time))  # as the reference keeps it


def make_general_rules(exposure: Exposure, options: FitOptions, rules: OlsRules) -> GeneralRules:
    """Return the rules of an exposure, given those that the pipeline's fit would have.

    Raises
    ------
    ValueError
        What is asked for exists for evenly spaced groups, or for the pipeline's weighting, only.
    """
    even = exposure.evenly_read
    hint = "; one group with read_times has the pipeline's with errors='reference'" * is_one_timed_group(exposure)
    if options.save_opt:
        raise ValueError(
            "save_opt: the optional results are those of the pipeline's fit: optimal weighting, its errors, and evenly "
            f"spaced groups{hint}"
        )
    if options.chisq:
        raise ValueError(
            "chisq: with 'ols' there are chi-squares of the pipeline's fit only: optimal weighting, its errors, and "
            f"evenly spaced groups{hint}; the likelihood fits have them for any times"
        )
    if options.errors == "reference" and not even:
        raise ValueError("errors: 'reference' is defined for evenly spaced groups only; expected 'weights' or None")
    times = exposure.read_times or even_read_times(
        exposure.ngroups, exposure.frame_time, exposure.nframes, exposure.groupgap, exposure.drop_frames1
    )
    pattern = read_pattern(times)
    first = rules.first_kept
    if even:
        group_time = group_step(exposure, pattern.mean_t)
        mean = pattern.mean_t[0] + group_time * np.arange(exposure.ngroups)
        tau = pattern.tau - pattern.mean_t + mean
        lone, alone, zeroframe = (
            np.full(mean.size, group_time),
            rules.settings.one_group_time,
            rules.settings.frame_time,
        )
    else:
        mean, tau, lone = pattern.mean_t, pattern.tau, pattern.mean_t
        alone, zeroframe, group_time = float(mean[first]), float(np.atleast_1d(times[0])[0]), float("nan")
    settings = GeneralSettings(
        first_kept=first,
        stop_kept=rules.stop_kept,
        group_time=group_time,
        suppress_one_group=rules.settings.suppress_one_group,
        clear_first_jump=rules.settings.clear_first_jump,
        interpolated=options.weighting == "interpolated",
        reference_errors=options.errors == "reference",
    )
    reads = pattern.reads.astype(np.float64)
    return GeneralRules(
        settings,
        GeneralTimes(mean, tau, reads, lone, alone, zeroframe),
        find_exponents(options.weighting),
        rules.first_used,
        rules.last_used,
        rules.reads,
    )


def fit_general_rows(inputs: RowInputs, outputs: OlsOutputs, rules: GeneralRules) -> Fitted:
    """Fit all ramps of `inputs` into `outputs`, the planes of rate and rateints.

    Parameters
    ----------
    inputs : RowInputs
        Not modified.
    outputs : OlsOutputs
        Written whole.
    rules : GeneralRules
    """
    nints, ngroups = inputs.data.shape[:2]
    groups = AllGroups(ngroups, rules.first_used, rules.last_used, rules.reads)
    input_pointers = InputPointers(inputs, groups, fitting_pixels(nints, ngroups, in_place=False))
    ramps = None
    bounds, exponents, _ = rules.exponents
    for tile in input_pointers.tiles:
        pointers = input_pointers.at(tile)
        if ramps is None:
            ramps = empty_ramps(pointers)
        size = pointers.npixels
        rate, rateints = np.empty((_PLANES, size), np.float32), np.empty((_PLANES, nints, size), np.float32)
        rate_dq, rateints_dq = np.empty(size, np.uint32), np.empty((nints, size), np.uint32)
        with np.errstate(all="ignore"):  # where nothing is compiled
            fit_general_tile(
                pointers, ramps, rules.times, rules.settings, bounds, exponents, rate, rate_dq, rateints, rateints_dq
            )
        planes = (*rate, rate_dq, *rateints, rateints_dq)
        outputs_here: Iterable[Any] = outputs[: len(planes)]  # those of fitopt are None
        for output, plane in zip(outputs_here, planes, strict=True):
            output[..., tile.rows, tile.columns] = plane.reshape(*plane.shape[:-1], *tile.shape)
    return Fitted()
