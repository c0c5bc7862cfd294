"""Weighted straight-line fits of segments.

Source: section 5 of the rules in ``docs/algorithm.md``; Fixsen et al. 2000 (PASP 112, 1350) for the weights, Robberto 2008
(JWST-STScI-0001490) and Regan 2007 (JWST-STScI-001212) for the variances.
"""

from __future__ import annotations

import numpy as np

from rampfit_numba.kernels._jit import LANES, jit
from rampfit_numba.kernels.weights import BOUNDS

_CLASSES = len(BOUNDS) + 1
_B1, _B2, _B3, _B4, _B5 = BOUNDS


@jit
def signal_class(step, readnoise, gain):
    """Return the signal-to-noise class of a segment, 0 to 5 (table of section 5).

    Parameters
    ----------
    step : float
        Last sample minus first, in DN.
    readnoise : float
        Noise of a group in e-.
    gain : float
        In e-/DN.

    Returns
    -------
    int
        Class of SNR = step gain / sqrt(readnoise^2 + step gain); a NaN has the highest.
    """
    signal = step * gain
    variance = readnoise * readnoise + signal
    snr = signal / np.sqrt(max(variance, 0.0))
    found = int(snr >= _B1) + int(snr >= _B2) + int(snr >= _B3) + int(snr >= _B4) + int(snr >= _B5)
    if variance <= 0 or gain == 0:
        return 0
    if np.isnan(variance) or np.isnan(snr):
        return _CLASSES - 1
    return found


@jit
def read_variance(length, time, readnoise, gain):
    """Return the variance of a segment's slope due to read noise, in (DN/s)^2.

    12 R^2 / (T^2 (n^3 - n) G^2), with n^3 - n = 6 for a single group (section 5).

    Parameters
    ----------
    length : int
        Number of groups n.
    time : float
        Time T between groups, for a single group the time that it stands for, in s.
    readnoise, gain : float
        R in e-, G in e-/DN.
    """
    if length > 2 and not gain > 0:  # noqa: PLR2004
        return 0.0
    n = np.float64(max(length, 2))
    scaled = readnoise / time
    return 12.0 * scaled * scaled / ((n * n * n - n) * gain * gain)


@jit
def poisson_variance(length, time, rate, gain):
    """Return the variance of a segment's slope due to the Poisson noise of the median rate (DN/s), in (DN/s)^2.

    p / (T G (n - 1)), with n - 1 = 1 for a single group (section 5).
    """
    if length > 2:  # noqa: PLR2004
        return rate / (time * gain * (length - 1))
    return rate / (time * gain)


@jit
def unfittable(readnoise):
    """Return 0, or NaN where the read noise leaves no finite weights."""
    square = readnoise * readnoise
    return (square * (1.0 / square)) * 0.0


@jit
def segment_slope(samples, pixel, begin, end, snr_class, weights):
    """Return the slope of one segment of two or more groups, in DN per group (formula in :mod:`weights`)."""
    length = end - begin
    start = weights.start[length]
    slope = 0.0
    for k in range(length // 2):
        step = np.float64(samples[end - 1 - k, pixel]) - np.float64(samples[begin + k, pixel])
        slope += weights.slope[snr_class, start + k] * step
    return slope


@jit
def segment_intercept(samples, pixel, begin, end, snr_class, weights, slope):
    """Return the value at group 0 of the line fitted to one segment of two or more groups, in DN.

    Parameters are those of :func:`segment_slope` and its result.
    """
    length = end - begin
    start = weights.start[length]
    total = 0.0
    for k in range(length // 2):
        pair = np.float64(samples[end - 1 - k, pixel]) + np.float64(samples[begin + k, pixel])
        total += weights.weight[snr_class, start + k] * pair
    if length % 2 and snr_class == 0:
        total += np.float64(samples[begin + length // 2, pixel])
    return total / weights.total[snr_class, length] - slope * (begin + 0.5 * (length - 1))


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
    last = samples[ngroups - 1, first : first + LANES]
    opening = samples[0, first : first + LANES]
    present = np.zeros(_CLASSES, np.bool_)
    for k in range(LANES):
        classes[k] = signal_class(np.float64(last[k]) - np.float64(opening[k]), readnoise[k], gain[k])
    for k in range(LANES):
        present[classes[k]] = True
    total = np.empty(LANES, np.float64)
    for c in range(_CLASSES):
        if not present[c]:
            continue
        total[:] = 0.0
        for h in range(ngroups // 2):
            early = samples[h, first : first + LANES]
            late = samples[ngroups - 1 - h, first : first + LANES]
            factor = weights.slope[c, start + h]
            for k in range(LANES):
                total[k] += factor * (np.float64(late[k]) - np.float64(early[k]))
        for k in range(LANES):
            slope[k] = total[k] if classes[k] == c else slope[k]
