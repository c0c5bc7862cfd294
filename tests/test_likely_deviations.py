"""Where the likelihood fit differs from the reference on purpose, and what `likely_joint` does otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from tests.likely_cases import (
    LikelyFit,
    assert_agree,
    assert_same_bits,
    fit_kernel,
    fit_reference,
    one_ramp,
)
from tests.naive import naive_likely

pytestmark = pytest.mark.kernel

DO_NOT_USE, SATURATED, JUMP, NO_GAIN = 1, 2, 4, 1 << 19
LINE = 100 + 20.0 * 3 * np.arange(12)


def noisy(seed: int, ngroups: int = 12, rate: float = 20.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 100 + np.cumsum(rng.poisson(rate * 6, ngroups) / 2) + rng.normal(0, 8 / np.sqrt(2), ngroups)


def value(fit: LikelyFit, name: str = "data") -> float:
    return float(fit.rate[name][0, 0])


# ------------------------------------------------------------------------------------------------- likely


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("flags", [0, SATURATED, JUMP])
def test_t2_not_finite_is_a_flagged_group(bad: float, flags: int) -> None:
    samples, bits = noisy(1), np.zeros(12, np.uint8)
    samples[5], bits[5] = bad, flags
    case = one_ramp(samples, flags=bits)
    assert np.isnan(value(fit_reference(case)))
    fit = fit_kernel(case)
    assert_agree(naive_likely(case)[0], fit)
    assert value(fit) == pytest.approx(20, abs=5 * value(fit, "err"))
    assert value(fit, "dof") == 8


def test_t2_nothing_finite() -> None:
    fit = fit_kernel(one_ramp(np.full(12, np.nan)))
    assert np.isnan(value(fit))
    assert value(fit, "dq") == DO_NOT_USE
    assert not fit.groupdq.any()


def test_t3_two_differences_that_disagree_both_stay() -> None:
    """With two, nothing tells which is wrong: the reference drops one or the other or both, as rounding has it."""
    for flags in ([0, 0, 0, *[1] * 9], [0, 0, 1, 1, 0, 0, *[1] * 6]):
        samples = LINE.copy()
        samples[2:] += 5000
        if flags[2]:
            samples[5:] += 5000
        fit = fit_kernel(one_ramp(samples, flags=flags))
        assert not (fit.groupdq & JUMP).any()
        assert value(fit, "dof") == 1
        assert value(fit, "chisq") > 100


def test_t5_of_equal_jumps_the_first_goes_first() -> None:
    samples = 100 + 20.0 * np.arange(12)
    samples[4:] += 500
    samples[8:] += 500
    tie = one_ramp(samples, noise=0, frame_time=1.0)
    fit, reference = fit_kernel(tie), fit_reference(tie)
    np.testing.assert_array_equal(fit.groupdq.ravel().nonzero()[0], [4, 8])
    near = one_ramp(np.where(np.arange(12) >= 8, samples + 1, samples), noise=0, frame_time=1.0)
    assert value(fit, "var_poisson") == pytest.approx(value(fit_kernel(near), "var_poisson"), rel=1e-6)
    assert value(reference, "var_poisson") == pytest.approx(7 * value(fit, "var_poisson"), rel=1e-3)


@pytest.mark.parametrize("noise", [3, 5, 7, 8, 10, 12, 16, 20])
def test_t22_a_vanishing_coupling_stops_nothing(noise: float) -> None:
    """The median is negative, so the guess is 0; the reference finds this jump or not as rounding has it."""
    case = one_ramp([100, 99, 98, 600, 599], noise=noise, frame_time=10.0)
    fit = fit_kernel(case)
    np.testing.assert_array_equal(fit.groupdq.ravel(), [0, 0, 0, JUMP, 0])
    assert value(fit) == pytest.approx(-0.1, abs=1e-6)
    assert_agree(naive_likely(case)[0], fit)
    if noise in {8, 16}:
        assert not fit_reference(case).groupdq.any()


@pytest.mark.parametrize("gain", [0.0, np.nan, -2.0])
def test_useless_gain_as_the_reference(gain: float) -> None:
    case = one_ramp(noisy(3), gain=gain, noise=30.0)
    assert_agree(fit_reference(case), fit_kernel(case))


# ------------------------------------------------------------------------------------------------- likely_joint


def test_jump_flag_costs_one_difference() -> None:
    """Found or flagged before: the same fit (T4)."""
    samples = noisy(4)
    samples[7:] += 400
    found = fit_kernel(one_ramp(samples), joint=True)
    np.testing.assert_array_equal(found.groupdq.ravel().nonzero()[0], [7])
    again = fit_kernel(one_ramp(samples, flags=found.groupdq.ravel()), joint=True)
    assert_same_bits(found, again)
    assert value(found, "dof") == 9
    assert value(fit_kernel(one_ramp(samples, flags=found.groupdq.ravel())), "dof") == 8


def test_masked_differences_are_no_part_of_the_guess() -> None:
    """A clipped plateau makes the median of all differences 0 and good ones look like jumps (T1)."""
    rng = np.random.default_rng(7)
    false = {}
    for joint in (False, True):
        flagged = 0
        for _ in range(40):
            ramp = np.cumsum(rng.poisson(1000 * 2, 10) / 2) + rng.normal(0, 5, 10)
            ramp[4:] = ramp[4]
            case = one_ramp(ramp, flags=[0] * 4 + [SATURATED] * 6, noise=7.0, frame_time=1.0)
            flagged += bool((fit_kernel(case, joint=joint).groupdq & JUMP).any())
        false[joint] = flagged
    assert false[True] == 0
    assert false[False] > 0


def test_pixel_without_a_fit_is_flagged() -> None:
    for flags in ([JUMP] * 12, [0, 1] * 6, [0, *[SATURATED] * 11]):
        fit = fit_kernel(one_ramp(noisy(8), flags=flags), joint=True)
        assert np.isnan(value(fit))
        assert int(fit.rate["dq"][0, 0]) & DO_NOT_USE


@pytest.mark.parametrize("gain", [0.0, np.nan, -2.0, np.inf, -np.inf])
def test_useless_gain_is_flagged(gain: float) -> None:
    fit = fit_kernel(one_ramp(noisy(9), gain=gain), joint=True)
    assert np.isnan(value(fit))
    assert fit.rate["dq"][0, 0] == fit.rateints["dq"][0, 0, 0] == DO_NOT_USE | NO_GAIN


@pytest.mark.parametrize("noise", [0.0, -3.0])
def test_no_read_noise_and_no_signal(noise: float) -> None:
    fit = fit_kernel(one_ramp(np.full(12, 100.0), noise=noise), joint=True)
    assert value(fit) == 0
    assert 0 < value(fit, "err") < 1e-3
    assert fit.rate["dq"][0, 0] == 0


def test_zeroframe_of_zero_cannot_be_used() -> None:
    """It marks a missing value: the reference takes it for a sample (T6)."""
    line = 5000 + 20.0 * (10 * np.arange(8) + 5.5)
    zero = one_ramp(line, nframes=4, groupgap=6, frame_time=1.0, zeroframe=np.zeros((1, 1, 1), np.float32))
    assert (fit_kernel(zero).groupdq & JUMP).any()
    fit = fit_kernel(zero, joint=True)
    assert not fit.groupdq.any()
    assert value(fit) == pytest.approx(20)
    good = zero.but(zeroframe=np.full((1, 1, 1), 5000 + 20 * 4.0, np.float32))
    assert value(fit_kernel(good, joint=True), "dof") == value(fit, "dof") + 2


def test_zeroframe_rescues_a_saturated_first_group() -> None:
    """The reference flags it with the group (T7)."""
    case = one_ramp(
        np.full(8, 60_000.0), flags=SATURATED, nframes=4, frame_time=2.0, zeroframe=np.full((1, 1, 1), 9000, np.float32)
    )
    assert np.isnan(value(fit_kernel(case)))
    fit = fit_kernel(case, joint=True)
    assert value(fit) == pytest.approx(9000 / 2.0)
    assert value(fit, "var_poisson") == pytest.approx(4500 / 2.0 / 2.0, rel=1e-6)
    assert value(fit, "var_rnoise") == pytest.approx(8.0**2 / 2 / 4, rel=1e-6)
    assert fit.rate["dq"][0, 0] == SATURATED
    assert value(fit, "dof") == 0


def test_pedestal_gives_a_rate_to_one_good_group() -> None:
    case = one_ramp(noisy(10), flags=[0, *[SATURATED] * 11], pedestal=(100.0, 12.0))
    fit = fit_kernel(case, joint=True)
    sample = float(case.data[0, 0, 0, 0])
    assert value(fit) == pytest.approx((sample - 100) / 3.0, rel=1e-6)
    photon = max(value(fit), 0) / 2.0 / 3.0
    assert value(fit, "err") ** 2 == pytest.approx(photon + (32 + 144) / 9, rel=1e-5)
    assert np.isnan(value(fit_kernel(case.but(pedestal=None), joint=True)))
    later = one_ramp(noisy(10), flags=[SATURATED, JUMP, 1, 0, *[1] * 8], pedestal=(100.0, 12.0))
    assert np.isnan(value(fit_kernel(later, joint=True)))


def test_one_covariance_for_all_integrations() -> None:
    """Equal integrations: the error falls as the root of their number, and the chi-squares add up."""
    alone, rng = fit_kernel(one_ramp(noisy(11)), joint=True), np.random.default_rng(12)
    four = fit_kernel(one_ramp(np.stack([noisy(11)] * 4)), joint=True)
    assert value(four) == pytest.approx(value(alone), rel=1e-6)
    assert value(four, "err") == pytest.approx(value(alone, "err") / 2, rel=1e-6)
    assert value(four, "chisq") == pytest.approx(4 * value(alone, "chisq"), rel=1e-5)
    assert value(four, "dof") == 4 * 11 - 1
    ramps = np.cumsum(rng.normal(0, 3, (10, 12)), axis=1)
    fit = fit_kernel(one_ramp(ramps), joint=True)
    np.testing.assert_allclose(fit.rateints["err"], fit.rateints["err"][:1].repeat(10, axis=0), rtol=1e-6)
    # The chi-square of all also measures how the rates of the integrations scatter.
    assert value(fit, "chisq") > fit.rateints["chisq"].sum() * (1 - 1e-6)
