"""Chi-squares of ``ols``: those of the segments, and nothing else changes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import (
    Exposure,
    FitOptions,
    fit_file,
    fit_ramps,
    make_groupdq,
    simulate_exposure,
    to_hdulists,
    write_products,
)
from rampfit_numba.cli.main import main
from tests.cases import run_engine, with_usable_range
from tests.naive.ols.chisq import find_chisq as naive_chisq
from tests.random_exposures import random_case
from tests.sizes import fewer

SEEDS = fewer(200, 12)
PLANES = ("data", "err", "dq", "var_poisson", "var_rnoise")


def same_bits(one, other, names=PLANES):
    """Compare planes of rate and rateints to the bit, NaN included."""
    for kind in ("rate", "rateints"):
        for name in names:
            left, right = (getattr(getattr(fit, kind), name) for fit in (one, other))
            assert left.dtype == right.dtype
            assert left.tobytes() == right.tobytes(), (kind, name)


def of_segments(fit):
    """Return what the segments sum up to in each pixel and integration."""
    shape = fit.rateints.data.shape
    y, x = (axis.ravel() for axis in np.mgrid[: shape[1], : shape[2]])
    table = fit.segments(x, y)
    place = tuple(np.asarray(table[name]) for name in ("integration", "row", "column"))
    chisq, dof = np.zeros(shape), np.zeros(shape)
    np.add.at(chisq, place, table["chisq"])
    np.add.at(dof, place, table["dof"])
    return chisq, dof


def check_against_segments(fit):
    """Compare the planes with the sums over the segments, within 1e-5."""
    chisq, dof = of_segments(fit)
    for planes, chisq_here, dof_here in (
        (fit.rateints, chisq, dof),
        (fit.rate, chisq.sum(axis=0), dof.sum(axis=0)),
    ):
        assert (planes.chisq.dtype, planes.dof.dtype) == (np.float32, np.int32)
        np.testing.assert_array_equal(planes.dof, dof_here)
        with np.errstate(over="ignore"):
            expected = chisq_here.astype(np.float32)
        np.testing.assert_allclose(planes.chisq, expected, rtol=1e-5, atol=1e-12)


# ------------------------------------------------------------------------------------------------------ the numbers
@pytest.mark.parametrize("seed", range(SEEDS))
def test_they_are_the_sums_over_the_segments_and_the_fit_keeps_its_bits(seed):
    """MIRI's dropped groups, jumps, saturation, zeroframes, single groups, NaN, bad noise and gain."""
    case = with_usable_range(random_case(seed, small=seed % 2 == 0, largest_size=3000))
    fit, without = run_engine(case, chisq=True), run_engine(case)
    same_bits(fit, without)
    if case.save_opt:
        for name, plane in vars(without.fitopt).items():
            assert getattr(fit.fitopt, name).tobytes() == plane.tobytes(), name
    assert without.rate.chisq is without.rate.dof is without.rateints.chisq is without.rateints.dof is None
    check_against_segments(fit)


@pytest.mark.parametrize("seed", range(fewer(40, 6)))
def test_slices_workers_and_layouts_leave_every_bit_as_it_is(seed):
    case = with_usable_range(random_case(1000 + seed, largest_size=20_000))
    fit = run_engine(case, chisq=True)
    names = (*PLANES, "chisq", "dof")
    same_bits(fit, run_engine(case, chisq=True, maximum_cores=3, executor="threads"), names)
    with ThreadPoolExecutor(2) as pool:
        same_bits(fit, run_engine(case, chisq=True, maximum_cores=5, executor=pool), names)
    if seed < 3:
        same_bits(fit, run_engine(case, chisq=True, maximum_cores=2, executor="processes"), names)


def test_neighbours_and_byte_order_leave_every_bit_as_it_is():
    """Blocks full of flags, blocks with few, ramps that begin elsewhere in a block, and copied windows."""
    rng = np.random.default_rng(4)
    shape = (2, 9, 5, 300)
    data = np.cumsum(rng.poisson(60, shape), axis=1).astype(np.float32)
    flags = rng.choice(np.array([0, 0, 0, 0, 0, 4, 2, 1, 32], np.uint8), shape)
    flags[:, :, 2:] = 0
    flags[0, 3, 3, 17] = 4
    arguments = {"group_time": 3.0, "nframes": 2, "frame_time": 1.5}
    fit = fit_ramps(Exposure(data, flags, **arguments), 11.0, 1.7, chisq=True)
    check_against_segments(fit)
    part = fit_ramps(Exposure(data[..., 3:, 7:], flags[..., 3:, 7:], **arguments), 11.0, 1.7, chisq=True)
    swapped = fit_ramps(Exposure(data.astype(">f4"), flags, **arguments), 11.0, 1.7, chisq=True)
    copied = fit_ramps(Exposure(data.astype(np.float64), flags, **arguments), 11.0, 1.7, chisq=True)
    for name in ("chisq", "dof"):
        assert np.array_equal(getattr(part.rateints, name), getattr(fit.rateints, name)[..., 3:, 7:])
        for other in (swapped, copied):
            assert np.array_equal(getattr(other.rateints, name), getattr(fit.rateints, name))


@pytest.mark.parametrize("nframes", [1, 4])
def test_they_are_those_of_dense_matrices(nframes):
    rng = np.random.default_rng(8)
    shape, frame_time, group_time = (2, 11, 3, 4), 1.5, 1.5 * (nframes + 1)
    data = np.cumsum(rng.poisson(90, shape), axis=1).astype(np.float32)
    flags = np.zeros(shape, np.uint8)
    flags[0, 5, 1] = 4
    flags[1, 8:, 2] = 2
    exposure = Exposure(data, flags, group_time, frame_time=frame_time, nframes=nframes, groupgap=1)
    fit = fit_ramps(exposure, 9.0, 2.2, chisq=True, save_opt=True)
    frame_times = [frame_time * np.arange(1, nframes + 1) + g * group_time for g in range(shape[1])]
    for i, row, column in np.ndindex(shape[0], *shape[2:]):
        segments = [(0, 10)]
        if i == 0 and row == 1:
            segments = [(0, 4), (5, 10)]
        elif i == 1 and row == 2:
            segments = [(0, 7)]
        steps = segments[0][1] - segments[0][0]
        photon = fit.fitopt.var_poisson[i, 0, row, column] * np.float64(group_time) * steps
        chisq, dof = naive_chisq(data[i, :, row, column], segments, frame_times, photon, 9.0**2 / 2)
        assert fit.rateints.dof[i, row, column] == dof
        assert fit.rateints.chisq[i, row, column] == pytest.approx(chisq, rel=2e-6)


@pytest.mark.parametrize(("rate", "nframes"), [(0.0, 1), (30.0, 1), (3000.0, 1), (300.0, 4)])
def test_their_mean_is_the_degrees_of_freedom(rate, nframes):
    rng = np.random.default_rng(11)
    ngroups, side, gain, read = 12, 90, 2.0, 8.0
    frames = np.cumsum(rng.poisson(rate * gain, (1, ngroups * (nframes + 1), side, side)), axis=1) / gain
    frames = frames + rng.normal(0, read, frames.shape)
    data = frames.reshape(1, ngroups, nframes + 1, side, side)[:, :, :nframes].mean(axis=2)
    exposure = Exposure(data, None, nframes + 1.0, frame_time=1.0, nframes=nframes, groupgap=1)
    fit = fit_ramps(exposure, read * np.sqrt(2), gain, chisq=True)
    assert (fit.rate.dof == ngroups - 2).all()
    assert fit.rate.chisq.sum(dtype=np.float64) / fit.rate.dof.sum() == pytest.approx(1, abs=0.02)


def test_bright_ramps_lose_no_digits():
    """A sum of squares less a larger one would be off by far more than the chi-square of a straight line is."""
    ramp = (np.arange(12.0) * 2.0**20).astype(np.float32).reshape(1, 12, 1, 1)
    fit = fit_ramps(Exposure(ramp, None, 1.0), 1e-3, 1e9, chisq=True)
    assert fit.rate.chisq.item() == pytest.approx(0, abs=1e-6)
    check_against_segments(fit)


def test_ramps_of_few_groups_have_nothing_left():
    for ngroups in (1, 2):
        ramp = np.full((2, ngroups, 2, 3), 40, np.float32)
        fit = fit_ramps(Exposure(ramp, None, 3.0), 12.0, 2.0, chisq=True)
        assert not fit.rate.chisq.any()
        assert not fit.rateints.dof.any()


def test_ramps_of_more_groups_than_a_byte_counts():
    rng = np.random.default_rng(3)
    data = np.cumsum(rng.poisson(40, (1, 300, 2, 40)), axis=1).astype(np.float32)
    flags = make_groupdq(jump=rng.random(data.shape) < 0.005)
    check_against_segments(fit_ramps(Exposure(data, flags, 2.0), 12.0, 2.0, chisq=True))


# ------------------------------------------------------------------------------------------------- options and files
def exposure_of(ngroups=6):
    simulation = simulate_exposure(2, ngroups, 8, 9)
    return simulation.exposure, simulation.readnoise, simulation.gain


def test_likelihood_fits_have_theirs_in_any_case():
    arguments = exposure_of()
    one, other = (fit_ramps(*arguments, algorithm="likely", chisq=chisq) for chisq in (False, True))
    same_bits(one, other, (*PLANES, "chisq", "dof"))
    with pytest.warns(match="fitted with 'ols'"):
        short = fit_ramps(*exposure_of(3), algorithm="likely", chisq=True)
    assert (short.rate.dof <= 2).all()


def test_anything_but_a_truth_value_is_refused():
    with pytest.raises(TypeError, match="chisq: expected True or False; got 'yes'"):
        FitOptions(chisq="yes")


@pytest.mark.parametrize("other", [{"weighting": "uniform"}, {"errors": "weights"}])
def test_fits_that_the_pipeline_does_not_know_have_none(other):
    with pytest.raises(ValueError, match="chisq: with 'ols' there are chi-squares of the pipeline's fit only"):
        fit_ramps(*exposure_of(), chisq=True, **other)


def test_uneven_times_are_refused_and_likelihood_fits_have_theirs():
    exposure, noise, gain = exposure_of()
    uneven = Exposure(exposure.data, None, read_times=[1.0, 2.0, 3.0, 4.0, 5.0, 9.0])
    with pytest.raises(ValueError, match="chisq: with 'ols'"):
        fit_ramps(uneven, noise, gain, chisq=True)
    assert fit_ramps(uneven, noise, gain, chisq=True, algorithm="likely").rate.chisq is not None


def test_arrays_of_an_earlier_result_are_used_again():
    arguments = exposure_of()
    first = fit_ramps(*arguments, chisq=True)
    again = fit_ramps(*arguments, chisq=True, out=first)
    assert again.rateints.chisq is first.rateints.chisq
    without = fit_ramps(*arguments, out=first)
    assert without.rate.chisq is None
    with pytest.raises(ValueError, match=r"out\.rate\.chisq: expected .*; got None"):
        fit_ramps(*arguments, chisq=True, out=without)


def test_products_have_them_behind_the_planes_that_the_pipeline_knows(tmp_path):
    fit = fit_ramps(*exposure_of(), chisq=True)
    assert list(to_hdulists(fit)) == ["rate", "rateints"]
    for path, planes in zip(write_products(fit, tmp_path, "demo_jump.fits"), (fit.rate, fit.rateints), strict=True):
        np.testing.assert_array_equal(fits.getdata(path, "CHISQ"), planes.chisq)
        np.testing.assert_array_equal(fits.getdata(path, "DOF"), planes.dof)


def test_the_command_writes_them_where_it_is_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["simulate", "demo_jump.fits", "--shape", "2x6x16x16", "--quiet"]) == 0
    (jump,) = tmp_path.rglob("*_jump.fits")
    references = [f"--readnoise={jump.parent / 'demo_readnoise.fits'}", f"--gain={jump.parent / 'demo_gain.fits'}"]
    assert main(["fit", str(jump), *references, "--chisq", "--quiet", "--output-dir=with"]) == 0
    assert main(["fit", str(jump), *references, "--quiet", "--output-dir=without"]) == 0
    with fits.open("with/demo_rateints.fits") as written:
        names = [hdu.name for hdu in written]
    assert names[names.index("VAR_RNOISE") + 1 :][:2] == ["CHISQ", "DOF"]
    with fits.open("without/demo_rateints.fits") as plain:
        assert "CHISQ" not in plain
    result = fit_file(jump, 14.0, 1.8, chisq=True, output_dir="again")
    assert fits.getdata(result.products[0], "DOF").max() == 8  # two integrations of six groups
