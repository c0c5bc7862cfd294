"""The search of `likely_joint`, slow and obvious: every omission is fitted, and of few differences every selection."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from tests.naive.likely.covariance import gain_without, solve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Matrix = NDArray[np.float64]

NAN = math.nan


@dataclass
class HitSearch:
    """What a search for hits found: chi-square of what is left, number of hits, and how close its decisions were."""

    used: NDArray[np.bool_]
    chisq: float = 0.0
    hits: int = 0
    margin: float = math.inf


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
            if min(_heights(covariance, d, u, places)) < 0 and gain > limit:
                # Still above its threshold, but behind what is positive.
                gain -= min(0.875 * (gain - limit), one_limit)
            gains.append(gain - limit)
        order = np.argsort(gains)[::-1]
        scale = max(abs(gains[order[0]]), one_limit, 1e-300)
        found.margin = min(found.margin, abs(gains[order[0]]) / scale)
        if gains[order[0]] <= 0:
            return found
        if u.sum() <= 8:
            return _cheapest(found, covariance, d, reads, limits)
        found.margin = min(found.margin, (gains[order[0]] - gains[order[1]]) / scale)
        found.used = u.copy()
        found.used[sets[order[0]][0]] = False
        found.hits += 1
    return found


def _heights(covariance: Matrix, d: Vector, used: NDArray[np.bool_], places: list[int]) -> Vector:
    """Return how far differences are above the rate: it and they are fitted together."""
    size = int(used.sum())
    columns = [np.flatnonzero(np.flatnonzero(used) == k)[0] for k in places]
    design = np.column_stack([np.ones(size), np.eye(size)[:, columns]])
    try:
        root = np.linalg.cholesky(covariance[np.ix_(used, used)])
        whitened, values = np.linalg.solve(root, design), np.linalg.solve(root, d[used])
    except np.linalg.LinAlgError:
        return np.full(len(places), NAN)
    heights: Vector = np.linalg.lstsq(whitened, values, rcond=None)[0][1:]
    return heights


def _cheapest(found: HitSearch, covariance: Matrix, d: Vector, reads: Any, limits: tuple[float, float]) -> HitSearch:
    """Try all selections of the differences that are left."""
    places = np.flatnonzero(found.used)
    explanations = []
    for selection in range(1, 2**places.size - 1):
        out = [int(k) for i, k in enumerate(places) if selection >> i & 1]
        u = found.used.copy()
        u[out] = False
        fitted = solve(covariance, d, u)
        hits, cost, k = 0, fitted.chisq, 0
        while k < len(out):
            pair = k + 1 < len(out) and out[k + 1] == out[k] + 1 and reads[out[k + 1]] > 1
            cost += limits[1] if pair else limits[0]
            hits, k = hits + 1, k + 1 + pair
        cost += limits[0] * int((d[out] < fitted.rate).sum())
        doubtful = np.abs(d[out] - fitted.rate) < 1e-9 * np.abs(d[found.used]).max()
        explanations.append((cost, limits[0] * int(doubtful.sum()), u, fitted.chisq, hits))
    explanations.sort(key=lambda explanation: explanation[0])
    cost, doubt, used, chisq, hits = explanations[0]
    margin = min((other[0] - other[1] - cost - doubt for other in explanations[1:]), default=math.inf)
    return HitSearch(used, chisq, found.hits + hits, min(found.margin, max(margin, 0) / max(cost, 1e-300)))


def believable(left: int, limits: tuple[float, float]) -> float:
    """Return the largest chi-square of so many differences that can be believed."""
    if left < 2:
        return math.inf
    part = 2 / (9 * (left - 1))
    quantile = (left - 1) * (1 - part + stats.norm.isf(1e-6) * math.sqrt(part)) ** 3
    return float(max(1.5**2 * quantile, limits[1]))
