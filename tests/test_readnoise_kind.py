"""Read noise of one frame, of the difference of two: every door takes either, and says which it takes for which."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from astropy import units
from astropy.io import fits

from rampfit_numba import Exposure, FitOptions, fit_file, fit_files, fit_ramps
from rampfit_numba.cli import main
from tests.make_files import ramp_hdulist, save

ALGORITHMS = ("ols", "likely", "likely_joint")
PLANES = ("data", "err", "var_poisson", "var_rnoise")
SINGLE = 9.0
CDS = SINGLE * math.sqrt(2)


@pytest.fixture
def exposure():
    rng = np.random.default_rng(3)
    ramps = np.cumsum(rng.poisson(20.0, (2, 8, 3, 5)), axis=1) + rng.normal(0, SINGLE, (2, 8, 3, 5))
    return Exposure(ramps.astype(np.float32), None, 2.0)


def same(one, other):
    for kind in ("rate", "rateints"):
        for plane in PLANES:
            ours, theirs = (getattr(getattr(fit, kind), plane) for fit in (one, other))
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, err_msg=f"{kind}.{plane}")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    "noise",
    [
        pytest.param(SINGLE, id="number"),
        pytest.param(np.full((3, 5), SINGLE), id="image"),
        pytest.param(np.full((3, 5), SINGLE, ">f4"), id="big-endian"),
        pytest.param(np.full((3, 5), SINGLE) * units.DN, id="quantity"),
    ],
)
def test_noise_of_one_frame_is_that_of_two_over_root_two(exposure, algorithm, noise):
    before = np.array(noise)
    single = fit_ramps(exposure, noise, 2.0, algorithm=algorithm, readnoise_kind="single")
    same(single, fit_ramps(exposure, CDS, 2.0, algorithm=algorithm))
    assert single.options.readnoise_kind == "single"
    np.testing.assert_array_equal(before, np.asarray(noise))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_noise_is_that_of_two_frames_by_default(exposure, algorithm):
    fit = fit_ramps(exposure, CDS, 2.0, algorithm=algorithm)
    same(fit, fit_ramps(exposure, CDS, 2.0, algorithm=algorithm, readnoise_kind="cds"))
    assert fit.options.readnoise_kind == "cds"


@pytest.mark.parametrize(
    ("kind", "error"), [("CDS", ValueError), ("one", ValueError), (None, TypeError), (1, TypeError)]
)
def test_other_kinds_are_refused(exposure, kind, error):
    with pytest.raises(error, match=r"^readnoise_kind: expected 'cds' or 'single'; got"):
        FitOptions(readnoise_kind=kind)
    with pytest.raises(error, match=r"^readnoise_kind: expected 'cds' or 'single'; got"):
        fit_ramps(exposure, CDS, 2.0, readnoise_kind=kind)


def test_the_error_of_a_ramp_of_known_noise_is_right_with_either_kind():
    rng = np.random.default_rng(5)
    ramps = 10 * np.arange(1, 13)[:, None, None] + rng.normal(0, SINGLE, (1, 12, 40, 500))
    exposure = Exposure(ramps.astype(np.float32), None, 1.0)
    for algorithm in ALGORITHMS:
        fit = fit_ramps(exposure, SINGLE, 1e6, algorithm=algorithm, readnoise_kind="single")
        assert np.std((fit.rate.data - 10) / fit.rate.err) == pytest.approx(1, abs=0.02)


class TestFiles:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        save(ramp_hdulist(), tmp_path / "x_jump.fits")

    def check(self, folder, expected="two"):
        for plane in ("SCI", "ERR", "VAR_RNOISE"):
            ours, theirs = (fits.getdata(Path(each) / "x_rate.fits", plane) for each in (folder, expected))
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)
        assert "readnoise_kind=single" in "".join(str(fits.getheader(Path(folder) / "x_rate.fits")["HISTORY"]).split())

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_functions_for_files(self, algorithm):
        options = {"algorithm": algorithm}
        fit_file("x_jump.fits", CDS, 2.0, output_dir="two", **options)
        fit_file("x_jump.fits", SINGLE, 2.0, output_dir="one", readnoise_kind="single", **options)
        fit_files(["x_jump.fits"], SINGLE, 2.0, output_dir="batch", readnoise_kind="single", **options)
        self.check("one")
        self.check("batch")

    def test_command(self, capsys):
        fit_file("x_jump.fits", CDS, 2.0, output_dir="two")
        line = ["x_jump.fits", "--gain", "2", "--readnoise", str(SINGLE), "--output-dir", "one"]
        assert main([*line, "--readnoise-kind", "single"]) == 0
        self.check("one")
        assert main([*line, "--readnoise-kind", "both"]) == 2
        assert "--readnoise-kind" in capsys.readouterr().err

    def test_help_says_which_kind_is_meant(self, capsys):
        assert main(["fit", "--help"]) == 0
        text = " ".join(capsys.readouterr().out.split())
        assert "--readnoise-kind {cds,single}" in text
        assert "of the difference of two frames (cds, the default" in text
