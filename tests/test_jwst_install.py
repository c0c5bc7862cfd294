"""install(): every way to call the pipeline's step reaches this package's, and the way back."""

from __future__ import annotations

import numpy as np
import pytest

from tests.pipeline import histories, ramp_model, reference_models, require_pipeline, some_case

require_pipeline()

import jwst.step  # noqa: E402
from jwst import pipeline, ramp_fitting  # noqa: E402
from jwst.clean_flicker_noise import clean_flicker_noise  # noqa: E402
from jwst.ramp_fitting import RampFitStep as imported_before  # noqa: E402, N813
from jwst.ramp_fitting import ramp_fit_step as the_tutorials  # noqa: E402
from stpipe import Step, config_parser  # noqa: E402

import rampfit_numba.jwst as ours  # noqa: E402

pytestmark = [pytest.mark.jwst, pytest.mark.usefixtures("offline_crds", "_back_afterwards")]

THEIRS = imported_before


class Subclass(imported_before):
    """Somebody's own step."""

    class_alias = "somebodys"


@pytest.fixture
def _back_afterwards():
    yield
    ours.uninstall()
    for owner in (ramp_fitting, the_tutorials, jwst.step):
        assert owner.RampFitStep is THEIRS
    assert not {"__init__", "call", "load_spec_file"} & vars(THEIRS).keys()


@pytest.fixture(scope="module")
def exposure():
    case = some_case((1, 6, 5, 7))
    model = ramp_model(case)
    readnoise, gain = reference_models(case, model)
    return model, {"override_readnoise": readnoise, "override_gain": gain}


def made_by_us(rate):
    return any(line.startswith("rampfit_numba ") for line in histories(rate))


WAYS = {
    "the tutorial's": lambda: the_tutorials.RampFitStep,
    "jwst.step": lambda: jwst.step.RampFitStep,
    "jwst.ramp_fitting": lambda: ramp_fitting.RampFitStep,
    "a name imported before": lambda: imported_before,
    "another module's name": lambda: clean_flicker_noise.RampFitStep,
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_call_the_step(exposure, way):
    model, references = exposure
    found = []
    for installed in (False, True, False):
        if installed:
            ours.install()
        else:
            ours.uninstall()
        rate, _ = WAYS[way]().call(model.copy(), **{name: each.copy() for name, each in references.items()})
        found.append(made_by_us(rate))
    assert found == [False, True, False]


def test_instances_by_any_constructor(tmp_path):
    with ours.install():
        for made in (imported_before(), imported_before(algorithm="likely_joint"), jwst.step.RampFitStep()):
            assert type(made) is ours.RampFitStep
        section = config_parser.ConfigObj({"executor": "processes", "maximum_cores": "half"})
        assert type(imported_before.from_config_section(section)) is ours.RampFitStep
        ours.RampFitStep().export_config(tmp_path / "parameters.asdf")
        assert type(Step.from_config_file(str(tmp_path / "parameters.asdf"))) is ours.RampFitStep
    assert type(imported_before()) is THEIRS
    assert "executor" not in imported_before.load_spec_file()


def test_a_parameter_file_of_the_pipelines_step(tmp_path):
    THEIRS(maximum_cores="half").export_config(tmp_path / "parameters.asdf")
    with ours.install():
        step = Step.from_config_file(str(tmp_path / "parameters.asdf"))
        assert type(step) is ours.RampFitStep
        assert step.maximum_cores == "half"


def test_a_subclass_stays_what_it_is(exposure):
    """It is somebody else's: what it overrides would not fit."""
    model, references = exposure
    with ours.install():
        assert type(Subclass()) is Subclass
        assert "executor" not in Subclass.load_spec_file()
        rate, _ = Subclass.call(model.copy(), **{name: each.copy() for name, each in references.items()})
        assert not made_by_us(rate)


def test_draft_rates_of_the_flicker_noise_step(exposure, monkeypatch):
    """It makes a RampFitStep of its own, with references of CRDS: here those of the exposure."""
    model, references = exposure
    monkeypatch.setattr(
        ours.RampFitStep, "get_reference_file", lambda _, __, kind: references[f"override_{kind}"].copy()
    )
    with ours.install():
        rate = clean_flicker_noise.make_rate(model.copy())
    assert made_by_us(rate)
    assert np.isfinite(rate.data).any()


def test_somebody_elses_replacement_stays():
    class Other(THEIRS):
        pass

    steps = pipeline.Detector1Pipeline.step_defs
    before = steps["ramp_fit"]
    ours.install()
    jwst.step.RampFitStep = steps["ramp_fit"] = Other
    ours.uninstall()
    try:
        assert jwst.step.RampFitStep is Other
        assert steps["ramp_fit"] is Other
        assert ramp_fitting.RampFitStep is THEIRS
        with ours.install():  # asked for once more, ours takes its place, and gives it back
            assert jwst.step.RampFitStep is ours.RampFitStep
        assert jwst.step.RampFitStep is Other
    finally:
        jwst.step.RampFitStep, steps["ramp_fit"] = THEIRS, before


def test_blocks_inside_blocks():
    with ours.install():
        with ours.install():
            assert jwst.step.RampFitStep is ours.RampFitStep
        assert jwst.step.RampFitStep is ours.RampFitStep
        ours.uninstall()
        assert jwst.step.RampFitStep is THEIRS
    assert jwst.step.RampFitStep is THEIRS


def test_our_module_of_the_pipelines_name():
    assert ours.ramp_fit_step.RampFitStep is ours.RampFitStep
    assert "ramp_fit_step" in dir(ours)
