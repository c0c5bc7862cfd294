"""Brandt's fit and his search on given differences, slow and obvious: dense covariances, every omission tried out.

All pixels of a batch at once, in double precision. It also tells how close the search's decisions were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.naive.likely.covariance import Times

    Array = NDArray[np.float64]


@dataclass
class Fitted:
    """One fit of each pixel: arrays of shape (npix,), and the weights (npix, ndiffs)."""

    rate: Array
    err: Array
    chisq: Array
    weights: Array


@dataclass
class Searched:
    """What a search found. ``margin``: the closest decision of each pixel, as a part of what was compared."""

    used: NDArray[np.bool_]
    rate: Array
    margin: Array


def covariance(times: Times, rate: Array, sig: Array) -> Array:
    """Return the covariances of the differences, shape (npix, ndiffs, ndiffs)."""
    return rate[:, None, None] * times.photon + (sig**2)[:, None, None] * times.read


def weigh_given(c: Array, used: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return what each difference counts in the rate, and the inverses of the covariances."""
    both = used[:, :, None] & used[:, None, :]
    # Differences that are not used: rows and columns of the unit matrix, and nothing on the right-hand side.
    inverse = np.linalg.inv(np.where(both, c, np.eye(c.shape[1]))) * both
    with np.errstate(all="ignore"):
        return inverse.sum(axis=2) / inverse.sum(axis=(1, 2))[:, None], inverse


def fit_given(c: Array, d: Array, used: NDArray[np.bool_]) -> Fitted:
    """Fit one rate to the used differences; `d` and `used` are (npix, ndiffs)."""
    weights, inverse = weigh_given(c, used)
    clean = np.where(used, d, 0.0)
    with np.errstate(all="ignore"):
        rate = np.where(used.any(axis=1), (weights * clean).sum(axis=1), np.nan)
        residual = np.where(used, d - rate[:, None], 0.0)
        chisq = np.einsum("pi,pij,pj->p", residual, inverse, residual)
        return Fitted(rate, np.sqrt(1 / inverse.sum(axis=(1, 2))), chisq, weights)


def mean_guess(d: Array, used: NDArray[np.bool_]) -> Array:
    """Return the mean of the used differences, 0 where that is negative."""
    with np.errstate(invalid="ignore"):  # where none is used, there is no mean
        return np.maximum(np.where(used, d, 0.0).sum(axis=1) / used.sum(axis=1), 0)


def search_given(times: Times, d: Array, sig: Array, used: NDArray[np.bool_], limits: tuple[float, float]) -> Searched:
    """Leave out what lowers the chi-square most, as long as it lowers it by more than the limits."""
    npix, n = d.shape
    c = covariance(times, np.maximum(np.median(d, axis=1), 0), sig)
    found = Searched(used.copy(), fit_given(c, d, used).rate, np.full(npix, np.inf))
    active = used.sum(axis=1) >= 3
    pairs = [(k, k + 1) for k in range(n - 1) if times.reads[k + 1] > 1]
    for _ in range(n):
        here = np.flatnonzero(active)
        if here.size == 0:
            break
        full = fit_given(c[here], d[here], found.used[here])
        gains, rates = np.zeros((n + len(pairs), here.size)), np.zeros((n + len(pairs), here.size))
        for row, omitted in enumerate([(k,) for k in range(n)] + pairs):
            left = found.used[here].copy()
            left[:, omitted] = False
            without = fit_given(c[here], d[here], left)
            # A pair of which one is gone already is the other alone.
            some = found.used[here][:, omitted].any(axis=1) & left.any(axis=1)
            gains[row] = np.where(some, full.chisq - without.chisq, 0.0)
            rates[row] = without.rate
        excess = gains - np.array([limits[0]] * n + [limits[1]] * len(pairs))[:, None]
        excess[:n] = np.where(found.used[here].T, excess[:n], -np.inf)
        ranked = np.sort(excess, axis=0)
        best = np.argmax(excess, axis=0)
        scale = np.maximum(np.abs(full.chisq), limits[1])
        found.margin[here] = np.minimum(found.margin[here], np.abs(ranked[-1]) / scale)
        drop = ranked[-1] > 0
        distinct = np.where(drop, (ranked[-1] - ranked[-2]) / scale, np.inf)
        found.margin[here] = np.minimum(found.margin[here], distinct)
        for column in np.flatnonzero(drop):
            pixel, row = here[column], best[column]
            found.used[pixel, [row] if row < n else pairs[row - n]] = False
            found.rate[pixel] = rates[row, column]
        active[here] = drop & (found.used[here].sum(axis=1) > 3)
    return found
