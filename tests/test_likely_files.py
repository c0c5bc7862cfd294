"""The likelihood fits from files to files, by function and by command."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import (
    FitOptions,
    RampFileError,
    RampFitWarning,
    fit_file,
    fit_files,
    fit_ramps,
    read_exposure,
    write_products,
)
from rampfit_numba.cli import main
from rampfit_numba.io.fits import chisq_hdulist, product_paths
from tests.make_files import PLANES, SHAPE, asdf_hdu, listing, pipeline_datamodels, ramp_hdulist, save, some_fit

BOTH = pytest.mark.parametrize("algorithm", ["likely", "likely_joint"])
NOISE, GAIN = 10.0, 2.0
MORE = ["CHISQ", "DOF"]


@pytest.fixture
def exposure_file(tmp_path):
    return save(ramp_hdulist(optional=True), tmp_path / "jw01_jump.fits")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def likelihood_fit(header=None, shape=SHAPE, **options):
    """Return a fit of random values with the planes of a likelihood fit."""
    fit, random = some_fit(header, shape), np.random.default_rng(4)

    def more(rate):
        chisq = random.uniform(0, 20, rate.data.shape).astype(np.float32)
        return dataclasses.replace(rate, chisq=chisq, dof=random.integers(0, 9, rate.data.shape, np.int32))

    groupdq = random.choice([0, 4], shape).astype(np.uint8)
    return dataclasses.replace(
        fit,
        rate=more(fit.rate),
        rateints=more(fit.rateints),
        groupdq=groupdq,
        options=FitOptions("likely", **options),
    )


# ------------------------------------------------------------------------------------------------------------ products
@BOTH
def test_products_are_those_of_the_fit(exposure_file, out, algorithm):
    paths = fit_file(
        exposure_file, NOISE, GAIN, output_dir=out, algorithm=algorithm, save_opt=True, rejection_threshold=5.0
    )
    assert [path.name for path in paths] == ["jw01_rate.fits", "jw01_rateints.fits", "jw01_likely_chisq.fits"]
    fit = fit_ramps(read_exposure(exposure_file), NOISE, GAIN, algorithm=algorithm, rejection_threshold=5.0)
    for path, rate in zip(paths, (fit.rate, fit.rateints), strict=False):
        with fits.open(path) as hdus:
            extensions = [hdu.name for hdu in hdus if hdu.name != "INT_TIMES"]
            assert extensions == ["PRIMARY", *PLANES, *MORE, "ASDF"]
            for extension, plane in {**PLANES, "CHISQ": "chisq", "DOF": "dof"}.items():
                np.testing.assert_array_equal(hdus[extension].data, getattr(rate, plane))
            assert hdus["DOF"].header["BITPIX"] == 32
            assert "BUNIT" not in hdus["CHISQ"].header
            history = " ".join(hdus[0].header["HISTORY"])
    for option in (f"algorithm={algorithm}", "rejection_threshold=5.0", "pedestal=None"):
        assert option in history
    np.testing.assert_array_equal(fits.getdata(paths[2], "SCI"), fit.rate.chisq)


def test_products_of_least_squares_are_as_before(exposure_file, out):
    for path in fit_file(exposure_file, NOISE, GAIN, output_dir=out):
        with fits.open(path) as hdus:
            assert not {"CHISQ", "DOF"} & {hdu.name for hdu in hdus}


def test_chi_square_product():
    """As the pipeline writes it: an ImageModel with SCI alone, not marked as fitted."""
    fit = likelihood_fit(save_opt=True)
    hdulist = chisq_hdulist(fit, "x_likely_chisq.fits")
    assert [hdu.name for hdu in hdulist] == ["PRIMARY", "SCI", "ASDF"]
    header = hdulist[0].header
    assert (header["DATAMODL"], header["FILENAME"]) == ("ImageModel", "x_likely_chisq.fits")
    assert "S_RAMP" not in header
    with pytest.raises(ValueError, match="fit: expected one with a chi-square; the algorithm 'ols' has none"):
        chisq_hdulist(some_fit())


def test_chi_square_product_only_on_request(out):
    assert [path.name for path in write_products(likelihood_fit(), out, "x_jump.fits")] == [
        "x_rate.fits",
        "x_rateints.fits",
    ]
    names = write_products(likelihood_fit(save_opt=True), out, "x_jump.fits", opt_name="o_jump.fits", overwrite=True)
    assert [path.name for path in names] == ["x_rate.fits", "x_rateints.fits", "o_likely_chisq.fits"]


def test_names():
    paths = product_paths("a_likely_chisq.fits", "", save_opt=True, optional="likely_chisq")
    assert {kind: path.name for kind, path in paths.items()} == {
        "rate": "a_rate.fits",
        "rateints": "a_rateints.fits",
        "likely_chisq": "a_likely_chisq.fits",
    }


def test_existing_chi_square_product_is_refused_before_the_fit(exposure_file, out, monkeypatch):
    out.mkdir()
    (out / "jw01_likely_chisq.fits").touch()
    monkeypatch.setattr("rampfit_numba.files.fitting.fit_ramps", None)
    with pytest.raises(RampFileError, match=r"jw01_likely_chisq\.fits: exists"):
        fit_file(exposure_file, NOISE, GAIN, output_dir=out, algorithm="likely", save_opt=True)


def test_few_groups_have_the_products_of_least_squares(tmp_path, out, monkeypatch):
    path = save(ramp_hdulist((2, 3, 6, 7)), tmp_path / "x_jump.fits")
    with pytest.warns(RampFitWarning, match="'likely' needs 4 groups"):
        paths = fit_file(path, NOISE, GAIN, output_dir=out, algorithm="likely", save_opt=True)
    assert [path.name for path in paths] == ["x_rate.fits", "x_rateints.fits", "x_fitopt.fits"]
    assert "algorithm=ols" in " ".join(fits.getheader(paths[0])["HISTORY"])
    # Refused before the fit, too.
    for product in paths[:2]:
        product.unlink()
    monkeypatch.setattr("rampfit_numba.files.fitting.fit_ramps", None)
    with pytest.raises(RampFileError, match=r"x_fitopt\.fits: exists"):
        fit_file(path, NOISE, GAIN, output_dir=out, algorithm="likely", save_opt=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rejection_threshold": 4.0}, "rejection_threshold: only"),
        ({"algorithm": "likely", "pedestal": (1.0, 2.0)}, "pedestal: only"),
    ],
)
def test_options_are_refused_before_a_file_is_read(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        fit_files([tmp_path / "missing.fits"], NOISE, GAIN, **options)


@BOTH
def test_uneven_read_times_of_a_file(tmp_path, out, algorithm):
    pytest.importorskip("asdf")
    text = "meta:\n  exposure:\n    read_times: [[1.0], [2.0], [4.0], [8.0], [16.0]]\n"
    path = save(fits.HDUList([*ramp_hdulist(), asdf_hdu(text)]), tmp_path / "x_jump.fits")
    rate, _ = fit_file(path, NOISE, GAIN, output_dir=out, algorithm=algorithm)
    exposure = read_exposure(path)
    assert exposure.read_times == ((1.0,), (2.0,), (4.0,), (8.0,), (16.0,))
    expected = fit_ramps(exposure, NOISE, GAIN, algorithm=algorithm)
    np.testing.assert_array_equal(fits.getdata(rate, "SCI"), expected.rate.data)
    even = fit_ramps(read_exposure(save(ramp_hdulist(), tmp_path / "even.fits")), NOISE, GAIN, algorithm=algorithm)
    assert (even.rate.data != expected.rate.data).any()


# ------------------------------------------------------------------------------------------------------------- command
def command(*words):
    return main([*map(str, words), "--readnoise", str(NOISE), "--gain", str(GAIN)])


def test_command_passes_everything_on(exposure_file, out, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["--algorithm", "likely_joint", "--rejection_threshold", "4", "--pedestal", "-5.5", "12", "--save-opt"]
    assert command(exposure_file, *words, "--output-dir", out) == 0
    options = {"algorithm": "likely_joint", "rejection_threshold": 4.0, "pedestal": (-5.5, 12.0)}
    fit_file(exposure_file, NOISE, GAIN, output_dir=tmp_path / "b", save_opt=True, **options)
    assert listing(out) == listing(tmp_path / "b") == ["jw01_likely_chisq.fits", "jw01_rate.fits", "jw01_rateints.fits"]
    for name in listing(out):
        np.testing.assert_array_equal(fits.getdata(out / name), fits.getdata(tmp_path / "b" / name))
    assert "rejection_threshold=4.0, pedestal=(-5.5, 12.0)" in " ".join(
        fits.getheader(out / "jw01_rate.fits")["HISTORY"]
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--algorithm", "likely", "--rejection-threshold", "0"],
            "--rejection-threshold: expected a finite number above 0",
        ),
        (["--rejection-threshold", "4"], "--rejection-threshold: only 'likely' and 'likely_joint' search for jumps"),
        (
            ["--algorithm", "likely", "--rejection-threshold", "high"],
            "--rejection-threshold: invalid float value: 'high'",
        ),
        (["--algorithm", "likely", "--pedestal", "1", "2"], "--pedestal: only 'likely_joint' has a prior"),
        (["--algorithm", "likely_joint", "--pedestal", "1"], "--pedestal: expected 2 arguments"),
        (["--algorithm", "likely_joint", "--pedestal", "1", "-2"], "--pedestal: expected a finite mean"),
        (["--algorithm", "unlikely"], "--algorithm: expected one of 'ols', 'likely'"),
    ],
)
def test_wrong_usage_is_one_line(exposure_file, words, message, capsys):
    assert command(exposure_file, *words) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "INFO" not in line]
    assert line.startswith("rampfit fit: error: ")
    assert message in line


def test_command_tells_what_it_did(exposure_file, out, capsys):
    assert command(exposure_file, "--algorithm", "LIKELY", "--output-dir", out) == 0
    printed = capsys.readouterr().err
    assert "Using algorithm = likely\n" in printed
    assert "Jumps found: " in printed


def test_too_few_groups_are_a_warning_and_no_failure(tmp_path, out, capsys):
    path = save(ramp_hdulist((1, 2, 6, 7)), tmp_path / "x_jump.fits")
    assert command(path, "--algorithm", "likely", "--output-dir", out) == 0
    printed = capsys.readouterr().err
    assert "WARNING - 'likely' needs 4 groups, the exposure has 2: it is fitted with 'ols'" in printed
    assert "Using algorithm = ols" in printed


def test_warm_up_by_algorithm(capsys):
    assert main(["warmup", "likely", "LIKELY_joint"]) == 0
    assert "The kernels are ready" in capsys.readouterr().err
    assert main(["warmup", "fast"]) == 2
    assert "expected one of 'ols', 'likely'" in capsys.readouterr().err


# --------------------------------------------------------------------------------------------------------- data models
@pytest.mark.jwst
def test_data_models_open_the_products(tmp_path, out):
    """Planes that the models do not know are no obstacle, and come along when a later step saves its result."""
    datamodels = pipeline_datamodels()
    source = save(ramp_hdulist(optional=True), tmp_path / "jw01_jump.fits")
    fit = likelihood_fit(read_exposure(source).header, save_opt=True)
    paths = write_products(fit, out, source.name)
    for path, kind, rate in zip(
        paths, ("ImageModel", "CubeModel", "ImageModel"), (fit.rate, fit.rateints, None), strict=True
    ):
        with datamodels.open(path) as model:
            assert type(model).__name__ == kind
            model.validate()
            assert model.meta.filename == path.name
            np.testing.assert_array_equal(model.data, fit.rate.chisq if rate is None else rate.data)
            assert model.meta.cal_step.ramp_fit == (None if rate is None else "COMPLETE")
            model.save(tmp_path / "later.fits")
        if rate is not None:
            np.testing.assert_array_equal(fits.getdata(tmp_path / "later.fits", "CHISQ"), rate.chisq)
            np.testing.assert_array_equal(fits.getdata(tmp_path / "later.fits", "DOF"), rate.dof)
