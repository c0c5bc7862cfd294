"""Random arguments of kernels of OLS that take whole ramps: status, medians, segments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.algorithms.median_network import middle_network
from rampfit_numba.kernels._jit import LANES
from rampfit_numba.kernels.bits import BITS
from rampfit_numba.kernels.lists import SPARE
from rampfit_numba.kernels.ols.long_median import Selection, empty_selection
from rampfit_numba.kernels.ols.pixels import CONSTANTS
from rampfit_numba.kernels.ols.segments import empty_runs
from rampfit_numba.kernels.ols.short_median import LONGEST
from tests.twin_arguments.making import (
    chance,
    example,
    only,
    segmented,
    several,
    some_constants,
    some_flags,
    some_ramps,
    some_samples,
    some_settings,
    status_of,
)

if TYPE_CHECKING:
    Generator = np.random.Generator
    Arguments = dict[str, Any]


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
        "lanes": np.zeros(LANES + SPARE, np.uint32),
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


def middle_rows(values: np.ndarray) -> np.ndarray:
    return values[max(len(values) // 2 - 1, 0) : len(values) // 2 + 1].copy()


SELECTION = tuple(f"selection.{field}" for field in Selection._fields)


@example(
    "ols.long_median.select_middle",
    ignored=SELECTION,
    chosen=lambda made, _: middle_rows(made["values"]),
)
def _(rng: Generator) -> Arguments:
    length = several(rng, 300)
    values = np.round(rng.normal(0, 30, (length, LANES)), int(rng.integers(0, 3))).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.inf
    values[rng.random(values.shape) < 0.1] = -np.inf
    return {"values": values, "selection": empty_selection(length)}


def samples_with_steps(rng: Generator, length: int) -> np.ndarray:
    """Return samples whose steps are equal here and there, and infinite or NaN in some ramps."""
    samples = np.round(some_samples(rng, (length + 1, LANES)), int(rng.integers(0, 3)))
    strange = rng.random(LANES) < 0.2
    samples[int(rng.integers(length + 1)), strange] = rng.choice(np.float32([np.inf, -np.inf, np.nan]))
    return samples


def of_finite_ramps(made: Arguments, _: object) -> np.ndarray:
    return middle_rows(made["found"])[:, np.isfinite(made["samples"]).all(axis=0)]


@example("ols.short_median.middle_of_steps", chosen=of_finite_ramps)
def _(rng: Generator) -> Arguments:
    length = int(rng.integers(1, LONGEST + 1))
    return {"samples": samples_with_steps(rng, length), "found": np.zeros((length, LANES), np.float32)}


@example("ols.short_median.middle_of_usable_steps", chosen=of_finite_ramps)
def _(rng: Generator) -> Arguments:
    length = int(rng.integers(1, LONGEST + 1))
    words = rng.integers(0, 2**64, (2, max(LANES // BITS, 1), length), np.uint64, endpoint=False)
    return {
        "samples": samples_with_steps(rng, length),
        "usable": words[0] | words[1] if chance(rng) else words[0] & words[1],
        "found": np.zeros((length, LANES), np.float32),
    }


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


@example(
    "ols.median_rate.add_flagged_step",
    ignored=("differences", "work", "usable_bits", "filler", "sums", *SELECTION),
    rtol=1e-6,
)
def _(rng: Generator) -> Arguments:
    ramps, settings = some_ramps(rng), some_settings(rng)
    status, ngroups = status_of(ramps, settings, 0), ramps.samples.shape[1]
    flagged = np.arange(LANES, dtype=np.uint32) if ngroups == 1 else np.flatnonzero(status).astype(np.uint32)
    step, size = rng.normal(0, 5, (2, LANES))
    return {
        "samples": ramps.samples[0],
        "flags": ramps.flags[0],
        "status": status,
        "lanes": np.append(flagged, np.zeros(2, np.uint32)),
        "number": flagged.size,
        "zeroframe": ramps.zeroframe[0],
        "settings": settings,
        "network": middle_network(max(ngroups - 1, 1)),
        "differences": np.zeros((max(ngroups - 1, 1), LANES), np.float32),
        "step": step,
        "size": size,
        "work": np.zeros((3, LANES), np.uint8),
        "usable_bits": np.zeros((max(LANES // BITS, 1), max(ngroups - 1, 1)), np.uint64),
        "filler": np.zeros(LANES, np.float32),
        "sums": np.zeros((2, LANES)),
        "selection": empty_selection(ngroups - 1) if ngroups > 2 and chance(rng) else None,
    }


@example("ols.median_rate.find_cancelled")
def _(rng: Generator) -> Arguments:
    step, dark = rng.normal(0, 1, (2, LANES))
    size = 10 ** rng.uniform(-1, 3, LANES)
    size[0] = np.inf
    return {"step": step, "size": size, "dark": dark, "cancelled": np.zeros(LANES)}


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


@example("ols.segments.find_runs")
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
