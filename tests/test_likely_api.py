"""The likelihood fits through fit_ramps: options, results, workers, times of the reads, and real exposures."""

from __future__ import annotations

import logging
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import (
    Exposure,
    FitOptions,
    RampFit,
    RampFitWarning,
    fit_ramps,
    read_exposure,
    read_reference,
)
from tests.scripts import TWO_WORKERS
from tests.sizes import INTERPRETED, fewer

JUMP, SATURATED, DO_NOT_USE, NO_GAIN_VALUE = 4, 2, 1, 1 << 19
BOTH = pytest.mark.parametrize("algorithm", ["likely", "likely_joint"])
SHAPE = (3, 8, fewer(23, 4), fewer(37, 5))
FRAME_TIME, RATE, GAIN, NOISE = 5.0, 20.0, 2.0, 8.0


def simulated(shape=SHAPE, *, nframes=1, rate=RATE, hit_rate=0.02, seed=1):
    """Return ramps in DN of pixels of one rate, and where hits that no search misses fell."""
    rng = np.random.default_rng(seed)
    nints, ngroups, *image = shape
    arrivals = rng.poisson(rate * GAIN * FRAME_TIME, (nints, ngroups, nframes, *image)) / GAIN
    hits = rng.random(shape) < hit_rate
    hits[:, 0] = False
    arrivals[:, :, 0] += np.where(hits, 3000.0, 0)
    flat = arrivals.reshape(nints, ngroups * nframes, *image).cumsum(axis=1)
    frames = 50 + flat + rng.normal(0, NOISE / np.sqrt(2), flat.shape)
    return frames.reshape(arrivals.shape).mean(axis=2).astype(np.float32), hits


def exposure_of(data, groupdq=None, *, nframes=1, **options):
    return Exposure(data, groupdq, nframes * FRAME_TIME, nframes=nframes, frame_time=FRAME_TIME, **options)


def everything(seed=2, shape=SHAPE):
    """Return an exposure with all that a likelihood fit looks at, and its read noise and gain."""
    rng = np.random.default_rng(seed)
    data, _ = simulated(shape, nframes=3, seed=seed)
    nints, _, *image = shape
    groupdq = rng.choice([0, JUMP, DO_NOT_USE, 32], shape, p=[0.94, 0.02, 0.02, 0.02]).astype(np.uint8)
    groupdq[:, 5:, ::4, ::3] |= SATURATED
    data[rng.random(shape) < 0.003] = np.nan
    gain = rng.uniform(1, 3, image).astype(np.float32)
    gain[0, 0] = -1
    exposure = exposure_of(
        data,
        groupdq,
        nframes=3,
        pixeldq=rng.choice([0, 1, 1024], image, p=[0.9, 0.05, 0.05]).astype(np.uint32),
        average_dark_current=rng.uniform(0, 0.5, image).astype(np.float32),
        zeroframe=rng.choice([0, np.nan, 150], (nints, *image), p=[0.1, 0.1, 0.8]).astype(np.float32),
    )
    return exposure, rng.uniform(5, 12, image).astype(np.float32), gain


def quietly(*arguments, **options):
    """Fit, whatever the package warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RampFitWarning)
        return fit_ramps(*arguments, **options)


def planes(fit):
    """Return all arrays of a fit by name."""
    found = {"groupdq": fit.groupdq}
    for kind in ("rate", "rateints"):
        rate = getattr(fit, kind)
        found |= {f"{kind}.{field.name}": getattr(rate, field.name) for field in fields(rate)}
    return {name: plane for name, plane in found.items() if plane is not None}


def assert_same(one, other):
    left, right = planes(one), planes(other)
    assert left.keys() == right.keys()
    for name, plane in left.items():
        assert plane.dtype == right[name].dtype, name
        assert plane.tobytes() == right[name].tobytes(), name


# ---------------------------------------------------------------------------------------------------------- the result
@BOTH
def test_planes_of_the_result(algorithm):
    data, hits = simulated()
    fit = fit_ramps(exposure_of(data), NOISE, GAIN, algorithm=algorithm)
    image, cube = SHAPE[2:], (SHAPE[0], *SHAPE[2:])
    for rate, shape in ((fit.rate, image), (fit.rateints, cube)):
        for name in ("data", "err", "var_poisson", "var_rnoise", "chisq"):
            assert getattr(rate, name).shape == shape
            assert getattr(rate, name).dtype == np.float32
        assert (rate.dq.shape, rate.dq.dtype) == (shape, np.uint32)
        assert (rate.dof.shape, rate.dof.dtype) == (shape, np.int32)
    assert (fit.groupdq.shape, fit.groupdq.dtype) == (SHAPE, np.uint8)
    assert fit.fitopt is None
    assert fit.options.algorithm == algorithm
    np.testing.assert_array_equal((fit.groupdq & JUMP) != 0, hits)
    differences = SHAPE[1] - 1 - hits.sum(axis=1)
    np.testing.assert_array_equal(fit.rateints.dof, differences - 1)
    rates = {"likely": SHAPE[0], "likely_joint": 1}[algorithm]
    np.testing.assert_array_equal(fit.rate.dof, differences.sum(axis=0) - rates)
    np.testing.assert_array_equal((fit.rate.dq & JUMP) != 0, hits.any(axis=(0, 1)))
    pull = (fit.rate.data - RATE) / fit.rate.err
    assert abs(pull.mean()) < 4 / np.sqrt(pull.size)
    assert abs(pull.std() - 1) < 4 / np.sqrt(2 * pull.size)


def test_names_of_the_pipeline_are_accepted():
    data, _ = simulated()
    fits_ = [fit_ramps(exposure_of(data), NOISE, GAIN, algorithm=name) for name in ("likely", "LIKELY")]
    assert fits_[1].options.algorithm == "likely"
    assert_same(*fits_)


def test_least_squares_has_no_chi_square_and_no_new_flags():
    fit = fit_ramps(exposure_of(simulated()[0]), NOISE, GAIN)
    assert fit.rate.chisq is fit.rate.dof is fit.rateints.chisq is fit.rateints.dof is fit.groupdq is None


@BOTH
def test_jumps_found_are_counted_in_the_log(algorithm, caplog):
    caplog.set_level(logging.INFO, "rampfit_numba")
    data, hits = simulated()
    flagged = np.zeros(SHAPE, np.uint8)
    flagged[0, 3, 1, 1] = JUMP  # known before: not found
    fit = fit_ramps(exposure_of(data, flagged), NOISE, GAIN, algorithm=algorithm)
    found = int(((fit.groupdq & JUMP) != 0).sum()) - 1
    assert found >= hits.sum() - 2
    assert f"Jumps found: {found}" in caplog.text


@BOTH
def test_save_opt_and_suppression_have_no_effect(algorithm):
    exposure, noise, gain = everything()
    plain = quietly(exposure, noise, gain, algorithm=algorithm)
    fit = quietly(exposure, noise, gain, algorithm=algorithm, save_opt=True, suppress_one_group=False)
    assert fit.fitopt is None
    assert_same(plain, fit)


@BOTH
def test_nothing_to_fit_is_a_warning(algorithm):
    data, _ = simulated()
    with pytest.warns(RampFitWarning, match="no ramp can be fitted: no ramp has a valid fit; all rates are NaN"):
        fit = fit_ramps(exposure_of(data, np.full(SHAPE, SATURATED, np.uint8)), NOISE, GAIN, algorithm=algorithm)
    assert np.isnan(fit.rate.data).all()
    assert fit.nothing_to_fit == "no ramp has a valid fit"
    assert np.unique(fit.rate.dq).tolist() == [DO_NOT_USE | SATURATED]
    assert not fit.rate.dof.any()


# ---------------------------------------------------------------------------------------------------------- invisible
@BOTH
@pytest.mark.parametrize("executor", [None, "processes", "threads", "own threads", "own processes"])
def test_workers_change_no_bit(algorithm, executor):
    exposure, noise, gain = everything()
    alone = quietly(exposure, noise, gain, algorithm=algorithm)
    assert np.isfinite(alone.rate.data).mean() > 0.5
    assert (alone.groupdq != exposure.groupdq).any()
    workers = [(2, executor), (3, executor)]
    if executor == "own threads":
        with ThreadPoolExecutor(2) as pool:
            assert_same(alone, quietly(exposure, noise, gain, algorithm=algorithm, maximum_cores=3, executor=pool))
    elif executor == "own processes":
        from loky import ProcessPoolExecutor

        with ProcessPoolExecutor(1) as pool:
            assert_same(alone, quietly(exposure, noise, gain, algorithm=algorithm, maximum_cores=2, executor=pool))
    else:
        for count, kind in workers:
            fit = quietly(exposure, noise, gain, algorithm=algorithm, maximum_cores=count, executor=kind)
            assert_same(alone, fit)


@BOTH
def test_progress_changes_no_bit(algorithm, capsys):
    exposure, noise, gain = everything()
    alone = quietly(exposure, noise, gain, algorithm=algorithm)
    assert_same(alone, quietly(exposure, noise, gain, algorithm=algorithm, progress=True))
    assert "Fitting ramps" in capsys.readouterr().err


@BOTH
def test_slices_change_no_bit(algorithm):
    exposure, noise, gain = everything()
    whole = quietly(exposure, noise, gain, algorithm=algorithm)
    for rows, columns in ((slice(1, 3), slice(None)), (slice(2, 3), slice(1, 4))):
        cut = (..., rows, columns)
        part = Exposure(
            exposure.data[cut],
            exposure.groupdq[cut],
            exposure.group_time,
            nframes=3,
            frame_time=FRAME_TIME,
            pixeldq=exposure.pixeldq[cut],
            average_dark_current=exposure.average_dark_current[cut],
            zeroframe=exposure.zeroframe[cut],
        )
        fit = quietly(part, noise[cut], gain[cut], algorithm=algorithm)
        for name, plane in planes(fit).items():
            assert plane.tobytes() == planes(whole)[name][cut].tobytes(), name


@BOTH
def test_inputs_stay_as_they_were(algorithm):
    exposure, noise, gain = everything()
    arrays = [exposure.data, exposure.groupdq, exposure.pixeldq, exposure.average_dark_current, exposure.zeroframe]
    arrays += [noise, gain]
    before = [array.tobytes() for array in arrays]
    fit = quietly(exposure, noise, gain, algorithm=algorithm)
    assert [array.tobytes() for array in arrays] == before
    assert not np.shares_memory(fit.groupdq, exposure.groupdq)
    # Only jumps were added, and only where they were not.
    added = fit.groupdq ^ exposure.groupdq
    assert set(np.unique(added)) == {0, JUMP}
    assert (fit.groupdq & exposure.groupdq == exposure.groupdq).all()


@BOTH
def test_read_only_and_swapped_arrays(algorithm):
    exposure, noise, gain = everything()
    swapped = exposure.data.astype(">f4")
    flags = exposure.groupdq.copy()
    for array in (swapped, flags):
        array.flags.writeable = False
    other = replaced(exposure, data=swapped, groupdq=flags)
    assert_same(*(quietly(e, noise, gain, algorithm=algorithm) for e in (exposure, other)))


def replaced(exposure, **changes):
    """Return an exposure made anew with other arguments."""
    names = [field.name for field in fields(exposure)]
    arguments = {name: getattr(exposure, name) for name in names} | changes
    return Exposure(arguments.pop("data"), arguments.pop("groupdq"), arguments.pop("group_time"), **arguments)


# ----------------------------------------------------------------------------------------------------------------- out
@BOTH
@pytest.mark.parametrize("workers", [{}, *TWO_WORKERS], ids=str)
def test_out_is_overwritten(algorithm, workers):
    exposure, noise, gain = everything()
    expected = quietly(exposure, noise, gain, algorithm=algorithm)
    earlier = quietly(exposure_of(simulated()[0]), NOISE, GAIN, algorithm=algorithm)
    fit = quietly(exposure, noise, gain, algorithm=algorithm, out=earlier, **workers)
    assert_same(expected, fit)
    for name, plane in planes(fit).items():
        assert plane is planes(earlier)[name]


def test_out_of_another_algorithm():
    exposure = exposure_of(simulated()[0])
    ols, likely = (fit_ramps(exposure, NOISE, GAIN, algorithm=name) for name in ("ols", "likely"))
    with pytest.raises(ValueError, match=r"out\.rate\.chisq: expected .* got None, as results of another algorithm"):
        fit_ramps(exposure, NOISE, GAIN, algorithm="likely", out=ols)
    with pytest.raises(ValueError, match=r"out\.groupdq: expected a writeable array of uint8"):
        fit_ramps(exposure, NOISE, GAIN, algorithm="likely", out=replace(likely, groupdq=None))
    again = fit_ramps(exposure, NOISE, GAIN, out=likely)
    assert again.rate.data is likely.rate.data
    assert_same(again, ols)  # no chi-square of an earlier fit beside other rates


@pytest.mark.parametrize("name", ["chisq", "dof"])
def test_out_must_fit(name):
    exposure = exposure_of(simulated()[0])
    fit = fit_ramps(exposure, NOISE, GAIN, algorithm="likely")
    wrong = replace(fit.rate, **{name: getattr(fit.rate, name).astype(np.float64)})
    with pytest.raises(ValueError, match=rf"out\.rate\.{name}: expected a writeable array"):
        fit_ramps(exposure, NOISE, GAIN, algorithm="likely", out=replace(fit, rate=wrong))


def test_out_may_not_be_an_input():
    """A second fit with the flags of the first: these are then an input, which room may not overlap."""
    exposure = exposure_of(simulated()[0])
    fit = fit_ramps(exposure, NOISE, GAIN, algorithm="likely")
    again = replaced(exposure, groupdq=fit.groupdq)
    before = fit.groupdq.copy()
    with pytest.raises(ValueError, match=r"out\.groupdq: expected memory of its own, .* got that of groupdq"):
        fit_ramps(again, NOISE, GAIN, algorithm="likely", out=fit)
    with pytest.raises(ValueError, match=r"out\.rate\.data: expected memory of its own, .* got that of readnoise"):
        fit_ramps(exposure, fit.rate.data, GAIN, out=fit)
    with pytest.raises(ValueError, match=r"out\.rate\.dq: expected memory of its own, .* got that of pixeldq"):
        fit_ramps(replaced(exposure, pixeldq=fit.rate.dq), NOISE, GAIN, out=fit)
    np.testing.assert_array_equal(fit.groupdq, before)


@pytest.mark.parametrize("options", [{"rejection_threshold": 1e200}, {"pedestal": (0.0, 1e200)}], ids=str)
def test_huge_options_are_as_good_as_infinite(options):
    """No jump is beyond such a threshold, and such a pedestal says nothing."""
    exposure = exposure_of(simulated()[0])
    fit = quietly(exposure, NOISE, GAIN, algorithm="likely_joint", **options)
    if "pedestal" in options:
        assert_same(fit, quietly(exposure, NOISE, GAIN, algorithm="likely_joint"))
    else:
        np.testing.assert_array_equal(fit.groupdq, exposure.groupdq)


def test_pedestal_with_a_group_at_time_zero():
    ramps = np.full((1, 5, 1, 1), 100, np.float32) + 20 * np.arange(5, dtype=np.float32).reshape(1, 5, 1, 1)
    exposure = Exposure(ramps, None, 1.0, read_times=[[float(g)] for g in range(5)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = fit_ramps(exposure, NOISE, GAIN, algorithm="likely_joint", pedestal=(100.0, 1.0))
    assert fit.rate.data[0, 0] == pytest.approx(20)


# ------------------------------------------------------------------------------------------------------------- options
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"algorithm": "LIKELIER"}, ValueError, "algorithm: expected one of 'ols', 'likely'"),
        ({"rejection_threshold": 5.0}, ValueError, "rejection_threshold: only 'likely' and 'likely_joint' search"),
        ({"algorithm": "likely", "rejection_threshold": 0}, ValueError, "rejection_threshold: .* above 0; got 0"),
        ({"algorithm": "likely", "rejection_threshold": -1.0}, ValueError, "rejection_threshold: .* got -1.0"),
        ({"algorithm": "likely", "rejection_threshold": np.nan}, ValueError, "rejection_threshold: .* finite"),
        ({"algorithm": "likely", "rejection_threshold": np.inf}, ValueError, "rejection_threshold: .* finite"),
        ({"algorithm": "likely", "rejection_threshold": "5"}, TypeError, "rejection_threshold: .* got '5'"),
        ({"algorithm": "likely", "rejection_threshold": True}, TypeError, "rejection_threshold: .* got True"),
        ({"algorithm": "likely", "pedestal": (1.0, 2.0)}, ValueError, "pedestal: only 'likely_joint'.* 'likely'"),
        ({"pedestal": (1.0, 2.0)}, ValueError, "pedestal: only 'likely_joint'.* 'ols'"),
        ({"algorithm": "likely_joint", "pedestal": 1.0}, TypeError, "pedestal: expected two numbers"),
        ({"algorithm": "likely_joint", "pedestal": "12"}, TypeError, "pedestal: expected two numbers"),
        ({"algorithm": "likely_joint", "pedestal": (1.0,)}, ValueError, "pedestal: .* got \\(1.0,\\)"),
        ({"algorithm": "likely_joint", "pedestal": (1.0, 0.0)}, ValueError, "pedestal: .* above 0"),
        ({"algorithm": "likely_joint", "pedestal": (np.nan, 1.0)}, ValueError, "pedestal: expected a finite mean"),
        ({"algorithm": "likely_joint", "pedestal": (1.0, np.inf)}, ValueError, "pedestal: .* finite standard"),
    ],
)
def test_options_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        FitOptions(**options)
    with pytest.raises(error, match=message):
        fit_ramps(exposure_of(simulated()[0]), NOISE, GAIN, **options)


def test_options_are_normalised():
    options = FitOptions("LIKELY_Joint", rejection_threshold=np.float32(4), pedestal=[1, np.float64(2)])
    assert (options.algorithm, options.rejection_threshold, options.pedestal) == ("likely_joint", 4.0, (1.0, 2.0))
    assert type(options.rejection_threshold) is float
    assert list(map(type, options.pedestal)) == [float, float]


@BOTH
def test_threshold(algorithm):
    """The lower, the more jumps; so high that nothing reaches it, none; that of the default is written 4.5."""
    exposure = exposure_of(simulated(hit_rate=0)[0])
    found = {}
    for threshold in (2.0, 3.0, 4.5, None, 1e6):
        fit = quietly(exposure, NOISE, GAIN, algorithm=algorithm, rejection_threshold=threshold)
        found[threshold] = int((fit.groupdq != 0).sum())
    assert found[2.0] > found[3.0] >= found[4.5] == found[None]
    assert found[1e6] == 0
    size = np.prod(SHAPE[0:1] + SHAPE[2:]) * (SHAPE[1] - 1)
    if not INTERPRETED:
        assert 0.5 < found[3.0] / (size * 0.0027) < 2  # chance exceeds 3 standard deviations that often


@BOTH
def test_group_range(algorithm):
    """Groups outside of firstgroup and lastgroup are DO_NOT_USE, in the fit only."""
    data, _ = simulated()
    flagged = np.zeros(SHAPE, np.uint8)
    flagged[:, [0, 6, 7]] = DO_NOT_USE
    expected = fit_ramps(exposure_of(data, flagged), NOISE, GAIN, algorithm=algorithm)
    fit = fit_ramps(exposure_of(data), NOISE, GAIN, algorithm=algorithm, firstgroup=1, lastgroup=5)
    for name, plane in planes(fit).items():
        if name != "groupdq":
            assert plane.tobytes() == planes(expected)[name].tobytes(), name
    np.testing.assert_array_equal(fit.groupdq, expected.groupdq & JUMP)


@BOTH
def test_edge_groups_of_miri_stay(algorithm):
    """OLS drops groups that are DO_NOT_USE everywhere; these fits need the times of all."""
    data, _ = simulated()
    flagged = np.zeros(SHAPE, np.uint8)
    flagged[:, [0, -1]] = DO_NOT_USE
    fits_ = [
        fit_ramps(exposure_of(data, flagged, instrument=name), NOISE, GAIN, algorithm=algorithm)
        for name in ("MIRI", "NIRCAM")
    ]
    assert_same(*fits_)


# ------------------------------------------------------------------------------------------------------ too few groups
@BOTH
@pytest.mark.parametrize("ngroups", [1, 2, 3])
def test_few_groups_are_fitted_by_least_squares(algorithm, ngroups):
    data, _ = simulated((2, ngroups, 5, 6), hit_rate=0)
    with pytest.warns(RampFitWarning, match=rf"'{algorithm}' needs 4 groups, the exposure has {ngroups}: .*'ols'"):
        fit = fit_ramps(exposure_of(data), NOISE, GAIN, algorithm=algorithm, save_opt=True, rejection_threshold=4.0)
    expected = fit_ramps(exposure_of(data), NOISE, GAIN, save_opt=True)
    assert_same(fit, expected)
    assert fit.options == expected.options
    assert fit.fitopt.slope.tobytes() == expected.fitopt.slope.tobytes()


def test_four_groups_are_enough():
    data, hits = simulated((2, 4, 5, 6), hit_rate=0.05)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = fit_ramps(exposure_of(data), NOISE, GAIN, algorithm="likely_joint")
    assert ((fit.groupdq & JUMP) != 0)[hits].mean() > 0.8


# ------------------------------------------------------------------------------------------------- times of the reads
@BOTH
@pytest.mark.parametrize("nframes", [1, 3])
def test_explicit_times_of_even_reads_change_nothing(algorithm, nframes):
    data, _ = simulated(nframes=nframes)
    reads = (np.arange(SHAPE[1] * nframes) + 1.0) * FRAME_TIME
    times = [list(group) for group in reads.reshape(SHAPE[1], nframes)]
    even, explicit = (
        fit_ramps(exposure_of(data, nframes=nframes, read_times=given), NOISE, GAIN, algorithm=algorithm)
        for given in (None, times)
    )
    assert_same(even, explicit)


@BOTH
def test_a_shift_of_all_times_changes_nothing(algorithm):
    data, _ = simulated()
    times = 2.0 ** np.arange(SHAPE[1])  # exact, with and without the shift
    one, other = (
        fit_ramps(exposure_of(data, read_times=times + shift), NOISE, GAIN, algorithm=algorithm) for shift in (0, 1024)
    )
    assert_same(one, other)


@BOTH
def test_uneven_and_ragged_reads(algorithm):
    """Groups of different numbers of frames at uneven times: the rate is right."""
    rng = np.random.default_rng(5)
    times = [[1], [2, 3], [6, 7, 8], [20], [21, 22, 23, 24], [40, 41], [60]]
    frames = np.concatenate(times).astype(float)
    image = (fewer(40, 6), fewer(50, 6))
    gaps = np.diff(frames, prepend=0)[:, None, None]
    reads = rng.poisson(30 * GAIN * gaps, (frames.size, *image)).cumsum(axis=0) / GAIN
    reads = reads + 500 + rng.normal(0, NOISE / np.sqrt(2), reads.shape)
    edges = np.cumsum([0, *map(len, times)])
    data = np.stack([reads[a:b].mean(axis=0) for a, b in pairwise(edges)])[None]
    exposure = Exposure(data, None, 10.0, read_times=times)
    fit = fit_ramps(exposure, NOISE, GAIN, algorithm=algorithm)
    pull = ((fit.rate.data - 30) / fit.rate.err).ravel()
    assert abs(pull.mean()) < 4 / np.sqrt(pull.size)
    assert abs(pull.std() - 1) < 4 / np.sqrt(2 * pull.size)
    expected = len(times) - 2
    assert abs(fit.rate.chisq.mean() - expected) < 4 * np.sqrt(2 * expected / pull.size)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([[1, 4], [2, 3], [5, 6], [7, 8]], "group 1: expected times rising, on average.*; got .2.0, 3.0. after .1.0"),
        ([[1, 2], [3, 4], [7, 8], [5, 6]], "group 3: "),
        ([[1, 2], [4, 3], [5, 6], [7, 8]], "group 1: expected finite, strictly rising"),
        ([[1, 2], [3, 3], [5, 6], [7, 8]], "group 1: expected finite, strictly rising"),
        ([[1, 2], [3, np.nan], [5, 6], [7, 8]], "group 1: expected finite"),
        ([[1, 2], [3, np.inf], [5, 6], [7, 8]], "group 1: expected finite"),
        ([[1, 2], [], [5, 6], [7, 8]], "group 1: .* at least one"),
        ([[1, 2], [3, 4], [5, 6]], "expected 4 entries, one per group; got 3"),
        # Their squares would overflow or be zero: warnings of NumPy, and rates that are NaN without a reason.
        ([[1, 2], [3, 4], [5, 6], [7, 1e300]], "group 3: .* that single precision can hold"),
        ([0, 1e-300, 2e-300, 3e-300], "group 1: expected times rising, on average, beyond those of the group before"),
    ],
)
def test_times_that_cannot_be_are_refused(times, message):
    """Deviation from the reference, which takes what comes (trap T17)."""
    with pytest.raises(ValueError, match=f"read_times: {message}"):
        Exposure(np.zeros((1, 4, 2, 2)), None, 2.0, nframes=2, read_times=times)


def test_flags_beyond_eight_bits_are_refused():
    """Deviation from the reference, which takes such a group as good (trap T14)."""
    flags = np.zeros((1, 4, 2, 2), np.uint32)
    flags[0, 2] = 256
    with pytest.raises(ValueError, match="groupdq: expected flags between 0 and 255; got 0 to 256"):
        Exposure(np.zeros(flags.shape), flags, 2.0)


# ------------------------------------------------------------------------------ deviations from the reference: numbers
@BOTH
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_flagged_groups(algorithm, value):
    """The reference loses the pixel without a word, even where the group was flagged (trap T2)."""
    data, _ = simulated()
    flags = np.zeros(SHAPE, np.uint8)
    flags[1, 4] = DO_NOT_USE
    expected = fit_ramps(exposure_of(data, flags), NOISE, GAIN, algorithm=algorithm)
    bad = data.copy()
    bad[1, 4] = value
    unflagged, flagged = (
        fit_ramps(exposure_of(bad, given), NOISE, GAIN, algorithm=algorithm) for given in (None, flags)
    )
    for name, plane in planes(unflagged).items():
        if name != "groupdq":
            assert plane.tobytes() == planes(flagged)[name].tobytes(), name
            # What stands in a flagged group still has a part in the pipeline's first guess, if it is a number.
            exact = algorithm == "likely_joint"
            assert not exact or plane.tobytes() == planes(expected)[name].tobytes(), name
    np.testing.assert_array_equal(unflagged.rate.dof, expected.rate.dof)
    assert (np.abs(unflagged.rate.data - expected.rate.data) < 0.05 * expected.rate.err).all()


@BOTH
def test_ties_drop_one_difference_at_a_time(algorithm):
    """The reference drops all and adds up their rates: its variance is seven times too large (trap T5)."""
    fits_ = []
    for second in (500.0, 501.0):
        ramp = 20.0 * np.arange(12)
        ramp[4:] += 500
        ramp[8:] += second
        data = np.broadcast_to(ramp[:, None, None], (1, 12, 1, 2))
        exposure = Exposure(data, None, 1.0)
        fits_.append(fit_ramps(exposure, np.zeros((1, 2)), 2.0, algorithm=algorithm))
    tie, none = fits_
    assert np.argwhere(tie.groupdq[0, :, 0, 0])[:, 0].tolist() == [4, 8]
    np.testing.assert_array_equal(tie.groupdq, none.groupdq)
    np.testing.assert_allclose(tie.rate.data, 20.0, rtol=1e-6)
    np.testing.assert_allclose(tie.rate.var_poisson, none.rate.var_poisson, rtol=1e-6)
    np.testing.assert_allclose(tie.rate.var_poisson, 20.0 / 2.0 / 9, rtol=1e-5)  # nine differences of 1 s


@BOTH
@pytest.mark.parametrize("noise", [3, 5, 7, 8, 10, 12, 16, 20])
def test_vanishing_couplings_do_not_stop_the_search(algorithm, noise):
    """The reference divides by a coupling that is zero here but for rounding: it misses the jump for 8 and 16 (T22)."""
    data = np.array([100.0, 99, 98, 600, 599])[None, :, None, None]
    fit = fit_ramps(Exposure(data, None, 10.0), noise, 2.0, algorithm=algorithm)
    assert fit.groupdq[0, :, 0, 0].tolist() == [0, 0, 0, JUMP, 0]
    np.testing.assert_allclose(fit.rate.data, -0.1, rtol=1e-4)


# ---------------------------------------------------------------------------------------------------------- zeroframe
@BOTH
def test_zeroframe_with_explicit_times(algorithm):
    """Deviation from the reference (trap T8): the list stays as it was, and the frames of its first group count."""
    ramp = 20.0 * np.array([25, 65, 105, 145]) + 100  # means of the frames 10 20 30 40, 50 60 70 80, ...
    data = np.broadcast_to(ramp[:, None, None], (1, 4, 2, 3))
    times = [[10.0 * (4 * group + frame) for frame in range(1, 5)] for group in range(4)]
    before = [list(group) for group in times]
    zeroframe = np.full((1, 2, 3), 300.0, np.float32)
    # nframes says 2, as it could in a file: the times know better.
    with pytest.warns(RampFitWarning, match="read_times are what is used, and contradict other times: nframes"):
        exposure = Exposure(data, None, 40.0, nframes=2, read_times=times, zeroframe=zeroframe)
    for _ in range(2):
        fit = fit_ramps(exposure, NOISE, GAIN, algorithm=algorithm)
        np.testing.assert_allclose(fit.rate.data, 20.0, rtol=1e-6)
        assert (fit.rate.dof == 3).all()
    assert times == before


@BOTH
def test_zeroframe_of_single_frames_is_not_used(algorithm, caplog):
    caplog.set_level(logging.WARNING, "rampfit_numba")
    data, _ = simulated()
    zeroframe = np.full((SHAPE[0], *SHAPE[2:]), 1e4, np.float32)
    fits_ = [
        fit_ramps(exposure_of(data, zeroframe=given), NOISE, GAIN, algorithm=algorithm) for given in (None, zeroframe)
    ]
    assert_same(*fits_)
    assert "Zero frame is present, but the first group has < 2 reads" in caplog.text


def test_zeroframe_rescues_a_pixel():
    """Saturated in its first group, but a good zeroframe: likely_joint has a rate where likely has none."""
    data, _ = simulated((1, 6, 3, 4), nframes=4, hit_rate=0)
    flags = np.full(data.shape, SATURATED, np.uint8)
    flags[..., 0] = 0
    flags[:, 1:, :, 1] = SATURATED
    flags[:, 0, :, 1] = 0
    zeroframe = np.full((1, 3, 4), 150.0, np.float32)
    zeroframe[..., 3] = 0  # the pipeline's mark of an unusable one
    exposure = exposure_of(data, flags, nframes=4, zeroframe=zeroframe)
    likely, joint = (fit_ramps(exposure, NOISE, GAIN, algorithm=name) for name in ("likely", "likely_joint"))
    np.testing.assert_array_equal(np.isfinite(likely.rate.data).all(axis=0), [True, True, False, False])
    finite = np.isfinite(joint.rate.data)
    assert finite[:, :2].all()
    assert not finite[:, 3].any()
    assert (joint.rate.dq[:, 3] & DO_NOT_USE).all()


# -------------------------------------------------------------------------------------------------------- likely_joint
def test_joint_flags_what_it_cannot_fit():
    data, _ = simulated()
    gain = np.full(SHAPE[2:], GAIN, np.float32)
    gain[0, :4] = [0, -1, np.nan, np.inf]
    flags = np.zeros(SHAPE, np.uint8)
    flags[:, ::2, 1, 1] = DO_NOT_USE  # no two neighbours
    fit = fit_ramps(exposure_of(data, flags), NOISE, gain, algorithm="likely_joint")
    for rate in (fit.rate, fit.rateints):
        assert np.isnan(rate.data[..., 0, :4]).all()
        assert (rate.dq[..., 0, :4] & (NO_GAIN_VALUE | DO_NOT_USE) == NO_GAIN_VALUE | DO_NOT_USE).all()
        assert np.isnan(rate.data[..., 1, 1]).all()
        assert (rate.dq[..., 1, 1] & (NO_GAIN_VALUE | DO_NOT_USE) == DO_NOT_USE).all()
    rest = np.ones(SHAPE[2:], np.bool_)
    rest[0, :4] = rest[1, 1] = False
    assert np.isfinite(fit.rate.data[rest]).all()
    assert not (fit.rate.dq[rest] & (NO_GAIN_VALUE | DO_NOT_USE)).any()


def test_pedestal_gives_a_rate_to_one_good_group():
    data, _ = simulated(hit_rate=0)
    flags = np.zeros(SHAPE, np.uint8)
    flags[:, 1:, :, 0] = SATURATED
    exposure = exposure_of(data, flags)
    without, given = (
        fit_ramps(exposure, NOISE, GAIN, algorithm="likely_joint", pedestal=pedestal) for pedestal in (None, (50, 4.0))
    )
    assert np.isnan(without.rate.data[:, 0]).all()
    pull = (given.rateints.data[:, :, 0] - RATE) / given.rateints.err[:, :, 0]
    assert np.isfinite(pull).all()
    assert abs(pull.mean()) < 4 / np.sqrt(pull.size)
    # Exact, for one sample: the rate is (sample - pedestal) / time, and its error has three independent parts.
    np.testing.assert_allclose(given.rateints.data[:, :, 0], (data[:, 0, :, 0] - 50) / FRAME_TIME, rtol=1e-5)
    for name, plane in planes(without).items():
        assert plane[..., 1:].tobytes() == planes(given)[name][..., 1:].tobytes(), name


# ------------------------------------------------------------------------------------------------------ real exposures
def references_of(folder, name, exposure):
    paths = {kind: folder / f"{name}_{kind}.fits" for kind in ("readnoise", "gain")}
    return [read_reference(path, exposure, kind).data for kind, path in paths.items()]


@pytest.mark.data
@pytest.mark.skipif(INTERPRETED, reason="too large to interpret")
def test_against_the_pipelines_product(real_data):
    """The pipeline itself, with its files and its references, on the real MIRI exposure: SCI, ERR, DQ, variances.

    The samples are whole numbers of DN: in two ramps two differences are exactly alike, and the reference drops both
    where one is enough (deviation T5).
    """
    ties = [[0, 6, 61], [3, 0, 19]]
    exposure = read_exposure(real_data / "miri_sub64_nat_jump.fits")
    fit = fit_ramps(exposure, *references_of(real_data, "miri_sub64", exposure), algorithm="LIKELY")
    got = fit.rateints
    with fits.open(real_data / "miri_sub64_nat_rateints_jwst300_LIKELY.fits", memmap=False) as hdus:
        expected = {name: hdus[name].data for name in ("SCI", "ERR", "DQ", "VAR_POISSON", "VAR_RNOISE")}
    np.testing.assert_array_equal(got.dq, expected["DQ"])
    np.testing.assert_array_equal(np.isnan(got.data), np.isnan(expected["SCI"]))
    assert np.isfinite(got.data).mean() > 0.9
    off = np.abs(got.data - expected["SCI"]) / expected["ERR"]
    assert np.argwhere(off > 1e-4).tolist() == ties
    assert off.max() < 0.1
    for i, row, column in ties:
        step = np.diff(np.asarray(exposure.data[i, :, row, column], np.float64))
        found = np.flatnonzero(fit.groupdq[i, 1:, row, column] != exposure.groupdq[i, 1:, row, column])
        assert any(np.count_nonzero(step == step[k]) > 1 for k in found)
    same = off <= 1e-4
    # Where the rate is 0 but for rounding, so is the variance.
    for name, plane in (("ERR", got.err), ("VAR_POISSON", got.var_poisson), ("VAR_RNOISE", got.var_rnoise)):
        np.testing.assert_allclose(plane[same], expected[name][same], rtol=2e-5, atol=1e-12, err_msg=name)


@pytest.mark.data
@pytest.mark.skipif(INTERPRETED, reason="too large to interpret")
@BOTH
@pytest.mark.parametrize("flagged", [True, False])
def test_against_the_truth(real_data, algorithm, flagged):
    """A third party's simulation: rates within their errors, and hits found that nobody told of."""
    exposure = read_exposure(real_data / "sim_nrc_rapid_jump.fits")
    references = references_of(real_data, "sim_nrc_rapid", exposure)
    truth = np.load(real_data / "sim_nrc_rapid_truth.npz")
    hits = np.unpackbits(truth["cr_truth"])[: np.prod(truth["cr_shape"])].reshape(truth["cr_shape"]).astype(bool)
    flags = np.array(exposure.groupdq)
    if not flagged:
        flags &= ~np.uint8(JUMP)
    fit = fit_ramps(replaced(exposure, groupdq=flags), *references, algorithm=algorithm)
    good = np.isfinite(fit.rate.data) & ((fit.rate.dq & DO_NOT_USE) == 0)
    assert good.mean() > 0.95
    pull = (fit.rate.data - truth["rate_dn_per_s"])[good] / fit.rate.err[good]
    assert abs(pull.mean()) < 0.02
    assert 0.97 < pull.std() < 1.02
    usable = (flags & (SATURATED | DO_NOT_USE)) == 0
    found = (fit.groupdq & JUMP) != 0
    assert found[hits & usable].mean() > 0.95
    if not flagged:
        assert (found & ~hits & usable).sum() < 1e-4 * usable.sum()


def test_fit_is_a_ramp_fit():
    """What other code relies on: the class is the same, whatever the algorithm."""
    fit = fit_ramps(exposure_of(simulated()[0]), NOISE, GAIN, algorithm="likely")
    assert isinstance(fit, RampFit)
    assert re.match(r"FitOptions\(algorithm='likely'", repr(fit.options))
