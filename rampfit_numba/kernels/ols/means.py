"""Weighted means of the samples of segments, which only the intercepts of the optional results are made of.

Source: section 5 of the rules in ``docs/algorithm.md``; Fixsen et al. 2000 (PASP 112, 1350) for the weights.

Samples are added in the order of time. Segments are put in the order of their lengths before that: so each sample is
taken for all that have one, without a branch that is hard to guess, and vectors of segments end together.
"""

from __future__ import annotations

import numpy as np
from numba import types

from rampfit_numba.kernels._jit import LANES, jit, jit_apart
from rampfit_numba.kernels.vectors import (
    QUICK_GATHER,
    WIDTH,
    anywhere,
    gather,
    load,
    load_places,
    select,
    spread,
    store,
)

_NONE, _ONE, _LANES = np.uint32(0), np.uint32(1), np.uint32(LANES)


@jit_apart(types.none)
def find_means(samples, weights, segments, number):
    """Find the weighted means of the samples of segments with an entry in the tables, in DN.

    Parameters
    ----------
    samples : ndarray of float32, shape (ngroups, LANES)
        In DN.
    weights : Weights
    segments : Segments
        As :func:`.slopes.fit_segments` leaves them. The mean of a segment will stand in `step`, at the segment's rank,
        which will be in `longer`; `low`, `high`, `first_constant` and `begins` are overwritten.
    number : int
        How many there are.

    Formula
    -------
    mean = sum w_k y_k / sum w_k

    Source
    ------
    Section 5 of ``docs/algorithm.md``; the table ``weights.shares`` has w_k / sum w.

    Units
    -----
    Samples y_k and their mean in DN; the weights w have none.
    """
    ranked = rank_segments(weights.longest, segments, number)
    if QUICK_GATHER:
        gather_means(samples, weights, segments, ranked)
    else:
        list_means(samples, weights, segments, ranked)


@jit
def rank_segments(longest, segments, number):
    """Put those of `number` segments that have up to `longest` groups in the order of their lengths, the longest first.

    Returns
    -------
    int
        How many they are. `longer` has the rank of each; at its rank stand its first sample, of all of the block
        (`low`), the place of that in the tables of weights (`high`), and its length (`first_constant`). In `begins`,
        at each length up to `longest`, is how many have at least that. Behind the last one stand WIDTH without a
        sample.
    """
    lane, last, length, row = segments.lane, segments.last, segments.length, segments.row
    place, share, rank = segments.low, segments.high, segments.longer
    begins, groups = segments.begins, segments.first_constant
    for n in range(begins.size):
        begins[n] = _NONE
    for s in range(number):
        begins[length[s]] += _ONE
    ranked = _NONE
    for n in range(min(longest, begins.size - 2), 0, -1):
        here = begins[n]
        begins[n] = ranked
        ranked += here
    for s in range(number):
        n = length[s]
        if n <= longest:
            there = begins[n]
            begins[n] = there + _ONE
            rank[s] = there
            place[there] = (last[s] + _ONE - n) * _LANES + lane[s]
            share[there] = row[s] + _ONE - n  # the row is the segment's last one
            groups[there] = n
    for a in range(ranked, ranked + np.uint32(WIDTH)):
        place[a] = share[a] = _NONE
        groups[a] = 0.0
    return np.int64(ranked)


@jit
def gather_means(samples, weights, segments, ranked):
    """Find the means of segments as :func:`rank_segments` leaves them, WIDTH of them in registers.

    Formula
    -------
    mean = sum w_k y_k / sum w_k

    Source
    ------
    As :func:`find_means`; section 5 of ``docs/algorithm.md``.

    Units
    -----
    y and mean in DN; the weights w have none.
    """
    flat, shares, groups = samples.reshape(-1), weights.shares, segments.first_constant
    place, share, mean = segments.low, segments.high, segments.step
    for a in range(0, ranked, WIDTH):
        left, here, factor = load(groups, a), load_places(place, a), load_places(share, a)
        total = spread(0.0)
        some = left > 0.0
        while anywhere(some):
            total = select(some, total + gather(shares, factor) * gather(flat, here), total)
            left = left - 1.0
            some = left > 0.0  # what has no sample left stays where it is, within the arrays
            here = select(some, here + np.int32(LANES), here)
            factor = select(some, factor + 1, factor)
        store(mean, a, total)


@jit
def list_means(samples, weights, segments, ranked):
    """Do the same one by one, which is quicker where a processor gathers values one after the other.

    Formula
    -------
    mean = sum w_k y_k / sum w_k

    Source
    ------
    As :func:`find_means`; section 5 of ``docs/algorithm.md``.

    Units
    -----
    y and mean in DN; the weights w have none.
    """
    flat, shares, begins = samples.reshape(-1), weights.shares, segments.begins
    place, share, mean = segments.low, segments.high, segments.step
    for a in range(ranked):
        mean[a] = 0.0
    for k in range(min(weights.longest, begins.size - 2)):
        skipped = np.uint32(k) * _LANES
        for a in range(begins[k + 1]):
            mean[a] += shares[share[a] + np.uint32(k)] * np.float64(flat[place[a] + skipped])
