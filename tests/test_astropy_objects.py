"""Fits and exposures as astropy's objects, and the table of the jumps as a product."""

from __future__ import annotations

import doctest
from importlib import import_module

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from astropy.nddata import CCDData, NDDataArray, StdDevUncertainty
from astropy.table import QTable

from rampfit_numba import (
    Exposure,
    ExposureHeader,
    RampFileError,
    find_jumps,
    fit_file,
    fit_ramps,
    read_exposure,
    to_ccddata,
    write_products,
)
from rampfit_numba.cli import main

D, S, J = 1, 2, 4
SKY = {
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRVAL1": 10.0,
    "CRVAL2": 20.0,
    "CRPIX1": 3.0,
    "CRPIX2": 2.0,
    "CDELT1": -1e-5,
    "CDELT2": 1e-5,
    "CUNIT1": "deg",
    "CUNIT2": "deg",
}


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(3)
    data = np.cumsum(rng.poisson(60, (2, 8, 4, 6)), axis=1).astype(np.float32)
    flags = np.zeros(data.shape, np.uint8)
    flags[:, :, 1, 2] = D
    flags[0, 5, 3, 4] = J
    data[0, 5:, 3, 4] += 400
    header = ExposureHeader(fits.Header([("TELESCOP", "JWST"), ("NAXIS", 0)]), fits.Header(SKY))
    return fit_ramps(Exposure(data, flags, 3.0, header=header), 5.0, 2.0, save_opt=True)


def test_ccddata_has_all_that_the_rate_has(fit):
    made = fit.rate.to_ccddata()
    assert isinstance(made, CCDData)
    assert made.unit == units.Unit("DN / s")
    assert np.shares_memory(made.data, fit.rate.data)
    np.testing.assert_array_equal(made.data, fit.rate.data)
    assert isinstance(made.uncertainty, StdDevUncertainty)
    np.testing.assert_array_equal(made.uncertainty.array, fit.rate.err)
    assert np.argwhere(made.mask).tolist() == [[1, 2]]
    np.testing.assert_array_equal(made.flags, fit.rate.dq)
    assert made.header["TELESCOP"] == "JWST"
    assert made.wcs.has_celestial
    assert made.wcs.pixel_to_world_values(2, 1) == pytest.approx((10, 20))
    doubled = made.multiply(2)
    np.testing.assert_allclose(doubled.uncertainty.array, 2 * fit.rate.err)


def test_ccddata_can_be_written_and_read(fit, tmp_path):
    path = tmp_path / "rate.fits"
    fit.rate.to_ccddata().write(path)
    again = CCDData.read(path)
    np.testing.assert_array_equal(again.data, fit.rate.data)


def test_nddata_of_the_integrations(fit):
    made = fit.rateints.to_nddata()
    assert isinstance(made, NDDataArray)
    assert made.shape == (2, 4, 6)
    np.testing.assert_array_equal(made.uncertainty.array, fit.rateints.err)
    assert made.wcs is None
    assert fit.rate.to_nddata().wcs is not None


def test_quantities_share_the_memory(fit):
    assert fit.rate.quantity.unit == units.Unit("DN / s")
    assert np.shares_memory(fit.rate.quantity.value, fit.rate.data)
    assert np.shares_memory(fit.rateints.err_quantity.value, fit.rateints.err)
    electrons = (fit.rate.quantity * (2 * units.electron / units.DN)).to("electron / s")
    np.testing.assert_allclose(electrons.value, 2 * fit.rate.data)


def test_hdulists_are_what_the_files_hold(fit, tmp_path):
    made = fit.to_hdulists()
    assert list(made) == ["rate", "rateints", "fitopt"]
    for path in write_products(fit, tmp_path, "x_jump.fits"):
        kind = path.stem.removeprefix("x_")
        with fits.open(path) as file:
            assert [hdu.name for hdu in file] == [hdu.name for hdu in made[kind]]
            for there, here in zip(file, made[kind], strict=True):
                if there.is_image and there.data is not None:
                    np.testing.assert_array_equal(there.data, here.data)


def test_wrong_arguments_are_named():
    with pytest.raises(TypeError, match="rate: expected the rate or rateints of a fit; got ndarray"):
        to_ccddata(np.zeros((2, 2)))
    with pytest.raises(TypeError, match="hdulist: expected an astropy HDUList; got str"):
        Exposure.from_hdulist("x_jump.fits")
    with pytest.raises(RampFileError, match="extension SCI is missing"):
        Exposure.from_hdulist(fits.HDUList([fits.PrimaryHDU()]))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    assert main(["simulate", str(folder / "a_jump.fits"), "--shape", "2x8x12x14", "--seed", "2", "--quiet"]) == 0
    return folder


def test_an_exposure_from_an_hdulist_is_that_of_the_file(files):
    expected = read_exposure(files / "a_jump.fits")
    with fits.open(files / "a_jump.fits") as hdulist:
        found = Exposure.from_hdulist(hdulist)
        for name in ("data", "groupdq", "pixeldq"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        for name in ("group_time", "frame_time", "nframes", "groupgap", "drop_frames1", "instrument"):
            assert getattr(found, name) == getattr(expected, name)
        assert found.header.filename == "a_jump.fits"
        one, other = (fit_ramps(exposure, 14.0, 5.5) for exposure in (found, expected))
        np.testing.assert_array_equal(one.rate.data, other.rate.data)
        del hdulist[0].header["TGROUP"]
        with pytest.raises(RampFileError, match="no keyword TGROUP"):
            Exposure.from_hdulist(hdulist)


def test_jumps_are_a_product(files, tmp_path):
    result = fit_file(files / "a_jump.fits", 14.0, 5.5, output_dir=tmp_path, save_jumps=True)
    assert [path.name for path in result] == ["a_rate.fits", "a_rateints.fits", "a_jumps.fits"]
    expected = find_jumps(fit_ramps(read_exposure(files / "a_jump.fits"), 14.0, 5.5))
    assert len(expected) > 1
    found = QTable.read(tmp_path / "a_jumps.fits", hdu="JUMPS")
    assert found.colnames == expected.colnames
    for name in found.colnames:
        there, here = (np.asarray(getattr(table[name], "value", table[name])) for table in (found, expected))
        np.testing.assert_array_equal(there, here)
    with fits.open(tmp_path / "a_jumps.fits") as file:
        header = file["JUMPS"].header
        assert "electrons" in header.comments[f"TTYPE{found.colnames.index('size_e') + 1}"]
    assert found["size"].unit == units.adu  # FITS has no DN
    before = (tmp_path / "a_jumps.fits").read_bytes()
    with pytest.raises(RampFileError, match="exists"):
        fit_file(files / "a_jump.fits", 14.0, 5.5, output_dir=tmp_path, save_jumps=True)
    assert (tmp_path / "a_jumps.fits").read_bytes() == before


def test_command_saves_jumps_also_when_there_are_none(files, tmp_path):
    words = [str(files / "a_jump.fits"), "--readnoise", "14", "--gain", "5.5", "--output-dir", str(tmp_path), "--quiet"]
    assert main(["fit", *words, "--save-jumps", "--algorithm", "likely"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"a_rate.fits", "a_rateints.fits", "a_jumps.fits"}
    quiet = Exposure(np.zeros((1, 6, 5, 5)), None, 3.0)
    write_products(fit_ramps(quiet, 14.0, 5.5), tmp_path, "b_jump.fits", save_jumps=True)
    assert len(QTable.read(tmp_path / "b_jumps.fits", hdu="JUMPS")) == 0


@pytest.mark.parametrize("module", ["io.nddata", "io.products"])
def test_examples_of_the_docstrings_run(module):
    result = doctest.testmod(import_module(f"rampfit_numba.{module}"))
    assert result.attempted > 3
    assert result.failed == 0


@pytest.mark.jwst
def test_an_exposure_from_a_data_model_is_that_of_the_file(files):
    datamodels = pytest.importorskip("stdatamodels.jwst.datamodels")
    from rampfit_numba.jwst import exposure_from_datamodel

    expected = read_exposure(files / "a_jump.fits")
    with datamodels.open(files / "a_jump.fits") as model:
        found = exposure_from_datamodel(model)
        np.testing.assert_array_equal(found.data, expected.data)
        np.testing.assert_array_equal(found.groupdq, expected.groupdq)
        assert found.group_time == expected.group_time
    with pytest.raises(TypeError, match="model: expected a RampModel; got int"):
        exposure_from_datamodel(3)
