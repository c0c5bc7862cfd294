"""Each deliberate deviation from the reference: what the reference does, and what the package does instead."""

from __future__ import annotations

import numpy as np
import pytest

from rampfit_numba import RampFit, RampFitWarning, fit_ramps
from rampfit_numba.result import NO_VALID_FIT
from tests.cases import Case, make_exposure, plain, run_engine, with_usable_range
from tests.compare import Comparison, nothing_to_fit_failures
from tests.random_exposures import random_case
from tests.reference import reference_fit

NAN = float("nan")
DO_NOT_USE, SATURATED, JUMP_DET = 1, 2, 4


def one_pixel(values: list[float], flags: list[int] | None = None, **changes: object) -> Case:
    """Return a ramp of one pixel: read noise 10 DN, gain 2 e-/DN, 3 s a group."""
    data = np.array(values, np.float32).reshape(1, -1, 1, 1)
    groupdq = np.zeros(data.shape, np.uint8) if flags is None else np.array(flags, np.uint8).reshape(data.shape)
    plane = np.ones((1, 1), np.float32)
    return Case(data, groupdq, np.zeros((1, 1), np.uint32), 10 * plane, 2 * plane).copy(**changes)


def rate(fit: RampFit) -> tuple[float, int]:
    return float(fit.rate.data[0, 0]), int(fit.rate.dq[0, 0])


def reference_rate(case: Case) -> tuple[float, int]:
    found = reference_fit(case, deviations=False)
    assert found is not None
    return float(found.rate["data"][0, 0]), int(found.rate["dq"][0, 0])


# ------------------------------------------------------------------------------ 1: samples that are not finite


@pytest.mark.kernel
@pytest.mark.parametrize("bad", [NAN, float("inf"), -float("inf")])
def test_1_bad_sample_is_not_fitted(bad: float) -> None:
    """The reference fits a NaN as 0 DN."""
    assert rate(run_engine(one_pixel([10, bad, 30, 40, 50]))) == (pytest.approx(10 / 3), 0)
    assert reference_rate(one_pixel([10, NAN, 30, 40, 50])) == (pytest.approx(4.0), 0)


@pytest.mark.kernel
def test_1_bad_sample_does_not_start_a_segment() -> None:
    """A jump group whose sample is NaN is no start of the next segment, though its jump is reported."""
    case = one_pixel([10, 20, 30, NAN, 150, 160, 171], [0, 0, 0, JUMP_DET, 0, 0, 0])
    fit = run_engine(case)
    assert rate(fit) == (pytest.approx((10 + 10.5) / 2 / 3), JUMP_DET)
    assert reference_rate(case)[0] != pytest.approx((10 + 10.5) / 2 / 3)
    unusable = one_pixel([10, 20, 30, 77, 150, 160, 171], [0, 0, 0, JUMP_DET | DO_NOT_USE, 0, 0, 0])
    assert rate(fit) == rate(run_engine(unusable))


@pytest.mark.kernel
def test_1_bad_sample_in_short_ramps() -> None:
    """NaN poisons the reference's rate of all integrations where a ramp has one or two groups."""
    data = np.array([[10, NAN], [10, 16]], np.float32).reshape(2, 2, 1, 1)
    case = one_pixel([0, 0], data=data, groupdq=np.zeros(data.shape, np.uint8))
    assert np.isnan(reference_rate(case)[0])
    fit = run_engine(case)
    assert np.isfinite(fit.rate.data).all()
    assert fit.rateints.data[1, 0, 0] == 2
    # 10 DN over the time of a lone first group, and 2 DN/s; the variances of the read noise are equal
    assert rate(fit) == (pytest.approx((10 / 3 + 2) / 2), 0)


@pytest.mark.kernel
def test_1_all_bad_is_do_not_use() -> None:
    case = one_pixel([NAN] * 4)
    assert reference_rate(case) == (0, 0)
    value, dq = rate(run_engine(case))
    assert np.isnan(value)
    assert dq == DO_NOT_USE


@pytest.mark.kernel
def test_1_saturated_bad_sample_stays_saturated_only() -> None:
    case = one_pixel([10, 20, 30, NAN, NAN], [0, 0, 0, SATURATED, SATURATED])
    assert rate(run_engine(case)) == reference_rate(case) == (pytest.approx(10 / 3), SATURATED)


@pytest.mark.kernel
def test_1_bad_sample_counts_for_suppression() -> None:
    """The sample becomes DO_NOT_USE before anything else, so a lone good group is found lone."""
    case = one_pixel([10, NAN, NAN, NAN], suppress_one_group=True)
    value, dq = rate(run_engine(case))
    assert np.isnan(value)
    assert dq == DO_NOT_USE
    assert rate(run_engine(case, suppress_one_group=False)) == (pytest.approx(10 / 3), 0)


@pytest.mark.kernel
def test_1_bad_samples_make_an_edge_group() -> None:
    """MIRI drops a group that is unusable everywhere, for whatever reason."""
    case = one_pixel([NAN, 20, 30, 40], [0, 0, 0, 0], instrument="MIRI", save_opt=True)
    fitopt = run_engine(case).fitopt
    assert fitopt is not None
    assert fitopt.yint[0, 0, 0, 0] == pytest.approx(20)


@pytest.mark.kernel
@pytest.mark.parametrize("bad", [NAN, float("inf"), -float("inf")])
def test_1_bad_zeroframe_is_unusable(bad: float) -> None:
    groupdq = np.array([[[[0, 2]]], [[[0, 2]]], [[[0, 2]]]], np.uint8).reshape(1, 3, 1, 2)
    data = np.full((1, 3, 1, 2), 10, np.float32)
    plane = np.ones((1, 2), np.float32)
    case = Case(data, groupdq, np.zeros((1, 2), np.uint32), 10 * plane, 2 * plane)
    fit = run_engine(case.copy(zeroframe=np.full((1, 1, 2), bad, np.float32)))
    assert np.isnan(fit.rate.data[0, 1])
    assert fit.rate.dq[0, 1] == DO_NOT_USE | SATURATED
    rescued = run_engine(case.copy(zeroframe=np.full((1, 1, 2), 6, np.float32)))
    assert rescued.rate.data[0, 1] == 2


# --------------------------------------------------------------------------------------- 2: unusable read noise


@pytest.mark.kernel
@pytest.mark.parametrize("bad", [NAN, 0.0, -0.0, -5.0])
def test_2_bad_readnoise_is_flagged(bad: float) -> None:
    """The reference gives NaN, or a rate from a negative noise, and no flag."""
    case = one_pixel([10, 20, 30, 40], readnoise=np.full((1, 1), bad, np.float32))
    assert reference_rate(case)[1] == 0
    fit = run_engine(case)
    for planes in (fit.rate, fit.rateints):
        assert np.isnan(planes.data).all()
        assert (planes.dq == DO_NOT_USE).all()
        for plane in (planes.err, planes.var_poisson, planes.var_rnoise):
            assert (plane == 0).all()


@pytest.mark.kernel
def test_2_only_that_pixel() -> None:
    """The read noise of one pixel concerns no other one, not even its neighbour in the same vector."""
    case = random_case(31).copy(groupdq=np.zeros(random_case(31).shape, np.uint8), instrument="", save_opt=False)
    good = np.full(case.shape[2:], 7, np.float32)
    spoilt = good.copy()
    spoilt[0, 0] = NAN
    before, after = plain(run_engine(case.copy(readnoise=good))), plain(run_engine(case.copy(readnoise=spoilt)))
    others = np.ones(good.shape, bool)
    others[0, 0] = False
    for name, plane in before.rate.items():
        np.testing.assert_array_equal(after.rate[name][others], plane[others])
    assert after.rate["dq"][0, 0] & DO_NOT_USE


# ---------------------------------------------------------------------------------------- 3: any number of workers


def test_3_zeroframe_and_suppression_with_workers() -> None:
    """The reference forgets the suppression where it works in parallel, and rescues the ramp."""
    nrows = 4
    groupdq = np.zeros((1, 3, nrows, 2), np.uint8)
    groupdq[:, :, :, 1] = SATURATED
    plane = np.ones((nrows, 2), np.float32)
    case = Case(
        np.full(groupdq.shape, 10, np.float32),
        groupdq,
        np.zeros(plane.shape, np.uint32),
        10 * plane,
        2 * plane,
        zeroframe=np.full((1, nrows, 2), 9, np.float32),
        suppress_one_group=True,
    )
    for workers in (1, 2):
        fit = run_engine(case, maximum_cores=workers, executor="threads")
        assert np.isnan(fit.rate.data[:, 1]).all()
        assert (fit.rate.dq[:, 1] == DO_NOT_USE | SATURATED).all()
        assert fit.fitopt is not None
        assert fit.fitopt.slope.shape[1] == 1


def test_3_fitopt_shape_with_workers() -> None:
    """The reference makes room for a segment that no ramp has where it works in parallel."""
    case = one_pixel([1, 2, 3]).copy(
        data=np.ones((1, 3, 4, 1), np.float32),
        groupdq=np.full((1, 3, 4, 1), JUMP_DET, np.uint8),
        pixeldq=np.zeros((4, 1), np.uint32),
        readnoise=np.ones((4, 1), np.float32),
        gain=np.ones((4, 1), np.float32),
    )
    for workers in (1, 2):
        fitopt = run_engine(case, maximum_cores=workers, executor="threads").fitopt
        assert fitopt is not None
        assert fitopt.slope.shape == (1, 0, 4, 1)
        assert fitopt.crmag.shape == (1, 2, 4, 1)


# --------------------------------------------------------------------------------- 4: inputs are left as they were


def test_4_inputs_unchanged_where_the_reference_writes() -> None:
    """Suppression, MIRI's edge groups, group selection and the scaling of the read noise change no input."""
    case = one_pixel([9, 10, 20, 9], [1, 4, 0, 1], instrument="MIRI", suppress_one_group=True, firstgroup=1)
    kept = case.copy()
    first = plain(run_engine(case))
    for name in ("data", "groupdq", "pixeldq", "readnoise", "gain"):
        assert getattr(case, name).tobytes() == getattr(kept, name).tobytes(), name
    again = plain(run_engine(case))
    assert not Comparison().add(case, first, again, exact=True)


# --------------------------------------------------------------------- 5: full arrays where the reference has None


@pytest.mark.kernel
@pytest.mark.parametrize("save_opt", [False, True])
@pytest.mark.parametrize(
    ("flags", "changes"),
    [
        ([2, 2, 2, 2], {}),
        ([2, 0, 0, 0], {}),
        ([2, 2, 2, 2], {"zeroframe": np.full((1, 1, 1), 7, np.float32)}),
        ([1, 1, 1, 1], {"instrument": "MIRI"}),
        ([1, 1, 0, 1], {"instrument": "MIRI"}),
        ([1, 0, 1, 1], {"instrument": "MIRI", "suppress_one_group": True}),
        ([0, 0, 0, 0], {"instrument": "MIRI", "firstgroup": 7, "lastgroup": 9}),
    ],
    ids=["saturated", "first-saturated", "zeroframe", "miri-none", "miri-one", "miri-suppressed", "miri-range"],
)
def test_5_nothing_to_fit(flags: list[int], changes: dict[str, object], save_opt: bool) -> None:
    case = one_pixel([10, 20, 30, 40], flags, save_opt=save_opt, **changes)
    case.pixeldq[0, 0] = 1 << 10
    assert reference_fit(case) is None
    with pytest.warns(RampFitWarning):
        fit = fit_ramps(
            make_exposure(with_usable_range(case)),
            case.readnoise,
            case.gain,
            save_opt=save_opt,
            suppress_one_group=case.suppress_one_group,
        )
    assert fit.nothing_to_fit
    assert not nothing_to_fit_failures(case, plain(fit))
    assert (fit.fitopt is not None) == save_opt
    if flags[0] & SATURATED:
        assert (fit.rate.dq & SATURATED).all()
        assert (fit.rateints.dq & SATURATED).all()


@pytest.mark.kernel
def test_5_not_miri_is_no_such_case() -> None:
    """All groups unusable elsewhere: an ordinary fit of flagged pixels, here as there."""
    case = one_pixel([10, 20, 30], [1, 1, 1])
    fit = run_engine(case)
    assert fit.nothing_to_fit == NO_VALID_FIT
    assert fit.rate.dq[0, 0] == reference_rate(case)[1] == DO_NOT_USE
