"""Random arguments of kernels of the optional results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.algorithms.ols.weights import segment_weights
from rampfit_numba.kernels._jit import LANES
from rampfit_numba.kernels.lists import SPARE
from rampfit_numba.kernels.vectors import WIDTH
from tests.naive.ols import means as naive_means
from tests.naive.ols import slopes as naive_slopes
from tests.naive.ols import weighting as naive_weighting
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
    from rampfit_numba.kernels.ols.weighting import SegmentShape

    Generator = np.random.Generator
    Arguments = dict[str, Any]


def _ranked(made: Arguments, names: tuple[str, ...]) -> list[np.ndarray]:
    """Return what stands at the ranks of those segments that have one, segment by segment."""
    segments, number = made["segments"], made["number"]
    rank = segments.longer[:number][segments.length[:number] <= made["weights"].longest]
    return [rank, *(getattr(segments, name)[rank] for name in names)]


@example("ols.means.find_means", chosen=lambda made, _: _ranked(made, ("step",)))
def _(rng: Generator) -> Arguments:
    made = fitted(rng, several(rng, 30), tabulated=int(rng.choice([5, 512])))
    return only(made, "samples", "weights", "segments", "number")


def _order(made: Arguments, ranked: int) -> tuple[object, ...]:
    """Return what :func:`rank_segments` says, without what stands behind it."""
    segments, longest = made["segments"], made["longest"]
    known = segments.length[: made["number"]] <= longest
    at_ranks = (getattr(segments, name)[: ranked + WIDTH] for name in ("low", "high", "first_constant"))
    return ranked, segments.begins[1 : longest + 1], segments.longer[: made["number"]][known], *at_ranks


@example("ols.means.rank_segments", chosen=_order)
def _(rng: Generator) -> Arguments:
    made = fitted(rng, several(rng, 30), tabulated=int(rng.choice([5, 512])))
    return {"longest": int(made["weights"].longest)} | only(made, "segments", "number")


@example("ols.means.gather_means", chosen=lambda made, _: made["segments"].step[: made["ranked"]])
@example("ols.means.list_means", chosen=lambda made, _: made["segments"].step[: made["ranked"]])
def _(rng: Generator) -> Arguments:
    made = fitted(rng, several(rng, 30), tabulated=int(rng.choice([5, 512])))
    ranked = naive_means.rank_segments(int(made["weights"].longest), made["segments"], made["number"])
    return only(made, "samples", "weights", "segments") | {"ranked": ranked}


def some_shape(rng: Generator, length: int) -> SegmentShape:
    """Return a shape that a segment of so many groups could have."""
    total, spread = (float(x) for x in rng.uniform(0.1, 20, 2))
    return naive_weighting.shape_of_long(length, total, spread)


@example("ols.weighting.shape_in_tables")
def _(rng: Generator) -> Arguments:
    length = several(rng, 30)
    weights = segment_weights(length)
    column = int(rng.choice([-1, rng.integers(2, length + 1)]))
    return {"weights": weights, "snr_class": int(rng.integers(6)), "column": column}


@example("ols.weighting.shape_of_long")
def _(rng: Generator) -> Arguments:
    total, spread = (float(x) for x in rng.uniform(0.1, 2e3, 2))
    return {"length": several(rng, 600), "total": total, "spread": spread}


@example("ols.fitopt.intercept_noise")
def _(rng: Generator) -> Arguments:
    return {"shape": some_shape(rng, several(rng)), "centre": float(rng.uniform(0.1, 20))}


@example("ols.fitopt.store_segment")
def _(rng: Generator) -> Arguments:
    settings, length = some_settings(rng), several(rng)
    slope, mean = (float(x) for x in rng.uniform(0.1, 2e3, 2))
    return {
        "place": np.zeros((7, LANES), np.float32),
        "k": int(rng.integers(LANES)),
        "begin": int(rng.integers(0, 9)),
        "length": length,
        "slope": slope,
        "mean": mean,
        "shape": some_shape(rng, length),
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
    ignored=tuple(
        f"segments.{name}" for name in ("long_workspace", "low", "high", "longer", "step", "first_constant", "begins")
    ),
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
