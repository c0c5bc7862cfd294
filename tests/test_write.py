"""Products: what is in them, and what their headers say."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import io

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import ExposureHeader, __version__, _version, read_exposure, write_products
from rampfit_numba.io.fits import Provenance, fitopt_hdulist, rate_hdulist, rateints_hdulist
from rampfit_numba.io.product_parts import Image, Product
from tests.cases import RATE_PLANES
from tests.make_files import PLANES, SHAPE, header_of, listing, ramp_hdulist, save, some_fit, to_bytes

NINTS, NROWS, NCOLS = SHAPE[0], *SHAPE[2:]


@pytest.fixture
def header(tmp_path):
    """Return the header of a ramp file with everything in it."""
    return read_exposure(save(ramp_hdulist(optional=True), tmp_path / "jw01_jump.fits")).header


@pytest.fixture
def folder(tmp_path):
    """Return an empty folder."""
    path = tmp_path / "out"
    path.mkdir()
    return path


class TestContents:
    @pytest.mark.parametrize("kind", ["rate", "rateints"])
    def test_planes(self, folder, kind):
        fit = some_fit()
        write_products(fit, folder, "jw01_jump.fits")
        with fits.open(folder / f"jw01_{kind}.fits") as hdulist:
            assert [hdu.name for hdu in hdulist] == ["PRIMARY", *PLANES, "ASDF"]
            for extension, plane in PLANES.items():
                np.testing.assert_array_equal(hdulist[extension].data, getattr(getattr(fit, kind), plane))
                assert hdulist[extension].ver == 1
            assert hdulist["SCI"].header["BUNIT"] == hdulist["ERR"].header["BUNIT"] == "DN/s"
            assert hdulist["SCI"].data.dtype == ">f4"
            assert hdulist["DQ"].data.dtype == np.uint32
        with fits.open(folder / f"jw01_{kind}.fits", do_not_scale_image_data=True) as hdulist:
            assert hdulist["DQ"].header["BITPIX"] == 32
            assert hdulist["DQ"].header["BZERO"] == 2147483648
            assert hdulist["DQ"].data.dtype == ">i4"

    def test_fitopt(self, folder):
        fit = some_fit(segments=3, jumps=2)
        assert write_products(fit, folder, "jw01_jump.fits")[-1] == folder / "jw01_fitopt.fits"
        with fits.open(folder / "jw01_fitopt.fits") as hdulist:
            names = [
                "SLOPE",
                "SIGSLOPE",
                "VAR_POISSON",
                "VAR_RNOISE",
                "YINT",
                "SIGYINT",
                "PEDESTAL",
                "WEIGHTS",
                "CRMAG",
            ]
            assert [hdu.name for hdu in hdulist] == ["PRIMARY", *names, "ASDF"]
            for name in names:
                np.testing.assert_array_equal(hdulist[name].data, getattr(fit.fitopt, name.lower()))
            assert hdulist["CRMAG"].shape == (NINTS, 2, NROWS, NCOLS)

    @pytest.mark.parametrize(("segments", "jumps"), [(0, 0), (0, 2), (1, 0)])
    def test_fitopt_without_segments_or_jumps(self, folder, segments, jumps):
        write_products(some_fit(segments=segments, jumps=jumps), folder, "jw01_jump.fits")
        with fits.open(folder / "jw01_fitopt.fits") as hdulist:
            assert hdulist["SLOPE"].data.shape == (NINTS, segments, NROWS, NCOLS)
            assert hdulist["CRMAG"].data.shape == (NINTS, jumps, NROWS, NCOLS)
            assert hdulist["SLOPE"].header["NAXIS3"] == segments
            hdulist.verify("exception")

    def test_fit_without_fitopt(self, folder):
        assert len(write_products(some_fit(), folder, "jw01_jump.fits")) == 2
        assert listing(folder) == ["jw01_rate.fits", "jw01_rateints.fits"]
        with pytest.raises(ValueError, match="fit: expected one with fitopt"):
            fitopt_hdulist(some_fit())

    def test_int_times(self, folder, header):
        write_products(some_fit(header, segments=1), folder, "jw01_jump.fits")
        with fits.open(folder / "jw01_rateints.fits") as hdulist:
            rows = hdulist["INT_TIMES"].data
            np.testing.assert_array_equal(rows["integration_number"], [1, 2])
            np.testing.assert_array_equal(rows["int_end_BJD_TDB"], header.int_times["int_end_BJD_TDB"])
            assert hdulist["INT_TIMES"].columns["int_mid_MJD_UTC"].unit == "d"
        for kind in ("rate", "fitopt"):
            with fits.open(folder / f"jw01_{kind}.fits") as hdulist:
                assert "INT_TIMES" not in hdulist

    def test_arrays_of_the_fit_are_left_alone(self, folder):
        fit = some_fit(segments=1)
        before = {name: getattr(fit.rate, name).copy() for name in RATE_PLANES}
        hdulist = rate_hdulist(fit)
        assert np.shares_memory(hdulist["SCI"].data, fit.rate.data)
        with pytest.raises(ValueError, match="read-only"):
            hdulist["SCI"].data[0] = 0
        write_products(fit, folder, "x_jump.fits")
        for name, old in before.items():
            np.testing.assert_array_equal(getattr(fit.rate, name), old)
            assert getattr(fit.rate, name).flags.writeable

    def test_arrays_of_any_layout(self, folder):
        fit = some_fit()
        planes = {name: np.asfortranarray(getattr(fit.rate, name)) for name in RATE_PLANES}
        turned = dataclasses.replace(fit, rate=dataclasses.replace(fit.rate, **planes))
        write_products(turned, folder, "x_jump.fits")
        np.testing.assert_array_equal(fits.getdata(folder / "x_rate.fits", "DQ"), fit.rate.dq)

    @pytest.mark.parametrize("dtype", ["f4", ">f4", "f8", "u1", "i1", "i2", "u2", "i4", ">u4", "u4", "u8"])
    @pytest.mark.parametrize("size", [0, 1, 720, 200_000])
    def test_images_are_as_astropy_writes_them(self, dtype, size):
        """Pieces, padding, byte order, NaNs of all kinds."""
        content = np.random.default_rng(1).bytes(size * np.dtype(dtype).itemsize)
        values = np.frombuffer(content, dtype).reshape(1, size)
        cards = (("BUNIT", "DN/s", "unit"),)
        product = Product(
            fits.PrimaryHDU().header, [Image("X", values, cards), Image("NONE", None, fits.Header(cards))]
        )
        written = io.BytesIO()
        product.write_to(written)
        assert written.getvalue() == to_bytes(fits.HDUList([hdu.copy() for hdu in product.hdulist()]))

    def test_products_are_as_astropy_writes_them(self, folder, header):
        fit = some_fit(header, segments=2, jumps=1)
        paths = write_products(fit, folder, "jw01_jump.fits", gain_name="gain.fits", history=["mine"])
        provenance = Provenance(gain_name="gain.fits", history=["mine"])
        for path, build in zip(paths, (rate_hdulist, rateints_hdulist, fitopt_hdulist), strict=True):
            hdulist = build(fit, path.name, provenance)
            hdulist[0].header["DATE"] = header_of(path)["DATE"]
            stream = io.BytesIO()
            hdulist.writeto(stream, output_verify="silentfix+ignore")
            assert path.read_bytes() == stream.getvalue()

    def test_files_follow_the_standard(self, folder, header):
        for path in write_products(some_fit(header, segments=2, jumps=0), folder, "jw01_jump.fits"):
            assert path.stat().st_size % 2880 == 0
            with fits.open(path) as hdulist:
                hdulist.verify("exception")


class TestHeaders:
    def test_cards_of_the_input_are_carried_over(self, folder, header):
        write_products(some_fit(header), folder, "jw01_jump.fits")
        got = header_of(folder / "jw01_rate.fits")
        new = {"DATE", "FILENAME", "DATAMODL", "S_RAMP"}
        for card in header.primary.cards:
            if card.keyword not in {*new, "", "COMMENT", "HISTORY"}:
                assert (got[card.keyword], got.comments[card.keyword]) == (card.value, card.comment)
        assert len(got["TARGNAME"]) > 80
        sci = header_of(folder / "jw01_rate.fits", "SCI")
        assert sci["CRVAL1"] == 12.5
        assert sci.comments["CRVAL1"] == "[deg] RA at reference pixel"
        assert sci["MJD-BEG"] == 59000.25

    def test_cards_of_sci_are_in_fitopt_too(self, folder, header):
        write_products(some_fit(header, segments=1), folder, "jw01_jump.fits")
        with fits.open(folder / "jw01_fitopt.fits") as hdulist:
            assert hdulist["SCI"].data is None
            assert (hdulist["SCI"].header["MJD-BEG"], hdulist["SCI"].header["VA_SCALE"]) == (59000.25, 1.00002)
            assert "BUNIT" not in hdulist["SCI"].header

    def test_order_comments_titles_and_history_stay(self, folder, header):
        write_products(some_fit(header), folder, "jw01_jump.fits", history=["mine"])
        got = header_of(folder / "jw01_rateints.fits")
        structure = {"SIMPLE", "BITPIX", "NAXIS", "EXTEND"}
        old = [card.image for card in header.primary.cards if card.keyword not in {*structure, "DATE", "DATAMODL"}]
        now = [card.image for card in got.cards]
        positions = [now.index(image) for image in old]
        assert positions == sorted(positions)
        assert all(now.count(image) == 1 for image in old if image.strip())
        assert list(got["COMMENT"]) == ["first comment", "second comment"]
        assert got["HISTORY"][0] == "first history"
        assert got["HISTORY"][-1] == "mine"

    def test_nothing_is_there_twice(self, folder, header):
        header.primary["S_RAMP"] = "SKIPPED"
        header.primary["R_GAIN"] = "old.fits"
        write_products(some_fit(header), folder, "jw01_jump.fits", readnoise_name="rn.fits", gain_name="gain.fits")
        for number in range(6):
            keys = [
                key for key in header_of(folder / "jw01_rate.fits", number) if key not in {"", "COMMENT", "HISTORY"}
            ]
            assert len(keys) == len(set(keys))

    def test_structure_of_the_input_is_not_carried_over(self, folder, header):
        for card in ("CHECKSUM", "DATASUM", "NEXTEND"):
            header.primary[card] = "x"
            header.sci[card] = "x"
        header.sci["BSCALE"], header.sci["BLANK"], header.sci["DATAMAX"] = 2.0, 5, 1e6
        write_products(some_fit(header, segments=1), folder, "jw01_jump.fits")
        for kind in ("rate", "rateints", "fitopt"):
            with fits.open(folder / f"jw01_{kind}.fits") as hdulist:
                for hdu in hdulist:
                    assert not {"CHECKSUM", "DATASUM", "NEXTEND", "BLANK", "DATAMAX"} & set(hdu.header)
                image = hdulist["SLOPE" if kind == "fitopt" else "SCI"]
                assert image.header["NAXIS"] == image.data.ndim
                assert "BSCALE" not in image.header

    def test_what_is_set(self, folder, header):
        write_products(
            some_fit(header, segments=1),
            folder,
            "jw01_jump.fits",
            readnoise_name="rn.fits",
            gain_name="gain.fits",
            gain_factor=2.0,
        )
        models = {"rate": "ImageModel", "rateints": "CubeModel", "fitopt": "RampFitOutputModel"}
        for kind, model in models.items():
            got = header_of(folder / f"jw01_{kind}.fits")
            assert got["DATAMODL"] == model
            assert got["FILENAME"] == f"jw01_{kind}.fits"
            assert got["DATE"].startswith("20")
            assert "T" in got["DATE"]
            assert (got["R_READNO"], got["R_GAIN"], got["GAINFACT"]) == ("rn.fits", "gain.fits", 2.0)
            assert got.get("S_RAMP") == (None if kind == "fitopt" else "COMPLETE")
            history = " ".join(got["HISTORY"])
            assert "rampfit_numba" in history
            assert "algorithm=ols, suppress_one_group=True" in " ".join(history.split())
        keys = list(header_of(folder / "jw01_rate.fits"))
        assert keys.index("S_RAMP") == keys.index("S_JUMP") + 1
        assert keys.index("R_GAIN") == keys.index("R_DARK") + 1

    def test_references_without_names_leave_the_cards_alone(self, folder, header):
        header.primary["R_GAIN"], header.primary["GAINFACT"] = "old.fits", 3.0
        write_products(some_fit(header), folder, "jw01_jump.fits")
        got = header_of(folder / "jw01_rate.fits")
        assert (got["R_GAIN"], got["GAINFACT"]) == ("old.fits", 3.0)
        assert "R_READNO" not in got

    @pytest.mark.parametrize(
        ("kind", "mode", "model"),
        [
            ("NRS_IFU", None, "IFUImageModel"),
            ("MIR_MRS", None, "IFUImageModel"),
            ("NRS_AUTOWAVE", "IFU", "IFUImageModel"),
            ("NRS_LAMP", "IFU", "IFUImageModel"),
            ("NRS_LAMP", "MSASPEC", "ImageModel"),
            ("NRS_AUTOWAVE", None, "ImageModel"),
            ("NRC_IMAGE", "IFU", "ImageModel"),
        ],
    )
    def test_model_of_integral_field_units(self, header, kind, mode, model):
        header.primary["EXP_TYPE"] = kind
        if mode:
            header.primary["OPMODE"] = mode
        assert rate_hdulist(some_fit(header))[0].header["DATAMODL"] == model
        assert rateints_hdulist(some_fit(header))[0].header["DATAMODL"] == "CubeModel"

    def test_input_is_left_alone(self, folder, header):
        before = header.primary.tostring(), header.sci.tostring()
        write_products(some_fit(header, segments=1), folder, "jw01_jump.fits", gain_name="g.fits")
        assert (header.primary.tostring(), header.sci.tostring()) == before

    def test_without_header(self, folder):
        write_products(some_fit(None, segments=1), folder, "jw01_jump.fits", gain_name="value 5.5")
        got = header_of(folder / "jw01_fitopt.fits")
        assert got["DATAMODL"] == "RampFitOutputModel"
        assert got["R_GAIN"] == "value 5.5"

    def test_large_headers(self, folder, header):
        for number in range(1500):
            header.primary[f"KEY{number:05d}"] = number
            header.primary.add_history(f"line {number}")
        write_products(some_fit(header), folder, "jw01_jump.fits")
        got = header_of(folder / "jw01_rate.fits")
        assert got["KEY01499"] == 1499
        assert sum(line.startswith("line") for line in got["HISTORY"]) == 1500

    def test_cards_that_break_the_standard_are_mended(self, folder):
        bad = ["BADNUM  = 3.0.0", "EXP_TYPE= NRC_IMAGE", "DATE    = 2020-01-01", "lower   =                    5"]
        text = "".join(card.ljust(80) for card in bad)
        primary = fits.Header.fromstring(text)
        write_products(some_fit(ExposureHeader(primary, fits.Header())), folder, "jw01_jump.fits")
        with fits.open(folder / "jw01_rate.fits") as hdulist:
            hdulist.verify("exception")
            got = hdulist[0].header
            assert (got["BADNUM"], got["EXP_TYPE"], got["LOWER"]) == ("3.0.0", "NRC_IMAGE", 5)
            assert got["DATE"] != "2020-01-01"

    def test_hopeless_cards_are_left_out(self, folder, caplog):
        cards = [
            "CONTINUE  'of what?'",
            "GOOD    =                    1",
            "BAD     = \t\u00e4",
            ":UBSIZE=                    1",
        ]
        primary = fits.Header([fits.Card.fromstring(card.ljust(80)) for card in cards])
        write_products(some_fit(ExposureHeader(primary, fits.Header())), folder, "x_jump.fits")
        assert header_of(folder / "x_rate.fits")["GOOD"] == 1
        assert "is left out: BAD" in caplog.text

    def test_nothing_to_fit_is_said(self, folder):
        fit = dataclasses.replace(some_fit(), nothing_to_fit="every pixel is saturated in group 0")
        write_products(fit, folder, "x_jump.fits")
        history = " ".join(" ".join(header_of(folder / "x_rate.fits")["HISTORY"]).split())
        assert "no pixel could be fitted: every pixel is saturated in group 0" in history


def test_real_headers(real_data, folder):
    for source in sorted(real_data.glob("*_jump.fits")):
        exposure = read_exposure(source)
        fit = some_fit(exposure.header, exposure.shape, segments=1, jumps=1)
        for path in write_products(fit, folder, source.name):
            got = header_of(path)
            for key in ("INSTRUME", "EXP_TYPE", "TGROUP", "SUBSTRT2"):
                assert got[key] == exposure.header.primary[key]
            with fits.open(path) as hdulist:
                assert len(hdulist["ASDF"].data.tobytes()) < 200  # the input's is not carried over


def test_version_in_the_history(folder):
    write_products(some_fit(), folder, "x_jump.fits")
    assert header_of(folder / "x_rate.fits")["HISTORY"][0] == f"rampfit_numba {__version__}: ramp fitting"


def test_tree_that_is_not_installed_has_a_version_too(monkeypatch):
    def unknown(name):
        raise importlib.metadata.PackageNotFoundError(name)

    with monkeypatch.context() as patch:
        patch.setattr(importlib.metadata, "version", unknown)
        assert importlib.reload(_version).__version__ == "0+unknown"
    assert importlib.reload(_version).__version__ == __version__
