"""The functions with stcal's signatures against stcal's own: planes, keys, None, and untouched inputs."""

from __future__ import annotations

import numpy as np
import pytest

from tests.cases import PlainFit, flag_missing_rates
from tests.compare import Comparison
from tests.likely_cases import deviation
from tests.pipeline import check_untouched, require_pipeline, snapshot
from tests.plain_models import model_of, some_model
from tests.random_exposures import random_case
from tests.reference import DQ_FLAGS, with_deviations

require_pipeline()

from stcal.ramp_fitting import ramp_fit as stcal  # noqa: E402
from stdatamodels.jwst import datamodels  # noqa: E402

from rampfit_numba.jwst import ramp_fit, ramp_fit_data  # noqa: E402

pytestmark = [pytest.mark.jwst, pytest.mark.usefixtures("offline_crds")]


def check_same(case, expected, got):
    if expected[0] is None:
        assert list(got) == [None, None, None]
        return
    for one, other in zip(expected, got, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert set(other) == set(one)
    renamed = [
        [{("data" if name == "slope" and n < 2 else name): a for name, a in (p or {}).items()} for n, p in enumerate(f)]
        for f in (expected, got)
    ]
    fits = [PlainFit(rate, rateints, fitopt or None) for rate, rateints, fitopt in renamed]
    flag_missing_rates(fits[0].rate, fits[0].rateints)
    failures = Comparison().add(case, *fits)
    assert not failures, f"{case.label}: {failures[0]}"


@pytest.mark.parametrize("seed", range(2000, 2060))
def test_ramp_fit(seed):
    case = with_deviations(random_case(seed, largest_size=20_000))
    cores = ["none", "half", "2", 2][seed % 4]
    with np.errstate(all="ignore"):
        expected = stcal.ramp_fit(
            model_of(case), case.save_opt, case.readnoise.copy(), case.gain.copy(), "OLS_C", "optimal", "none",
            DQ_FLAGS, suppress_one_group=case.suppress_one_group,
        )  # fmt: skip
    model, readnoise, gain = model_of(case), case.readnoise.copy(), case.gain.copy()
    got = ramp_fit(model, case.save_opt, readnoise, gain, "ols_c", "optimal", cores, DQ_FLAGS, case.suppress_one_group)
    check_same(case, expected, got)
    for name in ("data", "groupdq", "pixeldq", "average_dark_current", "zeroframe"):
        one, other = getattr(model, name), getattr(case, name)
        assert (one is None) == (other is None)
        assert one is None or one.tobytes() == other.tobytes(), name
    assert readnoise.tobytes() == case.readnoise.tobytes()
    assert gain.tobytes() == case.gain.tobytes()


@pytest.mark.parametrize("original", [True, False])
@pytest.mark.parametrize("seed", range(3000, 3020))
def test_ramp_fit_data(seed, original):
    case = with_deviations(random_case(seed, largest_size=20_000))
    case.groupdq[:, -1, ::3] |= 129  # CHARGELOSS comes with DO_NOT_USE

    def arguments():
        ramps = stcal.create_ramp_fit_class(model_of(case), "OLS_C", DQ_FLAGS, case.suppress_one_group)
        if ramps.average_dark_current is None:
            ramps.average_dark_current = np.zeros(case.shape[2:], np.float32)
        if not original:
            ramps.orig_gdq = None
        if case.shape[1] == 1:
            ramps.suppress_one_group_ramps = False
        return ramps, case.save_opt, case.readnoise.copy(), case.gain.copy(), "OLS_C", "optimal", "none"

    with np.errstate(all="ignore"):
        expected = stcal.ramp_fit_data(*arguments())
    given = arguments()
    check_same(case, expected, ramp_fit_data(*given))
    assert given[0].groupdq.tobytes() == case.groupdq.tobytes()
    assert given[2].tobytes() == case.readnoise.tobytes()


@pytest.mark.parametrize("threshold", [None, 6.0])
def test_likely(threshold):
    model, readnoise, gain = some_model()
    found = []
    for module in (stcal.ramp_fit_data, ramp_fit_data):
        ramps = stcal.create_ramp_fit_class(some_model()[0], "LIKELY", DQ_FLAGS)
        ramps.average_dark_current = np.zeros((5, 7), np.float32)
        ramps.rejection_threshold = threshold
        with np.errstate(all="ignore"):
            found.append(module(ramps, True, readnoise.copy(), gain.copy(), "LIKELY", "optimal", "none"))
    assert found[0][2] is found[1][2] is None
    for one, other in zip(found[0][:2], found[1][:2], strict=True):
        assert set(one) == set(other)
        assert "chisq" in one
        for name, plane in one.items():
            kind = {"slope": "data"}.get(name, name)
            assert not (deviation(kind, plane, other[name], one["err"]) > 1).any(), name
    assert not model.groupdq.any()


@pytest.mark.parametrize("algorithm", ["OLS_C", "LIKELY"])
def test_a_data_model_is_left_alone(algorithm):
    """To ask a data model for metadata that it does not have leaves an empty entry."""
    plain, readnoise, gain = some_model()
    model = datamodels.RampModel(data=plain.data, groupdq=plain.groupdq, pixeldq=plain.pixeldq)
    exposure = model.meta.exposure
    exposure.group_time, exposure.frame_time, exposure.nframes, exposure.groupgap = 3.0, 3.0, 1, 0
    before = snapshot(model)
    image, _, _ = ramp_fit(model, True, readnoise, gain, algorithm, "optimal", "none", DQ_FLAGS)
    check_untouched(model, before)
    assert np.isfinite(image["slope"]).all()


def test_no_suppression_of_single_groups():
    model, readnoise, gain = some_model((1, 1, 5, 7))
    image, _, optional = ramp_fit(model, False, readnoise, gain, "OLS_C", "optimal", None, DQ_FLAGS, True)
    assert np.isfinite(image["slope"]).all()
    assert optional is None


def test_wrong_arguments():
    model, readnoise, gain = some_model()
    with pytest.raises(ValueError, match=r"^algorithm: expected 'OLS_C'.*; got 'GLS'$"):
        ramp_fit(model, False, readnoise, gain, "GLS", "optimal", "none", DQ_FLAGS)
    with pytest.raises(ValueError, match=r"^weighting: expected 'optimal'; got 'equal'$"):
        ramp_fit(model, False, readnoise, gain, "OLS_C", "equal", "none", DQ_FLAGS)
    with pytest.raises(ValueError, match=r"^maximum_cores: .*; got 'most'$"):
        ramp_fit(model, False, readnoise, gain, "OLS_C", "optimal", "most", DQ_FLAGS)
    with pytest.raises(ValueError, match=r"^dqflags\['SATURATED'\]: expected 2; got 64$"):
        ramp_fit(model, False, readnoise, gain, "OLS_C", "optimal", "none", DQ_FLAGS | {"SATURATED": 64})
    with pytest.raises(ValueError, match=r"^gain: expected a number or shape \(5, 7\)"):
        ramp_fit(model, False, readnoise, gain[:4], "OLS_C", "optimal", "none", DQ_FLAGS)
    model.meta.exposure.group_time = None
    with pytest.raises(ValueError, match=r"^meta.exposure.group_time \(keyword TGROUP\): expected a number"):
        ramp_fit(model, False, readnoise, gain, "OLS_C", "optimal", "none", DQ_FLAGS)
    model, readnoise, gain = some_model(charge_loss=True)
    ramps = stcal.create_ramp_fit_class(model, "OLS_C", DQ_FLAGS)
    ramps.orig_gdq[0, 0] = 2
    with pytest.raises(ValueError, match=r"^ramp_data.orig_gdq: expected None or the flags of ramp_data.groupdq"):
        ramp_fit_data(ramps, False, readnoise, gain, "OLS_C", "optimal", "none")
