"""Weighted straight-line fits of segments, with a design matrix."""

from __future__ import annotations

import numpy as np

from rampfit_numba.kernels.ols.pixels import (
    POISSON,
    READ,
    READ_WEIGHT,
    SLOPE_WEIGHT,
    UNFITTABLE,
)
from rampfit_numba.kernels.ols.ramp_status import SINGLE_FIRST_GROUP, ZEROFRAME

BOUNDS, POWERS = (5, 10, 20, 50, 100), (0.0, 0.4, 1.0, 3.0, 6.0, 10.0)


def signal_class(step, readnoise, gain):
    """How many of the bounds the electrons between first and last sample reach, in units of their noise."""
    variance = readnoise**2 + step * gain
    if np.isnan(variance):
        return 5
    if variance <= 0 or step * gain <= 0:
        return 0
    return sum(step * gain / np.sqrt(variance) >= bound for bound in BOUNDS)


def relative_weights(snr_class, n):
    """Return |(k - c) / c|^P, rounded as in the reference."""
    centre = (n - 1) / 2
    distance = np.abs((np.arange(n) - centre) * (1 / centre)).astype(np.float32)
    return (distance.astype(float) ** float(np.float32(POWERS[snr_class]))).astype(np.float32).astype(float)


def line(samples, snr_class):
    """Return slope per group, weighted mean, and the sums of weights and of weighted squares about the centre."""
    n = len(samples)
    w, x = relative_weights(snr_class, n), np.arange(n) - (n - 1) / 2
    mean = np.sum(w * samples) / np.sum(w)
    return np.sum(w * x * (samples - mean)) / np.sum(w * x * x), mean, np.sum(w), np.sum(w * x * x)


def groups_per_second(constants, k):
    return constants[SLOPE_WEIGHT, k] / constants[READ_WEIGHT, k]


def single_group_time(status, settings):
    if status & int(SINGLE_FIRST_GROUP):
        return settings.one_group_time
    return settings.frame_time if status & int(ZEROFRAME) else settings.group_time


def segment_variances(poisson, read, number):
    n = int(number)
    return poisson / (n - 1), read / (n**3 - n)


def single_group_variances(time, poisson, read, settings):
    """Those of two groups that are `time` apart."""
    return poisson * settings.group_time / time, read / 6 * (settings.group_time / time) ** 2


def relative_weight(poisson, read, n):
    return 1 / sum(segment_variances(poisson, read, n))


def sum_segments(segments, number, runs, constants, sums):
    sums[...] = 0
    runs.sum_cubes[:] = 0
    for s in range(number):
        k, n = int(segments.lane[s]), int(segments.length[s])
        per_second = groups_per_second(constants, k)
        slope = (segments.slope[s] / (n**3 - n)) * per_second
        if n > 2:
            slope += constants[UNFITTABLE, k]
        runs.sum_cubes[k] += runs.sum_cubes.dtype.type(n**3 - n)
        var_poisson, var_rnoise = segment_variances(constants[POISSON, k], constants[READ, k], n)
        sums[0, k] += slope / var_rnoise
        sums[1, k] += 1 / var_poisson if var_poisson > 0 else 0
        sums[2, k] += 1 / var_rnoise
        sums[3, k] += segments.weight[s]


def sum_single_group(sample, k, status, settings, constants, sums):
    time = single_group_time(int(status), settings)
    var_poisson, var_rnoise = single_group_variances(time, constants[POISSON, k], constants[READ, k], settings)
    sums[0, k] = float(sample) / time / var_rnoise
    sums[1, k] = 1 / var_poisson if var_poisson > 0 else 0
    sums[2, k], sums[3, k] = 1 / var_rnoise, 1 / (var_poisson + var_rnoise)


def sum_clean(slope, ngroups, constants, sums):
    for k in range(slope.size):
        per_group = slope[k] / (ngroups**3 - ngroups) + (constants[UNFITTABLE, k] if ngroups > 2 else 0)
        var_rnoise = segment_variances(0, constants[READ, k], ngroups)[1]
        sums[0, k] = per_group * groups_per_second(constants, k) / var_rnoise


def weigh_clean(ngroups, constants, sums):
    for k in range(sums.shape[1]):
        var_poisson, var_rnoise = segment_variances(constants[POISSON, k], constants[READ, k], ngroups)
        sums[1, k], sums[2, k] = 1 / var_poisson if var_poisson > 0 else 0, 1 / var_rnoise
