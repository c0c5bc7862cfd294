"""The simulator against the theory of what it simulates.

Statistical bounds are five standard errors of the tested statistic, worked out beside each test; seeds are fixed, so a
test either always passes or always fails.
"""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import dq
from rampfit_numba.messages import RampFileError
from rampfit_numba.simulate import (
    SimulationOptions,
    measure_pulls,
    simulate_exposure,
    simulation_paths,
    write_simulation,
)
from tests.make_files import pipeline_datamodels

SIGMAS = 5.0
# No scatter from pixel to pixel, nothing but photons and read noise.
PLAIN = {
    "source_density": 0.0,
    "background_gradient": 0.0,
    "gain_scatter": 0.0,
    "readnoise_scatter": 0.0,
    "hit_rate": 0.0,
    "bad_pixels": 0.0,
    "saturation": 1e9,
}


def difference_variance(options: SimulationOptions, rate: float) -> float:
    """Variance, in DN^2, of the difference of successive groups.

    In frames: frame k of the group before counts k/n in the difference, that of the group after (n-k)/n, and what
    comes between the groups, the first frame of the group after included, counts fully.
    """
    n = options.nframes
    weight = 2 * sum((k / n) ** 2 for k in range(1, n)) + options.groupgap + 1
    electrons = rate * options.gain * options.frame_time
    return weight * electrons / options.gain**2 + options.readnoise**2 / n


@pytest.mark.parametrize(("nframes", "groupgap", "drop"), [(1, 0, 0), (1, 3, 1), (4, 1, 0), (8, 2, 2), (2, 0, 5)])
@pytest.mark.parametrize("rate", [0.0, 0.3, 40.0])
def test_group_differences_have_the_mean_and_the_variance_of_photons_and_read_noise(nframes, groupgap, drop, rate):
    simulation = simulate_exposure(
        2, 4, 100, 100, seed=1, background=rate, nframes=nframes, groupgap=groupgap, drop_frames1=drop, **PLAIN
    )
    data = simulation.exposure.data.astype(np.float64)
    differences = np.diff(data, axis=1)[:, ::2].ravel()  # every second one: independent of each other
    variance = difference_variance(simulation.options, rate)
    count = differences.size
    assert abs(differences.mean() - rate * simulation.options.group_time) < SIGMAS * np.sqrt(variance / count)
    # The sample variance scatters by sqrt(2 / count) for a Gaussian; a Poisson distribution's kurtosis adds 1/mean.
    electrons = rate * simulation.options.gain * simulation.options.group_time
    kurtosis = 2 + (1 / electrons if electrons else 0)
    assert abs(differences.var() - variance) < SIGMAS * variance * np.sqrt(kurtosis / count)


@pytest.mark.parametrize(("nframes", "drop"), [(1, 0), (4, 0), (4, 3)])
def test_first_group_has_the_signal_since_the_reset(nframes, drop):
    rate, bias = 30.0, 100.0
    simulation = simulate_exposure(
        1, 1, 150, 150, seed=2, background=rate, bias=bias, bias_scatter=0, nframes=nframes, drop_frames1=drop, **PLAIN
    )
    options = simulation.options
    frames = drop + (nframes + 1) / 2  # mean time of the averaged frames after the reset
    expected = bias + rate * options.frame_time * frames
    data = simulation.exposure.data
    assert abs(data.mean() - expected) < SIGMAS * data.std() / np.sqrt(data.size)


def test_read_noise_of_frames_is_the_cds_noise_by_root_two():
    simulation = simulate_exposure(1, 2, 200, 200, seed=3, background=0.0, readnoise=17.0, bias_scatter=0, **PLAIN)
    data = simulation.exposure.data.astype(np.float64)
    count = data[0, 0].size
    assert abs(data[0, 0].std() * np.sqrt(2) / 17.0 - 1) < SIGMAS / np.sqrt(2 * count)
    assert abs((data[0, 1] - data[0, 0]).std() / 17.0 - 1) < SIGMAS / np.sqrt(2 * count)
    np.testing.assert_array_equal(simulation.readnoise, np.float32(17.0))


def test_counts_in_electrons_are_whole_numbers():
    settings = PLAIN | {"readnoise": 1e-3, "bias_scatter": 0.0, "gain": 2.0, "hit_rate": 0.2}
    data = simulate_exposure(1, 6, 20, 20, background=5.0, seed=4, **settings).exposure.data
    electrons = data * 2.0
    # What is left is 1e-3 DN of noise: 0.02 electrons would be 14 standard deviations.
    assert np.abs(electrons - np.rint(electrons)).max() < 0.02
    assert (np.diff(electrons, axis=1) > -0.02).all()


def test_gain_and_read_noise_maps_scatter_as_asked():
    simulation = simulate_exposure(1, 2, 200, 200, seed=5, gain=2.0, gain_scatter=0.05, readnoise=10, bad_pixels=0)
    count = simulation.gain.size
    assert abs(simulation.gain.mean() / 2.0 - 1) < SIGMAS * 0.05 / np.sqrt(count)
    assert abs(simulation.gain.std() / 0.1 - 1) < SIGMAS / np.sqrt(2 * count)
    logs = np.log(simulation.readnoise / 10.0)
    assert abs(logs.mean()) < SIGMAS * 0.1 / np.sqrt(count)
    assert abs(logs.std() / 0.1 - 1) < SIGMAS / np.sqrt(2 * count)


def test_saturated_groups_are_flagged_until_the_end_and_hold_the_level():
    settings = PLAIN | {"saturation": 1000.0, "readnoise": 1e-3, "bias_scatter": 0.0}
    simulation = simulate_exposure(2, 12, 40, 40, seed=6, background=15.0, **settings)
    data, flags = simulation.exposure.data, simulation.exposure.groupdq
    full = (flags & dq.SATURATED) > 0
    assert 0.3 < full.mean() < 0.7  # 1000 DN are reached in group 6.2 on average
    assert (np.diff(full.astype(int), axis=1) >= 0).all()
    # The noise is 7e-4 DN a frame; its extreme among 38400 samples stays below 0.01 DN by far.
    np.testing.assert_allclose(data[full], 1000.0, atol=0.01)
    assert (data[~full] < 1000.01).all()


def test_groups_of_several_frames_without_the_flag_hold_no_full_frame():
    settings = PLAIN | {"saturation": 1000.0, "readnoise": 1e-3, "bias_scatter": 0.0, "gain": 1000.0}
    simulation = simulate_exposure(
        1, 6, 30, 30, seed=7, background=10.0, nframes=4, groupgap=1, frame_time=3.0, **settings
    )
    data, flags = simulation.exposure.data, simulation.exposure.groupdq
    clean = flags == 0
    # At 1000 e-/DN photon noise is small: 1000 DN fill 33.3 frames, groups end after 4, 9, 14, 19, 24, 29 frames.
    assert clean.all()
    assert abs(data[0, -1].mean() - 10.0 * 3.0 * 27.5) < 1.0
    brighter = simulate_exposure(
        1, 6, 30, 30, seed=7, background=12.0, nframes=4, groupgap=1, frame_time=3.0, **settings
    ).exposure
    # Now it takes 27.8 frames: group 5 (frames 26 to 29) is full in its last two frames, hence flagged, and lower.
    assert ((brighter.groupdq[0, 5] & dq.SATURATED) > 0).all()
    assert (brighter.groupdq[0, :5] == 0).all()
    mean = (12.0 * 3.0 * (26 + 27) + 2 * 1000.0) / 4
    assert abs(brighter.data[0, 5].mean() - mean) < 1.0


def test_hits_come_at_their_rate_and_are_flagged_where_they_show():
    simulation = simulate_exposure(2, 20, 60, 60, seed=8, background=0.0, **PLAIN | {"hit_rate": 0.2})
    hits, flags = simulation.hits, simulation.exposure.groupdq
    assert abs(hits.mean() - 0.2) < SIGMAS * np.sqrt(0.2 * 0.8 / hits.size)
    np.testing.assert_array_equal(flags[:, 1:], dq.JUMP_DET * hits[:, 1:])
    assert not flags[:, 0].any()


def test_hits_raise_the_ramp_by_their_charge():
    settings = PLAIN | {"hit_rate": 0.1, "hit_charge": 5000.0, "hit_charge_scatter": 0.0, "readnoise": 1e-3}
    simulation = simulate_exposure(1, 10, 40, 40, seed=9, background=0.0, bias_scatter=0.0, gain=2.5, **settings)
    steps = np.diff(simulation.exposure.data, axis=1)
    np.testing.assert_allclose(steps, 2000.0 * simulation.hits[:, 1:], atol=0.05)


def test_charges_of_hits_are_log_normal():
    settings = PLAIN | {"hit_rate": 0.3, "hit_charge": 3000.0, "hit_charge_scatter": 0.5, "readnoise": 1e-3}
    simulation = simulate_exposure(1, 10, 60, 60, seed=10, background=0.0, bias_scatter=0.0, gain=1.0, **settings)
    charges = np.log(np.diff(simulation.exposure.data, axis=1)[simulation.hits[:, 1:]])
    assert abs(charges.mean() - np.log(3000.0)) < SIGMAS * 0.5 / np.sqrt(charges.size)
    assert abs(charges.std() / 0.5 - 1) < SIGMAS / np.sqrt(2 * charges.size)


def test_hits_between_averaged_frames_flag_both_groups_they_show_in():
    settings = PLAIN | {"hit_rate": 0.05, "hit_charge": 8000.0, "hit_charge_scatter": 0.0, "readnoise": 1e-3}
    simulation = simulate_exposure(
        1, 8, 60, 60, seed=11, background=0.0, bias_scatter=0.0, gain=1.0, nframes=4, groupgap=2, **settings
    )
    steps = np.diff(simulation.exposure.data, axis=1)
    jumps = (simulation.exposure.groupdq[:, 1:] & dq.JUMP_DET) > 0
    # Every step is flagged; one frame of four is the least that shows.
    np.testing.assert_array_equal(steps > 1000.0, jumps)
    # Six frame times from group to group, three of them between the averaged frames: there a hit shows twice.
    alone = simulation.hits & (np.cumsum(simulation.hits, axis=1) == 1)
    inside = (steps % 8000.0 > 1000.0) & (steps % 8000.0 < 7000.0) & alone[:, 1:]
    count = int(alone[:, 1:].sum())
    assert abs(inside.sum() / count - 0.5) < 0.05 + SIGMAS * np.sqrt(0.25 / count)


def test_missed_hits_are_there_without_a_flag():
    settings = PLAIN | {"hit_rate": 0.2, "missed_hits": 0.25}
    simulation = simulate_exposure(1, 20, 60, 60, seed=12, background=0.0, **settings)
    flagged = (simulation.exposure.groupdq[:, 1:] & dq.JUMP_DET) > 0
    hits = simulation.hits[:, 1:]
    assert not (flagged & ~hits).any()
    assert abs(1 - flagged.sum() / hits.sum() - 0.25) < SIGMAS * np.sqrt(0.25 * 0.75 / hits.sum())
    without = simulate_exposure(1, 20, 60, 60, seed=12, background=0.0, **settings | {"missed_hits": 1.0})
    np.testing.assert_array_equal(without.exposure.data, simulation.exposure.data)
    assert not without.exposure.groupdq.any()


def test_saturated_fraction_fills_that_many_ramps_about_half_way():
    simulation = simulate_exposure(2, 20, 80, 80, seed=13, saturated_fraction=0.5, source_density=0.0, bad_pixels=0.0)
    full = (simulation.exposure.groupdq & dq.SATURATED) > 0
    assert abs(full[:, -1].mean() - 0.5) < SIGMAS * np.sqrt(0.25 / full[0, 0].size) + 0.01
    lengths = (~full).sum(axis=1)[full[:, -1]]
    assert (lengths >= 7).all()
    assert (lengths <= 12).all()


def test_sources_hold_their_flux():
    for psf, tolerance in (("gaussian", 2e-3), ("moffat", 3e-2)):  # a Moffat profile has light beyond its stamp
        settings = {"source_density": 1e-4, "source_flux": (500.0, 500.0), "background": 0.0, "bad_pixels": 0.0}
        simulation = simulate_exposure(1, 1, 200, 200, seed=15, psf=psf, fwhm=2.5, **settings)
        rate = simulation.true_rate.astype(np.float64)
        # Four sources, none of them near an edge with this seed.
        assert rate[[0, 1, -1, -2]].max() < 1.0
        assert abs(rate.sum() / (4 * 500.0) - 1) < tolerance


def test_background_is_smooth_and_has_its_mean():
    rate = simulate_exposure(
        1, 1, 50, 80, background=3.0, background_gradient=0.4, source_density=0.0, bad_pixels=0.0
    ).true_rate
    assert rate.mean() == pytest.approx(3.0, rel=1e-5)
    assert rate[-1, -1] / rate[0, 0] == pytest.approx(1.2 / 0.8, rel=1e-5)
    assert np.abs(np.diff(rate, axis=0)).max() < 0.02


def test_bad_pixels_are_flagged_with_their_kind():
    simulation = simulate_exposure(1, 3, 120, 120, seed=16, bad_pixels=0.3)
    flags = simulation.exposure.pixeldq
    dead, hot = flags == dq.DO_NOT_USE | dq.DEAD, flags == dq.DO_NOT_USE | dq.HOT
    gainless = np.isnan(simulation.gain)
    assert not flags[gainless].any()
    assert set(np.unique(flags)) == {0, dq.DO_NOT_USE | dq.DEAD, dq.DO_NOT_USE | dq.HOT}
    for kind in (dead, hot, gainless):
        assert abs(kind.mean() - 0.1) < SIGMAS * np.sqrt(0.1 * 0.9 / kind.size)
    assert not simulation.true_rate[dead].any()
    assert simulation.true_rate[hot].min() > 50.0
    assert np.isfinite(simulation.exposure.data).all()


@pytest.mark.parametrize(("nframes", "drop"), [(1, 0), (3, 0), (3, 2)])
def test_zeroframe_is_the_first_frame_and_leaves_the_data_as_they_are(nframes, drop):
    settings = PLAIN | {"nframes": nframes, "drop_frames1": drop, "background": 20.0, "bias_scatter": 0.0}
    without = simulate_exposure(1, 2, 120, 120, seed=17, **settings).exposure
    exposure = simulate_exposure(1, 2, 120, 120, seed=17, zeroframe=True, **settings).exposure
    assert without.zeroframe is None
    np.testing.assert_array_equal(exposure.data, without.data)
    zeroframe = exposure.zeroframe.astype(np.float64)
    options = SimulationOptions(**settings)
    expected = 20.0 * options.frame_time
    variance = expected / options.gain + options.readnoise**2 / 2
    count = zeroframe.size
    assert abs(zeroframe.mean() - expected) < SIGMAS * np.sqrt(variance / count)
    assert abs(zeroframe.var() / variance - 1) < SIGMAS * np.sqrt(2 / count)
    if nframes == 1 and not drop:
        np.testing.assert_array_equal(exposure.zeroframe[0], exposure.data[0, 0])
    else:
        # They share the photons of the first frame, and its read noise where it is one of the averaged frames.
        later = exposure.data[0, 0].astype(np.float64) - zeroframe[0]
        frames = drop + (nframes + 1) / 2 - 1
        assert abs(later.mean() - 20.0 * options.frame_time * frames) < SIGMAS * later.std() / np.sqrt(count)
        n = nframes
        own = (expected / options.gain) * (drop + sum((k / n) ** 2 for k in range(1, n)))
        read = options.readnoise**2 / 2 * ((1 + 1 / n) if drop else (1 - 1 / n))
        assert abs(later.var() / (own + read) - 1) < SIGMAS * np.sqrt(2 / count)


def test_zeroframe_is_zero_where_its_frame_is_full():
    settings = PLAIN | {"saturation": 300.0, "zeroframe": True, "nframes": 2, "background": 20.0}
    exposure = simulate_exposure(1, 4, 30, 30, seed=18, **settings | {"bias": 200.0, "bias_scatter": 50.0}).exposure
    full = exposure.zeroframe == 0.0
    assert 0 < full.mean() < 1
    assert ((exposure.groupdq[:, 0] & dq.SATURATED) > 0)[full].all()


def test_same_seed_same_numbers_other_seed_other_numbers():
    first, again, other = (simulate_exposure(2, 5, 20, 30, seed=seed, hit_rate=0.1) for seed in (4, 4, 5))
    for name in ("readnoise", "gain", "true_rate", "hits"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    for name in ("data", "groupdq", "pixeldq"):
        np.testing.assert_array_equal(getattr(first.exposure, name), getattr(again.exposure, name))
    assert (first.exposure.data != other.exposure.data).mean() > 0.99


def test_numbers_do_not_depend_on_threads_or_on_later_integrations(monkeypatch):
    shape = (5, 20, 1000)  # four blocks of rows
    many = simulate_exposure(3, *shape, seed=4).exposure
    monkeypatch.setattr("rampfit_numba.simulate.ramps.os.cpu_count", lambda: 1)
    np.testing.assert_array_equal(many.data, simulate_exposure(3, *shape, seed=4).exposure.data)
    np.testing.assert_array_equal(many.data[:2], simulate_exposure(2, *shape, seed=4).exposure.data)


def test_given_rates_are_used_as_they_are():
    rate = np.linspace(0.0, 50.0, 12).reshape(3, 4)
    simulation = simulate_exposure(1, 4, 3, 4, true_rate=rate, bad_pixels=1.0)
    np.testing.assert_array_equal(simulation.true_rate, rate.astype(np.float32))
    assert (simulate_exposure(1, 4, 3, 4, true_rate=7).true_rate == 7).all()


def test_miri_flags_its_edge_groups_where_there_are_enough():
    for ngroups, edges in ((3, 0), (4, dq.DO_NOT_USE)):
        exposure = simulate_exposure(1, ngroups, 8, 9, instrument="MIRI", **PLAIN).exposure
        assert exposure.instrument == "MIRI"
        assert (exposure.groupdq[:, [0, -1]] == edges).all()
        assert not exposure.groupdq[:, 1:-1].any()


def test_dtypes_and_shapes():
    simulation = simulate_exposure(2, 3, 4, 5, zeroframe=True)
    exposure = simulation.exposure
    for array, shape, dtype in (
        (exposure.data, (2, 3, 4, 5), np.float32),
        (exposure.groupdq, (2, 3, 4, 5), np.uint8),
        (exposure.pixeldq, (4, 5), np.uint32),
        (exposure.zeroframe, (2, 4, 5), np.float32),
        (simulation.readnoise, (4, 5), np.float32),
        (simulation.gain, (4, 5), np.float32),
        (simulation.true_rate, (4, 5), np.float32),
        (simulation.hits, (2, 3, 4, 5), np.bool_),
    ):
        assert (array.shape, array.dtype) == (shape, dtype)
    assert exposure.group_time == exposure.frame_time == simulation.options.frame_time
    with pytest.raises(dataclasses.FrozenInstanceError):
        simulation.seed = 3


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"nints": 0}, ValueError, "nints: expected an integer >= 1"),
        ({"ncols": 2.0}, TypeError, "ncols: expected an integer"),
        ({"seed": -1}, ValueError, "seed: expected an integer >= 0"),
        ({"seed": True}, TypeError, "seed"),
        ({"hit_rate": 1.5}, ValueError, "hit_rate: expected a number between 0 and 1; got 1.5"),
        ({"gain": float("nan")}, ValueError, "gain"),
        ({"nframes": 1.0}, TypeError, "nframes: expected an integer"),
        ({"background": "bright"}, TypeError, "background: expected a number"),
        ({"psf": "airy"}, ValueError, "psf: expected one of gaussian, moffat"),
        ({"instrument": "ACS"}, ValueError, "instrument"),
        ({"zeroframe": 1}, TypeError, "zeroframe"),
        ({"source_flux": 5.0}, TypeError, "source_flux"),
        ({"source_flux": (5.0, 4.0)}, ValueError, "source_flux"),
        ({"bias": 60000.0}, ValueError, "bias: expected less than saturation"),
        ({"colour": "red"}, TypeError, "colour"),
        ({"true_rate": -1.0}, ValueError, "true_rate"),
        ({"true_rate": np.ones((2, 2))}, ValueError, "true_rate: expected a number or shape"),
        ({"true_rate": "x"}, TypeError, "true_rate"),
        ({"true_rate": float("nan")}, ValueError, "true_rate"),
    ],
)
def test_unusable_arguments_are_named(settings, error, message):
    with pytest.raises(error, match=message):
        simulate_exposure(**{"nints": 1, "ngroups": 2, "nrows": 3, "ncols": 4} | settings)


def test_pulls_of_a_gaussian_are_those_of_a_gaussian():
    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 100, (300, 300))
    err = rng.uniform(0.1, 2.0, (2, 300, 300))
    rate = truth + err * (0.1 + 1.2 * rng.standard_normal(err.shape))
    pulls = measure_pulls(rate, err, truth)
    assert pulls.count == err.size
    assert abs(pulls.mean - 0.1) < SIGMAS * 1.2 / np.sqrt(err.size)
    # A percentile's standard error is sqrt(p (1-p) / count) / density; 1.5 widths / sqrt(count) bounds that of both.
    assert abs(pulls.width - 1.2) < SIGMAS * 1.5 * 1.2 / np.sqrt(err.size)
    assert abs(pulls.beyond3 - 0.01276) < SIGMAS * np.sqrt(0.01276 / err.size)
    assert pulls.beyond5 < 2e-4


def test_pulls_leave_out_what_has_no_rate_no_error_or_is_not_to_count():
    rate = np.array([[1.0, np.nan, 3.0, 4.0, 90.0]])
    err = np.array([[1.0, 1.0, 0.0, np.nan, 1.0]])
    use = np.array([[True, True, True, True, False]])
    assert measure_pulls(rate, err, np.zeros((1, 5)), use).count == 1
    nothing = measure_pulls(rate, err, np.zeros((1, 5)), np.zeros((1, 5), bool))
    assert nothing.count == 0
    assert np.isnan(nothing.mean)
    with pytest.raises(ValueError, match="shape"):
        measure_pulls(rate, err, np.zeros((5, 1)))


def test_files_hold_the_simulation(tmp_path):
    simulation = simulate_exposure(2, 3, 6, 7, seed=3, zeroframe=True, bad_pixels=0.3, nframes=2, groupgap=3)
    paths = write_simulation(simulation, tmp_path / "x_jump.fits")
    assert [path.name for path in paths] == ["x_jump.fits", "x_gain.fits", "x_readnoise.fits"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    with fits.open(paths[0]) as hdulist:
        assert [hdu.name for hdu in hdulist] == ["PRIMARY", "SCI", "PIXELDQ", "GROUPDQ", "ZEROFRAME", "ASDF"]
        exposure = simulation.exposure
        for name, array in (
            ("SCI", exposure.data),
            ("PIXELDQ", exposure.pixeldq),
            ("GROUPDQ", exposure.groupdq),
            ("ZEROFRAME", exposure.zeroframe),
        ):
            np.testing.assert_array_equal(hdulist[name].data, array)
        header = hdulist[0].header
        expected = {
            "DATAMODL": "RampModel",
            "FILENAME": "x_jump.fits",
            "TELESCOP": "JWST",
            "INSTRUME": "NIRCAM",
            "READPATT": "SHALLOW2",
            "NINTS": 2,
            "NGROUPS": 3,
            "NFRAMES": 2,
            "GROUPGAP": 3,
            "DRPFRMS1": 0,
            "SUBSTRT1": 1,
            "SUBSTRT2": 1,
            "SUBSIZE1": 7,
            "SUBSIZE2": 6,
            "TFRAME": 10.73677,
            "TGROUP": 5 * 10.73677,
        }
        assert {name: header[name] for name in expected} == expected
    for path, image, model in (
        (paths[1], simulation.gain, "GainModel"),
        (paths[2], simulation.readnoise, "ReadnoiseModel"),
    ):
        with fits.open(path) as hdulist:
            np.testing.assert_array_equal(hdulist["SCI"].data, image)
            assert hdulist[0].header["DATAMODL"] == model
            assert hdulist[0].header["SUBSIZE1"] == 7


def test_writing_leaves_the_arrays_as_they_are(tmp_path):
    simulation = simulate_exposure(1, 3, 6, 7)
    before = simulation.exposure.data.copy()
    write_simulation(simulation, tmp_path / "x_jump.fits.gz")
    np.testing.assert_array_equal(simulation.exposure.data, before)
    assert simulation.exposure.data.dtype == np.float32


def test_existing_files_are_kept_unless_asked(tmp_path):
    simulation = simulate_exposure(1, 2, 3, 4)
    (tmp_path / "x_gain.fits").write_text("precious")
    with pytest.raises(RampFileError, match=r"x_gain\.fits: exists; allow overwriting"):
        write_simulation(simulation, tmp_path / "x_jump.fits")
    assert [path.name for path in tmp_path.iterdir()] == ["x_gain.fits"]
    assert (tmp_path / "x_gain.fits").read_text() == "precious"
    write_simulation(simulation, tmp_path / "x_jump.fits", overwrite=True)
    assert len(list(tmp_path.iterdir())) == 3
    assert fits.getdata(tmp_path / "x_gain.fits", "SCI").shape == (3, 4)


def test_failed_writing_leaves_nothing_behind(tmp_path, monkeypatch):
    calls = []

    def fail(*_args, **_kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise OSError("No space left on device")

    simulation = simulate_exposure(1, 2, 3, 4)
    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(RampFileError, match=r"x_gain\.fits: cannot be written \(No space left on device\)"):
        write_simulation(simulation, tmp_path / "x_jump.fits")
    assert not list(tmp_path.iterdir())


def test_several_may_write_the_same_simulation_at_once(tmp_path):
    simulation = simulate_exposure(1, 5, 40, 50)
    before = simulation.exposure.data.copy()
    with ThreadPoolExecutor(4) as threads:
        for _ in range(5):
            jobs = [
                threads.submit(write_simulation, simulation, tmp_path / "x_jump.fits", overwrite=True) for _ in range(4)
            ]
            for job in jobs:
                assert job.result()[0].exists()
            np.testing.assert_array_equal(fits.getdata(tmp_path / "x_jump.fits", "SCI"), before)
    assert len(list(tmp_path.iterdir())) == 3
    np.testing.assert_array_equal(simulation.exposure.data, before)


def test_longest_names(tmp_path):
    simulation = simulate_exposure(1, 2, 3, 4)
    longest = "x" * (255 - len("_readnoise.fits"))
    assert all(path.exists() for path in write_simulation(simulation, tmp_path / f"{longest}_jump.fits"))
    with pytest.raises(RampFileError, match="cannot be written"):
        write_simulation(simulation, tmp_path / f"x{longest}_jump.fits")
    assert len(list(tmp_path.iterdir())) == 3


def test_compressed_files_hold_the_same(tmp_path):
    simulation = simulate_exposure(1, 3, 6, 7)
    paths = write_simulation(simulation, tmp_path / "x_jump.fits.gz", truth=True)
    assert [path.name for path in paths] == [f"x_{kind}.fits.gz" for kind in ("jump", "gain", "readnoise", "truth")]
    for path, extension, image in zip(
        paths,
        ("SCI", "SCI", "SCI", "JUMPS"),
        (simulation.exposure.data, simulation.gain, simulation.readnoise, simulation.hits),
        strict=True,
    ):
        assert path.read_bytes()[:2] == b"\x1f\x8b"
        np.testing.assert_array_equal(fits.getdata(path, extension), image)


def test_sizes_may_be_numpys_small_integers():
    simulation = simulate_exposure(np.int8(1), np.int8(100), np.int8(100), np.int8(100))
    assert simulation.exposure.shape == (1, 100, 100, 100)


@pytest.mark.parametrize("name", ["x_jump", "x_jump.asdf", ".fits", "_jump.fits", "nowhere/x_jump.fits"])
def test_unusable_names_are_refused(tmp_path, name):
    with pytest.raises(RampFileError):
        simulation_paths(tmp_path / name)


@pytest.mark.jwst
@pytest.mark.parametrize("settings", [{}, {"instrument": "MIRI", "zeroframe": True}, {"nframes": 3, "groupgap": 1}])
def test_files_are_data_models(tmp_path, settings):
    datamodels = pipeline_datamodels()
    paths = write_simulation(simulate_exposure(1, 5, 16, 20, **settings), tmp_path / "x_jump.fits")
    for path, kind in zip(paths, ("RampModel", "GainModel", "ReadnoiseModel"), strict=True):
        with datamodels.open(path) as model:
            assert type(model).__name__ == kind
            model.validate()
            assert model.meta.subarray.xsize == 20
