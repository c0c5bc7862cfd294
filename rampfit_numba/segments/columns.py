"""What is found out about segments, and the arithmetic that all algorithms share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


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
