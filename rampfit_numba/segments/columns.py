"""What is found out about segments, and the arithmetic that all algorithms share."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from rampfit_numba.segments.samples import SegmentSamples


class Segments(NamedTuple):
    """Segments as columns of equal length, in the order of pixels, integrations and time.

    Attributes
    ----------
    integration, row, column : ndarray of int64
    segment : ndarray of int64
        Number within its ramp.
    first_group, last_group, nsamples : ndarray of int64
        Groups of the exposure.
    zeroframe : ndarray of bool
        The first sample is the zeroframe.
    start_time, stop_time : ndarray of float64
        Of the first and last sample, in s.
    slope, slope_err, intercept, intercept_err : ndarray of float64
        In DN/s and DN.
    weight : ndarray of float64
        Share in the rate of the integration.
    chisq, dof : ndarray of float64
    """

    integration: np.ndarray
    row: np.ndarray
    column: np.ndarray
    segment: np.ndarray
    first_group: np.ndarray
    last_group: np.ndarray
    nsamples: np.ndarray
    zeroframe: np.ndarray
    start_time: np.ndarray
    stop_time: np.ndarray
    slope: np.ndarray
    slope_err: np.ndarray
    intercept: np.ndarray
    intercept_err: np.ndarray
    weight: np.ndarray
    chisq: np.ndarray
    dof: np.ndarray


class FittedLines(NamedTuple):
    """Segments, and what their lines are made of.

    Attributes
    ----------
    segments : Segments
    samples : SegmentSamples
    of_slope, of_intercept : ndarray of float64, shape (nsegments, longest)
        What the segment's own samples are multiplied with in slope and intercept.
    middle : ndarray of float64, shape (nsegments,)
        Time in s about which what other segments say about the slope turns the line.
    elsewhere : ndarray of float64, shape (nsegments,)
        Variance of the slope that comes from other segments, in (DN/s)^2.
    ramp : ndarray of int64, shape (nsegments,)
        Number of the ramp, all integrations of the first pixel coming first.
    shift : int
        1 where a zeroframe stands before group 0, as a sample of its own; else 0.
    first_kept : int
        Group of the exposure that the first sample belongs to.
    """

    segments: Segments
    samples: SegmentSamples
    of_slope: np.ndarray
    of_intercept: np.ndarray
    middle: np.ndarray
    elsewhere: np.ndarray
    ramp: np.ndarray
    shift: int
    first_kept: int

    def noise(self) -> np.ndarray:
        """Return the standard deviation of every sample's residual, in DN, shape (nsegments, longest)."""
        fitted, times = self.samples, self.samples.times.mean_t[self.samples.group]
        noise = np.zeros(fitted.values.shape)
        with np.errstate(all="ignore"):
            for k in range(times.shape[-1]):
                of_residual = -self.of_intercept - times[:, k : k + 1] * self.of_slope
                of_residual[:, k] += 1
                variance = fitted.variance_of(np.where(fitted.inside, of_residual, 0))
                noise[:, k] = np.sqrt(variance + self.elsewhere * (times[:, k] - self.middle) ** 2)
        return noise


def number_within(ramp: np.ndarray) -> np.ndarray:
    """Return the number of each segment within its ramp, for segments in the order of ramps."""
    if ramp.size == 0:
        return ramp
    begins = np.nonzero(np.diff(ramp, prepend=-1))[0]
    lengths = np.diff(np.append(begins, ramp.size))
    return np.arange(ramp.size) - np.repeat(begins, lengths)


def shares(weight: np.ndarray, ramp: np.ndarray, nramps: int) -> np.ndarray:
    """Return what part of the sum over its ramp each segment's `weight` is."""
    return np.asarray(weight / np.bincount(ramp, weight, nramps)[ramp])
