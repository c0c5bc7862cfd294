"""What random arguments of kernels are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.algorithms.likely.tables import difference_table
from rampfit_numba.algorithms.ols.weights import segment_weights
from rampfit_numba.algorithms.read_pattern import read_pattern
from rampfit_numba.kernels._jit import LANES
from rampfit_numba.kernels.blocks import Ramps
from rampfit_numba.kernels.likely.fit import WORK_ROWS
from rampfit_numba.kernels.lists import SPARE
from rampfit_numba.kernels.ols.arrays import BlockFitOpt
from rampfit_numba.kernels.ols.long_segments import WORKSPACE
from rampfit_numba.kernels.ols.pixels import CONSTANTS, GAIN, READNOISE
from rampfit_numba.kernels.ols.segments import empty_runs, empty_segments
from rampfit_numba.kernels.ols.settings import Settings
from rampfit_numba.kernels.vectors import WIDTH
from tests.naive.ols import pixels as naive_pixels
from tests.naive.ols import ramp_status as naive_status
from tests.naive.ols import segments as naive_segments
from tests.naive.ols import slopes as naive_slopes
from tests.twins import Example

if TYPE_CHECKING:
    from collections.abc import Callable

    Generator = np.random.Generator
    Arguments = dict[str, Any]

EXAMPLES: dict[str, Example] = {}
FLAGS = np.array([1, 2, 4, 4, 4, 5, 6, 32, 36, 128, 129, 16], np.uint8)


def example(name: str, **looked_at: Any) -> Callable[[Callable[[Generator], Arguments]], Any]:
    """Register a function that makes arguments of the kernel `name`."""

    def register(function: Callable[[Generator], Arguments]) -> Any:
        EXAMPLES[name] = Example(function, **looked_at)
        return function

    return register


def chance(rng: Generator, share: float = 0.5) -> bool:
    return bool(rng.random() < share)


# ------------------------------------------------------------------------------------------------------------ of blocks
def some_settings(rng: Generator) -> Settings:
    group, frame = rng.uniform(1, 5, 2)
    return Settings(
        group_time=float(group),
        frame_time=float(frame),
        one_group_time=float(1.5 * frame),
        readnoise_scale=float(np.sqrt(2 * rng.integers(1, 5))),
        pedestal_groups=float(rng.uniform(0.5, 2)),
        suppress_one_group=chance(rng),
        clear_first_jump=chance(rng),
    )


def some_flags(rng: Generator, shape: tuple[int, ...]) -> np.ndarray:
    share = rng.choice([0.05, 0.3, 0.6])
    flags = np.where(rng.random(shape) < share, rng.choice(FLAGS, shape), 0).astype(np.uint8)
    # Ramps that are lost whole, from some group on, or but for one group.
    flags[..., 0, 0], flags[..., 0, 1], flags[..., 1:, 2] = 2, 4, 1
    flags[..., :, 3] = 2
    flags[..., :, 4] = 1
    return flags


def some_samples(rng: Generator, shape: tuple[int, ...]) -> np.ndarray:
    steps = rng.poisson(10 ** rng.uniform(-1, 4, shape[-1]), shape)
    return np.asarray(steps.cumsum(axis=-2) + rng.normal(0, 9, shape), np.float32)


def some_ramps(rng: Generator, ngroups: int | None = None) -> Ramps:
    nints, ngroups = int(rng.integers(1, 4)), ngroups or int(rng.integers(1, 14))
    samples = some_samples(rng, (nints, ngroups, LANES))
    return Ramps(
        samples=samples,
        bits=samples.view(np.int32),
        flags=some_flags(rng, samples.shape),
        pixeldq=rng.choice(np.uint32([0, 0, 1, 1024]), LANES),
        readnoise=rng.choice(np.float32([3.0, 12.5, 0.0, -1.0, np.nan]), LANES, p=[0.5, 0.35, 0.05, 0.05, 0.05]),
        gain=rng.choice(np.float32([1.5, 4.0, 0.0, -1.0, np.nan]), LANES, p=[0.5, 0.35, 0.05, 0.05, 0.05]),
        dark=rng.normal(0, 1, LANES).astype(np.float32),
        zeroframe=rng.choice(np.float32([5.0, 0.0, np.nan, -3.0]), (nints, LANES if chance(rng) else 0)),
        suppressed=rng.random((nints, LANES if chance(rng) else 0)) < 0.3,
    )


def some_constants(rng: Generator, settings: Settings) -> np.ndarray:
    constants = np.zeros((CONSTANTS, LANES))
    constants[READNOISE] = rng.choice([0.1, 4.0, 20.0, -4.0], LANES, p=[0.3, 0.35, 0.3, 0.05])
    constants[GAIN] = rng.choice([0.5, 1.7, 6.0, -2.0, np.nan], LANES, p=[0.3, 0.3, 0.3, 0.05, 0.05])
    constants[READNOISE, np.isnan(constants[GAIN])] = np.nan
    rate = rng.choice([-1.0, 0.0, 0.5, 30.0, 4000.0], LANES)
    with np.errstate(all="ignore"):
        naive_pixels.find_constants(settings, rate, constants)
    return constants


def status_of(ramps: Ramps, settings: Settings, i: int) -> np.ndarray:
    """Return the status of the ramps of one integration."""
    status, bits = np.zeros(LANES, np.uint16), np.zeros((2, LANES), np.uint8)
    lanes = np.zeros(LANES + SPARE, np.uint32)
    naive_status.ramp_status(
        ramps.flags[i], ramps.zeroframe[i], ramps.suppressed[i], settings, status, *bits, lanes, None
    )
    return status


def segmented(rng: Generator, ngroups: int, *, tabulated: int = 512) -> Arguments:
    """Return what goes with the segments of a block of ramps."""
    settings = some_settings(rng)
    samples, flags = some_samples(rng, (ngroups, LANES)), some_flags(rng, (ngroups, LANES))
    runs = empty_runs(ngroups)
    # Long segments are where the tables end, here: with that workspace their code is compiled, however few groups.
    segments = empty_segments(ngroups)._replace(long_workspace=np.empty((3, max(ngroups, WORKSPACE))))
    naive_segments.find_runs(flags, settings.clear_first_jump, rng.random(LANES) < 0.1, runs)
    for array in segments:
        array[...] = 0
    return {
        "samples": samples,
        "settings": settings,
        "constants": some_constants(rng, settings),
        "weights": segment_weights(ngroups, tabulated),
        "runs": runs,
        "segments": segments,
        "number": naive_segments.list_segments(runs, segments),
    }


def fitted(rng: Generator, ngroups: int, **options: int) -> Arguments:
    """Return the same with the segments' fits."""
    made = segmented(rng, ngroups, **options)
    with np.errstate(all="ignore"):
        naive_slopes.fit_segments(*(made[n] for n in ("samples", "constants", "weights", "segments", "number")))
    return made


def some_fitopt(segments: int = 3, jumps: int = 3) -> BlockFitOpt:
    return BlockFitOpt(
        segments=np.full((7, segments, LANES), 7.0, np.float32),
        pedestal=np.zeros(LANES, np.float32),
        crmag=np.zeros((jumps, LANES), np.float32),
        nothing=np.zeros(LANES, np.float32),
        depth=np.zeros(2, np.int64),
        whole=np.ones(1, bool),
    )


def several(rng: Generator, most: int = 14) -> int:
    return int(rng.integers(2, most))


def some_lanes(rng: Generator) -> int:
    """Return the pixels of a block, which may have fewer than LANES."""
    return int(rng.integers(1, LANES // WIDTH + 1)) * WIDTH


def only(made: Arguments, *names: str) -> Arguments:
    return {name: made[name] for name in names}


# ---------------------------------------------------------------------------------------------------------- of vectors
def some_pattern(rng: Generator) -> np.ndarray:
    """Return the table of some groups of one or several reads."""
    times, now = [], 0.0
    for _ in range(int(rng.integers(5, 9))):
        reads = int(rng.choice([1, 1, 3]))
        times.append([now + float(k + 1) for k in range(reads)])
        now += reads + float(rng.integers(0, 2))
    return difference_table(read_pattern(times))


def some_differences(rng: Generator, share: float = 0.2) -> Arguments:
    """Return differences in DN/s with some hits; four of each lane are used: with fewer, gains can be equal."""
    table = some_pattern(rng)
    count = len(table) - 1
    rate = rng.uniform(1, 50, WIDTH)
    difference = rate + rng.normal(0, 6, (count, WIDTH))
    difference[rng.random(difference.shape) < share] += 300
    used = rng.random(difference.shape) >= share
    used[:4] = True
    return {
        "difference": difference.ravel(),
        "used": used.astype(float).ravel(),
        "table": table,
        "count": count,
        "photon": rate / 2,
        "read": rng.uniform(5, 60, WIDTH),
        "shift": rate,
        "work": np.zeros((WORK_ROWS, count * WIDTH)),
    }


FITTED = ("difference", "used", "table", "count", "photon", "read", "shift", "work")
VECTORS = ("photon", "read", "shift")
