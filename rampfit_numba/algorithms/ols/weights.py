"""Optimal weights of a segment's groups, as tables.

Source: Fixsen et al. 2000 (PASP 112, 1350), table 1; Regan 2007 (JWST-STScI-001212).

A segment of n groups at consecutive group indices x_k has its centre at c = (n-1)/2. A power P, chosen by the segment's
signal-to-noise ratio, gives the weights w_k = |(k-c)/c|^P / R^2. They are symmetric about the centre, so the weighted
least-squares slope is a fixed sum of the samples, in which the read noise R cancels:

    slope = sum_k a_k y_k,  a_k = w_k (k-c) / sum_j w_j (j-c)^2   [per group]
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from rampfit_numba.kernels.ols.weighting import POWERS, Weights

#: Most groups of segments that have an entry for each number of groups: the tables take 13 MB, and 60 ms to make.
MOST_TABULATED = 512


@lru_cache(maxsize=2)
def segment_weights(ngroups: int, most_tabulated: int = MOST_TABULATED) -> Weights:
    """Return the tables for exposures of `ngroups` groups.

    The power is taken in single precision and all else in double, as in the reference.
    """
    longest = min(ngroups, most_tabulated)
    lengths = [*range(1, longest + 1), *([ngroups] if ngroups > longest else [])]
    entries = sum(lengths)
    factors, shares = np.zeros((len(POWERS), entries)), np.ones((len(POWERS), entries))
    total, spread = np.ones((len(POWERS), len(lengths) + 1)), np.zeros((len(POWERS), len(lengths) + 1))
    powers = np.array(POWERS, np.float32).astype(np.float64)[:, np.newaxis]
    start = 1
    for column, n in enumerate(lengths[1:], 2):
        centre = (n - 1) / 2
        distance = np.arange(n) - centre
        scaled = np.abs(distance * (1 / centre)).astype(np.float32).astype(np.float64)
        w = (scaled**powers).astype(np.float32).astype(np.float64)  # 0^0 = 1
        here = slice(start, start + n)
        start += n
        total[:, column] = w.sum(axis=1)
        spread[:, column] = (w * distance**2).sum(axis=1)
        shares[:, here] = w / total[:, column, np.newaxis]
        factors[:, here] = w * distance / spread[:, column, np.newaxis] * (float(n) ** 3 - n)
    n = np.array([np.nan, np.nan, *lengths[1:]])
    tables = Weights(
        factors=factors.ravel(),
        shares=shares.ravel(),
        per_total=1.0 / total,
        spread=spread,
        slope_noise=np.sqrt(1.0 / np.where(spread > 0.0, spread, np.nan)),
        per_step=1.0 / (n - 1.0),
        per_cubic=1.0 / (n * n * n - n),
        longest=longest,
    )
    for table in tables[:-1]:
        table.setflags(write=False)
    return tables
