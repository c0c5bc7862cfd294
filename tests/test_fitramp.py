"""The interface of Brandt's package: results of the original, a naive oracle, and what its users do with it."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from rampfit_numba import fitramp
from tests.naive.likely import given_differences as naive_fitramp
from tests.naive.likely.covariance import Times
from tests.sizes import INTERPRETED

RESULTS = ("countrate", "uncert", "chisq")
LIMITS = (20.25, 23.8)


@cache
def examples():
    text = (Path(__file__).parent / "data" / "fitramp_examples.json").read_text(encoding="utf-8")
    return json.loads(text)


def original(name, kind, field):
    """Return what the original (commit 4e5f2a0) returned, of the shape of its input or of a row."""
    values = np.array(examples()[name][kind][field], np.float64)
    ndiffs, npix = examples()[name]["ndiffs"], examples()[name]["npix"]
    return values.reshape((ndiffs, npix) if values.size == ndiffs * npix else (npix,))


def inputs(name):
    example = examples()[name]
    diffs = np.array(example["diffs"]).reshape(example["ndiffs"], example["npix"])
    return diffs, fitramp.Covar(example["readtimes"]), np.array(example["sig"])


def assert_as_original(result, name, kind):
    for field in RESULTS:
        # Of chi-squares, the original takes differences of large numbers.
        np.testing.assert_allclose(
            getattr(result, field), original(name, kind, field), rtol=1e-10, atol=1e-9 * (field == "chisq")
        )


def test_the_examples_are_four_patterns_of_300_ramps():
    assert {name: (example["ndiffs"], example["npix"]) for name, example in examples().items()} == {
        "single12": (11, 300),
        "groups8x4": (7, 300),
        "uneven10": (9, 300),
        "few5": (4, 300),
    }


@pytest.mark.kernel
@pytest.mark.parametrize("name", examples())
class TestTheOriginal:
    def test_plain_fit(self, name):
        assert_as_original(fitramp.fit_ramps(*inputs(name)), name, "plain")

    def test_search_and_fit(self, name):
        diffs, covar, sig = inputs(name)
        diffs2use, countrates = fitramp.mask_jumps(diffs, covar, sig)
        np.testing.assert_array_equal(diffs2use, original(name, "jumps", "diffs2use"))
        assert diffs2use.dtype == np.uint8
        assert (diffs2use == 0).sum() >= 4
        np.testing.assert_allclose(countrates, original(name, "jumps", "countrateguess"), rtol=1e-10, atol=1e-10)
        guess = countrates * (countrates > 0)
        result = fitramp.fit_ramps(diffs, covar, sig, diffs2use=diffs2use, countrateguess=guess)
        assert_as_original(result, name, "jumps")

    def test_differences_masked_beforehand(self, name):
        diffs, covar, sig = inputs(name)
        given = original(name, "masked", "given").astype(np.uint8)
        diffs2use, countrates = fitramp.mask_jumps(diffs, covar, sig, diffs2use=given)
        np.testing.assert_array_equal(diffs2use, original(name, "masked", "diffs2use"))
        np.testing.assert_array_equal(given, original(name, "masked", "given"))  # not modified
        guess = countrates * (countrates > 0)
        result = fitramp.fit_ramps(diffs, covar, sig, diffs2use=diffs2use, countrateguess=guess)
        assert_as_original(result, name, "masked")


PATTERNS = {
    "single reads": list(np.arange(1.0, 13.0) * 1.5),
    "groups of four": [list(np.arange(4) * 0.38 + start) for start in np.arange(8) * 1.9 + 0.38],
    "uneven": [[1.0], [2.0, 3.0], [5.0], [9.0, 10.0, 11.0], [30.0], [31.0], [32.0, 33.0]],
    "four reads": [2.0, 4.0, 6.0, 8.0],
}


def make_ramps(times, npix, seed):
    """Return differences with hits, and read noises, of faint to bright pixels."""
    generator = np.random.default_rng(seed)
    groups = [np.atleast_1d(group) for group in times]
    rate = 10 ** generator.uniform(-2, 3, npix)
    sig = generator.uniform(3, 15, npix)
    total, last, values = np.zeros(npix), 0.0, []
    for group in groups:
        reads = np.zeros(npix)
        for t in group:
            total = total + generator.poisson(rate * (t - last))
            total += (generator.random(npix) < 0.01) * generator.exponential(300, npix)
            reads, last = reads + total, t
        values.append(reads / group.size + generator.normal(0, sig / np.sqrt(group.size)))
    return np.diff(values, axis=0), sig


@pytest.mark.kernel
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("masked", [0.0, 0.1], ids=["all", "some masked"])
def test_naive_oracle(pattern, masked):
    """Altogether more than 50,000 ramps; decisions that hinge on rounding are counted and left out."""
    npix = 40 if INTERPRETED else 7000
    times = PATTERNS[pattern]
    counts, sig = make_ramps(times, npix, seed=len(pattern))
    covar = fitramp.Covar(times)
    diffs = counts / covar.delta_t[:, None]
    wanted = np.random.default_rng(7).random(diffs.shape) >= masked
    # With fewer than three differences, the original follows rounding; one that is left needs no decision.
    wanted[:, wanted.sum(axis=0) == 2] = True
    dense = Times([list(np.atleast_1d(group)) for group in times])

    diffs2use, countrates = fitramp.mask_jumps(diffs, covar, sig, diffs2use=wanted)
    expected = naive_fitramp.search_given(dense, diffs.T, sig, wanted.T, LIMITS)
    sure = expected.margin > 1e-9
    assert (~sure).sum() <= npix // 1000
    np.testing.assert_array_equal(diffs2use[:, sure], expected.used.T[:, sure])
    scale = 1e-10 * np.abs(diffs).max(axis=0)
    np.testing.assert_array_equal(np.isnan(countrates), np.isnan(expected.rate))
    sure &= ~np.isnan(countrates)
    assert (np.abs(countrates - expected.rate)[sure] <= scale[sure]).all()

    guess = np.maximum(countrates, 0)
    used = diffs2use.T.astype(bool)
    for guessed, mask in ((guess, used), (None, used), (None, wanted.T)):
        some = mask.any(axis=1) & (np.isfinite(guess) if guessed is not None else True)
        rate = naive_fitramp.mean_guess(diffs.T, mask) if guessed is None else guess
        naive = naive_fitramp.fit_given(naive_fitramp.covariance(dense, np.nan_to_num(rate), sig), diffs.T, mask)
        result = fitramp.fit_ramps(diffs, covar, sig, diffs2use=mask.T, countrateguess=guessed)
        np.testing.assert_allclose(result.uncert[some], naive.err[some], rtol=1e-10)
        assert (np.abs(result.countrate - naive.rate)[some] <= 1e-9 * naive.err[some] + scale[some]).all()
        np.testing.assert_allclose(result.chisq[some], naive.chisq[some], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(result.weights.T[some], naive.weights[some], atol=1e-12)


@pytest.mark.kernel
def test_an_image_gives_what_its_rows_give():
    nrows, ncols = (3, 11) if INTERPRETED else (37, 211)
    times = PATTERNS["groups of four"]
    counts, sig = make_ramps(times, nrows * ncols, seed=1)
    covar = fitramp.Covar(times)
    diffs = (counts / covar.delta_t[:, None]).reshape(-1, nrows, ncols)
    sig = sig.reshape(nrows, ncols)
    used, rates = fitramp.mask_jumps(diffs, covar, sig)
    fitted = fitramp.fit_ramps(diffs, covar, sig, diffs2use=used, countrateguess=rates)
    for cores in (1, 2):
        shared = fitramp.mask_jumps(diffs, covar, sig, maximum_cores=cores)
        np.testing.assert_array_equal(shared[0], used)
        np.testing.assert_array_equal(shared[1], rates)
    for i in range(nrows):
        row_used, row_rates = fitramp.mask_jumps(diffs[:, i], covar, sig[i])
        np.testing.assert_array_equal(row_used, used[:, i])
        np.testing.assert_array_equal(row_rates, rates[i])
        row = fitramp.fit_ramps(diffs[:, i], covar, sig[i], diffs2use=row_used, countrateguess=row_rates)
        for field in RESULTS:
            np.testing.assert_array_equal(getattr(row, field), getattr(fitted, field)[i])
        np.testing.assert_array_equal(row.weights, fitted.weights[:, i])


@pytest.mark.kernel
def test_layouts_types_and_read_only_arrays_do_not_matter(tmp_path):
    counts, sig = make_ramps(PATTERNS["single reads"], 50, seed=3)
    covar = fitramp.Covar(PATTERNS["single reads"])
    diffs = (counts / 1.5).astype(np.float32)
    expected = fitramp.mask_jumps(diffs, covar, sig)
    diffs.astype(">f4").tofile(tmp_path / "diffs")
    mapped = np.memmap(tmp_path / "diffs", ">f4", "r", 0, diffs.shape)
    frozen = diffs.copy()
    frozen.flags.writeable = False
    for same in (diffs.astype(np.float64), np.asfortranarray(diffs), mapped, frozen, diffs[:, ::-1].copy()[:, ::-1]):
        found = fitramp.mask_jumps(same, covar, sig)
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.kernel
def test_masked_differences_may_be_anything():
    covar = fitramp.Covar([1, 2, 3, 4, 5, 6])
    diffs = np.array([[20.0], [21.0], [np.nan], [19.0], [np.inf]])
    used, rate = fitramp.mask_jumps(diffs, covar, 5.0)
    assert used[:, 0].tolist() == [1, 1, 0, 1, 0]
    result = fitramp.fit_ramps(diffs, covar, 5.0, diffs2use=used, countrateguess=rate)
    assert np.isfinite([result.countrate, result.uncert, result.chisq]).all()
    assert np.isnan(fitramp.fit_ramps(diffs, covar, 5.0).countrate).all()  # nobody said that it is to be left out


@pytest.mark.kernel
def test_without_any_difference_there_is_no_rate():
    covar = fitramp.Covar([1, 2, 3, 4, 5])
    result = fitramp.fit_ramps(np.ones((4, 1)), covar, 5.0, countrateguess=1.0, diffs2use=np.zeros((4, 1)))
    assert np.isnan(result.countrate).all()
    assert np.isinf(result.uncert).all()


@pytest.mark.kernel
def test_a_huge_negative_guess_has_no_covariance():
    result = fitramp.fit_ramps(np.ones((4, 1)), fitramp.Covar([1, 2, 3, 4, 5]), 5.0, countrateguess=-1e6)
    assert np.isnan(result.countrate).all()


@pytest.mark.kernel
def test_thresholds_are_used():
    diffs = np.full((9, 1), 20.0)
    diffs[4] += 60
    covar = fitramp.Covar(range(10))
    assert fitramp.mask_jumps(diffs, covar, 6.0)[0].all() == False  # noqa: E712
    assert fitramp.mask_jumps(diffs, covar, 6.0, threshold_oneomit=1e4, threshold_twoomit=1e4)[0].all()


def test_fields_that_are_not_offered_are_none():
    result = fitramp.fit_ramps(np.ones((4, 1)), fitramp.Covar([1, 2, 3, 4, 5]), 5.0)
    names = ["pedestal", "uncert_pedestal", "covar_countrate_pedestal"]
    names += [f"{kind}_{omit}" for kind in ("countrate", "chisq", "uncert") for omit in ("oneomit", "twoomit")]
    names += ["jumpval_oneomit", "jumpsig_oneomit"]
    assert all(getattr(result, name) is None for name in names)


def test_covar_has_the_fields_of_the_original():
    times = [[1.0], [2.0, 3.0], [5.0], [9.0, 10.0, 11.0]]
    covar, dense = fitramp.Covar(times), Times(times)
    np.testing.assert_allclose(covar.delta_t, dense.dt)
    np.testing.assert_allclose(covar.alpha_phnoise, np.diag(dense.photon))
    np.testing.assert_allclose(covar.beta_phnoise, np.diag(dense.photon, 1), atol=1e-15)
    np.testing.assert_allclose(covar.alpha_readnoise, np.diag(dense.read))
    np.testing.assert_allclose(covar.beta_readnoise, np.diag(dense.read, 1))
    assert covar.Nreads.tolist() == [1, 2, 1, 3]
    np.testing.assert_allclose(covar.mean_t, [1, 2.5, 5, 10])
    np.testing.assert_allclose(covar.tau, [1, 2.25, 5, 86 / 9])
    assert covar.pedestal is False
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(covar)).delta_t, covar.delta_t)  # noqa: S301


COVAR = fitramp.Covar([1, 2, 3, 4, 5])
DIFFS = np.ones((4, 6))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: fitramp.Covar([1, 2, 3], pedestal=True), NotImplementedError, "pedestal: expected False"),
        (lambda: fitramp.Covar([1, 2, 3], True), NotImplementedError, "pedestal: expected False"),
        (lambda: fitramp.Covar([1]), ValueError, "read_times: expected two groups or more.*got 1"),
        (lambda: fitramp.Covar([1, 3, 2]), ValueError, "read_times: group 2: expected times rising"),
        (lambda: fitramp.Covar([1, np.nan, 2]), ValueError, "read_times: group 1: expected finite"),
        (lambda: fitramp.Covar([[1, 2], []]), ValueError, "read_times: group 1: expected finite.*at least one"),
        (lambda: fitramp.Covar("ab"), TypeError, "read_times: expected numbers"),
        (lambda: fitramp.Covar(3.0), TypeError, "read_times: expected numbers"),
        (
            lambda: fitramp.fit_ramps(DIFFS, COVAR, 5.0, detect_jumps=True),
            NotImplementedError,
            "detect_jumps: expected",
        ),
        (lambda: COVAR.calc_bias([1], 5, [1]), NotImplementedError, "calc_bias: not offered"),
        (lambda: fitramp.fit_ramps(DIFFS[:3], COVAR, 5.0), ValueError, "diffs: expected 4 differences.*got shape \\(3"),
        (lambda: fitramp.fit_ramps(DIFFS[0], COVAR, 5.0), ValueError, "diffs: expected shape \\(ndiffs, npix\\)"),
        (lambda: fitramp.fit_ramps(np.ones((4, 0)), COVAR, 5.0), ValueError, "diffs: expected shape"),
        (lambda: fitramp.fit_ramps(DIFFS * 1j, COVAR, 5.0), TypeError, "diffs: expected an array of real"),
        (lambda: fitramp.fit_ramps(DIFFS, [1, 2], 5.0), TypeError, "Cov: expected a rampfit_numba.fitramp.Covar; got"),
        (lambda: fitramp.fit_ramps(DIFFS, COVAR, np.ones(5)), ValueError, "sig: expected a number or shape \\(6,\\)"),
        (lambda: fitramp.fit_ramps(DIFFS, COVAR, 5.0, np.ones(5)), ValueError, "countrateguess: expected a number"),
        (lambda: fitramp.fit_ramps(DIFFS, COVAR, 5.0, diffs2use=np.ones((6, 4))), ValueError, "diffs2use: expected 0"),
        (lambda: fitramp.fit_ramps(DIFFS, COVAR, 5.0, diffs2use=DIFFS * 1j), ValueError, "diffs2use: expected 0"),
        (lambda: fitramp.mask_jumps(DIFFS, COVAR, 5.0, "high"), TypeError, "threshold_oneomit: expected a number"),
        (lambda: fitramp.mask_jumps(DIFFS, COVAR, 5.0, np.nan), ValueError, "threshold_oneomit: expected a number"),
        (lambda: fitramp.mask_jumps(DIFFS, COVAR, 5.0, maximum_cores="many"), ValueError, "maximum_cores: expected"),
        (lambda: fitramp.getramps(1, 2, [3]), AttributeError, "getramps is not offered; rampfit_numba.simulate"),
        (lambda: fitramp.anything, AttributeError, "no attribute 'anything'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(call, kind, message):
    with pytest.raises(kind, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_weights_are_those_of_the_fit_even_if_its_arrays_are_filled_anew():
    diffs, covar, sig = inputs("single12")
    used = fitramp.mask_jumps(diffs, covar, sig)[0]
    expected = fitramp.fit_ramps(diffs, covar, sig, diffs2use=used).weights
    again = fitramp.fit_ramps(diffs, covar, sig, diffs2use=used)
    diffs[...], sig[...], used[...] = 1, 1, 0
    np.testing.assert_array_equal(again.weights, expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(again)).weights, expected)  # noqa: S301


def test_inputs_are_not_modified():
    diffs, covar, sig = inputs("single12")
    guess, used = np.ones(sig.size), np.ones(diffs.shape, np.uint8)
    before = [array.copy() for array in (diffs, sig, guess, used)]
    fitramp.mask_jumps(diffs, covar, sig, diffs2use=used)
    fitramp.fit_ramps(diffs, covar, sig, guess, used).weights.sum()
    for array, copy in zip((diffs, sig, guess, used), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.skipif(INTERPRETED, reason="another process compiles")
def test_the_documented_import_works_in_a_new_process():
    code = (
        "from rampfit_numba import fitramp; import numpy as np;"
        "print(fitramp.fit_ramps(np.ones((4, 1)), fitramp.Covar(range(5)), 5.0).countrate)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[1.]"
