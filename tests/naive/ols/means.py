"""Weighted means of the samples of segments."""

from __future__ import annotations

from rampfit_numba.kernels._jit import LANES
from rampfit_numba.kernels.vectors import WIDTH
from tests.naive.ols.segment_fit import line


def find_means(samples, weights, segments, number):
    list_means(samples, weights, segments, rank_segments(weights.longest, segments, number))


def rank_segments(longest, segments, number):
    size = len(segments.first_constant)
    chosen = [s for s in range(number) if segments.length[s] <= longest]
    chosen.sort(key=lambda s: -int(segments.length[s]))
    for rank, s in enumerate(chosen):
        n = int(segments.length[s])
        segments.longer[s] = rank
        segments.low[rank] = (int(segments.last[s]) + 1 - n) * LANES + int(segments.lane[s])
        segments.high[rank] = int(segments.row[s]) + 1 - n
        segments.first_constant[rank] = n
    behind = slice(len(chosen), min(len(chosen) + WIDTH, size))
    segments.low[behind] = segments.high[behind] = segments.first_constant[behind] = 0
    for n in range(1, longest + 1):
        segments.begins[n] = sum(int(segments.length[s]) >= n for s in chosen)
    return len(chosen)


def gather_means(samples, weights, segments, ranked):
    list_means(samples, weights, segments, ranked)


def list_means(samples, weights, segments, ranked):
    entries = weights.factors.size // 6
    for rank in range(ranked):
        begin, lane = divmod(int(segments.low[rank]), LANES)
        n, snr_class = int(segments.first_constant[rank]), int(segments.high[rank]) // entries
        segments.step[rank] = line(samples[begin : begin + n, lane].astype(float), snr_class)[1]
