"""The step's parameters, names of files, hooks, and what goes wrong."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline import (
    check_untouched,
    names_in,
    ramp_model,
    reference_models,
    require_pipeline,
    snapshot,
    some_case,
)

require_pipeline()

from jwst import ramp_fitting  # noqa: E402
from jwst.stpipe import Step  # noqa: E402
from stdatamodels.jwst import datamodels  # noqa: E402
from stpipe import config_parser  # noqa: E402
from stpipe.exceptions import ValidationError  # noqa: E402

from rampfit_numba.jwst import RampFitStep, fitting  # noqa: E402

pytestmark = [pytest.mark.jwst, pytest.mark.usefixtures("offline_crds")]


@pytest.fixture
def exposure(tmp_path, monkeypatch):
    """Return a model and its references, written to jw01_jump.fits, rn.fits and gain.fits of the folder we are in."""
    monkeypatch.chdir(tmp_path)
    case = some_case()
    model = ramp_model(case)
    readnoise, gain = reference_models(case, model)
    for each, name in ((model, "jw01_jump.fits"), (readnoise, "rn.fits"), (gain, "gain.fits")):
        each.save(name)
    return {"override_readnoise": "rn.fits", "override_gain": "gain.fits"}


def written(folder="."):
    """Return the names of the products in a folder."""
    return [name for name in names_in(Path(folder)) if name.startswith(("jw01_", "my")) and name != "jw01_jump.fits"]


class FlagFirstRow(Step):
    """A hook before the step: the first row is not to be used."""

    class_alias = "flag_first_row"
    spec = ""

    def process(self, model):
        changed = model.copy()
        changed.pixeldq[0] |= 1
        return changed


class AddOne(Step):
    """A hook after the step: adds 1 DN/s to both products."""

    class_alias = "add_one"
    spec = ""

    def process(self, products):
        for model in products:
            model.data = model.data + 1
        return products


def test_the_tutorials_call(exposure):
    rate, rateints = RampFitStep.call(
        "jw01_jump.fits", output_use_model=True, save_results=True, save_opt=True, **exposure
    )
    assert type(rate) is datamodels.ImageModel
    assert type(rateints) is datamodels.CubeModel
    # The pipeline leaves rateints alone under this name, having written rate there before.
    assert written() == ["jw01_0_rampfitstep.fits", "jw01_fitopt.fits", "jw01_rampfitstep.fits"]
    for name, model in (("jw01_0_rampfitstep.fits", rate), ("jw01_rampfitstep.fits", rateints)):
        with datamodels.open(name) as saved:
            assert type(saved) is type(model)
            np.testing.assert_array_equal(saved.data, model.data)
    with datamodels.RampFitOutputModel("jw01_fitopt.fits") as fitopt:
        assert fitopt.slope.shape[0] == 2


def test_names_are_the_pipelines(exposure):
    found = []
    for folder, step in (("theirs", ramp_fitting.RampFitStep), ("ours", RampFitStep)):
        step.call("jw01_jump.fits", save_results=True, save_opt=True, output_dir=folder, **exposure)
        step.call("jw01_jump.fits", save_results=True, suffix="mine", output_dir=folder, **exposure)
        step.call("jw01_jump.fits", output_file="jw01_other.fits", output_dir=folder, **exposure)
        step.call("jw01_jump.fits", save_opt=True, opt_name="my_name.fits", output_dir=folder, **exposure)
        found.append(written(folder))
    assert found[0] == found[1]
    assert {"jw01_0_rampfitstep.fits", "jw01_1_rampfitstep.fits", "jw01_0_mine.fits", "my_name_fitopt.fits"} <= set(
        found[1]
    )
    assert "jw01_other_0_rampfitstep.fits" in found[1]


def test_fitopt_is_saved_whatever_save_results_says(exposure):
    RampFitStep.call("jw01_jump.fits", save_opt=True, **exposure)
    assert written() == ["jw01_fitopt.fits"]


@pytest.mark.parametrize("more", [{}, {"output_use_model": True}])
def test_int_name(exposure, more):
    RampFitStep.call("jw01_jump.fits", save_results=True, int_name="my_cube.fits", output_dir="out", **more, **exposure)
    assert written("out") == ["jw01_0_rampfitstep.fits", "my_cube_rateints.fits"]
    with datamodels.open("out/my_cube_rateints.fits") as saved:
        assert type(saved) is datamodels.CubeModel
    RampFitStep.call("jw01_jump.fits", int_name="my_other.fits", output_dir="out", **exposure)
    assert "my_other_rateints.fits" not in written("out")


def test_skip_alone_is_ignored_as_stpipe_says(exposure):
    rate, _ = RampFitStep.call("jw01_jump.fits", skip=True, **exposure)
    assert rate.meta.cal_step.ramp_fit == "COMPLETE"


def test_hooks(exposure):
    with datamodels.RampModel("jw01_jump.fits") as model:
        before = snapshot(model)
        plain, _ = RampFitStep.call(model, **exposure)
        rate, rateints = RampFitStep.call(model, pre_hooks=[FlagFirstRow], post_hooks=[AddOne()], **exposure)
        check_untouched(model, before)
    assert np.isfinite(plain.data[0]).any()
    assert np.isnan(rate.data[0]).all()
    np.testing.assert_array_equal(rate.data[1:], plain.data[1:] + 1)
    assert np.isnan(rateints.data[:, 0]).all()


@pytest.mark.parametrize("cores", ["none", "one", "quarter", "half", "all", "1", "2", 2, 1, None])
@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_maximum_cores(exposure, cores, executor, monkeypatch):
    monkeypatch.setattr("rampfit_numba.engine.cores.threads_worth", lambda _: 64)  # this exposure is worth one
    rate, _ = RampFitStep.call("jw01_jump.fits", maximum_cores=cores, executor=executor, **exposure)
    plain, _ = ramp_fitting.RampFitStep.call("jw01_jump.fits", **exposure)
    np.testing.assert_allclose(rate.data, plain.data, rtol=1e-5)


@pytest.mark.parametrize("algorithm", ["OLS_C", "OLS", "ols", "LIKELY", "likely"])
def test_algorithms(exposure, algorithm, caplog):
    with np.errstate(all="ignore"), caplog.at_level(logging.INFO):
        rate, _ = RampFitStep.call("jw01_jump.fits", algorithm=algorithm, configure_log=False, **exposure)
    assert rate.meta.cal_step.ramp_fit == "COMPLETE"
    meant = "LIKELY" if algorithm.lower() == "likely" else "OLS_C"
    assert f"Using algorithm = {meant}" in caplog.messages


def test_wrong_values(exposure):
    with pytest.raises(ValidationError, match=r"'algorithm': the value \"GLS\" is unacceptable"):
        RampFitStep.call("jw01_jump.fits", algorithm="GLS", **exposure)
    with pytest.raises(ValidationError, match=r"'executor'"):
        RampFitStep.call("jw01_jump.fits", executor="gpu", **exposure)
    with pytest.raises(ValueError, match=r"^maximum_cores: expected 'none', .*; got 'most'$"):
        RampFitStep.call("jw01_jump.fits", maximum_cores="most", **exposure)
    with pytest.raises(ValueError, match=r"^maximum_cores: expected .*; got 0$"):
        RampFitStep.call("jw01_jump.fits", maximum_cores=0, **exposure)
    with pytest.raises(TypeError, match=r"^maximum_cores: expected .*; got 1.5$"):
        RampFitStep.call("jw01_jump.fits", maximum_cores=1.5, **exposure)
    step = RampFitStep()
    step.algorithm = "GLS"
    with pytest.raises(ValueError, match=r"^algorithm: expected 'OLS_C'"):
        step.process("jw01_jump.fits")


def test_wrong_files(exposure, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.fits"):
        RampFitStep.call("jw01_jump.fits", override_readnoise="none.fits", override_gain="gain.fits")
    with pytest.raises(FileNotFoundError, match=r"none_jump\.fits"):
        RampFitStep.call("none_jump.fits", **exposure)
    with datamodels.GainModel("gain.fits") as gain:
        gain.data = gain.data[:-2]
        gain.save("short.fits")
        gain.meta.subarray.xstart = 7
        gain.save("aside.fits")
    with pytest.raises(ValueError, match=r"^gain reference .*aside.fits and the exposure: Bad reference file slice"):
        RampFitStep.call("jw01_jump.fits", override_readnoise="rn.fits", override_gain="aside.fits")
    with pytest.raises(ValueError, match=r"^gain reference .*short.fits.* \(9, 13\); expected \(11, 13\)"):
        RampFitStep.call("jw01_jump.fits", override_readnoise="rn.fits", override_gain="short.fits")
    assert written(tmp_path) == []


def test_missing_metadata(exposure):
    with datamodels.RampModel("jw01_jump.fits") as model:
        model.meta.exposure.group_time = None
        with pytest.raises(ValueError, match=r"^meta.exposure.group_time \(keyword TGROUP\): expected a number"):
            RampFitStep.call(model, **exposure)


def test_an_instance_can_be_used_again(exposure):
    """Explicit read times choose LIKELY for their exposure only: the pipeline's instance would keep it."""
    step = RampFitStep(**exposure)
    first, _ = step.run("jw01_jump.fits")
    with datamodels.RampModel("jw01_jump.fits") as model:
        model.meta.exposure.read_times = [[float(t)] for t in np.cumsum([1, 1, 2, 2, 3, 3, 4, 4])]
        with np.errstate(all="ignore"):
            step.run(model)
    again, _ = step.run("jw01_jump.fits")
    assert step.algorithm == "OLS_C"
    np.testing.assert_array_equal(again.data, first.data)


def test_arrays_are_used_as_they_are(exposure, monkeypatch):
    """Neither the model nor its slices are copied: the fit is given the model's own arrays."""
    given = []
    before = fitting.fit_ramps

    def fit(exposure, readnoise, gain, **options):
        given.append((exposure, readnoise, gain))
        return before(exposure, readnoise, gain, **options)

    monkeypatch.setattr(fitting, "fit_ramps", fit)
    with (
        datamodels.RampModel("jw01_jump.fits") as model,
        datamodels.ReadnoiseModel("rn.fits") as readnoise,
        datamodels.GainModel("gain.fits") as gain,
    ):
        for _ in range(2):
            RampFitStep.call(model, override_readnoise=readnoise, override_gain=gain)
            ramps, noise, electrons = given.pop()
            for name in ("data", "groupdq", "pixeldq"):
                assert np.shares_memory(getattr(ramps, name), getattr(model, name)), name
            assert np.shares_memory(noise, readnoise.data)
            assert np.shares_memory(electrons, gain.data)
    assert exposure


def test_a_model_of_another_class_is_left_alone(exposure):
    """The pipeline opens it as a RampModel, which would write its own class into the metadata that both share."""

    class OtherRampModel(datamodels.RampModel):
        pass

    with datamodels.RampModel("jw01_jump.fits") as model:
        expected, _ = RampFitStep.call(model, **exposure)
        other = OtherRampModel(model.copy())
        before = snapshot(other)
        rate, _ = RampFitStep.call(other, **exposure)
        check_untouched(other, before)
    assert other.meta.model_type == "OtherRampModel"
    np.testing.assert_array_equal(rate.data, expected.data)


def test_spec_and_documentation():
    spec = config_parser.get_merged_spec_file(RampFitStep)
    theirs = config_parser.get_merged_spec_file(ramp_fitting.RampFitStep)
    more = {"dark_current_unit", "errors", "executor", "pedestal", "progress", "readnoise_kind", "rejection_threshold"}
    more.add("weighting")
    assert set(spec) - set(theirs) == more
    assert not set(theirs) - set(spec)
    assert "maximum_cores" in RampFitStep.spec
    assert RampFitStep.__doc__.strip().startswith("Fit ramp data to determine the mean count rate")
    assert RampFitStep.__name__ == ramp_fitting.RampFitStep.__name__
    assert RampFitStep.get_config_reftype() == "pars-rampfitstep"
    assert RampFitStep.class_alias == "ramp_fit"


def test_the_log_is_shown_and_kept(exposure, capfd):
    rate, _ = RampFitStep.call("jw01_jump.fits", **exposure)
    shown = capfd.readouterr().err
    for line in ("Using READNOISE reference file: ", "Using algorithm = OLS_C", "Ramps fitted in "):
        assert line in shown
        assert any(line in kept for kept in rate.cal_logs.instance["ramp_fit"])


INTERRUPTED = """
import sys
import numpy as np
from rampfit_numba import api
from rampfit_numba.engine import cores
from rampfit_numba.jwst import RampFitStep

cores.threads_worth = lambda _: 2  # the exposure is worth one
before = api.run_rows
def slow(*arguments, **others):
    while True:
        print("fitting", flush=True)
        before(*arguments, **others)
api.run_rows = slow
try:
    RampFitStep.call("jw01_jump.fits", override_readnoise="rn.fits", override_gain="gain.fits", maximum_cores=2,
                     executor=sys.argv[1], save_results=True)
except KeyboardInterrupt:
    # Python's own status for it depends on what else runs at the end.
    print("KeyboardInterrupt", file=sys.stderr)
    sys.exit(130)
"""


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_interrupt(exposure, executor):
    """Ctrl-C ends the step at once, and leaves no product."""
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, executor], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    guard = threading.Timer(280, process.kill)
    guard.start()
    assert process.stdout.readline() == "fitting\n"
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate()
    guard.cancel()
    assert process.returncode == 130, complaint
    assert "KeyboardInterrupt" in complaint
    assert written() == []
    assert exposure
