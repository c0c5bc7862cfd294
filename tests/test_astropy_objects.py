"""Fits and exposures as astropy's objects, and the table of the jumps as a product."""

from __future__ import annotations

import dataclasses
import doctest
import warnings
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
    RampFitWarning,
    exposure_from_hdulist,
    find_jumps,
    fit_file,
    fit_ramps,
    read_exposure,
    to_ccddata,
    write_products,
)
from rampfit_numba.cli import main
from tests.make_files import asdf_hdu, int_times, ramp_hdulist, save

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
    with pytest.raises(RampFileError, match="hdulist: holds no HDU"):
        Exposure.from_hdulist(fits.HDUList())


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


def _set(name, key, value):
    def change(hdulist):
        hdulist[name].header[key] = value

    return change


def _without(name):
    def change(hdulist):
        del hdulist[name]

    return change


def _as_electrons(hdulist):
    hdulist["SCI"].header["BUNIT"] = "electron"
    hdulist["AVDRKCUR"].header["BUNIT"] = "electron/s"


def _unit_of_all(hdulist):
    del hdulist["SCI"].header["BUNIT"]
    hdulist[0].header["BUNIT"] = "ELECTRONS"


def _read_times(hdulist):
    pytest.importorskip("asdf")
    times = ", ".join(f"[{1.5 * k + 1:g}, {1.5 * k + 2:g}]" for k in range(0, 10, 2))
    hdulist.append(asdf_hdu(f"meta: {{exposure: {{read_times: [{times}]}}}}\n"))


def _other_shape(name):
    def change(hdulist):
        hdulist[name].data = hdulist[name].data[..., :-1]

    return change


#: What is done to a ramp file, and what is then wrong with it.
HEADERS = {
    "as it is": (lambda _: None, ""),
    "electrons": (_as_electrons, ""),
    "electrons in the primary header": (_unit_of_all, ""),
    "ADU": (_set("SCI", "BUNIT", "ADU"), ""),
    "dark current in another unit": (_set("AVDRKCUR", "BUNIT", "K"), "BUNIT of extension AVDRKCUR: expected DN/s"),
    "rates": (_set("SCI", "BUNIT", "DN/s"), "BUNIT of extension SCI: .*, a rate"),
    "volts": (_set("SCI", "BUNIT", "uV"), "BUNIT of extension SCI: .*, which cannot be converted"),
    "superstripes": (_set(0, "SSTR_NST", 4), "holds superstripes"),
    "superstripe model": (_set(0, "DATAMODL", "SuperstripeRampModel"), "holds superstripes"),
    "a product": (_set(0, "DATAMODL", "ImageModel"), "is a product of ramp fitting"),
    "too many frames": (_set(0, "NFRAMES", 65537), "keyword NFRAMES = 65537"),
    "half a frame": (_set(0, "NFRAMES", 1.5), "keyword NFRAMES of the primary header must be an integer"),
    "a time that is a text": (_set(0, "TGROUP", "long"), "keyword TGROUP must be a number"),
    "no time": (lambda hdulist: hdulist[0].header.remove("TGROUP"), "the primary header has no keyword TGROUP"),
    "no flags": (_without("GROUPDQ"), "extension GROUPDQ is missing"),
    "no ramps": (_without("SCI"), "extension SCI is missing"),
    "flags of another shape": (_other_shape("GROUPDQ"), "extension GROUPDQ must have shape"),
    "zeroframes of another shape": (_other_shape("ZEROFRAME"), "extension ZEROFRAME must have shape"),
    "times by ASDF": (_read_times, ""),
    "no pixel flags, zeroframes, dark": (
        lambda hdulist: [_without(name)(hdulist) for name in ("PIXELDQ", "ZEROFRAME", "AVDRKCUR", "INT_TIMES")],
        "",
    ),
    "a table of the user": (
        lambda hdulist: hdulist.append(fits.BinTableHDU.from_columns(int_times(3), name="MINE")),
        "",
    ),
}


@pytest.mark.parametrize("case", HEADERS)
@pytest.mark.parametrize("opened", [True, False], ids=["of a file", "in memory"])
def test_a_file_and_an_hdulist_are_read_by_the_same_rules(case, opened, tmp_path):
    """The same exposure, or the same refusal."""
    change, message = HEADERS[case]
    hdulist, path = ramp_hdulist(optional=True), tmp_path / "x_jump.fits"
    change(hdulist)
    save(hdulist, path)
    source = fits.open(path) if opened else hdulist
    with source as given:
        if message:
            texts = []
            for door, argument in ((read_exposure, path), (exposure_from_hdulist, given)):
                with pytest.raises(RampFileError, match=message) as caught:
                    door(argument)
                texts.append(str(caught.value).partition(": ")[2])
            assert texts[0] == texts[1]
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RampFitWarning)  # times that contradict each other, of both
            expected, found = read_exposure(path), exposure_from_hdulist(given)
        for field in dataclasses.fields(Exposure):
            one, other = getattr(expected, field.name), getattr(found, field.name)
            if isinstance(one, np.ndarray):
                np.testing.assert_array_equal(one, other, err_msg=field.name)
            elif field.name != "header":
                assert one == other, field.name
        one, other = expected.header, found.header
        assert [table.name for table in one.tables] == [table.name for table in other.tables]
        assert one.left_out == other.left_out
        assert (one.int_times is None) == (other.int_times is None)
        if one.int_times is not None:
            np.testing.assert_array_equal(one.int_times, other.int_times)
        ours, theirs = (fit_ramps(exposure, 14.0, 5.0) for exposure in (found, expected))
        np.testing.assert_array_equal(ours.rate.data, theirs.rate.data)
        np.testing.assert_array_equal(ours.rate.var_poisson, theirs.rate.var_poisson)


def test_an_hdulist_in_electrons_is_divided_by_the_gain():
    rates = {}
    for unit, factor in (("DN", 1), ("electron", 5)):
        hdulist = ramp_hdulist()
        hdulist["SCI"].header["BUNIT"] = unit
        hdulist["SCI"].data = hdulist["SCI"].data * np.float32(factor)
        rates[unit] = fit_ramps(Exposure.from_hdulist(hdulist), 14.0, 5.0).rate.data
    np.testing.assert_allclose(rates["electron"], rates["DN"], rtol=1e-5)


@pytest.mark.parametrize(
    ("stored", "cards"),
    [
        (np.int16, {}),
        (np.int16, {"BZERO": 32768}),
        (np.int16, {"BSCALE": 0.5, "BZERO": 7}),
        (np.float32, {"BSCALE": 2.0}),
    ],
)
def test_scaled_ramps_have_their_values(stored, cards, tmp_path):
    hdulist, path = ramp_hdulist(), tmp_path / "x_jump.fits"
    hdulist["SCI"].data = hdulist["SCI"].data.clip(0, 30_000).astype(stored)
    hdulist["SCI"].header.update(cards)
    save(hdulist, path)
    with fits.open(path) as opened:
        np.testing.assert_array_equal(exposure_from_hdulist(opened).data, read_exposure(path).data)
        np.testing.assert_array_equal(exposure_from_hdulist(opened).data, read_exposure(path).data)  # loaded by now
    with fits.open(path, do_not_scale_image_data=True) as opened:
        del opened["PIXELDQ"]
        if cards:
            with pytest.raises(RampFileError, match="extension SCI holds values without their scale"):
                exposure_from_hdulist(opened)
        else:
            np.testing.assert_array_equal(exposure_from_hdulist(opened).data, read_exposure(path).data)


def test_flags_that_astropy_gives_as_floats_are_flags(tmp_path):
    path = save(ramp_hdulist(), tmp_path / "x_jump.fits")
    with fits.open(path, uint=False) as hdulist:
        assert hdulist["PIXELDQ"].data.dtype.kind == "f"
        np.testing.assert_array_equal(exposure_from_hdulist(hdulist).pixeldq, read_exposure(path).pixeldq)
    hdulist = ramp_hdulist()
    hdulist["GROUPDQ"].data = hdulist["GROUPDQ"].data + np.float32(0.5)
    with pytest.raises(RampFileError, match="extension GROUPDQ: expected an array of integers or booleans"):
        exposure_from_hdulist(hdulist)


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
