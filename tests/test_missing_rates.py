"""A rate that is missing says so, whatever made it so; an exposure without any warns. PERSISTENCE is advice."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import Exposure, RampFitWarning, dq, fit_ramps
from rampfit_numba.cli import main
from tests.cases import Case, run_engine
from tests.likely_cases import LikelyCase, fit_package, fit_reference
from tests.likely_cases import run_engine as run_likely
from tests.make_files import ramp_hdulist, save
from tests.random_exposures import random_case
from tests.random_likely import random_likely_case
from tests.reference import reference_fit

ALGORITHMS = ("ols", "likely", "likely_joint")
NAN, INF = np.nan, np.inf
BAD = [NAN, INF, -INF, 0.0, -0.0, -2.0, 1e-45, 3e38]


def unflagged(planes):
    """Return where a rate is missing and no flag says so."""
    return ~np.isfinite(planes.data) & ((planes.dq & dq.DO_NOT_USE) == 0)


def ramps(ngroups, nints=2, ncols=8):
    rng = np.random.default_rng(ngroups)
    return np.cumsum(rng.poisson(40.0, (nints, ngroups, 1, ncols)), axis=1).astype(np.float32)


# ------------------------------------------------------------------------------------------------------- missing rates
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("ngroups", [1, 2, 3, 4, 5, 12, 300])
@pytest.mark.parametrize("what", ["gain", "readnoise", "dark", "both"])
def test_no_bad_reference_leaves_a_missing_rate_unflagged(algorithm, ngroups, what):
    bad, good = np.array([BAD], np.float32), np.full((1, len(BAD)), 2.0, np.float32)
    exposure = Exposure(ramps(ngroups), None, 3.0, average_dark_current=bad if what == "dark" else None)
    noise, gain = bad if what in {"readnoise", "both"} else good, bad if what in {"gain", "both"} else good
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RampFitWarning)
        for suppress in (True, False):
            fit = fit_ramps(exposure, noise, gain, algorithm=algorithm, suppress_one_group=suppress)
            assert not unflagged(fit.rate).any()
            assert not unflagged(fit.rateints).any()
    if what == "gain" and algorithm != "likely":  # LIKELY takes a negative gain for one
        assert (fit.rate.dq[0, [0, 3, 4, 5]] & dq.NO_GAIN_VALUE).all()
    if what == "gain":
        assert np.isnan(fit.rate.data[0, [0, 3, 4]]).all()


@pytest.mark.parametrize("what", ["gain", "readnoise"])
@pytest.mark.parametrize("noise", [12.0, 60.0])
@pytest.mark.parametrize("algorithm", ["ols", "likely"])
def test_gain_and_read_noise_without_sense_give_what_the_reference_gives(algorithm, noise, what):
    """Also the negative Poisson variances of LIKELY; flags of read noise and of missing rates apart."""
    values = np.array([[2.0, -2.0, -20.0, 0.0, NAN, INF, -INF]], np.float32)
    data = ramps(8, ncols=values.size)
    rest = {"groupdq": np.zeros(data.shape, np.uint8), "pixeldq": np.zeros(values.shape, np.uint32)}
    references = {"gain": np.full_like(values, 2.0), "readnoise": np.full_like(values, noise)} | {what: values}
    if algorithm == "ols":
        case = Case(data, **rest, **references)
        fit, expected = run_engine(case), reference_fit(case)
    else:
        case = LikelyCase(data, **rest, **references)
        fit, expected = run_likely(case), fit_reference(case)
    planes = ("data", "err", "var_poisson", "var_rnoise", "dq")
    for name in planes:
        # The negative variances are differences of a few digits less.
        np.testing.assert_allclose(getattr(fit.rate, name), expected.rate[name], rtol=2e-5, err_msg=name)
        np.testing.assert_allclose(getattr(fit.rateints, name), expected.rateints[name], rtol=2e-5, err_msg=name)
    if (algorithm, what) == ("likely", "gain"):
        assert fit.rate.var_poisson[0, 2] < 0
        assert fit.rate.dq[0, 2] == 0
        assert np.isnan(fit.rate.data[0, 1]) == (noise < 50)
        assert (fit.rate.var_poisson[0, 5:] == 0).all()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_good_neighbours_keep_their_flags(algorithm):
    gain = np.full((1, len(BAD)), 2.0, np.float32)
    gain[0, 3] = INF
    fit = fit_ramps(Exposure(ramps(8), None, 3.0), 8.0, gain, algorithm=algorithm)
    others = np.arange(len(BAD)) != 3
    assert np.isfinite(fit.rate.data[0, others]).all()
    assert not fit.rate.dq[0, others].any()
    assert not fit.rateints.dq[:, 0, others].any()


def test_a_missing_integration_is_flagged_beside_a_good_one():
    data = ramps(6, ncols=1)
    flags = np.zeros(data.shape, np.uint8)
    flags[0, ::2] = dq.DROPOUT  # no two neighbouring good groups: LIKELY has no rate, and says nothing
    fit = fit_ramps(Exposure(data, flags, 3.0), 8.0, 2.0, algorithm="likely")
    assert fit.rateints.dq[:, 0, 0].tolist() == [dq.DO_NOT_USE, 0]
    assert fit.rate.dq[0, 0] == 0
    assert np.isfinite(fit.rate.data[0, 0])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_saturated_pixels_of_pixeldq_are_not_to_be_used(algorithm):
    data = ramps(6, ncols=2)
    fit = fit_ramps(Exposure(data, None, 3.0, pixeldq=np.array([[2, 0]])), 8.0, 2.0, algorithm=algorithm)
    assert not unflagged(fit.rate).any()
    assert not unflagged(fit.rateints).any()
    assert fit.rate.dq[0, 1] == 0


def test_random_exposures_have_no_missing_rate_without_a_flag():
    missing = 0
    for seed in range(40):
        fit = run_engine(random_case(seed, small=True))
        missing += np.isnan(fit.rateints.data).sum()
        assert not unflagged(fit.rate).any()
        assert not unflagged(fit.rateints).any()
        likely = fit_package(random_likely_case(seed))
        for planes in (likely.rate, likely.rateints):
            assert not (~np.isfinite(planes["data"]) & ((planes["dq"] & dq.DO_NOT_USE) == 0)).any()
    assert missing > 100


# --------------------------------------------------------------------------------------------- exposures without a rate
def hopeless(what):
    data = ramps(6)
    flags = np.zeros(data.shape, np.uint8)
    if what == "nan":
        data[...] = NAN
    elif what == "inf":
        data[...] = INF
    else:
        flags[...] = {"do not use": 1, "saturated": 2, "both": 3, "dropout": 8, "jump": 4, "ad floor": 64}[what]
    return data, flags


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("what", ["nan", "inf", "do not use", "saturated", "both", "dropout", "jump", "ad floor"])
def test_an_exposure_without_any_rate_warns(algorithm, what):
    data, flags = hopeless(what)
    if (algorithm, what) == ("likely_joint", "jump"):
        flags[:, ::2] |= dq.DO_NOT_USE  # a jump costs one difference there, and leaves those between
    with pytest.warns(RampFitWarning, match="no ramp can be fitted") as caught:
        fit = fit_ramps(Exposure(data, flags, 3.0), 8.0, 2.0, algorithm=algorithm)
    assert len(caught) == 1
    assert fit.nothing_to_fit
    zero = algorithm == "ols" and what in {"dropout", "jump", "ad floor"}
    assert re.search(r"all rates are (NaN or 0|NaN)$", str(caught[0].message)).group(1) == (
        "NaN or 0" if zero else "NaN"
    )
    assert (fit.rate.data == 0).all() if zero else np.isnan(fit.rate.data).all()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_one_good_ramp_is_enough(algorithm):
    data, flags = hopeless("do not use")
    flags[1, :, 0, 4] = 0
    fit = fit_ramps(Exposure(data, flags, 3.0), 8.0, 2.0, algorithm=algorithm)
    assert not fit.nothing_to_fit
    assert np.isfinite(fit.rate.data).sum() == 1


def test_command_warns_and_writes_the_products(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hdulist = ramp_hdulist()
    hdulist["GROUPDQ"].data[...] = 1
    save(hdulist, tmp_path / "x_jump.fits")
    assert main(["x_jump.fits", "--readnoise", "10", "--gain", "2"]) == 0
    assert "WARNING - no ramp can be fitted: no ramp has a valid fit; all rates are NaN" in capsys.readouterr().err
    assert (fits.getdata("x_rate.fits", "DQ") & 1).all()
    assert "no pixel could be fitted" in " ".join(fits.getheader("x_rate.fits")["HISTORY"])


# --------------------------------------------------------------------------------------------------------- PERSISTENCE
@pytest.mark.parametrize("algorithm", ["ols", "likely_joint"])
def test_persistence_is_advice(algorithm):
    data = ramps(10)
    plain = fit_ramps(Exposure(data, None, 3.0), 8.0, 2.0, algorithm=algorithm)
    flags = np.zeros(data.shape, np.uint8)
    flags[0, :, 0, 0] = flags[1, 4, 0, 1] = flags[:, ::2, 0, 2] = dq.PERSISTENCE
    advised = fit_ramps(Exposure(data, flags, 3.0), 8.0, 2.0, algorithm=algorithm)
    for kind in ("rate", "rateints"):
        for plane in ("data", "err", "var_poisson", "var_rnoise"):
            ours, theirs = getattr(getattr(advised, kind), plane), getattr(getattr(plain, kind), plane)
            np.testing.assert_array_equal(ours, theirs, err_msg=f"{kind}.{plane}")
    assert advised.rateints.dq[:, 0, :4].tolist() == [[32, 0, 32, 0], [0, 32, 32, 0]]
    assert advised.rate.dq[0, :4].tolist() == [32, 32, 32, 0]
    if algorithm == "likely_joint":
        np.testing.assert_array_equal(advised.groupdq, flags)


@pytest.mark.parametrize("algorithm", ["ols", "likely_joint"])
@pytest.mark.parametrize("with_it", [dq.JUMP_DET, dq.DO_NOT_USE, dq.SATURATED, dq.AD_FLOOR])
def test_persistence_takes_nothing_from_other_flags(algorithm, with_it):
    data = ramps(10)
    flags = np.zeros(data.shape, np.uint8)
    flags[:, 4] = with_it
    alone = fit_ramps(Exposure(data, flags, 3.0), 8.0, 2.0, algorithm=algorithm)
    beside = fit_ramps(Exposure(data, flags | dq.PERSISTENCE, 3.0), 8.0, 2.0, algorithm=algorithm)
    np.testing.assert_array_equal(alone.rate.data, beside.rate.data)
    np.testing.assert_array_equal(alone.rate.err, beside.rate.err)
    np.testing.assert_array_equal(alone.rate.dq | dq.PERSISTENCE, beside.rate.dq)


def test_persistence_on_the_only_good_group_leaves_the_pedestals_rate():
    data = ramps(6, ncols=1)
    flags = np.full(data.shape, dq.SATURATED, np.uint8)
    flags[:, 0] = 0
    options = {"algorithm": "likely_joint", "pedestal": (0.0, 5.0)}
    alone = fit_ramps(Exposure(data, flags, 3.0), 8.0, 2.0, **options)
    flags[:, 0] = dq.PERSISTENCE
    advised = fit_ramps(Exposure(data, flags, 3.0), 8.0, 2.0, **options)
    assert np.isfinite(alone.rate.data).all()
    np.testing.assert_array_equal(alone.rate.data, advised.rate.data)


def test_likely_follows_the_pipeline_which_leaves_flagged_groups_out():
    data = ramps(10, nints=1)
    flags = np.full(data.shape, dq.PERSISTENCE, np.uint8)
    flags[..., 1:] = 0
    fit = fit_ramps(Exposure(data, flags, 3.0), 8.0, 2.0, algorithm="likely")
    assert np.isnan(fit.rate.data[0, 0])
    assert fit.rate.dq[0, :2].tolist() == [dq.DO_NOT_USE, 0]
