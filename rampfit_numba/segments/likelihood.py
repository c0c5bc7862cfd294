"""Segments of the likelihood fits: what each run of used differences says about the rate of its integration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rampfit_numba import dq
from rampfit_numba.algorithms.likely.plan import make_likely_rules
from rampfit_numba.pixel_ramps import PixelRamps, sample_times, working_flags
from rampfit_numba.segments.columns import FittedLines, Segments, number_within, shares
from rampfit_numba.segments.samples import SegmentSamples, padded

if TYPE_CHECKING:
    from rampfit_numba.result import FitInputs, RampFit

_P, _J, _S, _D = (np.uint8(bit) for bit in (dq.PERSISTENCE, dq.JUMP_DET, dq.SATURATED, dq.DO_NOT_USE))
#: Secants, and the relative accuracy of the squares of single-precision errors.
_MOST_STEPS, _CLOSE = 12, 1e-6


def likelihood_segments(fit: RampFit, inputs: FitInputs, ramps: PixelRamps) -> FittedLines:
    """Find the runs of used differences, and what each says about the rate of its integration."""
    exposure = inputs.exposure
    rules = make_likely_rules(exposure, fit.options, joint=fit.options.algorithm == "likely_joint")
    joint, split = rules.joint, rules.split_zeroframe
    flags = working_flags(ramps, rules.first_used, rules.last_used)
    if joint:
        flags &= ~_P  # it counts as good there
    assert fit.groupdq is not None  # noqa: S101  (for mypy)
    found = np.moveaxis(fit.groupdq[:, :, ramps.rows, ramps.columns], -1, 0) & ~ramps.flags & _J
    samples = ramps.samples.astype(np.float64)
    if split:
        samples, flags, found = _with_zeroframe(ramps, samples, flags, found, rules.nframes, joint=joint)
    ngroups = samples.shape[-1]
    samples = samples.reshape(-1, ngroups)
    flags, found = flags.reshape(-1, ngroups), found.reshape(-1, ngroups)
    begin_flags = flags & ~_J if joint else flags
    used = (begin_flags[:, :-1] == 0) & (flags[:, 1:] == 0) & (found[:, 1:] == 0)
    nints = exposure.nints
    rates = np.moveaxis(fit.rateints.data[:, ramps.rows, ramps.columns], -1, 0).astype(np.float64).ravel()
    errors = np.moveaxis(fit.rateints.err[:, ramps.rows, ramps.columns], -1, 0).astype(np.float64).ravel()
    ramp, first, last = _runs(used, flags, rates)
    nsamples = last - first + 1
    pixel, integration = np.divmod(ramp, nints)

    times = sample_times(exposure, fit.options, split_zeroframe=split)
    with np.errstate(all="ignore"):
        slope, slope_err = rates[ramp], errors[ramp]
        values = padded(samples, ramp, first, nsamples)
        noise = (ramps.readnoise.astype(np.float64) ** 2 / 2)[pixel]
        photon = (np.maximum(rates, 0) / np.repeat(ramps.gain, nints))[ramp]
        fitted = _of_the_errors(SegmentSamples(values, first, nsamples, photon, noise, times), ramp, errors)
        chisq, information = fitted.chi_square_around(slope)
        weight = shares(np.where(nsamples > 1, information, 1), ramp, used.shape[0])
        of_mean = np.where(fitted.inside, 1 / nsamples[:, np.newaxis], 0)
        middle = np.sum(of_mean * times.mean_t[fitted.group], axis=1)
        intercept = np.sum(of_mean * values, axis=1) - slope * middle
        # The level is the segment's own; the slope comes from all segments of the integration.
        in_all = np.bincount(ramp, information, used.shape[0])[ramp]
        of_slope = fitted.slope_coefficients(in_all)
        of_intercept = of_mean - middle[:, np.newaxis] * of_slope
        elsewhere = (1 - weight) * slope_err**2
        variance = fitted.variance_of(of_intercept) + elsewhere * middle**2
        prior = fit.options.pedestal[1] if fit.options.pedestal else 0.0
        intercept_err = np.where(nsamples > 1, np.sqrt(variance), prior)
    unknown = ~np.isfinite(slope)
    weight[unknown] = 0
    intercept[unknown] = intercept_err[unknown] = chisq[unknown] = np.nan
    shift = int(split)
    segments = Segments(
        integration=integration,
        row=ramps.rows[pixel],
        column=ramps.columns[pixel],
        segment=number_within(ramp),
        first_group=np.maximum(first - shift, 0),
        last_group=np.maximum(last - shift, 0),
        nsamples=nsamples,
        zeroframe=(first == 0) & split,
        start_time=times.mean_t[first],
        stop_time=times.mean_t[last],
        slope=slope,
        slope_err=slope_err,
        intercept=intercept,
        intercept_err=intercept_err,
        weight=weight,
        chisq=chisq,
        dof=np.where(unknown, 0, np.maximum(nsamples - 1 - weight, 0)),
    )
    return FittedLines(segments, fitted, of_slope, of_intercept, middle, elsewhere, ramp, shift, 0)


def _of_the_errors(fitted: SegmentSamples, ramp: np.ndarray, errors: np.ndarray) -> SegmentSamples:
    """Return the segments with the photon noise that the fit had: that with which the rates have their errors.

    The fit takes it from an earlier estimate of the rate, which is not among its results. The variance of a rate rises
    with it nearly in proportion, so that secants find it in a few steps.

    Parameters
    ----------
    fitted : SegmentSamples
        With a first guess.
    ramp : ndarray of int64, shape (nsegments,)
    errors : ndarray of float64, shape (nramps,)
        Of the rates, in DN/s.
    """
    wanted = errors[ramp] ** 2

    def excess(photon: np.ndarray) -> np.ndarray:
        _, information = fitted._replace(photon=photon).chi_square_around(np.zeros(ramp.size))
        return np.asarray(1 / np.bincount(ramp, information, errors.size)[ramp] - wanted)

    before = fitted.photon
    now = before * 1.1 + 1e-3 * fitted.noise
    of_before, of_now = excess(before), excess(now)
    for _ in range(_MOST_STEPS):
        better = np.maximum(now - of_now * (now - before) / (of_now - of_before), 0)
        better = np.where(np.isfinite(better), better, now)
        before, of_before, now, of_now = now, of_now, better, excess(better)
        if not (np.abs(of_now) > _CLOSE * wanted).any():
            break
    return fitted._replace(photon=np.where(np.isfinite(now), now, 0))


def _runs(used: np.ndarray, flags: np.ndarray, rates: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ramp, first and last sample of each run of used differences."""
    edges = np.zeros((used.shape[0], 1), np.bool_)
    ramp, first = np.nonzero(used & ~np.hstack([edges, used[:, :-1]]))
    _, last = np.nonzero(used & ~np.hstack([used[:, 1:], edges]))
    # A ramp with one good sample has a rate where a pedestal, or a zeroframe, says what it began with.
    lone = np.nonzero(~used.any(axis=1) & np.isfinite(rates) & (flags == 0).any(axis=1))[0]
    alone = np.argmax(flags[lone] == 0, axis=1)
    order = np.argsort(np.concatenate([ramp, lone]), kind="stable")
    pairs = (ramp, lone), (first, alone), (last + 1, alone)
    ramp, first, last = (np.concatenate(pair)[order] for pair in pairs)
    return ramp, first, last


def _with_zeroframe(
    ramps: PixelRamps, samples: np.ndarray, flags: np.ndarray, found: np.ndarray, nframes: int, *, joint: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split group 0 into the zeroframe and the mean of its other frames (section 2 of ``docs/likelihood.md``)."""
    assert ramps.zeroframe is not None  # noqa: S101  (for mypy)
    zeroframe = ramps.zeroframe.astype(np.float64)
    with np.errstate(all="ignore"):
        others = (samples[..., 0] * nframes - zeroframe) / (nframes - 1)
    of_others = of_zeroframe = flags[..., 0]
    bad = ~np.isfinite(zeroframe)
    if joint:
        bad |= zeroframe == 0
        of_zeroframe = of_zeroframe & ~_S
    of_zeroframe = np.where(bad, of_zeroframe | _D, of_zeroframe)
    of_others = np.where(bad, of_others | _D, of_others)
    samples = np.concatenate([zeroframe[..., np.newaxis], others[..., np.newaxis], samples[..., 1:]], axis=-1)
    flags = np.concatenate([of_zeroframe[..., np.newaxis], of_others[..., np.newaxis], flags[..., 1:]], axis=-1)
    found = np.concatenate([np.zeros_like(found[..., :1]), found], axis=-1)
    return samples, flags, found
