"""Chunks of a file are read while others are fitted: where that was asked for, and nowhere else."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np
import pytest

from rampfit_numba import fit_files, fit_ramps, read_exposure
from rampfit_numba.checked_files import Stamp
from rampfit_numba.engine import chunks, executors
from rampfit_numba.engine.executors import reading_ahead, run_rows
from rampfit_numba.file_arrays import FileArray
from tests.make_files import ramp_hdulist, save

READER = "rampfit-reader"


class Planes(NamedTuple):
    data: Any
    gain: Any = None


@pytest.fixture
def cube(tmp_path):
    """Return an array of 11 rows of 48 bytes, and where it stands in a file."""
    values = np.arange(3 * 11 * 4, dtype=">f4").reshape(3, 11, 4)
    path = tmp_path / "x.bin"
    path.write_bytes(values.tobytes())
    return values, FileArray(str(path), Stamp.of(path.stat()), values.dtype, 0, values.shape, 0, 11)


@pytest.fixture
def chunks_of_two_rows(monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 2 * 48)
    monkeypatch.setattr(chunks, "PIECE_BYTES", 1)


@pytest.fixture
def readers(monkeypatch):
    """Note the names of the threads that read."""
    read, names = FileArray.read, []

    def note(self, buffer=None):
        names.append(threading.current_thread().name)
        return read(self, buffer)

    monkeypatch.setattr(FileArray, "read", note)
    return names


class Seen:
    """A task that keeps what it was given."""

    def __init__(self):
        self.parts, self.threads = [], []

    def __call__(self, inputs, outputs):
        self.parts.append(inputs.data.copy())
        self.threads.append(threading.current_thread())
        outputs.data[...] = inputs.data
        return len(self.parts)


def run(place, task, **options):
    """Run a task on the rows of a file; return what it wrote, and what run_rows returned."""
    written = np.zeros(place.shape, place.dtype)
    options = {"nrows": 11, "workers": 1, "max_memory": 1 << 20} | options
    return written, run_rows(task, Planes(place), Planes(written), **options)


@pytest.mark.usefixtures("chunks_of_two_rows")
class TestRows:
    def test_one_chunk_is_read_while_the_one_before_is_fitted(self, cube, readers):
        values, place = cube
        task = Seen()
        with reading_ahead():
            written, returned = run(place, task)
        assert np.array_equal(written, values)
        assert returned == [1, 2, 3, 4, 5, 6]
        assert [part.shape[-2] for part in task.parts] == [2, 2, 2, 2, 2, 1]
        assert readers[1:] == [READER] * 5
        assert set(task.threads) == {threading.main_thread()}

    def test_only_where_it_was_asked_for(self, cube, readers):
        values, place = cube
        with reading_ahead():
            pass
        assert np.array_equal(run(place, Seen())[0], values)
        assert READER not in readers

    def test_only_by_the_thread_that_asked(self, cube, readers):
        _, place = cube
        with reading_ahead():
            other = threading.Thread(target=run, args=(place, Seen()))
            other.start()
            other.join()
        assert len(readers) == 6
        assert READER not in readers

    def test_not_by_several_workers(self, cube, readers):
        values, place = cube
        with reading_ahead():
            written, _ = run(place, Seen(), workers=2, executor="threads")
        assert np.array_equal(written, values)
        assert READER not in readers

    @pytest.mark.parametrize(("budget", "heights"), [(4 * 48, [2, 2, 2, 2, 2, 1]), (2 * 48, [1] * 11)])
    def test_two_chunks_take_no_more_than_the_budget(self, cube, readers, budget, heights):
        values, place = cube
        task = Seen()
        with reading_ahead():
            written, _ = run(place, task, max_memory=budget)
        assert np.array_equal(written, values)
        assert [part.shape[-2] for part in task.parts] == heights
        assert READER in readers

    def test_where_two_rows_are_too_much_they_are_read_in_turn(self, cube, readers):
        values, place = cube
        with reading_ahead():
            written, _ = run(place, Seen(), max_memory=2 * 48 - 1)
        assert np.array_equal(written, values)
        assert READER not in readers

    def test_a_failing_task_leaves_no_reader(self, cube):
        def fail(*_):
            raise ValueError("no")

        with reading_ahead(), pytest.raises(ValueError, match="no"):
            run(cube[1], fail)
        assert READER not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("options", [{}, {"algorithm": "likely"}, {"save_opt": True}], ids=str)
def test_fits_are_the_same_bits(tmp_path, monkeypatch, readers, options):
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 1)
    monkeypatch.setattr(chunks, "PIECE_BYTES", 1)
    save(ramp_hdulist(), tmp_path / "a_jump.fits")
    exposure = read_exposure(tmp_path / "a_jump.fits")
    expected = fit_ramps(exposure, 10.0, 2.0, **options)
    assert READER not in readers
    with reading_ahead():
        found = fit_ramps(exposure, 10.0, 2.0, **options)
    assert READER in readers
    for planes in ("rate", "rateints", "fitopt"):
        one, other = getattr(expected, planes), getattr(found, planes)
        for name, plane in vars(one).items() if one is not None else ():
            if isinstance(plane, np.ndarray):
                assert plane.tobytes() == getattr(other, name).tobytes(), name


@pytest.mark.parametrize(("cores", "ahead"), [(1, True), (2, False)])
def test_of_files_fitted_one_at_a_time_the_next_rows_are_read(tmp_path, monkeypatch, readers, cores, ahead):
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 1)
    monkeypatch.setattr(chunks, "PIECE_BYTES", 1)
    monkeypatch.setattr("loky.cpu_count", lambda *_, **__: 2)  # on any machine
    files = [tmp_path / f"{letter}_jump.fits" for letter in "abcd"]
    for file in files:
        save(ramp_hdulist(), file)
    options = {"maximum_cores": cores, "executor": "threads", "output_dir": tmp_path / "out"}
    assert all(fit_files(files, 10.0, 2.0, **options))
    assert (READER in readers) is ahead


@pytest.mark.parametrize(
    ("nbytes", "workers", "bar", "count"),
    [
        (100 << 10, 1, True, 1),  # each slice costs more than it takes to fit such rows
        (100 << 20, 1, True, 6),
        (100 << 20, 1, False, 1),
        (1 << 30, 1, True, 16),
        (212 << 20, 2, True, 2 * 6),
        (100 << 10, 2, True, 2 * 2),
        (212 << 20, 2, False, 2 * 2),
        (1 << 30, 2, False, 2 * 10),
        (1 << 40, 2, False, 2 * 16),
    ],
)
def test_slices_are_of_some_size(monkeypatch, nbytes, workers, bar, count):
    sizes = []
    monkeypatch.setattr(executors, "_run_here", lambda *args: sizes.append(len(args[3])) or [])
    monkeypatch.setattr(executors, "_run_in_threads", lambda *args: sizes.append(len(args[3])) or [])
    data = np.broadcast_to(np.zeros((), np.uint8), (nbytes >> 10, 1 << 10))
    run_rows(print, Planes(data), None, nrows=len(data), workers=workers, executor="threads", progress=bar)
    assert sizes == [count]
