"""From files to files: fit_file and fit_files."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import (
    RampFileError,
    RampFitWarning,
    fit_file,
    fit_files,
    fit_ramps,
    read_exposure,
    read_reference,
)
from tests.make_files import SHAPE, asdf_hdu, listing, open_files, ramp_hdulist, reference_hdulist, save


@pytest.fixture
def exposure_file(tmp_path):
    return save(ramp_hdulist(optional=True), tmp_path / "jw01_jump.fits")


@pytest.fixture
def references(tmp_path):
    """Return read noise and gain files larger than the exposure."""
    random = np.random.default_rng(8)
    images = {"readnoise": random.uniform(5, 15, (40, 30)), "gain": random.uniform(1, 3, (40, 30))}
    return [
        save(
            reference_hdulist(image, {"REFTYPE": name, "GAINFACT": 1.0 if name == "gain" else None}),
            tmp_path / f"{name}.fits",
        )
        for name, image in images.items()
    ]


class TestOneFile:
    def test_products_are_those_of_the_fit(self, tmp_path, exposure_file, references):
        out = tmp_path / "out"
        paths = fit_file(exposure_file, *references, output_dir=out, save_opt=True, suppress_one_group=False)
        assert [path.name for path in paths] == ["jw01_rate.fits", "jw01_rateints.fits", "jw01_fitopt.fits"]
        exposure = read_exposure(exposure_file)
        noise, gain = (read_reference(path, exposure, path.stem).data for path in references)
        fit = fit_ramps(exposure, noise, gain, save_opt=True, suppress_one_group=False)
        np.testing.assert_array_equal(fits.getdata(paths[0], "SCI"), fit.rate.data)
        np.testing.assert_array_equal(fits.getdata(paths[0], "DQ"), fit.rate.dq)
        np.testing.assert_array_equal(fits.getdata(paths[1], "ERR"), fit.rateints.err)
        np.testing.assert_array_equal(fits.getdata(paths[2], "SLOPE"), fit.fitopt.slope)
        header = fits.getheader(paths[0])
        assert (header["R_READNO"], header["R_GAIN"], header["GAINFACT"]) == ("readnoise.fits", "gain.fits", 1.0)
        assert "suppress_one_group=False" in " ".join(header["HISTORY"])

    def test_compressed_file_gives_the_same(self, tmp_path, exposure_file, references):
        compressed = save(ramp_hdulist(optional=True), tmp_path / "jw01_jump.fits.gz")
        results = [
            fit_file(path, *references, output_dir=tmp_path / path.suffix[1:])[1]
            for path in (exposure_file, compressed)
        ]
        with fits.open(results[0]) as one, fits.open(results[1]) as other:
            for extension in ("SCI", "ERR", "DQ", "VAR_POISSON", "VAR_RNOISE"):
                np.testing.assert_array_equal(one[extension].data, other[extension].data)

    def test_default_folder_is_the_working_directory(self, tmp_path, exposure_file, monkeypatch):
        (tmp_path / "work").mkdir()
        monkeypatch.chdir(tmp_path / "work")
        fit_file(exposure_file, 10.0, 2.0)
        assert listing(tmp_path / "work") == ["jw01_rate.fits", "jw01_rateints.fits"]

    def test_numbers_and_arrays_as_references(self, tmp_path, exposure_file):
        fit_file(exposure_file, "10", np.full(SHAPE[2:], 2.0), output_dir=tmp_path / "a")
        fit_file(str(exposure_file), 10.0, 2, output_dir=str(tmp_path / "b"))
        one, other = (fits.getdata(tmp_path / folder / "jw01_rate.fits", "SCI") for folder in "ab")
        np.testing.assert_array_equal(one, other)
        header = fits.getheader(tmp_path / "a" / "jw01_rate.fits")
        assert (header["R_READNO"], header["R_GAIN"]) == ("value 10", "array")
        assert "GAINFACT" not in header

    def test_names(self, tmp_path, exposure_file):
        fit_file(
            exposure_file, 10, 2, output_dir=tmp_path / "o", save_opt=True, int_name="i_jump.fits", opt_name="o.fits"
        )
        assert listing(tmp_path / "o") == ["i_rateints.fits", "jw01_rate.fits", "o_fitopt.fits"]

    def test_log(self, tmp_path, exposure_file, references, caplog):
        caplog.set_level(logging.INFO, "rampfit_numba")
        paths = fit_file(exposure_file, *references, output_dir=tmp_path)
        for text in (
            f"{exposure_file}: NIRCAM, 6 rows x 7 columns, 2 integration(s) of 5 group(s)",
            "Using READNOISE reference: readnoise.fits",
            "Using GAIN reference: gain.fits",
            "Using algorithm = ols, weighting = optimal",
            *(f"Saved {path}" for path in paths),
        ):
            assert text in caplog.text

    def test_segment_of_a_time_series(self, tmp_path):
        shape = (3, 4, 5, 6)
        keywords = {"NINTS": 300, "INTSTART": 4, "INTEND": 6, "EXSEGNUM": 2, "EXSEGTOT": 100, "EXP_TYPE": "NRC_TSIMAGE"}
        hdulist = ramp_hdulist(shape, keywords, optional=True)
        path = save(hdulist, tmp_path / "jw01-seg002_jump.fits")
        rateints = fit_file(path, 10, 2, output_dir=tmp_path)[1]
        with fits.open(rateints) as product:
            assert product["SCI"].data.shape == (3, 5, 6)
            assert product[0].header["NINTS"] == 300
            assert len(product["INT_TIMES"].data) == 3

    def test_nothing_to_fit(self, tmp_path):
        hdulist = ramp_hdulist()
        hdulist["GROUPDQ"].data[:] = 2
        path = save(hdulist, tmp_path / "x_jump.fits")
        with pytest.warns(RampFitWarning, match="no ramp can be fitted"):
            paths = fit_file(path, 10, 2, output_dir=tmp_path)
        assert np.isnan(fits.getdata(paths[0], "SCI")).all()
        assert "no pixel could be fitted" in " ".join(" ".join(fits.getheader(paths[0])["HISTORY"]).split())

    @pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
    def test_memory_map_is_released(self, tmp_path, exposure_file):
        fit_file(exposure_file, 10, 2, output_dir=tmp_path)
        assert str(exposure_file) not in open_files()


class TestRefusals:
    @pytest.fixture
    def out(self, tmp_path):
        return tmp_path / "out"

    def test_existing_output_before_anything_is_read(self, tmp_path, monkeypatch):
        monkeypatch.setattr("rampfit_numba.io.jwst_files.exposure_in", lambda *_: pytest.fail("read"))
        (tmp_path / "x_rateints.fits").touch()
        with pytest.raises(RampFileError, match=r"x_rateints\.fits: exists"):
            fit_file(tmp_path / "x_jump.fits", 10, 2, output_dir=tmp_path)

    def test_overwrite(self, tmp_path, exposure_file):
        (tmp_path / "jw01_rate.fits").touch()
        fit_file(exposure_file, 10, 2, output_dir=tmp_path, overwrite=True)
        assert fits.getheader(tmp_path / "jw01_rate.fits")["DATAMODL"] == "ImageModel"

    def test_inputs_are_never_overwritten(self, tmp_path, exposure_file, references):
        source = save(ramp_hdulist(), tmp_path / "y_rate.fits")
        with pytest.raises(RampFileError, match="would overwrite the input"):
            fit_file(source, 10, 2, output_dir=tmp_path, overwrite=True)
        gain = references[1].rename(tmp_path / "jw01_rate.fits")
        with pytest.raises(RampFileError, match="would overwrite the input"):
            fit_file(exposure_file, 10, gain, output_dir=tmp_path, overwrite=True)
        assert read_exposure(source).shape == SHAPE

    def test_options_are_checked_before_anything_is_read(self, tmp_path, out):
        with pytest.raises(ValueError, match="algorithm"):
            fit_file(tmp_path / "none.fits", 10, 2, output_dir=out, algorithm="best")
        with pytest.raises(TypeError, match="firstgroup"):
            fit_file(tmp_path / "none.fits", 10, 2, output_dir=out, firstgroup=1.5)
        assert not out.exists()

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ({"maximum_cores": "some"}, ValueError),
            ({"executor": "magic"}, ValueError),
            ({"unknown": 1}, TypeError),
            ({"int_name": "a/b"}, ValueError),
        ],
    )
    def test_bad_option_leaves_nothing(self, exposure_file, out, options, error):
        with pytest.raises(error):
            fit_file(exposure_file, 10, 2, output_dir=out, **options)
        assert not out.exists()

    def test_bad_files_leave_nothing(self, tmp_path, exposure_file, references, out):
        exposure_file.write_bytes(exposure_file.read_bytes()[:-4000])
        with pytest.raises(RampFileError, match="truncated"):
            fit_file(exposure_file, *references, output_dir=out)
        with pytest.raises(RampFileError, match="no such file"):
            fit_file(tmp_path / "none.fits", *references, output_dir=out)
        good = save(ramp_hdulist(), tmp_path / "good_jump.fits")
        with pytest.raises(RampFileError, match="swapped"):
            fit_file(good, *references[::-1], output_dir=out)
        with pytest.raises(RampFileError, match=r"gone\.fits: no such file"):
            fit_file(good, 10, "gone.fits", output_dir=out)
        assert not out.exists()

    def test_uneven_read_times_are_fitted(self, tmp_path, out):
        pytest.importorskip("asdf")
        text = "meta:\n  exposure:\n    read_times: [[1.0], [2.0], [4.0], [8.0], [16.0]]\n"
        path = save(fits.HDUList([*ramp_hdulist(), asdf_hdu(text)]), tmp_path / "x_jump.fits")
        rate = fits.getdata(fit_file(path, 10, 2, output_dir=out)[0], "SCI")
        assert np.isfinite(rate).any()

    @pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, RuntimeError])
    def test_interrupted_fit_leaves_nothing(self, exposure_file, out, monkeypatch, error):
        def interrupted(*_args, **_options):
            raise error

        monkeypatch.setattr("rampfit_numba.files.fitting.fit_ramps", interrupted)
        with pytest.raises(error):
            fit_file(exposure_file, 10, 2, output_dir=out)
        assert not out.exists()


class TestSeveralFiles:
    @pytest.fixture
    def paths(self, tmp_path):
        """Return three files, the second without GROUPDQ."""
        broken = ramp_hdulist()
        del broken["GROUPDQ"]
        good = (save(ramp_hdulist(seed=seed), tmp_path / f"{name}_jump.fits") for seed, name in enumerate("ac"))
        return [next(good), save(broken, tmp_path / "b_jump.fits"), next(good)]

    def test_all(self, tmp_path, paths):
        results = fit_files([paths[0], str(paths[2])], 10, 2, output_dir=tmp_path / "out")
        assert [result.path for result in results] == [paths[0], paths[2]]
        assert [path.name for result in results for path in result.products] == [
            "a_rate.fits",
            "a_rateints.fits",
            "c_rate.fits",
            "c_rateints.fits",
        ]
        assert all(result.error is None for result in results)

    def test_stop(self, tmp_path, paths):
        with pytest.raises(RampFileError, match="b_jump"):
            fit_files(paths, 10, 2, output_dir=tmp_path / "out")
        assert listing(tmp_path / "out") == ["a_rate.fits", "a_rateints.fits"]

    def test_continue(self, tmp_path, paths, caplog):
        results = fit_files(paths, 10, 2, output_dir=tmp_path / "out", on_error="continue")
        assert [bool(result.products) for result in results] == [True, False, True]
        assert isinstance(results[1].error, RampFileError)
        assert str(results[1].error) in caplog.text
        assert len(listing(tmp_path / "out")) == 4

    def test_interrupt_is_no_failure_of_a_file(self, paths, monkeypatch):
        def interrupted(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr("rampfit_numba.io.jwst_files.exposure_in", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit_files(paths, 10, 2, on_error="continue")

    def test_none(self):
        assert fit_files([], 10, 2) == []

    @pytest.mark.parametrize(
        ("names", "options", "says"),
        [
            (["a_jump.fits", "b_jump.fits"], {"int_name": "x"}, "int_name: can name the products of one file only"),
            (["a_jump.fits", "b_jump.fits"], {"opt_name": "x"}, "opt_name: can name the products of one file only"),
            (["a_jump.fits", "other/a_ramp.fits"], {}, "would both be written to a_rate.fits"),
            (["a_jump.fits"], {"on_error": "ignore"}, "on_error: expected 'raise', 'continue' or a function"),
            (["a_jump.fits"], {"algorithm": "best"}, "algorithm"),
            (["a_jump.fits"], {"maximum_cores": "x"}, "maximum_cores: expected"),
            (["a_jump.fits"], {"maximum_cores": "\uff13"}, "maximum_cores: expected"),
            (["a_jump.fits"], {"executor": "magic"}, "executor: expected"),
            (["a_jump.fits"], {"speed": 9}, "speed: unknown option"),
            (["a_jump.fits"], {"out": None}, "out: unknown option"),
            (["a_jump.fits"], {"int_name": "a/b"}, "int_name: expected a file name without a folder"),
            (["a_jump.fits"], {"opt_name": "a/b"}, "opt_name: expected a file name without a folder"),
            (["a_jump.fits", ""], {}, "^.: is a directory; give the name of a FITS file"),
            (["a_jump.fits", ".."], {}, "^..: is a directory"),
            (["a_jump.fits"], {"output_dir": __file__}, "output_dir: .* is no folder"),
            (["a_jump.fits"], {"readnoise": 0}, "readnoise: expected a finite number > 0; got 0"),
            (["a_jump.fits"], {"gain": "no.fits"}, "no.fits: no such file, and no number"),
            (["a_jump.fits"], {"gain": Path("5")}, "5: no such file"),
            (["a_jump.fits"], {"gain": "a\0b"}, "cannot be the name of a file, and no number"),
            (["a_jump.fits"], {"gain": None}, "^a_jump.fits: no such file"),
            (["a_jump.fits"], {"readnoise": None, "gain": None}, "^a_jump.fits: no such file"),
            ([__file__], {"gain": None}, "gain: expected a reference file or a number"),
        ],
    )
    def test_refused_before_any_fit(self, names, options, says, tmp_path, monkeypatch):
        monkeypatch.setattr("rampfit_numba.io.jwst_files.exposure_in", lambda *_: pytest.fail("read"))
        monkeypatch.chdir(tmp_path)
        with pytest.raises((TypeError, ValueError), match=says):
            fit_files(names, **{"on_error": "continue", "readnoise": 10, "gain": 2, **options})
        assert not listing(tmp_path)

    def test_function_for_errors(self, tmp_path, paths, caplog):
        failed = []
        results = fit_files(paths, 10, 2, output_dir=tmp_path / "out", on_error=failed.append)
        assert failed == [results[1]]
        assert isinstance(failed[0].error, RampFileError)
        assert "b_jump" not in caplog.text
        assert len(listing(tmp_path / "out")) == 4

    def test_executor_of_the_caller(self, tmp_path, paths):
        with ThreadPoolExecutor(2) as executor:
            (result,) = fit_files(paths[:1], 10, 2, output_dir=tmp_path, executor=executor, maximum_cores=2)
        assert result.error is None

    def test_one_path_is_no_list(self):
        with pytest.raises(TypeError, match="paths: expected several paths"):
            fit_files("a_jump.fits", 10, 2)

    def test_no_input_is_overwritten_by_another_ones_product(self, tmp_path):
        paths = [save(ramp_hdulist(), tmp_path / name) for name in ("a_jump.fits", "a_rate.fits.gz")]
        paths[1] = paths[1].rename(tmp_path / "b_jump.fits")
        link = tmp_path / "a_rate.fits"
        os.link(paths[1], link)
        with pytest.raises(RampFileError, match="would overwrite the input"):
            fit_files(paths, 10, 2, output_dir=tmp_path, overwrite=True)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "references"),
    [
        ("miri_sub64_nat_jump", "miri_sub64"),
        ("miri_sub64_lowsat_jump", "miri_sub64"),
        ("wfc3_ibxy01z8q_jump", "wfc3_266"),
        ("sim_nrc_rapid_jump", "sim_nrc_rapid"),
        ("fgs_acq1_ramp", None),
    ],
)
def test_real_files(real_data, tmp_path, name, references):
    noise, gain = (real_data / f"{references}_{kind}.fits" if references else 10.0 for kind in ("readnoise", "gain"))
    paths = fit_file(real_data / f"{name}.fits", noise, gain, output_dir=tmp_path, save_opt=True)
    assert len(paths) == 3
    with fits.open(paths[0]) as rate, fits.open(real_data / f"{name}.fits") as source:
        assert rate["SCI"].data.shape == source["SCI"].data.shape[2:]
        assert np.isfinite(rate["SCI"].data[rate["DQ"].data & 1 == 0]).all()
        for key in ("INSTRUME", "DATE-OBS", "TGROUP", "SUBSTRT2"):
            assert rate[0].header[key] == source[0].header[key]
