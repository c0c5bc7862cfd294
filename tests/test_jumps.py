"""The table of jumps: which, how large, how significant."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from rampfit_numba import Exposure, fit_ramps, jumps
from tests.cases import make_exposure, run_engine, with_usable_range
from tests.random_exposures import random_case
from tests.sizes import fewer

D, S, J = 1, 2, 4


def values(table):
    return {name: np.asarray(getattr(table[name], "value", table[name])) for name in table.colnames}


@pytest.mark.parametrize("seed", range(fewer(60, 8)))
@pytest.mark.parametrize("samples", [1 << 23, 64])
def test_jumps_are_the_flagged_groups_and_sizes_the_steps_beyond_the_rate(seed, samples, monkeypatch):
    monkeypatch.setattr(jumps, "_MOST_SAMPLES", samples)
    case = with_usable_range(random_case(seed, small=True))
    fit = run_engine(case)
    found = values(fit.jumps())
    flags = case.groupdq.copy()
    everywhere_unusable = ((flags & D) != 0) | (~np.isfinite(case.data) & ((flags & S) == 0))
    expected = []
    for i, g, row, col in np.argwhere(flags & J):
        expected.append((i, g, row, col))
    listed = set(zip(*(found[name].tolist() for name in ("integration", "group", "row", "column")), strict=True))
    assert listed <= set(expected)
    if case.instrument != "MIRI":
        assert listed == set(expected)
    first = 0 if case.firstgroup is None else max(case.firstgroup, 0)
    last = case.data.shape[1] - 1 if case.lastgroup is None else case.lastgroup
    if first >= last and (case.firstgroup, case.lastgroup) != (None, None):
        first, last = 0, case.data.shape[1] - 1
    for k in range(found["group"].size):
        i, g, row, col = (int(found[name][k]) for name in ("integration", "group", "row", "column"))
        usable = [
            h
            for h in range(g + 1)
            if first <= h <= last and not flags[i, h, row, col] & (D | S) and not everywhere_unusable[i, h, row, col]
        ]
        rate = fit.rateints.data[i, row, col]
        rate = fit.rate.data[row, col] if np.isnan(rate) else rate
        if g not in usable or len(usable) < 2 or np.isnan(rate):
            assert np.isnan(found["size"][k])
            continue
        if case.instrument == "MIRI":
            continue  # the sample before may have been dropped
        before = usable[-2]
        rise = float(case.data[i, g, row, col]) - float(case.data[i, before, row, col])
        size = rise - float(rate) * (g - before) * float(np.float32(case.group_time))
        assert found["size"][k] == pytest.approx(size, rel=1e-5, abs=1e-5 * (1 + abs(rise)))
        assert found["size_e"][k] == pytest.approx(
            size * case.gain[row, col], rel=1e-5, abs=1e-4 * (1 + abs(rise)), nan_ok=True
        )


@pytest.mark.parametrize("rate", [0.0, 20.0, 200.0])
def test_significance_is_the_size_in_units_of_the_noise_without_a_jump(rate):
    rng = np.random.default_rng(5)
    side, gain, read = 90, 2.0, 6.0
    data = np.cumsum(rng.poisson(rate * gain, (1, 60, side, side)), axis=1) / gain
    data = data + rng.normal(0, read, data.shape)
    flags = np.zeros(data.shape, np.uint8)
    flags[:, 30] = J  # where there is none: the sizes are noise
    table = fit_ramps(Exposure(data, flags, 1.0), read * np.sqrt(2), gain).jumps()
    assert len(table) == side * side
    assert np.std(table["significance"]) == pytest.approx(1, abs=0.02)
    assert np.mean(table["size"].value) == pytest.approx(0, abs=1)


@pytest.mark.parametrize("algorithm", ["ols", "likely", "likely_joint"])
def test_sizes_at_uneven_times_are_the_rises_beyond_the_rate_in_the_time_between(algorithm):
    times = [1.0, 2.0, 5.0, 6.0, 12.0, 20.0]
    data = (100 + 10 * np.array(times, np.float32)).reshape(1, 6, 1, 1)
    data[0, 2:] += 500
    data[0, 5] -= 80
    flags = np.zeros(data.shape, np.uint8)
    flags[0, [2, 5]], flags[0, 4] = J, D
    table = fit_ramps(Exposure(data, flags, read_times=times), 5.0, 2.0, algorithm=algorithm).jumps()
    assert list(table["group"]) == [2, 5]
    # The second one is measured from group 3 on: group 4 is unusable.
    np.testing.assert_allclose(table["size"].to_value("DN"), [500, -80], rtol=1e-5)
    noise = np.sqrt(10 / 2 * np.array([5 - 2, 20 - 6]) + 25)
    np.testing.assert_allclose(table["significance"], np.array([500, -80]) / noise, rtol=1e-5)


@pytest.mark.parametrize("weighting", ["optimal", "uniform"])
@pytest.mark.parametrize("rate", [0.0, 20.0, 200.0])
def test_significance_at_uneven_times_follows_the_frames_of_both_groups(rate, weighting):
    rng = np.random.default_rng(6)
    npixels, gain, read = 8000, 2.0, 6.0
    counts = np.array([1, 3, 2, 1, 4, 1, 2, 5] * 8)
    frames = np.cumsum(rng.choice([1.0, 2.0, 7.0], counts.sum()))
    reads = np.cumsum(rng.poisson(rate * gain * np.diff(frames, prepend=0)[:, None], (frames.size, npixels)), axis=0)
    reads = reads / gain + rng.normal(0, read, reads.shape)
    edges = np.cumsum(counts)[:-1]
    data = np.array([group.mean(axis=0) for group in np.split(reads, edges)], np.float32)[None, :, None]
    flags = np.zeros(data.shape, np.uint8)
    marked = [20, 25, 31]  # where there is none: the sizes are noise
    flags[:, marked] = J
    exposure = Exposure(data, flags, read_times=[list(group) for group in np.split(frames, edges)])
    table = fit_ramps(exposure, read * np.sqrt(2), gain, weighting=weighting).jumps()
    for group in marked:
        here = table[table["group"] == group]
        assert len(here) == npixels
        assert np.std(here["significance"]) == pytest.approx(1, abs=0.03)
        assert np.mean(here["significance"]) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("algorithm", ["likely", "likely_joint"])
def test_jumps_that_the_fit_found_are_told_from_flagged_ones(algorithm):
    data = (100 + 30 * np.arange(12, dtype=np.float32)).reshape(1, 12, 1, 1)
    data[0, 4:] += 400
    data[0, 8:] += 700
    flags = np.zeros(data.shape, np.uint8)
    flags[0, 4] = J
    table = fit_ramps(Exposure(data, flags, 3.0), 5.0, 2.0, algorithm=algorithm).jumps()
    assert list(table["group"]) == [4, 8]
    assert list(table["found"]) == [False, True]
    np.testing.assert_allclose(table["size"].to_value("DN"), [400, 700], rtol=0.02)
    np.testing.assert_allclose(table["size_e"].to_value("electron"), 2 * table["size"].value)


def test_miri_lists_no_jump_of_a_dropped_group(caplog):
    data = (100 + 30 * np.arange(8, dtype=np.float32)).reshape(1, 8, 1, 1)
    flags = np.zeros(data.shape, np.uint8)
    flags[0, [0, 7]] = D | J
    flags[0, [1, 5]] = J
    exposure = Exposure(data, flags, 3.0, instrument="MIRI")
    caplog.set_level(logging.INFO, "rampfit_numba")
    fit = fit_ramps(exposure, 5.0, 2.0)
    assert "leading groups" in caplog.text
    caplog.clear()
    assert list(fit.jumps()["group"]) == [5]
    assert caplog.text == ""  # the fit has said which groups it drops


def test_no_jumps_are_an_empty_table_with_units():
    table = fit_ramps(Exposure(np.zeros((1, 5, 2, 2)), None, 3.0), 5.0, 2.0).jumps()
    assert len(table) == 0
    assert str(table["size"].unit) == "DN"
    assert table["group"].dtype == np.int32


def test_the_table_is_in_order_and_survives_a_file(tmp_path):
    from astropy.table import QTable

    case = random_case(4)
    fit = run_engine(case)
    assert make_exposure(case).nints == fit.rateints.data.shape[0]
    table = fit.jumps()
    place = values(table)
    order = np.lexsort([place[name] for name in ("column", "row", "group", "integration")])
    assert np.array_equal(order, np.arange(len(table)))
    table.write(tmp_path / "jumps.ecsv")
    again = QTable.read(tmp_path / "jumps.ecsv")
    np.testing.assert_array_equal(again["size"].value, table["size"].value)
    assert again["size"].unit == table["size"].unit
