"""Weighted straight-line fits of segments.

Source: section 5 of the rules in ``docs/algorithm.md``; Fixsen et al. 2000 (PASP 112, 1350) for the weights, Robberto 2008
(JWST-STScI-0001490) and Regan 2007 (JWST-STScI-001212) for the variances.
"""

from __future__ import annotations

import numpy as np

from rampfit_numba.kernels import ramp_status
from rampfit_numba.kernels._jit import LANES, jit, jit_inline
from rampfit_numba.kernels.pixels import (
    POISSON,
    POISSON_WEIGHT,
    READ,
    READ_LONG,
    READ_WEIGHT,
    READ_WEIGHT_LONG,
    UNFITTABLE,
)
from rampfit_numba.kernels.weights import BOUNDS, CUBIC, PER_CUBIC, PER_STEP, STEPS

_CLASSES = len(BOUNDS) + 1
_B1, _B2, _B3, _B4, _B5 = BOUNDS
_SOLE_FIRST = ramp_status.SOLE_FIRST
_ZEROFRAME = ramp_status.ZEROFRAME
_FEW = 2


@jit_inline
def signal_class(step, readnoise, gain):
    """Return the signal-to-noise class of a segment, 0 to 5 (table of section 5).

    Parameters
    ----------
    step : float
        Last sample minus first, in DN.
    readnoise : float
        Noise R of a group in e-.
    gain : float
        G in e-/DN.

    Returns
    -------
    int
        Class of step G / sqrt(R^2 + step G); NaN has the highest, no positive variance the lowest.
    """
    signal = step * gain
    variance = readnoise * readnoise + signal
    # Squares instead of a quotient and a root, which take longer than all the rest of a short segment. Equality with a bound needs
    # a perfect square, for which both ways are exact.
    square = signal * signal if signal > 0 and variance > 0 else 0.0
    found = (
        int(square >= _B1 * _B1 * variance)
        + int(square >= _B2 * _B2 * variance)
        + int(square >= _B3 * _B3 * variance)
        + int(square >= _B4 * _B4 * variance)
        + int(square >= _B5 * _B5 * variance)
    )
    found = found if square > 0 else 0
    return _CLASSES - 1 if np.isnan(variance) else found


@jit_inline
def single_group_time(status, settings):
    """Return the time in s that a segment of a single group stands for."""
    if (status & _SOLE_FIRST) != 0:
        return settings.one_group_time
    if (status & _ZEROFRAME) != 0:
        return settings.frame_time
    return settings.group_time


@jit_inline
def segment_slope(samples, pixel, begin, end, snr_class, weights):
    """Return the slope of one segment of two or more groups, in DN per group (formula in :mod:`weights`)."""
    length = end - begin
    start = weights.start[length]
    slope = 0.0
    for k in range(length // 2):
        step = np.float64(samples[end - 1 - k, pixel]) - np.float64(samples[begin + k, pixel])
        slope += weights.slope[snr_class, start + k] * step
    return slope


@jit_inline
def sum_segments(samples, first, k, status, begins, ends, count, settings, weights, readnoise, gain, constants, sums):
    """Fit the segments of one ramp and put what the combination needs into lane `k` of `sums`.

    Parameters
    ----------
    samples : ndarray of float32, shape (ngroups, npixels)
        In DN.
    first, k : int
        First pixel of the block, and lane.
    status : uint16
    begins, ends : ndarray of int64
        The segments, `count` of them.
    settings : Settings
    weights : Weights
    readnoise, gain : float
        In e- and e-/DN.
    constants : ndarray of float64, shape (CONSTANTS, LANES)
        See :mod:`pixels`.
    sums : ndarray of float64, shape (4, LANES)
        Results: sum slope / var_rnoise, sum 1 / var_poisson (positive ones), sum 1 / var_rnoise, sum 1 / var_err.
    """
    pixel = first + k
    if count == 1 and ends[0] - begins[0] == 1:
        _sum_single_group(np.float64(samples[begins[0], pixel]), k, status, settings, constants, sums)
        return
    slope_sum, steps, read_weight, total_weight = 0.0, 0.0, 0.0, 0.0
    for s in range(count):
        begin, end = begins[s], ends[s]
        length = end - begin
        snr_class, lost = 0, 0.0
        read, weight = constants[READ, k], constants[READ_WEIGHT, k]
        if length > _FEW:
            step = np.float64(samples[end - 1, pixel]) - np.float64(samples[begin, pixel])
            snr_class = signal_class(step, readnoise, gain)
            lost = constants[UNFITTABLE, k]
            read, weight = constants[READ_LONG, k], constants[READ_WEIGHT_LONG, k]
        weight *= weights.lengths[CUBIC, length]
        slope_sum += (segment_slope(samples, pixel, begin, end, snr_class, weights) + lost) * weight
        steps += weights.lengths[STEPS, length]
        read_weight += weight
        total_weight += 1.0 / (
            constants[POISSON, k] * weights.lengths[PER_STEP, length] + read * weights.lengths[PER_CUBIC, length]
        )
    sums[0, k] = slope_sum / settings.group_time
    sums[1, k] = steps * constants[POISSON_WEIGHT, k] if count > 0 else 0.0
    sums[2, k] = read_weight
    sums[3, k] = total_weight


@jit_inline
def _sum_single_group(sample, k, status, settings, constants, sums):
    """Do what :func:`sum_segments` does for the only segment of a ramp, a single group."""
    time = single_group_time(status, settings)
    ratio = settings.group_time / time
    var_rnoise = constants[READ, k] * (ratio * ratio / 6.0)
    sums[0, k] = sample / time / var_rnoise
    sums[1, k] = constants[POISSON_WEIGHT, k] / ratio
    sums[2, k] = 1.0 / var_rnoise
    sums[3, k] = 1.0 / (constants[POISSON, k] * ratio + var_rnoise)


@jit
def clean_slopes(samples, first, readnoise, gain, weights, slope):
    """Fit a block of ramps whose groups are all good.

    Parameters
    ----------
    samples : ndarray of float32, shape (ngroups, npixels)
        In DN, ngroups > 1.
    first : int
        First pixel of the block.
    readnoise, gain : ndarray of float64, shape (LANES,)
        Noise of a group in e-, and gain in e-/DN.
    weights : Weights
    slope : ndarray of float64, shape (LANES,)
        Result, DN per group.
    """
    ngroups = samples.shape[0]
    start = weights.start[ngroups]
    classes = np.empty(LANES, np.int64)
    total = np.empty(LANES, np.float64)
    last = samples[ngroups - 1, first : first + LANES]
    opening = samples[0, first : first + LANES]
    for k in range(LANES):
        classes[k] = signal_class(np.float64(last[k]) - np.float64(opening[k]), readnoise[k], gain[k])
    present = np.int64(0)
    for k in range(LANES):
        present |= np.int64(1) << classes[k]
    for c in range(_CLASSES):
        if (present >> c) & 1 == 0:
            continue
        for k in range(LANES):
            total[k] = 0.0
        for h in range(ngroups // 2):
            early = samples[h, first : first + LANES]
            late = samples[ngroups - 1 - h, first : first + LANES]
            factor = weights.slope[c, start + h]
            for k in range(LANES):
                total[k] += factor * (np.float64(late[k]) - np.float64(early[k]))
        for k in range(LANES):
            slope[k] = total[k] if classes[k] == c else slope[k]


@jit
def clean_sums(ngroups, weights, constants, sums):
    """Find what the unflagged ramps of a pixel share: rows 1 to 3 of `sums` as in :func:`sum_segments`."""
    steps, cubic = weights.lengths[STEPS, ngroups], weights.lengths[CUBIC, ngroups]
    read = constants[READ_LONG if ngroups > _FEW else READ]
    read_weight = constants[READ_WEIGHT_LONG if ngroups > _FEW else READ_WEIGHT]
    poisson, poisson_weight = constants[POISSON], constants[POISSON_WEIGHT]
    for k in range(LANES):
        sums[1, k] = poisson_weight[k] * steps
        sums[2, k] = read_weight[k] * cubic
        sums[3, k] = 1.0 / (poisson[k] / steps + read[k] / cubic)
