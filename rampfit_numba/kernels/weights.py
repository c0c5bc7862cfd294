"""Optimal weights of a segment's groups, as tables.

Source: Fixsen et al. 2000 (PASP 112, 1350), table 1; Regan 2007 (JWST-STScI-001212).

A segment of n groups at consecutive group indices x_k has its centre at c = (n-1)/2. A power P, chosen by the segment's
signal-to-noise ratio, gives the weights w_k = |(k-c)/c|^P / R^2. They are symmetric about the centre, so the weighted
least-squares slope is a fixed sum of the samples, in which the read noise R cancels:

    slope = sum_k a_k y_k,  a_k = w_k (k-c) / sum_j w_j (j-c)^2   [per group]
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

#: Exponent of each signal-to-noise class, and the (inclusive) lower bounds of classes 1 to 5.
POWERS = (0.0, 0.4, 1.0, 3.0, 6.0, 10.0)
BOUNDS = (5.0, 10.0, 20.0, 50.0, 100.0)


class Weights(NamedTuple):
    """Tables for segments of up to ngroups groups.

    Attributes
    ----------
    factors : ndarray of float64, shape (6 * entries,)
        What a segment's samples are multiplied with: the coefficient of each sample in the slope per group (the a_k
        above) times n^3 - n, the segment's relative weight. Class c, length n and group k stand at c * entries + n
        (n-1) / 2 + k, where n (n-1) / 2 is the sum of the shorter lengths; single groups have factor 0.
    shares : ndarray of float64, shape (6 * entries,)
        The coefficient of each sample in the weighted mean, w_k / sum w_k.
    total, spread : ndarray of float64, shape (6, ngroups + 1)
        sum w_k R^2 and sum w_k R^2 (k-c)^2.
    """

    factors: np.ndarray
    shares: np.ndarray
    total: np.ndarray
    spread: np.ndarray


@lru_cache(maxsize=2)  # quadratic in ngroups: 48 MB for 1000 groups
def segment_weights(ngroups: int) -> Weights:
    """Return the tables for exposures of `ngroups` groups.

    The power is taken in single precision and all else in double, as in the reference.
    """
    entries = ngroups * (ngroups + 1) // 2
    factors, shares = np.zeros((len(POWERS), entries)), np.ones((len(POWERS), entries))
    total, spread = np.ones((len(POWERS), ngroups + 1)), np.zeros((len(POWERS), ngroups + 1))
    powers = np.array(POWERS, np.float32).astype(np.float64)[:, np.newaxis]
    for n in range(2, ngroups + 1):
        centre = (n - 1) / 2
        distance = np.arange(n) - centre
        scaled = np.abs(distance * (1 / centre)).astype(np.float32).astype(np.float64)
        w = (scaled**powers).astype(np.float32).astype(np.float64)  # 0^0 = 1
        here = slice(n * (n - 1) // 2, n * (n + 1) // 2)
        total[:, n] = w.sum(axis=1)
        spread[:, n] = (w * distance**2).sum(axis=1)
        shares[:, here] = w / total[:, n, np.newaxis]
        factors[:, here] = w * distance / spread[:, n, np.newaxis] * (float(n) ** 3 - n)
    tables = Weights(factors.ravel(), shares.ravel(), total, spread)
    for table in tables:
        table.setflags(write=False)
    return tables
