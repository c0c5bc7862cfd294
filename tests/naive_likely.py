"""The likelihood fits, slow and obvious: dense covariances made frame by frame, and every omission tried out.

Independent of the package and of the reference's recursions. It also tells how close its decisions were.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from tests.cases import flag_missing_rates
from tests.likely_cases import LikelyFit
from tests.naive_covariance import Sums, Times, gain_without, solve
from tests.naive_hits import HitSearch, believable, search_hits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.likely_cases import LikelyCase

    Vector = NDArray[np.float64]
    Matrix = NDArray[np.float64]

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


def naive_likely(case: LikelyCase, *, joint: bool = False) -> tuple[LikelyFit, Hinges]:
    """Fit all pixels, and tell how close the decisions were."""
    nints, _, nrows, ncols = case.shape
    times = case.times
    if case.splits:
        times = [times[0][:1], times[0][1:], *times[1:]]
    names = ("data", "err", "var_poisson", "var_rnoise", "chisq", "dof", "dq")
    rate = {n: np.zeros((nrows, ncols), np.uint32 if n == "dq" else np.float64) for n in names}
    rateints = {n: np.zeros((nints, nrows, ncols), np.uint32 if n == "dq" else np.float64) for n in names}
    fit = LikelyFit(rate, rateints, case.groupdq.copy())
    hinges = Hinges(*(np.zeros((nints, nrows, ncols), t) for t in (np.int64, *[np.float64] * 4)))
    made = Times(times)
    for row in range(nrows):
        for col in range(ncols):
            with np.errstate(all="ignore"):
                (_joint_pixel if joint else _pixel)(case, row, col, made, fit, hinges)
            for i in range(nints):
                flags = make_ramp(case, i, row, col, made, joint=joint).flags
                q = int(case.pixeldq[row, col]) | (D if ((flags & (D | S)) != 0).all() else 0)
                q |= int(np.bitwise_or.reduce(flags) & (S | J | (P if joint else 0)))
                q |= int(np.bitwise_or.reduce(fit.groupdq[i, :, row, col] & ~case.groupdq[i, :, row, col]) & J)
                if joint:
                    gain = case.gain[row, col]
                    q |= 0 if gain > 0 and np.isfinite(gain) else D | NO_GAIN
                    q |= D if np.isnan(rateints["data"][i, row, col]) else 0
                rateints["dq"][i, row, col] = q
    everywhere = np.bitwise_and.reduce(rateints["dq"], axis=0) & D
    rate["dq"][...] = (np.bitwise_or.reduce(rateints["dq"], axis=0) & ~np.uint32(D)) | everywhere
    if not joint:
        _combine(rateints, rate)
        flag_missing_rates(rate, rateints)
    return fit, hinges


def _flag(case: LikelyCase, fit: LikelyFit, where: tuple[int, int, int], before: Any, after: Any) -> None:
    i, row, col = where
    for k in np.flatnonzero(before & ~after):
        fit.groupdq[i, k + (0 if case.splits else 1), row, col] |= J


def _freedom(used: float, rate: float) -> float:
    """Return the degrees of freedom of differences to which one rate was fitted."""
    return 0 if math.isnan(rate) else max(used - 1, 0)


def _store(planes: dict[str, Any], where: tuple[int, ...], values: tuple[float, ...]) -> None:
    for name, value in zip(("data", "err", "var_poisson", "var_rnoise", "chisq", "dof"), values, strict=True):
        planes[name][where] = value


def _pixel(case: LikelyCase, row: int, col: int, times: Times, fit: LikelyFit, hinges: Hinges) -> None:  # noqa: PLR0917
    gain, noise = float(case.gain[row, col]), float(case.readnoise[row, col])
    dark = 0.0 if case.dark is None else float(case.dark[row, col])
    read = noise**2 / 2 * times.read
    for i in range(case.shape[0]):
        ramp = make_ramp(case, i, row, col, times, joint=False)
        finite = ramp.d[~np.isnan(ramp.d)]
        guess = float(np.median(finite)) if finite.size else NAN
        guess = guess if math.isnan(guess) else max(guess, 0.0)
        covariance = _sound(np.float64(guess) / gain * times.photon + read)
        found = search(covariance, ramp.d, ramp.used, times.reads, limits_of(case.rejection_threshold))
        rate = found.rate if math.isnan(found.rate) else max(found.rate, 0.0)
        photon = np.float64(rate + dark) / gain * times.photon
        fitted = solve(_sound(photon + read), ramp.d, found.used)
        w = fitted.x / fitted.weight
        values = (fitted.rate, np.sqrt(1 / fitted.weight), w @ photon @ w, w @ read @ w, fitted.chisq)
        _store(fit.rateints, (i, row, col), (*values, _freedom(found.used.sum(), values[0])))
        _flag(case, fit, (i, row, col), ramp.used, found.used)
        hinges.used[i, row, col] = ramp.used.sum()
        hinges.margin[i, row, col] = found.margin
        hinges.coupling[i, row, col] = found.coupling
        # Without any noise a rate of 0 has no fit: then the first one says that it is rounding in the reference.
        smallest = np.fmin(np.abs(found.rate), np.abs(fitted.rate))
        hinges.cancelled[i, row, col] = smallest / np.max(np.abs(ramp.d[found.used]), initial=1e-300)
        terms = fitted.chisq + fitted.rate**2 * fitted.weight
        hinges.remains[i, row, col] = fitted.chisq / terms if terms > 0 else 1.0


def _sound(covariance: Matrix) -> Matrix:
    """Return a covariance, NaN where the reference's scaling of it fails: it wants some leading minors above 0."""
    size = covariance.shape[0]
    for i in {*range(10, size + 1, 10), size}:
        if not np.isfinite(covariance).all() or np.linalg.slogdet(covariance[:i, :i])[0] <= 0:
            return covariance * NAN
    return covariance


def _combine(rateints: dict[str, Any], rate: dict[str, Any]) -> None:
    """Combine integrations as the pipeline does, which works in single precision."""
    names = ("data", "err", "var_poisson", "var_rnoise", "chisq", "dof")
    r, _, p, n, chisq, dof = (rateints[name].astype(np.float32) for name in names)
    if len(r) == 1:
        for name in names:
            rate[name][...] = rateints[name][0]
        return
    with np.errstate(all="ignore"):
        finite = np.where(np.isnan(r), np.inf, r)
        order, count = np.sort(finite, axis=0), (~np.isnan(r)).sum(axis=0)
        take = [np.take_along_axis(order, np.maximum(k, 0)[None], 0)[0] for k in ((count - 1) // 2, count // 2)]
        middle = np.where(count > 0, (take[0] + take[1]) / 2, np.nan)
        for _ in range(2):
            ratio = middle / r
            v = p * np.where(np.isfinite(ratio) & (ratio >= 0), ratio, np.float32(0))
            w = 1 / (v + n)
            w /= _sum(w, empty=0)
            middle = _sum(w * r)
        rate["data"][...], rate["var_poisson"][...], rate["var_rnoise"][...] = middle, _sum(v * w * w), _sum(n * w * w)
        rate["err"][...] = np.sqrt(rate["var_poisson"] + rate["var_rnoise"])
        rate["chisq"][...], rate["dof"][...] = chisq.sum(axis=0), dof.sum(axis=0)


def _sum(values: NDArray[Any], empty: float = NAN) -> NDArray[Any]:
    return np.where(np.isnan(values).all(axis=0), np.float32(empty), np.where(np.isnan(values), 0, values).sum(axis=0))


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
    return (rate, math.sqrt(1 / weight), of_photon, of_read, chisq, _freedom(sum(p.count for p in there), rate))


def _joint_pixel(case: LikelyCase, row: int, col: int, times: Times, fit: LikelyFit, hinges: Hinges) -> None:  # noqa: PLR0917
    pixel = _JointPixel(case, row, col, times)
    photon = pixel.photon_of(pixel.start())
    first = pixel.search(photon)
    photon = pixel.photon_of(_pooled(pixel.parts(photon, [s.used for s in first]))[0])
    second = pixel.search(photon)
    used = pixel.believed(second)
    photon = pixel.photon_of(_pooled(pixel.parts(photon, used))[0])
    last = pixel.parts(photon, used)
    _store(fit.rate, (row, col), _pooled(last))
    dof = fit.rateints["dof"][:, row, col]
    for i, (part, search, ramp) in enumerate(zip(last, second, pixel.ramps, strict=True)):
        values = (NAN,) * 5 + (0,) if part is None else _pooled([part])
        if pixel.refused(search):
            values = (NAN,) * 4 + (search.chisq, max(int(search.used.sum()) - 1, 0))
        _store(fit.rateints, (i, row, col), values)
        _flag(case, fit, (i, row, col), ramp.used, search.used)
        hinges.used[i, row, col] = ramp.used.sum()
        limit = believable(int(search.used.sum()), pixel.limits)
        close = abs(search.chisq - limit) / limit if math.isfinite(limit) else math.inf
        hinges.margin[i, row, col] = min(close, search.margin, first[i].margin)
        hinges.coupling[i, row, col] = hinges.cancelled[i, row, col] = hinges.remains[i, row, col] = math.inf
    believed = [not pixel.refused(s) for s in second]
    if np.isnan(fit.rate["data"][row, col]) and not all(believed):
        chisqs = [s.chisq for s in second if pixel.refused(s)]
        _store(fit.rate, (row, col), (NAN,) * 4 + (sum(chisqs), dof.sum()))
