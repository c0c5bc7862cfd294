"""Hits in ramps of few groups, each the mean of several frames: what `likely_joint` makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rampfit_numba.algorithms.likely.thresholds import most_chisq
from tests.likely_cases import LikelyCase, LikelyFit, differing, fit_kernel, one_ramp
from tests.naive import naive_likely
from tests.sizes import INTERPRETED, fewer

pytestmark = pytest.mark.kernel

DO_NOT_USE, JUMP = 1, 4


@dataclass(frozen=True)
class Pattern:
    """Frames averaged and skipped per group, their time in s, CDS noise in DN and gain in e-/DN."""

    nframes: int
    groupgap: int
    frame_time: float
    noise: float
    gain: float


PATTERNS = {
    "NRSIRS2": Pattern(5, 0, 14.589, 9.0, 1.0),
    "NIS": Pattern(4, 0, 10.737, 10.0, 1.6),
    "SHALLOW4": Pattern(4, 1, 10.737, 9.0, 2.0),
    "DEEP8": Pattern(8, 12, 10.737, 9.0, 2.0),
}
EACH = pytest.mark.parametrize("pattern", PATTERNS.values(), ids=list(PATTERNS))


def spread_of(pattern: Pattern, rate: float) -> float:
    """Return about one standard deviation of a difference, in DN."""
    step = pattern.nframes + pattern.groupgap
    arrived = rate * step * pattern.frame_time / pattern.gain
    return float(np.sqrt(pattern.noise**2 / pattern.nframes + arrived))


def simulated(  # noqa: PLR0917
    pattern: Pattern, ngroups: int, nints: int, npixels: int, rate: float, hit_rate: float, sizes: Any, seed: int = 1
) -> tuple[LikelyCase, np.ndarray]:
    """Return ramps whose photons and hits arrive frame by frame, skipped frames included, and the number of hits.

    Hits are as frequent as ``hit_rate`` a group and pixel, their sizes log-uniform in standard deviations.
    """
    rng = np.random.default_rng([20_260_902, seed, ngroups, nints])
    shape, step = (nints, npixels), pattern.nframes + pattern.groupgap
    level, hits = np.zeros(shape), np.zeros(shape, np.int64)
    data = np.zeros((nints, ngroups, npixels))
    for frame in range(step * (ngroups - 1) + pattern.nframes):
        level += rng.poisson(rate * pattern.gain * pattern.frame_time, shape) / pattern.gain
        hit = (rng.random(shape) < hit_rate / step) & (frame > 0)
        level += hit * np.exp(rng.uniform(*np.log(sizes), shape)) * spread_of(pattern, rate)
        hits += hit
        group, place = divmod(frame, step)
        if place < pattern.nframes:
            data[:, group] += (level + rng.normal(0, pattern.noise / np.sqrt(2), shape)) / pattern.nframes
    return case_of(pattern, data.astype(np.float32)[:, :, None]), hits


def case_of(pattern: Pattern, data: np.ndarray) -> LikelyCase:
    plane = np.ones(data.shape[2:], np.float32)
    return LikelyCase(
        data,
        np.zeros(data.shape, np.uint8),
        np.zeros(data.shape[2:], np.uint32),
        plane * pattern.noise,
        plane * pattern.gain,
        frame_time=pattern.frame_time,
        nframes=pattern.nframes,
        groupgap=pattern.groupgap,
    )


def silent(fit: LikelyFit, rate: float) -> np.ndarray:
    """Tell which pixels are off by more than five of their errors without DO_NOT_USE."""
    planes = fit.rate
    off: np.ndarray = np.abs(planes["data"] - rate) > 5 * planes["err"]
    return (off & ((planes["dq"] & DO_NOT_USE) == 0))[0]


# ------------------------------------------------------------------------------------------------------- what is wanted
@pytest.mark.skipif(INTERPRETED, reason="too large to interpret")
@EACH
@pytest.mark.parametrize("ngroups", [4, 5, 6])
@pytest.mark.parametrize("nints", [1, 3])
def test_few_pixels_with_hits_are_wrong_without_a_flag(pattern: Pattern, ngroups: int, nints: int) -> None:
    """Fewer than 5 % are off by more than five errors, whatever the rate, and size and number of the hits."""
    for rate in (0.05, 3.0, 50.0):
        for hit_rate, sizes in ((0.01, (20, 1000)), (0.05, (20, 1000)), (0.05, (100, 10_000))):
            case, hits = simulated(pattern, ngroups, nints, 20_000 // nints, rate, hit_rate, sizes)
            hit = (hits > 0).any(axis=0)
            fit = fit_kernel(case, joint=True)
            assert silent(fit, rate)[hit].mean() < 0.05, (rate, hit_rate, sizes)
            assert not (fit.rate["dq"][0, ~hit] & DO_NOT_USE).any()


@pytest.mark.skipif(INTERPRETED, reason="too large to interpret")
@EACH
def test_a_hit_inside_any_group_of_four_is_found(pattern: Pattern) -> None:
    """The rate is right, but for one in a hundred, wherever a hit falls; the search of the pipeline fails with half."""
    rate, ngroups, npixels = 3.0, 4, 500
    worst = 0.0
    for group in range(ngroups):
        for frame in range(1, pattern.nframes):
            case, _ = simulated(pattern, ngroups, 1, npixels, rate, 0.0, (1, 2), seed=group)
            case.data[0, group] += 3000.0 * (pattern.nframes - frame) / pattern.nframes
            case.data[0, group + 1 :] += 3000.0
            fit = fit_kernel(case, joint=True)
            assert silent(fit, rate).mean() <= 0.01, (group, frame)
            assert (fit.rate["dq"] & JUMP).all()
            assert not (fit.rate["dq"] & DO_NOT_USE).any()
            worst = max(worst, float(silent(fit_kernel(case), rate).mean()))
    assert worst > 0.3


@given(
    ngroups=st.integers(4, 9),
    nframes=st.integers(2, 8),
    groupgap=st.integers(0, 12),
    where=st.floats(0, 1, exclude_max=True),
    size=st.floats(40, 1e5),
    rate=st.floats(0.01, 300),
    seed=st.integers(0, 1000),
)
def test_one_hit_of_any_size_leaves_the_rate_right(  # noqa: PLR0917
    ngroups: int, nframes: int, groupgap: int, where: float, size: float, rate: float, seed: int
) -> None:
    """From 40 standard deviations on, at any frame of any pattern."""
    pattern = Pattern(nframes, groupgap, 5.0, 12.0, 2.0)
    case, _ = simulated(pattern, ngroups, 1, 8, rate, 0.0, (1, 2), seed)
    plain = fit_kernel(case, joint=True)
    step = nframes + groupgap
    hit = 1 + int(where * (step * (ngroups - 1) + nframes - 1))
    frames = np.arange(ngroups)[:, None] * step + np.arange(nframes)
    part = (frames >= hit).mean(axis=1)
    changed = case.but(data=(case.data + part[:, None, None] * size * spread_of(pattern, rate)).astype(np.float32))
    found = fit_kernel(changed, joint=True)
    # What the hit has not touched is what it was, to the digits that single precision leaves beside it.
    rounding = np.abs(changed.data).max() * 2.0**-22 / (step * pattern.frame_time)
    limit = 5.5 * np.hypot(found.rate["err"], plain.rate["err"]) + rounding
    assert (np.abs(found.rate["data"] - plain.rate["data"]) <= limit).all()


# ------------------------------------------------------------------------------------------------------- the slow twin
@pytest.mark.parametrize("seed", range(fewer(60, 6)))
def test_hits_against_the_oracle(seed: int) -> None:
    """Every plane, with one to three hits a ramp and any number of groups about the limit of what is tried out."""
    rng = np.random.default_rng([20_260_903, seed])
    pattern = Pattern(int(rng.integers(1, 6)), int(rng.integers(0, 3)), 5.0, 12.0, 2.0)
    ngroups, nints = int(rng.integers(4, 13)), int(rng.integers(1, 4))
    case, _ = simulated(pattern, ngroups, nints, 12, float(rng.choice([0.1, 5.0, 80.0])), 0.2, (3, 300), seed)
    case.groupdq[...] = rng.choice([0, 1, JUMP], case.data.shape, p=[0.94, 0.03, 0.03])
    drop = rng.random(case.data.shape) < 0.03  # some jumps are negative
    case = case.but(
        data=(case.data - 60 * np.cumsum(drop, axis=1)).astype(np.float32),
        rejection_threshold=[None, 3.0, 4.0, 8.0][seed % 4],
    )
    expected, hinges = naive_likely(case, joint=True)
    found = fit_kernel(case, joint=True)
    close = (hinges.margin < 1e-6).any(axis=0)
    assert close.mean() < 0.1
    for name, where in differing(expected, found).items():
        assert not (where & ~close).any(), (name, np.argwhere(where & ~close)[:3])


def test_the_oracle_sees_every_outcome() -> None:
    """Among the ramps above are some of each kind: explained by one hit, by several, and refused."""
    seen = {"one": 0, "several": 0, "refused": 0, "nothing": 0}
    for seed in range(4, 4 + fewer(8, 3)):
        pattern = Pattern(4, 0, 5.0, 12.0, 2.0)
        case, _ = simulated(pattern, 6, 2, fewer(30, 12), 5.0, 0.25, (3, 300), seed)
        fit = fit_kernel(case, joint=True)
        flagged = ((fit.groupdq & JUMP) != 0).sum(axis=1)
        refused = np.isnan(fit.rateints["data"])
        seen["refused"] += int(refused.sum())
        seen["one"] += int(((flagged == 1) & ~refused).sum())
        seen["several"] += int(((flagged > 2) & ~refused).sum())
        seen["nothing"] += int((flagged == 0).sum())
    assert min(seen.values()) > 0, seen


# ------------------------------------------------------------------------------------------------------------ positive
def test_of_two_differences_the_lower_one_is_believed() -> None:
    """Both would fit alone; hits raise a ramp."""
    for second in (500.0, 20.0):
        samples = [100.0, 120.0, 120.0 + second, 140.0 + second]
        fit = fit_kernel(one_ramp(samples, flags=[1, 0, 0, 0], frame_time=1.0), joint=True)
        assert float(fit.rate["data"][0, 0]) == pytest.approx(20.0, abs=1e-3 if second == 500.0 else 5)
        assert bool(fit.groupdq.any(where=np.array([False, False, True, False])[None, :, None, None])) == (second > 20)


def test_a_negative_jump_in_a_long_ramp_is_still_found() -> None:
    for ngroups in (7, 20):
        samples = 100 + 20.0 * np.arange(ngroups) - 400.0 * (np.arange(ngroups) > 4)
        fit = fit_kernel(one_ramp(samples, noise=6.0, frame_time=1.0), joint=True)
        np.testing.assert_array_equal(np.flatnonzero(fit.groupdq & JUMP), [5])
        assert float(fit.rate["data"][0, 0]) == pytest.approx(20.0, rel=1e-6)


# ------------------------------------------------------------------------------------------------ what is not believed
def test_two_hits_in_three_differences_are_not_believed() -> None:
    """One difference is left, and nothing that could tell whether it is right."""
    samples = np.cumsum([100.0, 500.0, 20.0, 900.0])
    fit = fit_kernel(one_ramp(samples, frame_time=1.0), joint=True)
    assert np.isnan(fit.rate["data"]).all()
    assert np.isnan(fit.rate["err"]).all()
    assert (fit.rate["dq"] & (DO_NOT_USE | JUMP)).item() == DO_NOT_USE | JUMP
    assert fit.rate["dof"].item() == fit.rateints["dof"].item() == 0
    np.testing.assert_array_equal(fit.groupdq.ravel(), [0, JUMP, 0, JUMP])


def test_an_absurd_chi_square_is_no_small_error() -> None:
    """What the search does not explain is DO_NOT_USE; its chi-square tells why, and other integrations stay."""
    rng = np.random.default_rng(4)
    good = 100 + 20.0 * np.arange(30) + rng.normal(0, 5.0, 30)
    odd = 100 + 20.0 * np.arange(30) + np.where(np.arange(30) % 2, 15.0, -15.0)  # telegraph noise: no step is a hit
    case = one_ramp(np.stack([good, odd, good]), noise=7.0, gain=2.0, frame_time=1.0)
    fit = fit_kernel(case, joint=True)
    np.testing.assert_array_equal(np.isnan(fit.rateints["data"].ravel()), [False, True, False])
    np.testing.assert_array_equal(fit.rateints["dq"].ravel() & DO_NOT_USE, [0, DO_NOT_USE, 0])
    dof = int(fit.rateints["dof"].ravel()[1])
    assert float(fit.rateints["chisq"].ravel()[1]) > 2.25 * stats.chi2.isf(1e-6, dof)
    assert not fit.rate["dq"].item() & DO_NOT_USE
    alone = fit_kernel(case.but(data=case.data[::2], groupdq=case.groupdq[::2]), joint=True)
    # The rate that the covariance begins with is that of all three.
    for name in ("data", "err", "var_poisson", "var_rnoise", "chisq", "dof"):
        np.testing.assert_allclose(fit.rate[name], alone.rate[name], rtol=1e-2)
    only = fit_kernel(case.but(data=case.data[1:2], groupdq=case.groupdq[1:2]), joint=True)
    assert np.isnan(only.rate["data"]).all()
    for name in ("chisq", "dof", "dq"):
        np.testing.assert_array_equal(only.rate[name], only.rateints[name][0])


def test_what_the_search_is_told_to_leave_alone_is_believed() -> None:
    """Without a search, whoever wants none gets the rates of all ramps."""
    samples = np.cumsum([100.0, 20.0, 900.0, 20.0, 20.0])
    fit = fit_kernel(one_ramp(samples, frame_time=1.0, rejection_threshold=1e6), joint=True)
    assert np.isfinite(fit.rate["data"]).all()
    assert not fit.rate["dq"].any()


def test_limits_of_the_chi_square() -> None:
    """One in a million at one and a half times the noise; the approximation errs to the larger, by a sixth at most."""
    limits = most_chisq(300, 23.8)
    assert limits.shape == (301,)
    assert np.isinf(limits[:2]).all()
    exact = 2.25 * stats.chi2.isf(1e-6, np.arange(1, 300))
    ratio = limits[2:] / exact
    assert (ratio >= 1).all()
    assert ratio[0] < 1.16
    assert (ratio[9:] < 1.03).all()
    np.testing.assert_array_equal(most_chisq(4, 1e9)[2:], 1e9)
    assert most_chisq(1, 23.8).shape == (3,)


@pytest.mark.skipif(INTERPRETED, reason="too large to interpret")
@EACH
@pytest.mark.parametrize("ngroups", [4, 6, 30])
def test_read_noise_a_fifth_too_low_costs_no_pixels(pattern: Pattern, ngroups: int) -> None:
    """A read-noise-limited image, whose chi-squares are all half as large again as they should be."""
    case, _ = simulated(pattern, ngroups, 1, 240_000 // ngroups, 0.05, 0.0, (1, 2))
    for share, most in ((1.0, 0.0), (0.8, 1e-4)):
        fit = fit_kernel(case.but(readnoise=case.readnoise * np.float32(share)), joint=True)
        assert ((fit.rate["dq"] & DO_NOT_USE) != 0).mean() <= most


@pytest.mark.skipif(INTERPRETED, reason="too large to interpret")
@EACH
@pytest.mark.parametrize("ngroups", [4, 6, 12])
def test_clean_ramps_are_fitted_as_by_the_plain_fit(pattern: Pattern, ngroups: int) -> None:
    """Bias, pull and chi-square are right, false jumps as rare as the thresholds say, and nothing is refused."""
    rate, npixels = 3.0, 40_000
    case, _ = simulated(pattern, ngroups, 1, npixels, rate, 0.0, (1, 2))
    fit = fit_kernel(case, joint=True)
    pull = (fit.rate["data"] - rate) / fit.rate["err"]
    assert abs(pull.mean()) < 5 / np.sqrt(npixels)
    assert abs(pull.std() - 1) < 5 / np.sqrt(2 * npixels)
    degrees = fit.rate["dof"]
    assert abs((fit.rate["chisq"] - degrees).mean()) < 5 * np.sqrt(2 * (ngroups - 2) / npixels)
    assert ((fit.groupdq & JUMP) != 0).mean() < 4e-5
    assert not (fit.rate["dq"] & DO_NOT_USE).any()
