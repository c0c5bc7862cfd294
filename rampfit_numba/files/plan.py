"""How many files are fitted: their rows shared out, one file after the other, or several files at once."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rampfit_numba.engine.cores import count_workers, threads_worth
from rampfit_numba.engine.executors import usable_kind
from rampfit_numba.engine.memory import memory_budget
from rampfit_numba.engine.pool import pool

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# One worker's time (bench_files.py): what 2x20x1024x1032 (212 MB) take beside what any file takes; the latter, which
# 1x5x64x64 take and which holds Python's lock, for which threads wait; how many times as long a file takes a worker
# process, one of two (8.3 ms a file by both); and what it takes until these have started and loaded the machine code.
_SECONDS_PER_BYTE = 0.5e-9
_LOCKED_SECONDS = 0.012
_IN_A_PROCESS = 1.38
_START_SECONDS = 0.8
#: More than there are anywhere: rows of a file may have more workers than there are files.
_MOST_WORKERS = 1 << 20
#: How much larger than the others' mean the largest of as many files as there are workers may be.
_ALIKE = 1.25


@dataclass(frozen=True)
class Plan:
    """How files are fitted.

    Attributes
    ----------
    files : int
        How many are fitted at once; 1: the rows of each are shared out.
    kind : str
        Where several are: "threads" or "processes".
    budget : int
        Bytes of files that may be worked on at once.
    """

    files: int
    kind: str
    budget: int

    def __str__(self) -> str:
        if self.files == 1:
            return "one file after the other, its rows shared out"
        return f"{self.files} files at a time, in {self.kind}"


def make_plan(sizes: Sequence[int], options: dict[str, Any], *, fits_wanted: bool = False) -> Plan:
    """Return how files of these sizes, in bytes, are fitted fastest by the workers that `options` allow.

    Files at once need no handing over of arrays, and read and write at once as well; but there must be enough of them
    that no worker is left without, or one of the same size for each, or they must be so small that more can be at work
    on files than on the rows of one; and they must fit into the budget together. An executor of the caller's gets rows.
    Threads start at once, but hold each other up where files are small; processes are worth it for many files, or where
    they run already.

    Parameters
    ----------
    sizes : sequence of int
    options : dict
        `maximum_cores`, `executor` and `max_memory` of :func:`rampfit_numba.fit_files`.
    fits_wanted : bool
        Whether the fits themselves are needed in this process.
    """
    executor = options.get("executor")
    budget = memory_budget(options.get("max_memory"))
    workers = count_workers(options.get("maximum_cores", "none"), _MOST_WORKERS)
    largest = sum(sorted(sizes)[-workers:])
    # Processes would begin with the second file, when the first one is fitted.
    one_each = len(sizes) == workers and max(sizes) * workers <= _ALIKE * sum(sizes) and executor != "processes"
    enough = len(sizes) >= 2 * workers or one_each
    if not enough and executor is None and sizes:
        on_rows, on_files = min(workers, threads_worth(max(sizes))), min(workers, len(sizes))
        enough = on_files > on_rows
        workers = on_files if enough else workers
    if workers == 1 or isinstance(executor, Executor) or not enough or largest > budget:
        return Plan(1, "threads", budget)
    first, *others = (_LOCKED_SECONDS + _SECONDS_PER_BYTE * size for size in sizes)
    in_threads = max((first + sum(others)) / workers, _LOCKED_SECONDS * len(sizes))
    # The first file is fitted before the others, in this process.
    in_processes = first + _IN_A_PROCESS * sum(others) / workers + (0 if pool.runs(workers) else _START_SECONDS)
    wanted = executor or ("threads" if one_each or in_threads <= in_processes else "processes")
    kind = "threads" if fits_wanted or usable_kind(wanted, workers) != "processes" else "processes"
    return Plan(workers, kind, budget)


def file_size(path: Path) -> int:
    """Return the bytes of a file; 0 of one that cannot be looked at, which is told when its turn comes."""
    try:
        return path.stat().st_size
    except (OSError, ValueError):  # a name that no file can have
        return 0
