"""The covariance of differences, made frame by frame, and dense fits with it: slow and obvious."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Matrix = NDArray[np.float64]

NAN = float("nan")


class Times:
    """The covariance of the differences of groups, made from that of their frames."""

    def __init__(self, times: list[list[float]]) -> None:
        frames = np.array([t for group in times for t in group], np.float64)
        self.mean = np.array([np.mean(group) for group in times])
        self.reads = np.array([len(group) for group in times])
        self.dt = np.diff(self.mean)
        average = np.zeros((len(times), frames.size))
        begin = 0
        for g, group in enumerate(times):
            average[g, begin : begin + len(group)] = 1 / len(group)
            begin += len(group)
        # Signal arrived until the earlier of two frames is in both; from the first frame on, so that nothing cancels.
        since = frames - frames[0]
        step = np.diff(average, axis=0) / self.dt[:, None]
        self.photon = _tridiagonal(step @ np.minimum.outer(since, since) @ step.T)
        self.read = _tridiagonal(step @ step.T)
        level = average / self.mean[:, None]
        self.photon_since_reset = np.diag(level @ np.minimum.outer(frames, frames) @ level.T)
        self.read_since_reset = np.diag(level @ level.T)


def _tridiagonal(matrix: Matrix) -> Matrix:
    return np.triu(np.tril(matrix, 1), -1)


@dataclass
class Sums:
    """x = C^-1 1 on the used differences, and rate, weight, weighted rates and chi-square of the fit."""

    x: Vector
    rate: float
    weight: float
    chisq: float


def solve(covariance: Matrix, d: Vector, used: NDArray[np.bool_]) -> Sums:
    """Fit one rate to the used differences."""
    x = np.zeros(d.size)
    if not used.any() or not np.isfinite(covariance).all():
        return Sums(x * NAN, NAN, NAN, NAN)
    part = covariance[np.ix_(used, used)]
    try:
        x[used] = np.linalg.solve(part, np.ones(int(used.sum())))
        rate = float(x[used] @ d[used] / x.sum())
        residual = d[used] - rate
        chisq = float(residual @ np.linalg.solve(part, residual))
    except np.linalg.LinAlgError:
        return Sums(x * NAN, NAN, NAN, NAN)
    return Sums(x, rate, float(x.sum()), chisq)


def gain_without(covariance: Matrix, d: Vector, used: NDArray[np.bool_], full: Sums, places: list[int]) -> float:
    without = used.copy()
    without[places] = False
    return full.chisq - solve(covariance, d, without).chisq


def heights(covariance: Matrix, d: Vector, used: NDArray[np.bool_], places: list[int]) -> Vector:
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
