"""Optimal weights of a segment's groups, as tables (Fixsen et al. 2000, PASP 112, 1350, table 1; Regan 2007, JWST-STScI-001212).

A segment of n groups at consecutive group indices x_k has its centre at c = (n-1)/2. A power P, chosen by the segment's
signal-to-noise ratio, gives the weights w_k = |(k-c)/c|^P / R^2. They are symmetric about the centre, so the weighted
least-squares slope needs only the differences of opposite groups, and the read noise R cancels:

    slope = sum_k a_k (y_{n-1-k} - y_k),  k < n/2,  a_k = w_k (c-k) / (2 sum_j w_j (c-j)^2)   [per group]
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

#: Exponent of each signal-to-noise class, and the (inclusive) lower bounds of classes 1 to 5.
POWERS = (0.0, 0.4, 1.0, 3.0, 6.0, 10.0)
BOUNDS = (5.0, 10.0, 20.0, 50.0, 100.0)


class Weights(NamedTuple):
    """Tables for segments of up to ngroups groups; a class is a row, a segment's length n selects the part that counts.

    Attributes
    ----------
    start : ndarray of int64, shape (ngroups + 1,)
        Where the n // 2 entries of length n begin in `slope` and `weight`.
    slope : ndarray of float64, shape (6, entries)
        a_k of the formula above.
    weight : ndarray of float64, shape (6, entries)
        w_k R^2 of the groups before the centre.
    total, spread : ndarray of float64, shape (6, ngroups + 1)
        sum w_k R^2 and sum w_k R^2 (k-c)^2 over all groups.
    lengths : ndarray of float64, shape (4, ngroups + 1)
        How variances and their inverses depend on the length: n - 1 and n^3 - n, with n = 2 for single groups, and the inverses of
        both. Rows STEPS, CUBIC, PER_STEP, PER_CUBIC.
    """

    start: np.ndarray
    slope: np.ndarray
    weight: np.ndarray
    total: np.ndarray
    spread: np.ndarray
    lengths: np.ndarray


STEPS, CUBIC, PER_STEP, PER_CUBIC = range(4)


@lru_cache(maxsize=8)
def segment_weights(ngroups: int) -> Weights:
    """Return the tables for exposures of `ngroups` groups.

    The power is taken in single precision and all else in double, as in the reference.
    """
    lengths = np.arange(ngroups + 1)
    start = np.concatenate([[0], np.cumsum(lengths // 2)[:-1]])
    shape = (len(POWERS), int(start[-1] + ngroups // 2))
    slope, weight = np.empty(shape), np.empty(shape)
    total, spread = np.zeros((len(POWERS), ngroups + 1)), np.zeros((len(POWERS), ngroups + 1))
    for n in range(2, ngroups + 1):
        centre = (n - 1) / 2
        distance = centre - np.arange(n // 2)
        scaled = np.abs(-distance * (1 / centre)).astype(np.float32)
        here = slice(start[n], start[n] + n // 2)
        for row, power in enumerate(POWERS):
            w = (scaled.astype(np.float64) ** np.float64(np.float32(power))).astype(np.float32).astype(np.float64)
            weight[row, here] = w
            # 0^0 = 1: with power 0 the centre of an odd segment counts as well; otherwise its weight is 0.
            total[row, n] = 2 * w.sum() + (n % 2 if power == 0 else 0)
            spread[row, n] = 2 * (w * distance**2).sum()
            slope[row, here] = w * distance / spread[row, n]
    at_least_two = np.maximum(lengths, 2.0)
    steps, cubic = at_least_two - 1, at_least_two**3 - at_least_two
    tables = Weights(start.astype(np.int64), slope, weight, total, spread, np.array([steps, cubic, 1 / steps, 1 / cubic]))
    for table in tables:
        table.setflags(write=False)
    return tables
