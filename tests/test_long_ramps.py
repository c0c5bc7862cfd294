"""Ramps of many groups: memory and time grow with their number, not with its square, and the numbers stay."""

from __future__ import annotations

import tracemalloc
from functools import partial

import numpy as np
import pytest

from rampfit_numba import Exposure, dq, fit_ramps
from rampfit_numba.algorithms.median_network import middle_network
from rampfit_numba.algorithms.ols import rows
from rampfit_numba.algorithms.ols.weights import MOST_TABULATED, segment_weights
from rampfit_numba.kernels._jit import LANES
from rampfit_numba.kernels.ols import long_median, long_segments
from rampfit_numba.kernels.ols.long_median import empty_selection
from rampfit_numba.kernels.ols.segments import MOST_IN_BYTES
from rampfit_numba.kernels.ols.weighting import POWERS
from tests.compiled import from_python
from tests.sizes import fewer

weigh_long = from_python(long_segments.weigh_long)
raise_to_power = from_python(long_segments._raise_to_power)
select_middle = from_python(long_median.select_middle)
sum_pairwise = from_python(long_segments.sum_pairwise)


def long_exposure(ngroups, ncols, *, hits):
    """Ramps with `hits` jumps each on average, of faint to bright pixels."""
    rng = np.random.default_rng(ngroups)
    shape = (1, ngroups, 1, ncols)
    rates = 3.0 * 10 ** rng.uniform(-1, 3, ncols)
    data = np.cumsum(rng.poisson(rates, shape), axis=1, dtype=np.float64) + rng.normal(0, 10, shape)
    flags = np.where(rng.random(shape) < hits / ngroups, dq.JUMP_DET, 0).astype(np.uint8)
    return Exposure(data.astype(np.float32), flags, 1.5)


@pytest.mark.kernel
@pytest.mark.parametrize("number", [1, 2, 7, 8, 9, 127, 128, 129, 136, 300, 1023, 4097, 32_767])
def test_sums_are_those_of_numpy(number):
    """Added in the same order, to the last bit."""
    values = np.random.default_rng(number).random(number) * 10.0 ** np.arange(number)[::-1].clip(0, 30)
    workspace = np.empty(long_segments.WORKSPACE)
    assert sum_pairwise(values=values, number=number, workspace=workspace) == values[None].sum(axis=1)[0]


@pytest.mark.kernel
@pytest.mark.parametrize("length", [3, 4, 5, 8, 17, 130, 255, fewer(511, 31), fewer(512, 32)])
def test_weights_are_those_of_the_tables(length):
    tables, found = segment_weights(length), np.empty(length)
    for snr_class in range(len(POWERS)):
        total, spread = weigh_long(
            snr_class=snr_class,
            length=length,
            weights=found,
            terms=np.empty(length),
            workspace=np.empty(long_segments.WORKSPACE),
        )
        assert (1 / total, spread) == (tables.per_total[snr_class, -1], tables.spread[snr_class, -1])
        assert np.sqrt(1 / spread) == tables.slope_noise[snr_class, -1]
        entries = tables.shares.size // len(POWERS)
        shares = tables.shares[(snr_class + 1) * entries - length : (snr_class + 1) * entries]
        np.testing.assert_array_equal(found / total, shares)


@pytest.mark.parametrize("save_opt", [False, True])
@pytest.mark.parametrize("ngroups", [MOST_IN_BYTES + 1, 260, 700])
def test_segments_without_an_entry_are_fitted_as_those_with_one(ngroups, save_opt, monkeypatch):
    exposure = long_exposure(ngroups, fewer(500, 20), hits=3)
    fits = []
    for most in (ngroups, 5):
        monkeypatch.setattr(rows, "segment_weights", partial(segment_weights, most_tabulated=most))
        fits.append(fit_ramps(exposure, 12.0, 2.0, save_opt=save_opt))
    for kind in ("rate", "rateints", "fitopt") if save_opt else ("rate", "rateints"):
        for name, plane in vars(getattr(fits[0], kind)).items():
            np.testing.assert_array_equal(getattr(getattr(fits[1], kind), name), plane, err_msg=f"{kind} {name}")


def test_all_segments_of_shorter_ramps_have_an_entry():
    """The code for those that have none is compiled with that for longer ramps only."""
    assert segment_weights(MOST_IN_BYTES).longest == MOST_IN_BYTES


def test_tables_without_an_entry_for_a_shorter_ramp_are_refused(monkeypatch):
    fit_ramps(long_exposure(20, 4, hits=2), 12.0, 2.0)
    monkeypatch.setattr(rows, "segment_weights", partial(segment_weights, most_tabulated=5))
    with pytest.raises(ValueError, match="tables of weights: expected all lengths up to 20 groups; got 5"):
        fit_ramps(long_exposure(20, 4, hits=2), 12.0, 2.0)


def test_tables_are_small():
    for ngroups in (1000, 8000, 32_767):
        tracemalloc.start()
        tables = segment_weights.__wrapped__(ngroups)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        size = sum(table.nbytes for table in tables[:-1])
        assert size < 16 * len(POWERS) * (MOST_TABULATED * (MOST_TABULATED + 1) // 2 + 4 * ngroups)
        assert peak < 3 * size


def columns_of(kind, length):
    """Columns of values, of a kind that a bracket has to cope with."""
    rng = np.random.default_rng(length)
    values = rng.normal(100, 30, (length, LANES))
    if kind == "around zero":
        values -= 100
    elif kind == "heavy tails":
        values *= 10.0 ** rng.uniform(-30, 30, values.shape)
    elif kind == "ties":
        values = np.round(values / 30)
    elif kind == "alike":
        values[:] = 7.0
    elif kind == "zeros of both signs":
        values = np.where(rng.random(values.shape) < 0.5, 0.0, -0.0)
    elif kind == "fillers":
        fillers = np.where(np.arange(length)[:, None] % 2, np.inf, -np.inf)
        values = np.where(rng.random(values.shape) < np.linspace(0, 1, LANES), fillers, values)
    elif kind == "infinite":
        values = np.where(rng.random(values.shape) < 0.7, np.inf, values)
    elif kind == "outliers where the bracket begins":
        values[:: max(length // 64, 1)] = 1e30
    return values.astype(np.float32)


@pytest.mark.kernel
@pytest.mark.parametrize("length", [2, 3, 8, 17, 18, 63, 64, 255, 256, fewer(1001, 257), fewer(4096, 258)])
@pytest.mark.parametrize(
    "kind",
    [
        "usual",
        "around zero",
        "heavy tails",
        "ties",
        "alike",
        "zeros of both signs",
        "fillers",
        "infinite",
        "outliers where the bracket begins",
    ],
)
def test_counting_finds_the_middle_ranks(kind, length):
    values = columns_of(kind, length)
    found = values.copy()
    select_middle(values=found, selection=empty_selection(length))
    ranks = [length // 2 - 1, length // 2]
    np.testing.assert_array_equal(found[ranks], np.sort(values, axis=0)[ranks])


@pytest.mark.kernel
@pytest.mark.parametrize("snr_class", [POWERS.index(power) for power in (3.0, 6.0, 10.0)])
def test_products_are_the_powers_of_the_library(snr_class):
    """Also where one is next to the middle of two numbers of single precision, as the powers of 1 + 2^-12 are."""
    for number, hard in ((fewer(100_000, 300), False), (7, True)):
        values = np.random.default_rng(snr_class).random(number).astype(np.float32).astype(float)
        values[:3] = 0.0, 1.0, 2.0**-14
        if hard:
            values[3] = 1.0 + 2.0**-12
        expected = (values ** POWERS[snr_class]).astype(np.float32)
        raise_to_power(snr_class=snr_class, number=number, values=values, raised=np.empty(number))
        np.testing.assert_array_equal(values, expected)


def test_medians_of_many_groups_need_no_network(monkeypatch):
    """One for 32,766 differences takes 133 MiB, and 13 s to make."""
    for ngroups in (20, 1000):  # so that the kernels are ready, which takes a fit
        fit_ramps(long_exposure(ngroups, 4, hits=2), 12.0, 2.0)
    made = []
    monkeypatch.setattr(rows, "middle_network", lambda length: made.append(length) or middle_network(length))
    for ngroups in (20, 30, 1000, 32_767):
        fit_ramps(long_exposure(ngroups, 4, hits=2), 12.0, 2.0)
    assert made == [1, 29, 1, 1]  # of one value: there is nothing to exchange
