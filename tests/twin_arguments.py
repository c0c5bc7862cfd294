"""Random arguments of every kernel that has a twin with the same parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.algorithms.likely.tables import difference_table
from rampfit_numba.algorithms.median_network import middle_network
from rampfit_numba.algorithms.ols.weights import segment_weights
from rampfit_numba.algorithms.read_pattern import read_pattern
from rampfit_numba.kernels._jit import LANES
from rampfit_numba.kernels.blocks import Ramps
from rampfit_numba.kernels.likely.fit import WORK_ROWS
from rampfit_numba.kernels.likely.flags import CARRIED, CARRIED_JOINT
from rampfit_numba.kernels.ols.arrays import BlockFitOpt
from rampfit_numba.kernels.ols.long_median import Selection, empty_selection
from rampfit_numba.kernels.ols.long_segments import WORKSPACE
from rampfit_numba.kernels.ols.pixels import CONSTANTS, GAIN, READNOISE
from rampfit_numba.kernels.ols.segments import empty_runs, empty_segments
from rampfit_numba.kernels.ols.settings import Settings
from rampfit_numba.kernels.vectors import WIDTH
from tests.naive.likely import differences as naive_differences
from tests.naive.ols import pixels as naive_pixels
from tests.naive.ols import ramp_status as naive_status
from tests.naive.ols import segment_fit as naive_fits
from tests.naive.ols import segments as naive_segments
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
    lanes = np.zeros(LANES + 1, np.uint32)
    naive_status.ramp_status(
        ramps.flags[i], ramps.zeroframe[i], ramps.suppressed[i], settings, status, *bits, lanes, None
    )
    return status


def segmented(rng: Generator, ngroups: int, *, tabulated: int = 512) -> Arguments:
    """Return what goes with the segments of a block of ramps."""
    settings = some_settings(rng)
    samples, flags = some_samples(rng, (ngroups, LANES)), some_flags(rng, (ngroups, LANES))
    runs, segments = empty_runs(ngroups), empty_segments(ngroups)
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
        naive_fits.fit_segments(*(made[n] for n in ("samples", "constants", "weights", "segments", "number")))
    return made


def some_fitopt(segments: int = 3, jumps: int = 3) -> BlockFitOpt:
    return BlockFitOpt(
        segments=np.full((7, 1, segments, LANES), 7.0, np.float32),
        pedestal=np.zeros((1, LANES), np.float32),
        crmag=np.zeros((1, jumps, LANES), np.float32),
        depth=np.zeros((2, 1), np.int64),
    )


def several(rng: Generator, most: int = 14) -> int:
    return int(rng.integers(2, most))


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


# -------------------------------------------------------------------------------------------------- shared kernels
@example("samples.flag_non_finite")
def _(rng: Generator) -> Arguments:
    samples = some_samples(rng, (5, 2 * LANES))
    samples[rng.random(samples.shape) < 0.05] = rng.choice([np.nan, np.inf, -np.inf])
    return {"bits": samples.view(np.int32), "flags": some_flags(rng, samples.shape), "first": LANES}


@example("rates.flag_unfitted")
def _(rng: Generator) -> Arguments:
    slope = rng.choice(np.float32([1.5, np.nan, np.inf, -np.inf, 0.0]), LANES)
    return {"slope": slope, "flags": rng.choice(np.uint32([0, 1, 4]), LANES)}


@example(
    "selection.bring_to_middle",
    chosen=lambda made, _: made["values"][(len(made["values"]) - 1) // 2 : len(made["values"]) // 2 + 1].copy(),
)
def _(rng: Generator) -> Arguments:
    length = several(rng, 40)
    return {"values": np.round(rng.normal(0, 3, (length, LANES)), 1), "network": middle_network(length)}


@example("selection.middle_two", ignored=("values",))
def _(rng: Generator) -> Arguments:
    values = np.round(rng.normal(0, 3, several(rng, 40)), 1)
    return {"values": values, "count": int(rng.integers(1, values.size + 1))}


# -------------------------------------------------------------------------------------------------------------- of OLS
@example("ols.ramp_status.gather_flags", ignored=("sums",))
def _(rng: Generator) -> Arguments:
    ramps = some_ramps(rng)
    samples, flags = ramps.samples[0], ramps.flags[0] * chance(rng)
    if chance(rng):
        samples[rng.random(samples.shape) < 0.05] = np.nan
    sums = np.zeros(LANES, np.float32)
    return {
        "samples": samples,
        "bits": samples.view(np.int32),
        "flags": flags.astype(np.uint8),
        "found": np.zeros(LANES, np.uint8),
        "sums": sums,
    }


@example(
    "ols.ramp_status.ramp_status",
    chosen=lambda made, number: (
        only(made, "flags", "status", "added", "partly_saturated"),
        made["lanes"][:number],
        number,
    ),
)
def _(rng: Generator) -> Arguments:
    ramps = some_ramps(rng)
    return {
        "flags": ramps.flags[0],
        "zeroframe": ramps.zeroframe[0],
        "suppressed": ramps.suppressed[0],
        "settings": some_settings(rng),
        "status": np.zeros(LANES, np.uint16),
        "added": np.zeros(LANES, np.uint8),
        "partly_saturated": np.zeros(LANES, np.uint8),
        "lanes": np.zeros(LANES + 1, np.uint32),
        "work": np.zeros((5, LANES), np.uint8),
    }


@example("ols.pixels.load_pixels")
def _(rng: Generator) -> Arguments:
    constants, base = np.zeros((CONSTANTS, LANES)), np.zeros(LANES, np.uint32)
    return {"ramps": some_ramps(rng), "settings": some_settings(rng), "constants": constants, "base": base}


@example("ols.pixels.find_constants")
def _(rng: Generator) -> Arguments:
    settings = some_settings(rng)
    rate = rng.choice([-1.0, 0.0, 0.5, 3e3, np.nan], LANES)
    return {"settings": settings, "rate": rate, "constants": some_constants(rng, settings)}


SELECTION = tuple(f"selection.{field}" for field in Selection._fields)


@example(
    "ols.long_median.select_middle",
    ignored=SELECTION,
    chosen=lambda made, _: made["values"][len(made["values"]) // 2 - 1 : len(made["values"]) // 2 + 1].copy(),
)
def _(rng: Generator) -> Arguments:
    length = several(rng, 300)
    values = np.round(rng.normal(0, 30, (length, LANES)), int(rng.integers(0, 3))).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.inf
    values[rng.random(values.shape) < 0.1] = -np.inf
    return {"values": values, "selection": empty_selection(length)}


@example("ols.median_rate.add_clean_step", ignored=("differences", *SELECTION), rtol=1e-6)
def _(rng: Generator) -> Arguments:
    ngroups = several(rng) + 1
    step, size = rng.normal(0, 5, (2, LANES))
    return {
        "samples": some_samples(rng, (ngroups, LANES)),
        "network": middle_network(ngroups - 1),
        "differences": np.zeros((ngroups - 1, LANES), np.float32),
        "step": step,
        "size": size,
        "selection": empty_selection(ngroups - 1) if chance(rng) else None,
    }


@example("ols.median_rate.add_flagged_step", ignored=("differences", "work", "filler", "sums", *SELECTION), rtol=1e-6)
def _(rng: Generator) -> Arguments:
    ramps, settings = some_ramps(rng), some_settings(rng)
    status, ngroups = status_of(ramps, settings, 0), ramps.samples.shape[1]
    step, size = rng.normal(0, 5, (2, LANES))
    return {
        "samples": ramps.samples[0],
        "flags": ramps.flags[0],
        "status": status,
        "zeroframe": ramps.zeroframe[0],
        "settings": settings,
        "network": middle_network(max(ngroups - 1, 1)),
        "differences": np.zeros((max(ngroups - 1, 1), LANES), np.float32),
        "step": step,
        "size": size,
        "work": np.zeros((3, LANES), np.uint8),
        "filler": np.zeros(LANES, np.float32),
        "sums": np.zeros((2, LANES)),
        "selection": empty_selection(ngroups - 1) if ngroups > 2 and chance(rng) else None,
    }


@example("ols.median_rate.find_cancelled")
def _(rng: Generator) -> Arguments:
    step, dark = rng.normal(0, 1, (2, LANES))
    size = 10 ** rng.uniform(-1, 3, LANES)
    size[0] = np.inf
    return {"step": step, "size": size, "dark": dark, "cancelled": np.zeros(LANES, bool)}


@example("ols.median_rate.is_exact")
def _(rng: Generator) -> Arguments:
    ramps = some_ramps(rng, several(rng))
    ramps.samples[...] = np.round(ramps.samples, int(rng.integers(0, 4)))
    step, size = float(rng.choice([1e-9, 1.0])), float(rng.choice([3.0, 30.0, np.inf]))
    return {"ramps": ramps, "lane": int(rng.integers(LANES)), "step": step, "size": size, "dark": 0.5}


@example("ols.median_rate.exact_rate", ignored=("differences",))
def _(rng: Generator) -> Arguments:
    ramps, settings, lane = some_ramps(rng), some_settings(rng), int(rng.integers(8))
    if not ramps.zeroframe.size:
        ramps = ramps._replace(zeroframe=np.zeros((len(ramps.samples), LANES), np.float32))
    status = np.array([status_of(ramps, settings, i)[lane] for i in range(len(ramps.samples))])
    differences = np.zeros(ramps.samples.shape[1])
    return {"ramps": ramps, "lane": lane, "status": status, "settings": settings, "differences": differences}


@example("ols.segments.find_runs", ignored=("runs.nsegments", "runs.sum_steps", "runs.sum_cubes"))
def _(rng: Generator) -> Arguments:
    ngroups = int(rng.integers(1, 14))
    flags, runs = some_flags(rng, (ngroups, LANES)), empty_runs(ngroups)
    return {"flags": flags, "clear_jump": chance(rng), "left_out": rng.random(LANES) < 0.2, "runs": runs}


@example("ols.segments.list_segments")
def _(rng: Generator) -> Arguments:
    made = segmented(rng, several(rng, 30))
    for array in made["segments"]:
        array[...] = 0
    return only(made, "runs", "segments")


@example("ols.segments.count_segments")
def _(rng: Generator) -> Arguments:
    runs = segmented(rng, several(rng))["runs"]
    return {"runs": runs, "several": np.zeros(LANES, np.int32), "single": np.zeros(LANES, np.int32)}


@example("ols.segments.find_single_group")
def _(rng: Generator) -> Arguments:
    return {"runs": segmented(rng, several(rng))["runs"], "k": int(rng.integers(LANES))}


@example("ols.segment_fit.signal_class")
def _(rng: Generator) -> Arguments:
    step, noise, gain = (
        rng.choice([-1, 0, 1, 40.0, 400.0, 1e3, 5e3, 1e5, np.nan]),
        rng.uniform(0, 40),
        rng.uniform(1, 4),
    )
    return {"step": float(step), "readnoise": float(noise), "gain": float(gain)}


@example("ols.segment_fit.single_group_time")
def _(rng: Generator) -> Arguments:
    return {"status": np.uint16(rng.choice([0, 1 << 11, 1 << 12, 4])), "settings": some_settings(rng)}


@example("ols.segment_fit.segment_variances")
def _(rng: Generator) -> Arguments:
    return {
        "poisson": float(rng.uniform(-1, 9)),
        "read": float(rng.uniform(0, 9)),
        "number": int(rng.integers(2, 5000)),
    }


@example("ols.segment_fit.single_group_variances")
def _(rng: Generator) -> Arguments:
    time, poisson, read = (float(x) for x in rng.uniform(0.1, 9, 3))
    return {"time": time, "poisson": poisson, "read": read, "settings": some_settings(rng)}


@example(
    "ols.segment_fit.fit_segments",
    chosen=lambda made, _: [
        getattr(made["segments"], name)[: made["number"]] for name in ("lane", "last", "length", "row", "slope")
    ],
)
def _(rng: Generator) -> Arguments:
    made = segmented(rng, several(rng, 30), tabulated=int(rng.choice([5, 512])))
    return only(made, "samples", "constants", "weights", "segments", "number")


@example(
    "ols.segment_fit.sum_segments",
    chosen=lambda made, _: made["sums"][:, made["runs"].nsegments > 0],  # the others are not looked at
)
def _(rng: Generator) -> Arguments:
    made = fitted(rng, several(rng))
    return only(made, "segments", "number", "runs", "constants") | {"sums": np.zeros((4, LANES))}


@example("ols.segment_fit.sum_single_group")
def _(rng: Generator) -> Arguments:
    settings = some_settings(rng)
    return {
        "sample": np.float32(rng.normal(50, 20)),
        "k": int(rng.integers(LANES)),
        "status": np.uint16(rng.choice([0, 1 << 11, 1 << 12])),
        "settings": settings,
        "constants": some_constants(rng, settings),
        "sums": np.zeros((4, LANES)),
    }


@example("ols.segment_fit.fit_clean")
def _(rng: Generator) -> Arguments:
    ngroups = several(rng, 30)
    return {
        "samples": some_samples(rng, (ngroups, LANES)),
        "constants": some_constants(rng, some_settings(rng)),
        "weights": segment_weights(ngroups),
        "classes": np.zeros(LANES),
        "slope": np.zeros(LANES),
    }


@example("ols.segment_fit.sum_clean")
def _(rng: Generator) -> Arguments:
    constants, slope = some_constants(rng, some_settings(rng)), rng.normal(0, 1e4, LANES)
    return {"slope": slope, "ngroups": several(rng), "constants": constants, "sums": np.zeros((4, LANES))}


@example("ols.segment_fit.weigh_clean")
def _(rng: Generator) -> Arguments:
    constants = some_constants(rng, some_settings(rng))
    return {"ngroups": several(rng), "constants": constants, "sums": np.zeros((4, LANES))}


@example("ols.long_segments.sum_pairwise", ignored=("workspace",), rtol=1e-15)
def _(rng: Generator) -> Arguments:
    values = rng.normal(0, 1, int(rng.integers(1, 5000)))
    return {"values": values, "number": values.size, "workspace": np.zeros(WORKSPACE)}


@example("ols.long_segments.weigh_long", ignored=("workspace",))
def _(rng: Generator) -> Arguments:
    length = several(rng, 300)
    weights, terms = np.zeros((2, length))
    workspace = np.zeros(WORKSPACE)
    return {
        "snr_class": int(rng.integers(6)),
        "length": length,
        "weights": weights,
        "terms": terms,
        "workspace": workspace,
    }


def of_long(rng: Generator) -> Arguments:
    ngroups = several(rng, 300)
    begin = int(rng.integers(0, ngroups - 1))
    return {
        "samples": some_samples(rng, (ngroups, LANES)),
        "lane": int(rng.integers(LANES)),
        "begin": begin,
        "length": int(rng.integers(2, ngroups - begin + 1)),
        "snr_class": int(rng.integers(6)),
        "workspace": np.zeros((3, max(ngroups, WORKSPACE))),
    }


example("ols.long_segments.fit_long", ignored=("workspace",))(of_long)
example("ols.long_segments.describe_long", ignored=("workspace",))(of_long)


@example(
    "ols.long_segments.fit_long_segments", chosen=lambda made, _: made["segments"].slope[: made["number"]], rtol=1e-9
)
def _(rng: Generator) -> Arguments:
    return only(fitted(rng, several(rng, 40), tabulated=5), "samples", "weights", "segments", "number")


@example("ols.combine.bounded")
def _(rng: Generator) -> Arguments:
    return {"variance": float(rng.choice([1.0, 1e6, 2e6, np.nan, -1.0])), "largest": 1e6}


@example("ols.combine.store")
def _(rng: Generator) -> Arguments:
    return {"values": rng.normal(0, 1e3, LANES), "plane": np.zeros(LANES, np.float32)}


def sums_of(rng: Generator, rows: int) -> np.ndarray:
    sums = 10 ** rng.uniform(-8, 2, (rows, LANES))
    sums[0] = rng.normal(0, 1e3, LANES)
    sums[1, rng.random(LANES) < 0.2] = 0
    return sums


@example("ols.combine.combine_segments")
def _(rng: Generator) -> Arguments:
    masks = rng.random((2, LANES)) < 0.7
    return {
        "sums": sums_of(rng, 4),
        "fitted": masks[0],
        "invalid": ~masks[1],
        "largest": 1e6,
        "combined": np.zeros((4, LANES)),
    }


@example("ols.combine.combine_clean", chosen=lambda made, _: made["combined"][1:])
def _(rng: Generator) -> Arguments:
    constants, invalid = some_constants(rng, some_settings(rng)), rng.random(LANES) < 0.2
    largest = float(rng.choice([0.1, 1e6]))
    combined = np.zeros((4, LANES))
    return {
        "ngroups": several(rng),
        "constants": constants,
        "invalid": invalid,
        "largest": largest,
        "combined": combined,
    }


@example("ols.combine.combine_integrations")
def _(rng: Generator) -> Arguments:
    totals = sums_of(rng, 3)
    totals[2, rng.random(LANES) < 0.2] = 0
    flags = rng.choice(np.uint32([0, 0, 0, 1, 2, 4]), LANES)
    return {"totals": totals, "flags": flags, "largest": 1e6, "combined": np.zeros((4, LANES))}


@example("ols.charge_loss.has_charge_loss")
def _(rng: Generator) -> Arguments:
    status = np.zeros((2, LANES), np.uint16)
    status[1, 3] = rng.choice([0, 4, 128, 129])
    return {"status": status}


@example(
    "ols.charge_loss.recompute_read_variances",
    chosen=lambda made, _: only(made, "read_variances", "rateints", "rate"),
)
def _(rng: Generator) -> Arguments:
    ramps, settings = some_ramps(rng), some_settings(rng)
    nints, ngroups, _ = ramps.samples.shape
    return {
        "flags": ramps.flags,
        "settings": settings,
        "status": np.array([status_of(ramps, settings, i) for i in range(nints)]),
        "replaced_flag": rng.choice(FLAGS, (nints, LANES)),
        "constants": some_constants(rng, settings),
        "read_variances": rng.choice([0.0, 0.5, 2.0], (nints, LANES)),
        "runs": empty_runs(ngroups),
        "rateints": np.ones((4, nints, LANES), np.float32),
        "rate": np.ones((4, LANES), np.float32),
        "affected": np.zeros(LANES, bool),
        "left_out": np.zeros(LANES, bool),
        "total": np.zeros(LANES),
    }


@example("ols.fitopt.weighted_mean")
def _(rng: Generator) -> Arguments:
    ngroups = several(rng)
    length = int(rng.integers(2, ngroups + 1))
    return {
        "samples": some_samples(rng, (ngroups, LANES)),
        "lane": int(rng.integers(LANES)),
        "begin": int(rng.integers(0, ngroups - length + 1)),
        "length": length,
        "weights": segment_weights(ngroups),
        "start": length * (length - 1) // 2,
    }


@example("ols.fitopt.uncertainties")
def _(rng: Generator) -> Arguments:
    total, spread, centre = (float(x) for x in rng.uniform(0.1, 20, 3))
    return {"total": total, "spread_of": spread, "centre": centre}


@example("ols.fitopt.store_segment")
def _(rng: Generator) -> Arguments:
    settings = some_settings(rng)
    slope, mean, total, spread = (float(x) for x in rng.uniform(0.1, 2e3, 4))
    return {
        "place": np.zeros((7, LANES), np.float32),
        "k": int(rng.integers(LANES)),
        "begin": int(rng.integers(0, 9)),
        "length": several(rng),
        "slope": slope,
        "mean": mean,
        "total": total,
        "spread_of": spread,
        "settings": settings,
        "constants": some_constants(rng, settings),
    }


@example("ols.fitopt.store_clean")
def _(rng: Generator) -> Arguments:
    ngroups, settings = several(rng), some_settings(rng)
    samples, constants = some_samples(rng, (ngroups, LANES)), some_constants(rng, settings)
    weights, (classes, slope) = segment_weights(ngroups), np.zeros((2, LANES))
    with np.errstate(all="ignore"):
        naive_fits.fit_clean(samples, constants, weights, classes, slope)
    return {
        "fitopt": some_fitopt(),
        "i": 0,
        "samples": samples,
        "classes": classes,
        "slope": slope,
        "settings": settings,
        "constants": constants,
        "weights": weights,
        "flagged": np.array([1, 3, 5], np.uint32),
        "nflagged": 2,
        "wanted": chance(rng, 0.8),
    }


@example("ols.fitopt.store_segments", ignored=("segments.long_workspace",))
def _(rng: Generator) -> Arguments:
    made = fitted(rng, several(rng, 30), tabulated=int(rng.choice([5, 512])))
    parts = only(made, "samples", "segments", "number", "settings", "constants", "weights")
    return {"fitopt": some_fitopt(int(rng.integers(1, 4))), "i": 0} | parts | {"stored": np.zeros(LANES, np.int32)}


@example("ols.fitopt.store_single_group")
def _(rng: Generator) -> Arguments:
    settings = some_settings(rng)
    return {
        "fitopt": some_fitopt(),
        "i": 0,
        "sample": np.float32(rng.normal(50, 20)),
        "k": int(rng.integers(LANES)),
        "status": np.uint16(rng.choice([0, 1 << 11, 1 << 12])),
        "settings": settings,
        "constants": some_constants(rng, settings),
    }


@example("ols.fitopt.store_pedestals")
def _(rng: Generator) -> Arguments:
    slope = rng.normal(5, 3, LANES)
    slope[rng.random(LANES) < 0.2] = np.nan
    return {
        "fitopt": some_fitopt(),
        "i": 0,
        "samples": some_samples(rng, (3, LANES)),
        "settings": some_settings(rng),
        "flags": rng.choice(np.uint32([0, 1, 2, 6]), LANES),
        "slope": slope,
    }


@example("ols.fitopt.store_jumps")
def _(rng: Generator) -> Arguments:
    ngroups = several(rng)
    return {
        "fitopt": some_fitopt(jumps=int(rng.integers(1, 4))),
        "i": 0,
        "samples": some_samples(rng, (ngroups, LANES)),
        "flags": some_flags(rng, (ngroups, LANES)),
        "k": int(rng.integers(LANES)),
        "status": np.uint16(rng.choice([0, 1 << 12])),
        "replaced_sample": np.float32(rng.normal(50, 20)),
        "replaced_flag": np.uint8(rng.choice([0, 2])),
    }


# ----------------------------------------------------------------------------------------------- of the likelihood fits
@example("likely.fit.degrees_of_freedom", lanes=("used", "variance"), vectors=1)
def _(rng: Generator) -> Arguments:
    variance = np.where(rng.random(WIDTH) < 0.3, np.nan, 1.0)
    return {"used": rng.integers(0, 5, WIDTH).astype(float), "variance": variance}


@example("likely.fit.number_used", vectors=1)
def _(rng: Generator) -> Arguments:
    return only(some_differences(rng), "used", "count")


@example("likely.search.choose_omission", lanes=("gain_one", "gain_two", "check"), vectors=1)
def _(rng: Generator) -> Arguments:
    gains = np.round(rng.uniform(0, 40, (2, WIDTH)))
    check = np.where(rng.random(WIDTH) < 0.2, np.nan, 1.0)
    return {"gain_one": gains[0], "gain_two": gains[1], "check": check, "limits": (20.0, 24.0)}


@example("likely.fit.eliminate", ignored=("work",), lanes=VECTORS, vectors=3)
def _(rng: Generator) -> Arguments:
    return only(some_differences(rng), *FITTED)


@example("likely.fit.spread_of_weights", lanes=("photon", "read"), vectors=2)
def _(rng: Generator) -> Arguments:
    made = some_differences(rng)
    naive_fill(made)
    return only(made, "table", "count", "photon", "read", "work")


def naive_fill(made: Arguments) -> None:
    """Fill `work` with 1 / pivots and ones after the elimination, from Cholesky's factors of each run of used ones."""
    from tests.naive.likely.fit import covariances

    for k, covariance in enumerate(covariances(made["table"], made["count"], made["photon"], made["read"])):
        here = made["used"][k::WIDTH] > 0
        factor = np.linalg.cholesky(covariance[np.ix_(here, here)])
        scale = np.diag(factor)
        made["work"][0, k::WIDTH][here] = 1 / scale**2
        made["work"][1, k::WIDTH][here] = np.linalg.solve(factor / scale, np.ones(int(here.sum())))


@example("likely.fit.refuse_indefinite", lanes=("photon", "read"), vectors=1)
def _(rng: Generator) -> Arguments:
    times = [[float(t)] for t in range(1, int(rng.integers(4, 26)))]
    table = difference_table(read_pattern(times))
    photon, read = rng.uniform(-6, 3, WIDTH), rng.uniform(0.5, 6, WIDTH)
    return {"photon": photon, "read": read, "table": table, "count": len(table) - 1}


# Of two pairs that share their only used difference, either may be found: the rate without it tells.
@example("likely.search.search_round", ignored=("work", "1.5", "1.7"), lanes=(*VECTORS, "left"), vectors=11, rtol=1e-7)
def _(rng: Generator) -> Arguments:
    made = some_differences(rng)
    left = made["used"].reshape(-1, WIDTH).sum(axis=0)
    return only(made, *FITTED) | {"limits": (20.25, 23.8), "left": left, "positive": chance(rng)}


@example("likely.differences.load_differences")
def _(rng: Generator) -> Arguments:
    table = some_pattern(rng)
    samples = some_samples(rng, (len(table), 3 * WIDTH))
    samples[rng.random(samples.shape) < 0.05] = np.nan
    difference, used = np.zeros((2, (len(table) - 1) * WIDTH))
    return {
        "samples": samples,
        "flags": some_flags(rng, samples.shape),
        "first": WIDTH,
        "table": table,
        "joint": chance(rng),
        "difference": difference,
        "used": used,
    }


@example("likely.differences.list_finite", vectors=1)
def _(rng: Generator) -> Arguments:
    count = several(rng)
    difference = np.where(rng.random(count * WIDTH) < 0.3, np.inf, rng.normal(0, 9, count * WIDTH))
    return {"difference": difference, "count": count, "values": np.zeros(count * WIDTH)}


@example("likely.differences.list_used", lanes=("filler",), vectors=1)
def _(rng: Generator) -> Arguments:
    count, place = several(rng), int(rng.integers(0, 4))
    difference = np.where(rng.random(count * WIDTH) < 0.2, np.inf, rng.normal(0, 9, count * WIDTH))
    return {
        "difference": difference,
        "used": (np.isfinite(difference) & (rng.random(difference.shape) < 0.7)).astype(float),
        "count": count,
        "values": np.zeros((count + place) * WIDTH),
        "place": place,
        "filler": rng.choice([np.inf, -np.inf], WIDTH),
    }


@example("likely.differences.middle", ignored=("values",), lanes=("filler",), vectors=1)
def _(rng: Generator) -> Arguments:
    count = several(rng, 30)
    difference = np.where(rng.random(count * WIDTH) < 0.3, np.inf, np.round(rng.normal(0, 9, count * WIDTH), 1))
    values = np.zeros(count * WIDTH)
    filler = naive_differences.list_finite(difference, count, values)
    return {"values": values, "count": count, "network": middle_network(count), "filler": filler}


@example("likely.flags.integration_flags")
def _(rng: Generator) -> Arguments:
    return {
        "flags": some_flags(rng, (4, LANES)),
        "jumps": np.where(rng.random((4, 2 * LANES)) < 0.1, 4, 0).astype(np.uint8),
        "pixeldq": rng.choice(np.uint32([0, 1, 1024]), LANES),
        "carried": rng.choice([CARRIED, CARRIED_JOINT]),
        "first": LANES,
        "result": np.zeros(2 * LANES, np.uint32),
    }


@example("likely.flags.combine_flags")
def _(rng: Generator) -> Arguments:
    words = rng.choice(np.uint32([0, 1, 1, 5, 1024]), (2, 2 * LANES))
    return {"rateints_dq": words, "first": LANES, "rate_dq": np.zeros(2 * LANES, np.uint32)}


@example("likely.zeroframe.split_first_group")
def _(rng: Generator) -> Arguments:
    loaded = some_ramps(rng)
    nints, ngroups, _ = loaded.samples.shape
    samples = np.zeros((nints, ngroups + 1, LANES), np.float32)
    ramps = loaded._replace(samples=samples, bits=samples.view(np.int32), flags=np.zeros(samples.shape, np.uint8))
    return {"loaded": loaded, "nframes": np.float32(rng.integers(2, 6)), "joint": chance(rng), "ramps": ramps}
