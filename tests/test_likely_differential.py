"""The package against the installed stcal over random exposures."""

from __future__ import annotations

import numpy as np
import pytest

from tests.differential import silence
from tests.differential_likely import Outcome, compare_cases, main
from tests.likely_cases import LikelyCase, LikelyFit, fit_kernel, fit_package, one_ramp
from tests.random_likely import random_likely_case


def require(outcome: Outcome) -> None:
    if outcome.failures:
        raise AssertionError(outcome.report())


@pytest.mark.slow
def test_random_exposures() -> None:
    with silence():
        outcome = compare_cases(random_likely_case(seed) for seed in range(2000, 2060))
    require(outcome)
    # So many must have been compared, or the excuses ate the test.
    assert outcome.compared["rateints.data"] > 0.85 * outcome.ramps
    assert sum(outcome.excused.values()) < 0.05 * outcome.ramps


def test_kernels_alone() -> None:
    with silence():
        require(compare_cases((random_likely_case(seed, largest_size=5000) for seed in range(3000, 3020)), fit_kernel))


def test_wrong_results_are_noticed() -> None:
    """A comparison that cannot fail shows nothing."""

    def broken(case: LikelyCase) -> LikelyFit:
        fit = fit_package(case)
        fit.rateints["err"][..., 0] *= 1.001
        fit.rate["dq"][..., -1] ^= 2
        return fit

    with silence():
        outcome = compare_cases([random_likely_case(3), random_likely_case(4)], broken)
    assert outcome.wrong["rateints.err"] > 0
    assert outcome.wrong["rate.dq"] > 0
    assert outcome.failures


def test_one_short_integration_excuses_no_wrong_rate() -> None:
    """Integrations that agree excuse nothing: their rate must agree, too."""
    line = 100 + 60.0 * np.arange(8) + np.array([3.0, -2, 4, 1, -5, 2, -1, 0])
    case = one_ramp([line, line], flags=[[0, 0, 0, 1, 1, 1, 1, 1], [0] * 8])

    def broken(case: LikelyCase) -> LikelyFit:
        fit = fit_package(case)
        fit.rate["err"] *= 1.001
        return fit

    with silence():
        outcome = compare_cases([case], broken)
    assert not outcome.excused
    assert outcome.wrong["rate.err"] == 1


@pytest.mark.parametrize("seed", [10112, 11208], ids=["chi-square", "rate"])
def test_what_the_reference_leaves_to_rounding(seed: int) -> None:
    """A chi-square of 0.03 from terms of 1e10, and a rate of 0 without noise, which has no fit."""
    with silence():
        outcome = compare_cases([random_likely_case(seed)])
    require(outcome)


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--exposures", "3", "--kernel"]) == 0
    assert "3 exposures" in capsys.readouterr().out
