"""Random arguments of kernels of OLS that fit and combine segments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.algorithms.ols.weights import segment_weights
from rampfit_numba.kernels._jit import LANES
from rampfit_numba.kernels.ols.long_segments import WORKSPACE
from rampfit_numba.kernels.ols.segments import empty_runs
from rampfit_numba.kernels.vectors import WIDTH
from tests.twin_arguments.making import (
    FLAGS,
    example,
    fitted,
    only,
    segmented,
    several,
    some_constants,
    some_ramps,
    some_samples,
    some_settings,
    status_of,
)

if TYPE_CHECKING:
    Generator = np.random.Generator
    Arguments = dict[str, Any]


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


@example("ols.segment_fit.relative_weight")
def _(rng: Generator) -> Arguments:
    poisson, read = (float(value) for value in 10 ** rng.uniform(-3, 3, 2))
    return {"poisson": poisson, "read": read, "n": float(several(rng))}


@example("ols.segment_fit.single_group_variances")
def _(rng: Generator) -> Arguments:
    time, poisson, read = (float(x) for x in rng.uniform(0.1, 9, 3))
    return {"time": time, "poisson": poisson, "read": read, "settings": some_settings(rng)}


@example(
    "ols.slopes.fit_segments",
    chosen=lambda made, _: [
        getattr(made["segments"], name)[: made["number"]]
        for name in ("lane", "last", "length", "row", "slope", "weight")
    ],
)
def _(rng: Generator) -> Arguments:
    made = segmented(rng, several(rng, 30), tabulated=int(rng.choice([5, 512])))
    return only(made, "samples", "constants", "weights", "segments", "number")


def _tabulated(made: Arguments, _: object) -> list[np.ndarray]:
    """Return the fits that the tables have an entry for."""
    segments, number = made["segments"], made["number"]
    known = segments.length[:number] <= made["weights"].longest
    return [getattr(segments, name)[:number][known] for name in ("row", "slope", "weight")]


@example("ols.slopes.fit_gathered", chosen=_tabulated)
@example("ols.slopes.fit_listed", chosen=_tabulated)
def _(rng: Generator) -> Arguments:
    made = segmented(rng, several(rng, 30), tabulated=int(rng.choice([5, 512])))
    return only(made, "samples", "constants", "weights", "segments", "number")


@example("ols.slopes.add_pairs", lanes=("total",), places=("end", "begin", "place", "left"), vectors=1)
def _(rng: Generator) -> Arguments:
    ngroups = several(rng, 30)
    first = rng.integers(0, ngroups, WIDTH)
    last = rng.integers(first, ngroups)
    lane = rng.integers(0, LANES, WIDTH)
    return {
        "flat": some_samples(rng, (ngroups, LANES)).ravel(),
        "factors": rng.normal(0, 1, 50),
        "end": (last * LANES + lane).astype(np.uint32),
        "begin": (first * LANES + lane).astype(np.uint32),
        "place": rng.integers(20, 50, WIDTH).astype(np.uint32),
        "left": np.maximum(last - first - 1, 0).astype(np.uint32),
        "total": rng.normal(0, 1e3, WIDTH),
    }


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


@example("ols.slopes.fit_clean")
def _(rng: Generator) -> Arguments:
    ngroups = several(rng, 30)
    return {
        "samples": some_samples(rng, (ngroups, LANES)),
        "constants": some_constants(rng, some_settings(rng)),
        "weights": segment_weights(ngroups),
        "unflagged": rng.random(LANES) < 0.8,
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
    "ols.long_segments.fit_long_segments",
    chosen=lambda made, _: made["segments"].slope[: made["number"]],
    ignored=("workspace",),
    rtol=1e-9,
)
def _(rng: Generator) -> Arguments:
    made = only(fitted(rng, several(rng, 40), tabulated=5), "samples", "weights", "segments", "number")
    return made | {"workspace": made["segments"].long_workspace}


@example("ols.combine.bounded")
def _(rng: Generator) -> Arguments:
    return {"variance": float(rng.choice([1.0, 1e6, 2e6, np.nan, -1.0])), "largest": 1e6}


@example("ols.combine.copy_values")
def _(rng: Generator) -> Arguments:
    return {"values": rng.normal(0, 1e3, LANES), "plane": np.zeros(LANES, np.float32)}


def sums_of(rng: Generator, rows: int) -> np.ndarray:
    sums = 10 ** rng.uniform(-8, 2, (rows, LANES))
    sums[0] = rng.normal(0, 1e3, LANES)
    sums[1, rng.random(LANES) < 0.2] = 0
    return sums


@example("ols.combine.combine_segments", chosen=lambda made, _: made["combined"][:, : made["number"]])
def _(rng: Generator) -> Arguments:
    masks = rng.random((2, LANES)) < 0.7
    return {
        "sums": sums_of(rng, 4),
        "fitted": masks[0],
        "invalid": ~masks[1],
        "number": int(rng.integers(0, LANES + 1)),
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
    chosen=lambda made, _: only(made, "read_variances", "rate"),
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
        "rate": np.ones((4, LANES), np.float32),
        "affected": np.zeros(LANES, bool),
        "left_out": np.zeros(LANES, bool),
        "total": np.zeros(LANES),
    }
