"""The search of `likely_joint`, slow and obvious: every omission is fitted, and of few differences every selection."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from tests.naive.likely.covariance import gain_without, heights, solve
from tests.naive.likely.explain import HitSearch, explain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Matrix = NDArray[np.float64]

NAN = math.nan


def search_hits(
    covariance: Matrix, d: Vector, used: NDArray[np.bool_], reads: Any, limits: tuple[float, float]
) -> HitSearch:
    """Leave out what hits have changed: of few differences the cheapest selection, of many what helps most, in turn."""
    one_limit, two_limit = limits
    found = HitSearch(used.copy())
    while found.used.sum() >= 2:
        u = found.used
        full = solve(covariance, d, u)
        found.chisq = full.chisq
        if not math.isfinite(full.chisq):
            return found
        sets = [([int(k)], one_limit) for k in np.flatnonzero(u)]
        if u.sum() >= 3:
            pairs = [k for k in range(d.size - 1) if reads[k + 1] > 1 and u[k] and u[k + 1]]
            sets += [([k, k + 1], two_limit) for k in pairs]
        gains = []
        for places, limit in sets:
            gain = gain_without(covariance, d, u, full, places)
            if min(heights(covariance, d, u, places)) < 0 and gain > limit:
                # Still above its threshold, but behind what is positive.
                gain -= min(0.875 * (gain - limit), one_limit)
            gains.append(gain - limit)
        order = np.argsort(gains)[::-1]
        scale = max(abs(gains[order[0]]), one_limit, 1e-300)
        found.margin = min(found.margin, abs(gains[order[0]]) / scale)
        if gains[order[0]] <= 0:
            return found
        if u.sum() <= 8:
            return explain(found, covariance, d, reads, limits)
        found.margin = min(found.margin, (gains[order[0]] - gains[order[1]]) / scale)
        found.used = u.copy()
        found.used[sets[order[0]][0]] = False
        found.hits += 1
    return found


def believable(left: int, limits: tuple[float, float]) -> float:
    """Return the largest chi-square of so many differences that can be believed."""
    if left < 2:
        return math.inf
    part = 2 / (9 * (left - 1))
    quantile = (left - 1) * (1 - part + stats.norm.isf(1e-6) * math.sqrt(part)) ** 3
    return float(max(1.5**2 * quantile, limits[1]))
