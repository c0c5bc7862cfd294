"""Lazy fits of dask arrays: every bit is that of fit_ramps, whatever the blocks and wherever they are fitted."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tracemalloc
import warnings
import weakref

import numpy as np
import pytest

from rampfit_numba import Exposure, RampFitWarning, fit_ramps, simulate_exposure
from rampfit_numba.reads import ReadCorrections
from tests.cases import run_engine, with_usable_range
from tests.random_exposures import random_case

pytestmark = pytest.mark.dask
dask = pytest.importorskip("dask", reason="needs the extra dask")
da = pytest.importorskip("dask.array", reason="needs the extra dask")
lazily = pytest.importorskip("rampfit_numba.dask", reason="needs the extra dask").fit_ramps

#: Of an Exposure, beside its arrays.
TIMES = ("group_time", "frame_time", "nframes", "groupgap", "drop_frames1", "read_times", "instrument")


@pytest.fixture(autouse=True)
def _one_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture(scope="module")
def simulation():
    return simulate_exposure(2, 10, 40, 48, seed=4)


def in_blocks(array, rows, columns):
    if array is None:
        return None
    return da.from_array(array, chunks=(*array.shape[:-2], rows, columns))


def fit_lazily(exposure, readnoise, gain, rows=7, columns=13, **options):
    arrays = {
        name: in_blocks(getattr(exposure, name), rows, columns)
        for name in ("data", "groupdq", "pixeldq", "average_dark_current", "zeroframe")
    }
    times = {name: getattr(exposure, name) for name in TIMES}
    data, groupdq = arrays.pop("data"), arrays.pop("groupdq")
    units = {"data_unit": exposure.data_unit, "dark_current_unit": exposure.dark_current_unit}
    kept = {"header": exposure.header, "corrections": exposure.corrections}
    return lazily(data, groupdq, readnoise, gain, **arrays, **times, **units, **kept, **options)


def assert_same_bits(expected, fit):
    assert fit.options == expected.options
    assert fit.nothing_to_fit == expected.nothing_to_fit
    pairs = [((expected.groupdq, fit.groupdq), "groupdq")]
    for kind in ("rate", "rateints", "fitopt"):
        one, other = getattr(expected, kind), getattr(fit, kind)
        assert (one is None) == (other is None)
        pairs += [((getattr(one, name), getattr(other, name)), f"{kind}.{name}") for name in (vars(one) if one else ())]
    for (one, other), name in pairs:
        assert (one is None) == (other is None), name
        if isinstance(one, np.ndarray):
            assert (one.dtype, one.shape) == (other.dtype, other.shape), name
            assert one.tobytes() == other.tobytes(), name


@pytest.mark.parametrize("seed", range(60))
def test_random_exposures_give_the_same_bits(seed):
    """With every rule for the exposure as a whole: edge groups, ranges, suppression, saturation, zeroframes."""
    case = with_usable_range(random_case(900 + seed, largest_size=20_000))
    exposure = Exposure(
        case.data,
        case.groupdq,
        case.group_time,
        pixeldq=case.pixeldq,
        nframes=case.nframes,
        groupgap=case.groupgap,
        drop_frames1=case.drop_frames1,
        average_dark_current=case.average_dark_current,
        zeroframe=case.zeroframe,
        instrument=case.instrument,
    )
    options = {
        "suppress_one_group": case.suppress_one_group,
        "firstgroup": case.firstgroup,
        "lastgroup": case.lastgroup,
        "save_opt": case.save_opt,
    }
    expected = silently(fit_ramps, exposure, case.readnoise, case.gain, **options)
    rng = np.random.default_rng(seed)
    rows, columns = (int(rng.integers(1, size + 1)) for size in case.shape[2:])
    rows, columns = max(rows, case.shape[2] // 4), max(columns, case.shape[3] // 4)
    lazy = silently(fit_lazily, exposure, case.readnoise, case.gain, rows, columns, **options)
    assert_same_bits(expected, silently(lazy.compute))


def silently(function, *arguments, **keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RampFitWarning)
        return function(*arguments, **keywords)


@pytest.mark.parametrize("edge", ["first", "last", "both", "all", "saturated"])
@pytest.mark.parametrize("instrument", ["MIRI", "NIRCAM"])
def test_what_a_block_cannot_know_is_found_in_all(edge, instrument, simulation):
    """Groups flagged in some blocks only stay; those flagged in all of them are left out."""
    whole = simulation.exposure
    for everywhere in (True, False):
        flags = whole.groupdq.copy()
        groups = {"first": [0], "last": [-1], "both": [0, -1], "all": range(10), "saturated": range(10)}[edge]
        flags[:, list(groups)] |= 2 if edge == "saturated" else 1
        if not everywhere:
            flags[..., -1, -1] = 0
        zeroframe = whole.data[:, 0] / 2
        exposure = Exposure(whole.data, flags, whole.group_time, instrument=instrument, zeroframe=zeroframe)
        expected = silently(fit_ramps, exposure, simulation.readnoise, simulation.gain, save_opt=True)
        lazy = fit_lazily(exposure, simulation.readnoise, simulation.gain, save_opt=True)
        assert_same_bits(expected, silently(lazy.compute))


@pytest.mark.parametrize(
    "options",
    [
        {"algorithm": "likely"},
        {"algorithm": "likely", "save_opt": True, "suppress_one_group": False},
        {"algorithm": "likely_joint", "save_opt": True, "chisq": True},
        {"algorithm": "likely_joint", "pedestal": (0.0, 10.0), "rejection_threshold": 5.0},
        {"chisq": True, "readnoise_kind": "single"},
        {"weighting": "uniform"},
        {"weighting": [(5, 0.4), (10, 1)], "errors": "weights", "firstgroup": 1},
    ],
    ids=str,
)
def test_every_option_gives_the_same_bits(options, simulation):
    exposure = simulation.exposure
    expected = fit_ramps(exposure, simulation.readnoise, simulation.gain, **options)
    assert_same_bits(expected, fit_lazily(exposure, simulation.readnoise, simulation.gain, **options).compute())


def test_units_raw_reads_and_other_types_give_the_same_bits(simulation):
    whole, image = simulation.exposure, simulation.exposure.shape[2:]
    gain = np.full(image, 1.8)
    gain[3, 5] = np.nan
    electrons = Exposure(
        whole.data * 1.8, whole.groupdq != 0, whole.group_time, data_unit="electron", instrument="MIRI"
    )
    corrections = ReadCorrections(saturation=np.full(image, 900.0), from_first=True, linearity=np.ones((2, *image)))
    reads = Exposure(whole.data.astype(np.uint16), None, whole.group_time, corrections=corrections)
    uneven = Exposure(whole.data, whole.groupdq, read_times=[1, 2, 4, 5, 7, 8, 9, 11, 12, 13])
    for exposure in (electrons, reads, uneven):
        for algorithm in ("ols", "likely"):
            expected = silently(fit_ramps, exposure, 12.0, gain, algorithm=algorithm)
            lazy = silently(fit_lazily, exposure, 12.0, da.from_array(gain, chunks=9), algorithm=algorithm)
            assert_same_bits(expected, silently(lazy.compute))


def test_nothing_is_read_before_it_is_asked_for_and_every_block_is_fitted_once(simulation, monkeypatch):
    from rampfit_numba.algorithms.likely import method

    read, fitted = [], []

    def reading(block):
        read.append(block.shape)
        return block

    def counted(inputs, outputs, rules):
        fitted.append(inputs.data.shape)
        return true_fit(inputs, outputs, rules)

    true_fit = method.fit_likely_rows
    monkeypatch.setattr(method, "fit_likely_rows", counted)
    whole = simulation.exposure
    data = in_blocks(whole.data, 20, 24).map_blocks(reading, dtype=np.float32, meta=np.empty((0,) * 4, np.float32))
    fit = lazily(data, whole.groupdq, simulation.readnoise, simulation.gain, whole.group_time, algorithm="likely")
    assert repr(fit) == ("<LazyRampFit: 2 integrations x 40 rows x 48 columns; algorithm 'likely'; lazy, in 4 blocks>")
    assert repr(fit.rateints).startswith("<LazyRate: 2 integrations x 40 rows x 48 columns; lazy")
    assert (read, fitted) == ([], [])
    significance = fit.rate.data / fit.rate.err
    assert np.isfinite(significance[:20, :24].compute()).any()
    assert (len(read), len(fitted)) == (1, 1)  # one block of four
    fit.compute()
    assert (len(read), len(fitted)) == (1 + 4, 1 + 4)
    kept = fit.persist()
    assert len(fitted) == 1 + 4 + 4
    kept.compute()
    assert len(fitted) == 1 + 4 + 4


def test_shapes_and_types_are_known_before(simulation):
    fit = fit_lazily(simulation.exposure, simulation.readnoise, simulation.gain, save_opt=True)
    result = fit.compute()
    for kind in ("rate", "rateints", "fitopt"):
        for name, plane in vars(getattr(result, kind)).items():
            if isinstance(plane, np.ndarray):
                lazy = getattr(getattr(fit, kind), name)
                assert lazy.dtype == lazy._meta.dtype == plane.dtype
                assert all(np.isnan(a) or a == b for a, b in zip(lazy.shape, plane.shape, strict=True))
                assert (name, kind) != ("data", "rate") or lazy.compute().tobytes() == plane.tobytes()


def test_planes_are_stored_as_those_of_any_dask_array(simulation):
    fit = fit_lazily(simulation.exposure, simulation.readnoise, simulation.gain, save_opt=True).persist()
    expected = fit.compute()
    planes = [(fit.rate.err, expected.rate.err), (fit.rateints.dq, expected.rateints.dq)]
    planes.append((fit.fitopt.slope.compute_chunk_sizes(), expected.fitopt.slope))  # how many segments is known now
    for lazy, plane in planes:
        room = np.zeros_like(plane)
        da.store(lazy, room)
        assert room.tobytes() == plane.tobytes()


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_schedulers_of_one_machine_give_the_same_bits(scheduler, simulation):
    expected = fit_ramps(simulation.exposure, simulation.readnoise, simulation.gain, save_opt=True)
    fit = fit_lazily(simulation.exposure, simulation.readnoise, simulation.gain, 20, 24, save_opt=True)
    assert_same_bits(expected, fit.compute(scheduler=scheduler, num_workers=2))


def test_arrays_and_results_in_a_clusters_memory_are_used_from_there(simulation):
    distributed = pytest.importorskip("distributed", reason="needs the extra dask")
    whole = simulation.exposure
    expected = fit_ramps(whole, simulation.readnoise, simulation.gain, save_opt=True)
    options = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": "127.0.0.1:0"}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster), dask.config.set(scheduler=None):
        times = {name: getattr(whole, name) for name in TIMES} | {"header": whole.header}
        data, flags = (in_blocks(array, 20, 24).persist() for array in (whole.data, whole.groupdq))
        planes = {"pixeldq": whole.pixeldq, "average_dark_current": whole.average_dark_current}
        fit = lazily(data, flags, simulation.readnoise, simulation.gain, **planes, **times, save_opt=True)
        assert_same_bits(expected, fit.persist().compute())


def test_tasks_take_no_array_along():
    """Not even one of zeros, of the size of the exposure, which pickles to that size."""
    exposure = Exposure(np.zeros((4, 30, 64, 64), np.float32), None, 3.0, zeroframe=np.zeros((4, 64, 64)))
    fit = fit_lazily(exposure, 12.0, 1.8, 64, 64)
    tasks = [task for key, task in fit.nothing_to_fit.dask.items() if "array" not in str(key)]
    assert len(pickle.dumps(tasks)) < 20_000


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.int8, np.uint16, np.int32, np.int64, np.uint64])
def test_building_takes_no_array_of_the_exposures_size(dtype):
    shape, blocks = (2, 30, 512, 512), (2, 30, 64, 512)
    arrays = {
        "pixeldq": da.zeros(shape[2:], dtype=dtype, chunks=blocks[2:]),
        "zeroframe": da.zeros((2, *shape[2:]), dtype=np.float32, chunks=(2, *blocks[2:])),
    }
    data, flags = (da.zeros(shape, dtype=kind, chunks=blocks) for kind in (np.float32, dtype))
    lazily(data, flags, 5.0, 2.0, 3.0, **arrays)  # imports
    tracemalloc.start()
    try:
        lazily(data, flags, 5.0, 2.0, 3.0, **arrays)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < np.prod(shape) / 2  # bytes: half an array of flags


@pytest.mark.parametrize("dtype", [bool, np.int16, np.uint32, np.int64])
def test_flags_of_any_type_are_those_of_bytes(dtype, simulation):
    exposure = simulation.exposure
    if dtype is bool:
        groupdq, pixeldq = exposure.groupdq > 0, exposure.data[0, 0] > np.median(exposure.data[0, 0])
    else:
        groupdq, pixeldq = exposure.groupdq.astype(dtype), (exposure.data[0, 0] > 0).astype(dtype) * 16
    expected = fit_ramps(Exposure(exposure.data, groupdq, exposure.group_time, pixeldq=pixeldq), 5.0, 2.0)
    arrays = [in_blocks(array, 16, 48) for array in (exposure.data, groupdq, pixeldq)]
    fit = lazily(*arrays[:2], 5.0, 2.0, exposure.group_time, pixeldq=arrays[2])
    assert_same_bits(expected, fit.compute())


@pytest.mark.parametrize(
    ("name", "value", "top"), [("groupdq", 256, 255), ("groupdq", -1, 255), ("pixeldq", -5, 2**32 - 1)]
)
def test_flags_beyond_their_bits_are_named_when_they_are_computed(name, value, top, simulation):
    exposure = simulation.exposure
    shapes = {"groupdq": exposure.shape, "pixeldq": exposure.shape[2:]}
    flags = {each: np.zeros(shape, np.int32) for each, shape in shapes.items()}
    flags[name][..., 3, 4] = value
    lazy = {each: in_blocks(array, 16, 48) for each, array in flags.items()}
    fit = lazily(in_blocks(exposure.data, 16, 48), readnoise=5.0, gain=2.0, group_time=3.0, **lazy)
    with pytest.raises(ValueError, match=rf"{name}: expected flags between 0 and {top}; got "):
        fit.compute()


def test_blocks_that_part_ramps_are_put_together_with_a_warning(simulation):
    whole = simulation.exposure
    expected = fit_ramps(whole, simulation.readnoise, simulation.gain)
    times = {name: getattr(whole, name) for name in TIMES}
    data = da.from_array(whole.data, chunks=(1, 5, 20, 48))
    with pytest.warns(RampFitWarning) as caught:
        fit = lazily(
            data, da.from_array(whole.groupdq, chunks=30), simulation.readnoise, simulation.gain,
            pixeldq=whole.pixeldq, average_dark_current=whole.average_dark_current, header=whole.header, **times,
        )  # fmt: skip
    said = [str(warning.message) for warning in caught]
    assert said[0].startswith("data: 2 x 2 blocks of integrations and groups are put together, which takes memory")
    assert said[1].startswith("groupdq: its blocks are others than those of data")
    assert all(warning.filename == __file__ for warning in caught)
    assert_same_bits(expected, fit.compute())


def test_no_block_waits_in_memory_for_the_last_one(simulation):
    """What all blocks are needed for is read for itself, whatever made the arrays, and let go."""
    whole = simulation.exposure
    alive, most = set(), []

    def reading(rows):
        block = whole.groupdq[:, :, rows : rows + 5].copy()
        alive.add(id(block))
        most.append(len(alive))
        weakref.finalize(block, alive.discard, id(block))
        return block

    made = [da.from_delayed(dask.delayed(reading)(rows), (2, 10, 5, 48), np.uint8) for rows in range(0, 40, 5)]
    flags = da.concatenate(made, axis=2)
    fit = lazily(in_blocks(whole.data, 5, 48), flags, 12.0, 1.8, 3.0, save_opt=True)
    total = fit.rate.dq.sum() + fit.fitopt.slope.sum(axis=(0, 2, 3)).sum()
    expected = fit_ramps(Exposure(whole.data, whole.groupdq, 3.0), 12.0, 1.8)
    assert fit.rate.dq.sum().compute() == expected.rate.dq.sum()
    total.compute()
    assert max(most) < 4, most


def test_nothing_to_fit_is_told_with_the_result(simulation):
    exposure = Exposure(simulation.exposure.data, np.full((2, 10, 40, 48), 2, np.uint8), 3.0)
    fit = fit_lazily(exposure, 12.0, 1.8)
    with pytest.warns(RampFitWarning, match="no ramp can be fitted: every ramp is saturated in its first group"):
        result = fit.compute()
    assert result.nothing_to_fit == fit.nothing_to_fit.compute() == "every ramp is saturated in its first group"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"data": np.zeros((1, 5, 4, 4))}, TypeError, "data: expected a dask array; got ndarray"),
        ({"groupdq": np.zeros((1, 5, 4, 3), np.uint8)}, ValueError, "groupdq: expected shape"),
        ({"gain": np.ones((4, 3))}, ValueError, "gain: expected a number or shape"),
        ({"readnoise": -1.0}, ValueError, "readnoise: expected a number above 0"),
        ({"readnoise": "nowhere.fits"}, ValueError, "nowhere.fits"),
        ({"group_time": None}, TypeError, "group_time: expected a number of seconds > 0"),
        ({"maximum_cores": 2}, TypeError, "maximum_cores: unknown option; expected some of frame_time"),
        ({"algorithm": "best"}, ValueError, "algorithm: expected one of"),
        ({"lastgroup": 9}, ValueError, "lastgroup: expected a group of the exposure"),
        ({"weighting": "uniform", "chisq": True}, ValueError, "chisq: with 'ols' there are chi-squares"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_wrong_is_said_at_once(changes, error, message):
    arguments = {"data": da.zeros((1, 5, 4, 4)), "groupdq": None, "readnoise": 12.0, "gain": 1.8, "group_time": 3.0}
    with pytest.raises(error, match=message):
        lazily(**(arguments | changes))


def test_unknown_shapes_are_refused():
    unknown = da.zeros((1, 5, 4, 4))[:, :, da.ones(4) > 0]
    with pytest.raises(ValueError, match="data: expected a known shape; got"):
        lazily(unknown, None, 12.0, 1.8, 3.0)


def test_without_dask_one_sentence_names_the_extra():
    code = "import sys; sys.modules['dask'] = None; import rampfit_numba.dask"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith(
        "ImportError: rampfit_numba.dask needs Dask, which is not installed: pip install '.[dask]'"
    )


def test_inputs_stay_as_they_were(simulation):
    before = simulation.exposure.data.tobytes(), simulation.exposure.groupdq.tobytes()
    fit_lazily(simulation.exposure, simulation.readnoise, simulation.gain, algorithm="likely").compute()
    assert (simulation.exposure.data.tobytes(), simulation.exposure.groupdq.tobytes()) == before


def test_the_engine_is_the_reference_of_these_tests():
    case = random_case(3, largest_size=2_000)
    assert silently(run_engine, case).rate.data.shape == case.shape[2:]
