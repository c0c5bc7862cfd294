"""strun and stpipe as commands: the step and the pipeline by name, help, and parameter files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rampfit_numba
from tests.pipeline import names_in, ramp_model, reference_models, require_pipeline, some_case

require_pipeline()

from jwst import pipeline  # noqa: E402
from stdatamodels.jwst import datamodels  # noqa: E402

from rampfit_numba.jwst import RampFitStep  # noqa: E402
from rampfit_numba.stpipe_steps import get_steps  # noqa: E402

pytestmark = [pytest.mark.jwst]

SCRIPTS = Path(sys.executable).parent
REFERENCES = ["--override_readnoise", "rn.fits", "--override_gain", "gain.fits"]


@pytest.fixture
def command(tmp_path, monkeypatch, offline_crds):
    """Return what runs a command in a folder with an exposure, x_jump.fits, and its references."""
    monkeypatch.chdir(tmp_path)
    case = some_case(instrument="MIRI")
    model = ramp_model(case, filename="x_jump.fits")
    readnoise, gain = reference_models(case, model, full_frame=True)
    for each, name in ((model, "x_jump.fits"), (readnoise, "rn.fits"), (gain, "gain.fits")):
        each.save(name)
    path = os.pathsep.join([str(Path(rampfit_numba.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | offline_crds | {"PYTHONPATH": path}

    def run(name, *arguments, code=0):
        done = subprocess.run(
            [sys.executable, str(SCRIPTS / name), *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    return run


def products():
    """Return the names of the products."""
    return [name for name in names_in(Path()) if name.startswith("x_") and name != "x_jump.fits"]


def test_the_tutorials_command(command):
    said = command(
        "strun", "rampfit_numba.jwst.RampFitStep", "x_jump.fits", "--save_opt=true", *REFERENCES,
        "--maximum_cores", "half",
    )  # fmt: skip
    assert "Using algorithm = OLS_C" in said
    assert products() == ["x_0_rampfitstep.fits", "x_1_rampfitstep.fits", "x_fitopt.fits"]
    expected, _ = RampFitStep.call("x_jump.fits", override_readnoise="rn.fits", override_gain="gain.fits")
    with datamodels.ImageModel("x_0_rampfitstep.fits") as rate:
        np.testing.assert_array_equal(rate.data, expected.data)
        assert rate.meta.ref_file.gain.name.endswith("gain.fits")


def test_parameter_file_and_number_of_cores(command):
    """A file that one run exports gives another the same parameters; the short name is the step too."""
    command(
        "strun", "rampfit_numba", "x_jump.fits", "--maximum_cores", "2", "--firstgroup=1", *REFERENCES,
        "--save-parameters", "parameters.asdf",
    )  # fmt: skip
    with datamodels.ImageModel("x_0_rampfitstep.fits") as rate:
        first = rate.data.copy()
    for name in products():
        Path(name).unlink()
    said = command("strun", "parameters.asdf", "x_jump.fits", *REFERENCES)
    assert "maximum_cores: '2'" in said
    assert "firstgroup: 1" in said
    with datamodels.ImageModel("x_0_rampfitstep.fits") as rate:
        np.testing.assert_array_equal(rate.data, first)
    step = RampFitStep.from_config_file("parameters.asdf")
    assert type(step) is RampFitStep
    assert step.firstgroup == 1


def test_help(command):
    said = command("strun", "rampfit_numba.jwst.RampFitStep", "-h")
    for word in (
        "--maximum_cores",
        "--executor",
        "--save_opt",
        "--override_readnoise",
        "--int_name",
        "[default='none']",
    ):
        assert word in said
    assert "with the engine of rampfit_numba" in " ".join(said.split())


def test_wrong_value(command):
    said = command("strun", "rampfit_numba.jwst.RampFitStep", "x_jump.fits", "--algorithm=GLS", *REFERENCES, code=1)
    assert "Config parameter 'algorithm': the value \"GLS\" is unacceptable." in said
    assert products() == []


def test_pipeline(command):
    skipped = [f"--steps.{name}.skip=true" for name in pipeline.Detector1Pipeline.step_defs if name != "ramp_fit"]
    references = [word.replace("--override", "--steps.ramp_fit.override") for word in REFERENCES]
    said = command("strun", "rampfit_numba.jwst.Detector1Pipeline", "x_jump.fits", *skipped, *references)
    assert "rampfit_numba.jwst.ramp_fit_step - INFO - Using algorithm = OLS_C" in said
    assert products() == ["x_rate.fits", "x_rateints.fits"]


def test_list(command):
    assert command("stpipe", "list", "rampfit_numba*").splitlines() == [
        "rampfit_numba.jwst.Detector1Pipeline (rampfit_numba_detector1)",
        "rampfit_numba.jwst.RampFitStep (rampfit_numba)",
    ]


def test_list_is_in_step_with_the_classes():
    import rampfit_numba.jwst as offered

    for name, _, is_pipeline in get_steps():
        module, _, kind = name.rpartition(".")
        assert module == "rampfit_numba.jwst"
        assert issubclass(getattr(offered, kind), pipeline.Detector1Pipeline) == is_pipeline
    classes = {name for name in offered.__all__ if isinstance(getattr(offered, name), type)}
    assert classes == {name.rpartition(".")[2] for name, *_ in get_steps()}
