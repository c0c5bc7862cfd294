"""Random arguments of kernels of the likelihood fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.algorithms.likely.tables import difference_table
from rampfit_numba.algorithms.median_network import middle_network
from rampfit_numba.algorithms.read_pattern import read_pattern
from rampfit_numba.kernels._jit import LANES
from rampfit_numba.kernels.likely.flags import CARRIED, CARRIED_JOINT
from rampfit_numba.kernels.vectors import WIDTH
from tests.naive.likely import differences as naive_differences
from tests.twin_arguments.making import (
    FITTED,
    VECTORS,
    chance,
    example,
    only,
    several,
    some_differences,
    some_flags,
    some_lanes,
    some_pattern,
    some_ramps,
    some_samples,
)

if TYPE_CHECKING:
    Generator = np.random.Generator
    Arguments = dict[str, Any]


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
    lanes = some_lanes(rng)
    return {
        "flags": some_flags(rng, (4, lanes)),
        "jumps": np.where(rng.random((4, 2 * lanes)) < 0.1, 4, 0).astype(np.uint8),
        "pixeldq": rng.choice(np.uint32([0, 1, 1024]), lanes),
        "carried": rng.choice([CARRIED, CARRIED_JOINT]),
        "first": lanes,
        "result": np.zeros(2 * lanes, np.uint32),
    }


@example("likely.flags.combine_flags")
def _(rng: Generator) -> Arguments:
    lanes = some_lanes(rng)
    words = rng.choice(np.uint32([0, 1, 1, 5, 1024]), (2, 2 * lanes))
    return {"rateints_dq": words, "first": lanes, "lanes": lanes, "rate_dq": np.zeros(2 * lanes, np.uint32)}


@example("likely.flags.flag_unfitted_joint")
def _(rng: Generator) -> Arguments:
    lanes = some_lanes(rng)
    slope = rng.choice(np.float32([3.0, np.nan, np.inf]), 2 * lanes)
    return {
        "gain": rng.choice(np.float32([2.0, 0.0, -1.0, np.nan, np.inf]), lanes),
        "slope": slope,
        "first": lanes,
        "result": rng.choice(np.uint32([0, 4]), 2 * lanes),
    }


@example("likely.zeroframe.split_first_group")
def _(rng: Generator) -> Arguments:
    loaded = some_ramps(rng)
    nints, ngroups, _ = loaded.samples.shape
    samples = np.zeros((nints, ngroups + 1, LANES), np.float32)
    ramps = loaded._replace(samples=samples, bits=samples.view(np.int32), flags=np.zeros(samples.shape, np.uint8))
    return {"loaded": loaded, "nframes": np.float32(rng.integers(2, 6)), "joint": chance(rng), "ramps": ramps}
