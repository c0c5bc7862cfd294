"""What an exposure's file holds beside ramps: tables that go on, stripes, and steps that were not done."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import Exposure, RampFileError, RampFitWarning, fit_file, fit_ramps, read_exposure
from rampfit_numba.cli import main
from tests.make_files import KEYWORDS, SHAPE, ramp_hdulist, reference_hdulist, save

REFERENCES = ["--readnoise", "12", "--gain", "2"]
STRIPES = {"MSTR_RD1": 1, "MSTR_SK1": 1549, "MSTR_RD2": 40, "MSTR_SK2": 82, "MSTR_RPT": 1, "MSTR_ILV": 1, "SSTR_NST": 0}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def with_tables(name="x_jump.fits"):
    hdulist = ramp_hdulist(optional=True)
    for table, rows in (("INT_TIMES_STRIPE", 6), ("POINTING", 3), ("GROUP", 10)):
        column = fits.Column("number", "J", unit="s", array=np.arange(rows))
        hdulist.append(fits.BinTableHDU.from_columns([column], fits.Header({"NOTE": table.lower()}), name=table))
    hdulist.append(fits.ImageHDU(np.zeros((2, 2)), name="REFOUT"))
    return save(hdulist, Path(name))


# -------------------------------------------------------------------------------------------------------------- tables
@pytest.mark.parametrize("name", ["x_jump.fits", "x_jump.fits.gz"])
def test_tables_go_on_and_what_does_not_is_said(name, capsys):
    with_tables(name)
    assert main([name, *REFERENCES]) == 0
    assert f"{name}: not carried over to the products: GROUP, REFOUT" in capsys.readouterr().err
    with fits.open("x_rateints.fits", memmap=False) as hdulist:
        assert [hdu.name for hdu in hdulist if isinstance(hdu, fits.BinTableHDU)] == [
            "INT_TIMES",
            "INT_TIMES_STRIPE",
            "POINTING",
            "ASDF",
        ]
        np.testing.assert_array_equal(hdulist["INT_TIMES_STRIPE"].data["number"], np.arange(6))
        assert hdulist["POINTING"].header["NOTE"] == "pointing"
        assert hdulist["POINTING"].columns["number"].unit == "s"
    with fits.open("x_rate.fits", memmap=False) as hdulist:
        tables = [hdu.name for hdu in hdulist if isinstance(hdu, fits.BinTableHDU)]
        assert tables == ["POINTING", "ASDF"]


def test_nothing_is_said_where_nothing_is_left_out(capsys):
    save(ramp_hdulist(optional=True), Path("x_jump.fits"))
    assert main(["x_jump.fits", *REFERENCES]) == 0
    assert "not carried over" not in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------------- stripes
def test_stripes_are_fitted_with_numbers_arrays_and_files_of_their_shape():
    save(ramp_hdulist(keywords=KEYWORDS | STRIPES), Path("x_jump.fits"))
    save(reference_hdulist(np.full(SHAPE[2:], 12.0), {"REFTYPE": "READNOISE"}), Path("readnoise.fits"))
    assert main(["x_jump.fits", *REFERENCES]) == 0
    expected = fits.getdata("x_rate.fits")
    fit_file("x_jump.fits", np.full(SHAPE[2:], 12.0), 2.0, output_dir="a")
    fit_file("x_jump.fits", "readnoise.fits", 2.0, output_dir="b")
    for name in ("a", "b"):
        np.testing.assert_array_equal(fits.getdata(f"{name}/x_rate.fits"), expected)


def test_references_of_another_shape_are_refused_with_all_keywords():
    save(ramp_hdulist(keywords=KEYWORDS | STRIPES), Path("x_jump.fits"))
    save(reference_hdulist(np.full((40, 30), 12.0), {"REFTYPE": "READNOISE"}), Path("readnoise.fits"))
    with pytest.raises(RampFileError, match=r"read out in stripes.*give readnoise as a number") as caught:
        fit_file("x_jump.fits", "readnoise.fits", 2.0)
    for keyword, value in STRIPES.items():
        assert f"{keyword} = {value}" in str(caught.value)


@pytest.mark.parametrize("changes", [{"SSTR_NST": 10, "SSTR_STP": 204}, {"DATAMODL": "SuperstripeRampModel"}])
def test_superstripes_that_are_not_together_are_refused_with_all_keywords(changes):
    save(ramp_hdulist(keywords=KEYWORDS | STRIPES | changes), Path("x_ramp.fits"))
    with pytest.raises(RampFileError, match="holds superstripes one by one") as caught:
        read_exposure("x_ramp.fits")
    for keyword, value in (STRIPES | changes).items():
        assert f"{keyword} = {value}" in str(caught.value)


# ------------------------------------------------------------------------------------------------------- skipped steps
def messages(keywords, algorithm="ols", ngroups=6):
    header = fits.Header(keywords)
    ramp = 50.0 * np.arange(ngroups).reshape(1, ngroups, 1, 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_ramps(Exposure(ramp, None, 1.0, header=header), 10.0, 2.0, algorithm=algorithm)
    assert all(issubclass(each.category, RampFitWarning) for each in caught)
    return [str(each.message) for each in caught]


@pytest.mark.parametrize("keyword", ["S_JUMP", "S_SATURA"])
def test_ols_warns_of_steps_that_were_skipped(keyword):
    step = {"S_JUMP": "the jump step", "S_SATURA": "the saturation step"}[keyword]
    (message,) = messages({keyword: "SKIPPED"})
    assert f"SKIPPED in the header: {keyword}, {step};" in message
    assert "'likely'" in message
    assert not messages({keyword: "COMPLETE"})
    assert not messages({keyword: "SKIPPED"}, algorithm="likely")
    assert not messages({})


def test_both_steps_are_one_warning():
    (message,) = messages({"S_JUMP": "SKIPPED", "S_SATURA": "SKIPPED"})
    assert "S_JUMP, the jump step and S_SATURA, the saturation step" in message


def test_two_groups_have_no_jump_to_find():
    assert not messages({"S_JUMP": "SKIPPED"}, ngroups=2)


def test_command_warns_of_skipped_steps(capsys):
    save(ramp_hdulist(keywords=KEYWORDS | {"S_JUMP": "SKIPPED"}), Path("x_ramp.fits"))
    assert main(["x_ramp.fits", *REFERENCES]) == 0
    assert "WARNING - x_ramp.fits: SKIPPED in the header: S_JUMP, the jump step" in capsys.readouterr().err


@pytest.mark.parametrize("algorithm", ["ols", "likely"])
def test_command_warns_of_ramps_that_bend(algorithm, capsys):
    save(ramp_hdulist(keywords=KEYWORDS | {"S_LINEAR": "SKIPPED"}), Path("x_ramp.fits"))
    assert main(["x_ramp.fits", *REFERENCES, "--algorithm", algorithm]) == 0
    assert "WARNING - x_ramp.fits: SKIPPED in the header: S_LINEAR, the linearity step" in capsys.readouterr().err
    save(ramp_hdulist(keywords=KEYWORDS | {"S_LINEAR": "COMPLETE"}), Path("y_ramp.fits"))
    assert main(["y_ramp.fits", *REFERENCES, "--algorithm", algorithm]) == 0
    assert "S_LINEAR" not in capsys.readouterr().err


# ----------------------------------------------------------------------------------------------------- range of groups
class TestRangeOfGroups:
    RAMP = 50.0 * np.arange(12).reshape(1, 12, 1, 1)

    @pytest.mark.parametrize(
        ("first", "last", "name"),
        [(50, None, "firstgroup"), (12, None, "firstgroup"), (None, 12, "lastgroup"), (0, 99, "lastgroup")],
    )
    @pytest.mark.parametrize("algorithm", ["ols", "likely", "likely_joint"])
    def test_groups_that_are_not_there_are_refused(self, first, last, name, algorithm):
        exposure = Exposure(self.RAMP, None, 1.0)
        with pytest.raises(ValueError, match=rf"^{name}: expected a group of the exposure, 0 to 11; got \d+$"):
            fit_ramps(exposure, 10.0, 2.0, algorithm=algorithm, firstgroup=first, lastgroup=last)

    @pytest.mark.parametrize(("first", "last"), [(5, 3), (-1, None), (None, -2), (7, 0)])
    def test_ranges_without_sense_are_refused(self, first, last):
        with pytest.raises(ValueError, match=r"^(firstgroup|lastgroup): expected a group"):
            fit_ramps(Exposure(self.RAMP, None, 1.0), 10.0, 2.0, firstgroup=first, lastgroup=last)

    def test_what_was_asked_for_is_done(self):
        data = self.RAMP.copy()
        data[:, :2] += 1000
        fit = fit_ramps(Exposure(data, None, 1.0), 10.0, 2.0, firstgroup=2, lastgroup=11)
        assert fit.rate.data[0, 0] == pytest.approx(50)
        alone = fit_ramps(Exposure(data[:, :1], None, 1.0), 10.0, 2.0, firstgroup=0, lastgroup=0)
        assert alone.rate.data[0, 0] == pytest.approx(1000)

    def test_command_calls_them_wrong_usage_or_names_the_file(self, capsys):
        save(ramp_hdulist(), Path("x_jump.fits"))
        assert main(["x_jump.fits", *REFERENCES, "--firstgroup", "4", "--lastgroup", "2"]) == 2
        assert "--firstgroup: expected a group up to lastgroup, 2; got 4" in capsys.readouterr().err
        assert main(["x_jump.fits", *REFERENCES, "--firstgroup", "50"]) != 0
        error = capsys.readouterr().err
        assert "firstgroup: expected a group of the exposure, 0 to 4; got 50" in error
        assert not Path("x_rate.fits").exists()
