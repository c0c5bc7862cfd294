"""Ramps of an exposure as differences, thresholds, and what the slow likelihood fits tell of their decisions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.likely_cases import LikelyCase, LikelyFit
    from tests.naive.likely.covariance import Times

    Vector = NDArray[np.float64]

D, S, J, P, NO_GAIN, NAN = 1, 2, 4, 32, 1 << 19, math.nan


@dataclass
class Hinges:
    """How much the outcome of ramps depends on rounding, arrays of shape (nints, nrows, ncols).

    ``used``: differences at the start. ``margin``: the closest decision, as a part of what was compared.
    ``coupling``: the smallest coupling of a pair, as a part of its parts; the reference divides by it. ``cancelled``:
    the rate with which the integration enters variances and weights, as a part of the largest difference. ``remains``:
    the chi-square, as a part of the two terms that it is the difference of in the reference.
    """

    used: NDArray[np.int64]
    margin: NDArray[np.float64]
    coupling: NDArray[np.float64]
    cancelled: NDArray[np.float64]
    remains: NDArray[np.float64]


@dataclass
class Ramp:
    """One integration of a pixel: differences (NaN where unknown), which are used, flags of the extended groups."""

    d: Vector
    used: NDArray[np.bool_]
    flags: NDArray[np.uint8]
    samples: Vector


def limits_of(z: float | None) -> tuple[float, float]:
    """Return the thresholds, with the quantile of the chi-square distribution taken from scipy."""
    if z is None:
        return 20.25, 23.8
    two = float(stats.chi2.isf(math.erfc(z / math.sqrt(2)), 2))
    return z**2, two if math.isfinite(two) else z**2 + 10


def make_ramp(case: LikelyCase, i: int, row: int, col: int, times: Times, *, joint: bool) -> Ramp:
    """Return one ramp with its first group split where there is a zeroframe, and with flags for what is not finite."""
    samples, flags = case.data[i, :, row, col].copy(), case.groupdq[i, :, row, col].copy()
    groups = np.arange(flags.size)
    low = 0 if case.firstgroup is None else case.firstgroup
    high = flags.size - 1 if case.lastgroup is None else case.lastgroup
    flags[(groups < low) | (groups > high)] |= D
    if case.splits:
        zero = case.zeroframe[i, row, col]
        n = np.float32(len(case.times[0]))
        with np.errstate(all="ignore"):
            others = (samples[0] * n - zero) / (n - np.float32(1))
        samples = np.concatenate([[zero, others], samples[1:]]).astype(np.float32)
        first, second = flags[0], flags[0]
        if joint:
            first = first & ~np.uint8(S)
            if zero == 0 or not np.isfinite(zero):
                first, second = first | np.uint8(D), second | np.uint8(D)
        flags = np.concatenate([[first, second], flags[1:]]).astype(np.uint8)
    flags[~np.isfinite(samples) & ((flags & S) == 0)] |= D
    with np.errstate(all="ignore"):
        d = np.diff(samples).astype(np.float64) / times.dt
    d[~np.isfinite(d)] = NAN
    before, after = (flags & ~np.uint8(J | P), flags & ~np.uint8(P)) if joint else (flags, flags)
    return Ramp(d, (before[:-1] == 0) & (after[1:] == 0) & ~np.isnan(d), flags, samples.astype(np.float64))


def flag_found(case: LikelyCase, fit: LikelyFit, where: tuple[int, int, int], before: Any, after: Any) -> None:
    i, row, col = where
    for k in np.flatnonzero(before & ~after):
        fit.groupdq[i, k + (0 if case.splits else 1), row, col] |= J


def freedom(used: float, rate: float) -> float:
    """Return the degrees of freedom of differences to which one rate was fitted."""
    return 0 if math.isnan(rate) else max(used - 1, 0)


def store_fit(planes: dict[str, Any], where: tuple[int, ...], values: tuple[float, ...]) -> None:
    for name, value in zip(("data", "err", "var_poisson", "var_rnoise", "chisq", "dof"), values, strict=True):
        planes[name][where] = value
