"""The golden cases, within the tolerance that the file states: 3e-7 relative, for yint and pedestal 2e-6 DN more."""

from __future__ import annotations

import numpy as np
import pytest

from rampfit_numba.result import NO_VALID_FIT
from tests.cases import PlainFit, case_from_golden, golden_expected, plain, run_engine
from tests.compare import anything_fitted, nothing_to_fit_failures
from tests.golden import deviates, golden_examples
from tests.naive import naive_fit

pytestmark = pytest.mark.kernel


def assert_golden(expected: PlainFit, got: PlainFit) -> None:
    for group in ("rate", "rateints", "fitopt"):
        wanted, found = getattr(expected, group), getattr(got, group)
        assert (wanted is None) == (found is None), group
        for name, plane in (wanted or {}).items():
            atol = 2e-6 if name in ("yint", "pedestal") else 0
            assert found[name].dtype == plane.dtype
            np.testing.assert_allclose(found[name], plane, rtol=3e-7, atol=atol, err_msg=f"{group}.{name}", strict=True)


def test_all_there() -> None:
    assert len(golden_examples()) == 82
    assert {name for name, example in golden_examples().items() if deviates(example)} == {"E09", "E11", "E12"}


@pytest.mark.parametrize("name", golden_examples())
def test_golden(name: str) -> None:
    example = golden_examples()[name]
    case, expected = case_from_golden(example), golden_expected(example)
    if deviates(example):
        expected = naive_fit(case)
    fit = run_engine(case)
    if expected is None:
        assert fit.nothing_to_fit
        assert not nothing_to_fit_failures(case, plain(fit))
    else:
        assert fit.nothing_to_fit == ("" if anything_fitted(expected) else NO_VALID_FIT)
        assert_golden(expected, plain(fit))


@pytest.mark.parametrize("name", ["A03", "C09", "G01"])
def test_options_do_not_change_the_rates(name: str) -> None:
    """The optional product is a by-product: rate and rateints are the same bits without it."""
    case = case_from_golden(golden_examples()[name])
    with_opt, without = plain(run_engine(case, save_opt=True)), plain(run_engine(case, save_opt=False))
    assert without.fitopt is None
    for group in ("rate", "rateints"):
        for plane, values in getattr(with_opt, group).items():
            np.testing.assert_array_equal(getattr(without, group)[plane], values, err_msg=f"{group}.{plane}")
