"""Fits of segments of many groups, whose weights no table has."""

from __future__ import annotations

import numpy as np

from tests.naive.ols.segment_fit import line, relative_weights


def sum_pairwise(values, number, workspace):
    return np.sum(values[:number])


def weigh_long(snr_class, length, weights, terms, workspace):
    weights[:length] = relative_weights(snr_class, length)
    terms[:length] = weights[:length] * (np.arange(length) - (length - 1) / 2) ** 2
    return np.sum(weights[:length]), np.sum(terms[:length])


def fit_long(samples, lane, begin, length, snr_class, workspace):
    return line(samples[begin : begin + length, lane].astype(float), snr_class)[0] * (length**3 - length)


def describe_long(samples, lane, begin, length, snr_class, workspace):
    return line(samples[begin : begin + length, lane].astype(float), snr_class)[1:]


def fit_long_segments(samples, weights, segments, number, workspace):
    entries = weights.factors.size // 6
    for s in range(number):
        n, last, lane = int(segments.length[s]), int(segments.last[s]), int(segments.lane[s])
        if n > weights.longest:
            snr_class = int(segments.row[s]) // entries
            segments.slope[s] = fit_long(samples, lane, last + 1 - n, n, snr_class, None)
