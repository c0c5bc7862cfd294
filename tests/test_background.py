"""What goes on in a thread beside a fit: nothing is lost, mixed up or left running."""

from __future__ import annotations

import os
import signal
import threading
import weakref
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from rampfit_numba import RampFileError
from rampfit_numba.checked_files import Stamp
from rampfit_numba.engine.background import Background, read_ahead
from rampfit_numba.file_arrays import FileArray


class Planes(NamedTuple):
    data: Any
    gain: Any = None


@pytest.fixture
def cube(tmp_path):
    """Return an array, and where it stands in a file."""
    values = np.arange(3 * 11 * 4, dtype=">f4").reshape(3, 11, 4)
    path = tmp_path / "x.bin"
    path.write_bytes(b"before" + values.tobytes())
    return values, FileArray(str(path), Stamp.of(path.stat()), values.dtype, 6, values.shape, 0, 11)


def parts(place, gain, heights):
    """Return parts of some rows each."""
    edges = np.cumsum([0, *heights])
    return [Planes(place.rows(slice(*pair)), gain) for pair in pairwise(edges)]


@pytest.mark.parametrize("heights", [(11,), (4, 4, 3), (1, 4, 2, 4), ()])
def test_parts_are_those_of_the_array(cube, heights):
    values, place = cube
    gain = np.ones(3)
    with read_ahead(parts(place, gain, heights)) as found:
        seen = []
        for part in found:
            assert part.gain is gain
            seen.append(part.data.copy())
    assert np.array_equal(np.concatenate([values[:, :0], *seen], axis=1), values[:, : sum(heights)])


def test_a_part_is_whole_until_the_next_one_is_asked_for(cube, monkeypatch):
    """Meanwhile the next one is read, and no other."""
    values, place = cube
    read, came = FileArray.read, threading.Semaphore(0)
    reads = []

    def note(self, buffer):
        found = read(self, buffer)
        reads.append(self.start)
        came.release()
        return found

    monkeypatch.setattr(FileArray, "read", note)
    with read_ahead(parts(place, None, [1] * 11)) as found:
        for row, part in enumerate(found):
            wanted = min(row + 2, 11)
            while len(reads) < wanted:
                assert came.acquire(timeout=60)
            assert reads == list(range(wanted))
            assert np.array_equal(part.data[:, 0], values[:, row])


def test_a_file_that_changes_is_told_with_the_part(cube):
    _, place = cube
    with read_ahead(parts(place, None, [4])) as found, Path(place.path).open("ab") as file:
        next(found)
        file.write(b"more")
    with (
        read_ahead(parts(place, None, [4])) as found,
        pytest.raises(RampFileError, match=r"x\.bin: was changed while it was read"),
    ):
        next(found)


def test_without_threads_all_is_done_in_turn(cube, monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    values, place = cube
    with read_ahead(parts(place, None, [4, 4, 3])) as found:
        assert np.array_equal(np.concatenate([part.data.copy() for part in found], axis=1), values)
    done = []
    with Background("x") as background:
        background.start(done.append, 1)
        assert done == [1]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ZeroDivisionError])
def test_a_failure_is_raised_where_the_next_call_would_begin(failure):
    def fail():
        raise failure

    done = []
    with Background("x") as background:
        background.start(fail)
        with pytest.raises(failure):
            background.start(done.append, 1)
    assert done == []
    with pytest.raises(failure), Background("x") as background:
        background.start(fail)


class Work:
    """A call that waits for the word to begin, and has then done something."""

    def __init__(self):
        self.begin, self.done = threading.Event(), []

    def __call__(self):
        self.begin.wait(60)
        self.done.append(1)


def test_a_call_has_ended_when_the_block_has():
    """Whatever ends that: the files that it writes are closed next."""
    work = Work()

    def interrupted():
        with Background("x") as background:
            background.start(work)
            threading.Timer(0.05, work.begin.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert work.done == [1]
    with Background("x") as background:
        background.start(work.done.append, 2)
    assert work.done == [1, 2]


def test_an_interrupt_while_one_waits_does_not_leave_the_call_behind(monkeypatch):
    """Python takes a thread for ended where Ctrl-C comes to who waits for it."""
    work, join, waits = Work(), Background._join, []

    def waiting(background):
        waits.append(background)
        if len(waits) == 1:
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        else:  # the signal has come: not before that is the call let go on
            threading.Timer(0.4, work.begin.set).start()
        join(background)

    def interrupted():
        with Background("x") as background:
            background.start(work)
            background.wait()

    monkeypatch.setattr(Background, "_join", waiting)
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert work.done == [1]
    assert len(waits) == 2


def test_what_a_call_was_given_is_free_when_it_has_ended():
    values = np.zeros(3)
    gone = weakref.ref(values)
    with Background("x") as background:
        background.start(np.sum, values)
        del values
        background.wait()
        assert gone() is None
