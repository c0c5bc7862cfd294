"""What must not show: the form of the inputs, the workers, the slices, the tiles, and other fits at the same time."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from rampfit_numba import Exposure, RampFitWarning, fit_ramps
from tests.bulk_exposures import bulk_case
from tests.cases import RATE_PLANES, Case, PlainFit, make_exposure, plain, run_engine, with_usable_range
from tests.compare import Comparison, assert_same
from tests.naive import naive_fit
from tests.random_exposures import random_case
from tests.sizes import fewer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

SATURATED = 2


# ------------------------------------------------------------------------------------------- inputs of every kind


def read_only(array: NDArray[Any], _: Path) -> NDArray[Any]:
    other = array.copy()
    other.flags.writeable = False
    return other


def swapped(array: NDArray[Any], _: Path) -> NDArray[Any]:
    return array.astype(array.dtype.newbyteorder())


def wide(array: NDArray[Any], _: Path) -> NDArray[Any]:
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def wide_swapped(array: NDArray[Any], _: Path) -> NDArray[Any]:
    return array.astype(np.dtype(np.float64).newbyteorder()) if array.dtype.kind == "f" else array.astype(">i8")


def fortran(array: NDArray[Any], _: Path) -> NDArray[Any]:
    return np.asfortranarray(array)


def strided(array: NDArray[Any], _: Path) -> NDArray[Any]:
    holder = np.zeros([2 * n for n in array.shape], array.dtype)
    view = holder[tuple(slice(None, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def backwards(array: NDArray[Any], _: Path) -> NDArray[Any]:
    turn = tuple(slice(None, None, -1) for _ in array.shape)
    return array[turn].copy()[turn]


def mapped(array: NDArray[Any], folder: Path) -> NDArray[Any]:
    path = folder / f"array{len(list(folder.iterdir()))}.dat"
    array.astype(array.dtype.newbyteorder(">")).tofile(path)
    return np.memmap(path, array.dtype.newbyteorder(">"), mode="r", shape=array.shape)


def subclassed(array: NDArray[Any], _: Path) -> NDArray[Any]:
    return array.view(Labelled)


class Labelled(np.ndarray):
    """An array of another class."""


FORMS = [read_only, swapped, wide, wide_swapped, fortran, strided, backwards, mapped, subclassed]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize("seed", [3, 14, 52, 61])
def test_inputs_of_every_kind_and_unchanged(
    form: Callable[[NDArray[Any], Path], NDArray[Any]], seed: int, tmp_path: Path
) -> None:
    """Byte order, width, strides, map, read-only: the same bits come out, and the inputs stay as they were."""
    case = random_case(seed, largest_size=fewer(20_000, 1_000)).copy(save_opt=True)
    with np.errstate(invalid="ignore"):
        changed = {f.name: form(getattr(case, f.name), tmp_path) for f in fields(case) if is_array(case, f.name)}
    other = replace(case, **changed)
    kept = {name: array.tobytes() for name, array in changed.items()}
    expected = plain(run_engine(case))
    assert_same(case, expected, plain(run_engine(other)))
    for name, array in changed.items():
        assert array.tobytes() == kept[name], f"{name} was changed"


def is_array(case: Case, name: str) -> bool:
    return isinstance(getattr(case, name), np.ndarray)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32, np.int64, np.float16])
def test_other_widths_of_data(dtype: type[np.generic]) -> None:
    """Integers and half floats are values like any others."""
    case = random_case(5, largest_size=20_000).copy(save_opt=True)
    counts = np.nan_to_num(np.abs(case.data), nan=3, posinf=4, neginf=5) % 30_000
    with np.errstate(invalid="ignore"):
        data = counts.astype(dtype)
    expected = plain(run_engine(case.copy(data=data.astype(np.float32))))
    assert_same(case, expected, plain(run_engine(case.copy(data=data))))


def test_float64_is_rounded_before_it_is_fitted() -> None:
    rng = np.random.default_rng(1)
    case = random_case(5, largest_size=20_000)
    data = rng.normal(1000, 300, case.shape)
    expected = plain(run_engine(case.copy(data=data.astype(np.float32))))
    assert_same(case, expected, plain(run_engine(case.copy(data=data))))


def test_beyond_single_precision_is_not_finite() -> None:
    """A float64 sample that float32 cannot hold is treated like the infinity that it becomes."""
    data = np.array([10, 1e300, 30, 40, 50]).reshape(1, 5, 1, 1)
    fit = fit_ramps(Exposure(data, None, 1.0), 5.0, 2.0)
    assert fit.rate.data[0, 0] == pytest.approx(10)


# ---------------------------------------------------------------------------------------------- slices are invisible


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process believe in four cores, so that asking for four workers gives four."""
    import loky

    monkeypatch.setattr(loky, "cpu_count", lambda *_args, **_kwargs: 4)


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize("workers", [1, 2, 3, 4])
def test_worker_count_is_invisible(workers: int) -> None:
    for seed in range(100, 100 + fewer(40, 4)):
        case = random_case(seed, largest_size=fewer(60_000, 1_000))
        expected = plain(run_engine(case))
        assert_same(case, expected, plain(run_engine(case, maximum_cores=workers, executor="threads")))


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize("workers", [2, 3, 4])
def test_worker_count_is_invisible_in_large_exposures(workers: int) -> None:
    case = bulk_case("everything", shape=(2, 10, fewer(301, 5), fewer(260, 20)), save_opt=True)
    expected = plain(run_engine(case))
    assert_same(case, expected, plain(run_engine(case, maximum_cores=workers, executor="threads")))


@pytest.mark.kernel
@pytest.mark.parametrize("form", [None, wide], ids=["in place", "copied"])
@pytest.mark.parametrize("size", [1, 700, 1 << 30])
def test_tile_size_is_invisible(
    size: int,
    form: Callable[[NDArray[Any], Path], NDArray[Any]] | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Tiles of parts of a row, of some rows, and of everything at once."""
    from rampfit_numba.algorithms import rows

    cases = [random_case(seed, largest_size=fewer(60_000, 1_000)) for seed in range(200, 200 + fewer(30, 4))]
    cases.append(bulk_case("everything", shape=(1, 7, 3, fewer(1501, 40)), save_opt=True))
    expected = [plain(run_engine(case)) for case in cases]
    monkeypatch.setattr(rows, "MOST_PIXELS", size)
    monkeypatch.setattr(rows, "MOST_SAMPLES", 9 * size)
    monkeypatch.setattr(rows, "BUFFER_BYTES", 30 * size)
    for case, wanted in zip(cases, expected, strict=True):
        other = case if form is None else case.copy(data=form(case.data, tmp_path))
        assert_same(case, wanted, plain(run_engine(other)))


def test_calls_from_many_threads() -> None:
    """Fits that run at the same time in one process know nothing of each other."""
    cases = [random_case(seed, largest_size=fewer(30_000, 500)) for seed in range(300, 312)]
    expected = [plain(run_engine(case)) for case in cases]
    with ThreadPoolExecutor(4) as pool, warnings.catch_warnings():
        # filters belong to the process: threads that change and restore them one by one would disturb each other
        warnings.simplefilter("ignore", RampFitWarning)
        found = list(pool.map(fit_quietly, cases))
    for case, wanted, got in zip(cases, expected, found, strict=True):
        assert_same(case, wanted, got)


def fit_quietly(case: Case) -> PlainFit:
    case = with_usable_range(case)
    fit = fit_ramps(
        make_exposure(case),
        case.readnoise,
        case.gain,
        suppress_one_group=case.suppress_one_group,
        firstgroup=case.firstgroup,
        lastgroup=case.lastgroup,
        save_opt=case.save_opt,
    )
    return plain(fit)


@pytest.mark.parametrize("form", [None, mapped, read_only, strided], ids=["plain", "mapped", "read_only", "strided"])
def test_processes_are_invisible(form: Callable[[NDArray[Any], Path], NDArray[Any]] | None, tmp_path: Path) -> None:
    """Whatever kind of array travels to the workers."""
    for seed in (101, 107, 113):
        case = random_case(seed, largest_size=fewer(60_000, 1_000))
        other = case
        if form is not None:
            planes = {f.name: form(getattr(case, f.name), tmp_path) for f in fields(case) if is_array(case, f.name)}
            other = replace(case, **planes)
        expected = plain(run_engine(case))
        assert_same(case, expected, plain(run_engine(other, maximum_cores=2, executor="processes")))


def test_results_written_into_an_earlier_result() -> None:
    """``out`` saves the allocation; nothing of the earlier result shines through."""
    case = bulk_case("everything", shape=(2, 6, 9, 30))
    earlier = run_engine(bulk_case("clean", shape=(2, 6, 9, 30)))
    expected = plain(run_engine(case))
    fit = run_engine(case, out=earlier)
    assert fit.rate.data is earlier.rate.data
    assert_same(case, expected, plain(fit))


@pytest.mark.usefixtures("four_cores")
def test_nothing_to_fit_with_workers() -> None:
    """What concerns the whole exposure is decided before it is cut."""
    case = random_case(5).copy(instrument="MIRI")
    case.groupdq[:, 0] |= SATURATED
    expected = plain(run_engine(case))
    assert_same(case, expected, plain(run_engine(case, maximum_cores=4, executor="threads")))


def test_same_call_same_bits() -> None:
    case = bulk_case("hits", shape=(2, 8, fewer(200, 3), fewer(200, 20)), save_opt=True)
    assert_same(case, plain(run_engine(case)), plain(run_engine(case)))


# ------------------------------------------------------------------------------------------------------- the defaults


def test_defaults_are_the_pipelines() -> None:
    """Suppression on, no optional product, all groups, one core; numbers and images mean the same references."""
    case = random_case(8).copy(average_dark_current=None, zeroframe=None, nframes=1, groupgap=0, drop_frames1=0)
    image = np.ones(case.shape[2:], np.float32)
    case = case.copy(readnoise=9 * image, gain=2 * image, firstgroup=None, lastgroup=None, save_opt=False)
    case = case.copy(suppress_one_group=True, frame_time=case.group_time)
    exposure = Exposure(case.data, case.groupdq, case.group_time, pixeldq=case.pixeldq, instrument=case.instrument)
    expected = naive_fit(case)
    assert expected is not None
    fit = fit_ramps(exposure, readnoise=9, gain=2.0)
    assert fit.fitopt is None
    assert not Comparison().add(case, expected, plain(fit))


def test_warns_where_nothing_can_be_fitted_and_only_there(recwarn: pytest.WarningsRecorder) -> None:
    good = np.arange(5, dtype=np.float32).reshape(1, 5, 1, 1)
    fit_ramps(Exposure(good, None, 1.0), 5.0, 2.0)
    assert not recwarn.list
    with pytest.warns(RampFitWarning):
        fit_ramps(Exposure(good, np.full(good.shape, SATURATED, np.uint8), 1.0), 5.0, 2.0)


# -------------------------------------------------------------------------------------------------- neighbours


@pytest.mark.kernel
@pytest.mark.parametrize("ngroups", [2, 3, 10, 11])
def test_flags_of_neighbours(ngroups):
    """Ramps without flags take a short path where none nearby has any: the same bits must come out of the long one."""
    rng = np.random.default_rng(ngroups)
    shape = (2, ngroups, 8, fewer(4000, 64))
    steps = rng.poisson(rng.lognormal(3, 2, shape[2:]), shape) + rng.normal(0, 7, shape)
    data = (3e7 + np.cumsum(steps, axis=1)).astype(
        np.float32
    )  # the larger the pedestal, the more an order of sums shows
    flagged = rng.random(shape[2:]) < 0.01
    groupdq = np.zeros(shape, np.uint8)
    groupdq[:, -1, flagged] = SATURATED
    alone, together = (fit_ramps(Exposure(data, flags, 2.5), 14.0, 1.8) for flags in (None, groupdq))
    assert 0 < flagged.sum() < flagged.size / 2
    for one, other in ((alone.rate, together.rate), (alone.rateints, together.rateints)):
        for name in RATE_PLANES:
            left, right = (getattr(planes, name)[..., ~flagged] for planes in (one, other))
            assert left.tobytes() == right.tobytes(), name
