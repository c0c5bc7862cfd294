"""Seeded random exposures for the likelihood fits; ``random_likely_case(seed)`` names one for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.likely_cases import LikelyCase

if TYPE_CHECKING:
    from numpy.typing import NDArray

D, S, J, P = 1, 2, 4, 32
LARGEST_SIZE = 60_000


def random_likely_case(seed: int, *, largest_size: int = LARGEST_SIZE, small: bool = False) -> LikelyCase:
    """Return exposure number ``seed``; ``small`` keeps it to a few pixels, for slow comparisons."""
    rng = np.random.default_rng([20_260_901, seed])
    _, ngroups, nrows, ncols = shape = random_shape(rng, largest_size, small=small)
    nframes = int(rng.choice([1, 1, 1, 2, 4, 8]))
    groupgap = int(rng.choice([0, 0, 1, 3]))
    frame_time = float(rng.choice([0.1, 1.0, 2.775, 10.737]))
    read_times = random_read_times(rng, ngroups, frame_time) if rng.random() < 0.25 else None
    case = LikelyCase(
        data=np.zeros(shape, np.float32),
        groupdq=random_groupdq(rng, shape),
        pixeldq=random_pixeldq(rng, nrows, ncols),
        readnoise=np.full((nrows, ncols), rng.choice([0.5, 5.0, 12.0, 60.0]), np.float32),
        gain=np.full((nrows, ncols), rng.choice([0.7, 1.0, 1.8, 5.5]), np.float32),
        dark=random_dark(rng, nrows, ncols),
        frame_time=frame_time,
        nframes=nframes,
        groupgap=groupgap,
        read_times=read_times,
        rejection_threshold=[None, None, 3.0, 4.0, 4.5, 6.0, 40.0][int(rng.integers(7))],
        label=f"random_likely_case({seed}{', small=True' if small else ''})",
    )
    if rng.random() < 0.7:
        case.readnoise[...] *= rng.lognormal(0, 0.4, case.readnoise.shape)
        case.gain[...] *= rng.lognormal(0, 0.2, case.gain.shape)
    zeroframe = fill_data(rng, case)
    spoil(rng, case)
    first = last = None
    if rng.random() < 0.1:
        first, last = int(rng.integers(0, ngroups // 2)), int(rng.integers(ngroups // 2, ngroups))
    use_zeroframe = rng.random() < 0.3
    return case.but(firstgroup=first, lastgroup=last, zeroframe=zeroframe if use_zeroframe else None)


def random_shape(rng: np.random.Generator, largest_size: int, *, small: bool) -> tuple[int, int, int, int]:
    """Return (nints, ngroups, nrows, ncols): short ramps mostly, odd widths."""
    band = rng.choice(4, p=[0.15, 0.55, 0.2, 0.1])
    low, high = ((4, 5), (6, 14), (15, 40), (41, 120))[band]
    ngroups = int(rng.integers(low, high + 1))
    nints = int(rng.choice([1, 1, 2, 3, 5, 6]))
    if small:
        return min(nints, 4), min(ngroups, 16), int(rng.integers(1, 3)), int(rng.integers(1, 5))
    nrows, ncols = int(rng.integers(1, 9)), int(rng.integers(1, 90))
    while nints * ngroups * nrows * ncols > largest_size:
        nints, nrows, ncols = max(1, nints - 1), max(1, nrows // 2), max(1, 2 * ncols // 3)
        if nrows == ncols == 1:
            ngroups = min(ngroups, 20)
            break
    return nints, ngroups, nrows, ncols


def random_read_times(rng: np.random.Generator, ngroups: int, frame_time: float) -> list[list[float]]:
    """Return uneven times of groups of one to five frames."""
    times, now = [], 0.0
    for _ in range(ngroups):
        group = []
        for _ in range(int(rng.choice([1, 1, 2, 3, 5]))):
            now += frame_time * float(rng.choice([1.0, 1.0, 2.0]))
            group.append(now)
        now += frame_time * float(rng.choice([0.0, 0.0, 1.0, 7.0]))
        times.append(group)
    return times


def random_groupdq(rng: np.random.Generator, shape: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Return group flags: independent bits, every combination of bits, and saturated ends."""
    groupdq = np.zeros(shape, np.uint8)
    kind = rng.random()
    if kind < 0.15:
        return groupdq
    if kind < 0.25:
        chosen = rng.random(shape) < rng.choice([0.05, 0.3])
        groupdq[chosen] = rng.integers(0, 256, int(chosen.sum()))
        return groupdq
    for bit in (D, J, P):
        groupdq[rng.random(shape) < rng.choice([0.0, 0.0, 0.01, 0.05, 0.2])] |= bit
    if rng.random() < 0.6:
        nints, ngroups, nrows, ncols = shape
        begins = rng.integers(0, ngroups, (nints, 1, nrows, ncols))
        saturated = (np.arange(ngroups)[:, None, None] >= begins) & (rng.random((nints, 1, nrows, ncols)) < 0.3)
        groupdq[saturated] |= S
    return groupdq


def random_pixeldq(rng: np.random.Generator, nrows: int, ncols: int) -> NDArray[np.uint32]:
    """Return pixel flags; some have DO_NOT_USE, which the fit does not look at."""
    bits = rng.choice([0, 1, 1 << 10, 1 << 19], (nrows, ncols), p=[0.9, 0.04, 0.03, 0.03])
    return bits.astype(np.uint32)


def random_dark(rng: np.random.Generator, nrows: int, ncols: int) -> NDArray[np.float32] | None:
    """Return the average dark current, now and then negative."""
    if rng.random() < 0.6:
        return None
    return (rng.normal(0.1, 0.1, (nrows, ncols)) * rng.choice([0.1, 1, 10])).astype(np.float32)


def fill_data(rng: np.random.Generator, case: LikelyCase) -> NDArray[np.float32]:
    """Fill the data, in place, with noisy ramps that have hits between and inside groups; return their first frames."""
    nints, _, nrows, ncols = case.shape
    times = case.times
    rate = 10 ** rng.uniform(-2, 3.5, (nrows, ncols)) * np.where(rng.random((nrows, ncols)) < 0.1, -1, 1)
    if rng.random() < 0.05:
        rate[:] = 0
    level = np.full((nints, nrows, ncols), rng.choice([0.0, 100.0, -300.0, 10_000.0]))
    hits = float(rng.choice([0.0, 0.01, 0.05])) / np.mean([len(group) for group in times])
    noise = case.readnoise / np.sqrt(2)
    first, now = np.zeros(level.shape), 0.0
    for g, group in enumerate(times):
        total = np.zeros(level.shape)
        for t in group:
            arrived = rate * (t - now)
            level += rng.normal(arrived, np.sqrt(np.abs(arrived) / case.gain), level.shape)
            level += np.where(rng.random(level.shape) < hits, rng.exponential(1000, level.shape), 0)
            frame = level + rng.normal(0, noise, level.shape)
            if g == 0 and t == group[0]:
                first = frame
            total += frame
            now = t
        case.data[:, g] = total / len(group)
    if rng.random() < 0.3:
        saturation = float(np.quantile(case.data, 0.9))
        case.groupdq[case.data > saturation] |= S
        np.minimum(case.data, np.float32(saturation), out=case.data)
    if rng.random() < 0.2:
        np.round(case.data, out=case.data)
    if rng.random() < 0.03:  # few values: ties
        case.data[...] = rng.integers(-2, 3, case.data.shape)
    return np.where(rng.random(first.shape) < 0.05, 0, first).astype(np.float32)


def spoil(rng: np.random.Generator, case: LikelyCase) -> None:
    """Put unusable values into some arrays, in place."""
    for plane, chance in ((case.readnoise, 0.15), (case.gain, 0.15)):
        if rng.random() < chance:
            spoilt = rng.random(plane.shape) < 0.1
            plane[spoilt] = rng.choice([0.0, -3.0, np.nan, np.inf], int(spoilt.sum()))
    if rng.random() < 0.15:
        spoilt = rng.random(case.data.shape) < rng.choice([0.002, 0.05])
        case.data[spoilt] = rng.choice([np.nan, np.inf, -np.inf], int(spoilt.sum()))
