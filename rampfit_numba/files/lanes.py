"""Several files at once in this process: one is fitted while the next one is read and the last one is written.

Of the one that is fitted the next rows are read meanwhile, if it is the only one (2x20: 0.12 instead of 0.14 s a file).

A lane is a thread that takes one file after the other through all of it. There are two lanes more than files may be
fitted at once; who wants to fit waits for its turn, in the order of the files.
"""

from __future__ import annotations

import threading
import warnings
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from rampfit_numba.engine.arrivals import Arrivals, cancel_all
from rampfit_numba.engine.executors import reading_ahead
from rampfit_numba.engine.interrupts import interrupts_later, leave_signals_to_others
from rampfit_numba.files.attempts import attempt
from rampfit_numba.files.plan import file_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from rampfit_numba.files.attempts import Outcome
    from rampfit_numba.files.job import Job
    from rampfit_numba.progress import Job as Bar

#: One file that is read ahead, and one that is written behind.
_AHEAD_AND_BEHIND = 2


def fit_in_lanes(
    files: Sequence[tuple[int, Path]],
    job: Job,
    bar: Bar,
    take: Callable[[int, Outcome], None],
    *,
    at_once: int,
    budget: int,
    announce: Callable[[int, Path], None],
    stop_at_error: bool = False,
) -> None:
    """Fit files, some at once, and hand each outcome on as it comes, in the thread of the caller.

    Parameters
    ----------
    files : sequence of (int, Path)
        Their numbers in the bar, and the files.
    job : Job
    bar : rampfit_numba.progress.Job
        Stopped when something else than a file's failure happens, Ctrl-C for instance: what is being written is still
        written, and taken.
    take : callable
        Called with the number and the outcome of each file that is done; in the order of the files if they are fitted
        one at a time: one that cannot be read would else be told before those that are fitted meanwhile.
    at_once : int
        How many files are fitted at once.
    budget : int
        Bytes that the files in the lanes may have together; one is always worked on.
    announce : callable
        Called with number and file before it is fitted, in its lane.
    stop_at_error : bool
        Whether no file is fitted any more behind one that failed.
    """
    turns = _Turns(at_once)
    takes = _InOrder([number for number, _ in files] if at_once == 1 else [], take)

    def work(turn: int, number: int, path: Path) -> Outcome | None:
        with turns.passed_in_the_end(turn), bar.file(number) as part:
            turns.wait_until_next(turn)
            own = replace(job, options=job.options | {"progress": part})
            # Beside one fit there is time to read; two threads on two cores took a tenth longer with it.
            with reading_ahead() if at_once == 1 else nullcontext():
                outcome = attempt(path, own, turns.turn(turn, lambda: announce(number, path)))
            if stop_at_error and outcome is not None and outcome.result.error is not None:
                bar.stop(after=number)
            return outcome

    lanes = min(at_once + _AHEAD_AND_BEHIND, len(files))
    # What libraries do to the filters of warnings in one lane, another one could undo in the wrong order.
    with warnings.catch_warnings(), ThreadPoolExecutor(lanes, "rampfit-lane", leave_signals_to_others) as threads:
        waiting = deque((turn, number, path, file_size(path)) for turn, (number, path) in enumerate(files))
        running: dict[Future[Outcome | None], tuple[int, int, int]] = {}
        arrivals = Arrivals()
        try:
            while waiting or running:
                while waiting and len(running) < lanes:
                    turn, number, path, size = waiting[0]
                    if running and sum(size for _, size, _ in running.values()) + size > budget:
                        break
                    waiting.popleft()
                    with interrupts_later():  # what has begun is known
                        future = threads.submit(work, turn, number, path)
                        running[future] = number, size, turn
                        arrivals.expect(future)
                for future in sorted(arrivals.some(), key=running.__getitem__):
                    _hand_on(future, running.pop(future)[0], takes.take)
            takes.hand_on_the_rest()
        except BaseException:
            bar.stop()
            cancel_all(running, lambda future: turns.passed(running[future][2]))  # which nobody else lets go by
            arrivals.wait_for_all()
            for future, (number, _, _) in running.items():
                if not future.cancelled() and future.exception() is None:
                    _hand_on(future, number, takes.take)
            takes.hand_on_the_rest()
            raise


def _hand_on(future: Future[Outcome | None], number: int, take: Callable[[int, Outcome], None]) -> None:
    outcome = future.result()
    if outcome is not None:
        take(number, outcome)


class _InOrder:
    """Outcomes on their way: those of some files are held back until all of these before them have come."""

    def __init__(self, numbers: Sequence[int], take: Callable[[int, Outcome], None]) -> None:
        self._expected = deque(numbers)
        self._take = take
        self._held: dict[int, Outcome] = {}

    def take(self, number: int, outcome: Outcome) -> None:
        """Hand an outcome on, and those that waited for it; or let it wait."""
        if not self._expected:
            self._take(number, outcome)
            return
        self._held[number] = outcome
        while self._expected and self._expected[0] in self._held:
            first = self._expected.popleft()
            self._take(first, self._held.pop(first))

    def hand_on_the_rest(self) -> None:
        """Hand on what waits for files that will not come: the run was stopped."""
        for number in sorted(self._held):
            self._take(number, self._held.pop(number))


class _Turns:
    """So many at a time, in the order of their numbers."""

    def __init__(self, at_once: int) -> None:
        self._changed = threading.Condition()
        self._free = self._at_once = at_once
        self._next = 0
        self._passed: set[int] = set()

    @contextmanager
    def turn(self, number: int, begin: Callable[[], None]) -> Iterator[None]:
        """Wait for the turn of a number, and keep one of the places while the block runs."""
        with self._changed:
            self._changed.wait_for(lambda: self._next == number and self._free > 0)
            self._free -= 1
        try:
            begin()
            self.passed(number)
            yield
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify_all()

    def wait_until_next(self, number: int) -> None:
        """Wait until fewer files before this one have still to begin their fit than are fitted at once.

        Headers are read in Python, whose lock one of several threads has: files further behind would hold up the next.
        """
        with self._changed:
            self._changed.wait_for(lambda: number < self._next + self._at_once)

    @contextmanager
    def passed_in_the_end(self, number: int) -> Iterator[None]:
        """Let the next one have its turn when the block ends, though this one may not have wanted any."""
        try:
            yield
        finally:
            self.passed(number)

    def passed(self, number: int) -> None:
        """Let the next one have its turn, if those before have had theirs."""
        with self._changed:
            self._passed.add(number)
            while self._next in self._passed:
                self._passed.remove(self._next)
                self._next += 1
            self._passed = {other for other in self._passed if other > self._next}
            self._changed.notify_all()
