"""Plain reads as exposures: what a stack of them becomes, and corrections that equal passes over the whole array."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rampfit_numba import Exposure, count_reads, dq, fit_ramps
from tests.naive.corrections import correct_reads as by_passes
from tests.naive.used_reads import count_used as naive_count
from tests.sizes import INTERPRETED, fewer

PLANES = ("data", "err", "dq", "var_poisson", "var_rnoise", "chisq", "dof")
ALGORITHMS = ("ols", "likely", "likely_joint")
SHAPE = (2, 12, 5, 13) if INTERPRETED else (2, 12, 23, 141)
FULL = 65536.0


def raw_reads(shape=SHAPE, seed=1, bias=1000.0):
    """Return counts of uint16 that rise, bend down, and saturate in some pixels, with hits."""
    generator = np.random.default_rng(seed)
    nrows, ncols = shape[2:]
    rate = 10 ** generator.uniform(1, 3.9, (nrows, ncols))
    steps = generator.poisson(np.broadcast_to(rate, shape)) + 4000 * (generator.random(shape) < 0.01)
    light = np.cumsum(steps, axis=1) + generator.normal(0, 8, shape)
    return np.clip(bias + light - 2e-6 * light**2, 0, 65535).astype(np.uint16)


def maps():
    """Return images of saturation levels (some unknown), biases, and coefficients."""
    generator = np.random.default_rng(5)
    image = SHAPE[2:]
    level = generator.uniform(20000, 60000, image)
    level[0, :3] = np.nan
    bias = generator.uniform(900, 1100, image)
    cube = np.array([0.0, 1.0, 2.1e-6, 3e-12])[:, None, None] * generator.uniform(0.9, 1.1, (4, *image))
    return level, bias, cube


CASES = {
    "saturation": {"saturation": 45000},
    "saturation, an image": {"saturation": "level"},
    "bias": {"pedestal": 1000.0, "saturation": 30000.5},
    "first read": {"pedestal": "first", "linearity": [0.0, 1.0, 2e-6]},
    "all images": {"saturation": "level", "pedestal": "bias", "linearity": "cube"},
    "inverted": {"invert": FULL, "saturation": "level", "pedestal": "bias", "linearity": "cube"},
    "inverted alone": {"invert": FULL},
}


def filled(case):
    level, bias, cube = maps()
    known = {"level": level, "bias": bias, "cube": cube}
    return {name: known.get(value, value) if isinstance(value, str) else value for name, value in case.items()}


def assert_equal(one, other):
    """Compare every plane bit for bit."""
    for kind in ("rate", "rateints", "fitopt"):
        planes = [vars(getattr(fit, kind) or Exposure) for fit in (one, other)]
        for name in planes[0] if getattr(one, kind) is not None else ():
            first, second = planes[0][name], planes[1][name]
            if first is None:
                assert second is None
                continue
            np.testing.assert_array_equal(first.view(np.uint32), second.view(np.uint32), err_msg=f"{kind}.{name}")
    np.testing.assert_array_equal(one.groupdq, other.groupdq)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("case", CASES)
class TestCorrectionsEqualPasses:
    @pytest.mark.kernel
    def test_in_every_plane(self, algorithm, case):
        options = filled(CASES[case])
        ramps = raw_reads()
        if "invert" in options:
            ramps = (65536 - ramps.astype(np.int64)).clip(0, 65535).astype(np.uint16)
        kept = ramps.copy()
        exposure = Exposure.from_reads(ramps, frame_time=10.0, **options)
        assert exposure.data.base is ramps or exposure.data is ramps
        data, flags = by_passes(ramps, **options)
        if "saturation" in options:
            assert 0.02 < (flags & dq.SATURATED).astype(bool).mean() < 0.8
        save_opt = algorithm == "ols"
        fits = [
            fit_ramps(each, 8.0, 2.0, algorithm=algorithm, save_opt=save_opt, readnoise_kind="single")
            for each in (exposure, Exposure(data, flags, 10.0))
        ]
        assert np.isfinite(fits[0].rate.data).mean() > 0.5
        assert_equal(*fits)
        np.testing.assert_array_equal(ramps, kept)

    def test_whatever_the_layout_and_the_workers(self, algorithm, case, tmp_path):
        options = filled(CASES[case])
        ramps = raw_reads()
        ramps.astype(">u2").tofile(tmp_path / "reads")
        mapped = np.memmap(tmp_path / "reads", ">u2", "r", 0, ramps.shape)
        stack = ramps.reshape(-1, *ramps.shape[2:])
        variants = [
            (mapped, {}),
            (stack, {"reads_per_ramp": SHAPE[1]}),
            (stack[::-1], {"reads_per_ramp": SHAPE[1], "reverse": True}),
            (ramps[:, ::-1], {"reverse": True}),
            (list(stack), {"reads_per_ramp": SHAPE[1]}),
            (ramps.astype(np.float64), {}),
            (np.asfortranarray(ramps), {}),
        ]
        expected = fit_ramps(Exposure.from_reads(ramps, frame_time=10.0, **options), 8.0, 2.0, algorithm=algorithm)
        for reads, arrangement in variants[: fewer(len(variants), 2)]:
            exposure = Exposure.from_reads(reads, frame_time=10.0, **options, **arrangement)
            assert_equal(expected, fit_ramps(exposure, 8.0, 2.0, algorithm=algorithm))
        for executor in ("threads", "processes"):
            exposure = Exposure.from_reads(mapped, frame_time=10.0, **options)
            fit = fit_ramps(exposure, 8.0, 2.0, algorithm=algorithm, maximum_cores=2, executor=executor)
            assert_equal(expected, fit)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_nothing_to_correct_is_an_ordinary_exposure(algorithm):
    ramps = raw_reads()
    exposure = Exposure.from_reads(ramps, frame_time=10.0)
    assert exposure.corrections is None
    plain = Exposure(ramps, None, 10.0)
    assert_equal(*(fit_ramps(each, 8.0, 2.0, algorithm=algorithm) for each in (exposure, plain)))


def test_a_saturated_read_that_is_flagged_anyway_says_nothing_of_the_later_ones():
    ramp = np.linspace(100, 1000, 10)[None, :, None, None].repeat(2, axis=3)
    ramp[0, 3] = 60000
    ordinary = Exposure.from_reads(ramp, frame_time=1.0, saturation=50000)
    flags = np.zeros(ramp.shape, np.uint8)
    flags[0, 3] = dq.DO_NOT_USE
    told = Exposure(ramp, flags, 1.0, corrections=ordinary.corrections)
    rates = [fit_ramps(each, 5.0, 2.0) for each in (ordinary, told)]
    assert (rates[0].rate.dq & dq.SATURATED).all()
    assert not (rates[1].rate.dq & dq.SATURATED).any()
    np.testing.assert_allclose(rates[1].rate.data, 100.0)


def test_room_for_results_must_not_be_a_correction():
    level = np.full(SHAPE[2:], 4e4, np.float32)
    exposure = Exposure.from_reads(raw_reads(), frame_time=1.0, saturation=level)
    earlier = fit_ramps(exposure, 5.0, 2.0)
    room = replace(earlier, rate=replace(earlier.rate, data=level))
    with pytest.raises(ValueError, match="got that of saturation"):
        fit_ramps(exposure, 5.0, 2.0, out=room)
    np.testing.assert_array_equal(fit_ramps(exposure, 5.0, 2.0, out=earlier).rate.data, earlier.rate.data)


def test_times_of_reads():
    cube = np.zeros((6, 2, 3))
    even = Exposure.from_reads(cube, frame_time=2.5, skip=2)
    assert (even.group_time, even.read_times, even.drop_frames1, even.shape) == (2.5, None, 2, (1, 4, 2, 3))
    groups = Exposure.from_reads(cube, frame_time=2.0, nframes=4, groupgap=1, skip=1)
    assert (groups.group_time, groups.frame_time, groups.drop_frames1) == (10.0, 2.0, 5)
    uneven = Exposure.from_reads(cube, [0, 1, 2, 4, 8, 16], skip=1)
    assert uneven.read_times == ((1.0,), (2.0,), (4.0,), (8.0,), (16.0,))
    assert uneven.group_time == 3.75
    means = Exposure.from_reads(cube, [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10], [11, 12]])
    assert means.group_time == 2.0
    assert Exposure.from_reads(cube, reads_per_ramp=3, frame_time=1.0).shape == (2, 3, 2, 3)
    one = Exposure.from_reads(cube[:1], [7.0])
    assert one.group_time == 7.0


def test_skipped_reads_leave_no_trace():
    ramps = raw_reads()
    skipping = Exposure.from_reads(ramps, frame_time=10.0, skip=3, pedestal="first", saturation=40000)
    shorter = Exposure.from_reads(ramps[:, 3:], frame_time=10.0, pedestal="first", saturation=40000)
    assert_equal(*(fit_ramps(each, 8.0, 2.0, algorithm="likely") for each in (skipping, shorter)))


CUBE = np.zeros((6, 2, 3), np.uint16)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        ({}, ValueError, "frame_time: expected either it.*or read_times; got neither"),
        ({"frame_time": 1.0, "read_times": range(6)}, ValueError, "frame_time: expected either it.*got both"),
        ({"frame_time": -1.0}, ValueError, "frame_time: expected a finite number of seconds > 0"),
        ({"read_times": range(5)}, ValueError, "read_times: expected 6 entries, one per group; got 5"),
        ({"read_times": [5, 4, 3, 2, 1, 0]}, ValueError, "read_times: group 1: expected times rising"),
        ({"read_times": range(6), "nframes": 2}, ValueError, "read_times: expected them without nframes"),
        ({"frame_time": 1, "reads_per_ramp": 4}, ValueError, "reads_per_ramp: expected a divisor of 6.*2 left over"),
        ({"frame_time": 1, "reads_per_ramp": 0}, ValueError, "reads_per_ramp: expected an integer from 1"),
        ({"frame_time": 1, "skip": 6}, ValueError, "skip: expected fewer than 6, the reads of a ramp; got 6"),
        ({"frame_time": 1, "skip": -1}, ValueError, "skip: expected an integer from 0"),
        ({"frame_time": 1, "reverse": "yes"}, TypeError, "reverse: expected True or False; got 'yes'"),
        ({"frame_time": 1, "invert": True}, TypeError, "invert: expected the number that falling counts"),
        ({"frame_time": 1, "invert": np.nan}, ValueError, "invert: expected a finite number above 0"),
        ({"frame_time": 1, "saturation": 0}, ValueError, "saturation: expected a level above 0; got 0"),
        ({"frame_time": 1, "saturation": np.inf}, ValueError, "saturation: expected a finite number; got inf"),
        (
            {"frame_time": 1, "saturation": np.ones((3, 2))},
            ValueError,
            r"saturation: expected a number or shape \(2, 3",
        ),
        ({"frame_time": 1, "pedestal": "last"}, ValueError, "pedestal: expected 'first', a number or an image"),
        ({"frame_time": 1, "pedestal": np.ones(3)}, ValueError, r"pedestal: expected a number or shape \(2, 3\)"),
        ({"frame_time": 1, "linearity": [1.0]}, ValueError, "linearity: expected two coefficients or more.*got 1"),
        ({"frame_time": 1, "linearity": np.ones((2, 3))}, ValueError, r"linearity: expected coefficients.*got shape"),
        ({"frame_time": 1, "linearity": np.ones((3, 3, 2))}, ValueError, r"linearity: expected coefficients"),
        ({"frame_time": 1, "linearity": "cube"}, TypeError, "linearity: expected an array of real numbers"),
    ],
)
def test_bad_arguments_are_named(call, kind, message):
    with pytest.raises(kind, match=message) as caught:
        Exposure.from_reads(CUBE, **call)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("reads", "kind", "message"),
    [
        (CUBE[0], ValueError, r"reads: expected shape \(nreads, nrows, ncols\).*got shape \(2, 3\)"),
        (CUBE[None, None], ValueError, "reads: expected shape"),
        (CUBE[:0], ValueError, "reads: expected one read, row and column or more"),
        ([], ValueError, "reads: expected one read or more; got an empty list"),
        ([CUBE[0], CUBE[1, :1]], ValueError, r"reads\[1\]: expected an image, of the shape of the others, \(2, 3\)"),
        ([1.0, 2.0], ValueError, r"reads\[0\]: expected an image"),
        (CUBE > 0, TypeError, "reads: expected an array of real numbers; got dtype bool"),
        ("reads.fits", TypeError, "reads: expected an array of real numbers"),
    ],
)
def test_reads_that_are_none_are_named(reads, kind, message):
    with pytest.raises(kind, match=message):
        Exposure.from_reads(reads, frame_time=1.0)


def test_reads_per_ramp_must_agree_with_ramps():
    with pytest.raises(ValueError, match="reads_per_ramp: expected 6, as reads of shape"):
        Exposure.from_reads(CUBE[None], frame_time=1.0, reads_per_ramp=3)


def test_corrections_of_something_else_are_refused():
    with pytest.raises(TypeError, match="corrections: expected ReadCorrections or None; got dict"):
        Exposure(CUBE[None], None, 1.0, corrections={})


@pytest.mark.kernel
@pytest.mark.parametrize("algorithm", ["ols", "likely"])
def test_reads_used_are_counted(algorithm):
    generator = np.random.default_rng(4)
    shape = (2, 10, 4, 9) if INTERPRETED else (2, 10, 20, 30)
    flags = generator.choice(np.uint8([0, 1, 2, 4]), shape, p=[0.85, 0.05, 0.05, 0.05])
    data = np.cumsum(generator.normal(50, 2, shape), axis=1)
    data[0, 3, 2, :5] = np.nan
    exposure = Exposure(data, flags, 1.0)
    fit = fit_ramps(exposure, 5.0, 2.0, algorithm=algorithm, firstgroup=1)
    found = count_reads(exposure, fit, maximum_cores=2)
    final = (flags if fit.groupdq is None else fit.groupdq).copy()
    final[0, 3, 2, :5] |= 1
    final[:, 0] |= 1
    for i, y, x in np.ndindex(2, *shape[2:]):
        expected = naive_count(final[i, :, y, x].tolist()) if np.isfinite(fit.rateints.data[i, y, x]) else 0
        assert found.rateints[i, y, x] == max(expected, np.isfinite(fit.rateints.data[i, y, x]))
    np.testing.assert_array_equal(found.rate, found.rateints.sum(axis=0))
    with pytest.raises(ValueError, match="fit: expected one of this exposure"):
        count_reads(Exposure(data[:1], None, 1.0), fit)
    with pytest.raises(ValueError, match=r"^fit: expected one of this exposure, of \d+ groups; got one of \d+ groups$"):
        count_reads(Exposure(data[:, 1:], None, 1.0), fit)
    with pytest.raises(TypeError, match="fit: expected RampFit"):
        count_reads(exposure, exposure)
