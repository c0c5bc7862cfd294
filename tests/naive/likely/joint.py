"""One pixel with one covariance and one rate for all of its integrations, slow and obvious."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.naive.likely.covariance import NAN, solve
from tests.naive.likely.joint_search import believable, search_hits
from tests.naive.likely.ramps import Hinges, J, P, Ramp, flag_found, freedom, limits_of, make_ramp, store_fit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.likely_cases import LikelyCase, LikelyFit
    from tests.naive.likely.covariance import Times
    from tests.naive.likely.explain import HitSearch

    Matrix = NDArray[np.float64]


@dataclass
class Lone:
    """A rate from the only good group of a ramp, and its variances per photon rate, read noise, and in itself."""

    rate: float
    photon: float
    read: float
    pedestal: float


def _lone(case: LikelyCase, ramp: Ramp, times: Times) -> Lone | None:
    good = np.flatnonzero((ramp.flags & ~np.uint8(P)) == 0)
    if ramp.used.any() or good.size != 1 or (ramp.flags[: good[0]] & J).any():
        return None
    g = int(good[0])
    if case.pedestal is not None:
        mean, sigma = case.pedestal
    elif case.splits and g == 0:
        mean, sigma = 0.0, 0.0
    else:
        return None
    t = times.mean[g]
    return Lone((ramp.samples[g] - mean) / t, times.photon_since_reset[g], times.read_since_reset[g], (sigma / t) ** 2)


@dataclass
class _Part:
    """What one integration says: rate, weight, variances, chi-square, number of differences."""

    rate: float
    weight: float
    of_photon: float
    of_read: float
    chisq: float = 0.0
    count: int = 1


class _JointPixel:
    """All integrations of a pixel."""

    def __init__(self, case: LikelyCase, row: int, col: int, times: Times) -> None:
        gain, noise = float(case.gain[row, col]), float(case.readnoise[row, col])
        self.gain = gain if gain > 0 and math.isfinite(gain) else NAN
        self.read = NAN if math.isnan(noise) else max(noise, 1e-3) ** 2 / 2
        self.dark = 0.0 if case.dark is None else float(case.dark[row, col])
        self.times = times
        self.limits = limits_of(case.rejection_threshold)
        self.ramps = [make_ramp(case, i, row, col, times, joint=True) for i in range(case.shape[0])]
        self.lone = [_lone(case, ramp, times) for ramp in self.ramps]

    def photon_of(self, rate: float) -> float:
        return NAN if math.isnan(rate) else max(max(rate, 0.0) + self.dark, 0.0) / self.gain

    def covariance(self, photon: float) -> Matrix:
        return photon * self.times.photon + self.read * self.times.read

    def start(self) -> float:
        rates = [ramp.d[ramp.used] for ramp in self.ramps] + [[one.rate] for one in self.lone if one]
        found = np.concatenate(rates)
        return float(np.median(found)) if found.size else NAN

    def parts(self, photon: float, used: list[Any]) -> list[_Part | None]:
        """Fit each integration; None where there is nothing to fit."""
        found: list[_Part | None] = []
        for ramp, one, u in zip(self.ramps, self.lone, used, strict=True):
            if one is not None:
                variances = photon * one.photon, self.read * one.read + one.pedestal
                found.append(_Part(one.rate, 1 / sum(variances), *variances))
                continue
            s = solve(self.covariance(photon), ramp.d, u)
            if not math.isfinite(s.weight):
                found.append(None)
                continue
            w = s.x / s.weight
            of_photon, of_read = photon * w @ self.times.photon @ w, self.read * w @ self.times.read @ w
            found.append(_Part(s.rate, s.weight, of_photon, of_read, s.chisq, int(u.sum())))
        return found

    def search(self, photon: float) -> list[HitSearch]:
        covariance, reads = self.covariance(photon), self.times.reads
        return [search_hits(covariance, ramp.d, ramp.used, reads, self.limits) for ramp in self.ramps]

    def refused(self, s: HitSearch) -> bool:
        left = int(s.used.sum())
        return s.chisq > believable(left, self.limits) or (left == 1 and s.hits > 1)

    def believed(self, found: list[HitSearch]) -> list[Any]:
        return [np.zeros_like(s.used) if self.refused(s) else s.used for s in found]


def _pooled(found: list[_Part | None]) -> tuple[float, ...]:
    there = [p for p in found if p is not None]
    if not there:
        return (NAN,) * 5 + (0,)
    weight = sum(p.weight for p in there)
    rate = sum(p.rate * p.weight for p in there) / weight
    chisq = sum(p.chisq + p.weight * (p.rate - rate) ** 2 for p in there)
    of_photon, of_read = (
        sum(v * (p.weight / weight) ** 2 for v, p in zip(values, there, strict=True))
        for values in ([p.of_photon for p in there], [p.of_read for p in there])
    )
    return (rate, math.sqrt(1 / weight), of_photon, of_read, chisq, freedom(sum(p.count for p in there), rate))


def fit_joint_tile(case: LikelyCase, row: int, col: int, times: Times, fit: LikelyFit, hinges: Hinges) -> None:
    pixel = _JointPixel(case, row, col, times)
    photon = pixel.photon_of(pixel.start())
    first = pixel.search(photon)
    photon = pixel.photon_of(_pooled(pixel.parts(photon, [s.used for s in first]))[0])
    second = pixel.search(photon)
    used = pixel.believed(second)
    photon = pixel.photon_of(_pooled(pixel.parts(photon, used))[0])
    last = pixel.parts(photon, used)
    store_fit(fit.rate, (row, col), _pooled(last))
    dof = fit.rateints["dof"][:, row, col]
    for i, (part, search, ramp) in enumerate(zip(last, second, pixel.ramps, strict=True)):
        values = (NAN,) * 5 + (0,) if part is None else _pooled([part])
        if pixel.refused(search):
            values = (NAN,) * 4 + (search.chisq, max(int(search.used.sum()) - 1, 0))
        store_fit(fit.rateints, (i, row, col), values)
        flag_found(case, fit, (i, row, col), ramp.used, search.used)
        hinges.used[i, row, col] = ramp.used.sum()
        limit = believable(int(search.used.sum()), pixel.limits)
        close = abs(search.chisq - limit) / limit if math.isfinite(limit) else math.inf
        hinges.margin[i, row, col] = min(close, search.margin, first[i].margin)
        hinges.coupling[i, row, col] = hinges.cancelled[i, row, col] = hinges.remains[i, row, col] = math.inf
    believed = [not pixel.refused(s) for s in second]
    if np.isnan(fit.rate["data"][row, col]) and not all(believed):
        chisqs = [s.chisq for s in second if pixel.refused(s)]
        store_fit(fit.rate, (row, col), (NAN,) * 4 + (sum(chisqs), dof.sum()))
