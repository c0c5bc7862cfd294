"""Slopes of the segments of a block of ramps: weighted straight-line fits.

Source: section 5 of the rules in ``docs/algorithm.md``; Fixsen et al. 2000 (PASP 112, 1350) for the weights.

The weights are symmetric about the middle of a segment, so a slope is a sum over pairs of samples that lie
symmetrically, a_j (y_{n-1-j} - y_j): half as many terms, and the pedestal leaves no rounding error. The first pair is
also what the signal-to-noise class is found from.
"""

from __future__ import annotations

import numpy as np
from numba import types

from rampfit_numba.kernels._jit import LANES, jit, jit_apart, jit_inline
from rampfit_numba.kernels.bits import bits_of
from rampfit_numba.kernels.lists import list_bits
from rampfit_numba.kernels.ols.long_segments import fit_long_segments
from rampfit_numba.kernels.ols.pixels import GAIN, POISSON, READ, READNOISE
from rampfit_numba.kernels.ols.segment_fit import relative_weight, signal_class
from rampfit_numba.kernels.ols.weighting import POWERS
from rampfit_numba.kernels.vectors import (
    QUICK_GATHER,
    WIDTH,
    anywhere,
    as_numbers,
    as_places,
    gather,
    load,
    load_places,
    load_single,
    load_unset,
    select,
    spread,
    store,
    store_places,
)

_CLASSES = len(POWERS)
_TRUE = np.uint8(1)
_FEW = 2
_ONE, _LANES = np.uint32(1), np.uint32(LANES)


@jit_apart(types.none)
def fit_segments(samples, constants, weights, segments, number):
    """Fit the segments of two or more groups of a block: find `row`, `slope` and `weight` of `segments`.

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
    weight = :func:`.segment_fit.relative_weight`

    Source
    ------
    Fixsen et al. 2000 (PASP 112, 1350) for the weights; section 5 of ``docs/algorithm.md``. The table
    ``weights.factors`` has a; P goes by :func:`signal_class`.

    Units
    -----
    y and slope in DN, weight in (s/DN)^2.
    """
    if QUICK_GATHER:
        fit_gathered(samples, constants, weights, segments, number)
    else:
        fit_listed(samples, constants, weights, segments, number)
    if samples.shape[0] > weights.longest:
        fit_long_segments(samples, weights, segments, number, segments.long_workspace)


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
    flat, row_size = samples.reshape(-1), np.int32(LANES)
    entries = np.int32(weights.factors.size // _CLASSES)
    lane, last, length, row, slope = segments.lane, segments.last, segments.length, segments.row, segments.slope
    longer = segments.longer
    readnoise, gain, factors = constants[READNOISE], constants[GAIN], weights.factors
    poisson, read = constants[POISSON], constants[READ]
    longest = np.int32(weights.longest)
    # The longest one of a vector is waited for. So those that have more groups than the average are set apart after the
    # first pair and `pairs` more, and taken together.
    groups = np.int64(0)
    for s in range(number):
        groups += length[s]
    pairs = np.int32(max(groups // max(number, 1) // 2 - 1, 1))
    most_left = np.int32(2) * pairs
    number_longer = np.uint64(0)
    for s in range(0, number, WIDTH):
        k, length_here = load_places(lane, s), load_places(length, s)
        n = as_numbers(length_here)
        store(segments.weight, s, relative_weight(gather(poisson, k), gather(read, k), n))
        end = load_places(last, s) * row_size + k
        begin = end - (length_here - 1) * row_size
        step = gather(flat, end) - gather(flat, begin)
        found = signal_class(step, gather(readnoise, k), gather(gain, k))
        known = length_here <= longest
        place = as_places(found * float(entries) + (select(known, n * (n + 1.0) * 0.5, float(entries)) - 1.0))
        total = gather(factors, place) * step
        store_places(row, s, place)
        left = select(known, length_here - 2, np.int32(0))
        number_longer = list_bits(bits_of(left > most_left + 1), s, longer, number_longer)
        left = select(left > most_left, most_left, left)
        total = add_pairs(flat, factors, end, begin, place, left, total)
        store(slope, s, total)
    if number_longer == 0:
        return
    for a in range(number_longer, number_longer + np.uint64(WIDTH)):
        longer[a] = longer[number_longer - np.uint64(1)]
    for a in range(0, number_longer, WIDTH):
        s = load_places(longer, a)
        k, n = gather(lane, s), gather(length, s)
        end = (gather(last, s) - pairs) * row_size + k
        begin = end - (n - 1 - most_left) * row_size
        total = add_pairs(flat, factors, end, begin, gather(row, s) - pairs, n - 2 - most_left, gather(slope, s))
        store(segments.first_constant, 0, total)
        for b in range(WIDTH):
            slope[longer[np.uint64(a) + np.uint64(b)]] = segments.first_constant[b]


@jit_inline
def add_pairs(flat, factors, end, begin, place, left, total):
    """Add the pairs of samples between those at `end` and `begin`, from without to within; of vectors.

    Parameters
    ----------
    flat, factors : ndarray of float32 and float64
        The samples of a block in DN, and the factors of :class:`.weighting.Weights`, one behind the other.
    end, begin, place : places
        Where the last pair that is in `total` stands, and its factor.
    left : places
        How many samples are between.
    total : vector
        In DN.

    Formula
    -------
    result = total + sum over pairs j that are left: a_{n-1-j} (y_{n-1-j} - y_j)

    Source
    ------
    As :func:`fit_segments`; section 5 of ``docs/algorithm.md``.

    Units
    -----
    Samples y of n groups, and the result, in DN.
    """
    row_size = np.int32(LANES)
    some = left > 1
    while anywhere(some):
        end = select(some, end - row_size, end)
        begin = select(some, begin + row_size, begin)
        place = select(some, place - 1, place)
        pair = gather(flat, end) - gather(flat, begin)
        total = select(some, total + gather(factors, place) * pair, total)
        left = left - 2
        some = left > 1
    return total


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


@jit_apart(types.none)
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
