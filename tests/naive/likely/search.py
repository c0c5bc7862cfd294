"""The pipeline's search for jumps, slow and obvious: every omission is fitted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.kernels.likely.columns import PAIR
from rampfit_numba.kernels.vectors import WIDTH
from tests.naive.likely.covariance import NAN, Sums, gain_without, heights, solve
from tests.naive.likely.fit import covariances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Matrix = NDArray[np.float64]


@dataclass
class Search:
    """What a search found."""

    used: NDArray[np.bool_]
    rate: float
    margin: float = math.inf
    coupling: float = math.inf


def search(covariance: Matrix, d: Vector, used: NDArray[np.bool_], reads: Any, limits: tuple[float, float]) -> Search:
    """Leave out what improves the fit most, as often as it improves it enough."""
    one_limit, two_limit = limits
    found = Search(used.copy(), NAN)
    for turn in range(d.size):
        u = found.used
        full = solve(covariance, d, u)
        if turn == 0:
            found.rate = full.rate
        # Three is the least of which a difference can be told to be wrong.
        if not math.isfinite(full.chisq) or u.sum() < 3:
            return found
        ones = [(gain_without(covariance, d, u, full, [k]), [k]) for k in np.flatnonzero(u)]
        twos = [
            (gain_without(covariance, d, u, full, [k, k + 1]), [k, k + 1])
            for k in range(d.size - 1)
            if reads[k + 1] > 1 and u[k] and u[k + 1]
        ]
        _note_coupling(found, covariance, u, full)
        best_one = max(ones, key=lambda pair: pair[0])
        best_two = max(twos, key=lambda pair: pair[0], default=(0.0, []))
        one_better = best_one[0] - one_limit > best_two[0] - two_limit
        (gain, places), limit = (best_one, one_limit) if one_better else (best_two, two_limit)
        drop = gain > limit
        scale = max(abs(best_one[0]), abs(best_two[0]), limit, 1e-300)
        found.margin = min(found.margin, abs(gain - limit) / scale)
        if drop:
            rivals = ones if one_better else twos
            others = [abs(gain - other) for other, place in rivals if place != places]
            others.append(abs(best_one[0] - one_limit - best_two[0] + two_limit))
            found.margin = min(found.margin, min(others) / scale)
        if not drop:
            return found
        found.used = u.copy()
        found.used[places] = False
        found.rate = solve(covariance, d, found.used).rate
        if found.used.sum() < 4:
            return found
    return found


def _note_coupling(found: Search, covariance: Matrix, used: NDArray[np.bool_], full: Sums) -> None:
    inverse = np.zeros_like(covariance)
    inverse[np.ix_(used, used)] = np.linalg.inv(covariance[np.ix_(used, used)])
    for k in range(used.size - 1):
        if used[k] and used[k + 1]:
            coupling, product = full.weight * inverse[k, k + 1], full.x[k] * full.x[k + 1]
            found.coupling = min(found.coupling, abs(coupling - product) / max(abs(coupling), abs(product), 1e-300))


def search_round(difference, used, table, count, photon, read, shift, work, limits, left, positive):
    """Every omission is fitted."""
    found = np.zeros((11, WIDTH))
    one = limits[0]
    for k, covariance in enumerate(covariances(table, count, photon, read)):
        d, here = difference[k::WIDTH], used[k::WIDTH] > 0
        full = solve(covariance, d, here)
        best = [(-np.inf, 0, full.rate, 0.0), (0.0, 0, full.rate, 0.0)]
        for place in range(count):
            sets = [[place]]
            if table[place, PAIR] > 0 and (left[k] >= 3 or not positive):
                sets.append([place, place + 1])
            for row, places in enumerate(sets):
                there = [p for p in places if here[p]]
                gain, height, rate = 0.0, 0.0, full.rate
                if there:
                    without = here.copy()
                    without[there] = False
                    gain = gain_without(covariance, d, here, full, there)
                    height = min([*heights(covariance, d, here, there), *[0.0] * (len(places) - len(there))])
                    rate = solve(covariance, d, without).rate
                if positive and height < 0 and gain > limits[row]:
                    gain -= min(0.875 * (gain - limits[row]), one)
                if gain > best[row][0]:
                    best[row] = gain, place, rate, height
        (gain_one, place_one, rate_one, height_one), (gain_two, place_two, rate_two, height_two) = best
        found[:, k] = (
            *(full.rate, gain_one, place_one, rate_one, gain_two, place_two, rate_two),
            *(0.0, full.chisq, height_one, height_two),
        )
    return tuple(found)


def choose_omission(gain_one, gain_two, check, limits):
    found = np.zeros(WIDTH)
    for k in range(WIDTH):
        one, two = gain_one[k] - limits[0], gain_two[k] - limits[1]
        if np.isfinite(check[k]) and max(one, two) > 0:
            found[k] = 1 if one > two else 2
    return found
