"""Segments of the OLS fit: what the kernels do by the rules in ``docs/algorithm.md``, for few pixels, in plain NumPy.

No kernel is compiled for a look at a pixel; the tests compare every number with the optional results of the kernels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from rampfit_numba import dq
from rampfit_numba.algorithms.ols.general import is_general, make_general_rules
from rampfit_numba.algorithms.ols.plan import OlsPlan, make_plan
from rampfit_numba.algorithms.ols.weights import segment_weights
from rampfit_numba.kernels.ols.general_settings import GeneralTimes
from rampfit_numba.kernels.ols.weighting import BOUNDS
from rampfit_numba.mapped_arrays import as_file_array
from rampfit_numba.pixel_ramps import PixelRamps, SampleTimes, is_ols, sample_times, working_flags
from rampfit_numba.segments.columns import FittedLines, Segments, number_within, shares
from rampfit_numba.segments.general import LoneSamples, line_coefficients, slope_variances
from rampfit_numba.segments.samples import SegmentSamples, padded

if TYPE_CHECKING:
    from rampfit_numba.kernels.ols.settings import Settings
    from rampfit_numba.result import FitInputs, RampFit

_P, _J, _S, _D = (np.uint8(bit) for bit in (dq.PERSISTENCE, dq.JUMP_DET, dq.SATURATED, dq.DO_NOT_USE))
_plans: WeakKeyDictionary[FitInputs, OlsPlan] = WeakKeyDictionary()


class _OlsSamples(NamedTuple):
    """The ramps as OLS takes them.

    Attributes
    ----------
    samples, flags : ndarray of float64 and uint8, shape (npixels x nints, groups kept)
    is_zeroframe : ndarray of bool, shape (npixels x nints,)
        The first sample is the zeroframe.
    """

    samples: np.ndarray
    flags: np.ndarray
    is_zeroframe: np.ndarray


def ols_segments(fit: RampFit, inputs: FitInputs, ramps: PixelRamps) -> FittedLines:
    """Fit the segments (sections 2 to 5 of the rules in ``docs/algorithm.md``)."""
    exposure, plan = inputs.exposure, _plan(fit, inputs)
    rules, settings = plan.rules, plan.rules.settings
    nints = exposure.nints
    found = _ols_samples(ramps, plan)
    samples, flags, is_zeroframe = found
    usable = ((flags & (_D | _S)) == 0).any(axis=1) & ((flags[:, 0] & _S) == 0)
    ramp, first, last = find_runs(np.where(usable[:, np.newaxis], flags, _D))
    nsamples = last - first + 1
    pixel, integration = np.divmod(ramp, nints)
    zero_first = is_zeroframe[ramp] & (first == 0)
    kept = slice(rules.first_kept, rules.stop_kept)
    all_times = sample_times(exposure, fit.options)
    times = SampleTimes(*(values[kept] for values in all_times))
    general = make_general_rules(exposure, fit.options, rules) if is_general(exposure, fit.options) else None
    clock = _clock(times, settings) if general is None else _cut(general.times, kept)
    with np.errstate(all="ignore"):
        gain, noise = ramps.gain[pixel].astype(np.float64), ramps.readnoise[pixel].astype(np.float64)
        photon = _photon_rate(found, ramps, settings, clock)[pixel] / gain
        lone = nsamples == 1
        # Only with a zeroframe or a lone group 0 is the time since the reset what counts.
        first_alone = lone & _only_first_is_good(flags)[ramp] & (not settings.suppress_one_group)
        time = np.where(first_alone, clock.first, clock.lone[first])
        time = np.where(lone & is_zeroframe[ramp], clock.zeroframe, time)
        values = padded(samples, ramp, first, nsamples)
        fitted = SegmentSamples(values, first, nsamples, np.maximum(photon, 0), noise**2 / 2, times)
        if general is None:
            of_slope, of_intercept = _line_coefficients(fitted, gain, settings)
            n = nsamples.astype(np.float64)
            var_poisson = photon / (time * np.maximum(n - 1, 1))
            var_rnoise = 12 * (noise / (settings.readnoise_scale * time)) ** 2 / np.where(lone, 6, n**3 - n)
            variance, weight = var_poisson + var_rnoise, 1 / var_rnoise
        else:
            of_slope, of_intercept = line_coefficients(fitted, gain, general)
            # Group 0 of single frames is itself a zeroframe.
            lone_samples = LoneSamples(time, first_alone & (time == clock.zeroframe))
            variance, weight = slope_variances(fitted, of_slope, photon, lone_samples, general._replace(times=clock))
        slope = np.where(lone, values[:, 0] / time, np.sum(of_slope * values, axis=1))
        slope_err = np.sqrt(variance)
        start = np.where(zero_first & lone, all_times.begin[0], times.mean_t[first])
        stop = np.where(zero_first & lone, start, times.mean_t[last])
        intercept = np.where(lone, values[:, 0] - slope * start, np.sum(of_intercept * values, axis=1))
        intercept_err = np.sqrt(fitted.variance_of(of_intercept))
        intercept_err = np.where(lone, slope_err * np.abs(time - start), intercept_err)
        chisq = fitted.chi_square()
        chisq[~(np.isfinite(photon) & np.isfinite(noise))] = np.nan
        weight = shares(weight, ramp, flags.shape[0])
    weight[np.isnan(fit.rateints.data[integration, ramps.rows[pixel], ramps.columns[pixel]])] = 0
    segments = Segments(
        integration=integration,
        row=ramps.rows[pixel],
        column=ramps.columns[pixel],
        segment=number_within(ramp),
        first_group=first + rules.first_kept,
        last_group=last + rules.first_kept,
        nsamples=nsamples,
        zeroframe=zero_first,
        start_time=start,
        stop_time=stop,
        slope=slope,
        slope_err=slope_err,
        intercept=intercept,
        intercept_err=intercept_err,
        weight=weight,
        chisq=chisq,
        dof=np.maximum(nsamples - 2, 0).astype(np.float64),
    )
    nothing = np.zeros(ramp.size)
    return FittedLines(segments, fitted, of_slope, of_intercept, nothing, nothing, ramp, 0, rules.first_kept)


def _plan(fit: RampFit, inputs: FitInputs) -> OlsPlan:
    """Return what the fit decided about the exposure as a whole: which groups count."""
    if inputs not in _plans:
        exposure = inputs.exposure
        data, flags = as_file_array(exposure.data), as_file_array(exposure.groupdq)
        _plans[inputs] = make_plan(exposure, fit.options, data, flags, quiet=True)
    return _plans[inputs]


def kept_groups(fit: RampFit, inputs: FitInputs) -> tuple[int, int, bool]:
    """Return the first group that was kept, the one after the last, and whether a jump in the first one is void."""
    if not is_ols(fit):
        return 0, inputs.exposure.ngroups, False
    rules = _plan(fit, inputs).rules
    return rules.first_kept, rules.stop_kept, rules.settings.clear_first_jump


def _clock(times: SampleTimes, settings: Settings) -> GeneralTimes:
    """Return what the pipeline's fit divides by as the times of fits that it does not know; groups kept alone."""
    ngroups, step = times.mean_t.size, settings.group_time
    return GeneralTimes(
        mean=step * np.arange(ngroups),
        tau=times.tau,
        reads=times.reads,
        lone=np.full(ngroups, step),
        first=settings.one_group_time,
        zeroframe=settings.frame_time,
    )


def _cut(times: GeneralTimes, kept: slice) -> GeneralTimes:
    """Return the times of the groups kept alone."""
    return times._replace(mean=times.mean[kept], tau=times.tau[kept], reads=times.reads[kept], lone=times.lone[kept])


def _only_first_is_good(flags: np.ndarray) -> np.ndarray:
    """Tell of which ramps group 0 alone has no flag at all: it stands for the time since the reset."""
    return np.asarray((flags[:, 0] == 0) & (np.count_nonzero(flags == 0, axis=1) == 1))


def _photon_rate(found: _OlsSamples, ramps: PixelRamps, settings: Settings, clock: GeneralTimes) -> np.ndarray:
    """Return the rate that the photon noise follows from, in DN/s (section 4 of the rules), shape (npixels,)."""
    npixels, nints = ramps.samples.shape[:2]
    samples, flags, is_zeroframe = found
    values = np.where((flags & _S) != 0, np.nan, samples)
    first = values[:, 0]
    if values.shape[1] == 1:
        rate = (first / clock.first).reshape(npixels, nints).mean(axis=1)
    else:
        values = np.where((flags & _D) != 0, np.nan, values)
        steps = np.where((flags[:, 1:] & _J) != 0, np.nan, np.diff(values, axis=1) / np.diff(clock.mean))
        none = np.isnan(steps).all(axis=1)
        steps[none, 0] = values[none, 0] / clock.lone[0]
        steps[np.isnan(steps).all(axis=1), 0] = 0
        median = np.nanmedian(steps, axis=1)
        if not settings.suppress_one_group:
            median = np.where(_only_first_is_good(flags), first / clock.first, median)
        median = np.where(is_zeroframe, first / clock.zeroframe, median)
        rate = median.reshape(npixels, nints).mean(axis=1)
    return np.asarray(np.where(rate > 0, rate, 0) + ramps.dark, np.float64)


def _ols_samples(ramps: PixelRamps, plan: OlsPlan) -> _OlsSamples:
    """Apply sections 2 and 3 of the rules in ``docs/algorithm.md`` to the flags."""
    rules, settings = plan.rules, plan.rules.settings
    ngroups = ramps.samples.shape[-1]
    flags = working_flags(ramps, rules.first_used, rules.last_used).reshape(-1, ngroups)
    samples = ramps.samples.astype(np.float64).reshape(-1, ngroups)
    if settings.suppress_one_group:
        alone = np.count_nonzero((flags & ~_P) == 0, axis=1) == 1
        flags[alone] |= _D
    kept = slice(rules.first_kept, rules.stop_kept)
    flags, samples = flags[:, kept].copy(), samples[:, kept].copy()
    if settings.clear_first_jump:
        flags[:, 0] &= ~_J
    is_zeroframe = np.zeros(flags.shape[0], np.bool_)
    if plan.use_zeroframe and ramps.zeroframe is not None and not settings.suppress_one_group:
        zeroframe = ramps.zeroframe.astype(np.float64).ravel()
        is_zeroframe = (flags != 0).all(axis=1) & np.isfinite(zeroframe) & (zeroframe != 0)
        samples[is_zeroframe, 0] = zeroframe[is_zeroframe]
        flags[is_zeroframe, 0] = 0
    return _OlsSamples(samples, flags, is_zeroframe)


def find_runs(flags: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the segments of some ramps: ramp, first and last group of each (section 3 of ``docs/algorithm.md``).

    Parameters
    ----------
    flags : ndarray of uint8, shape (nramps, ngroups)
    """
    flags = flags & ~_P
    good = flags == 0
    follows = np.zeros_like(good)
    follows[:, :-1] = good[:, 1:]
    opens = (flags == _J) & follows
    inside = good | opens
    before, behind = np.zeros_like(good), np.zeros_like(good)
    before[:, 1:] = inside[:, :-1]
    behind[:, :-1] = inside[:, 1:] & ~opens[:, 1:]
    ramp, first = np.nonzero(inside & (opens | ~before))
    _, last = np.nonzero(inside & ~behind)
    longest = np.zeros(flags.shape[0], np.int64)
    np.maximum.at(longest, ramp, last - first + 1)
    number = number_within(ramp)
    # One good group is a segment only where there is none of several groups, and then it is the first.
    kept = np.where(longest[ramp] > 1, last > first, number == 0)
    return ramp[kept], first[kept], last[kept]


def _line_coefficients(fitted: SegmentSamples, gain: np.ndarray, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Return what the samples are multiplied with to give the slope in DN/s and the line at time 0 in DN."""
    values, nsamples = fitted.values, fitted.nsamples
    most = values.shape[1]
    weights = segment_weights(most)
    entries = most * (most + 1) // 2
    signal = (values[np.arange(nsamples.size), nsamples - 1] - values[:, 0]) * gain
    variance = 2 * fitted.noise * (gain / settings.readnoise_scale) ** 2 + signal
    ratio = np.where((signal > 0) & (variance > 0), signal / np.sqrt(np.abs(variance)), 0)
    classes = np.searchsorted(BOUNDS, ratio, side="right")
    inside = fitted.inside
    row = classes * entries + nsamples * (nsamples - 1) // 2
    place = np.where(inside, row[:, np.newaxis] + np.arange(most), 0)
    n = nsamples.astype(np.float64)
    of_slope = weights.factors[place] / (np.maximum(n**3 - n, 1) * settings.group_time)[:, np.newaxis]
    of_slope = np.where(inside, of_slope, 0)
    middle = fitted.times.mean_t[fitted.first] + (n - 1) / 2 * settings.group_time
    of_mean = np.where(inside, weights.shares[place], 0)
    return of_slope, of_mean - middle[:, np.newaxis] * of_slope
