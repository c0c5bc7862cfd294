"""The slow implementation's rules for one pixel; see `tile`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tests.naive.ols.block_rates import find_rates

if TYPE_CHECKING:
    from collections.abc import Sequence

D, S, J, P, C, NO_GAIN = 1, 2, 4, 32, 128, 1 << 19
NAN = np.float64("nan")
LARGEST_VARIANCE = 1e6


@dataclass
class Detector:
    """What else the fit of a pixel depends on: e-/DN, e- per group, DN/s, s, and groups before the first one."""

    gain: np.float64
    noise: np.float64
    dark: np.float64
    group_time: np.float64
    frame_time: np.float64
    one_group_time: np.float64
    lead: float


@dataclass
class Ramp:
    """One integration of one pixel and what becomes of it."""

    d: list[np.float64]
    flags: list[int]
    flags_before: list[int] | None  # only where charge loss occurs in the exposure
    dq: int = 0
    n_good: int = 0
    n_saturated: int = 0
    n_unusable: int = 0
    sole_zeroth: bool = False
    zeroframe: bool = False
    has_chargeloss: bool = False
    jumps: list[np.float64] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    reported: int = 0
    slope: np.float64 = field(default_factory=lambda: np.float64(0))
    var_p: np.float64 = field(default_factory=lambda: np.float64(0))
    var_r: np.float64 = field(default_factory=lambda: np.float64(0))
    err: np.float64 = field(default_factory=lambda: np.float64(0))
    pedestal: np.float64 = field(default_factory=lambda: np.float64(0))


@dataclass
class Segment:
    """A fitted segment; names as in the optional product."""

    slope: np.float64
    sigslope: np.float64
    var_poisson: np.float64
    var_rnoise: np.float64
    yint: np.float64
    sigyint: np.float64

    @property
    def weights(self) -> np.float64:
        return 1 / self.var_rnoise


@dataclass
class Pixel:
    """All integrations of one pixel, and their combination."""

    ramps: list[Ramp]
    dq: int = 0
    slope: np.float64 = field(default_factory=lambda: np.float64(0))
    var_p: np.float64 = field(default_factory=lambda: np.float64(0))
    var_r: np.float64 = field(default_factory=lambda: np.float64(0))
    err: np.float64 = field(default_factory=lambda: np.float64(0))


def fit_block(
    ramps: list[Ramp], pixeldq: int, detector: Detector, zero: list[np.float64] | None, *, suppress: bool
) -> Pixel:
    """Fit all integrations of one pixel; ``zero`` is its zeroframe in DN."""
    base = pixeldq if detector.gain > 0 else pixeldq | D | NO_GAIN
    pixel = Pixel(ramps, base)
    for i, ramp in enumerate(ramps):
        ramp.dq = base
        take_stock(ramp, pixel)
        if not suppress:
            consider_first_group(ramp, None if zero is None else zero[i])
    median = find_rates(ramps, detector)
    poisson = median + detector.dark if median > 0 else detector.dark

    sum_p, sum_r, sum_n = np.float64(0), np.float64(0), np.float64(0)
    for ramp in ramps:
        inverse_p, inverse_r, weighted = fit_integration(ramp, poisson, detector)
        sum_p, sum_r, sum_n = sum_p + inverse_p, sum_r + inverse_r, sum_n + weighted
        ramp.pedestal = pedestal(ramp, detector)
    combine_integrations(pixel, sum_p, sum_r, sum_n)
    if any(r.has_chargeloss for r in ramps):
        apply_charge_loss(pixel, detector)
    for ramp in ramps:
        if ramp.n_saturated > 0:
            ramp.dq |= S
            pixel.dq |= S
    return pixel


def pedestal(ramp: Ramp, detector: Detector) -> np.float64:
    """Return the signal in DN extrapolated towards the reset."""
    value = np.float64(0) if ramp.dq & S else ramp.d[0] - ramp.slope * detector.lead
    return np.float64(0) if np.isnan(value) else value


def combine_integrations(pixel: Pixel, sum_p: np.float64, sum_r: np.float64, sum_n: np.float64) -> None:
    """Set the exposure's rate from the sums over its segments."""
    ramps = pixel.ramps
    if all(r.dq & D for r in ramps):
        pixel.dq |= D
    if all(r.dq & S for r in ramps):
        pixel.dq |= S
    if pixel.dq & (D | S):
        pixel.slope = NAN
    else:
        pixel.var_p = limited(1 / sum_p) if sum_p > 0 else np.float64(0)
        pixel.var_r = limited(1 / sum_r if sum_r > 0 else sum_r)
        pixel.err = np.sqrt(pixel.var_p + pixel.var_r)
        pixel.slope = sum_n * pixel.var_r


def limited(variance: np.float64) -> np.float64:
    return np.float64(0) if variance >= LARGEST_VARIANCE else variance


def take_stock(ramp: Ramp, pixel: Pixel) -> None:
    """Hide saturated samples, count flags, propagate them, and list the jumps."""
    ramp.d = [NAN if f & S else v for v, f in zip(ramp.d, ramp.flags, strict=True)]
    ramp.n_good = sum(f == 0 for f in ramp.flags)
    ramp.n_saturated = sum(bool(f & S) for f in ramp.flags)
    ramp.n_unusable = sum(bool(f & (D | S)) for f in ramp.flags)
    for bit in (J, P):
        if any(f & bit for f in ramp.flags):
            ramp.dq |= bit
            pixel.dq |= bit
    ramp.has_chargeloss = any(f & C for f in ramp.flags)
    for g in range(1, len(ramp.d)):
        if ramp.flags[g] & J:
            ramp.jumps.append(ramp.d[g] - ramp.d[g - 1])


def consider_first_group(ramp: Ramp, zero: np.float64 | None) -> None:
    """Find ramps of which only group 0 is good, and rescue those without a good group by the zeroframe."""
    if ramp.n_good == 1 and ramp.flags[0] == 0:
        ramp.sole_zeroth = True
    elif ramp.n_good == 0 and zero is not None and zero != 0:
        ramp.d[0], ramp.flags[0] = zero, 0
        ramp.n_good = 1
        ramp.n_unusable -= 1
        if ramp.n_saturated == len(ramp.d):
            ramp.n_saturated -= 1
        ramp.zeroframe = True


def find_segments(flags: Sequence[int]) -> tuple[list[tuple[int, int]], int]:
    """Return the segments to fit as (first group, length), and the number to report for the size of fitopt."""
    good = [not f & ~P for f in flags]
    runs: list[tuple[int, int]] = []
    g = 0
    while g < len(flags):
        if not good[g]:
            g += 1
            continue
        end = g
        while end < len(flags) and good[end]:
            end += 1
        start = g - 1 if g > 0 and flags[g - 1] & ~P == J else g
        if end - start > 1 or not any(length > 1 for _, length in runs):
            runs.append((start, end - start))
        g = end
    if runs and max(length for _, length in runs) == 1:
        return runs[:1], len(runs)
    kept = [run for run in runs if run[1] > 1]
    return kept, len(kept)


def fit_integration(ramp: Ramp, poisson: np.float64, detector: Detector) -> tuple[np.float64, np.float64, np.float64]:
    """Fit the segments of one integration and combine them; returns what it adds to the exposure's three sums."""
    if ramp.flags[0] & S:
        ramp.dq |= D | S
        runs, ramp.reported = [], 0
    else:
        runs, ramp.reported = find_segments(ramp.flags)
    nothing = np.float64(0), np.float64(0), np.float64(0)
    if ramp.n_unusable == len(ramp.flags):
        ramp.dq |= D
        if ramp.n_saturated == len(ramp.flags):
            ramp.dq |= S
        runs, ramp.reported = [], 0
    if not runs:
        ramp.slope = NAN if ramp.dq & (D | S) else np.float64(0)
        return nothing

    ramp.segments = [fit_segment(ramp, s, n, poisson, detector) for s, n in runs]
    inverse_p = np.float64(0)
    inverse_r = np.float64(0)
    inverse_e = np.float64(0)
    weighted = np.float64(0)
    for seg in ramp.segments:
        if seg.var_poisson > 0:
            inverse_p += 1 / seg.var_poisson
        inverse_r += 1 / seg.var_rnoise
        inverse_e += 1 / (seg.var_poisson + seg.var_rnoise)
        weighted += seg.slope / seg.var_rnoise
    if ramp.dq & (D | S):
        ramp.slope = NAN
    else:
        ramp.var_p = limited(1 / inverse_p) if inverse_p > 0 else np.float64(0)
        ramp.var_r = limited(1 / inverse_r)
        ramp.slope = weighted * ramp.var_r
        ramp.err = np.float64(0) if 1 / inverse_e > LARGEST_VARIANCE else np.sqrt(1 / inverse_e)
    return inverse_p, inverse_r, weighted


def fit_segment(
    ramp: Ramp,
    s: int,
    n: int,
    poisson: np.float64,
    detector: Detector,
) -> Segment:
    """Fit one segment of ``n`` groups from group ``s``."""
    gain, noise = detector.gain, detector.noise
    zero = np.float64(0)
    var_r = read_variance(ramp, n, detector)
    if n == 1:
        time = lone_group_time(ramp, detector)
        return Segment(ramp.d[s] / time, zero, poisson / (time * gain), var_r, zero, zero)
    if n == 2:
        a, b = ramp.d[s], ramp.d[s + 1]
        sigma = np.float64(1.41421356) * noise
        return Segment(
            (b - a) / detector.group_time,
            sigma,
            poisson / (detector.group_time * gain),
            var_r,
            b * (1 - (s + 1)) + a * (s + 1),
            sigma,
        )
    power = np.float32(weight_power(signal_to_noise(ramp.d[s + n - 1] - ramp.d[s], gain, noise)))
    centre = (n - 1) / 2
    w = wx = wxx = wy = wxy = zero
    for k in range(n):
        distance = np.float32(abs((k - centre) * (1 / centre)))
        weight = np.float64(np.float32(float(distance) ** float(power))) * (1 / (noise * noise))
        x = np.float64(s + k)
        y = zero if np.isnan(ramp.d[s + k]) else ramp.d[s + k]
        w, wx, wxx, wy, wxy = w + weight, wx + weight * x, wxx + weight * x * x, wy + weight * y, wxy + weight * x * y
    inverse = 1 / (w * wxx - wx * wx)
    return Segment(
        slope=(w * wxy - wx * wy) * inverse / detector.group_time,
        sigslope=np.sqrt(w * inverse),
        var_poisson=poisson / (detector.group_time * gain * (n - 1)),
        var_rnoise=var_r,
        yint=(wxx * wy - wx * wxy) * inverse,
        sigyint=np.sqrt(wxx * inverse),
    )


def lone_group_time(ramp: Ramp, detector: Detector) -> np.float64:
    """Return the time in s that a one-group segment is divided by."""
    return (
        detector.one_group_time if ramp.sole_zeroth else detector.frame_time if ramp.zeroframe else detector.group_time
    )


def read_variance(ramp: Ramp, n: int, detector: Detector) -> np.float64:
    """Return the read-noise variance of a segment's slope, (DN/s)^2."""
    gain, noise = detector.gain, detector.noise
    if n <= 2:
        time = lone_group_time(ramp, detector) if n == 1 else detector.group_time
        return 12 * (noise / time) * (noise / time) / (6 * gain * gain)
    if not gain > 0:
        return np.float64(0)
    return 12 * (noise / detector.group_time) * (noise / detector.group_time) / ((n**3 - n) * gain * gain)


def signal_to_noise(delta: np.float64, gain: np.float64, noise: np.float64) -> np.float64:
    squared = noise * noise + delta * gain
    if squared <= 0 or gain == 0:
        return np.float64(0)
    ratio = delta * gain / np.sqrt(squared)
    return np.float64(0) if ratio < 0 else ratio


def weight_power(snr: np.float64) -> float:
    for limit, power in ((5, 0.0), (10, 0.4), (20, 1.0), (50, 3.0), (100, 6.0)):
        if snr < limit:
            return power
    return 10.0


def apply_charge_loss(pixel: Pixel, detector: Detector) -> None:
    """Recompute the read-noise variances as if charge loss had not been flagged."""
    total = np.float64(0)
    for ramp in pixel.ramps:
        if not ramp.has_chargeloss:
            total += 1 / ramp.var_r if ramp.var_r > 0 else 0
            continue
        if ramp.flags_before is None:
            raise AssertionError
        flags = [f ^ (C | D) if f & C else f for f in ramp.flags_before]
        inverse = np.float64(0)
        for _, n in find_segments(flags)[0]:
            variance = read_variance(ramp, n, detector)
            if variance > 0:
                inverse += 1 / variance
        ramp.var_r = limited(1 / inverse)
        total += inverse
    if total > 0:
        pixel.var_r = limited(1 / total)
