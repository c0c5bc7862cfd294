"""What must hold for every exposure, whatever the numbers: found by hypothesis."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rampfit_numba import Exposure, fit_ramps
from tests.cases import Case, PlainFit, plain, run_engine
from tests.compare import assert_same
from tests.random_exposures import random_case
from tests.sizes import fewer

if TYPE_CHECKING:
    from numpy.typing import NDArray

DO_NOT_USE, SATURATED = 1, 2
SEEDS = st.integers(0, 10_000)


def cut(case: Case, rows: Any, cols: Any = slice(None)) -> Case:
    """Return the case of some rows and columns; by slices or by index arrays that broadcast against each other."""
    planes = {f.name: getattr(case, f.name) for f in fields(case) if isinstance(getattr(case, f.name), np.ndarray)}
    return case.copy(**{name: np.ascontiguousarray(plane[..., rows, cols]) for name, plane in planes.items()})


def local(seed: int, *, small: bool = False) -> Case:
    """Return a random exposure in which no pixel's result depends on another pixel."""
    case = random_case(seed, small=small, largest_size=fewer(20_000, 1_000))
    case.groupdq[:, 0, 0, 0] &= 0xFF ^ SATURATED  # never all saturated
    return case.copy(instrument="NIRCAM")


# ------------------------------------------------------------------------------------------------- straight lines


@pytest.mark.kernel
@given(data=st.data())
def test_exact_line_gives_exact_slope(data: st.DataObject) -> None:
    """Whatever the flags, noise and weights: segments of a straight line all have its slope."""
    ngroups = data.draw(st.integers(2, 40), "ngroups")
    start = data.draw(st.integers(-1000, 60_000), "start")
    step = data.draw(st.integers(-300, 3000), "step")
    bits = data.draw(
        st.lists(st.sampled_from([0, 0, 0, 0, 1, 2, 4, 32, 64]), min_size=ngroups, max_size=ngroups), "flags"
    )
    bits[0:2] = [0, 0]  # one segment of two groups at least
    group_time = data.draw(st.sampled_from([0.5, 2.77504, 53.68]), "group_time")
    level, amplification = data.draw(st.sampled_from([(1.0, 5.0), (12.0, 1.8), (60.0, 0.7)]), "noise")
    line = (start + step * np.arange(ngroups)).astype(np.float32).reshape(1, ngroups, 1, 1)
    lines = np.broadcast_to(line, (2, ngroups, 1, 3))
    groupdq = np.array(bits, np.uint8).reshape(1, ngroups, 1, 1)
    exposure = Exposure(lines, np.broadcast_to(groupdq, lines.shape), group_time)
    fit = fit_ramps(exposure, level, amplification, suppress_one_group=False, save_opt=True)
    expected = step / np.float32(group_time).astype(float)
    # the sums of a weighted fit cancel: what is left is a few units of the last digit (of float64) of the samples
    residue = 1e-11 * (abs(start) + abs(step) * ngroups) / group_time
    np.testing.assert_allclose(fit.rate.data, expected, rtol=2e-7, atol=residue)
    np.testing.assert_allclose(fit.rateints.data, expected, rtol=2e-7, atol=residue)
    assert fit.fitopt is not None
    fitted = fit.fitopt.weights > 0
    np.testing.assert_allclose(fit.fitopt.slope[fitted], expected, rtol=2e-7, atol=residue)
    np.testing.assert_allclose(
        fit.fitopt.yint[fitted], start, rtol=2e-7, atol=1e-9 * (abs(start) + abs(step) * ngroups)
    )


@pytest.mark.kernel
@given(seed=SEEDS, factor=st.sampled_from([0.25, 2.0, 64.0]))
def test_units(seed: int, factor: float) -> None:
    """In other units of DN the rates scale, and what counts electrons stays; a power of two scales exactly."""
    case = local(seed, small=True).copy(zeroframe=None, average_dark_current=None)
    scaled = case.copy(
        data=case.data * np.float32(factor),
        readnoise=case.readnoise * np.float32(factor),
        gain=case.gain / np.float32(factor),
    )
    first, second = plain(run_engine(case)), plain(run_engine(scaled))
    np.testing.assert_array_equal(first.rate["dq"], second.rate["dq"])
    unlimited = (first.rate["var_rnoise"] > 0) & (second.rate["var_rnoise"] > 0)  # the limit of 1e6 does not scale
    slope, error = first.rate["data"][unlimited], first.rate["err"][unlimited]
    sure = np.isfinite(slope) & (first.rateints["err"] > 0).all(axis=0)[unlimited]
    sure &= (second.rateints["err"] > 0).all(axis=0)[unlimited]
    np.testing.assert_allclose(second.rate["data"][unlimited][sure], factor * slope[sure], rtol=1e-6)
    np.testing.assert_allclose(second.rate["err"][unlimited][sure], factor * error[sure], rtol=1e-6)


# ------------------------------------------------------------------------------------- unusable samples do not count


@pytest.mark.kernel
@given(seed=SEEDS, filler=st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1e30, -12345.0]))
def test_values_of_unusable_groups_do_not_matter(seed: int, filler: float) -> None:
    """DO_NOT_USE or SATURATED: any value there gives the same rate and rateints (of ramps of two groups and more)."""
    case = random_case(seed, largest_size=fewer(20_000, 1_000))
    if case.shape[1] == 1:
        return  # the median rate of one-group ramps takes every value, as the reference's does
    filled = case.copy(save_opt=False)
    filled.data[(case.groupdq & (DO_NOT_USE | SATURATED)) != 0] = filler
    expected = plain(run_engine(case, save_opt=False))
    assert_same(filled, expected, plain(run_engine(filled)))


# --------------------------------------------------------------------------------------------- pixels are on their own


@pytest.mark.kernel
@given(seed=SEEDS, order=st.randoms(use_true_random=False))
def test_permuting_pixels_permutes_results(seed: int, order: Any) -> None:
    """Where a pixel lies, and beside which others, changes no bit of its result."""
    case = random_case(seed, largest_size=fewer(20_000, 1_000))
    nrows, ncols = case.shape[2:]
    places = list(np.ndindex(nrows, ncols))
    order.shuffle(places)
    rows, cols = (np.array(axis).reshape(nrows, ncols) for axis in zip(*places, strict=True))
    expected, got = plain(run_engine(case)), plain(run_engine(cut(case, rows, cols)))
    assert_same(case, permuted(expected, rows, cols), got)


def permuted(fit: PlainFit, rows: Any, cols: Any) -> PlainFit:
    groups = [fit.rate, fit.rateints, fit.fitopt]
    moved = [None if g is None else {name: plane[..., rows, cols] for name, plane in g.items()} for g in groups]
    return PlainFit(*moved)  # type: ignore[arg-type]


@pytest.mark.kernel
@given(seed=SEEDS, where=st.integers(1, 1000))
@example(seed=3284, where=1)  # has such a part
def test_parts_equal_the_whole(seed: int, where: int) -> None:
    """An exposure cut in two, by rows or by columns, and fitted as two exposures, has the same results."""
    case = local(seed)
    nrows, ncols = case.shape[2:]
    whole = plain(run_engine(case, save_opt=True))
    for row, col in ((where % nrows, 0), (0, where % ncols)):
        for rows in (slice(0, row), slice(row, None)):
            for cols in (slice(0, col), slice(col, None)):
                if rows.stop == 0 or cols.stop == 0:
                    continue
                part = cut(case, rows, cols).copy(save_opt=True)
                if (part.groupdq[:, 0] & SATURATED).all():
                    continue  # as an exposure of its own, nothing in it would be fitted: no rule for single pixels
                # charge loss is an exposure's affair only as a switch; per pixel nothing changes
                got = plain(run_engine(part))
                expected = permuted(whole, rows, cols)
                assert_same(part, shortened(expected, got), got)


def shortened(fit: PlainFit, like: PlainFit) -> PlainFit:
    """Return the fit with the depth of its optional planes cut to that of another, after checking that zeros go."""
    if fit.fitopt is None or like.fitopt is None:
        return fit
    planes: dict[str, NDArray[Any]] = {}
    for name, plane in fit.fitopt.items():
        depth = like.fitopt[name].shape[1]
        if name == "pedestal":
            planes[name] = plane
            continue
        assert not plane[:, depth:].any(), name
        planes[name] = plane[:, :depth]
    return PlainFit(fit.rate, fit.rateints, planes)
