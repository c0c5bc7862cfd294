"""The slow implementation: it equals the reference bit for bit, and the engine equals it within the tolerances."""

from __future__ import annotations

import numpy as np
import pytest

from tests.cases import Case, PlainFit, case_from_golden, golden_expected
from tests.compare import Comparison
from tests.differential import compare_cases, require
from tests.golden import golden_examples
from tests.naive import naive_fit
from tests.naive.ols.block import find_segments
from tests.random_exposures import random_case
from tests.reference import reference_fit, with_deviations
from tests.sizes import fewer


def assert_identical(comparison: Comparison, case: Case, expected: PlainFit | None, got: PlainFit | None) -> None:
    assert (expected is None) == (got is None), case.label
    if expected is None or got is None:
        comparison.nothing += 1
    else:
        failures = comparison.add(case, expected, got, exact=True)
        assert not failures, f"{case.label}: {failures[0]}"


def test_naive_equals_golden() -> None:
    comparison = Comparison()
    for example in golden_examples().values():
        case = case_from_golden(example)
        assert_identical(
            comparison, case, golden_expected(example, as_reference=True), naive_fit(case, as_reference=True)
        )
    assert (comparison.exposures, comparison.nothing) == (79, 3)


@pytest.mark.parametrize("deviations", [False, True])
def test_naive_equals_stcal(deviations: bool) -> None:
    """With the deviations: they are applied here by the naive code itself, there to stcal's inputs."""
    comparison = Comparison()
    for seed in range(fewer(400, 40)):
        case = random_case(seed, small=True)
        expected = reference_fit(case, deviations=deviations)
        assert_identical(comparison, case, expected, naive_fit(case, as_reference=not deviations))
    assert 0 < comparison.nothing < comparison.exposures / 4


def test_naive_leaves_its_input_alone() -> None:
    for seed in range(20):
        case, kept = random_case(seed, small=True), random_case(seed, small=True)
        naive_fit(case)
        reference_fit(case)
        with_deviations(case)
        for name, value in vars(kept).items():
            if isinstance(value, np.ndarray):
                assert value.tobytes() == getattr(case, name).tobytes(), name


@pytest.mark.parametrize(
    ("flags", "segments", "reported"),
    [
        ([0, 0, 0, 4, 0, 0], [(0, 3), (3, 3)], 2),
        ([0, 0, 4, 4, 0], [(0, 2), (3, 2)], 2),
        ([0, 0, 4], [(0, 2)], 1),
        ([4, 0, 0], [(0, 3)], 1),
        ([4, 4, 4], [], 0),
        ([0, 0, 68, 0, 0], [(0, 2), (3, 2)], 2),
        ([0, 36, 0], [(0, 1), (1, 2)][1:], 1),
        ([0, 1, 0, 1, 0], [(0, 1)], 3),
        ([0, 0, 2, 0, 0], [(0, 2), (3, 2)], 2),
        ([1, 4, 0, 0], [(1, 3)], 1),
    ],
)
def test_find_segments(flags: list[int], segments: list[tuple[int, int]], reported: int) -> None:
    """The rules about runs, by hand: extension by a jump, lost jumps, lone groups."""
    assert find_segments(flags) == (segments, reported)


@pytest.mark.kernel
def test_engine_equals_naive() -> None:
    cases = (random_case(seed, small=True) for seed in range(10_000, 10_000 + fewer(400, 80)))
    outcome = compare_cases(cases, naive_fit)
    require(outcome)
