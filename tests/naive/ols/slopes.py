"""Slopes of segments, one after the other, with a design matrix."""

from __future__ import annotations

import numpy as np

from rampfit_numba.kernels._jit import LANES
from rampfit_numba.kernels.ols.pixels import GAIN, POISSON, READ, READNOISE
from tests.naive.ols.segment_fit import POWERS, line, relative_weight, signal_class


def fit_segments(samples, constants, weights, segments, number):
    entries = weights.factors.size // len(POWERS)
    for s in range(number):
        k, n, last = int(segments.lane[s]), int(segments.length[s]), int(segments.last[s])
        here = samples[last + 1 - n : last + 1, k].astype(float)
        found = signal_class(here[-1] - here[0], constants[READNOISE, k], constants[GAIN, k])
        place = n * (n + 1) // 2 if n <= weights.longest else entries
        segments.row[s] = found * entries + place - 1
        segments.slope[s] = line(here, found)[0] * (n**3 - n)
        segments.weight[s] = relative_weight(constants[POISSON, k], constants[READ, k], n)


def fit_gathered(samples, constants, weights, segments, number):
    fit_segments(samples, constants, weights, segments, number)


def fit_listed(samples, constants, weights, segments, number):
    fit_segments(samples, constants, weights, segments, number)


def add_pairs(flat, factors, end, begin, place, left, total):
    size, found = LANES, np.empty(total.shape)
    for k in range(total.size):
        e, b, p, found[k] = int(end[k]), int(begin[k]), int(place[k]), total[k]
        for j in range(1, 1 + int(left[k]) // 2):
            found[k] += factors[p - j] * (float(flat[e - j * size]) - float(flat[b + j * size]))
    return found


def fit_clean(samples, constants, weights, unflagged, classes, slope):
    n = len(samples)
    classes[:], slope[:] = -1, 0
    for k in range(samples.shape[1]):
        if unflagged[k]:
            here = samples[:, k].astype(float)
            found = signal_class(here[-1] - here[0], constants[READNOISE, k], constants[GAIN, k])
            classes[k], slope[k] = found, line(here, found)[0] * (n**3 - n)
