"""Random arguments of kernels of the optional results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.algorithms.ols.weights import segment_weights
from rampfit_numba.kernels._jit import LANES
from tests.naive.ols import slopes as naive_slopes
from tests.twin_arguments.making import (
    chance,
    example,
    fitted,
    only,
    several,
    some_constants,
    some_fitopt,
    some_flags,
    some_samples,
    some_settings,
)

if TYPE_CHECKING:
    Generator = np.random.Generator
    Arguments = dict[str, Any]


@example(
    "ols.fitopt.find_means",
    chosen=lambda made, _: made["segments"].step[: made["number"]][
        made["segments"].length[: made["number"]] <= made["weights"].longest
    ],
)
def _(rng: Generator) -> Arguments:
    made = fitted(rng, several(rng, 30), tabulated=int(rng.choice([5, 512])))
    return only(made, "samples", "weights", "segments", "number")


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
        naive_slopes.fit_clean(samples, constants, weights, rng.random(LANES) < 0.8, classes, slope)
    return {
        "fitopt": some_fitopt(),
        "samples": samples,
        "classes": classes,
        "slope": slope,
        "settings": settings,
        "constants": constants,
        "weights": weights,
        "wanted": chance(rng, 0.8),
    }


@example(
    "ols.fitopt.store_segments",
    ignored=tuple(f"segments.{name}" for name in ("long_workspace", "low", "high", "longer", "step")),
)
def _(rng: Generator) -> Arguments:
    made = fitted(rng, several(rng, 30), tabulated=int(rng.choice([5, 512])))
    parts = only(made, "samples", "segments", "number", "settings", "constants", "weights")
    return {"fitopt": some_fitopt(int(rng.integers(1, 4)))} | parts | {"stored": np.zeros(LANES, np.int32)}


@example("ols.fitopt.store_single_group")
def _(rng: Generator) -> Arguments:
    settings = some_settings(rng)
    return {
        "fitopt": some_fitopt(),
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
        "samples": some_samples(rng, (3, LANES)),
        "settings": some_settings(rng),
        "flags": rng.choice(np.uint8([0, 1, 2, 6]), LANES),
        "slope": slope,
    }


@example("ols.fitopt.store_jumps", ignored=("listed",))
def _(rng: Generator) -> Arguments:
    ngroups = several(rng)
    return {
        "fitopt": some_fitopt(jumps=int(rng.integers(1, 4))),
        "samples": some_samples(rng, (ngroups, LANES)),
        "flags": some_flags(rng, (ngroups, LANES)),
        "status": rng.choice(np.uint16([0, 1 << 12]), LANES),
        "replaced_sample": rng.normal(50, 20, LANES).astype(np.float32),
        "replaced_flag": rng.choice(np.uint8([0, 2]), LANES),
        "stored": np.zeros(LANES, np.int32),
        "listed": np.zeros(LANES + SPARE, np.uint32),
    }
