"""Arrays handed in for the results are refused where one result would overwrite another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rampfit_numba import Exposure, fit_ramps

SHAPE = (2, 6, 8, 16)


@pytest.fixture(scope="module")
def exposure():
    steps = np.random.default_rng(0).normal(20, 3, SHAPE).astype(np.float32)
    return Exposure(np.cumsum(steps, axis=1), None, 2.5)


def fitted(exposure, out=None, algorithm="ols"):
    return fit_ramps(exposure, 14.0, 5.5, algorithm=algorithm, out=out)


def with_planes(fit, kind, **planes):
    return replace(fit, **{kind: replace(getattr(fit, kind), **planes)})


@pytest.mark.parametrize("algorithm", ["ols", "likely"])
def test_one_array_for_two_results_is_refused(exposure, algorithm):
    fit = fitted(exposure, algorithm=algorithm)
    same = np.empty(SHAPE[2:], np.float32)
    with pytest.raises(ValueError, match=r"out\.rate\.err: expected memory of its own; got that of out\.rate\.data"):
        fitted(exposure, with_planes(fit, "rate", data=same, err=same), algorithm)
    cube = np.empty((SHAPE[0], *SHAPE[2:]), np.float32)
    wrong = with_planes(with_planes(fit, "rate", data=cube[1]), "rateints", var_poisson=cube)
    with pytest.raises(ValueError, match=r"out\.rateints\.var_poisson: .* got that of out\.rate\.data"):
        fitted(exposure, wrong, algorithm)


def test_flags_that_share_memory_with_a_plane_are_refused(exposure):
    fit = fitted(exposure, algorithm="likely")
    memory = np.empty(np.prod(SHAPE), np.uint8)
    plane = memory[: 4 * 8 * 16].view(np.float32).reshape(8, 16)
    wrong = replace(with_planes(fit, "rate", chisq=plane), groupdq=memory.reshape(SHAPE))
    with pytest.raises(ValueError, match=r"out\.groupdq: .* got that of out\.rate\.chisq"):
        fitted(exposure, wrong, "likely")


@pytest.mark.parametrize("strides", [(0, 0), (0, 4), (4, 4), (8, 4)])
def test_elements_that_share_memory_are_refused(exposure, strides):
    plane = np.lib.stride_tricks.as_strided(np.empty(1000, np.float32), SHAPE[2:], strides)
    with pytest.raises(ValueError, match=r"out\.rate\.data: expected an element of its own for each pixel"):
        fitted(exposure, with_planes(fitted(exposure), "rate", data=plane))


def test_columns_of_one_table_are_accepted(exposure):
    """They lie between each other and share nothing."""
    fit = fitted(exposure)
    table = np.zeros(SHAPE[2:], [(name, plane.dtype) for name, plane in vars(fit.rate).items() if plane is not None])
    out = with_planes(fit, "rate", **{name: table[name] for name in table.dtype.names})
    again = fitted(exposure, out)
    expected = fitted(exposure)
    for name in table.dtype.names:
        np.testing.assert_array_equal(getattr(again.rate, name), getattr(expected.rate, name))
        assert np.shares_memory(getattr(again.rate, name), table)


def test_turned_and_cut_arrays_are_accepted(exposure):
    expected = fitted(exposure)
    plane = np.empty((40, 30), np.float32)[5:37:2, 20:4:-2].T
    again = fitted(exposure, with_planes(fitted(exposure), "rate", data=plane))
    np.testing.assert_array_equal(again.rate.data, expected.rate.data)
