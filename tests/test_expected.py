"""The size of the optional results, from the flags alone, and from all where these do not tell."""

from __future__ import annotations

import numpy as np
import pytest

from rampfit_numba import Exposure, api, fit_ramps
from rampfit_numba.algorithms.ols.rows import count_rows, expect_rows
from rampfit_numba.algorithms.ols.rules import OlsRules
from rampfit_numba.algorithms.rows import RowInputs
from rampfit_numba.kernels.ols.settings import Settings
from tests.naive.ols.expected import count_flags
from tests.sizes import fewer

D, J = 1, 4
FLAGS = [1, 2, 3, 4, 4, 4, 5, 6, 8, 32, 36, 64, 128]


def some_flags(rng, shape):
    share = rng.choice([0.0, 0.001, 0.1, 0.5, 0.9, 0.98])
    flags = np.where(rng.random(shape) < share, rng.choice(FLAGS, shape), 0).astype(np.uint8)
    if rng.random() < 0.3:
        flags[:, :, rng.random(shape[2:]) < 0.5] |= np.uint8(rng.choice([1, 2]))
    return flags


@pytest.mark.kernel
@pytest.mark.parametrize("seed", range(fewer(60, 6)))
def test_they_are_those_of_the_twin(seed):
    """And those of a count of all, where all samples are finite; in either layout."""
    rng = np.random.default_rng(seed)
    ngroups = int(rng.integers(250, 300)) if seed % 10 == 9 else int(rng.integers(4, 12))
    shape = (int(rng.integers(1, 3)), ngroups, int(rng.integers(1, 4)), int(rng.integers(1, fewer(2000, 30))))
    shape = shape if ngroups < 250 else (*shape[:3], 9)
    flags = some_flags(rng, shape)
    start, stop = int(rng.integers(0, 2)), ngroups - int(rng.integers(0, 2))
    first_used, last_used = start + int(rng.integers(0, 2)), stop - 1 - int(rng.integers(0, 2))
    settings = Settings(
        3.0, 3.0, 3.0, 2.0, 1.0, suppress_one_group=bool(rng.integers(2)), clear_first_jump=bool(rng.integers(2))
    )
    rules = OlsRules(settings, start, stop, first_used, last_used, dropped_good=False)
    wanted = count_flags(flags[:, start:stop], settings, first_used - start, last_used - start)
    plane = np.ones(shape[2:], np.float32)
    for groupdq in (flags, np.asfortranarray(flags)):
        assert expect_rows(RowInputs(None, groupdq, *[None] * 5), None, rules) == wanted
        everything = RowInputs(np.ones(shape, np.float32), groupdq, plane, plane, None, None, None)
        assert count_rows(everything, None, rules) == wanted


def some_exposure():
    """Return ramps of which one has more segments than the others, and one more jumps."""
    rng = np.random.default_rng(1)
    data = np.cumsum(rng.normal(20, 3, (2, 12, 8, 300)), axis=1).astype(np.float32)
    flags = np.zeros(data.shape, np.uint8)
    flags[0, 4, 2, 200] = J
    flags[1, [3, 6], 5, 100] = J
    return data, flags


@pytest.mark.parametrize(
    ("where", "segments"),
    [
        pytest.param((1, 2, 5, 100), 3, id="as many as expected"),
        pytest.param((1, [1, 5, 10], 5, 100), 2, id="fewer"),
        pytest.param((0, [2, 5, 8], 2, 201), 4, id="more"),
    ],
)
@pytest.mark.parametrize("cores", [{}, {"maximum_cores": 2}, {"maximum_cores": 3, "executor": "threads"}], ids=str)
def test_samples_that_are_not_finite_count_as_unusable(where, segments, cores):
    data, flags = some_exposure()
    marked = flags.copy()
    marked[where] = D
    data[where] = np.nan
    wanted = fit_ramps(Exposure(data, marked, 2.5), 14.0, 5.5, save_opt=True, **cores)
    found = fit_ramps(Exposure(data, flags, 2.5), 14.0, 5.5, save_opt=True, **cores)
    assert found.fitopt.slope.shape[1] == wanted.fitopt.slope.shape[1] == segments
    for kind in ("rate", "rateints", "fitopt"):
        for name, plane in vars(getattr(wanted, kind)).items():
            if plane is not None and name != "header":
                np.testing.assert_array_equal(getattr(getattr(found, kind), name), plane, err_msg=f"{kind}.{name}")


@pytest.mark.parametrize(("value", "counts"), [(1.0, 1), (np.nan, 2)])
def test_samples_are_read_once_where_all_are_finite(value, counts, monkeypatch):
    calls = []
    run = api.run_rows
    monkeypatch.setattr(api, "run_rows", lambda task, *a, **k: calls.append(task.func.__name__) or run(task, *a, **k))
    data, flags = some_exposure()
    data[1, 2, 5, 100] = value
    fit_ramps(Exposure(data, flags, 2.5), 14.0, 5.5, save_opt=True)
    assert calls == ["expect_rows", "fit_rows", "count_rows"][: counts + 1]


def test_memory_that_was_used_before_leaves_no_trace():
    """Every value is written, also where there is no segment and no jump."""
    data, flags = some_exposure()
    exposure = Exposure(data, flags, 2.5)
    big = np.repeat(np.repeat(data, 8, axis=2), 8, axis=3), np.repeat(np.repeat(flags, 8, axis=2), 8, axis=3)
    planes = []
    for _ in range(2):
        fit = fit_ramps(Exposure(*big, 2.5), 14.0, 5.5, save_opt=True)
        planes.append({name: plane[..., ::8, ::8].copy() for name, plane in vars(fit.fitopt).items()})
        for plane in vars(fit.fitopt).values():
            plane[...] = 77.0
        del fit, plane
    small = fit_ramps(exposure, 14.0, 5.5, save_opt=True)
    for name, plane in vars(small.fitopt).items():
        for repeated in planes:
            np.testing.assert_array_equal(repeated[name], plane, err_msg=name)
