"""Temporary files: locked while their process lives, swept when it was killed."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from rampfit_numba.io import temporary_files
from rampfit_numba.io.outputs import check_outputs
from rampfit_numba.io.scratch import Scratch
from rampfit_numba.io.temporary_files import TemporaryFile, sweep
from rampfit_numba.io.whole_files import write_all
from tests.scripts import PACKAGE_FOLDER


def left_behind(folder, *, text="half a product"):
    """Make a temporary file that nobody holds, as a killed process leaves it."""
    temporary = TemporaryFile(folder)
    temporary.path.write_text(text)
    return temporary


def age(path, days):
    """Make a file look old: its time of change cannot be set, so the clock is put forward."""
    then = time.time() - days * 86400
    os.utime(path, (then, then))


def later(monkeypatch, days):
    now = time.time
    monkeypatch.setattr(temporary_files.time, "time", lambda: now() + days * 86400)


def test_a_file_that_nobody_holds_is_swept(tmp_path, caplog):
    caplog.set_level("INFO", "rampfit_numba")
    path = left_behind(tmp_path).path
    assert sweep(tmp_path) == [path]
    assert not list(tmp_path.iterdir())
    assert f"{path}: removed; a run that was killed had left it" in caplog.text


def test_a_file_that_is_being_written_stays(tmp_path):
    temporary = TemporaryFile(tmp_path)
    with temporary.create() as file:
        file.write(b"half")
        file.flush()
        assert sweep(tmp_path) == []
    assert sweep(tmp_path) == []  # whole, and about to get its name
    assert temporary.path.read_bytes() == b"half"
    temporary.remove()
    assert not list(tmp_path.iterdir())


def test_a_mark_that_was_removed_stays_so(tmp_path, monkeypatch):
    """To remove it is how somebody stops a job: the next sign of life must not bring it back."""
    monkeypatch.setattr(temporary_files, "_LIVING", -1.0)
    mark = left_behind(tmp_path)
    age(mark.path, days=1)
    mark.live()
    assert time.time() - mark.path.stat().st_mtime < 3600
    mark.path.unlink()
    mark.live()
    assert list(tmp_path.iterdir()) == []


def test_room_is_written_where_the_system_claims_none(tmp_path, monkeypatch):
    """What is only a hole in a file ends the process when it is written through a map and the disk is full."""
    if hasattr(os, "posix_fallocate"):
        monkeypatch.delattr(os, "posix_fallocate")
    size = 3_000_001
    with Scratch(tmp_path, 0) as scratch:
        room = scratch.room(size, "results")
        assert len(room) == size
        blocks = sum(path.stat().st_blocks for path in tmp_path.iterdir())
        room.close()
    assert blocks * 512 >= size
    assert list(tmp_path.iterdir()) == []


def test_other_files_stay(tmp_path, monkeypatch):
    later(monkeypatch, days=400)
    name = TemporaryFile(tmp_path).path.name
    for other in ("x_rate.fits", ".hidden.tmp", "x.tmp", name[1:], name + "~", name.replace("rampfit", "ramfit")):
        (tmp_path / other).write_text("of somebody")
    os.mkfifo(tmp_path / name)
    (tmp_path / TemporaryFile(tmp_path).path.name).mkdir()
    (tmp_path / TemporaryFile(tmp_path).path.name).symlink_to(tmp_path / "x_rate.fits")
    before = sorted(tmp_path.iterdir())
    assert sweep(tmp_path) == []
    assert sorted(tmp_path.iterdir()) == before


def test_files_of_another_user_stay(tmp_path, monkeypatch):
    path = left_behind(tmp_path).path
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    assert sweep(tmp_path) == []


@pytest.mark.parametrize("locks", [True, False])
def test_files_of_another_machine_are_swept_after_a_day(tmp_path, monkeypatch, locks):
    """Its locks need not be seen here."""
    path = left_behind(tmp_path).path.rename(tmp_path / f".rampfit-0badcafe-{'0' * 32}.tmp")
    if not locks:
        monkeypatch.setattr(fcntl, "flock", refuse_locks)
    for days, swept in ((0, []), (0.9, []), (1.1, [path])):
        with monkeypatch.context() as patch:
            later(patch, days)
            assert sweep(tmp_path) == swept


def refuse_locks(*_):
    raise OSError(95, "Operation not supported")


def test_where_there_are_no_locks_files_are_written_and_swept_after_a_day(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", refuse_locks)
    write_all([(tmp_path / "x.fits", b"whole")])
    assert [path.name for path in tmp_path.iterdir()] == ["x.fits"]
    path = left_behind(tmp_path).path
    assert sweep(tmp_path) == []
    later(monkeypatch, days=1.1)
    assert sweep(tmp_path) == [path]


def test_an_old_product_that_was_to_be_restored_stays_for_a_day(tmp_path, monkeypatch):
    """A running process needs it for the blink of an eye, and has no lock on it."""
    product = tmp_path / "x_rate.fits"
    product.write_text("a year old")
    age(product, days=365)
    old = TemporaryFile(tmp_path).old
    os.link(product, old)
    assert sweep(tmp_path) == []
    later(monkeypatch, days=1.1)
    assert sweep(tmp_path) == [old]
    assert product.read_text() == "a year old"


def test_a_sweep_between_making_and_locking_is_noticed(tmp_path, monkeypatch):
    """The file is made again under another name."""
    flock, swept = fcntl.flock, []

    def slow(number, operation):
        if not swept:
            swept.append(None)
            swept[:] = sweep(tmp_path)
        flock(number, operation)

    monkeypatch.setattr(fcntl, "flock", slow)
    write_all([(tmp_path / "x.fits", b"whole")])
    assert len(swept) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["x.fits"]
    assert (tmp_path / "x.fits").read_bytes() == b"whole"


def test_a_folder_that_cannot_be_read_is_left_alone(tmp_path):
    assert sweep(tmp_path / "missing") == []
    (tmp_path / "file").write_text("no folder")
    assert sweep(tmp_path / "file") == []


KILLED = """
    import os, sys
    from pathlib import Path
    from rampfit_numba.io.whole_files import write_all

    class Endless:
        def write_to(self, file):
            file.write(b"half")
            file.flush()
            print("writing", flush=True)
            sys.stdin.read()

    write_all([(Path("x_rate.fits"), b"whole"), (Path("x_rateints.fits"), Endless())])
"""


def test_what_a_killed_process_left_is_swept_by_the_next_run(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(KILLED)],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": PACKAGE_FOLDER},
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout.readline() == b"writing\n"
    assert sum(path.suffix == ".tmp" for path in tmp_path.iterdir()) == 4
    killed, running = processes
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    check_outputs([tmp_path / "y_rate.fits"])
    assert sum(path.suffix == ".tmp" for path in tmp_path.iterdir()) == 2  # those of the other one
    running.communicate()
    assert running.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x_rate.fits", "x_rateints.fits"]
