"""Detector1 with this package's step: results equal to the pipeline's, whose own class stays as it is."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from tests.compare import Comparison
from tests.pipeline import (
    check_metadata,
    check_untouched,
    names_in,
    planes_of,
    ramp_model,
    reference_models,
    require_pipeline,
    snapshot,
    some_case,
)

require_pipeline()

from jwst import pipeline, ramp_fitting  # noqa: E402
from stdatamodels.jwst import datamodels  # noqa: E402

from rampfit_numba.jwst import Detector1Pipeline, RampFitStep, install, uninstall  # noqa: E402

pytestmark = [pytest.mark.jwst, pytest.mark.usefixtures("offline_crds")]

FITTED = ("ramp_fit", "gain_scale")


def only_ramp_fit(**parameters):
    """Return the steps' parameters: all are skipped but ramp_fit and gain_scale, which needs no reference then."""
    skipped = {name: {"skip": True} for name in pipeline.Detector1Pipeline.step_defs if name not in FITTED}
    named = {"override_readnoise": "rn.fits", "override_gain": "gain.fits"}
    return skipped | {"ramp_fit": named | parameters, "gain_scale": {"override_gain": "gain.fits"}}


@pytest.fixture
def exposed(request, tmp_path, monkeypatch):
    """Return an exposure and its model; jw01_uncal.fits and its references stand in the folder we are in."""
    monkeypatch.chdir(tmp_path)
    case = some_case(instrument=getattr(request, "param", "NIRCAM"))
    model = ramp_model(case, filename="jw01_uncal.fits")
    readnoise, gain = reference_models(case, model, full_frame=True, gain_factor=2.0)
    for each, name in ((model, "jw01_uncal.fits"), (readnoise, "rn.fits"), (gain, "gain.fits")):
        each.save(name)
    return case, model


def products(folder):
    """Return the products that a pipeline saved."""
    kinds = {"rate": datamodels.ImageModel, "rateints": datamodels.CubeModel, "fitopt": datamodels.RampFitOutputModel}
    return [kind(Path(folder) / f"jw01_{name}.fits") for name, kind in kinds.items()]


def check_equal(case, expected, got):
    for one, other in zip(expected, got, strict=True):
        check_metadata(one, other)
    failures = Comparison().add(case, planes_of(*expected), planes_of(*got))
    assert not failures, failures[0]


# Each pipeline takes seconds to set up, whatever it does.
@pytest.mark.parametrize(("exposed", "source"), [("MIRI", "file"), ("NIRCAM", "model")], indirect=["exposed"])
def test_results_are_the_pipelines(exposed, source):
    case, model = exposed
    before = snapshot(model)
    for folder, kind in (("theirs", pipeline.Detector1Pipeline), ("ours", Detector1Pipeline)):
        given = "jw01_uncal.fits" if source == "file" else model
        result = kind.call(
            given, save_results=True, output_dir=folder, steps=only_ramp_fit(save_opt=True, maximum_cores="half")
        )
        assert result.meta.cal_step.ramp_fit == result.meta.cal_step.gain_scale == "COMPLETE"
    check_untouched(model, before)
    assert names_in(Path("ours")) == names_in(Path("theirs"))
    found = products("ours")
    check_equal(case, products("theirs"), found)
    plain, _ = RampFitStep.call("jw01_uncal.fits", override_readnoise="rn.fits", override_gain="gain.fits")
    good = np.isfinite(plain.data)
    np.testing.assert_allclose(found[0].data[good], 2 * plain.data[good], rtol=1e-6)


def test_skipped_ramp_fit(exposed):
    _, model = exposed
    found = []
    for kind in (pipeline.Detector1Pipeline, Detector1Pipeline):
        steps = only_ramp_fit(skip=True) | {"gain_scale": {"skip": True}}
        found.append(kind.call(model, steps=steps))
        assert found[-1].meta.cal_step.ramp_fit == "SKIPPED"
    check_metadata(*found)


def test_nothing_to_fit(exposed):
    _, model = exposed
    model.groupdq[:] = 2
    for folder, kind in (("theirs", pipeline.Detector1Pipeline), ("ours", Detector1Pipeline)):
        assert kind.call(model, save_results=True, output_dir=folder, steps=only_ramp_fit()) is None
        assert names_in(Path(folder)) == []


@pytest.mark.usefixtures("exposed")
def test_int_name():
    steps = only_ramp_fit(int_name="my_cube.fits", save_results=True)
    Detector1Pipeline.call("jw01_uncal.fits", save_results=True, output_dir="out", steps=steps)
    assert names_in(Path("out")) == [
        "jw01_0_ramp_fit.fits",
        "jw01_1_ramp_fit.fits",
        "jw01_rate.fits",
        "my_cube_rateints.fits",
    ]
    Detector1Pipeline.call("jw01_uncal.fits", output_dir="none", steps=only_ramp_fit(int_name="my_cube.fits"))
    assert names_in(Path("none")) == []


def test_the_pipelines_class_is_left_alone():
    assert pipeline.Detector1Pipeline.step_defs["ramp_fit"] is ramp_fitting.RampFitStep
    assert Detector1Pipeline.step_defs["ramp_fit"] is RampFitStep
    assert Detector1Pipeline.step_defs is not pipeline.Detector1Pipeline.step_defs
    assert list(Detector1Pipeline.step_defs) == list(pipeline.Detector1Pipeline.step_defs)
    assert Detector1Pipeline.__name__ == pipeline.Detector1Pipeline.__name__
    assert Detector1Pipeline.get_config_reftype() == "pars-detector1pipeline"


def test_install(exposed, capfd):
    case, model = exposed
    theirs = pipeline.Detector1Pipeline.step_defs["ramp_fit"]
    arguments = {"save_results": True, "steps": only_ramp_fit(save_opt=True)}
    pipeline.Detector1Pipeline.call(model, output_dir="theirs", **arguments)
    assert "rampfit_numba" not in capfd.readouterr().err
    try:
        install()
        pipeline.Detector1Pipeline.call(model, output_dir="ours", **arguments)
    finally:
        uninstall()
    assert "stpipe.rampfit_numba.jwst.ramp_fit_step - INFO - Using algorithm = OLS_C" in capfd.readouterr().err
    assert pipeline.Detector1Pipeline.step_defs["ramp_fit"] is theirs
    check_equal(case, products("theirs"), products("ours"))


@pytest.mark.usefixtures("exposed")
def test_the_engines_messages_in_the_pipelines_own_class(capfd):
    """That class does not know the engine's logger; its warnings belong in the log and in the product all the same."""
    engine = logging.getLogger("rampfit_numba")
    before = engine.level, engine.propagate, engine.handlers[:]
    with install():
        result = pipeline.Detector1Pipeline.call("jw01_uncal.fits", steps=only_ramp_fit(firstgroup=5, lastgroup=3))
    assert (engine.level, engine.propagate, engine.handlers) == before
    shown = capfd.readouterr().err
    warning = "jwst.fitting - WARNING - No group range from 5 to 3: firstgroup and lastgroup are ignored"
    for line in (warning, "rampfit_numba.api - INFO - Ramps fitted in "):
        assert shown.count(line) == 1
        assert sum(line in kept for kept in result.cal_logs.instance["calwebb_detector1"]) == 1


def test_install_as_a_context_manager():
    steps = pipeline.Detector1Pipeline.step_defs
    theirs = steps["ramp_fit"]
    with install():
        assert steps["ramp_fit"] is RampFitStep
        with install():  # what was installed before stays so
            assert steps["ramp_fit"] is RampFitStep
        assert steps["ramp_fit"] is RampFitStep
    assert steps["ramp_fit"] is theirs

    def fail():
        with install():
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert steps["ramp_fit"] is theirs
    uninstall()  # nothing to undo
    assert steps["ramp_fit"] is theirs
