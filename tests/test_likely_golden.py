"""The golden ramps of the likelihood fit, and the naive oracle on them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.likely_cases import (
    assert_agree,
    case_from_likely_golden,
    fit_kernel,
    fit_package,
    likely_golden_expected,
)
from tests.naive import naive_likely

FOUR = 4
#: A sample that is not finite is a flagged group here, and makes the reference's ramp NaN (T2).
NOT_FINITE = "nan_in_flagged_group"
FALLBACK = "fallback_three_groups"


@cache
def examples() -> dict[str, Any]:
    text = (Path(__file__).parent / "data" / "likely_examples.json").read_text(encoding="utf-8")
    return {example["name"]: example for example in json.loads(text)["examples"]}


SOUND = [name for name in examples() if not examples()[name]["outcome_hinges_on_roundoff"]]
HINGING = [name for name in examples() if name not in SOUND]
FITTED = [name for name in SOUND if name not in {NOT_FINITE, FALLBACK}]


def test_all_there() -> None:
    assert len(examples()) == 63
    assert HINGING == ["exact_tie", "two_valid_inconsistent", "four_groups_nf4_two_omit"]
    assert len(FITTED) == 58


@pytest.mark.kernel
@pytest.mark.parametrize("name", FITTED)
def test_golden(name: str) -> None:
    case, expected = case_from_likely_golden(examples()[name]), likely_golden_expected(examples()[name])
    assert_agree(expected, fit_kernel(case), "kernels")
    fit, hinges = naive_likely(case)
    assert_agree(expected, fit, "naive")
    # Where a search was possible, it was no close thing.
    assert (hinges.margin > 1e-4).all()


@pytest.mark.kernel
@pytest.mark.parametrize("name", FITTED)
def test_golden_joint(name: str) -> None:
    """The reference has no such mode: the oracle of the same inputs."""
    case = case_from_likely_golden(examples()[name])
    assert_agree(naive_likely(case, joint=True)[0], fit_kernel(case, joint=True))


@pytest.mark.parametrize("name", FITTED)
def test_golden_through_the_package(name: str) -> None:
    case, expected = case_from_likely_golden(examples()[name]), likely_golden_expected(examples()[name])
    assert_agree(expected, fit_package(case))


def test_three_groups_are_fitted_by_ols() -> None:
    case, expected = case_from_likely_golden(examples()[FALLBACK]), likely_golden_expected(examples()[FALLBACK])
    fit = fit_package(case)
    assert fit.rate["chisq"] is None
    assert fit.groupdq is None
    for kind in ("rate", "rateints"):
        wanted, found = getattr(expected, kind), getattr(fit, kind)
        for name in ("data", "err", "var_poisson", "var_rnoise", "dq"):
            np.testing.assert_allclose(found[name], wanted[name], rtol=3e-7, err_msg=f"{kind}.{name}")


@pytest.mark.kernel
@pytest.mark.parametrize("name", HINGING)
def test_what_hinges_on_rounding(name: str) -> None:
    """The oracle knows that it does, and the fit is finite."""
    case = case_from_likely_golden(examples()[name])
    _, hinges = naive_likely(case)
    assert hinges.used.min() < FOUR or hinges.margin.min() < 1e-6
    fit = fit_kernel(case)
    assert all(np.isfinite(plane).all() for plane in fit.rate.values())


@pytest.mark.kernel
def test_not_finite_is_flagged() -> None:
    case = case_from_likely_golden(examples()[NOT_FINITE])
    finite = case.but(data=np.where(np.isfinite(case.data), case.data, 0))
    assert np.isnan(likely_golden_expected(examples()[NOT_FINITE]).rate["data"]).all()
    fit = fit_kernel(case)
    assert_agree(naive_likely(case)[0], fit)
    np.testing.assert_allclose(fit.rate["data"], fit_kernel(finite).rate["data"], rtol=0.05)
