"""Times: explicit ones are the truth for every algorithm, and where others contradict each other, it is said."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from astropy import units
from astropy.io import fits

from rampfit_numba import Exposure, RampFileError, RampFitWarning, fit_file, fit_ramps, read_exposure
from rampfit_numba.cli import main
from tests.make_files import KEYWORDS, asdf_hdu, ramp_hdulist, save

ALGORITHMS = ("ols", "likely", "likely_joint")
RATE = 20.0
EVEN = [5.0 * g for g in range(1, 9)]


def ramp(times, rate=RATE):
    """Return a ramp of four pixels whose groups are read at `times`."""
    means = np.array([np.mean(group) for group in times])
    return np.broadcast_to((rate * means)[None, :, None, None], (1, len(times), 1, 4)).astype(np.float32)


def one_warning(caught, *parts):
    assert len(caught) == 1, [str(each.message) for each in caught]
    assert issubclass(caught[0].category, RampFitWarning)
    for part in parts:
        assert part in str(caught[0].message)


# ------------------------------------------------------------------------------------------------- times of an exposure
class TestEvenTimes:
    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    @pytest.mark.parametrize("group_time", [None, 5.0, 2.0, 11.0])
    def test_are_what_every_algorithm_goes_by(self, algorithm, group_time):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            exposure = Exposure(ramp(EVEN), None, group_time, read_times=EVEN)
        if group_time in {None, 5.0}:
            assert not caught
        else:
            one_warning(caught, "read_times are what is used", f"group_time (TGROUP) is {group_time:g} s and not 5 s")
            assert caught[0].filename == __file__
        assert (exposure.group_time, exposure.frame_time, exposure.nframes, exposure.groupgap) == (5, 5, 1, 0)
        fit = fit_ramps(exposure, 12.0, 2.0, algorithm=algorithm)
        np.testing.assert_allclose(fit.rate.data, RATE, rtol=1e-5)
        truth = fit_ramps(Exposure(ramp(EVEN), None, 5.0), 12.0, 2.0, algorithm=algorithm)
        for plane in ("data", "err", "var_poisson", "var_rnoise"):
            np.testing.assert_allclose(getattr(fit.rate, plane), getattr(truth.rate, plane), rtol=1e-6)

    def test_of_averaged_frames_say_all_about_them(self):
        times = [[10.0 * g + 2.0 * k for k in (1, 2, 3)] for g in range(6)]
        with pytest.warns(RampFitWarning) as caught:
            exposure = Exposure(ramp(times), None, 7.0, frame_time=1.0, nframes=4, groupgap=9, read_times=times)
        one_warning(
            caught,
            "group_time (TGROUP) is 7 s and not 10 s",
            "nframes (NFRAMES) is 4 and not 3",
            "frame_time (TFRAME) is 1 s and not 2 s",
        )
        assert (exposure.group_time, exposure.frame_time, exposure.nframes, exposure.groupgap) == (10, 2, 3, 2)
        plain = Exposure(ramp(times), None, 10.0, frame_time=2.0, nframes=3, groupgap=2)
        for algorithm in ALGORITHMS:
            fit, truth = (fit_ramps(each, 12.0, 2.0, algorithm=algorithm, save_opt=True) for each in (exposure, plain))
            for plane in ("data", "err", "var_poisson", "var_rnoise"):
                np.testing.assert_allclose(getattr(fit.rate, plane), getattr(truth.rate, plane), rtol=1e-6)
            if fit.fitopt is not None:
                np.testing.assert_allclose(fit.fitopt.pedestal, truth.fitopt.pedestal, rtol=1e-6)

    def test_agree_with_rounded_keywords_without_a_word(self):
        times = [[10.73677 * g + 2.14735 * k for k in (1, 2, 3, 4)] for g in range(6)]
        exposure = Exposure(ramp(times), None, 10.737, frame_time=2.147, nframes=4, groupgap=1, read_times=times)
        assert exposure.group_time == pytest.approx(10.73677)
        assert (exposure.nframes, exposure.groupgap) == (4, 1)

    def test_of_single_frames_with_skipped_ones_between_keep_the_gap(self):
        exposure = Exposure(ramp(EVEN), None, 5.0, frame_time=1.0, groupgap=4, read_times=EVEN)
        assert (exposure.frame_time, exposure.nframes, exposure.groupgap) == (1, 1, 4)

    @pytest.mark.parametrize("first", [5.0, 2.0])
    def test_say_how_long_after_the_reset_the_only_good_group_was_read(self, first):
        times = [first + 5.0 * g for g in range(6)]
        flags = np.zeros((1, 6, 1, 4), np.uint8)
        flags[:, 1:] = 2
        exposure = Exposure(ramp(times), flags, read_times=times)
        fit = fit_ramps(exposure, 12.0, 2.0, suppress_one_group=False)
        np.testing.assert_allclose(fit.rate.data, RATE, rtol=1e-6)

    def test_say_when_the_zeroframe_was_read(self):
        times = [[3.0 * k + 12.0 * g for k in (1, 2, 3)] for g in range(6)]
        flags = np.full((1, 6, 1, 4), 2, np.uint8)
        flags[..., 0] = 0
        exposure = Exposure(ramp(times), flags, read_times=times, zeroframe=np.full((1, 1, 4), 3 * RATE))
        fit = fit_ramps(exposure, 12.0, 2.0, suppress_one_group=False)
        np.testing.assert_allclose(fit.rate.data, RATE, rtol=1e-6)

    @pytest.mark.parametrize("step", [1.5e-3, 1e-5])
    def test_of_milliseconds_are_fitted_whatever_the_noise_a_second(self, step):
        """Four samples in a frame: their noise over that time is beyond what the pipeline takes for known."""
        times = [step * (2 + k) for k in range(4)]
        fit = fit_ramps(Exposure(ramp(times, 20000.0), None, read_times=times), 12.0, 1.8)
        np.testing.assert_allclose(fit.rate.data, 20000.0, rtol=1e-4)
        assert (fit.rate.err > 0).all()
        assert (fit.rateints.var_rnoise > 1e6).all()

    def test_that_begin_at_zero_leave_the_usual_guess(self):
        times = [5.0 * g for g in range(6)]
        flags = np.zeros((1, 6, 1, 4), np.uint8)
        flags[:, 1:] = 2
        exposure = Exposure(ramp(times) + 100, flags, read_times=times)
        fit = fit_ramps(exposure, 12.0, 2.0, suppress_one_group=False)
        np.testing.assert_allclose(fit.rate.data, 100 / 5.0, rtol=1e-6)  # one group time after the reset

    def test_of_fowler_sampling_give_right_errors(self):
        rng = np.random.default_rng(50)
        times = [[1.45 * k + start for k in range(1, 17)] for start in (0.0, 150.0)]
        frames = np.concatenate(times)
        signal = rng.poisson(3.0 * np.diff(frames, prepend=0)[:, None], (32, 20000)).cumsum(0)
        data = (signal + rng.normal(0, 18, signal.shape)).reshape(2, 16, -1).mean(axis=1)[None, :, None]
        fit = fit_ramps(Exposure(data, None, read_times=times), 18.0, 1.0, readnoise_kind="single")
        pull = (fit.rate.data - 3.0) / fit.rate.err
        assert abs(pull.mean()) < 0.05
        assert pull.std() == pytest.approx(1, abs=0.05)

    def test_are_taken_as_quantities(self):
        exposure = Exposure(ramp(EVEN), None, read_times=np.array(EVEN) / 60 * units.min)
        assert exposure.group_time == pytest.approx(5)


class TestOneGroup:
    def test_is_fitted_with_its_time_alone(self):
        fit = fit_ramps(Exposure(ramp([[4.0]]), None, read_times=[[4.0]]), 12.0, 2.0)
        np.testing.assert_allclose(fit.rate.data, RATE)

    def test_goes_by_its_time_and_not_by_the_group_time(self):
        fit = fit_ramps(Exposure(ramp([[4.0]]), None, 9.0, read_times=[[4.0]]), 12.0, 2.0)
        np.testing.assert_allclose(fit.rate.data, RATE)

    @pytest.mark.parametrize("times", [[3.04], [3.04, 6.08], [2.0, 4.0, 6.0, 8.0]], ids=lambda times: str(len(times)))
    def test_has_the_noise_of_its_reads_and_not_of_a_difference(self, times):
        """romancal#2418: exposures of a single resultant, whose errors were 1.37 times too large."""
        rng = np.random.default_rng(51)
        signal = rng.poisson(5.0 * np.diff(times, prepend=0)[:, None], (len(times), 20000)).cumsum(0)
        data = (signal + rng.normal(0, 8, signal.shape)).mean(axis=0)[None, None, None] / 1.8
        exposure = Exposure(data, None, read_times=[times])
        fit = fit_ramps(exposure, 8.0 / 1.8, 1.8, readnoise_kind="single")
        deviation = fit.rate.data - 5.0 / 1.8
        assert abs(deviation.mean()) < 0.03 * deviation.std()
        assert (deviation / fit.rate.err).std() == pytest.approx(1, abs=0.05)
        with pytest.warns(RampFitWarning, match="'ols'"):
            likely = fit_ramps(exposure, 8.0 / 1.8, 1.8, readnoise_kind="single", algorithm="likely")
        np.testing.assert_array_equal(likely.rate.err, fit.rate.err)
        segment = fit.segments(3, 0)
        assert segment["slope_err"].value == pytest.approx(fit.rate.err[:, 3], rel=1e-6)
        pipeline = fit_ramps(exposure, 8.0 / 1.8, 1.8, readnoise_kind="single", errors="reference")
        np.testing.assert_allclose(pipeline.rate.data, fit.rate.data, rtol=1e-6)
        np.testing.assert_allclose(pipeline.rate.var_rnoise, 2 * fit.rate.var_rnoise, rtol=1e-6)

    def test_has_no_optional_results_without_the_pipelines_errors(self):
        exposure = Exposure(ramp([[4.0]]), None, read_times=[[4.0]])
        with pytest.raises(ValueError, match=r"^save_opt: .* with errors='reference'$"):
            fit_ramps(exposure, 12.0, 2.0, save_opt=True)
        assert fit_ramps(exposure, 12.0, 2.0, save_opt=True, errors="reference").fitopt is not None

    def test_needs_a_time(self):
        with pytest.raises(TypeError, match=r"^group_time: expected a number of seconds > 0"):
            Exposure(ramp([[4.0]]), None, read_times=[[0.0]])


class TestGroupTime:
    def test_may_be_left_out_beside_read_times_only(self):
        with pytest.raises(TypeError, match=r"^group_time: expected a number of seconds > 0; got None"):
            Exposure(ramp(EVEN), None)
        with pytest.raises(TypeError, match=r"^group_time: expected a number of seconds > 0; got None"):
            Exposure(ramp(EVEN), None, frame_time=5.0)

    def test_that_contradicts_the_frames_is_said(self):
        with pytest.warns(RampFitWarning) as caught:
            exposure = Exposure(ramp(EVEN), None, 5.0, frame_time=2.0, nframes=2, groupgap=2)
        one_warning(
            caught,
            "group_time (TGROUP) is 5 s",
            "frame_time (TFRAME) x [nframes (NFRAMES) + groupgap (GROUPGAP)] is 2 s x 4 = 8 s",
            "'ols' goes by the former, 'likely' and 'likely_joint' by the latter",
        )
        rates = [float(fit_ramps(exposure, 12.0, 2.0, algorithm=name).rate.data[0, 0]) for name in ALGORITHMS]
        assert rates == pytest.approx([RATE, RATE * 5 / 8, RATE * 5 / 8])  # as the pipeline has it

    @pytest.mark.parametrize(
        ("frame_time", "nframes", "groupgap"), [(None, 4, 1), (1.0, 4, 1), (1.0004, 5, 0), (5.0, None, 0)]
    )
    def test_that_agrees_is_silent(self, frame_time, nframes, groupgap):
        Exposure(ramp(EVEN), None, 5.0, frame_time=frame_time, nframes=nframes, groupgap=groupgap)


class TestUnevenTimes:
    TIMES = (1.0, 2.0, 4.0, 9.0, 11.0)

    @pytest.mark.parametrize("ngroups", [3, 4, 5])
    @pytest.mark.parametrize("algorithm", ["likely", "likely_joint"])
    def test_of_few_groups_are_fitted_without_a_search(self, ngroups, algorithm):
        rng = np.random.default_rng(ngroups)
        times = np.array(self.TIMES[:ngroups])
        signal = rng.poisson(RATE * np.diff(times, prepend=0)[:, None], (ngroups, 20000)).cumsum(0)
        data = (signal + rng.normal(0, 8.0, signal.shape))[None, :, None]
        exposure = Exposure(data, None, read_times=times)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fit = fit_ramps(exposure, 8.0, 1.0, algorithm=algorithm, readnoise_kind="single")
        if ngroups < 4:
            one_warning(caught, f"{algorithm!r} needs 4 groups, the exposure has {ngroups}: no jump is searched for")
            np.testing.assert_array_equal(fit.groupdq, 0)
        else:
            assert not caught
        assert fit.options.algorithm == algorithm
        pull = (fit.rate.data - RATE) / fit.rate.err
        assert abs(pull.mean()) < 0.05
        assert pull.std() == pytest.approx(1, abs=0.03)

    @pytest.mark.parametrize("algorithm", ["likely", "likely_joint"])
    def test_of_two_groups_with_other_numbers_of_frames_are_fitted(self, algorithm):
        times = [[1.0, 2.0], [5.0]]
        with pytest.warns(RampFitWarning, match="no jump is searched for"):
            fit = fit_ramps(Exposure(ramp(times), None, read_times=times), 8.0, 1.0, algorithm=algorithm)
        np.testing.assert_allclose(fit.rate.data, RATE, rtol=1e-6)
        assert (fit.rate.dof == 0).all()  # one difference, one rate

    @pytest.mark.parametrize("ngroups", [2, 3, 5])
    def test_are_fitted_by_ols(self, ngroups):
        times = self.TIMES[:ngroups]
        exposure = Exposure(ramp(times), None, 1.0, read_times=times)
        np.testing.assert_allclose(fit_ramps(exposure, 8.0, 1.0).rate.data, RATE, rtol=1e-6)

    def test_do_not_recommend_what_was_chosen(self):
        exposure = Exposure(ramp(self.TIMES[:3]), None, read_times=self.TIMES[:3])
        for algorithm in ("likely", "likely_joint"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RampFitWarning)
                assert np.isfinite(fit_ramps(exposure, 8.0, 1.0, algorithm=algorithm).rate.data).all()


class TestInterleavedFrames:
    """Stripes that are read several times in a frame, where several frames are averaged: groups take turns."""

    TIMES = tuple([3.0 + 1.5 * s + 21.0 * k + 10.5 * f for f in (0, 1)] for k in range(5) for s in range(4))

    @pytest.mark.parametrize("algorithm", ["likely", "likely_joint"])
    @pytest.mark.parametrize(("rate", "noise"), [(100.0, 8.0), (10.0, 30.0), (5000.0, 5.0)])
    def test_are_fitted_without_bias_and_with_nearly_right_errors(self, algorithm, rate, noise):
        rng = np.random.default_rng(1)
        frames = np.unique(np.concatenate(self.TIMES))
        signal = rng.poisson(rate * np.diff(frames, prepend=0)[:, None], (frames.size, 4000)).cumsum(0)
        signal = signal + rng.normal(0, noise, signal.shape)
        groups = [signal[np.searchsorted(frames, group)].mean(axis=0) for group in self.TIMES]
        with pytest.warns(
            RampFitWarning, match="frames of different groups were read in turns.*errors are approximate"
        ):
            exposure = Exposure(np.array(groups, np.float32)[None, :, None], None, read_times=self.TIMES)
        fit = fit_ramps(exposure, noise, 1.0, algorithm=algorithm, readnoise_kind="single", rejection_threshold=50.0)
        pull = (fit.rate.data - rate) / fit.rate.err
        assert abs(pull.mean()) < 0.1
        assert pull.std() == pytest.approx(1, abs=0.2)


# --------------------------------------------------------------------------------------------------------------- files
def file_with_times(path, times, **keywords):
    hdulist = ramp_hdulist((1, len(times), 3, 4), KEYWORDS | keywords)
    hdulist["SCI"].data[...] = ramp(times)
    hdulist["GROUPDQ"].data[...] = 0
    hdulist["PIXELDQ"].data[...] = 0
    listed = json.dumps([np.ravel(time).tolist() for time in times])
    hdulist.append(asdf_hdu(f"meta: {{exposure: {{read_times: {listed}}}}}\n"))
    return save(hdulist, path)


class TestFiles:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_command_goes_by_the_times_of_the_file(self, tmp_path, algorithm, capsys):
        file_with_times(tmp_path / "x_jump.fits", EVEN, TGROUP=2.0, TFRAME=2.0, NFRAMES=1, GROUPGAP=0)
        assert main(["x_jump.fits", "--readnoise", "12", "--gain", "2", "--algorithm", algorithm]) == 0
        np.testing.assert_allclose(fits.getdata("x_rate.fits", "SCI"), RATE, rtol=1e-5)
        said = [line for line in capsys.readouterr().err.splitlines() if "WARNING" in line]
        assert len(said) == 1
        assert "x_jump.fits: read_times are what is used" in said[0]
        assert "group_time (TGROUP) is 2 s and not 5 s" in said[0]

    def test_keywords_that_the_times_imply_may_be_absent(self, tmp_path):
        path = file_with_times(tmp_path / "x_jump.fits", EVEN, TGROUP=None, TFRAME=None, NFRAMES=None, GROUPGAP=None)
        assert read_exposure(path).group_time == 5
        fit_file(path, 12.0, 2.0)
        np.testing.assert_allclose(fits.getdata("x_rate.fits", "SCI"), RATE, rtol=1e-5)

    @pytest.mark.parametrize("keyword", ["TGROUP", "TFRAME", "NFRAMES"])
    def test_without_times_the_keywords_must_be_there(self, tmp_path, keyword):
        path = save(ramp_hdulist(keywords=KEYWORDS | {keyword: None}), tmp_path / "x_jump.fits")
        with pytest.raises(RampFileError, match=f"no keyword {keyword}"):
            read_exposure(path)

    def test_keywords_that_contradict_each_other_are_said(self, tmp_path, capsys):
        save(ramp_hdulist(keywords=KEYWORDS | {"TGROUP": 2.0}), tmp_path / "x_jump.fits")
        assert main(["x_jump.fits", "--readnoise", "12", "--gain", "2"]) == 0
        said = [line for line in capsys.readouterr().err.splitlines() if "WARNING" in line]
        assert len(said) == 1
        assert "x_jump.fits: group_time (TGROUP) is 2 s" in said[0]
        assert "'ols' goes by the former" in said[0]

    def test_uneven_times_of_few_groups_are_fitted_by_the_command(self, tmp_path, capsys):
        file_with_times(tmp_path / "x_jump.fits", [1.0, 2.0, 7.0], TGROUP=1.0)
        line = ["x_jump.fits", "--readnoise", "12", "--gain", "2"]
        assert main(line) == 0
        np.testing.assert_allclose(fits.getdata("x_rate.fits", "SCI"), RATE, rtol=1e-5)
        assert "likely" not in capsys.readouterr().err
        assert main([*line, "--algorithm", "likely", "--overwrite"]) == 0
        np.testing.assert_allclose(fits.getdata("x_rate.fits", "SCI"), RATE, rtol=1e-5)
        assert np.isfinite(fits.getdata("x_rate.fits", "CHISQ")).all()
