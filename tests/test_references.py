"""Gain and read noise: files cut to the subarray as the pipeline cuts them, numbers, arrays."""

from __future__ import annotations

import logging
import pickle
import re

import numpy as np
import pytest
from astropy import units
from astropy.io import fits

from rampfit_numba import Exposure, RampFileError, read_exposure, read_reference
from rampfit_numba.io import reference_files
from rampfit_numba.io.reference_files import ReferenceFiles
from rampfit_numba.io.references import reference_for
from tests.make_files import SHAPE, ramp_hdulist, reference_hdulist, save

IMAGE = SHAPE[2:]
# The exposure of make_files begins at SUBSTRT1 = 11, SUBSTRT2 = 21.
ROWS, COLS = slice(20, 26), slice(10, 17)
FULL = np.arange(2048 * 2048, dtype=np.float32).reshape(2048, 2048)


@pytest.fixture
def exposure(tmp_path):
    return read_exposure(save(ramp_hdulist(), tmp_path / "ramp.fits"))


@pytest.fixture
def detector():
    """Return a detector of 40 rows x 30 columns, each pixel with its own value."""
    return np.arange(1200, dtype=np.float32).reshape(40, 30)


def refused(reference, exposure, name, *parts):
    with pytest.raises(RampFileError) as caught:
        read_reference(reference, exposure, name)
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


class TestSubarray:
    def test_wrong_size_is_told_once_for_both_references(self, tmp_path, detector, caplog):
        ramp = ramp_hdulist()
        ramp[0].header["SUBSIZE1"] += 3
        exposure = read_exposure(save(ramp, tmp_path / "ramp.fits"))
        for name in ("gain", "readnoise"):
            path = save(reference_hdulist(detector), tmp_path / f"{name}.fits")
            with pytest.raises(RampFileError, match=r"^ramp\.fits: the part of"):
                read_reference(path, exposure, name)
        assert sum("ramp.fits: SUBSIZE1" in message for message in caplog.messages) == 1

    def test_part_of_a_larger_reference(self, tmp_path, exposure, detector, caplog):
        caplog.set_level(logging.INFO)
        image = read_reference(save(reference_hdulist(detector), tmp_path / "gain.fits"), exposure, "gain")
        np.testing.assert_array_equal(image.data, detector[ROWS, COLS])
        assert image.data.dtype == np.float32
        assert image.data.dtype.isnative
        assert image.data.flags.c_contiguous
        assert image.data.flags.writeable
        assert image.source == "gain.fits"
        assert image.gain_factor is None
        assert "Extracting gain subarray" in caplog.text

    def test_reference_of_another_subarray(self, tmp_path, exposure, detector):
        path = save(reference_hdulist(detector[15:30, 5:], start=(6, 16)), tmp_path / "rn.fits")
        np.testing.assert_array_equal(read_reference(path, exposure, "readnoise").data, detector[ROWS, COLS])

    @pytest.mark.parametrize("name", ["same.fits", "same.fits.gz"])
    def test_reference_of_the_same_subarray(self, tmp_path, exposure, detector, caplog, name):
        caplog.set_level(logging.INFO)
        path = save(reference_hdulist(detector[ROWS, COLS], start=(11, 21)), tmp_path / name)
        np.testing.assert_array_equal(read_reference(path, exposure, "gain").data, detector[ROWS, COLS])
        assert not caplog.text

    @pytest.mark.parametrize("start", [(12, 1), (1, 22), (-11, 1), (1, 0)])
    def test_reference_beside_the_exposure(self, tmp_path, exposure, detector, start):
        path = save(reference_hdulist(detector, start=start), tmp_path / "gain.fits")
        refused(path, exposure, "gain", str(path), "count from 1" if min(start) < 1 else "does not cover", "SUBSTRT")

    @pytest.mark.parametrize("shape", [(25, 30), (40, 16)])
    def test_reference_too_small(self, tmp_path, exposure, detector, shape):
        path = save(reference_hdulist(detector[: shape[0], : shape[1]]), tmp_path / "gain.fits")
        refused(
            path,
            exposure,
            "gain",
            str(path),
            "ramp.fits: begins at (SUBSTRT1, SUBSTRT2) = (11, 21)",
            f"{shape[1]} columns x {shape[0]} rows",
        )

    @pytest.mark.parametrize("keyword", ["SUBSTRT1", "SUBSTRT2", "SUBSIZE1", "SUBSIZE2"])
    def test_exposure_without_keyword(self, tmp_path, detector, keyword):
        exposure = read_exposure(save(ramp_hdulist(keywords={keyword: None}), tmp_path / "ramp.fits"))
        path = save(reference_hdulist(detector), tmp_path / "gain.fits")
        refused(path, exposure, "gain", f"ramp.fits: {keyword} missing", "as a number or an array")

    def test_exposure_without_header(self, tmp_path, detector):
        path = save(reference_hdulist(detector), tmp_path / "gain.fits")
        refused(path, Exposure(np.zeros(SHAPE), None, 1.0), "gain", "the exposure: SUBSTRT2, SUBSTRT1")

    def test_exposure_with_corner_below_one(self, tmp_path, detector):
        exposure = read_exposure(save(ramp_hdulist(keywords={"SUBSTRT2": 0}), tmp_path / "ramp.fits"))
        refused(save(reference_hdulist(detector), tmp_path / "g.fits"), exposure, "gain", "ramp.fits", "count from 1")

    @pytest.mark.parametrize("keyword", ["SUBSTRT1", "SUBSIZE2"])
    def test_reference_without_keyword(self, tmp_path, exposure, detector, keyword):
        path = save(reference_hdulist(detector, {keyword: None}), tmp_path / "gain.fits")
        refused(path, exposure, "gain", str(path), f"{keyword} missing", "2048 x 2048", "add them")

    def test_full_frame_reference_without_keywords(self, tmp_path, exposure, caplog):
        path = save(reference_hdulist(FULL, {"SUBSTRT1": None, "SUBSIZE1": None}), tmp_path / "gain.fits")
        np.testing.assert_array_equal(read_reference(path, exposure, "gain").data, FULL[ROWS, COLS])
        assert "taken as the full frame" in caplog.text
        assert str(path) in caplog.text

    @pytest.mark.parametrize(("named", "instrument"), [("MIRI", "MIRI"), (None, "MIRI"), ("MIRI", "NIRCAM")])
    def test_full_frame_of_miri(self, tmp_path, named, instrument, caplog):
        exposure = read_exposure(save(ramp_hdulist(keywords={"INSTRUME": instrument}), tmp_path / "ramp.fits"))
        values = FULL[:1024, :1032]
        path = save(reference_hdulist(values, {"SUBSTRT1": None, "INSTRUME": named}), tmp_path / "gain.fits")
        np.testing.assert_array_equal(read_reference(path, exposure, "gain").data, values[ROWS, COLS])
        assert "taken as the full frame" in caplog.text
        path = save(reference_hdulist(FULL, {"SUBSTRT1": None, "INSTRUME": named}), tmp_path / "nir.fits")
        refused(path, exposure, "gain", "1024 x 1032")

    def test_size_keywords_that_disagree_with_the_reference(self, tmp_path, exposure, detector, caplog):
        sizes = {"SUBSIZE1": 99, "SUBSIZE2": 3}
        path = save(reference_hdulist(detector[ROWS, COLS], sizes, start=(11, 21)), tmp_path / "gain.fits")
        np.testing.assert_array_equal(read_reference(path, exposure, "gain").data, detector[ROWS, COLS])
        assert "SUBSIZE1 = 99, but the array has 7 columns" in caplog.text
        assert "SUBSIZE2 = 3, but the array has 6 rows" in caplog.text

    def test_size_keywords_that_disagree_with_the_exposure(self, tmp_path, detector, caplog):
        exposure = read_exposure(save(ramp_hdulist(keywords={"SUBSIZE1": 8}), tmp_path / "ramp.fits"))
        path = save(reference_hdulist(detector[ROWS, COLS], start=(11, 21)), tmp_path / "same.fits")
        np.testing.assert_array_equal(read_reference(path, exposure, "gain").data, detector[ROWS, COLS])
        assert "ramp.fits: SUBSIZE1 = 8" in caplog.text
        # The slice goes by the keywords, so here it does not fit.
        refused(save(reference_hdulist(detector), tmp_path / "full.fits"), exposure, "gain", "(6, 8), not (6, 7)")

    def test_irs2_has_more_rows_than_its_keyword_says(self, tmp_path, caplog):
        keywords = {"SUBSTRT1": 1, "SUBSTRT2": 1, "SUBSIZE1": 3, "SUBSIZE2": 2048, "INSTRUME": "NIRSPEC"}
        exposure = read_exposure(save(ramp_hdulist((1, 2, 3200, 3), keywords), tmp_path / "ramp.fits"))
        values = np.arange(9600, dtype=np.float32).reshape(3200, 3)
        path = save(reference_hdulist(values, keywords | {"DETECTOR": "NRCA1"}), tmp_path / "gain.fits")
        np.testing.assert_array_equal(read_reference(path, exposure, "gain").data, values)
        assert not caplog.text


class TestFiles:
    def test_kinds_of_numbers(self, tmp_path, exposure, detector):
        for dtype in (np.float64, np.int16, np.uint16):
            hdulist = reference_hdulist(detector)
            hdulist["SCI"].data = detector.astype(dtype)
            data = read_reference(save(hdulist, tmp_path / f"{np.dtype(dtype)}.fits"), exposure, "gain").data
            np.testing.assert_array_equal(data, detector[ROWS, COLS])
            assert data.dtype == np.float32

    @pytest.mark.parametrize(("kind", "asked"), [("GAIN", "readnoise"), ("readnoise", "gain")])
    def test_swapped(self, tmp_path, exposure, detector, kind, asked):
        path = save(reference_hdulist(detector, {"REFTYPE": kind}), tmp_path / "r.fits")
        refused(path, exposure, asked, f"is a {kind.lower()} reference file", "swapped")
        assert read_reference(path, exposure, kind.lower()).source == "r.fits"

    def test_other_detector(self, tmp_path, exposure, detector, caplog):
        read_reference(save(reference_hdulist(detector, {"DETECTOR": "NRCB4"}), tmp_path / "r.fits"), exposure, "gain")
        assert "DETECTOR is NRCB4, the exposure's is NRCA1" in caplog.text

    def test_gain_factor(self, tmp_path, exposure, detector, caplog):
        path = save(reference_hdulist(detector, {"GAINFACT": 1.0}), tmp_path / "one.fits")
        assert read_reference(path, exposure, "gain").gain_factor == 1.0
        assert not caplog.text
        path = save(reference_hdulist(detector, {"GAINFACT": 4.0}), tmp_path / "four.fits")
        assert read_reference(path, exposure, "gain").gain_factor == 4.0
        assert "four.fits: GAINFACT = 4" in caplog.text
        assert read_reference(path, exposure, "readnoise").gain_factor is None

    def test_gain_factor_without_sense(self, tmp_path, exposure, detector):
        path = save(reference_hdulist(detector, {"GAINFACT": "big"}), tmp_path / "r.fits")
        refused(path, exposure, "gain", "GAINFACT must be a number")

    def test_without_image(self, tmp_path, exposure, detector):
        hdulist = reference_hdulist(detector)
        hdulist["SCI"].name = "DATA"
        refused(save(hdulist, tmp_path / "a.fits"), exposure, "gain", "extension SCI is missing", "gain reference")
        refused(save(ramp_hdulist(), tmp_path / "b.fits"), exposure, "gain", "SCI must have 2 axes", "it has 4")
        column = fits.Column("x", "2J", array=np.zeros((5, 2)))
        table = fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns([column], name="SCI")])
        refused(save(table, tmp_path / "c.fits"), exposure, "gain", "table")

    def test_no_fits(self, tmp_path, exposure):
        refused("no.fits", exposure, "gain", "no.fits: no such file, and no number")
        refused(tmp_path / "5", exposure, "gain", "5: no such file")
        refused("", exposure, "gain", "'': is a directory, and no number")
        refused("a\0b", exposure, "gain", r"'a\x00b': cannot be the name of a file, and no number")
        refused("a\nb", exposure, "gain", r"'a\nb': no such file, and no number")
        refused("x" * 5000, exposure, "gain", "xxx...: cannot be the name of a file", "File name too long")
        refused(tmp_path, exposure, "gain", "is a directory")


class TestValues:
    @pytest.mark.parametrize("value", [5.5, "5.5", np.float32(5.5), np.array(5.5), 5.5 * units.electron / units.DN])
    def test_number(self, exposure, value):
        image = read_reference(value, exposure, "gain")
        assert image.data == 5.5
        assert isinstance(image.data, float)
        assert image.source == "value 5.5"

    def test_name_of_a_file_that_looks_like_a_number(self, tmp_path, exposure, detector, monkeypatch):
        monkeypatch.chdir(tmp_path)
        save(reference_hdulist(detector), tmp_path / "5.5")
        assert read_reference("5.5", exposure, "gain").source == "5.5"

    def test_folder_that_looks_like_a_number(self, tmp_path, exposure, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "5.5").mkdir()
        assert read_reference("5.5", exposure, "gain").source == "value 5.5"

    @pytest.mark.parametrize("value", [1e-50, "1e39", np.float64(1e300)])
    def test_number_beyond_single_precision(self, exposure, value):
        with pytest.raises(ValueError, match="gain: expected a number that single precision can hold"):
            read_reference(value, exposure, "gain")

    @pytest.mark.parametrize("value", [0, -1.0, np.nan, np.inf, "nan", "-3"])
    def test_number_without_sense(self, exposure, value):
        with pytest.raises(ValueError, match=re.escape("readnoise: expected a finite number > 0; got")):
            read_reference(value, exposure, "readnoise")

    @pytest.mark.parametrize("dtype", ["f8", ">f4", "i4", "f2"])
    def test_array(self, exposure, dtype):
        values = np.arange(42).reshape(IMAGE).astype(dtype)
        values.flags.writeable = False
        image = read_reference(values, exposure, "readnoise")
        np.testing.assert_array_equal(image.data, values)
        assert image.data.dtype == np.float32
        assert image.source == "array"
        quantity = read_reference(values.astype(float) * units.DN, exposure, "readnoise")
        np.testing.assert_array_equal(quantity.data, values)

    def test_array_of_the_wrong_shape(self, exposure):
        with pytest.raises(
            ValueError, match=re.escape("gain: expected a number or an array of shape (6, 7); got shape (7, 6)")
        ):
            read_reference(np.ones((7, 6)), exposure, "gain")

    @pytest.mark.parametrize("value", [True, None, object(), np.ones(IMAGE, complex)])
    def test_no_number(self, exposure, value):
        with pytest.raises(TypeError, match="gain: expected"):
            read_reference(value, exposure, "gain")

    def test_unit(self, exposure):
        with pytest.raises(ValueError, match=r"readnoise: expected DN .* or electron; got V, which"):
            read_reference(np.ones(IMAGE) * units.V, exposure, "readnoise")

    def test_name(self, exposure):
        with pytest.raises(ValueError, match="name: expected 'readnoise' or 'gain'; got 'dark'"):
            read_reference(1.0, exposure, "dark")


def test_real_files(real_data):
    for ramp, stem in (
        ("miri_sub64_nat_jump", "miri_sub64"),
        ("wfc3_ibxy01z8q_jump", "wfc3_266"),
        ("sim_nrc_rapid_jump", "sim_nrc_rapid"),
    ):
        exposure = read_exposure(real_data / f"{ramp}.fits")
        for name in ("readnoise", "gain"):
            path = real_data / f"{stem}_{name}.fits"
            np.testing.assert_array_equal(read_reference(path, exposure, name).data, fits.getdata(path, "SCI"))


class TestFilesOfAJob:
    """A file is read once for all exposures, as long as it stays as it is."""

    @pytest.fixture
    def counted(self, monkeypatch):
        reads = []
        check = reference_files.check_reference

        def counting(path, name):
            reads.append(path.name)
            return check(path, name)

        monkeypatch.setattr(reference_files, "check_reference", counting)
        return reads

    def test_read_once(self, tmp_path, exposure, detector, counted):
        path, shared = save(reference_hdulist(detector), tmp_path / "gain.fits"), ReferenceFiles()
        first, second = (reference_for(path, exposure, "gain", shared).data for _ in range(2))
        assert first is second
        assert not first.flags.writeable
        assert counted == ["gain.fits"]
        own = read_reference(path, exposure, "gain").data
        assert own.flags.writeable
        np.testing.assert_array_equal(own, first)

    def test_read_again_when_it_was_changed(self, tmp_path, exposure, detector, counted):
        path, shared = save(reference_hdulist(detector), tmp_path / "gain.fits"), ReferenceFiles()
        before = reference_for(path, exposure, "gain", shared).data
        save(reference_hdulist(detector + 1), tmp_path / "other.fits").replace(path)
        after = reference_for(path, exposure, "gain", shared).data
        np.testing.assert_array_equal(after, before + 1)
        assert len(counted) == 2
        path.unlink()
        with pytest.raises(RampFileError, match="no such file"):
            reference_for(path, exposure, "gain", shared)

    def test_another_part_of_it(self, tmp_path, detector, counted):
        path, shared = save(reference_hdulist(detector), tmp_path / "gain.fits"), ReferenceFiles()
        for number, first in enumerate((11, 3, 11)):
            ramp = save(ramp_hdulist(keywords={"SUBSTRT1": first}), tmp_path / f"ramp{number}.fits")
            exposure = read_exposure(ramp)
            found = reference_for(path, exposure, "gain", shared).data
            np.testing.assert_array_equal(found, read_reference(path, exposure, "gain").data)
        assert counted.count("gain.fits") == 4  # once, and by each read_reference

    def test_travels_without_what_was_read(self, tmp_path, exposure, detector):
        shared = ReferenceFiles()
        reference_for(save(reference_hdulist(detector), tmp_path / "gain.fits"), exposure, "gain", shared)
        assert len(pickle.dumps(shared)) < 200
