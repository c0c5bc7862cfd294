"""The likeliest explanation of a ramp that is not straight: every selection is fitted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.naive.likely.covariance import solve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Matrix = NDArray[np.float64]


@dataclass
class HitSearch:
    """What a search for hits found: chi-square of what is left, number of hits, and how close its decisions were."""

    used: NDArray[np.bool_]
    chisq: float = 0.0
    hits: int = 0
    margin: float = math.inf


def explain(found: HitSearch, covariance: Matrix, d: Vector, reads: Any, limits: tuple[float, float]) -> HitSearch:
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
