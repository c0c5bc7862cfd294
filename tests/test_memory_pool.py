"""Memory that goes from call to call is never that of a result that somebody still has."""

from __future__ import annotations

import gc
import mmap
import os
import time

import loky
import numpy as np
import pytest

from rampfit_numba import Exposure, fit_ramps
from rampfit_numba.engine import memory_pool, shared
from rampfit_numba.engine.memory_pool import MemoryPool, PrivateMemory, private_allocator
from rampfit_numba.engine.pool import pool
from rampfit_numba.file_arrays import mapped
from rampfit_numba.mapped_arrays import as_file_array
from tests.scripts import LINUX

KINDS = [("none", None), (2, "threads"), (2, "processes")]
IDS = ["serial", "threads", "processes"]
SHAPE = (2, 4, 400, 700)  # planes of more than a mebibyte


@pytest.fixture(autouse=True)
def _two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loky, "cpu_count", lambda *_, **__: 2)  # on any machine


def exposure_of(slope: float) -> Exposure:
    ramp = 100 + slope * np.arange(SHAPE[1], dtype=np.float32)
    return Exposure(np.broadcast_to(ramp[:, None, None], SHAPE), None, group_time=1.0)


def fitted(slope: float, kind: tuple[str | int, str | None], **options: object):
    return fit_ramps(exposure_of(slope), 12.0, 2.0, maximum_cores=kind[0], executor=kind[1], **options)


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
@pytest.mark.parametrize("algorithm", ["ols", "likely"])
def test_results_that_are_kept_stay(kind, algorithm):
    """Also views of results, and results of which only a part is kept."""
    options = {"algorithm": algorithm}
    kept = fitted(10.0, kind, **options)
    view = fitted(20.0, kind, **options).rateints.data[1, 5:7, ::3]
    plane = fitted(30.0, kind, **options).rate.data
    through_buffer = memoryview(fitted(40.0, kind, **options).rate.data)
    for slope in (50.0, 60.0, 70.0):
        fit = fitted(slope, kind, **options)
        np.testing.assert_allclose(fit.rate.data, slope, rtol=1e-6)
        np.testing.assert_allclose(fit.rateints.data, slope, rtol=1e-6)
    np.testing.assert_allclose(kept.rate.data, 10, rtol=1e-6)
    np.testing.assert_allclose(kept.rateints.data, 10, rtol=1e-6)
    np.testing.assert_allclose(view, 20, rtol=1e-6)
    np.testing.assert_allclose(plane, 30, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(through_buffer), 40, rtol=1e-6)


@LINUX
@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_memory_of_results_that_are_gone_is_used_again(kind):
    gc.collect()  # what other tests left
    memory_pool._private.free()
    shared.pool.free()
    fit = fitted(10.0, kind)
    first = {
        address(plane) for planes in (fit.rate, fit.rateints) for plane in vars(planes).values() if plane is not None
    }
    del fit
    fit = fitted(20.0, kind)
    assert address(fit.rate.data) in first
    assert address(fit.rateints.data) in first


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_optional_results_are_zero_where_nothing_is_stored(kind):
    """Behind the last segment, also where the memory was in use before."""
    for _ in range(2):
        fit = fitted(10.0, kind)
        for plane in vars(fit.rateints).values():
            if plane is not None:
                plane.fill(77)
        del fit
        flags = np.zeros(SHAPE, np.uint8)
        flags[:, 2, 0, 0] = 4
        ramp = 100 + 10 * np.arange(SHAPE[1], dtype=np.float32)
        exposure = Exposure(np.broadcast_to(ramp[:, None, None], SHAPE), flags, group_time=1.0)
        fit = fit_ramps(exposure, 12.0, 2.0, save_opt=True, maximum_cores=kind[0], executor=kind[1])
        assert fit.fitopt.slope.shape[1] == 2
        assert np.count_nonzero(fit.fitopt.slope[:, 1]) == SHAPE[0]
        assert np.count_nonzero(fit.fitopt.crmag) == SHAPE[0]


@LINUX
def test_memory_of_optional_results_is_used_again_and_cleared():
    flags = np.zeros(SHAPE, np.uint8)
    flags[:, 2] = 4

    def segments(flags):
        return fit_ramps(Exposure(exposure_of(10.0).data, flags, group_time=1.0), 12.0, 2.0, save_opt=True).fitopt

    gc.collect()
    memory_pool._private.free()
    found = segments(flags)
    first = {address(plane) for plane in vars(found).values()}
    assert np.all(found.slope[:, 1])
    del found
    flags[..., 1:] = 0
    found = segments(flags)
    assert address(found.slope) in first
    assert np.all(found.slope[:, 1, :, 0])
    for plane in (found.slope, found.weights, found.var_rnoise):
        assert not plane[:, 1, :, 1:].any()
    assert not found.crmag[..., 1:].any()


def test_blocks_are_chosen_and_kept():
    pool = MemoryPool(PrivateMemory)
    small, large = pool.acquire(1000), pool.acquire(10_000)
    pool.release(small)
    pool.release(large)
    assert pool.acquire(6000) is large
    assert pool.acquire(5000) is not large
    assert pool.acquire(600) is small
    assert pool.acquire(1000) is not small
    pool.release(small)
    assert pool.acquire(400) is not small, "a piece that is much too large"
    assert [piece for _, piece in pool._blocks] == [small]
    pool.free()
    assert not pool._blocks


def test_blocks_that_wait_for_long_are_freed(monkeypatch):
    monkeypatch.setattr(memory_pool, "IDLE", 0.2)
    pool = MemoryPool(PrivateMemory)
    pieces = [pool.acquire(1000) for _ in range(2)]
    for piece in pieces:
        pool.release(piece)
    deadline = time.monotonic() + 100
    while pool._blocks and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not pool._blocks


def test_blocks_are_bounded(monkeypatch):
    pool = MemoryPool(PrivateMemory)
    pieces = [pool.acquire(4096) for _ in range(40)]
    for piece in pieces:
        pool.release(piece)
    assert len(pool._blocks) == memory_pool._MOST_BLOCKS
    monkeypatch.setattr(memory_pool, "_MOST_BYTES", 10_000)
    pool.release(pieces[0])
    assert sum(piece.size for _, piece in pool._blocks) <= 10_000
    pool.free()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_memory_of_another_process_is_not_kept():
    """A forked child that drops what it inherited must not write there: its parent may."""
    pool = MemoryPool(PrivateMemory)
    piece = pool.acquire(4096)
    piece.owner = os.getpid() + 1
    pool.release(piece)
    assert not pool._blocks


def test_small_arrays_are_ordinary():
    allocator = private_allocator(0, 0)
    assert allocator.empty((3, 4), np.float32).base is None
    assert allocator.empty((0, 4), np.float32).shape == (0, 4)


@LINUX
def test_many_results_hold_few_descriptors():
    """Whoever collects results of worker processes gets ordinary arrays in the end."""
    results = [fitted(float(number), (2, "processes")) for number in range(40)]
    assert len(shared._ENTRIES) <= shared._MOST_BLOCKS + 3
    for number, fit in enumerate(results):
        np.testing.assert_allclose(fit.rate.data[::50, ::50], number, rtol=1e-6, atol=1e-6)
    shared.pool.free()


@LINUX
def test_workers_neither_collect_what_stays_nor_count_maps_as_leaks():
    def fits_and_frozen():
        return len(shared._maps), gc.get_freeze_count()

    executor, _ = pool.take(2)
    try:
        deadline, fits = time.monotonic() + 100, 0
        while not fits and time.monotonic() < deadline:  # a worker that starts late may have had no slice yet
            fitted(10.0, (2, "processes"))
            fits, frozen = executor.submit(fits_and_frozen).result()
        assert fits
        assert frozen > 10_000
        assert executor.submit(os.getenv, "LOKY_MAX_MEMORY_LEAK_SIZE").result() == "1e18"
    finally:
        pool.give_back(executor)


class _NoLargePages(mmap.mmap):
    def madvise(self, *_):
        raise OSError(22, "Invalid argument")


def test_systems_without_large_pages(monkeypatch):
    monkeypatch.setattr(memory_pool.mmap, "mmap", _NoLargePages)
    array = private_allocator(0, 0).empty((1024, 1024), np.float32)
    array[...] = 1
    assert array.all()


def test_too_little_memory_is_said():
    with pytest.raises(MemoryError, match=r"no memory for a result of [0-9]+ bytes"):
        private_allocator(0, 0).empty((1 << 30, 1 << 30), np.float32)


@LINUX
def test_failures_of_a_task_are_not_blamed_on_its_file(tmp_path):
    path = tmp_path / "ramp.npy"
    np.save(path, np.zeros((4, 5), np.float32))
    source = as_file_array(np.load(path, mmap_mode="r"))

    def task():
        with mapped([source, None]) as (array, nothing):
            assert nothing is None
            assert not array.any()
            raise PermissionError(13, "a cache")

    with pytest.raises(PermissionError, match="a cache"):
        task()
