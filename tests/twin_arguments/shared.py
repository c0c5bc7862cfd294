"""Random arguments of shared kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.algorithms.median_network import middle_network
from rampfit_numba.kernels._jit import LANES
from tests.twin_arguments.making import example, several, some_flags, some_samples

if TYPE_CHECKING:
    Generator = np.random.Generator
    Arguments = dict[str, Any]


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
