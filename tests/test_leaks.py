"""What many calls in one process leave behind: file descriptors, names in /dev/shm, threads, processes, memory.

The calls go to two worker processes, from arrays of alternating shapes and from a FITS file. After the first ones,
which start the workers and fill what is kept from call to call, nothing may grow.
"""

from __future__ import annotations

import gc
import os
import re
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import loky
import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import Exposure, fit_ramps, read_exposure
from rampfit_numba.engine import memory_pool, shared
from rampfit_numba.engine.pool import pool
from tests.scripts import LINUX
from tests.sizes import INTERPRETED

if TYPE_CHECKING:
    from collections.abc import Callable

    from rampfit_numba import RampFit

pytestmark = [LINUX, pytest.mark.skipif(INTERPRETED, reason="too large to interpret")]

#: Calls before the first count, in which every shape comes with and without optional results three times: what waits
#: for another call may be larger than what that needs, so it takes some until the pool is full. And calls after it.
WARM, CALLS = 45, 25
SHAPES = [(2, 10, 256, 258), (1, 6, 300, 512), (4, 5, 128, 516), (1, 20, 64, 64)]
MIB = 2**20
#: What may be more at the end than after the first calls, of everything that is counted. Memory: fragments of the
#: allocator's; one result lost in every call would be 60 MiB.
ALLOWED = {
    "file descriptors": 0,
    "file descriptors of workers": 0,
    "names in /dev/shm": 0,
    "threads": 0,
    "processes": 0,
    "memory (MiB)": 24,
    "memory of workers (MiB)": 24,
}


def children() -> list[int]:
    """Return all descendants of this process."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text(encoding="utf-8")
        except OSError:  # it has ended meanwhile
            continue
        parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(folder.name))
    found, new = [], [os.getpid()]
    while new:
        new = [child for parent in new for child in parents.get(parent, [])]
        found += new
    return sorted(found)


def resident(process: int) -> float:
    """Return the private memory of a process that is resident, in MiB."""
    fields = re.findall(
        r"^Private_\w+:\s+(\d+) kB", Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8"), re.MULTILINE
    )
    return sum(map(int, fields)) * 1024 / MIB


def open_files(process: int | str) -> int:
    """Return how many file descriptors a process has."""
    return sum(1 for _ in Path(f"/proc/{process}/fd").iterdir())


def open_files_of(processes: list[int]) -> int:
    """Return how many file descriptors processes have together, each piece of shared memory counted once.

    A worker that had nothing to do for a while, on a busy machine, maps a piece later than the others: no leak.
    """
    others, pieces = 0, set()
    for process in processes:
        for entry in Path(f"/proc/{process}/fd").iterdir():
            try:
                target, inode = str(entry.readlink()), entry.stat().st_ino
            except OSError:  # closed meanwhile
                continue
            if target.startswith("/memfd:"):
                pieces.add(inode)
            else:
                others += 1
    return others + len(pieces)


def shared_names(processes: list[int]) -> set[str]:
    """Return the names in /dev/shm that `processes` made or have mapped; others may be at work on this machine."""
    folder = Path("/dev/shm")  # noqa: S108  (not a temporary file of ours)
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    maps = "".join(Path(f"/proc/{process}/maps").read_text(encoding="utf-8", errors="replace") for process in processes)
    return {
        name
        for name in names
        if f"{folder}/{name}" in maps or {int(n) for n in re.findall(r"\b\d+\b", name)} & set(processes)
    }


def count() -> dict[str, float]:
    """Count everything that could leak; once more where a process has ended while it was looked at."""
    while True:
        try:
            return _count()
        except (FileNotFoundError, ProcessLookupError):
            time.sleep(0.1)


def _count() -> dict[str, float]:
    gc.collect()
    others = children()
    return {
        "file descriptors": open_files("self"),
        "file descriptors of workers": open_files_of(others),
        "names in /dev/shm": len(shared_names([os.getpid(), *others])),
        "threads": threading.active_count(),
        "processes": len(others),
        "memory (MiB)": resident(os.getpid()),
        "memory of workers (MiB)": sum(resident(process) for process in others),
    }


def exposures(folder: Path) -> list[Exposure | Path]:
    """Return exposures in memory, and a file with one."""
    rng = np.random.default_rng(20240711)
    arrays: list[Exposure | Path] = []
    for shape in SHAPES:
        data = np.cumsum(rng.poisson(60.0, shape), axis=1).astype(np.float32)
        flags = rng.choice(np.array([0, 1, 2, 4], np.uint8), shape, p=[0.94, 0.02, 0.02, 0.02])
        arrays.append(Exposure(data, flags, 3.0))
    primary = fits.PrimaryHDU()
    primary.header.update({"INSTRUME": "NIRCAM", "TGROUP": 3.0, "TFRAME": 3.0, "NFRAMES": 1})
    sci, dq = (fits.ImageHDU(array, name=name) for array, name in ((data, "SCI"), (flags, "GROUPDQ")))
    fits.HDUList([primary, sci, dq]).writeto(folder / "leaks_jump.fits")
    return [*arrays, folder / "leaks_jump.fits"]


def start_workers(folder: Path) -> None:
    """Return when all workers work: one that starts late, on a busy machine, would do so between the two counts."""

    def meet(name: str) -> None:
        (folder / name).touch()
        while len(list(folder.glob("worker *"))) < workers:
            time.sleep(0.01)

    executor, workers = pool.take(2)  # more, where another test has asked for more
    try:
        for here in [executor.submit(meet, f"worker {number}") for number in range(workers)]:
            here.result()
    finally:
        pool.give_back(executor)


def grown(
    inputs: list[Exposure | Path],
    lose: Callable[[RampFit], None] = lambda _: None,
    wanted: Callable[[dict[str, float]], bool] = lambda found: not found,
) -> dict[str, float]:
    """Fit `inputs` in turn, and return what there is more of at the end than is allowed, and how much more.

    What comes and goes, as a timer's thread does whose next one has started, is counted again until it is as `wanted`.
    """
    before: dict[str, float] = {}
    for call in range(WARM + CALLS):
        one = inputs[call % len(inputs)]
        exposure = read_exposure(one) if isinstance(one, Path) else one
        fit = fit_ramps(exposure, 12.0, 2.0, save_opt=call % 3 == 0, maximum_cores=2, executor="processes")
        lose(fit)
        del exposure, fit
        if call == WARM - 1:
            before = count()
    end = time.monotonic() + 20
    while True:
        after = count()
        more = {name: after[name] - before[name] for name in ALLOWED}
        found = {name: growth for name, growth in more.items() if growth > ALLOWED[name]}
        if wanted(found) or time.monotonic() > end:
            return found
        time.sleep(0.2)


@pytest.fixture(autouse=True)
def _no_memory_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let that go now: it waits for two minutes, and would go while something is counted. What comes now does not."""
    monkeypatch.setattr(memory_pool, "IDLE", 300.0)
    memory_pool._private.free()
    shared.pool.free()


@pytest.fixture(autouse=True)
def _two_workers(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setattr(loky, "cpu_count", lambda *_, **__: 2)  # on any machine
    start_workers(tmp_path_factory.mktemp("workers"))


def test_many_calls_leave_nothing_behind(tmp_path):
    assert grown(exposures(tmp_path)) == {}


def test_lost_file_descriptors_are_noticed(tmp_path):
    lost: list[int] = []
    expected = {"file descriptors": CALLS}
    try:
        found = grown(
            exposures(tmp_path),
            lose=lambda _: lost.append(os.open("/dev/null", os.O_RDONLY)),
            wanted=lambda found: found == expected,
        )
    finally:
        for descriptor in lost:
            os.close(descriptor)
    assert found == expected


def test_lost_results_are_noticed(tmp_path):
    lost: list[RampFit] = []
    found = grown(exposures(tmp_path), lose=lost.append, wanted=lambda found: "memory (MiB)" in found)
    assert "memory (MiB)" in found
