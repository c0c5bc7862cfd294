"""Least squares with any weights at any times, against closed forms in double precision."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from rampfit_numba import Exposure, FitOptions, RampFitWarning, fit_ramps
from rampfit_numba.cli import main
from rampfit_numba.options import parse_weighting
from tests.cases import plain, run_engine
from tests.compare import Comparison
from tests.make_files import ramp_hdulist, save
from tests.naive.ols.general import OPTIMAL
from tests.naive.ols.general import fit_general_tile as closed_form
from tests.random_exposures import random_case
from tests.sizes import INTERPRETED, fewer

DO_NOT_USE, SATURATED, JUMP, CHARGELOSS = 1, 2, 4, 128
WEIGHTINGS = ("optimal", "uniform", "interpolated", 0.7, 3.0, ((8.0, 2.0), (30.0, 0.5)))
NOISE, GAIN = 9.0, 1.7
UNEVEN = [[2.0], [4.0, 6.0], [8.0, 10.0, 12.0, 14.0], [20.0], [22.0, 24.0], [40.0, 42.0, 44.0, 46.0], [50.0]]


def even(ngroups, nframes=1, groupgap=0, frame_time=2.0):
    return [[(j + 1 + g * (nframes + groupgap)) * frame_time for j in range(nframes)] for g in range(ngroups)]


def simulated(times, rate, npixels, seed=1, nints=1):
    """Return ramps in DN whose photons arrive from frame to frame."""
    rng = np.random.default_rng(seed)
    frames = np.concatenate(times)
    arrived = rng.poisson(rate * GAIN * np.diff(frames, prepend=0)[:, None, None], (nints, frames.size, 1, npixels))
    reads = arrived.cumsum(axis=1) / GAIN + rng.normal(0, NOISE / np.sqrt(2), arrived.shape)
    edges = np.cumsum([0, *map(len, times)])
    return np.stack([reads[:, a:b].mean(axis=1) for a, b in pairwise(edges)], axis=1)


def exposure_of(data, times, flags=None, **options):
    steps = [np.mean(b) - np.mean(a) for a, b in pairwise(times)]
    return Exposure(data, flags, float(steps[0]), read_times=times, **options)


@pytest.mark.kernel
@pytest.mark.parametrize("weighting", WEIGHTINGS, ids=str)
@pytest.mark.parametrize(
    "times", [UNEVEN, UNEVEN[:3], UNEVEN[1:3], even(9), even(6, 4, 2), even(3)], ids=lambda t: f"{len(t)} groups"
)
def test_closed_forms(times, weighting):
    """Rate and both variances of ramps of one segment."""
    for rate in (0.5, 8.0, 60.0, 900.0):
        npixels = fewer(40, 3)
        data = simulated(times, rate, npixels, seed=int(10 * rate)).astype(np.float32)
        fit = fit_ramps(exposure_of(data, times), NOISE, GAIN, weighting=weighting, errors="weights")
        mean = np.array([np.mean(group) for group in times])
        for pixel in range(npixels):
            samples = data[0, :, 0, pixel].astype(float)
            median = np.median(np.diff(samples) / np.diff(mean))
            slope, of_photon, of_read = closed_form(samples, times, weighting, max(median, 0) / GAIN, NOISE, GAIN)
            assert fit.rate.data[0, pixel] == pytest.approx(slope, rel=2e-6, abs=1e-6)
            assert fit.rate.var_poisson[0, pixel] == pytest.approx(of_photon, rel=1e-5, abs=1e-12)
            assert fit.rate.var_rnoise[0, pixel] == pytest.approx(of_read, rel=1e-5)
            assert fit.rate.err[0, pixel] == pytest.approx(np.sqrt(of_photon + of_read), rel=1e-5)


@pytest.mark.kernel
def test_the_pipelines_weights_on_the_general_path():
    """Flags, segments, integrations and the pipeline's errors of random exposures: as on the path of their own.

    But for variances of a million (DN/s)^2 and more, which count as none in the pipeline, so that rates become 0.
    """
    comparison, large = Comparison(), 0
    for seed in range(fewer(150, 12)):
        case = random_case(seed, largest_size=fewer(20_000, 300), small=INTERPRETED).copy(save_opt=False)
        case.groupdq[...] &= 0xFF ^ CHARGELOSS
        case.readnoise[~np.isfinite(case.readnoise)] = 0
        case.gain[np.isinf(case.gain)] = 0
        wanted = plain(run_engine(case))
        got = plain(run_engine(case, weighting=OPTIMAL, errors="reference"))
        for one, other in ((wanted.rate, got.rate), (wanted.rateints, got.rateints)):
            np.testing.assert_array_equal(one["dq"], other["dq"])
            with np.errstate(invalid="ignore"):
                cut = (other["var_poisson"] >= 1e6) | (other["var_rnoise"] >= 1e6) | (other["err"] >= 1e3)
            large += int(cut.sum())
            for name in ("data", "err", "var_poisson", "var_rnoise"):
                one[name] = np.where(cut, other[name], one[name])
        failures = comparison.add(case, wanted, got)
        assert not failures, (case.label, failures[:5])
    assert large < 0.01 * (comparison.ramps + comparison.pixels)


@pytest.mark.kernel
def test_several_segments_and_integrations():
    """Pieces between jumps and lost groups are weighted by their unweighted read noise."""
    times = UNEVEN
    data = simulated(times, 20.0, 1, nints=2).astype(np.float32)
    data[0, 3:] += 500
    flags = np.zeros(data.shape, np.uint8)
    flags[0, 3], flags[1, 4], flags[1, 6] = JUMP, DO_NOT_USE, SATURATED
    fit = fit_ramps(exposure_of(data, times, flags), NOISE, GAIN, weighting="uniform")
    mean, reads = np.array([np.mean(group) for group in times]), np.array([len(group) for group in times], float)
    rates = []
    for i, lost in ((0, [3]), (1, [4, 5, 6])):
        d = np.diff(data[i, :, 0, 0].astype(float)) / np.diff(mean)
        rates.append(np.median([v for k, v in enumerate(d) if k + 1 not in lost]))
    photon = np.mean(rates) / GAIN
    pieces = [(0, slice(0, 3)), (0, slice(3, 7)), (1, slice(0, 4))]
    found = []
    for i, where in pieces:
        n, t = reads[where], mean[where]
        weight = (n * (t - (n * t).sum() / n.sum()) ** 2).sum() / (NOISE**2 / 2)
        found.append(
            (weight, *closed_form(data[i, where, 0, 0].astype(float), times[where], "uniform", photon, NOISE, GAIN))
        )
    for kind, rows in ((fit.rate, found), (fit.rateints, found[:2])):
        weight, slope, of_photon, of_read = np.array(rows).T
        share = weight / weight.sum()
        assert kind.data.ravel()[0] == pytest.approx(share @ slope, rel=1e-5)
        assert kind.var_poisson.ravel()[0] == pytest.approx(share**2 @ of_photon, rel=1e-5)
        assert kind.var_rnoise.ravel()[0] == pytest.approx(share**2 @ of_read, rel=1e-5)
    assert fit.rate.dq.item() == JUMP | SATURATED


@pytest.mark.kernel
def test_one_good_group_at_uneven_times():
    """Signal over time since the reset."""
    flags = np.full((1, 3, 1, 1), DO_NOT_USE, np.uint8)
    flags[0, 1] = 0
    data = np.array([0, 70.0, 0]).reshape(1, 3, 1, 1)
    exposure = Exposure(data, flags, 1.0, read_times=[2.0, [6.0, 8.0], 30.0])
    fit = fit_ramps(exposure, NOISE, GAIN, suppress_one_group=False)
    assert float(fit.rate.data[0, 0]) == pytest.approx(10.0)
    assert float(fit.rate.var_rnoise[0, 0]) == pytest.approx(NOISE**2 / 2 / 2 / 49)
    with pytest.warns(RampFitWarning, match="no ramp has a valid fit"):
        assert np.isnan(fit_ramps(exposure, NOISE, GAIN).rate.data).all()
    single = Exposure(data[:, 1:2], None, 1.0, read_times=[[6.0, 8.0]])
    assert float(fit_ramps(single, NOISE, GAIN, weighting="uniform").rate.data[0, 0]) == pytest.approx(10.0)


@pytest.mark.skipif(INTERPRETED, reason="too large to interpret")
@pytest.mark.parametrize("times", [even(12), even(8, 4, 1), UNEVEN, UNEVEN[:2], UNEVEN[:3]], ids=lambda t: str(len(t)))
@pytest.mark.parametrize("weighting", ["uniform", "interpolated", "optimal", 2.0])
def test_pulls(times, weighting):
    """Errors that follow the weights are right, whatever these are."""
    npixels = 40_000
    for rate in (5.0, 100.0, 2000.0):
        fit = fit_ramps(
            exposure_of(simulated(times, rate, npixels), times), NOISE, GAIN, weighting=weighting, errors="weights"
        )
        pull = (fit.rate.data - rate) / fit.rate.err
        # With a few differences, their median is a noisy estimate of the photon noise.
        assert 0.98 < pull.std() < (1.02 if rate > 50 else 1.05), rate


@pytest.mark.kernel
def test_optimal_weights_of_even_times_are_the_pipelines_to_the_bit():
    for seed in range(fewer(10, 2)):
        case = random_case(seed, largest_size=fewer(20_000, 300), small=INTERPRETED)
        one, other = (plain(run_engine(case, **options)) for options in ({}, {"errors": "reference"}))
        for name, plane in one.rateints.items():
            np.testing.assert_array_equal(plane, other.rateints[name])


@pytest.mark.kernel
def test_workers_change_no_bit():
    data = simulated(even(9), 20.0, fewer(4000, 20)).reshape(1, 9, 4, -1)
    exposure = Exposure(data, None, 2.0)
    one, two = (
        fit_ramps(exposure, NOISE, GAIN, weighting="interpolated", maximum_cores=n, executor="threads") for n in (1, 2)
    )
    for name in ("data", "err", "var_poisson", "var_rnoise", "dq"):
        np.testing.assert_array_equal(getattr(one.rate, name), getattr(two.rate, name))


# ------------------------------------------------------------------------------------------------------------ options
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"weighting": "flat"}, ValueError, "weighting: expected 'optimal', 'uniform' and 'interpolated', an exponent"),
        ({"weighting": -1}, ValueError, "weighting: expected a finite exponent of 0 or more; got -1"),
        ({"weighting": None}, TypeError, "weighting: expected .* got None"),
        ({"weighting": [1, 2]}, TypeError, "weighting: expected .* pairs"),
        ({"weighting": [(10, 1), (5, 2)]}, ValueError, "weighting: expected rising signal-to-noise ratios"),
        ({"errors": "mine"}, ValueError, "errors: expected 'weights' and 'reference' or None; got 'mine'"),
        (
            {"algorithm": "likely", "weighting": "uniform"},
            ValueError,
            "weighting: only 'ols' weights groups",
        ),
        ({"algorithm": "likely", "errors": "weights"}, ValueError, "errors: only 'ols' knows several"),
    ],
)
def test_options_that_cannot_be(options, error, message):
    with pytest.raises(error, match=message):
        FitOptions(**options)


def test_what_the_general_fit_does_not_offer():
    exposure = Exposure(np.zeros((1, 5, 2, 2)), None, 1.0)
    with pytest.raises(ValueError, match="save_opt: the optional results are those of the pipeline's fit"):
        fit_ramps(exposure, NOISE, GAIN, weighting="uniform", save_opt=True)
    uneven = Exposure(np.zeros((1, 3, 2, 2)), None, 1.0, read_times=[1, 2, 9])
    with pytest.raises(ValueError, match="errors: 'reference' is defined for evenly spaced groups only"):
        fit_ramps(uneven, NOISE, GAIN, errors="reference")


def test_weighting_as_text():
    assert parse_weighting("Uniform") == "uniform"
    assert parse_weighting("2.5") == 2.5
    assert parse_weighting("5:0.4, 10:1") == ((5.0, 0.4), (10.0, 1.0))
    for text in ("flat", "5:", "10:1,5:2", "-1", "nan", ""):
        with pytest.raises(ValueError, match="expected 'optimal'"):
            parse_weighting(text)


def test_command(tmp_path, capsys):
    path = save(ramp_hdulist((1, 6, 5, 7)), tmp_path / "x_jump.fits")
    words = ["fit", str(path), "--readnoise", "9", "--gain", "1.7", "--output-dir", str(tmp_path / "out")]
    assert main([*words, "--weighting", "5:0.4,10:1", "--errors", "weights"]) == 0
    assert "Using algorithm = ols, weighting = ((5.0, 0.4), (10.0, 1.0))" in capsys.readouterr().err
    assert main([*words, "--weighting", "flat"]) == 2
    assert "--weighting: expected 'optimal', 'uniform' and 'interpolated'" in capsys.readouterr().err


@pytest.mark.kernel
def test_the_example_of_the_docs_runs():
    text = (Path(__file__).resolve().parents[1] / "docs" / "weighting.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    names = {}
    exec(code.replace("32, 32", f"{fewer(32, 3)}, 3"), names)  # noqa: S102  (our own text)
    assert (names["uniform"].rate.data != names["pipeline"].rate.data).any()
