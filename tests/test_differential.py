"""The package against the installed stcal: every plane of every exposure."""

from __future__ import annotations

import pytest

from rampfit_numba import simulate_exposure
from tests.bulk_exposures import KINDS, bulk_case
from tests.cases import Case
from tests.differential import compare_cases, main, require
from tests.random_exposures import random_case
from tests.reference import reference_fit
from tests.sizes import fewer

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("block", range(4))
def test_random_exposures(block: int) -> None:
    count = fewer(100, 15)
    seeds = range(block * 100, block * 100 + count)
    largest = fewer(60_000, 1_500)
    outcome = compare_cases((random_case(seed, largest_size=largest) for seed in seeds), reference_fit)
    assert outcome.comparison.exposures + outcome.comparison.nothing == count
    require(outcome)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("save_opt", [False, True])
def test_structured_exposures(kind: str, save_opt: bool) -> None:
    """Many blocks of one kind: the paths for clean, hit, saturated ... blocks, and the changes between them."""
    shape = (2, 20, fewer(150, 3), fewer(260, 70))
    outcome = compare_cases([bulk_case(kind, shape=shape, save_opt=save_opt)], reference_fit)
    require(outcome)


@pytest.mark.parametrize(
    "ngroups", [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 200, 257]
)
def test_ramp_lengths(ngroups: int) -> None:
    """Lengths around powers of two: no bit mask, counter or table may be too small."""
    shape = (1, ngroups, 2, fewer(130, 12))
    cases = [bulk_case(kind, shape=shape, save_opt=True, seed=ngroups) for kind in ("clean", "hits", "half_saturated")]
    outcome = compare_cases(cases, reference_fit)
    require(outcome)


@pytest.mark.parametrize("ncols", [1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 1031])
def test_widths(ncols: int) -> None:
    """Widths around the block width: what is left over at the end of a row counts too."""
    if ncols > fewer(2000, 130):
        pytest.skip("too wide to interpret")
    cases = [bulk_case("everything", shape=(2, 6, nrows, ncols), save_opt=True, seed=ncols) for nrows in (1, 2, 3)]
    outcome = compare_cases(cases, reference_fit)
    require(outcome)


# Ramps without flags, with many, half of them with few groups; 3, 65 and 300 groups; rows that no block divides.
FULL_SIZE = [
    ("clean", (2, 20, 1024, 1032)),
    ("half_saturated", (2, 20, 1024, 1032)),
    ("hits", (2, 12, 1024, 1032)),
    ("everything", (2, 12, 1024, 1031)),
    ("everything", (5, 3, 1024, 1032)),
    ("everything", (1, 65, 1024, 1031)),
    ("hits", (1, 300, 256, 1031)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "shape"), FULL_SIZE, ids=str)
def test_full_size(kind: str, shape: tuple[int, int, int, int]) -> None:
    if fewer(2, 1) < 2:
        pytest.skip("full size only compiled and unchecked")
    outcome = compare_cases([bulk_case(kind, shape=shape, save_opt=kind in ("hits", "clean"))], reference_fit)
    require(outcome)


@pytest.mark.slow
def test_full_size_of_a_faint_sky() -> None:
    """Nearly all ramps have a signal-to-noise ratio below 10, and many a rate about zero."""
    if fewer(2, 1) < 2:
        pytest.skip("full size only compiled and unchecked")
    simulation = simulate_exposure(2, 20, 1024, 1031, seed=5, background=0.3, background_gradient=1.0)
    exposure = simulation.exposure
    case = Case(
        data=exposure.data,
        groupdq=exposure.groupdq,
        pixeldq=exposure.pixeldq,
        readnoise=simulation.readnoise,
        gain=simulation.gain,
        group_time=exposure.group_time,
        frame_time=exposure.frame_time,
        suppress_one_group=True,
    )
    require(compare_cases([case], reference_fit))


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--exposures", "5", "--seed", "20000"]) == 0
    assert "DQ mismatches" in capsys.readouterr().out
