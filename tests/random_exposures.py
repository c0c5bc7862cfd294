"""Seeded random exposures that meet every rule of the fit at once, and large ones of a given structure.

A seed names an exposure for ever: ``random_case(seed)`` is what a failure report refers to. ``bulk_exposures.py``
holds the large ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.cases import Case

if TYPE_CHECKING:
    from numpy.typing import NDArray

D, S, J, DROPOUT, UNUSED, P, AD_FLOOR, C = 1, 2, 4, 8, 16, 32, 64, 128
# (p^2, pq) / (p^2 - q^2): read noise and signal for which the signal-to-noise ratio is an exact number
EXACT_RATIOS = ((25 / 16, 15 / 16), (9 / 8, 3 / 8))
THRESHOLDS = (5.0, 10.0, 20.0, 50.0, 100.0)
LARGEST_SIZE = 60_000


def random_case(seed: int, *, largest_size: int = LARGEST_SIZE, small: bool = False) -> Case:
    """Return exposure number ``seed``; ``small`` keeps it to a few pixels, for slow comparisons."""
    rng = np.random.default_rng([20_240_229, seed])
    shape = random_shape(rng, largest_size=largest_size, small=small)
    nints, ngroups, nrows, ncols = shape
    nframes = int(rng.choice([1, 1, 1, 2, 4, 8]))
    readnoise, gain = random_noise_and_gain(rng, nrows, ncols)
    if exact := bool(rng.random() < 0.15):
        nframes = 2
    data = random_ramps(rng, shape, readnoise, gain)
    if exact:
        data, readnoise, gain = put_on_thresholds(rng, data)
    spoil_references(rng, readnoise, gain)
    instrument = str(rng.choice(["NIRCAM", "MIRI", "NIRSPEC", ""], p=[0.4, 0.4, 0.1, 0.1]))
    groupdq = random_flags(rng, shape)
    if instrument == "MIRI" or rng.random() < 0.1:
        flag_edges(rng, groupdq)
    spoil_data(rng, data)
    zeroframe = random_zeroframe(rng, nints, nrows, ncols) if rng.random() < 0.4 else None
    if rng.random() < 0.08:
        mirror_integrations(rng, data, groupdq, zeroframe)
    first, last = random_group_range(rng, ngroups)
    group_time, frame_time = random_times(rng)
    return Case(
        data=data,
        groupdq=groupdq,
        pixeldq=random_pixeldq(rng, nrows, ncols),
        readnoise=readnoise,
        gain=gain,
        group_time=group_time,
        frame_time=frame_time,
        nframes=nframes,
        groupgap=int(rng.choice([0, 0, 1, 3])),
        drop_frames1=int(rng.choice([0, 0, 0, 1, 2, 5])),
        average_dark_current=random_dark(rng, nrows, ncols),
        zeroframe=zeroframe,
        instrument=instrument,
        suppress_one_group=bool(rng.random() < 0.5),
        firstgroup=first,
        lastgroup=last,
        save_opt=bool(rng.random() < 0.75),
        label=f"random_case({seed}{', small=True' if small else ''})",
    )


def random_shape(rng: np.random.Generator, *, largest_size: int, small: bool) -> tuple[int, int, int, int]:
    """Return (nints, ngroups, nrows, ncols): short ramps mostly, odd widths, now and then a wide or a long one."""
    band = rng.choice(6, p=[0.06, 0.08, 0.10, 0.56, 0.14, 0.06])
    low, high = ((1, 1), (2, 2), (3, 3), (4, 12), (13, 40), (41, 135))[band]
    ngroups = int(rng.integers(low, high + 1))
    nints = int(rng.integers(1, 6))
    if small:
        return nints, min(ngroups, 24), int(rng.integers(1, 4)), int(rng.integers(1, 6))
    nrows = int(rng.integers(1, 10))
    ncols = int(rng.integers(1, 72))
    if rng.random() < 0.08:
        nrows, ncols = int(rng.integers(1, 4)), int(rng.integers(120, 700))
    while nints * ngroups * nrows * ncols > largest_size:
        nrows, ncols, nints = max(1, nrows // 2), max(1, 2 * ncols // 3), max(1, nints - 1)
    return nints, ngroups, nrows, ncols


def random_noise_and_gain(
    rng: np.random.Generator, nrows: int, ncols: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return readnoise (DN) and gain (e-/DN); uniform or different in each pixel."""
    level = float(rng.choice([0.5, 5.0, 12.0, 60.0]))
    readnoise = np.full((nrows, ncols), level, np.float32)
    gain = np.full((nrows, ncols), float(rng.choice([0.7, 1.0, 1.8, 5.5])), np.float32)
    if rng.random() < 0.7:
        readnoise *= rng.lognormal(0, 0.4, readnoise.shape).astype(np.float32)
        gain *= rng.lognormal(0, 0.2, gain.shape).astype(np.float32)
    if rng.random() < 0.15:  # variances beyond the limit of 1e6
        readnoise[rng.random(readnoise.shape) < 0.3] *= np.float32(rng.choice([100.0, 400.0]))
    return readnoise, gain


def random_ramps(
    rng: np.random.Generator,
    shape: tuple[int, int, int, int],
    readnoise: NDArray[np.float32],
    gain: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return noisy ramps (DN) whose signals span all classes of signal-to-noise ratio, negative ones included."""
    nints, ngroups, nrows, ncols = shape
    signal = 10 ** rng.uniform(-2, 4.3, (nrows, ncols)) / max(1, ngroups - 1)
    signal *= np.where(rng.random(signal.shape) < 0.12, -1, 1)
    if rng.random() < 0.05:
        signal[:] = 0
    steps = rng.normal(signal, np.sqrt(np.abs(signal) / gain), (nints, ngroups, nrows, ncols))
    steps += np.where(rng.random(steps.shape) < 0.02, rng.exponential(2000, steps.shape), 0)
    data = np.cumsum(steps, axis=1) + rng.normal(0, readnoise / np.sqrt(2), steps.shape)
    data += rng.choice([0.0, 100.0, 10_000.0, -300.0])
    if rng.random() < 0.3:
        data = np.round(data)
    if rng.random() < 0.1:
        data[rng.random(data.shape) < 0.3] = 0
    if rng.random() < 0.08:  # few values: ties, and rates that cancel within a ramp
        data = rng.integers(-2, 3, data.shape) * float(rng.choice([1.0, 0.1, 1000.0]))
    return data.astype(np.float32)


def put_on_thresholds(
    rng: np.random.Generator, data: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return ramps that rise exactly by the signal of a threshold, or the nearest float32 or DN beside it.

    With k = p^2/(p^2-q^2) and m = pq/(p^2-q^2) the signal k s^2 e- over the read noise m s e- has the ratio s exactly.
    Read noise and gain are for two frames a group, where the scaling is a division by 2.
    """
    nints, _, nrows, ncols = data.shape
    gain = rng.choice([1.0, 2.0, 4.0], (nrows, ncols))
    s = rng.choice(THRESHOLDS, (nrows, ncols))
    k, m = np.array(EXACT_RATIOS)[rng.integers(0, 2, (nrows, ncols))].transpose(2, 0, 1)
    rise = np.float32(k * s * s / gain)
    data = np.round(data)
    data[:, 0] = 0
    nudged = np.stack(
        [rise, np.nextafter(rise, np.float32(0)), np.nextafter(rise, np.float32(1e9)), rise - 1, rise + 1]
    )
    choice = rng.integers(0, len(nudged), (nints, nrows, ncols))
    data[:, -1] = np.take_along_axis(nudged, choice, axis=0)
    return data, (2 * m * s / gain).astype(np.float32), gain.astype(np.float32)


def spoil_references(rng: np.random.Generator, readnoise: NDArray[np.float32], gain: NDArray[np.float32]) -> None:
    """Put unusable values into some read noise and gain arrays, in place."""
    for plane, chance in ((readnoise, 0.2), (gain, 0.25)):
        if rng.random() < chance:
            spoilt = rng.random(plane.shape) < rng.choice([0.03, 0.3])
            plane[spoilt] = rng.choice([0.0, -0.0, -1.5, np.nan], int(spoilt.sum()))


def random_flags(rng: np.random.Generator, shape: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Return group flags: independent bits of many densities, over them whole patterns in single ramps."""
    nints, ngroups, nrows, ncols = shape
    groupdq = np.zeros(shape, np.uint8)
    kind = rng.random()
    if kind < 0.05:
        return groupdq
    if kind < 0.12:  # every combination of bits
        rare = rng.random(shape) < rng.choice([0.1, 0.5, 1.0])
        groupdq[rare] = rng.integers(0, 256, int(rare.sum()))
        return groupdq
    densities = [0.0, 0.0, 0.02, 0.1, 0.3, 0.6]
    for bit in (D, J, P):
        groupdq[rng.random(shape) < rng.choice(densities)] |= bit
    for bit in (DROPOUT, UNUSED, AD_FLOOR):
        groupdq[rng.random(shape) < rng.choice([0.0, 0.0, 0.0, 0.02, 0.2])] |= bit
    if rng.random() < 0.25:
        lost = rng.random((nints, 1, nrows, ncols)) < rng.choice([0.1, 0.6])
        begin = rng.integers(0, ngroups + 1, (nints, 1, nrows, ncols))
        groups = np.arange(ngroups)[None, :, None, None]
        groupdq[lost & (groups >= begin)] |= int(rng.choice([C, C | D]))
    saturate(rng, groupdq)
    plant_patterns(rng, groupdq)
    whole = rng.random()
    if whole < 0.02:
        groupdq[:, 0] |= S  # the whole exposure is saturated
    elif whole < 0.05:
        groupdq[int(rng.integers(nints)), 0] |= S
    elif whole < 0.07:
        groupdq |= D
    return groupdq


def saturate(rng: np.random.Generator, groupdq: NDArray[np.uint8]) -> None:
    """Flag runs up to the end of the ramp SATURATED, group 0 included, and now and then single groups; in place."""
    nints, ngroups, nrows, ncols = groupdq.shape
    share = rng.choice([0.0, 0.0, 0.1, 0.5, 0.95])
    begin = rng.integers(0, ngroups + 1, (nints, 1, nrows, ncols))
    begin[rng.random(begin.shape) < 0.1] = 0
    begin[rng.random(begin.shape) < 0.1] = 1
    chosen = rng.random(begin.shape) < share
    groupdq[chosen & (np.arange(ngroups)[None, :, None, None] >= begin)] |= S
    if rng.random() < 0.15:
        groupdq[rng.random(groupdq.shape) < 0.05] |= S


def plant_patterns(rng: np.random.Generator, groupdq: NDArray[np.uint8]) -> None:
    """Overwrite single ramps with the patterns that rules are about; in place."""
    nints, ngroups, nrows, ncols = groupdq.shape
    for _ in range(int(rng.choice([0, 2, 10, nints * nrows * ncols]))):
        i, row, col = (int(rng.integers(n)) for n in (nints, nrows, ncols))
        groupdq[i, :, row, col] = random_pattern(rng, ngroups)


def random_pattern(rng: np.random.Generator, ngroups: int) -> NDArray[np.uint8]:
    """Return the flags of one ramp."""
    g = int(rng.integers(ngroups))
    flags = np.zeros(ngroups, np.uint8)
    match int(rng.integers(10)):
        case 0:
            flags[:] = rng.choice([D, S, J, P, D | S, J | S, AD_FLOOR, J | P, C | D])
        case 1:  # one good group among unusable ones
            flags[:] = rng.choice([D, S, D | S, J])
            flags[g] = rng.choice([0, P])
        case 2:  # two neighbours left
            flags[:] = rng.choice([D, S])
            flags[g : g + 2] = [0, J][: len(flags[g : g + 2])] if rng.random() < 0.5 else 0
        case 3:
            flags[g] = rng.choice([J, J | P, J | AD_FLOOR, J | D, J | DROPOUT, J | S])
        case 4:
            flags[g : g + 3] = J
        case 5:
            flags[:: rng.integers(2, 4)] = rng.choice([D, J, S])
        case 6:
            flags[g] = rng.choice([S, D, AD_FLOOR])
            flags[g + 1 : g + 2] = J
        case 7:
            flags[g:] = S
            flags[g : g + 1] |= J
        case 8:
            flags[0] = S
        case _:
            flags[:] = rng.choice([0, D, J, P, S], ngroups)
    return flags


def flag_edges(rng: np.random.Generator, groupdq: NDArray[np.uint8]) -> None:
    """Flag leading and trailing groups DO_NOT_USE in the whole exposure, jumps beside them too; in place."""
    ngroups = groupdq.shape[1]
    leading = int(rng.choice([0, 1, 1, 2, 3]))
    trailing = int(rng.choice([0, 1, 1, 2]))
    if rng.random() < 0.08:
        leading = ngroups - int(rng.integers(0, 3)) - trailing
    leading = min(max(leading, 0), ngroups)
    groupdq[:, :leading] |= D
    if trailing:
        groupdq[:, -trailing:] |= D
    if leading < ngroups and rng.random() < 0.4:
        groupdq[:, leading][rng.random(groupdq[:, leading].shape) < 0.3] |= J
    if rng.random() < 0.2:  # almost everywhere is not everywhere
        groupdq[-1, :, -1, -1] = 0
    if rng.random() < 0.2:  # everywhere only because lone good groups are suppressed
        edge = 0 if rng.random() < 0.5 else -1
        lone = rng.random(groupdq[:, 0].shape) < 0.2
        groupdq[:, edge] |= D
        for g in range(ngroups):
            groupdq[:, g][lone] |= D
        groupdq[:, edge][lone] = rng.choice([0, P], int(lone.sum()))


def spoil_data(rng: np.random.Generator, data: NDArray[np.float32]) -> None:
    """Put NaN and infinities into some exposures, in place."""
    if rng.random() < 0.25:
        spoilt = rng.random(data.shape) < rng.choice([0.005, 0.05, 0.4])
        data[spoilt] = rng.choice([np.nan, np.nan, np.inf, -np.inf], int(spoilt.sum()))


def mirror_integrations(
    rng: np.random.Generator,
    data: NDArray[np.float32],
    groupdq: NDArray[np.uint8],
    zeroframe: NDArray[np.float32] | None,
) -> None:
    """Make every second integration the negative of the one before: their rates cancel; in place."""
    pairs = data.shape[0] // 2 * 2
    data[1:pairs:2] = -data[0:pairs:2]
    if rng.random() < 0.8:
        groupdq[1:pairs:2] = groupdq[0:pairs:2]
    if zeroframe is not None:
        zeroframe[1:pairs:2] = -zeroframe[0:pairs:2]


def random_pixeldq(rng: np.random.Generator, nrows: int, ncols: int) -> NDArray[np.uint32]:
    """Return pixel flags; some invalidate the pixel, all the others only pass through."""
    pixeldq = np.zeros((nrows, ncols), np.uint32)
    if rng.random() < 0.5:
        pixeldq[rng.random(pixeldq.shape) < 0.1] |= 1 << int(rng.integers(0, 32))
        pixeldq[rng.random(pixeldq.shape) < rng.choice([0.0, 0.1])] |= D
        pixeldq[rng.random(pixeldq.shape) < rng.choice([0.0, 0.1])] |= S
        rare = rng.random(pixeldq.shape) < rng.choice([0.0, 0.05])
        pixeldq[rare] = rng.integers(0, 1 << 32, int(rare.sum()))
    return pixeldq


def random_dark(rng: np.random.Generator, nrows: int, ncols: int) -> NDArray[np.float32] | None:
    """Return an average dark current, or None; it may be negative, even NaN."""
    if rng.random() < 0.6:
        return None
    dark = rng.exponential(rng.choice([0.01, 2.0]), (nrows, ncols)).astype(np.float32)
    if rng.random() < 0.3:
        dark[rng.random(dark.shape) < 0.3] *= -1
    if rng.random() < 0.1:
        dark[rng.random(dark.shape) < 0.1] = np.nan
    return dark


def random_zeroframe(rng: np.random.Generator, nints: int, nrows: int, ncols: int) -> NDArray[np.float32]:
    """Return a zeroframe in DN with values that are 0, negative or not finite."""
    zeroframe = rng.normal(300, 200, (nints, nrows, ncols)).astype(np.float32)
    zeroframe[rng.random(zeroframe.shape) < rng.choice([0.1, 0.6])] = 0
    spoilt = rng.random(zeroframe.shape) < rng.choice([0.0, 0.1])
    zeroframe[spoilt] = rng.choice([np.nan, np.inf, -np.inf, -0.0], int(spoilt.sum()))
    return zeroframe


def random_times(rng: np.random.Generator) -> tuple[float, float]:
    """Return group_time and frame_time in s; they need not be consistent."""
    group_time = float(rng.choice([0.085, 1.0, 2.77504, 3.0, 10.6, 53.68]))
    return group_time, group_time if rng.random() < 0.5 else float(rng.choice([0.1, 2.12, 10.736]))


def random_read_times(rng: np.random.Generator, ngroups: int) -> list[list[float]]:
    """Return the times of the frames of each group in s: even, uneven, or uneven with frames read in turns."""
    kind = str(rng.choice(["even", "uneven", "in turns"], p=[0.3, 0.5, 0.2]))
    if kind == "even":
        step, reads, gap = float(rng.choice([0.5, 2.77504])), int(rng.integers(1, 5)), int(rng.integers(0, 3))
        return [[step * (1 + j + g * (reads + gap)) for j in range(reads)] for g in range(ngroups)]
    times: list[list[float]] = []
    now = float(rng.choice([0.0, 3.0]))
    for _ in range(ngroups):
        frames = now + np.cumsum(0.05 + rng.exponential(2.0, int(rng.integers(1, 5))))
        times.append(frames.tolist())
        now = float(frames[-1] if kind == "uneven" else frames.mean())
    return times


def random_group_range(rng: np.random.Generator, ngroups: int) -> tuple[int | None, int | None]:
    """Return firstgroup and lastgroup; mostly None, also negative, reversed and beyond the ramp."""
    if rng.random() < 0.7:
        return None, None
    first = None if rng.random() < 0.3 else int(rng.integers(-2, ngroups + 3))
    last = None if rng.random() < 0.3 else int(rng.integers(-2, ngroups + 5))
    if first is not None and last is not None and rng.random() < 0.6 and first > last:
        first, last = last, first
    return first, last
