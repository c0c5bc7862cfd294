"""The step on what people really bring: kinds of noise, units, times, ranges of groups, steps that were skipped."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.pipeline import histories, ramp_model, reference_models, require_pipeline, some_case

require_pipeline()

from rampfit_numba.jwst import RampFitStep  # noqa: E402

pytestmark = [pytest.mark.jwst, pytest.mark.usefixtures("offline_crds")]


def call(model, references, **options):
    readnoise, gain = references
    return RampFitStep.call(model, override_readnoise=readnoise, override_gain=gain, skip=False, **options)


@pytest.mark.parametrize("algorithm", ["OLS_C", "LIKELY"])
def test_step_takes_the_noise_of_one_frame(algorithm):
    case = some_case()
    model = ramp_model(case)
    references = reference_models(case, model)
    rate, rateints = call(model, references, algorithm=algorithm)
    references[0].data = references[0].data / np.float32(math.sqrt(2))
    single, single_ints = call(model, references, algorithm=algorithm, readnoise_kind="single")
    for one, other in ((rate, single), (rateints, single_ints)):
        for plane in ("data", "err", "var_rnoise", "dq"):
            np.testing.assert_allclose(getattr(one, plane), getattr(other, plane), rtol=2e-6)


def numbers(model, **options):
    return RampFitStep.call(model, override_readnoise=10.0, override_gain=2.0, skip=False, **options)


def test_step_divides_electrons_by_the_gain_and_refuses_rates():
    case = some_case()
    model = ramp_model(case)
    rate, _ = numbers(model)
    model.meta.bunit_data = "electron"
    model.data = model.data * np.float32(2)
    electrons, _ = numbers(model)
    np.testing.assert_allclose(electrons.data, rate.data, rtol=1e-5, atol=1e-5)
    assert electrons.meta.bunit_data == "DN/s"
    model.meta.bunit_data = "DN/s"
    with pytest.raises(ValueError, match=r"data_unit: expected DN .* or electron; got 'DN/s', a rate"):
        numbers(model)


def test_step_takes_the_unit_of_the_dark_current():
    case = some_case(average_dark_current=np.full((11, 13), 40.0, np.float32))
    as_dn, electrons = (numbers(ramp_model(case), dark_current_unit=unit)[0] for unit in (None, "electron/s"))
    good = np.isfinite(as_dn.data) & (as_dn.var_poisson > 0)
    assert good.any()
    assert (electrons.var_poisson < as_dn.var_poisson)[good].all()


@pytest.mark.parametrize(
    ("asked", "done", "said"),
    [
        ((5, 3), (None, None), "No group range from 5 to 3: firstgroup and lastgroup are ignored"),
        ((50, None), (None, None), "No group range from 50 to 7"),
        ((-1, None), (0, None), "firstgroup -1 is negative: 0 is used"),
        ((1, 20), (1, None), "lastgroup 20 is beyond the 8 groups: it has no effect"),
        ((10, 20), (None, None), "firstgroup 10 is beyond the 8 groups: none is left"),
    ],
)
def test_step_warns_of_ranges_that_the_pipeline_ignores_and_its_products_say_the_truth(asked, done, said, caplog):
    rate, _ = numbers(ramp_model(some_case()), firstgroup=asked[0], lastgroup=asked[1])
    assert said in caplog.text
    history = " ".join(histories(rate))
    assert f"firstgroup={done[0]}, lastgroup={done[1]}" in history
    if asked == (10, 20):
        assert np.isnan(rate.data).all()


@pytest.mark.parametrize("algorithm", ["OLS_C", "LIKELY"])
def test_step_warns_of_a_jump_step_that_was_skipped(algorithm, caplog):
    model = ramp_model(some_case())
    model.meta.cal_step.jump = "SKIPPED"
    numbers(model, algorithm=algorithm)
    assert ("Skipped: the jump step" in caplog.text) == (algorithm == "OLS_C")


def test_step_goes_by_read_times_of_two_uneven_groups():
    case = some_case((1, 3, 11, 13), groupdq=np.zeros((1, 3, 11, 13), np.uint8))
    times = np.array([1.0, 2.0, 7.0])
    case.data[...] = (20 * times)[None, :, None, None]
    model = ramp_model(case)
    model.meta.exposure.read_times = [[float(time)] for time in times]
    rate, _ = numbers(model)
    good = case.pixeldq == 0
    np.testing.assert_allclose(rate.data[good], 20, rtol=1e-5)
