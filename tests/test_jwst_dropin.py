"""What scripts bring to the step and to stcal's functions: other algorithms, numbers, wrong files, log lines."""

from __future__ import annotations

import io
import logging
import shutil
from datetime import UTC, datetime

import numpy as np
import pytest
from astropy.io import fits

from tests.pipeline import histories, names_in, ramp_model, reference_models, require_pipeline, some_case
from tests.plain_models import some_model
from tests.reference import DQ_FLAGS

require_pipeline()

from stcal.ramp_fitting import ramp_fit as stcal  # noqa: E402
from stdatamodels.jwst import datamodels  # noqa: E402
from stpipe.exceptions import ValidationError  # noqa: E402

from rampfit_numba import __version__, fit_ramps, read_exposure  # noqa: E402
from rampfit_numba.jwst import Detector1Pipeline, RampFitStep, ramp_fit, ramp_fit_data  # noqa: E402
from rampfit_numba.messages import RampFileError  # noqa: E402

pytestmark = [pytest.mark.jwst, pytest.mark.usefixtures("offline_crds")]

MADE = f"rampfit_numba {__version__}: ramp fitting"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Return overrides of the references of jw01_jump.fits, which stands in the folder we are in."""
    monkeypatch.chdir(tmp_path)
    case = some_case((2, 8, 5, 7))
    model = ramp_model(case, filename="jw01_jump.fits")
    readnoise, gain = reference_models(case, model)
    readnoise.meta.reftype, gain.meta.reftype = "READNOISE", "GAIN"
    for each, name in ((model, "jw01_jump.fits"), (readnoise, "rn.fits"), (gain, "gain.fits")):
        each.save(name)
    return {"override_readnoise": "rn.fits", "override_gain": "gain.fits"}


def test_products_say_who_made_them(here, tmp_path):
    rate, rateints = RampFitStep.call("jw01_jump.fits", save_results=True, save_opt=True, **here)
    for model in (rate, rateints):
        assert histories(model)[0] == MADE
        entries = model.instance["history"]["entries"]
        model.add_history_entry("as asdf makes them")
        assert {(type(entry), type(entry["time"]), entry["time"].tzinfo) for entry in entries} == {
            (type(entries[-1]), datetime, UTC)
        }
        software = entries[0]["software"]
        assert (software["name"], software["version"]) == ("rampfit_numba", __version__)
    RampFitStep.call("jw01_jump.fits", save_opt=True, algorithm="likely_joint", **here)
    names = ["jw01_0_rampfitstep.fits", "jw01_1_rampfitstep.fits", "jw01_fitopt.fits", "jw01_likely_chisq.fits"]
    assert set(names) <= set(names_in(tmp_path))
    for name in names:
        lines = list(fits.getheader(name)["HISTORY"])
        assert lines[0] == MADE, name
        wanted = "likely_joint" if "chisq" in name else "ols"
        assert f"algorithm={wanted}," in " ".join(lines), name
        with datamodels.open(name) as model:
            assert MADE in histories(model), name


def test_a_product_of_an_integral_field_says_so_too(here):
    with datamodels.RampModel("jw01_jump.fits") as model:
        model.meta.exposure.type = "NRS_IFU"
        rate, _ = RampFitStep.call(model, save_results=True, **here)
    assert isinstance(rate, datamodels.IFUImageModel)
    assert fits.getheader("jw01_0_rampfitstep.fits")["HISTORY"][0] == MADE


def test_a_pipelines_products_say_so_too(here):
    steps = {name: {"skip": True} for name in Detector1Pipeline.step_defs} | {"ramp_fit": here}
    result = Detector1Pipeline.call("jw01_jump.fits", steps=steps, save_results=True)
    assert MADE in histories(result)
    for name in ("jw01_rate.fits", "jw01_rateints.fits"):
        assert MADE in fits.getheader(name)["HISTORY"]


def test_likely_joint_and_its_options(here, caplog):
    with caplog.at_level(logging.INFO):
        rate, rateints = RampFitStep.call(
            "jw01_jump.fits",
            algorithm="likely_joint",
            rejection_threshold=6,
            pedestal=(50, 5.5),
            configure_log=False,
            **here,
        )
    assert "Using algorithm = LIKELY_JOINT" in caplog.messages
    readnoise, gain = (fits.getdata(name) for name in ("rn.fits", "gain.fits"))
    wanted = fit_ramps(
        read_exposure("jw01_jump.fits"),
        readnoise,
        gain,
        algorithm="likely_joint",
        rejection_threshold=6.0,
        pedestal=(50.0, 5.5),
    )
    np.testing.assert_array_equal(rate.data, wanted.rate.data)
    np.testing.assert_array_equal(rateints.err, wanted.rateints.err)


def test_options_of_another_algorithm_are_refused(here):
    with pytest.raises(ValueError, match=r"^rejection_threshold: only 'likely' and 'likely_joint'"):
        RampFitStep.call("jw01_jump.fits", rejection_threshold=5, **here)
    with pytest.raises(ValueError, match=r"^pedestal: only 'likely_joint'"):
        RampFitStep.call("jw01_jump.fits", algorithm="LIKELY", pedestal=[0, 1], **here)
    with pytest.raises(ValidationError, match="pedestal"):
        RampFitStep.call("jw01_jump.fits", algorithm="likely_joint", pedestal=[1], **here)


@pytest.mark.parametrize("gain", [5.5, "5.5", np.float32(5.5)])
def test_numbers_as_references(here, gain):
    rate, _ = RampFitStep.call("jw01_jump.fits", override_readnoise=14, override_gain=gain)
    wanted = fit_ramps(read_exposure("jw01_jump.fits"), 14.0, 5.5)
    np.testing.assert_array_equal(rate.data, wanted.rate.data)
    np.testing.assert_array_equal(rate.err, wanted.rate.err)
    assert (rate.meta.ref_file.gain.name, rate.meta.ref_file.readnoise.name) == ("value 5.5", "value 14")
    assert here


def test_numbers_in_a_pipeline_and_in_a_parameter_file(here, tmp_path):
    numbers = {"override_readnoise": "14", "override_gain": 5.5}
    steps = {name: {"skip": True} for name in Detector1Pipeline.step_defs} | {"ramp_fit": numbers}
    result = Detector1Pipeline.call("jw01_jump.fits", steps=steps)
    step = RampFitStep(**numbers)
    step.export_config(tmp_path / "parameters.asdf")
    again, _ = RampFitStep.call("jw01_jump.fits", config_file=str(tmp_path / "parameters.asdf"), **numbers)
    np.testing.assert_array_equal(result.data, again.data)
    assert here


def test_a_file_goes_before_a_number(here, tmp_path):
    """As in the command; the pipeline's models cannot open a file without an extension."""
    shutil.copy("gain.fits", tmp_path / "5.5")
    with pytest.raises(RampFileError, match=rf"^Unrecognized file type for: {tmp_path / '5.5'}$"):
        RampFitStep.call("jw01_jump.fits", **(here | {"override_gain": "5.5"}))


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (0, ValueError, r"^override_gain: expected a finite number > 0; got 0"),
        ("nan", ValueError, r"^override_gain: expected a finite number > 0; got nan"),
        (True, TypeError, r"^override_gain: expected a file, a data model or a number; got True"),
        ([1, 2], TypeError, r"^override_gain: expected a file, a data model or a number; got \["),
        ("none.fits", FileNotFoundError, r"none\.fits"),
    ],
)
def test_wrong_references(here, value, error, message):
    with pytest.raises(error, match=message):
        RampFitStep.call("jw01_jump.fits", **(here | {"override_gain": value}))


WRONG_FILES = {
    "rate.fits": "is a product of ramp fitting .*, its ramps are gone",
    "text.fits": "is no FITS file",
    "empty.fits": "the file is empty",
    "cut.fits": "truncated",
    "gain.fits": "is a reference file",
    "uncal.fits": "extension GROUPDQ is missing; it is an uncalibrated file",
    "timeless.fits": "the primary header has no keyword TGROUP",
}


@pytest.fixture
def wrong(here):
    rate, _ = RampFitStep.call("jw01_jump.fits", **here)
    rate.save("rate.fits")
    for name, content in (("text.fits", b"no FITS\n"), ("empty.fits", b"")):
        with open(name, "wb") as file:  # noqa: PTH123
            file.write(content)
    with open("jw01_jump.fits", "rb") as file:  # noqa: PTH123
        content = file.read()
    with open("cut.fits", "wb") as file:  # noqa: PTH123
        file.write(content[:20_000])
    with datamodels.RampModel("jw01_jump.fits") as model:
        level1 = datamodels.Level1bModel(model.data.shape)
        level1.update(model)
        level1.save("uncal.fits")
        model.meta.exposure.group_time = None
        model.save("timeless.fits")
    return here


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # the pipeline's and astropy's own about such files
def test_a_wrong_file_is_named_with_what_is_wrong(wrong):
    for name, complaint in WRONG_FILES.items():
        with pytest.raises(RampFileError, match=rf"^{name}: .*{complaint}|^{name}: {complaint}"):
            RampFitStep.call(name, **wrong)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_a_wrong_reference_is_named_with_what_is_wrong(wrong):
    for name, complaint in (
        ("text.fits", "is no FITS file"),
        ("empty.fits", "the file is empty"),
        ("rn.fits", "is a readnoise reference file .*, not gain; were the two swapped"),
    ):
        with pytest.raises(RampFileError, match=rf"{name}: {complaint}"):
            RampFitStep.call("jw01_jump.fits", **(wrong | {"override_gain": name}))


def test_what_is_no_file_and_no_model(here):
    with pytest.raises(TypeError, match=r"^step_input: expected the name of a file, or a data model; got 5$"):
        RampFitStep(**here).process(5)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("terminal", [True, False])
def test_a_progress_bar_on_a_terminal(here, monkeypatch, terminal):
    shown = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr("sys.stderr", shown)
    RampFitStep.call("jw01_jump.fits", configure_log=False, **here)
    assert ("100%" in shown.getvalue()) == terminal


def rampdata(algorithm="LIKELY", **changes):
    """Return stcal's object of bright ramps, three of them with a jump, and read noise and gain."""
    model, readnoise, gain = some_model((2, 9, 5, 7))
    model.data[0, 4:, 1, 2] += 9000
    model.data[1, 6:, 3, 3:5] += 9000
    ramps = stcal.create_ramp_fit_class(model, algorithm, DQ_FLAGS)
    ramps.average_dark_current = np.zeros((5, 7), np.float32)
    for name, value in changes.items():
        setattr(ramps, name, value)
    return ramps, readnoise, gain


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.int64])
def test_jumps_are_set_in_the_flags_of_rampdata(dtype):
    found = []
    for function in (stcal.ramp_fit_data, ramp_fit_data):
        ramps, readnoise, gain = rampdata()
        ramps.groupdq = ramps.groupdq.astype(np.uint8 if function is not ramp_fit_data else dtype)
        ramps.groupdq[0, 0, 0] = 32  # what is there stays
        given = ramps.groupdq
        with np.errstate(all="ignore"):
            function(ramps, False, readnoise, gain, "LIKELY", "optimal", "none")
        assert ramps.groupdq is given
        found.append(given)
    assert found[1].dtype == dtype
    assert (found[1] & 4).any(axis=(0, 1)).sum() >= 3
    np.testing.assert_array_equal(found[1], found[0])


def test_flags_of_rampdata_that_cannot_be_set():
    ramps, readnoise, gain = rampdata()
    ramps.groupdq.flags.writeable = False
    with pytest.raises(ValueError, match=r"^ramp_data.groupdq: expected a writeable array"):
        ramp_fit_data(ramps, False, readnoise, gain, "LIKELY", "optimal", "none")
    image, _, _ = ramp_fit_data(ramps, False, readnoise, gain, "OLS_C", "optimal", "none")  # sets none
    assert np.isfinite(image["slope"]).all()


@pytest.mark.parametrize("algorithm", ["OLS_C", "LIKELY"])
def test_a_missing_frame_time_is_an_error(algorithm):
    ramps, readnoise, gain = rampdata(algorithm, frame_time=None)
    with pytest.raises(ValueError, match=r"^ramp_data.frame_time: expected a number"):
        ramp_fit_data(ramps, False, readnoise, gain, algorithm, "optimal", "none")
    model, readnoise, gain = some_model()
    model.meta.exposure.frame_time = None
    with pytest.raises(ValueError, match=r"^meta.exposure.frame_time \(keyword TFRAME\): expected a number"):
        ramp_fit(model, False, readnoise, gain, algorithm, "optimal", "none", DQ_FLAGS)


def fit_without(algorithm, *names, function=ramp_fit):
    model, readnoise, gain = some_model()
    for name in names:
        setattr(model.meta.exposure, name, None)
    with np.errstate(all="ignore"):
        return function(model, True, readnoise.copy(), gain, algorithm, "optimal", "none", DQ_FLAGS)[0]


def test_a_group_time_is_needed_by_ols_only():
    """Without it the pipeline's OLS takes -1 s: rates of the wrong sign. Its LIKELY never looks at it."""
    with pytest.raises(ValueError, match=r"^meta.exposure.group_time \(keyword TGROUP\)"):
        fit_without("OLS_C", "group_time")
    assert (fit_without("OLS_C", "group_time", function=stcal.ramp_fit)["slope"] < 0).all()
    theirs = fit_without("LIKELY", "group_time", function=stcal.ramp_fit)
    np.testing.assert_allclose(fit_without("LIKELY", "group_time")["slope"], theirs["slope"], rtol=1e-5)


def test_skipped_frames_are_needed_by_likely_only():
    """Its times follow from them; in OLS only the pedestal does, and a group time says as much."""
    with pytest.raises(ValueError, match=r"^meta.exposure.groupgap \(keyword GROUPGAP\)"):
        fit_without("LIKELY", "groupgap")
    with pytest.raises(TypeError):
        fit_without("LIKELY", "groupgap", function=stcal.ramp_fit)
    theirs = fit_without("OLS_C", "groupgap", function=stcal.ramp_fit)
    np.testing.assert_allclose(fit_without("OLS_C", "groupgap")["slope"], theirs["slope"], rtol=1e-5)
    for algorithm in ("OLS_C", "LIKELY"):
        with pytest.raises(ValueError, match=r"^meta.exposure.nframes \(keyword NFRAMES\)"):
            fit_without(algorithm, "nframes")


def test_lines_that_other_software_looks_for(caplog):
    caplog.set_level(logging.DEBUG)

    def said(algorithm="OLS_C", shape=(2, 6, 5, 7), *, miri=False, zeroframe=False, read_times=None):
        caplog.clear()
        model, readnoise, gain = some_model(shape)
        if miri:
            model.meta.instrument.name = "MIRI"
            model.groupdq[:, [0, 1, -1]] = 1
        if zeroframe:
            model.zeroframe = model.data[:, 0].copy()
        model.meta.exposure.read_times = read_times
        ramp_fit(model, False, readnoise, gain, algorithm, "optimal", "none", DQ_FLAGS)
        return caplog.text

    miri = said(miri=True)
    assert "Number of leading groups that are flagged as DO_NOT_USE: 2" in miri
    assert "MIRI dataset has all pixels in the final group flagged as DO_NOT_USE." in miri
    assert "Number of groups per integration: 6" in miri
    assert "Number of integrations: 2" in miri
    assert "Number of leading groups" not in said()
    short = said("LIKELY", (1, 3, 5, 7))
    assert "ramp fitting algorithm is being changed to OLS_C" in short
    assert "LIKELY needs at least 4 groups, and there are 3" in short
    zero = said("LIKELY", zeroframe=True)
    assert "Zero frame is present, but the first group has < 2 reads" in zero
    assert "Using explicit read times" in said("LIKELY", read_times=[[float(t)] for t in (1, 2, 4, 5, 7, 9)])
