"""Whatever is handed in is fitted, or refused with an error that names the argument; it is never modified."""

from __future__ import annotations

import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rampfit_numba import (
    Exposure,
    FitOptions,
    RampFit,
    RampFitWarning,
    count_reads,
    estimate_readnoise,
    find_jumps,
    find_samples,
    find_segments,
    fit_ramps,
    fitramp,
    make_groupdq,
)
from tests.anything import SCALARS, arrays, snapshot
from tests.sizes import fewer

if TYPE_CHECKING:
    from collections.abc import Iterator

SHAPE = (2, 6, 3, 4)
IMAGE = SHAPE[2:]
CUBE = (SHAPE[0], *IMAGE)
MORE = [{}, {"save_opt": True}, {"weighting": "uniform"}, {"chisq": True}, {"suppress_one_group": False}]
MANY = settings(max_examples=fewer(150, 20))


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw the argument, or in most cases nothing."""
    return st.one_of(st.none(), st.none(), strategy)


@contextmanager
def a_result_or_one_error(**arguments: Any) -> Iterator[dict[str, Any]]:
    """Let one clear error pass, and no warning of NumPy's; the arguments are afterwards what they were before."""
    before = {name: snapshot(value) for name, value in arguments.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", RampFitWarning)
        try:
            yield arguments
        except (TypeError, ValueError) as error:
            names = "|".join(map(re.escape, arguments))
            assert re.match(rf"({names}|x, y)(\[\d+\])?: |expected one of", str(error)), error  # noqa: PT017
            assert "\n" not in str(error).replace("\n ", ""), error  # noqa: PT017
    assert {name: snapshot(value) for name, value in arguments.items()} == before


def is_whole(fit: RampFit) -> None:
    """Check that a fit has what an exposure's shape asks for, and no negative variance where there is a gain."""
    assert fit.inputs is not None
    assert fit.rate.data.shape == IMAGE
    assert fit.rateints.data.shape[1:] == IMAGE
    known = fit.inputs.gain > 0
    for planes in (fit.rate, fit.rateints):
        assert planes.data.dtype == planes.err.dtype == np.float32
        for variance in (planes.var_poisson, planes.var_rnoise):
            assert not (variance[..., known] < 0).any()


@MANY
@given(
    data=arrays(SHAPE),
    groupdq=maybe(arrays(SHAPE)),
    group_time=st.one_of(st.just(3.0), SCALARS),
    pixeldq=maybe(arrays(IMAGE)),
    average_dark_current=maybe(arrays(IMAGE)),
    zeroframe=maybe(arrays(CUBE)),
    read_times=maybe(st.one_of(SCALARS, arrays((SHAPE[1],)), arrays((SHAPE[1], 2)))),
    frame_time=maybe(SCALARS),
    nframes=maybe(SCALARS),
    groupgap=st.one_of(st.just(0), SCALARS),
    drop_frames1=maybe(SCALARS),
)
def test_an_exposure_of_anything(**given_arguments: Any) -> None:
    with a_result_or_one_error(**given_arguments) as arguments:
        assert Exposure(**arguments).shape[1:] == np.asarray(arguments["data"]).shape[-3:]


@MANY
@given(
    samples=arrays(SHAPE, likely=True),
    flags=maybe(arrays(SHAPE, likely=True)),
    first=maybe(arrays(CUBE, likely=True)),
    dark=maybe(arrays(IMAGE, likely=True)),
    readnoise=arrays(IMAGE),
    gain=arrays(IMAGE),
    algorithm=st.sampled_from(["ols", "likely", "likely_joint"]),
    more=st.sampled_from(
        [{}, {"save_opt": True}, {"weighting": "uniform"}, {"chisq": True}, {"suppress_one_group": False}]
    ),
)
def test_a_fit_of_anything(
    *, samples: Any, flags: Any, first: Any, dark: Any, readnoise: Any, gain: Any, algorithm: str, more: dict[str, Any]
) -> None:
    """Numbers of every kind, also those that make no sense, and everything that may stand for noise and gain."""
    given_arrays = {"data": samples, "groupdq": flags, "zeroframe": first, "average_dark_current": dark}
    options = {} if "weighting" in more and algorithm != "ols" else more
    exposure = None
    with a_result_or_one_error(**given_arrays) as arguments:
        exposure = Exposure(**arguments, group_time=3.0)
    if exposure is None:
        return
    kept = [snapshot(array) for array in given_arrays.values()]
    with a_result_or_one_error(readnoise=readnoise, gain=gain, chisq=None, save_opt=None) as arguments:
        fit = fit_ramps(exposure, arguments["readnoise"], arguments["gain"], algorithm=algorithm, **options)
        is_whole(fit)
        for table in (find_segments(fit, [0, 1], [1, 2]), find_samples(fit, 1, 2)):
            assert len(table) >= 0
        find_jumps(fit)
        assert count_reads(exposure, fit).rate.shape == IMAGE
    assert [snapshot(array) for array in given_arrays.values()] == kept


@pytest.fixture(scope="module")
def fit() -> RampFit:
    ramps = np.cumsum(np.full(SHAPE, 50.0, np.float32), axis=1)
    return fit_ramps(Exposure(ramps, None, 3.0), 10.0, 2.0)


@MANY
@given(x=st.one_of(SCALARS, arrays((3,))), y=st.one_of(st.just(0), SCALARS, arrays((3,))))
def test_tables_of_any_pixels(fit: RampFit, x: Any, y: Any) -> None:
    for find in (find_segments, find_samples):
        with a_result_or_one_error(x=x, y=y) as arguments:
            find(fit, **arguments)


@MANY
@given(name=st.sampled_from(sorted(FitOptions.__dataclass_fields__)), value=SCALARS)
def test_options_of_anything(name: str, value: Any) -> None:
    with a_result_or_one_error(**{name: value}) as arguments:
        FitOptions(**arguments)
    if name != "algorithm":
        for algorithm in ("likely", "likely_joint"):
            with a_result_or_one_error(**{name: value}) as arguments:
                FitOptions(algorithm=algorithm, **arguments)


@MANY
@given(
    reads=st.one_of(arrays((SHAPE[1], *IMAGE)), st.lists(arrays(IMAGE), max_size=4)),
    read_times=maybe(st.one_of(SCALARS, arrays((SHAPE[1],)))),
    frame_time=st.one_of(st.just(3.0), st.none(), SCALARS),
    reads_per_ramp=maybe(SCALARS),
    skip=st.one_of(st.just(0), SCALARS),
    reverse=st.one_of(st.just(False), SCALARS),
    invert=maybe(SCALARS),
    saturation=maybe(arrays(IMAGE)),
    pedestal=maybe(st.one_of(arrays(IMAGE), st.just("first"))),
    linearity=maybe(st.one_of(arrays((3,)), arrays((3, *IMAGE)))),
    nframes=st.one_of(st.just(1), SCALARS),
)
def test_reads_of_anything(**given_arguments: Any) -> None:
    with a_result_or_one_error(**given_arguments) as arguments:
        exposure = Exposure.from_reads(**arguments)
        with np.errstate(all="ignore"):
            fit_ramps(exposure, 10.0, 2.0)


@MANY
@given(data=arrays((2, 6, 20, 30), likely=True), gain=maybe(arrays((20, 30))))
def test_the_noise_of_anything(data: Any, gain: Any) -> None:
    exposure = None
    with a_result_or_one_error(data=data) as arguments:
        exposure = Exposure(**arguments, groupdq=None, group_time=3.0)
    if exposure is not None:
        with a_result_or_one_error(exposure=data, gain=gain):
            assert 0 < estimate_readnoise(exposure, gain) < np.inf


@MANY
@given(saturated=maybe(arrays(IMAGE)), jump=maybe(arrays(IMAGE)), do_not_use=maybe(arrays(IMAGE)))
def test_masks_of_anything(**given_arguments: Any) -> None:
    with a_result_or_one_error(**given_arguments) as arguments:
        assert make_groupdq(**arguments).dtype == np.uint8


@MANY
@given(
    diffs=st.one_of(arrays((5, *IMAGE)), arrays((5, 7))),
    sig=st.one_of(st.just(10.0), arrays(IMAGE)),
    countrateguess=maybe(arrays(IMAGE)),
    diffs2use=maybe(st.one_of(arrays((5, *IMAGE)), arrays((5, 7)))),
    threshold_oneomit=st.one_of(st.just(20.25), SCALARS),
    read_times=st.one_of(st.just(range(1, 7)), arrays((6,)), SCALARS),
)
def test_differences_of_anything(
    *, diffs: Any, sig: Any, countrateguess: Any, diffs2use: Any, threshold_oneomit: Any, read_times: Any
) -> None:
    """The drop-in of the likelihood fit's own package."""
    Cov = None  # noqa: N806  (the original's name)
    with a_result_or_one_error(read_times=read_times) as arguments:
        Cov = fitramp.Covar(**arguments)  # noqa: N806
    with a_result_or_one_error(
        diffs=diffs, Cov=Cov, sig=sig, countrateguess=countrateguess, diffs2use=diffs2use
    ) as found:
        result = fitramp.fit_ramps(**found)
        assert result.countrate.shape == np.asarray(diffs).shape[1:] == result.weights.shape[1:]
    del found["countrateguess"]
    with a_result_or_one_error(**found, threshold_oneomit=threshold_oneomit) as arguments:
        fitramp.mask_jumps(**arguments)
