"""Weighted straight-line fits of segments.

Source: section 5 of the rules in ``docs/algorithm.md``; Fixsen et al. 2000 (PASP 112, 1350) for the weights, Robberto
2008 (JWST-STScI-0001490) and Regan 2007 (JWST-STScI-001212) for the variances.

The weights are symmetric about the middle of a segment, so a slope is a sum over pairs of samples that lie
symmetrically, a_j (y_{n-1-j} - y_j): half as many terms, and the pedestal leaves no rounding error. The first pair is
also what the signal-to-noise class is found from.
"""

from __future__ import annotations

import numpy as np
from numba import types

from rampfit_numba.kernels._jit import LANES, jit, jit_apart, jit_inline
from rampfit_numba.kernels.ols import ramp_status
from rampfit_numba.kernels.ols.long_segments import fit_long_segments
from rampfit_numba.kernels.ols.pixels import (
    GAIN,
    POISSON,
    POISSON_WEIGHT,
    READ,
    READ_WEIGHT,
    READNOISE,
    SLOPE_WEIGHT,
    UNFITTABLE,
)
from rampfit_numba.kernels.ols.weighting import BOUNDS
from rampfit_numba.kernels.vectors import (
    QUICK_GATHER,
    WIDTH,
    anywhere,
    bits_of,
    gather,
    list_bits,
    load,
    load_single,
    load_unset,
    load_whole,
    select,
    spread,
    store,
    store_whole,
)

_CLASSES = len(BOUNDS) + 1
_B1, _B2, _B3, _B4, _B5 = BOUNDS
_SINGLE_FIRST_GROUP = ramp_status.SINGLE_FIRST_GROUP
_ZEROFRAME = ramp_status.ZEROFRAME
_FEW = 2
#: With fewer groups on average, segments are short.
_MOSTLY_SHORT = 6
_TRUE = np.uint8(1)
_ONE, _LANES = np.uint32(1), np.uint32(LANES)


@jit_inline
def signal_class(step, readnoise, gain):
    """Return the signal-to-noise class of a segment, 0 to 5; of scalars or vectors.

    Parameters
    ----------
    step : float or vector
        Last sample minus first, in DN.
    readnoise : float or vector
        Noise R of a group in e-.
    gain : float or vector
        G in e-/DN.

    Returns
    -------
    float or vector
        A whole number. Where S is NaN it is the highest class, and where there is no positive variance the lowest.

    Formula
    -------
    S     = D / sqrt(R^2 + D),  D = step G
    class = number of BOUNDS that S reaches

    Source
    ------
    Fixsen et al. 2000 (PASP 112, 1350), table 1; section 5 of ``docs/algorithm.md``.

    Units
    -----
    step in DN, G in e-/DN, D and R in e-.
    """
    signal = step * gain
    variance = readnoise * readnoise + signal
    # Squares instead of a quotient and a root, which take longer than all the rest of a short segment. Equality with a
    # bound needs a perfect square, for which both ways are exact.
    square = select((signal > 0.0) & (variance > 0.0), signal * signal, 0.0)
    found = (
        select(square >= variance * (_B1 * _B1), 1.0, 0.0)
        + select(square >= variance * (_B2 * _B2), 1.0, 0.0)
        + select(square >= variance * (_B3 * _B3), 1.0, 0.0)
        + select(square >= variance * (_B4 * _B4), 1.0, 0.0)
        + select(square >= variance * (_B5 * _B5), 1.0, 0.0)
    )
    return select(variance == variance, select(square > 0.0, found, 0.0), _CLASSES - 1.0)  # noqa: PLR0124  (NaN is not)


@jit_inline
def single_group_time(status, settings):
    """Return the time in s that a segment of a single group stands for.

    Formula
    -------
    T = t_1 for group 0 alone, t_f for a zeroframe, t_g for any other

    Source
    ------
    Section 5 of ``docs/algorithm.md``.

    Units
    -----
    All times t in s.
    """
    if (status & _SINGLE_FIRST_GROUP) != 0:
        return settings.one_group_time
    if (status & _ZEROFRAME) != 0:
        return settings.frame_time
    return settings.group_time


@jit_inline
def segment_variances(poisson, read, number):
    """Return var_poisson and var_rnoise of the slope of a segment of `number` groups n; of scalars or vectors.

    Formula
    -------
    var_poisson = p / (t_g G (n - 1))
    var_rnoise  = 12 (R / (t_g G))^2 / (n^3 - n)

    Source
    ------
    Robberto 2008 (JWST-STScI-0001490), Regan 2007 (JWST-STScI-001212); section 5 of ``docs/algorithm.md``. All but the
    n comes from :func:`find_constants`.

    Units
    -----
    (DN/s)^2; p in DN/s, t_g in s, G in e-/DN, R in e-.
    """
    n = np.float64(number)
    return poisson * (1.0 / (n - 1.0)), read * (1.0 / (n * n * n - n))


@jit_inline
def relative_weight(poisson, read, n):
    """Return 1 / (var_poisson + var_rnoise) of the slope of a segment of `n` groups, a float; of scalars or vectors.

    Formula
    -------
    w = 1 / (p / (t_g G (n - 1)) + 12 (R / (t_g G))^2 / (n^3 - n))

    Source
    ------
    Those of :func:`segment_variances`, with a single division; section 6 of ``docs/algorithm.md``.

    Units
    -----
    (s/DN)^2.
    """
    steps, cubic = n - 1.0, n * n * n - n
    return cubic * steps / (poisson * cubic + read * steps)


@jit_inline
def single_group_variances(time, poisson, read, settings):
    """Return var_poisson and var_rnoise of the slope of one group.

    Formula
    -------
    var_poisson = p / (T G)
    var_rnoise  = 2 (R / (T G))^2

    Source
    ------
    Those of two groups, with the time T in the place of the group time: section 5 of ``docs/algorithm.md``.

    Units
    -----
    (DN/s)^2; p in DN/s, T (`time`) in s, G in e-/DN, R in e-.
    """
    ratio = settings.group_time / time
    return poisson * ratio, read * (ratio * ratio / 6.0)


@jit_apart(types.none)
def fit_segments(samples, constants, weights, segments, number):
    """Fit the segments of two or more groups of a block: find `row` and `slope` of `segments`.

    Parameters
    ----------
    samples : ndarray of float32, shape (ngroups, LANES)
        In DN.
    constants : ndarray of float64, shape (CONSTANTS, LANES)
        See :mod:`pixels`.
    weights : Weights
    segments : Segments
        As :func:`list_segments` leaves them.
    number : int
        How many there are.

    Formula
    -------
    slope (n^3 - n) = sum over pairs j < n / 2: a_{n-1-j} (y_{n-1-j} - y_j)
    a_k = (n^3 - n) w_k (k - c) / sum w (k - c)^2,  w_k = |(k - c) / c|^P,  c = (n - 1) / 2

    Source
    ------
    Fixsen et al. 2000 (PASP 112, 1350) for the weights; section 5 of ``docs/algorithm.md``. The table
    ``weights.factors`` has a; P goes by :func:`signal_class`.

    Units
    -----
    y and slope in DN.
    """
    if QUICK_GATHER:
        fit_gathered(samples, constants, weights, segments, number)
    else:
        fit_listed(samples, constants, weights, segments, number)
    if samples.shape[0] > weights.longest:
        fit_long_segments(samples, weights, segments, number)


@jit
def fit_gathered(samples, constants, weights, segments, number):
    """Do what :func:`fit_segments` does for segments with an entry in the tables, WIDTH of them in registers.

    Formula
    -------
    slope (n^3 - n) = sum over pairs j < n / 2: a_{n-1-j} (y_{n-1-j} - y_j)

    Source
    ------
    As :func:`fit_segments`; section 5 of ``docs/algorithm.md``.

    Units
    -----
    y and slope in DN.
    """
    flat, row_size = samples.reshape(-1), float(LANES)
    entries = weights.factors.size // _CLASSES
    lane, last, length, row, slope = segments.lane, segments.last, segments.length, segments.row, segments.slope
    longer = segments.longer
    readnoise, gain, factors = constants[READNOISE], constants[GAIN], weights.factors
    poisson, read = constants[POISSON], constants[READ]
    longest = np.float64(weights.longest)
    # The longest one of a vector is waited for. So where most have few groups, those that have more are set apart after
    # two pairs and taken together.
    groups = np.int64(0)
    for s in range(number):
        groups += length[s]
    mostly_short = groups < _MOSTLY_SHORT * number
    number_longer = np.uint64(0)
    for s in range(0, number, WIDTH):
        k, n = load_whole(lane, s), load_whole(length, s)
        store(segments.weight, s, relative_weight(gather(poisson, k), gather(read, k), n))
        end = load_whole(last, s) * row_size + k
        begin = end - (n - 1.0) * row_size
        step = gather(flat, end) - gather(flat, begin)
        found = signal_class(step, gather(readnoise, k), gather(gain, k))
        known = n <= longest
        place = found * float(entries) + (select(known, n * (n + 1.0) * 0.5, float(entries)) - 1.0)
        total = gather(factors, place) * step
        store_whole(row, s, place)
        left = n - 2.0
        another = known & (left > 1.0)
        if mostly_short:
            number_longer = list_bits(bits_of(known & (left > 3.0)), s, longer, number_longer)
        while anywhere(another):
            end = select(another, end - row_size, end)
            begin = select(another, begin + row_size, begin)
            place = select(another, place - 1.0, place)
            pair = gather(flat, end) - gather(flat, begin)
            total = select(another, total + gather(factors, place) * pair, total)
            if mostly_short:
                break
            left = left - 2.0
            another = another & (left > 1.0)
        store(slope, s, total)
    if number_longer == 0:
        return
    for a in range(number_longer, number_longer + np.uint64(WIDTH)):
        longer[a] = longer[number_longer - np.uint64(1)]
    for a in range(0, number_longer, WIDTH):
        s = load_whole(longer, a)
        k, n = gather(lane, s), gather(length, s)
        total, place = gather(slope, s), gather(row, s) - 2.0
        end = (gather(last, s) - 2.0) * row_size + k
        left = n - 4.0
        begin = end - (left - 1.0) * row_size
        another = left > 1.0
        while anywhere(another):
            pair = gather(flat, end) - gather(flat, begin)
            total = select(another, total + gather(factors, place) * pair, total)
            left = left - 2.0
            another = left > 1.0
            end = select(another, end - row_size, end)
            begin = select(another, begin + row_size, begin)
            place = select(another, place - 1.0, place)
        store(segments.first_constant, 0, total)
        for b in range(WIDTH):
            slope[longer[np.uint64(a) + np.uint64(b)]] = segments.first_constant[b]


@jit
def fit_listed(samples, constants, weights, segments, number):
    """Do the same one by one, each pair of samples for all segments that have one, so that no branch is hard to guess.

    Where a processor gathers values one after the other, that is quicker.

    Formula
    -------
    slope (n^3 - n) = sum over pairs j < n / 2: a_{n-1-j} (y_{n-1-j} - y_j)

    Source
    ------
    As :func:`fit_segments`; section 5 of ``docs/algorithm.md``.

    Units
    -----
    y and slope in DN.
    """
    flat = samples.reshape(-1)
    entries = np.uint32(weights.factors.size // _CLASSES)
    lane, last, length, row = segments.lane, segments.last, segments.length, segments.row
    low, high, step, slope, longer = segments.low, segments.high, segments.step, segments.slope, segments.longer
    readnoise, gain = segments.first_constant, segments.second_constant
    # What is gathered from all over is set side by side, so that the next loop can use vectors.
    for s in range(number):
        k = lane[s]
        end = last[s] * _LANES + k
        begin = end - (length[s] - _ONE) * _LANES
        high[s], low[s] = end, begin
        step[s] = np.float64(flat[end]) - np.float64(flat[begin])
        readnoise[s], gain[s] = constants[READNOISE, k], constants[GAIN, k]
    longest = np.uint32(weights.longest)
    for s in range(number):
        n = length[s]
        end = (n * (n + _ONE)) >> _ONE if n <= longest else entries
        row[s] = np.uint32(np.int32(signal_class(step[s], readnoise[s], gain[s]))) * entries + end - _ONE
    open_segments = 0
    for s in range(number):
        slope[s] = weights.factors[row[s]] * step[s]
        longer[open_segments] = s
        open_segments += (length[s] > _FEW + 1) & (length[s] <= longest)
    pair = 1
    while open_segments > 0:
        rows = np.uint32(pair) * _LANES
        still_open = 0
        for a in range(open_segments):
            s = longer[a]
            difference = np.float64(flat[high[s] - rows]) - np.float64(flat[low[s] + rows])
            slope[s] += weights.factors[row[s] - np.uint32(pair)] * difference
            longer[still_open] = s
            still_open += length[s] > 2 * pair + _FEW + 1
        open_segments = still_open
        pair += 1
    poisson, read, weight = segments.first_constant, segments.second_constant, segments.weight
    for s in range(number):
        k = lane[s]
        poisson[s], read[s] = constants[POISSON, k], constants[READ, k]
    for s in range(number):
        weight[s] = relative_weight(poisson[s], read[s], np.float64(length[s]))


@jit
def sum_segments(segments, number, runs, constants, sums):
    """Add up what the combination of the segments of two or more groups of a block needs.

    Parameters
    ----------
    segments : Segments
        As :func:`fit_segments` leaves them.
    number : int
        How many there are.
    runs : RunLengths
        As :func:`list_segments` leaves it.
    constants : ndarray of float64, shape (CONSTANTS, LANES)
    sums : ndarray of float64, shape (4, LANES)
        Results: sum slope / var_rnoise, sum 1 / var_poisson (positive ones), sum 1 / var_rnoise, sum 1 / var_err.

    Formula
    -------
    N = sum s / v_r,  I_p = sum 1 / v_p over positive v_p,  I_r = sum 1 / v_r,  I_e = sum 1 / (v_p + v_r)

    Source
    ------
    Robberto 2008 (JWST-STScI-0001490); section 6 of ``docs/algorithm.md``. v_p and v_r are those of
    :func:`segment_variances`; what does not depend on n is taken out of the sums.

    Units
    -----
    s in DN/s, v in (DN/s)^2.
    """
    lane, length, slope, weight = segments.lane, segments.length, segments.slope, segments.weight
    slope_sum, poisson_sum, read_sum, total_sum = sums[0], sums[1], sums[2], sums[3]
    count, steps, cubics = runs.nsegments, runs.sum_steps, runs.sum_cubes
    for k in range(LANES):
        slope_sum[k] = total_sum[k] = 0.0
    for k in range(LANES):
        cubics[k] = 0
    for s in range(number):
        k, n = lane[s], np.uint64(length[s])
        slope_sum[k] += slope[s]
        total_sum[k] += weight[s]
        cubics[k] += n * n * n - n
    read_weight, poisson_weight, unfittable = constants[READ_WEIGHT], constants[POISSON_WEIGHT], constants[UNFITTABLE]
    slope_weight = constants[SLOPE_WEIGHT]
    for k in range(LANES):
        # A segment of two groups has n^3 - n = 6.
        lost = unfittable[k] if cubics[k] > 6 * np.uint64(count[k]) else 0.0
        slope_sum[k] = (slope_sum[k] + lost) * slope_weight[k]
    for k in range(LANES):
        poisson_sum[k] = poisson_weight[k] * np.float64(steps[k])
    for k in range(LANES):
        read_sum[k] = read_weight[k] * np.float64(cubics[k]) if cubics[k] > 0 else 0.0


@jit
def sum_single_group(sample, k, status, settings, constants, sums):
    """Do what :func:`sum_segments` does for lane `k`, whose only segment is one `sample` in DN.

    Formula
    -------
    N = s / v_r,  I_p = 1 / v_p,  I_r = 1 / v_r,  I_e = 1 / (v_p + v_r),  s = y / T

    Source
    ------
    Sections 5 and 6 of ``docs/algorithm.md``: :func:`single_group_variances`.

    Units
    -----
    y in DN, T in s, v in (DN/s)^2.
    """
    time = single_group_time(status, settings)
    var_poisson, var_rnoise = single_group_variances(time, constants[POISSON, k], constants[READ, k], settings)
    sums[0, k] = np.float64(sample) / time / var_rnoise
    sums[1, k] = constants[POISSON_WEIGHT, k] / (settings.group_time / time)
    sums[2, k] = 1.0 / var_rnoise
    sums[3, k] = 1.0 / (var_poisson + var_rnoise)


@jit
def fit_clean(samples, constants, weights, unflagged, classes, slope):
    """Fit a block of ramps without flags of two or more groups, which are one segment each.

    The terms and their order are those of :func:`fit_segments`: the results are the same to the bit. A vector of ramps
    is fitted once for every signal-to-noise class that occurs in it, which is one mostly.

    Parameters
    ----------
    samples : ndarray of float32, shape (ngroups, LANES)
        In DN.
    constants : ndarray of float64, shape (CONSTANTS, LANES)
    weights : Weights
    unflagged : ndarray of bool, shape (LANES,)
        Others are left out: hits make them bright, and each class of a vector costs a fit.
    classes : ndarray of float64, shape (LANES,)
        Result: signal-to-noise classes, -1 where ramps are left out.
    slope : ndarray of float64, shape (LANES,)
        Result: slope per group times n^3 - n, in DN; 0 where ramps are left out.

    Formula
    -------
    slope (n^3 - n) = sum over pairs j < n / 2: a_{n-1-j} (y_{n-1-j} - y_j)

    Source
    ------
    As :func:`fit_segments`; section 5 of ``docs/algorithm.md``.

    Units
    -----
    y and slope in DN.
    """
    last = samples.shape[0] - 1
    entries = weights.factors.size // _CLASSES
    readnoise, gain = constants[READNOISE], constants[GAIN]
    for lane in range(0, LANES, WIDTH):
        step = load_single(samples[last], lane) - load_single(samples[0], lane)
        found = signal_class(step, load(readnoise, lane), load(gain, lane))
        found = select(load_unset(unflagged, lane, _TRUE), -1.0, found)
        fitted = spread(0.0)
        for c in range(_CLASSES):
            here = found == float(c)
            if anywhere(here):
                row = c * entries + entries - 1  # all groups stand at the end of a class
                total = step * weights.factors[row]
                for j in range(1, (last + 1) // 2):
                    pair = load_single(samples[last - j], lane) - load_single(samples[j], lane)
                    total = total + pair * weights.factors[row - j]
                fitted = select(here, total, fitted)
        store(classes, lane, found)
        store(slope, lane, fitted)


@jit
def sum_clean(slope, ngroups, constants, sums):
    """Do what :func:`sum_segments` does for ramps without flags: only row 0 of `sums`.

    Formula
    -------
    N = s / v_r

    Source
    ------
    As :func:`sum_segments`; section 6 of ``docs/algorithm.md``.

    Units
    -----
    s in DN/s, v_r in (DN/s)^2.
    """
    slope_weight, unfittable, slope_sum = constants[SLOPE_WEIGHT], constants[UNFITTABLE], sums[0]
    for k in range(LANES):
        lost = unfittable[k] if ngroups > _FEW else 0.0
        slope_sum[k] = (slope[k] + lost) * slope_weight[k]


@jit
def weigh_clean(ngroups, constants, sums):
    """Find what the unflagged ramps of a pixel share: rows 1 and 2 of `sums` as in :func:`sum_segments`.

    Formula
    -------
    I_p = 1 / v_p where that is positive,  I_r = 1 / v_r

    Source
    ------
    As :func:`sum_segments`; section 6 of ``docs/algorithm.md``.

    Units
    -----
    (s/DN)^2.
    """
    n = np.float64(ngroups)
    steps, cubic = n - 1.0, n * n * n - n
    poisson_weight, read_weight = constants[POISSON_WEIGHT], constants[READ_WEIGHT]
    poisson_sum, read_sum = sums[1], sums[2]
    for k in range(LANES):
        poisson_sum[k] = poisson_weight[k] * steps
        read_sum[k] = read_weight[k] * cubic
