"""The step on what people really bring: kinds of noise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.pipeline import ramp_model, reference_models, require_pipeline, some_case

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
