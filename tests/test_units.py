"""Units: what can be converted is, at every door, and the rest is refused with the reason."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits

from rampfit_numba import Exposure, RampFileError, fit_file, fit_ramps, read_exposure, read_reference
from rampfit_numba.cli import main
from rampfit_numba.units import gain_unit, rate_unit, signal_unit
from tests.make_files import SHAPE, ramp_hdulist, reference_hdulist, save

ALGORITHMS = ("ols", "likely", "likely_joint")
PLANES = ("data", "err", "var_poisson", "var_rnoise")
GAIN, NOISE = 4.0, 9.0


@pytest.fixture
def ramp():
    rng = np.random.default_rng(2)
    return np.cumsum(rng.poisson(50.0, (2, 8, 3, 4)), axis=1).astype(np.float32)


def same(one, other, rtol=2e-6):
    for kind in ("rate", "rateints"):
        for plane in PLANES:
            ours, theirs = (getattr(getattr(fit, kind), plane) for fit in (one, other))
            np.testing.assert_allclose(ours, theirs, rtol=rtol, err_msg=f"{kind}.{plane}")
        np.testing.assert_array_equal(getattr(one, kind).dq, getattr(other, kind).dq)


# ------------------------------------------------------------------------------------------------------- names of units
@pytest.mark.parametrize(
    ("unit", "name", "factor"),
    [
        *(
            (text, "DN", 1)
            for text in ("DN", "dn", "ADU", "adu", " Adu ", "counts", "COUNTS", "count", "ct", "data number")
        ),
        *((text, "electron", 1) for text in ("electron", "ELECTRONS", "Electrons", "e-", "E-", "e", "el")),
        ("1000 DN", "DN", 1000),
        ("10**3 electron", "electron", 1000),
        (u.adu, "DN", 1),
        (u.ct, "DN", 1),
        (u.DN, "DN", 1),
        (u.electron, "electron", 1),
        (100 * u.DN, "DN", 100),
    ],
)
def test_signals(unit, name, factor):
    found = signal_unit(u.Unit(unit) if isinstance(unit, u.Quantity) else unit)
    assert found.unit == name
    assert found.factor == pytest.approx(factor)


@pytest.mark.parametrize(
    "unit",
    ["DN/s", "ELECTRONS/S", "COUNTS/S", "e-/s", "DN s-1", "adu / hr", "electrons per second", u.DN / u.s, u.adu / u.h],
)
def test_rates_are_no_signals(unit):
    with pytest.raises(
        ValueError, match=r"expected DN .* or electron; got .*, a rate: give the ramps that it was made from"
    ):
        signal_unit(unit)


@pytest.mark.parametrize("unit", ["uV", "mV", "MJy/sr", "K", "DN^2", "e-/DN", u.V, u.dimensionless_unscaled, u.ph])
def test_other_units_cannot_be_converted(unit):
    with pytest.raises(ValueError, match=r"expected DN .* or electron; got .*, which cannot be converted"):
        signal_unit(unit)


def test_what_is_no_unit_is_said_to_be_none():
    with pytest.raises(ValueError, match="got 'bananas', which is no known unit"):
        signal_unit("bananas")


@pytest.mark.parametrize(
    ("unit", "name", "factor"),
    [
        ("DN/s", "DN/s", 1),
        ("ADU/s", "DN/s", 1),
        ("e-/s", "electron/s", 1),
        ("electron/s", "electron/s", 1),
        ("ELECTRONS/S", "electron/s", 1),
        ("electron/h", "electron/s", 1 / 3600),
        (u.electron / u.ks, "electron/s", 1e-3),
    ],
)
def test_rates(unit, name, factor):
    assert rate_unit(unit).unit == name
    assert rate_unit(unit).factor == pytest.approx(factor)


@pytest.mark.parametrize("unit", ["e-/DN", "ELECTRONS/ADU", "electrons/count", u.electron / u.adu, u.electron / u.DN])
def test_gains(unit):
    assert gain_unit(unit) == ("electron/DN", 1)


@pytest.mark.parametrize("unit", ["DN/e-", "electron", u.adu / u.electron])
def test_other_gains_are_refused(unit):
    with pytest.raises(ValueError, match=r"expected electron/DN; got .*, which cannot be converted"):
        gain_unit(unit)


# --------------------------------------------------------------------------------------------------------------- Python
class TestPython:
    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    @pytest.mark.parametrize("unit", [u.adu, u.DN, u.ct])
    def test_digital_counts_have_many_names(self, ramp, algorithm, unit):
        plain = fit_ramps(Exposure(ramp, None, 2.0), NOISE, GAIN, algorithm=algorithm)
        named = fit_ramps(Exposure(ramp * unit, None, 2.0), NOISE * unit, GAIN * u.electron / unit, algorithm=algorithm)
        same(named, plain, rtol=0)

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    @pytest.mark.parametrize("gain", [GAIN, np.full((3, 4), GAIN), np.full((3, 4), GAIN, ">f4")])
    def test_electrons_are_divided_by_the_gain(self, ramp, algorithm, gain):
        zeroframe = ramp[:, 0] / 2
        plain = fit_ramps(Exposure(ramp, None, 2.0, nframes=2, zeroframe=zeroframe), NOISE, GAIN, algorithm=algorithm)
        for exposure in (
            Exposure(ramp * GAIN * u.electron, None, 2.0, nframes=2, zeroframe=zeroframe * GAIN),
            Exposure(ramp * GAIN * u.electron, None, 2.0, nframes=2, zeroframe=zeroframe * GAIN * u.electron),
            Exposure(
                (ramp * GAIN).astype(">f8"), None, 2.0, nframes=2, zeroframe=zeroframe * GAIN, data_unit="electron"
            ),
        ):
            before = exposure.data.copy()
            assert exposure.data_unit == "electron"
            same(fit_ramps(exposure, NOISE * GAIN * u.electron, gain, algorithm=algorithm), plain)
            same(fit_ramps(exposure, NOISE, gain, algorithm=algorithm), plain)
            np.testing.assert_array_equal(exposure.data, before)
            assert exposure.data_unit == "electron"

    def test_scaled_units_are_multiplied(self, ramp):
        plain = fit_ramps(Exposure(ramp, None, 2.0), NOISE, GAIN)
        kilo = Exposure((ramp / 1000).astype(np.float64) * u.Unit(1000 * u.DN), None, 2.0)
        same(fit_ramps(kilo, NOISE, GAIN), plain, rtol=1e-4)
        same(fit_ramps(Exposure(ramp / 1000, None, 2.0, data_unit="1000 DN"), NOISE, GAIN), plain, rtol=1e-4)

    def test_bad_gains_have_no_value_in_dn(self, ramp):
        gain = np.full((3, 4), GAIN)
        gain[0] = [0, np.nan, -1, np.inf]
        for algorithm in ALGORITHMS:
            fit = fit_ramps(Exposure(ramp * u.electron, None, 2.0), NOISE, gain, algorithm=algorithm)
            assert np.isnan(fit.rate.data[0]).all()
            assert (fit.rate.dq[0] & 1).all()
            assert np.isfinite(fit.rate.data[1:]).all()

    @pytest.mark.parametrize("unit", [u.electron / u.s, u.DN / u.s, u.uV, u.MJy / u.sr])
    def test_the_rest_is_refused_with_the_reason(self, ramp, unit):
        with pytest.raises(ValueError, match=r"^data: expected DN \(ADU, counts\) or electron; got "):
            Exposure(ramp * unit, None, 2.0)
        with pytest.raises(ValueError, match=r"^data_unit: expected DN \(ADU, counts\) or electron; got "):
            Exposure(ramp, None, 2.0, data_unit=str(unit))
        with pytest.raises(ValueError, match=r"^readnoise: expected DN \(ADU, counts\) or electron; got "):
            fit_ramps(Exposure(ramp, None, 2.0), 5 * unit, GAIN)
        with pytest.raises(ValueError, match=r"^gain: expected electron/DN; got "):
            fit_ramps(Exposure(ramp, None, 2.0), 5, GAIN * unit)

    def test_a_unit_is_stated_once(self, ramp):
        with pytest.raises(ValueError, match=r"^data_unit: expected None beside a Quantity"):
            Exposure(ramp * u.DN, None, 2.0, data_unit="DN")
        with pytest.raises(ValueError, match=r"^zeroframe: expected a Quantity in electron, as data; got one in DN"):
            Exposure(ramp * u.electron, None, 2.0, zeroframe=ramp[:, 0] * u.DN)
        with pytest.raises(TypeError, match=r"^data_unit: expected a string"):
            Exposure(ramp, None, 2.0, data_unit=3)

    def test_room_for_results_may_be_given(self, ramp):
        exposure = Exposure(ramp * u.electron, None, 2.0)
        first = fit_ramps(exposure, NOISE, GAIN)
        expected = first.rate.data.copy()
        again = fit_ramps(exposure, NOISE, GAIN, out=first)
        np.testing.assert_array_equal(again.rate.data, expected)


# --------------------------------------------------------------------------------------------------------- dark current
class TestDarkCurrent:
    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_in_electrons_is_divided_by_the_gain(self, ramp, algorithm):
        dark = np.full((3, 4), 6.0)
        plain = fit_ramps(Exposure(ramp, None, 2.0, average_dark_current=dark), NOISE, GAIN, algorithm=algorithm)
        for each in (
            {"average_dark_current": dark * GAIN * u.electron / u.s},
            {"average_dark_current": dark * GAIN * 60 * u.electron / u.min},
            {"average_dark_current": dark * u.adu / u.s},
            {"average_dark_current": dark * GAIN, "dark_current_unit": "electron/s"},
            {"average_dark_current": dark * GAIN, "dark_current_unit": "e-/s"},
            {"average_dark_current": dark, "dark_current_unit": "DN/s"},
        ):
            same(fit_ramps(Exposure(ramp, None, 2.0, **each), NOISE, GAIN, algorithm=algorithm), plain)

    def test_in_another_unit_is_refused(self, ramp):
        with pytest.raises(ValueError, match=r"^average_dark_current: expected DN/s or electron/s; got electron"):
            Exposure(ramp, None, 2.0, average_dark_current=np.ones((3, 4)) * u.electron)
        with pytest.raises(ValueError, match=r"^dark_current_unit: expected DN/s or electron/s; got 'K'"):
            Exposure(ramp, None, 2.0, average_dark_current=np.ones((3, 4)), dark_current_unit="K")

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_makes_errors_right_if_its_unit_is(self, algorithm):
        """What docs/formats.md states: an error twice too large, with a gain of 4, for electrons taken as DN."""
        rng = np.random.default_rng(8)
        dark = 10.0  # electron/s, subtracted from the ramps
        signal = (
            np.cumsum(rng.poisson(dark * 20.0, (1, 10, 100, 200)), axis=1)
            - dark * 20.0 * np.arange(1, 11)[:, None, None]
        )
        data = (signal + rng.normal(0, 4.0, signal.shape)) / GAIN
        # The search of LIKELY knows of no dark current, and finds jumps in its noise.
        options = {} if algorithm == "ols" else {"rejection_threshold": 20.0}
        pulls = {}
        for unit in ("electron/s", None):
            exposure = Exposure(
                data, None, 20.0, average_dark_current=np.full((100, 200), dark), dark_current_unit=unit
            )
            fit = fit_ramps(exposure, 4.0 / GAIN, GAIN, algorithm=algorithm, readnoise_kind="single", **options)
            pulls[unit] = float(np.std(fit.rate.data / fit.rate.err))
        assert pulls["electron/s"] == pytest.approx(1, abs=0.07)
        assert pulls[None] == pytest.approx(0.53, abs=0.04)


# ---------------------------------------------------------------------------------------------------------------- files
class TestFiles:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        save(ramp_hdulist(optional=True), tmp_path / "dn_jump.fits")
        fit_file("dn_jump.fits", NOISE, GAIN)

    def save(self, name, unit, factor=1.0, where="SCI", dark=None):
        hdulist = ramp_hdulist(optional=True)
        del hdulist["SCI"].header["BUNIT"]
        hdulist[where].header["BUNIT"] = unit
        for extension in ("SCI", "ZEROFRAME"):
            hdulist[extension].data = hdulist[extension].data * np.float32(factor)
        if dark is not None:
            hdulist["AVDRKCUR"].header["BUNIT"] = dark
        save(hdulist, Path(name))

    def same_rate(self, product, rtol=3e-5):
        for plane in ("SCI", "ERR", "VAR_POISSON", "VAR_RNOISE"):
            ours, theirs = fits.getdata(product, plane), fits.getdata("dn_rate.fits", plane)
            np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=1e-4, err_msg=plane)
        assert fits.getheader(product, "SCI")["BUNIT"] == fits.getheader(product, "ERR")["BUNIT"] == "DN/s"

    @pytest.mark.parametrize("unit", ["DN", "ADU", "counts", "COUNT", "adu"])
    def test_names_of_digital_counts(self, unit):
        self.save("x_jump.fits", unit)
        assert isinstance(read_exposure("x_jump.fits").data, np.memmap)
        assert main(["x_jump.fits", "--readnoise", str(NOISE), "--gain", str(GAIN)]) == 0
        self.same_rate("x_rate.fits", rtol=0)

    @pytest.mark.parametrize("unit", ["electron", "ELECTRONS", "e-"])
    @pytest.mark.parametrize("where", ["SCI", "PRIMARY"])
    def test_electrons_are_converted_and_said(self, unit, where, capsys):
        self.save("x_jump.fits", unit, GAIN, where)
        assert main(["x_jump.fits", "--readnoise", str(NOISE), "--gain", str(GAIN)]) == 0
        self.same_rate("x_rate.fits")
        assert "x_jump.fits: data in electron are divided by the gain" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("unit", "reason"),
        [
            ("ELECTRONS/S", "a rate: give the ramps that it was made from"),
            ("DN/s", "a rate: give the ramps that it was made from"),
            ("uV", "which cannot be converted"),
            ("MJy/sr", "which cannot be converted"),
            ("furlongs", "which is no known unit"),
        ],
    )
    def test_others_are_refused_with_the_reason(self, unit, reason, capsys):
        self.save("x_jump.fits", unit)
        with pytest.raises(RampFileError, match=rf"x_jump.fits: BUNIT of extension SCI: .*'{unit}', {reason}"):
            read_exposure("x_jump.fits")
        assert main(["x_jump.fits", "--readnoise", str(NOISE), "--gain", str(GAIN)]) == 1
        assert reason in capsys.readouterr().err

    def test_dark_current_unit_of_file_argument_and_command(self, capsys):
        rates = {}
        for name, dark in (("none", None), ("digital", "DN/s"), ("electron", "e-/s")):
            self.save(f"{name}_jump.fits", "DN", dark=dark)
            fit_file(f"{name}_jump.fits", NOISE, GAIN)
            rates[name] = fits.getdata(f"{name}_rate.fits", "VAR_POISSON")
        assert (rates["none"] == rates["digital"]).all()
        assert (rates["none"] >= rates["electron"]).all()
        assert (rates["none"] != rates["electron"]).any()
        fit_file("none_jump.fits", NOISE, GAIN, dark_current_unit="electron/s", output_dir="a")
        np.testing.assert_array_equal(fits.getdata("a/none_rate.fits", "VAR_POISSON"), rates["electron"])
        line = ["none_jump.fits", "--readnoise", str(NOISE), "--gain", str(GAIN), "--output-dir", "b"]
        assert main([*line, "--dark-current-unit", "electron/s"]) == 0
        np.testing.assert_array_equal(fits.getdata("b/none_rate.fits", "VAR_POISSON"), rates["electron"])
        assert "AVDRKCUR" not in capsys.readouterr().err
        assert main([*line, "--algorithm", "likely_joint", "--overwrite"]) == 0
        assert "WARNING - none_jump.fits: the unit of AVDRKCUR is not known" in capsys.readouterr().err.replace(
            "rampfit_numba.files - ", ""
        )
        with pytest.raises(ValueError, match=r"^dark_current_unit: expected DN/s or electron/s; got 'K'"):
            fit_file("none_jump.fits", NOISE, GAIN, dark_current_unit="K")

    @pytest.mark.parametrize("words", [["plot", "rate"], ["report"], ["view"]])
    def test_dark_current_unit_of_the_other_commands(self, words, monkeypatch, capsys):
        if words[0] == "view":
            pytest.importorskip("bokeh")
        pytest.importorskip("matplotlib")
        self.save("x_jump.fits", "DN", dark=None)
        found = []

        def read_and_fit(*_, **options):
            found.append(options)
            raise RampFileError("x_jump.fits: enough")

        for place in ("rampfit_numba.files.read_and_fit", "rampfit_numba.plot.sources.read_and_fit"):
            monkeypatch.setattr(place, read_and_fit)
        line = [*words, "x_jump.fits", "--readnoise", str(NOISE), "--gain", str(GAIN)]
        assert main([*line, "--dark-current-unit", "electron/s"]) == 1
        assert "enough" in capsys.readouterr().err
        assert [options["dark_current_unit"] for options in found] == ["electron/s"]

    @pytest.mark.parametrize(
        ("kind", "unit", "factor"),
        [("readnoise", "electron", GAIN), ("readnoise", "ADU", 1), ("gain", "e-/ADU", 1), ("gain", "ELECTRONS/DN", 1)],
    )
    def test_references_are_converted(self, kind, unit, factor):
        values = {"readnoise": NOISE, "gain": GAIN}
        hdulist = reference_hdulist(np.full((40, 30), values[kind] * factor), {"REFTYPE": kind.upper()})
        hdulist["SCI"].header["BUNIT"] = unit
        save(hdulist, Path("reference.fits"))
        fit_file("dn_jump.fits", **(values | {kind: "reference.fits"}), output_dir="a")
        self.same_rate("a/dn_rate.fits")

    @pytest.mark.parametrize(("kind", "unit"), [("readnoise", "uV"), ("readnoise", "DN/s"), ("gain", "DN/electron")])
    def test_references_in_other_units_are_refused(self, kind, unit):
        hdulist = reference_hdulist(np.full((40, 30), 2.0), {"REFTYPE": kind.upper()})
        hdulist["SCI"].header["BUNIT"] = unit
        save(hdulist, Path("reference.fits"))
        with pytest.raises(RampFileError, match=rf"reference.fits: BUNIT of extension SCI: expected .*; got '{unit}'"):
            read_reference("reference.fits", read_exposure("dn_jump.fits"), kind)

    def test_references_whose_unit_is_no_unit_are_taken_with_a_warning(self, caplog):
        hdulist = reference_hdulist(np.full((40, 30), GAIN), {"REFTYPE": "GAIN"})
        hdulist["SCI"].header["BUNIT"] = "unitless?"
        save(hdulist, Path("reference.fits"))
        fit_file("dn_jump.fits", NOISE, "reference.fits", output_dir="a")
        self.same_rate("a/dn_rate.fits", rtol=0)
        assert "BUNIT = 'unitless?' is no unit that is known; taken as e-/DN" in caplog.text

    def test_quantities_are_references_too(self):
        fit_file("dn_jump.fits", NOISE * GAIN * u.electron, GAIN * u.electron / u.adu, output_dir="a")
        noise = np.full(SHAPE[2:], NOISE * GAIN / math.sqrt(2)) * u.electron
        fit_file("dn_jump.fits", noise, GAIN, readnoise_kind="single", output_dir="b")
        for folder in "ab":
            self.same_rate(f"{folder}/dn_rate.fits")
