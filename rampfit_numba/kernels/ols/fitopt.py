"""Optional results: every segment's fit, the steps at the jumps, and the pedestal.

The functions that store them take ``fitopt``, a ``BlockFitOpt``, which holds one integration; with None they are empty.

Source: sections 2.12, 5 and 8 of the rules in ``docs/algorithm.md``.
"""

from __future__ import annotations

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES, jit, jit_inline
from rampfit_numba.kernels.bits import BITS, bits_equal
from rampfit_numba.kernels.lists import list_bits
from rampfit_numba.kernels.ols import ramp_status
from rampfit_numba.kernels.ols.long_segments import describe_long
from rampfit_numba.kernels.ols.means import find_means
from rampfit_numba.kernels.ols.pixels import POISSON, READ, READ_LONG, READNOISE, UNFITTABLE
from rampfit_numba.kernels.ols.segment_fit import segment_variances, single_group_time, single_group_variances
from rampfit_numba.kernels.ols.weighting import POWERS, shape_in_tables, shape_of_long
from rampfit_numba.kernels.vectors import (
    WIDTH,
    anywhere,
    load,
    load_single,
    select,
    spread,
    store_single,
)

#: Rows of the float32 results of a segment.
SLOPE, SIGSLOPE, VAR_POISSON, VAR_RNOISE, YINT, SIGYINT, WEIGHTS = range(7)
#: The reference's value of sqrt(2), used for the uncertainties of segments of two groups.
_SQRT2 = 1.41421356
_FEW = 2
_CLASSES = len(POWERS)
_J, _S = np.uint8(dq.JUMP_DET), np.uint8(dq.SATURATED)
_ZEROFRAME = ramp_status.ZEROFRAME


@jit_inline
def store_segment(place, k, begin, length, slope, mean, shape, settings, constants):
    """Store the fit of one segment of two or more groups.

    Parameters
    ----------
    place : ndarray of float32, shape (7, LANES)
        Rows SLOPE to WEIGHTS: DN/s, e-/group, (DN/s)^2 twice, DN, e-, (s/DN)^2.
    k : int
        Lane.
    begin, length : int
        First group, number of groups.
    slope : float
        Slope per group times n^3 - n, in DN.
    mean : float
        Weighted mean of the samples in DN.
    shape : SegmentShape
    settings : Settings
    constants : ndarray of float64, shape (CONSTANTS, LANES)

    Formula
    -------
    slope = b / t_g,  yint = mean - b m,  b = slope per group,  m = s + (n - 1) / 2
    sigslope = R / sqrt(sum w (k - c)^2)
    weight = 1 / var_rnoise

    Source
    ------
    Sections 5 and 8 of ``docs/algorithm.md``; the variances are those of :func:`.segment_fit.segment_variances`,
    sigyint that of :func:`intercept_noise`.

    Units
    -----
    yint and mean in DN; b in DN, k and m count groups, c is the middle of the segment, the group time t_g is in s; R is
    the noise of a group in e-, w_k R^2 takes the place of w; the rest as in the parameters.
    """
    per_second = 1.0 / settings.group_time
    centre = np.float64(begin) + 0.5 * (np.float64(length) - 1.0)
    readnoise = constants[READNOISE, k]
    per_group = slope * shape.per_cubic
    if length > _FEW:
        per_group += constants[UNFITTABLE, k]
        noise = abs(readnoise) + constants[UNFITTABLE, k]
        sigslope, sigyint = noise * shape.slope_noise, noise * intercept_noise(shape, centre)
        read = constants[READ_LONG, k]
    else:
        sigslope = sigyint = _SQRT2 * readnoise
        read = constants[READ, k]
    var_rnoise = read * shape.per_cubic  # as in segment_variances, to the bit
    place[SLOPE, k] = per_group * per_second
    place[SIGSLOPE, k] = sigslope
    place[VAR_POISSON, k] = constants[POISSON, k] * shape.per_step
    place[VAR_RNOISE, k] = var_rnoise
    place[YINT, k] = mean - per_group * centre
    place[SIGYINT, k] = sigyint
    place[WEIGHTS, k] = 1.0 / var_rnoise


@jit_inline
def intercept_noise(shape, centre):
    """Return the standard deviation of a segment's intercept, in units of the noise of a group.

    Parameters
    ----------
    shape : SegmentShape
    centre : float
        The middle of the segment, counted from the first group.

    Formula
    -------
    sigyint = R sqrt(1 / sum w + m^2 / sum w (k - c)^2)

    Source
    ------
    Section 5 of ``docs/algorithm.md``, XX and Det written with the middle m of the segment.

    Units
    -----
    R is the noise of a group in e-, w_k R^2 takes the place of w; c is the segment's middle, m is `centre`.
    """
    return np.sqrt(shape.per_total + centre * centre / shape.spread)


@jit
def store_clean(fitopt, samples, classes, slope, settings, constants, weights, wanted):
    """Store the only segments of the ramps without flags of a block, and 0 for the others.

    What :func:`store_segment` does is done for vectors here, with the same results to the bit.

    Parameters
    ----------
    fitopt : BlockFitOpt or None
    samples : ndarray of float32, shape (ngroups, LANES)
        In DN.
    classes, slope : ndarray of float64, shape (LANES,)
        See :func:`fit_clean`, which leaves out ramps with flags.
    settings, constants, weights
        See :func:`store_segment`.
    wanted : bool
        Otherwise only the 0 is stored, and :func:`store_segments` does the rest.
    """
    if fitopt is None:
        return
    place = fitopt.segments[:, 0]
    fitopt.depth[0] = np.int64(wanted)
    if wanted:
        ngroups = samples.shape[0]
        n = np.float64(ngroups)
        column = weights.per_cubic.size - 1
        per_cubic, per_second = weights.per_cubic[column], 1.0 / settings.group_time
        centre = 0.5 * (n - 1.0)
        entries = weights.factors.size // _CLASSES
        for lane in range(0, LANES, WIDTH):
            found = load(classes, lane)
            mean, of_slope, of_intercept = spread(0.0), spread(0.0), spread(0.0)
            for c in range(_CLASSES):
                here = found == float(c)
                if anywhere(here):
                    start = (c + 1) * entries - ngroups  # all groups stand at the end of a class
                    total = spread(0.0)
                    for g in range(ngroups):
                        total = total + load_single(samples[g], lane) * weights.shares[start + g]
                    shape = shape_in_tables(weights, c, column)
                    mean = select(here, total, mean)
                    of_slope = select(here, shape.slope_noise, of_slope)
                    of_intercept = select(here, intercept_noise(shape, centre), of_intercept)
            per_group = load(slope, lane) * per_cubic
            readnoise = load(constants[READNOISE], lane)
            sigslope = sigyint = readnoise * _SQRT2
            read = load(constants[READ], lane)
            if ngroups > _FEW:
                lost = load(constants[UNFITTABLE], lane)
                per_group = per_group + lost
                noise = select(readnoise < 0.0, 0.0 - readnoise, readnoise) + lost
                sigslope, sigyint = noise * of_slope, noise * of_intercept
                read = load(constants[READ_LONG], lane)
            var_poisson, var_rnoise = segment_variances(load(constants[POISSON], lane), read, ngroups)
            left_out = found < 0.0
            store_single(place[SLOPE], lane, select(left_out, 0.0, per_group * per_second))
            store_single(place[SIGSLOPE], lane, select(left_out, 0.0, sigslope))
            store_single(place[VAR_POISSON], lane, select(left_out, 0.0, var_poisson))
            store_single(place[VAR_RNOISE], lane, select(left_out, 0.0, var_rnoise))
            store_single(place[YINT], lane, select(left_out, 0.0, mean - per_group * centre))
            store_single(place[SIGYINT], lane, select(left_out, 0.0, sigyint))
            store_single(place[WEIGHTS], lane, select(left_out, 0.0, 1.0 / var_rnoise))
    else:
        place[:] = 0.0


@jit
def store_segments(fitopt, samples, segments, number, settings, constants, weights, stored):
    """Store the fits of the segments of two or more groups of a block of ramps.

    Parameters
    ----------
    fitopt : BlockFitOpt or None
    samples : ndarray of float32, shape (ngroups, LANES)
        In DN.
    segments : Segments
        As :func:`fit_segments` leaves them.
    number : int
        How many there are.
    settings, constants, weights
        See :func:`store_segment`.
    stored : ndarray of int32, shape (LANES,)
        Workspace to count in.
    """
    if fitopt is None:
        return
    pointers, most = fitopt.segments, fitopt.segments.shape[1]
    find_means(samples, weights, segments, number)
    mean, rank = segments.step, segments.longer
    for lane in range(LANES):
        stored[lane] = 0
    # Rows of the table of weights that belong to a class are so many that the quotient is never nearly whole.
    per_entry = 1.0 / np.float64(weights.factors.size // _CLASSES)
    for s in range(number):
        k, length, row = np.uint64(segments.lane[s]), np.int64(segments.length[s]), segments.row[s]
        begin = np.int64(segments.last[s]) + 1 - length
        snr_class, already = np.uint64(np.float64(row) * per_entry), np.uint64(stored[k])
        # The flags may have changed since the segments were counted: they may be in a file, or another thread's.
        if already < most:
            if length > weights.longest:
                its_mean, total, spread_of = describe_long(
                    samples, np.int64(k), begin, length, np.int64(snr_class), segments.long_workspace
                )
                shape = shape_of_long(length, total, spread_of)
            else:
                its_mean = mean[rank[s]]
                shape = shape_in_tables(weights, snr_class, np.uint64(length))
            slope = segments.slope[s]
            store_segment(pointers[:, already], k, begin, length, slope, its_mean, shape, settings, constants)
        stored[k] += 1
    fitopt.depth[0] = max(fitopt.depth[0], _largest(stored))


@jit
def store_single_group(fitopt, sample, k, status, settings, constants):
    """Store the fit of a ramp whose only segment is one `sample` in DN; the rest is as for :func:`store_segments`.

    Formula
    -------
    slope = y / T,  weight = 1 / var_rnoise

    Source
    ------
    Sections 5 and 8 of ``docs/algorithm.md``; the variances are those of :func:`single_group_variances`.

    Units
    -----
    y in DN, T in s; weight in (s/DN)^2.
    """
    if fitopt is None:
        return
    place = fitopt.segments[:, 0]
    fitopt.depth[0] = max(fitopt.depth[0], 1)
    time = single_group_time(status, settings)
    var_poisson, var_rnoise = single_group_variances(time, constants[POISSON, k], constants[READ, k], settings)
    place[SLOPE, k] = np.float64(sample) / time
    place[VAR_POISSON, k] = var_poisson
    place[VAR_RNOISE, k] = var_rnoise
    place[WEIGHTS, k] = 1.0 / var_rnoise


@jit
def store_pedestals(fitopt, samples, settings, flags, slope):
    """Store the pedestals of one integration of a block, in DN.

    Parameters
    ----------
    fitopt : BlockFitOpt or None
    samples : ndarray of float32, shape (ngroups, LANES)
    settings : Settings
    flags : ndarray of uint8, shape (LANES,)
        Of the integration, before partial saturation.
    slope : ndarray of float64, shape (LANES,)
        In DN/s. That the product with a number of groups lacks the group time is as in the reference.

    Formula
    -------
    pedestal = y_0 - slope ((N + 1) / 2 + drop_frames1) / (N + groupgap)

    Source
    ------
    Section 8 of ``docs/algorithm.md``.

    Units
    -----
    Sample y_0 and pedestal in DN, slope in DN/s; ``settings.pedestal_groups`` is the quotient, N the number of frames.
    """
    if fitopt is None:
        return
    pedestal = fitopt.pedestal
    for k in range(LANES):
        value = np.float64(samples[0, k]) - slope[k] * settings.pedestal_groups
        pedestal[k] = 0.0 if (flags[k] & _S) != 0 or np.isnan(value) else value


@jit
def store_jumps(fitopt, samples, flags, status, replaced_sample, replaced_flag, stored, listed):
    """List the steps at the jumps of a block of ramps, in time order and in DN, NaN next to saturation.

    Parameters
    ----------
    fitopt : BlockFitOpt or None
    samples, flags : ndarray, shape (ngroups, LANES)
    status : ndarray of uint16, shape (LANES,)
    replaced_sample, replaced_flag : ndarray, shape (LANES,)
        Group 0 as it was where a zeroframe took its place.
    stored, listed : ndarray of int32, shape (LANES,), and of uint32, shape (LANES + SPARE,)
        Workspace to work in.

    Formula
    -------
    crmag = y_g - y_{g-1}

    Source
    ------
    Sections 2.12 and 8 of ``docs/algorithm.md``.

    Units
    -----
    Samples y and steps in DN.
    """
    if fitopt is None:
        return
    crmag = fitopt.crmag
    for k in range(LANES):
        stored[k] = 0
    for g in range(1, samples.shape[0]):
        number = np.uint64(0)
        for start in range(0, LANES, BITS):
            number = list_bits(bits_equal(flags[g], start, _J, _J), start, listed, number)
        for a in range(number):
            k = listed[a]
            before, before_flag = np.float64(samples[g - 1, k]), flags[g - 1, k]
            if g == 1 and (status[k] & _ZEROFRAME) != 0:
                before, before_flag = np.float64(replaced_sample[k]), replaced_flag[k]
            saturated = ((flags[g, k] | before_flag) & _S) != 0
            if stored[k] < crmag.shape[0]:  # as in store_segments
                crmag[stored[k], k] = np.nan if saturated else np.float64(samples[g, k]) - before
            stored[k] += 1
    fitopt.depth[1] = _largest(stored)


@jit
def _largest(numbers):
    most = numbers[0]
    for k in range(LANES):
        here = numbers[k]
        larger = here > most
        most = here if larger else most  # `max` would use no vectors
    return most
