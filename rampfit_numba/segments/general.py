"""Segments of straight lines with any weights, at any times: what ``docs/weighting.md`` says, in plain NumPy.

What `kernels/ols/general.py` does for a whole exposure; the tests compare the sums over the segments with its results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from rampfit_numba.algorithms.ols.general import GeneralRules
    from rampfit_numba.algorithms.ols.weighting import Exponents
    from rampfit_numba.segments.samples import SegmentSamples


class LoneSamples(NamedTuple):
    """What is to be known of segments of one sample, each an array of shape (nsegments,).

    Attributes
    ----------
    time : ndarray of float64
        What the sample is divided by, in s.
    one_frame : ndarray of bool
        It is a single frame that was read at that time.
    """

    time: np.ndarray
    one_frame: np.ndarray


def line_coefficients(fitted: SegmentSamples, gain: np.ndarray, rules: GeneralRules) -> tuple[np.ndarray, np.ndarray]:
    """Return what the samples are multiplied with to give the slope in DN/s and the line at time 0 in DN.

    Parameters
    ----------
    fitted : SegmentSamples
    gain : ndarray of float64, shape (nsegments,)
        In e-/DN.
    rules : GeneralRules

    Returns
    -------
    of_slope, of_intercept : ndarray of float64, shape (nsegments, longest)
        Those of segments of one sample mean nothing.
    """
    t, reads, inside = fitted.times.mean_t[fitted.group], fitted.times.reads[fitted.group], fitted.inside
    end = fitted.nsamples[:, np.newaxis] - 1
    start, stop = t[:, :1], np.take_along_axis(t, end, axis=1)
    exponent = _exponents(_signal_to_noise(fitted, gain), rules.exponents)[:, np.newaxis]
    distance = np.abs(t - 0.5 * (start + stop)) / (0.5 * (stop - start))
    weight = np.where(inside, distance**exponent * (1 + exponent) * reads / (1 + exponent * reads), 0)
    of_mean = weight / np.sum(weight, axis=1, keepdims=True)
    centre = np.sum(of_mean * t, axis=1, keepdims=True)
    of_slope = of_mean * (t - centre)
    of_slope /= np.sum(of_slope * (t - centre), axis=1, keepdims=True)
    return of_slope, of_mean - centre * of_slope


def slope_variances(
    fitted: SegmentSamples,
    of_slope: np.ndarray,
    photon: np.ndarray,
    lone: LoneSamples,
    rules: GeneralRules,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the variance of each slope, in (DN/s)^2, and what it weighs in the rate of its integration.

    Parameters
    ----------
    fitted : SegmentSamples
    of_slope : ndarray of float64, shape (nsegments, longest)
        From :func:`line_coefficients`.
    photon : ndarray of float64, shape (nsegments,)
        In DN^2/s; negative where the dark current is.
    lone : LoneSamples
    rules : GeneralRules
        Its times are those of the groups kept.
    """
    time, one_frame = lone
    tau, reads = rules.times.tau, rules.times.reads
    # Of frames that overlap, too, the fit takes tau as it is.
    of_slopes = fitted._replace(times=fitted.times._replace(tau=tau))
    none, one = np.zeros(time.size), np.ones(time.size)
    of_photon = of_slopes._replace(photon=one, noise=none).variance_of(of_slope)
    of_read = of_slopes._replace(photon=none, noise=one).variance_of(of_slope)
    n, nreads = fitted.nsamples.astype(np.float64), reads[fitted.first]
    is_lone = fitted.nsamples == 1
    of_photon = np.where(is_lone, np.where(one_frame, time, tau[fitted.first]) / time**2, of_photon)
    of_read = np.where(is_lone, 1 / (np.where(one_frame, 1, nreads) * time**2), of_read)

    # What the pipeline has: an unweighted fit's read noise, which segments are weighted by, and the least photon noise.
    step = rules.settings.group_time
    if step > 0:
        reference_read, reference_photon = 12 / (nreads * step**2 * (n**3 - n)), 1 / (step * (n - 1))
    else:
        t, counted = fitted.times.mean_t[fitted.group], np.where(fitted.inside, reads[fitted.group], 0)
        middle = np.sum(counted * t, axis=1) / np.sum(counted, axis=1)
        reference_read = 1 / np.sum(counted * (t - middle[:, np.newaxis]) ** 2, axis=1)
        reference_photon = of_photon
    reference_read = np.where(is_lone, 2 / (nreads * time**2), reference_read)
    reference_photon = np.where(is_lone, 1 / time, reference_photon)
    if rules.settings.reference_errors:
        of_photon, of_read = reference_photon, reference_read
    return photon * of_photon + fitted.noise * of_read, 1 / (fitted.noise * reference_read)


def _signal_to_noise(fitted: SegmentSamples, gain: np.ndarray) -> np.ndarray:
    """Return the signal-to-noise ratio that the exponent follows from: that of the last sample less the first."""
    here, last = np.arange(gain.size), fitted.nsamples - 1
    reads = fitted.times.reads.astype(np.float64)
    step = (fitted.values[here, last] - fitted.values[:, 0]) * gain
    of_reads = 1 / reads[fitted.first] + 1 / reads[fitted.first + last]
    variance = fitted.noise * (gain * gain) * 0.5 * of_reads + step
    return np.where(variance > 0, step / np.sqrt(np.abs(variance)), 0)


def _exponents(signal: np.ndarray, exponents: Exponents) -> np.ndarray:
    """Return the exponent of the weights at each signal-to-noise ratio; NaN counts as the largest."""
    bounds, powers, interpolated = exponents
    classes = np.searchsorted(bounds, signal, side="right")
    found = powers[classes]
    if interpolated:
        between = (classes > 0) & (classes < bounds.size)
        low = np.where(between, classes - 1, 0)
        part = (signal - bounds[low]) / (bounds[low + 1] - bounds[low])
        found = np.where(between, found + part * (powers[low + 2] - found), found)
    return found
