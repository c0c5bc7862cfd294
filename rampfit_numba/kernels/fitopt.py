"""Optional results: every segment's fit, the steps at the jumps, and the pedestal.

Source: sections 2.12, 5 and 8 of the rules in ``docs/algorithm.md``.
"""

from __future__ import annotations

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels import ramp_status
from rampfit_numba.kernels._jit import LANES, jit, jit_inline
from rampfit_numba.kernels.ols import signal_class, single_group_time
from rampfit_numba.kernels.pixels import POISSON, READ, READ_LONG, UNFITTABLE
from rampfit_numba.kernels.weights import POWERS

#: Rows of the float32 results of a segment.
SLOPE, SIGSLOPE, VAR_POISSON, VAR_RNOISE, YINT, SIGYINT, WEIGHTS = range(7)
#: The reference's value of sqrt(2), used for the uncertainties of segments of two groups.
_SQRT2 = 1.41421356
_FEW = 2
_CLASSES = len(POWERS)
_J, _S = np.uint8(dq.JUMP_DET), np.uint8(dq.SATURATED)
_S32 = np.uint32(dq.SATURATED)
_ZEROFRAME = ramp_status.ZEROFRAME


@jit_inline
def fit_line(samples, pixel, begin, end, snr_class, weights):
    """Return slope and weighted mean of one segment of two or more groups, in DN per group and DN."""
    length = end - begin
    n = np.float64(length)
    cubic = n * n * n - n
    row = snr_class * (weights.factors.size // _CLASSES) + length * (length - 1) // 2
    # A factor is w_k (k-c) (n^3 - n) / spread: that gives w_k back, but for the centre.
    unit = weights.spread[snr_class, length] / cubic
    slope, mean = 0.0, 0.0
    for g in range(begin, end):
        sample = np.float64(samples[g, pixel])
        factor = weights.factors[row + g - begin]
        distance = np.float64(g - begin) - 0.5 * (n - 1.0)
        slope += factor * sample
        if distance != 0.0:
            mean += factor * unit / distance * sample
        elif snr_class == 0:
            mean += sample
    return slope / cubic, mean / weights.total[snr_class, length]


@jit
def store_segments(
    samples, first, k, status, begins, ends, count, settings, weights, readnoise, gain, constants, segments
):
    """Store the fits of the segments of one ramp.

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
    segments : ndarray of float32, shape (7, nsegments, npixels)
        Rows SLOPE to WEIGHTS of one integration: DN/s, e-/group, (DN/s)^2 twice, DN, e-, (s/DN)^2.
    """
    pixel = first + k
    for s in range(count):
        begin, end = begins[s], ends[s]
        length = end - begin
        if length == 1:
            time = single_group_time(status, settings)
            ratio = settings.group_time / time
            segments[SLOPE, s, pixel] = np.float64(samples[begin, pixel]) / time
            segments[VAR_POISSON, s, pixel] = constants[POISSON, k] * ratio
            var_rnoise = constants[READ, k] * (ratio * ratio / 6.0)
        else:
            n = np.float64(length)
            lost = 0.0
            snr_class = 0
            if length > _FEW:
                lost = constants[UNFITTABLE, k]
                step = np.float64(samples[end - 1, pixel]) - np.float64(samples[begin, pixel])
                snr_class = signal_class(step, readnoise, gain)
                noise = abs(readnoise) + lost
                spread = weights.spread[snr_class, length]
                centre = begin + 0.5 * (n - 1.0)
                segments[SIGSLOPE, s, pixel] = noise / np.sqrt(spread)
                segments[SIGYINT, s, pixel] = noise * np.sqrt(
                    1.0 / weights.total[snr_class, length] + centre * centre / spread
                )
            else:
                segments[SIGSLOPE, s, pixel] = _SQRT2 * readnoise
                segments[SIGYINT, s, pixel] = _SQRT2 * readnoise
            slope, mean = fit_line(samples, pixel, begin, end, snr_class, weights)
            slope += lost
            segments[SLOPE, s, pixel] = slope / settings.group_time
            segments[YINT, s, pixel] = mean - slope * (begin + 0.5 * (n - 1.0))
            segments[VAR_POISSON, s, pixel] = constants[POISSON, k] / (n - 1.0)
            var_rnoise = constants[READ_LONG if length > _FEW else READ, k] / (n * n * n - n)
        segments[VAR_RNOISE, s, pixel] = var_rnoise
        segments[WEIGHTS, s, pixel] = 1.0 / var_rnoise


@jit
def store_pedestals(samples, first, settings, flags, slope, pedestal):
    """Store the pedestals of one integration of a block, in DN.

    Parameters
    ----------
    samples : ndarray of float32, shape (ngroups, npixels)
    first : int
    settings : Settings
    flags : ndarray of uint32, shape (LANES,)
        Of the integration, before partial saturation.
    slope : ndarray of float64, shape (LANES,)
        In DN/s. That the product with a number of groups lacks the group time is as in the reference.
    pedestal : ndarray of float32, shape (npixels,)
    """
    for k in range(LANES):
        value = np.float64(samples[0, first + k]) - slope[k] * settings.pedestal_groups
        pedestal[first + k] = 0.0 if (flags[k] & _S32) != 0 or np.isnan(value) else value


@jit
def store_jumps(samples, flags, first, status, replaced_sample, replaced_flag, crmag):
    """List the steps at the jumps of one integration of a block, in time order and in DN; NaN next to saturation.

    Parameters
    ----------
    samples, flags : ndarray, shape (ngroups, npixels)
    first : int
    status : ndarray of uint16, shape (LANES,)
    replaced_sample, replaced_flag : ndarray, shape (LANES,)
        Group 0 as it was where a zeroframe took its place.
    crmag : ndarray of float32, shape (njumps, npixels)
    """
    for k in range(LANES):
        found = 0
        for g in range(1, samples.shape[0]):
            if (flags[g, first + k] & _J) == 0:
                continue
            before = np.float64(samples[g - 1, first + k])
            before_flag = flags[g - 1, first + k]
            if g == 1 and (status[k] & _ZEROFRAME) != 0:
                before = np.float64(replaced_sample[k])
                before_flag = replaced_flag[k]
            saturated = ((flags[g, first + k] | before_flag) & _S) != 0
            crmag[found, first + k] = np.nan if saturated else np.float64(samples[g, first + k]) - before
            found += 1
