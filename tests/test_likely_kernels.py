"""The likelihood kernels against dense matrices, sorted lists, and the naive oracle."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy import linalg, stats

from rampfit_numba import Exposure, fit_ramps
from rampfit_numba.algorithms.likely import rows
from rampfit_numba.algorithms.likely.thresholds import thresholds
from rampfit_numba.algorithms.median_network import middle_network
from rampfit_numba.algorithms.read_pattern import even_read_times, read_pattern
from rampfit_numba.kernels._jit import LANES, jit_entry
from rampfit_numba.kernels.likely.differences import list_finite, list_used, middle
from rampfit_numba.kernels.vectors import (
    WIDTH,
    anywhere,
    load,
    load_difference,
    load_single,
    load_unset,
    root,
    select,
    spread,
    store,
    store_single,
)
from tests.likely_cases import assert_agree, assert_same_bits, differing, fit_kernel, one_ramp
from tests.naive import naive_likely
from tests.naive.likely.covariance import Times
from tests.random_likely import random_likely_case
from tests.sizes import fewer

pytestmark = pytest.mark.kernel

SLOW_DIGITS = 1e-9


# ------------------------------------------------------------------------------------------------- tables and numbers


def test_read_pattern_of_the_golden_file() -> None:
    text = (Path(__file__).parent / "data" / "likely_examples.json").read_text(encoding="utf-8")
    for example in json.loads(text)["examples"]:
        if "pattern" not in example:
            continue
        wanted = example["pattern"]
        found = read_pattern(wanted["read_times_used"])
        np.testing.assert_array_equal(found.reads, wanted["n_reads"])
        for name in ("mean_t", "tau", "delta_t", "alpha_read", "beta_read", "alpha_photon", "beta_photon"):
            np.testing.assert_allclose(getattr(found, name), wanted[name], rtol=1e-13, atol=1e-16, err_msg=name)


def test_read_pattern_is_that_of_the_frames() -> None:
    """Coefficients of differences are those of the covariance of single frames, averaged."""
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.uniform(0.5, 3, 40)).reshape(10, 4)
    groups = [list(row[: 1 + g % 4]) for g, row in enumerate(times)]
    found, dense = read_pattern(groups), Times(groups)
    np.testing.assert_allclose(found.alpha_photon, np.diag(dense.photon), rtol=1e-12)
    np.testing.assert_allclose(found.alpha_read, np.diag(dense.read), rtol=1e-12)
    np.testing.assert_allclose(found.beta_photon, np.diag(dense.photon, 1), rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(found.beta_read, np.diag(dense.read, 1), rtol=1e-12)


def test_split_first_group() -> None:
    even = even_read_times(5, 2.0, nframes=4, groupgap=1)
    split = read_pattern(even, split_first=True)
    np.testing.assert_array_equal(split.reads, [1, 3, 4, 4, 4, 4])
    assert split.mean_t[0] == 2.0
    assert split.mean_t[1] == 6.0
    np.testing.assert_array_equal(even_read_times(2, 2.0, 2, 0, drop_frames1=3), [[8.0, 10.0], [12.0, 14.0]])


@pytest.mark.parametrize("z", [0.5, 3.0, 4.5, 8.0, 37.0])
def test_thresholds(z: float) -> None:
    one, two = thresholds(z)
    assert one == z * z
    assert two == pytest.approx(stats.chi2.isf(stats.norm.sf(z) * 2, 2), rel=1e-9)


def test_thresholds_at_the_ends() -> None:
    assert thresholds(None) == (20.25, 23.8)
    assert thresholds(40.0) == (1600.0, 1610.0)
    assert thresholds(0.0) == (0.0, 0.0)


# ------------------------------------------------------------------------------------------------- vectors


@jit_entry
def _use_vectors(  # noqa: PLR0917
    numbers, singles, others, flags, out, out_single
):
    a, b = load(numbers, 0), load_single(singles, 0)
    c = load_difference(others, singles, 0)
    unset = load_unset(flags, 0, np.uint8(5))
    store(out, 0, (a + b) * 2.0 - c / (1.0 - a))
    store(out, WIDTH, select(unset & (a > b), root(a), spread(-1)))
    store(out, 2 * WIDTH, select(a >= 3, a, 3 * b))
    store_single(out_single, 0, a / 3.0)
    return anywhere(a < b), anywhere(a == 0.03), anywhere(a < -100)


def test_vectors() -> None:
    rng = np.random.default_rng(2)
    a = np.round(rng.normal(0, 9, WIDTH), 1)
    b, c = (rng.normal(0, 1e3, WIDTH).astype(np.float32) for _ in range(2))
    flags = rng.integers(0, 8, WIDTH).astype(np.uint8)
    out, single = np.zeros(3 * WIDTH), np.zeros(WIDTH, np.float32)
    a[0], b[0], a[1] = -7.0, 3.0, 0.0
    with np.errstate(all="ignore"):
        found = _use_vectors(a, b, c, flags, out, single)
        expected = (a + b) * 2.0 - (c - b).astype(float) / (1.0 - a)
        chosen = np.where(((flags & 5) == 0) & (a > b), np.sqrt(a), -1.0)
    np.testing.assert_array_equal(out, [*expected, *chosen, *np.where(a >= 3, a, 3 * b.astype(float))])
    np.testing.assert_array_equal(single, (a / 3.0).astype(np.float32))
    assert found == (True, False, False)
    assert LANES % WIDTH == 0


@jit_entry
def _median_of_finite(difference, count, network, values, out):
    store(out, 0, middle(values, count, network, list_finite(difference, count, values)))


@jit_entry
def _median_of_used(  # noqa: PLR0917
    difference, used, count, network, values, out
):
    store(out, 0, middle(values, count, network, list_used(difference, used, count, values, 0, spread(np.inf))))


@pytest.mark.parametrize("count", [3, 4, 5, 8, 19, 64])
@pytest.mark.parametrize("chance", [0.0, 0.3, 0.7, 1.0])
def test_medians(count: int, chance: float) -> None:
    rng = np.random.default_rng(count)
    network = middle_network(count)
    for _ in range(fewer(20, 2)):
        d = np.round(rng.normal(0, 3, (count, WIDTH)), 1)
        used = (rng.random(d.shape) >= chance).astype(float)
        with np.errstate(all="ignore"):
            counted = np.where(used > 0, d, np.nan)
            expected = [np.median(c[~np.isnan(c)]) if (~np.isnan(c)).any() else np.nan for c in counted.T]
            values, found, flat = np.empty(d.size), np.empty(WIDTH), d.ravel().copy()
            _median_of_used(flat, used.ravel(), count, network, values, found)
            np.testing.assert_array_equal(found, expected)
            np.testing.assert_array_equal(flat, d.ravel())
            infinite = np.where(used > 0, d, np.inf).ravel()
            _median_of_finite(infinite, count, network, values, found)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(infinite.reshape(d.shape), np.where(used > 0, d, 0))


# ------------------------------------------------------------------------------------------------- fits


@pytest.mark.parametrize("joint", [False, True], ids=["likely", "likely_joint"])
def test_random_ramps_against_the_oracle(joint: bool) -> None:
    """Every plane of exposures with every flag and bad value; ramps that are left out are counted, and few.

    Left out are close decisions, which hinge on rounding, and for `likely` ramps with fewer than four used differences;
    so in most exposures most of the flags are taken away. The exposures are counted together: a single one of four
    groups is left out whole.
    """
    ramps = hinging = excused = 0
    for seed in range(0, 120, 120 // fewer(120, 15)):
        case = random_likely_case(seed, small=True)
        if joint and seed % 3 == 0:
            case = case.but(pedestal=(100.0, 5.0))
        if not joint and seed % 6:
            case = case.but(groupdq=case.groupdq * (np.random.default_rng(seed).random(case.groupdq.shape) < 0.1))
        expected, hinges = naive_likely(case, joint=joint)
        found = fit_kernel(case, joint=joint)
        # Three differences are as good as four for an oracle without rounding errors of its own.
        close = (hinges.margin < 1e-6) | ((hinges.used < 4) & (not joint)) | (hinges.cancelled < SLOW_DIGITS)
        ramps, hinging = ramps + close.size, hinging + int((hinges.margin < 1e-6).sum())
        excused += int(close.sum())
        if joint:
            close[:] = close.any(axis=0)
        for name, where in differing(expected, found).items():
            skip = close.any(axis=0) if name.startswith("rate.") else close
            skip = np.broadcast_to(close[:, None], where.shape) if name == "groupdq" else skip
            assert not (where & ~skip).any(), (case.label, name, np.argwhere(where & ~skip)[:3])
    assert hinging <= 0.05 * ramps
    assert excused <= (0.05 if joint else 0.3) * ramps


@pytest.mark.parametrize("seed", range(600, 606))
def test_median_without_a_network(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a great many differences the median is found pixel by pixel: the same to the bit."""
    case = random_likely_case(seed, small=True).but(pedestal=(100.0, 5.0))
    with_network = fit_kernel(case, joint=True)
    monkeypatch.setattr(rows, "LONGEST_NETWORK", 0)
    assert_same_bits(with_network, fit_kernel(case, joint=True))


@pytest.mark.parametrize("seed", range(606, 612))
@pytest.mark.parametrize("joint", [False, True])
def test_blocks_of_fewer_pixels(seed: int, joint: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a great many integrations a block has fewer pixels: the same to the bit."""
    case = random_likely_case(seed)
    as_many_as_there_are = fit_kernel(case, joint=joint)
    monkeypatch.setattr(rows, "MOST_SAMPLES", 1)
    assert_same_bits(as_many_as_there_are, fit_kernel(case, joint=joint))


@pytest.mark.parametrize("joint", [False, True])
def test_memory_of_many_integrations_follows_the_pixels(joint: bool) -> None:
    """A whole block of them would take ten times as much."""
    nints, ngroups, ncols = fewer(20_000, 2_000), 6, 16
    ramp = 100 + 20 * np.arange(ngroups, dtype=np.float32)[:, None, None]
    exposure = Exposure(np.broadcast_to(ramp, (nints, ngroups, 1, ncols)).copy(), None, 3.0)
    algorithm = "likely_joint" if joint else "likely"
    fit_ramps(Exposure(exposure.data[:2], None, 3.0), 10.0, 2.0, algorithm=algorithm)  # to compile takes more
    tracemalloc.start()
    try:
        fit_ramps(exposure, 10.0, 2.0, algorithm=algorithm)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 400 * nints * ncols  # bytes, of which those of the joint fit are independent of the pixels


def test_many_integrations_need_no_memory() -> None:
    """A network for all of their differences would take gigabytes."""
    fit_kernel(one_ramp(np.tile(100 + 20.0 * np.arange(50), (2, 1)), noise=10.0), joint=True)  # to compile takes more
    tracemalloc.start()
    try:
        case = one_ramp(np.tile(100 + 20.0 * np.arange(50), (fewer(1000, 90), 1)), noise=10.0)
        fit = fit_kernel(case, joint=True)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert fit.rate["data"].item() == pytest.approx(20 / case.frame_time)
    assert most < 100 << 20


def banded(times: list[list[float]], rate: float, noise: float, gain: float, used: np.ndarray) -> tuple[float, float]:
    """Return weight and sum of what a banded solver makes of the covariance of uneven or long ramps."""
    pattern = read_pattern(times)
    alpha = rate / gain * pattern.alpha_photon + noise**2 / 2 * pattern.alpha_read
    beta = (rate / gain * pattern.beta_photon + noise**2 / 2 * pattern.beta_read) * used[1:] * used[:-1]
    bands = np.zeros((2, alpha.size))
    bands[0, 1:], bands[1] = beta, alpha
    x = linalg.solveh_banded(bands, np.ones(alpha.size)) * used
    return x, float(x.sum())


@pytest.mark.parametrize("joint", [False, True], ids=["likely", "likely_joint"])
def test_long_ramp(joint: bool) -> None:
    """1500 groups: nothing overflows, and a hit is found."""
    rng = np.random.default_rng(5)
    ngroups, rate, noise, gain = fewer(1500, 60), 40.0, 9.0, 2.0
    steps = rng.poisson(rate * 3.0 * gain, ngroups) / gain
    hit = ngroups // 3
    steps[hit] += 2000
    samples = np.cumsum(steps) + rng.normal(0, noise / np.sqrt(2), ngroups)
    case = one_ramp(samples, noise=noise, gain=gain)
    fit = fit_kernel(case, joint=joint)
    np.testing.assert_array_equal(np.flatnonzero(fit.groupdq), [hit])
    used = np.arange(ngroups - 1) != hit - 1
    value = float(fit.rate["data"][0, 0])
    x, weight = banded(case.times, value, noise, gain, used)
    d = np.diff(case.data[0, :, 0, 0]).astype(float) / 3.0
    assert value == pytest.approx(x @ d / weight, rel=1e-5)
    assert float(fit.rate["err"][0, 0]) == pytest.approx(weight**-0.5, rel=2e-4)
    assert float(fit.rate["chisq"][0, 0]) == pytest.approx(ngroups - 3, abs=6 * np.sqrt(2 * ngroups))
    assert fit.rate["dof"][0, 0] == ngroups - 3


def test_uneven_times_do_not_overflow() -> None:
    """75 differences of a millisecond and 75 of 1000 s, at which the reference gives up."""
    from tests.likely_cases import fit_reference

    times = [[t] for t in np.cumsum([1e-3] * 76 + [1e3] * 75)]
    rng = np.random.default_rng(6)
    samples = 10.0 * np.array(times).ravel() + rng.normal(0, 5, len(times))
    case = one_ramp(samples, noise=7.0, read_times=times)
    assert np.isnan(fit_reference(case).rate["data"]).all()
    expected, _ = naive_likely(case)
    found = fit_kernel(case)
    assert_agree(expected, found)
    assert float(found.rate["data"][0, 0]) == pytest.approx(10.0, abs=5 * float(found.rate["err"][0, 0]))
