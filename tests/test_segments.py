"""Segments in plain units, against the engine's optional results and against dense matrices."""

from __future__ import annotations

import warnings
from itertools import pairwise, product

import numpy as np
import pytest

from rampfit_numba import Exposure, RampFileError, RampFitWarning, find_segments, fit_ramps, read_exposure
from tests.cases import make_exposure, run_engine, with_usable_range
from tests.likely_cases import run_engine as run_likely
from tests.naive.ols.block import find_segments as naive_segments
from tests.naive.ols.general import exponent
from tests.random_exposures import random_case, random_read_times
from tests.random_likely import random_likely_case
from tests.sizes import fewer

D, S, J, P = 1, 2, 4, 32
SEEDS = fewer(120, 12)
WEIGHTINGS = ("optimal", "uniform", "interpolated", 0.7, 3.0, ((8.0, 2.0), (30.0, 0.5)))
#: Read noise of a frame in DN, and e-/DN.
READ, GAIN = 6.0, 1.7
UNEVEN = [[2.0], [4.0, 6.0], [8.0, 10.0, 12.0, 14.0], [20.0], [22.0, 24.0], [40.0, 42.0, 44.0, 46.0], [50.0], [53.0]]


def everywhere(fit):
    """Return the segments of all pixels as plain arrays."""
    _, nrows, ncols = fit.rateints.data.shape
    y, x = (axis.ravel() for axis in np.mgrid[:nrows, :ncols])
    table = fit.segments(x, y)
    return {name: np.asarray(getattr(table[name], "value", table[name])) for name in table.colnames}


def group_times(case):
    """Return the mean time of each group since the reset, and the times of its frames, from scratch."""
    frames = np.arange(1, case.nframes + 1) + case.drop_frames1
    first = case.frame_time * frames
    frame_times = [first + g * np.float64(np.float32(case.group_time)) for g in range(case.data.shape[1])]
    return np.array([times.mean() for times in frame_times]), frame_times


def covariance(frame_times, photon, noise):
    """Return the covariance of group means: photons add up from the first frame on.

    `photon` in DN^2/s, `noise` the variance of one read in DN^2.
    """
    times = np.concatenate(frame_times)
    of_frames = photon * (np.minimum.outer(times, times) - times[0]) + noise * np.eye(times.size)
    mean = np.zeros((len(frame_times), times.size))
    place = 0
    for g, frames in enumerate(frame_times):
        mean[g, place : place + len(frames)] = 1 / len(frames)
        place += len(frames)
    return mean @ of_frames @ mean.T


# ------------------------------------------------------------------------------------------------- ols, the engine
@pytest.mark.parametrize("seed", range(SEEDS))
def test_segments_are_those_of_the_optional_results(seed):
    case = with_usable_range(random_case(seed, small=True))
    fit = run_engine(case, save_opt=True)
    found = everywhere(fit)
    good_pixels = (case.readnoise > 0) & (case.gain > 0)
    place = found["integration"], found["segment"], found["row"], found["column"]
    opt = fit.fitopt
    listed = np.zeros(opt.weights.shape, np.bool_)
    listed[place] = True
    assert np.array_equal(listed & good_pixels, (opt.weights != 0) & good_pixels)

    keep = good_pixels[found["row"], found["column"]]
    found = {name: values[keep] for name, values in found.items()}
    place = found["integration"], found["segment"], found["row"], found["column"]
    variance = opt.var_poisson[place].astype(np.float64) + opt.var_rnoise[place]
    with np.errstate(invalid="ignore"):
        error = np.sqrt(variance)
    np.testing.assert_allclose(found["slope_err"], error, rtol=3e-6)
    scale = np.nan_to_num(error)
    assert np.all(np.abs(found["slope"] - opt.slope[place]) <= 2e-6 * np.abs(opt.slope[place]) + 1e-3 * scale)
    weight = 1 / opt.var_rnoise[place].astype(np.float64)
    total = np.zeros(fit.rateints.data.shape)
    np.add.at(total, (found["integration"], found["row"], found["column"]), weight)
    share = weight / total[found["integration"], found["row"], found["column"]]
    unfitted = np.isnan(fit.rateints.data[found["integration"], found["row"], found["column"]])
    np.testing.assert_allclose(found["weight"], np.where(unfitted, 0, share), rtol=3e-6)
    assert np.all(found["nsamples"] == found["last_group"] - found["first_group"] + 1)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_lines_chi_squares_and_errors_are_those_of_dense_matrices(seed):
    case = with_usable_range(random_case(seed, small=True))
    fit = run_engine(case, save_opt=True)
    found = everywhere(fit)
    mean_t, frame_times = group_times(case)
    for k in range(min(found["row"].size, 60)):
        segment = {name: values[k] for name, values in found.items()}
        i, row, col = segment["integration"], segment["row"], segment["column"]
        if not (case.readnoise[row, col] > 0 and case.gain[row, col] > 0):
            continue
        groups = np.arange(segment["first_group"], segment["last_group"] + 1)
        y = case.data[i, groups, row, col].astype(np.float64)
        if segment["zeroframe"]:
            y[0] = case.zeroframe[i, row, col]
        if len(groups) == 1:
            start = frame_times[0][0] if segment["zeroframe"] else mean_t[groups[0]]
            assert segment["start_time"] == segment["stop_time"] == pytest.approx(start)
            assert segment["chisq"] == segment["dof"] == 0 or np.isnan(segment["slope_err"])
            assert segment["intercept"] + segment["slope"] * start == pytest.approx(y[0], abs=1e-6 * (1 + abs(y[0])))
            continue
        t = mean_t[groups]
        assert (segment["start_time"], segment["stop_time"]) == pytest.approx((t[0], t[-1]))
        # The fitted line goes through the weighted mean; weights are symmetric about the middle.
        w = weights_of(y, float(case.gain[row, col]), float(case.readnoise[row, col]), case.nframes)
        design = np.stack([np.ones_like(t), t], axis=1)
        coefficients = np.linalg.solve(design.T @ (w[:, None] * design), design.T * w)
        tolerance = 1e-7 * np.abs(y).max() * (1 + t[-1] / (t[-1] - t[0]))
        assert segment["intercept"] == pytest.approx(coefficients[0] @ y, rel=1e-6, abs=tolerance + 1e-9)
        var_poisson = np.float64(fit.fitopt.var_poisson[i, segment["segment"], row, col])
        photon = max(var_poisson * np.float32(case.group_time) * (len(groups) - 1), 0)
        noise = np.float64(case.readnoise[row, col]) ** 2 / 2
        if (case.nframes - 1) * case.frame_time >= case.group_time:  # frames that overlap cannot be
            assert segment["intercept_err"] > 0 or np.isnan(segment["slope_err"])
            continue
        matrix = covariance([frame_times[g] for g in groups], photon, noise)
        expected = np.sqrt(coefficients[0] @ matrix @ coefficients[0])
        assert segment["intercept_err"] == pytest.approx(expected, rel=1e-4, nan_ok=True)
        assert segment["dof"] == len(groups) - 2
        if len(groups) == 2 or not segment["slope_err"] > 0:
            continue
        # Residuals of this very fit, with the covariance that residuals of this fit have.
        away = np.eye(len(t)) - design @ coefficients
        residual = away @ (y - y.mean())
        size = len(t) - 2
        values, vectors = np.linalg.eigh(away @ matrix @ away.T)
        chisq = np.sum((vectors[:, -size:].T @ residual) ** 2 / values[-size:])
        assert segment["chisq"] == pytest.approx(chisq, rel=2e-3, abs=1e-6)


def weights_of(y, gain, readnoise, nframes):
    """Return the weights of Fixsen et al. 2000 for one segment."""
    if len(y) == 2:
        return np.ones(2)
    signal = (y[-1] - y[0]) * gain
    variance = (readnoise * gain) ** 2 / (2 * nframes) + signal
    snr = signal / np.sqrt(variance) if signal > 0 and variance > 0 else 0
    power = (0.0, 0.4, 1.0, 3.0, 6.0, 10.0)[sum(snr >= bound * (1 - 1e-9) for bound in (5, 10, 20, 50, 100))]
    middle = (len(y) - 1) / 2
    return np.abs((np.arange(len(y)) - middle) / middle) ** power


@pytest.mark.parametrize("seed", range(fewer(100, 20)))
def test_runs_of_groups_are_those_of_the_slow_implementation(seed):
    from rampfit_numba.segments.ols import find_runs

    rng = np.random.default_rng(seed)
    ngroups = int(rng.integers(1, 14))
    flags = rng.choice(np.array([0, 0, 0, J, D, S, P, J | P, J | D, 64], np.uint8), (40, ngroups))
    ramp, first, last = find_runs(flags)
    for k, ramp_flags in enumerate(flags):
        runs, _ = naive_segments([int(f) for f in ramp_flags])
        here = ramp == k
        assert list(zip(first[here], last[here] - first[here] + 1, strict=True)) == runs


# --------------------------------------------------------------------------- ols with other weights, at uneven times
@pytest.mark.parametrize(
    ("weighting", "errors"),
    [pair for pair in product(WEIGHTINGS, (None, "weights", "reference")) if pair != ("optimal", "reference")],
    ids=str,
)
def test_segments_add_up_to_rates_and_errors_of_every_weighting(weighting, errors):
    """Random exposures: even and uneven times, several frames, jumps, saturation, lone groups, zeroframes, MIRI's."""
    compared, with_several, lone, without_root = 0, 0, 0, 0
    for seed in range(fewer(100, 20)):
        fit = any_general_fit(seed, weighting, errors)
        if fit is None:
            continue
        found, ints = everywhere(fit), fit.rateints
        place = found["integration"], found["row"], found["column"]
        number, slope, weight, variance, information = np.zeros((5, *ints.data.shape))
        with np.errstate(all="ignore"):
            np.add.at(number, place, 1)
            np.add.at(weight, place, found["weight"])
            np.add.at(slope, place, found["weight"] * found["slope"])
            np.add.at(variance, place, (found["weight"] * found["slope_err"]) ** 2)
            np.add.at(information, place, found["slope_err"] ** -2)
            err = np.sqrt(1 / information) if errors == "reference" else np.sqrt(variance)
        fitted = np.isfinite(ints.data) & (number > 0)
        np.testing.assert_allclose(weight[fitted], 1, rtol=1e-9)
        error, rate = (plane[fitted].astype(np.float64) for plane in (ints.err, ints.data))
        # Single precision rounds rates by 6e-8 of them.
        assert np.all(np.abs(slope[fitted] - rate) <= 1e-6 * np.nan_to_num(error) + 1e-7 * np.abs(rate)), seed
        # Variances below 0, of a negative dark current or of frames read in turns, have no root each.
        known = np.isfinite(error) & np.isfinite(err[fitted]) & (error > 0)
        np.testing.assert_allclose(err[fitted][known], error[known], rtol=1e-6, err_msg=str(seed))
        compared += known.sum()
        without_root += (~known).sum()
        with_several += (number[fitted] > 1).sum()
        lone += (found["nsamples"] == 1).sum()
    assert compared > fewer(200, 20)
    assert without_root < 0.1 * compared
    assert with_several > fewer(20, 2)
    assert lone > fewer(20, 2)


def any_general_fit(seed, weighting, errors):
    """Return a fit of a random exposure, every second one with explicit times; None where it is the pipeline's fit."""
    case = with_usable_range(random_case(seed, small=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RampFitWarning)
        exposure = make_exposure(case)
        if seed % 2:
            exposure = Exposure(
                case.data,
                case.groupdq,
                pixeldq=case.pixeldq,
                average_dark_current=case.average_dark_current,
                zeroframe=case.zeroframe,
                instrument=case.instrument,
                read_times=random_read_times(np.random.default_rng(seed), case.data.shape[1]),
            )
        if (errors == "reference" and not exposure.evenly_read) or (
            weighting == "optimal" and errors != "weights" and exposure.evenly_read
        ):
            return None
        options = {name: getattr(case, name) for name in ("suppress_one_group", "firstgroup", "lastgroup")}
        return fit_ramps(exposure, case.readnoise, case.gain, weighting=weighting, errors=errors, **options)


@pytest.mark.parametrize("weighting", ["optimal", "uniform", "interpolated", 1.5], ids=str)
@pytest.mark.parametrize("rate", [0.0, 30.0, 900.0])
def test_lines_at_uneven_times_are_those_of_dense_matrices(rate, weighting):
    rng = np.random.default_rng(5)
    data = ramps_at(UNEVEN, rate, 6, rng)
    data[0, 4:] += 3000
    flags = np.zeros(data.shape, np.uint8)
    flags[0, 4] = J
    fit = fit_ramps(Exposure(data, flags, read_times=UNEVEN), READ * np.sqrt(2), GAIN, weighting=weighting)
    mean, reads = np.array([np.mean(group) for group in UNEVEN]), np.array([len(group) for group in UNEVEN])
    for x in range(6):
        table, samples = fit.segments(x, 0), fit.samples(x, 0)
        np.testing.assert_array_equal(samples["time"].value, mean)
        assert list(table["first_group"]) == [0, 4]
        d = np.diff(data[0, :, 0, x].astype(np.float64)) / np.diff(mean)
        photon = max(np.median(np.delete(d, 3)), 0) / GAIN
        for segment, where in zip(table, (slice(0, 4), slice(4, 8)), strict=True):
            t, y, n = mean[where], data[0, where, 0, x].astype(np.float64), reads[where]
            assert (segment["start_time"].value, segment["stop_time"].value) == (t[0], t[-1])
            signal = (y[-1] - y[0]) * GAIN
            noise = (READ * GAIN) ** 2 * (1 / n[0] + 1 / n[-1]) / 2
            ratio = signal / np.sqrt(noise + signal) if noise + signal > 0 else 0
            power = exponent(weighting, ratio)
            w = np.abs((t - (t[0] + t[-1]) / 2) / ((t[-1] - t[0]) / 2)) ** power * (1 + power) * n / (1 + power * n)
            design = np.stack([np.ones_like(t), t], axis=1)
            coefficients = np.linalg.solve(design.T @ (w[:, None] * design), design.T * w)
            matrix = covariance(UNEVEN[where], photon, READ**2)
            line = coefficients @ y
            errors = np.sqrt(np.diag(coefficients @ matrix @ coefficients.T))
            assert (segment["intercept"].value, segment["slope"].value) == pytest.approx(tuple(line), rel=1e-6)
            assert segment["intercept_err"].value == pytest.approx(errors[0], rel=1e-6)
            assert segment["slope_err"].value == pytest.approx(errors[1], rel=1e-6)
            away = np.eye(len(t)) - design @ coefficients
            residual = away @ y
            here = samples[where]
            np.testing.assert_allclose(here["residual"].value, residual, atol=1e-6)
            np.testing.assert_allclose(here["noise"].value, np.sqrt(np.diag(away @ matrix @ away.T)), rtol=1e-6)
            inverse = np.linalg.inv(matrix)
            best = np.linalg.solve(design.T @ inverse @ design, design.T @ inverse @ y)
            chisq = (y - design @ best) @ inverse @ (y - design @ best)
            assert segment["dof"] == len(t) - 2
            assert segment["chisq"] == pytest.approx(chisq, rel=1e-5)


def ramps_at(times, rate, npixels, rng):
    """Return ramps in DN, shape (1, ngroups, 1, npixels), whose photons arrive from frame to frame."""
    frames = np.concatenate(times)
    arrived = rng.poisson(rate * GAIN * np.diff(frames, prepend=0)[:, None], (frames.size, npixels))
    reads = arrived.cumsum(axis=0) / GAIN + rng.normal(0, READ, arrived.shape)
    edges = np.cumsum([0, *map(len, times)])
    groups = [reads[a:b].mean(axis=0) for a, b in pairwise(edges)]
    return np.array(groups, np.float32)[None, :, None]


@pytest.mark.parametrize(("rate", "weighting"), [(3.0, "uniform"), (40.0, "optimal"), (2000.0, "interpolated")])
def test_chi_squares_and_residuals_at_uneven_times_have_the_spread_that_they_should(rate, weighting):
    data = ramps_at(UNEVEN, rate, 8000, np.random.default_rng(21))
    fit = fit_ramps(Exposure(data, None, read_times=UNEVEN), READ * np.sqrt(2), GAIN, weighting=weighting)
    found, samples = everywhere(fit), fit.samples(np.arange(8000), 0)
    # With few differences, their median is a noisy estimate of the photon noise.
    assert found["chisq"].sum() / found["dof"].sum() == pytest.approx(1, abs=0.05)
    pulls = samples["residual"].value / samples["noise"].value
    for group in range(len(UNEVEN)):
        assert np.std(pulls[samples["group"] == group]) == pytest.approx(1, abs=0.04)
    assert np.std((found["slope"] - rate) / found["slope_err"]) == pytest.approx(1, abs=0.05)


def test_an_exact_ramp_at_uneven_times_leaves_no_residual():
    times = [1.0, 2.0, 5.0, 6.0, 12.0, 20.0]
    data = (100 + 10 * np.array(times, np.float32)).reshape(1, 6, 1, 1)
    fit = fit_ramps(Exposure(data, None, read_times=times), 5.0, 2.0)
    segments, samples = fit.segments(0, 0), fit.samples(0, 0)
    assert segments["slope"].value == pytest.approx(10, rel=1e-12)
    assert segments["intercept"].value == pytest.approx(100, rel=1e-12)
    assert segments["slope_err"].value == pytest.approx(float(fit.rateints.err[0, 0, 0]), rel=1e-6)
    assert list(samples["time"].value) == times
    np.testing.assert_allclose(samples["residual"].value, 0, atol=1e-9)


def test_the_segment_of_other_weights_is_not_that_of_the_optimal_ones():
    rng = np.random.default_rng(1)
    data = (rng.poisson(60, (1, 12, 1, 1)).cumsum(axis=1) + rng.normal(0, 5, (1, 12, 1, 1))).astype(np.float32)
    rates = []
    for options in ({}, {"weighting": "uniform"}, {"weighting": "uniform", "errors": "reference"}):
        fit = fit_ramps(Exposure(data, None, 2.0), 7.0, 2.0, **options)
        table = fit.segments(0, 0)
        assert table["slope"].value == pytest.approx(float(fit.rateints.data[0, 0, 0]), rel=1e-7)
        assert table["slope_err"].value == pytest.approx(float(fit.rateints.err[0, 0, 0]), rel=1e-6)
        rates.append((table["slope"][0].value, table["slope_err"][0].value))
    assert rates[0][0] != pytest.approx(rates[1][0], rel=1e-3)
    assert rates[1][0] == rates[2][0]
    assert rates[1][1] > 1.02 * rates[2][1]


def test_one_good_group_at_uneven_times_comes_from_the_reset():
    data = np.array([0, 70.0, 0]).reshape(1, 3, 1, 1)
    flags = np.array([D, 0, D], np.uint8).reshape(data.shape)
    fit = fit_ramps(
        Exposure(data, flags, read_times=[2.0, [6.0, 8.0], 30.0]), READ * np.sqrt(2), GAIN, suppress_one_group=False
    )
    (segment,) = fit.segments(0, 0)
    assert segment["slope"].value == pytest.approx(10)
    assert segment["slope_err"].value == pytest.approx(float(fit.rate.err[0, 0]), rel=1e-6)
    assert segment["start_time"].value == segment["stop_time"].value == 7
    assert segment["intercept"].value == pytest.approx(0, abs=1e-12)


# --------------------------------------------------------------------------------------------------- odd exposures
def simple(ngroups=8, rate=10.0, group_time=3.0, **flags):
    """Return an exposure of one pixel whose groups have the flags given, as group=flag."""
    data = (100 + rate * group_time * np.arange(ngroups, dtype=np.float32)).reshape(1, ngroups, 1, 1)
    groupdq = np.zeros(data.shape, np.uint8)
    for name, value in flags.items():
        groupdq[0, int(name[1:])] = value
    return data, groupdq, group_time


def test_a_segment_begins_with_its_jump():
    data, flags, time = simple(g4=J)
    data[0, 4:] += 1000
    table = fit_ramps(Exposure(data, flags, time), 5.0, 2.0).segments(0, 0)
    assert list(table["first_group"]) == [0, 4]
    assert list(table["last_group"]) == [3, 7]
    np.testing.assert_allclose(table["slope"].to_value("DN/s"), 10, rtol=1e-6)
    # Time 0 is the reset; the first frame ends one frame time later.
    np.testing.assert_allclose(table["intercept"].to_value("DN"), [70, 1070], rtol=1e-6)
    np.testing.assert_allclose(table["start_time"].to_value("s"), [3, 15])


def test_groups_that_miri_drops_keep_their_numbers_and_times():
    data, flags, time = simple(g0=D, g1=J, g7=D)
    data[0, 0] += 9999
    fit = fit_ramps(Exposure(data, flags, time, instrument="MIRI"), 5.0, 2.0)
    table = fit.segments(0, 0)
    assert (table["first_group"][0], table["last_group"][0]) == (1, 6)
    assert table["start_time"][0].to_value("s") == pytest.approx(6)
    assert table["intercept"][0].to_value("DN") == pytest.approx(70)
    # One pixel where group 0 is good, elsewhere: nothing is dropped, and the jump counts.
    data, flags = np.repeat(data, 2, axis=3), np.repeat(flags, 2, axis=3)
    flags[0, 0, 0, 1] = flags[0, 7, 0, 1] = 0
    table = fit_ramps(Exposure(data, flags, time, instrument="MIRI"), 5.0, 2.0).segments([0, 1], 0)
    # With the jump at its begin, group 1 is the first of a segment; group 0 alone is none beside it.
    assert list(table["column"]) == [0, 1]
    assert list(table["first_group"]) == [1, 1]
    assert list(table["last_group"]) == [6, 7]


def test_one_good_group_and_the_zeroframe_are_lines_through_one_sample():
    data, flags, time = simple(ngroups=4, g0=S, g1=S, g2=S, g3=S)
    data, flags = np.repeat(data, 2, axis=3), np.repeat(flags, 2, axis=3)
    flags[0, 0, 0, 1] = 0
    zeroframe = np.full((1, 1, 2), 50, np.float32)
    exposure = Exposure(data, flags, time, nframes=4, groupgap=1, zeroframe=zeroframe)
    table = fit_ramps(exposure, 5.0, 2.0, suppress_one_group=False).segments([0, 1], [0, 0])
    assert list(table["zeroframe"]) == [True, False]
    np.testing.assert_allclose(table["start_time"].to_value("s"), [0.6, 1.5], rtol=1e-6)
    np.testing.assert_allclose(table["slope"].to_value("DN/s"), [50 / 0.6, 100 / 1.5], rtol=1e-6)
    np.testing.assert_allclose(table["intercept"].to_value("DN"), 0, atol=1e-4)
    assert list(table["dof"]) == [0, 0]


@pytest.mark.parametrize("algorithm", ["ols", "likely", "likely_joint"])
def test_nothing_to_fit_has_no_segment(algorithm):
    data, flags, time = simple(g0=S)
    flags[:] = S
    with pytest.warns(match="no ramp can be fitted"):
        fit = fit_ramps(Exposure(data, flags, time), 5.0, 2.0, algorithm=algorithm)
    table = fit.segments(0, 0)
    assert len(table) == 0
    assert table["slope"].unit == "DN / s"
    assert len(fit.segments([], [])) == 0


def test_suppressed_ramps_have_no_segment():
    data, flags, time = simple(ngroups=3, g1=S, g2=S)
    data, flags = np.repeat(data, 2, axis=3), np.repeat(flags, 2, axis=3)
    flags[..., 1] = 0
    fit = fit_ramps(Exposure(data, flags, time), 5.0, 2.0)
    assert list(fit.segments([0, 1], 0)["column"]) == [1]


def test_positions_that_cannot_be_are_refused_by_name():
    data, flags, time = simple()
    fit = fit_ramps(Exposure(data, flags, time), 5.0, 2.0)
    with pytest.raises(ValueError, match=r"x: expected a column from 0 to 0; got 1"):
        fit.segments(1, 0)
    with pytest.raises(ValueError, match=r"y: expected a row from 0 to 0; got -1"):
        fit.segments(0, -1)
    with pytest.raises(TypeError, match=r"x: expected an integer"):
        fit.segments(0.5, 0)
    with pytest.raises(ValueError, match=r"x, y: expected as many columns as rows"):
        fit.segments([0, 0], [0, 0, 0])
    from dataclasses import replace

    with pytest.raises(ValueError, match="expected one that knows what was fitted"):
        replace(fit, inputs=None).segments(0, 0)
    with pytest.raises(TypeError, match="expected a RampFit; got list"):
        find_segments([], 0, 0)


def test_inputs_are_kept_not_copied_and_stay_as_they_were():
    data, flags, time = simple(g4=J)
    before = data.copy(), flags.copy()
    exposure = Exposure(data, flags, time)
    fit = fit_ramps(exposure, 5.0, 2.0)
    fit.segments(0, 0)
    assert fit.inputs.exposure is exposure
    assert np.shares_memory(fit.inputs.exposure.data, data)
    assert np.array_equal(data, before[0])
    assert np.array_equal(flags, before[1])


# ------------------------------------------------------------------------------------------------------ likelihood
@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("seed", range(fewer(60, 8)))
def test_likelihood_segments_add_up_to_their_integration(seed, joint):
    case = random_likely_case(seed, small=True)
    fit = run_likely(case, "likely_joint" if joint else "likely")
    found = everywhere(fit)
    place = found["integration"], found["row"], found["column"]
    np.testing.assert_array_equal(found["slope"].astype(np.float32), fit.rateints.data[place])
    used = np.zeros(fit.rateints.data.shape)
    np.add.at(used, place, np.maximum(found["nsamples"] - 1, 0))
    chisq, weight = np.zeros_like(used), np.zeros_like(used)
    np.add.at(chisq, place, np.nan_to_num(found["chisq"]))
    np.add.at(weight, place, found["weight"])
    fitted = np.isfinite(fit.rateints.data) & (used > 0)
    differences = np.where(fitted, fit.rateints.dof + 1, 0)
    assert np.array_equal(np.where(fitted, used, 0), differences)
    np.testing.assert_allclose(weight[fitted], 1, rtol=1e-9)
    # A negative dark current gives the reference a negative photon noise; here there is none then.
    sound = fitted & (fit.rateints.var_poisson >= 0) & (case.readnoise > 0)
    np.testing.assert_allclose(chisq[sound], fit.rateints.chisq[sound], rtol=1e-3, atol=1e-3)


def test_errors_of_likelihood_lines_are_those_of_dense_matrices():
    rng = np.random.default_rng(3)
    times = [1.0, 2.5, 3.0, 6.0, 7.0, 11.0, 12.0, 13.5, 14.0, 18.0]
    data = (500 + 40 * np.array(times) + rng.normal(0, 3, 10)).reshape(1, 10, 1, 1)
    data[0, 6:] += 900
    exposure = Exposure(data, None, read_times=times, group_time=1.0)
    fit = fit_ramps(exposure, 5.0, 2.0, algorithm="likely_joint")
    table = fit.segments(0, 0)
    assert list(table["first_group"]) == [0, 6]
    t = np.array(times)
    photon, noise = float(fit.rate.data[0, 0]) / 2, 12.5
    matrix = photon * np.minimum.outer(t, t) + noise * np.eye(10)
    # Dense: the rate from both segments' differences, each line's level the mean of its samples.
    difference = np.diff(np.eye(10), axis=0)
    used = np.delete(difference, 5, axis=0)
    step = used @ t
    inverse = np.linalg.inv(used @ matrix @ used.T)
    of_rate = step @ inverse / (step @ inverse @ step) @ used
    y = data[0, :, 0, 0]
    np.testing.assert_allclose(table["slope"].value, of_rate @ y, rtol=1e-5)
    for k, groups in enumerate((slice(0, 6), slice(6, 10))):
        mean = np.zeros(10)
        mean[groups] = 1 / (groups.stop - groups.start)
        here = mean - (mean @ t) * of_rate
        assert table["intercept"][k].value == pytest.approx(here @ y, rel=1e-6)
        own = np.where((np.arange(10) >= groups.start) & (np.arange(10) < groups.stop), here, 0)
        elsewhere = here - own
        local = photon * (np.minimum.outer(t, t) - t[groups.start]) + noise * np.eye(10)
        other = slice(6, 10) if k == 0 else slice(0, 6)
        variance = own @ local @ own + elsewhere @ (matrix - photon * t[other.start]) @ elsewhere
        assert table["intercept_err"][k].value == pytest.approx(np.sqrt(variance), rel=1e-3)


# ------------------------------------------------------------------------------------------------------ statistics
@pytest.mark.parametrize(("rate", "nframes"), [(0.0, 1), (30.0, 1), (3000.0, 1), (300.0, 4)])
def test_chi_square_over_degrees_of_freedom_is_one(rate, nframes):
    rng = np.random.default_rng(11)
    ngroups, side, gain, read = 12, 90, 2.0, 8.0
    frames = np.cumsum(rng.poisson(rate * gain, (1, ngroups * (nframes + 1), side, side)), axis=1) / gain
    frames = frames + rng.normal(0, read, frames.shape)
    data = frames.reshape(1, ngroups, nframes + 1, side, side)[:, :, :nframes].mean(axis=2)
    exposure = Exposure(data, None, nframes + 1.0, frame_time=1.0, nframes=nframes, groupgap=1)
    fit = fit_ramps(exposure, read * np.sqrt(2), gain)
    found = everywhere(fit)
    assert found["chisq"].sum() / found["dof"].sum() == pytest.approx(1, abs=0.02)


# ----------------------------------------------------------------------------------------------------------- files
@pytest.mark.data
def test_real_miri_pixels_are_read_from_the_file(real_data):
    exposure = read_exposure(real_data / "miri_sub64_nat_jump.fits")
    fit = fit_ramps(exposure, 14.0, 5.5)
    table = fit.segments([19, 19], [0, 1])
    assert set(table["integration"]) == set(range(5))
    assert table["first_group"].min() == 1  # group 0 is dropped
    assert table["last_group"].max() == 48


@pytest.mark.data
def test_a_file_that_was_cut_meanwhile_is_an_error_not_the_end(real_data, tmp_path):
    path = tmp_path / "cut_jump.fits"
    path.write_bytes((real_data / "miri_sub64_nat_jump.fits").read_bytes())
    fit = fit_ramps(read_exposure(path), 14.0, 5.5)
    with path.open("r+b") as file:
        file.truncate(20_000)
    with pytest.raises(RampFileError, match="ended early"):
        fit.segments(0, 0)


# --------------------------------------------------------------------------------------------------------- samples
@pytest.mark.parametrize("module", ["segments.table", "jumps"])
def test_examples_of_the_docstrings_run(module):
    import doctest
    from importlib import import_module

    result = doctest.testmod(import_module(f"rampfit_numba.{module}"))
    assert result.attempted > 5
    assert result.failed == 0


@pytest.mark.parametrize("algorithm", ["ols", "likely", "likely_joint"])
def test_samples_scatter_about_their_lines_by_their_noise(algorithm):
    rng = np.random.default_rng(8)
    ngroups, side, gain, read, rate = 10, 60, 2.0, 8.0, 40.0
    data = np.cumsum(rng.poisson(rate * gain, (1, ngroups, side, side)), axis=1) / gain
    data = data + rng.normal(0, read, data.shape)
    flags = np.zeros(data.shape, np.uint8)
    flags[0, 6, ::2] = J
    data[0, 6:, ::2] += 2000
    fit = fit_ramps(Exposure(data, flags, 1.0), read * np.sqrt(2), gain, algorithm=algorithm)
    y, x = (axis.ravel() for axis in np.mgrid[:side, :side])
    table = fit.samples(x, y)
    pulls = table["residual"].value / table["noise"].value
    for group in range(ngroups):
        here = (table["group"] == group) & np.isfinite(pulls)
        assert np.sqrt(np.mean(pulls[here] ** 2)) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("seed", range(fewer(40, 8)))
def test_samples_are_those_of_the_exposure_and_their_segments(seed):
    case = with_usable_range(random_case(seed, small=True))
    fit = run_engine(case)
    nrows, ncols = case.shape[2:]
    y, x = (axis.ravel() for axis in np.mgrid[:nrows, :ncols])
    table, segments = fit.samples(x, y), fit.segments(x, y)
    names = ("integration", "row", "column")
    plain = ~table["zeroframe"]
    own = ~np.isin(np.arange(len(table)), np.nonzero(table["zeroframe"])[0])
    assert np.array_equal(plain, own)
    place = tuple(np.asarray(table[name][plain]) for name in ("integration", "group", "row", "column"))
    np.testing.assert_array_equal(table["value"][plain].value, case.data[place])
    np.testing.assert_array_equal(table["dq"][plain], case.groupdq[place])
    assert plain.sum() == case.data.size
    for segment in segments:
        here = table["segment"] == segment["segment"]
        for name in names:
            here &= table[name] == segment[name]
        assert here.sum() == segment["nsamples"]
        np.testing.assert_allclose(
            table["line"][here].value,
            (segment["intercept"] + segment["slope"] * table["time"][here]).value,
        )


@pytest.mark.parametrize("algorithm", ["ols", "likely_joint"])
def test_raw_reads_are_corrected_as_the_fit_corrects_them(algorithm):
    rng = np.random.default_rng(2)
    counts = 60_000 - np.cumsum(rng.poisson(900, (2, 12, 3, 5)), axis=1)
    options = {
        "saturation": 8000.0,
        "pedestal": 100.0,
        "linearity": [0.0, 1.0, 2e-7],
        "invert": 60_000.0,
    }
    fit = fit_ramps(
        Exposure.from_reads(counts.astype(np.uint16), frame_time=2.0, **options), 12.0, 2.0, algorithm=algorithm
    )
    rising = 60_000.0 - counts
    flags = (np.maximum.accumulate(rising, axis=1) >= 8000).astype(np.uint8) * np.uint8(S)
    counted = rising - 100
    plain = Exposure(counted + 2e-7 * counted**2, flags, 2.0)
    expected = fit_ramps(plain, 12.0, 2.0, algorithm=algorithm).segments([0, 4], [2, 1])
    found = fit.segments([0, 4], [2, 1])
    assert list(found["last_group"]) == list(expected["last_group"])
    np.testing.assert_allclose(found["slope"].value, expected["slope"].value, rtol=1e-5)
    jumps = fit.jumps()
    assert len(jumps) == len(fit_ramps(plain, 12.0, 2.0, algorithm=algorithm).jumps())
