"""Whole files in worker processes: only paths and options travel, and what became of each file comes back."""

from __future__ import annotations

import logging
import os
import pickle
import tempfile
import traceback
import warnings
from collections import deque
from concurrent.futures import BrokenExecutor, Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rampfit_numba.engine.arrivals import Arrivals, cancel_all
from rampfit_numba.engine.interrupts import without_interrupts
from rampfit_numba.engine.pool import pool
from rampfit_numba.engine.processes import obstacle_to_workers
from rampfit_numba.files.attempts import Outcome, attempt
from rampfit_numba.files.results import FileResult
from rampfit_numba.io.temporary_files import TemporaryFile, sweep_once
from rampfit_numba.messages import RampFitWarning, printable
from rampfit_numba.progress import Job as Bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rampfit_numba.files.job import Job

_PACKAGE = "rampfit_numba"


class NoWorkersError(Exception):
    """No worker process can be started."""


class _Report(NamedTuple):
    """What a worker tells of a file: None where the job was stopped; what it logged; what it warned of."""

    result: FileResult | None
    records: list[logging.LogRecord]
    warned: list[str]


#: Of a file whose worker was killed.
_KILLED = _Report(None, [], [])


def fit_in_processes(  # noqa: C901  (what waits, runs and is suspect is one state)
    files: Sequence[tuple[int, Path]],
    job: Job,
    bar: Bar,
    take: Callable[[int, Outcome], None],
    *,
    workers: int,
    announce: Callable[[int, Path], None],
    stop_at_error: bool = False,
) -> None:
    """Fit files, each in a worker process, and hand each outcome on as it comes, in the thread of the caller.

    A file whose worker is killed is tried once more, alone: where that worker is killed too, the file has failed, and
    the others go on. Parameters are those of :func:`rampfit_numba.files.lanes.fit_in_lanes`; a job that was stopped
    leaves what is being written until it is whole.

    Raises
    ------
    NoWorkersError
        No worker process can be started; the files that were not handed on are not done.
    """
    with _mark() as mark:
        shift = _Shift(job, mark.path, workers)
        waiting, suspects = deque(files), deque[tuple[int, Path]]()

        def hand_on(number: int, outcome: Outcome | None) -> None:
            bar.move(number, 1.0)
            if outcome is not None:
                take(number, outcome)

        try:
            while waiting or suspects or shift.running:
                while waiting and not suspects and len(shift.running) < workers:
                    shift.begin(*waiting.popleft())
                if suspects and not shift.running:
                    shift.begin(*suspects.popleft(), again=True)
                for number, path, report in shift.wait():
                    if report is _KILLED:
                        suspects.append((number, path))
                        continue
                    announce(number, path)
                    # Nobody here has stopped it.
                    outcome = _played_back(report) or Outcome(_forgotten(path, mark.path))
                    hand_on(number, outcome)
                    mark.live()
                    if stop_at_error and outcome.result.error is not None:
                        waiting.clear()
                        suspects.clear()
        except BaseException:
            mark.path.unlink(missing_ok=True)
            for number, _, report in shift.end():
                hand_on(number, _played_back(report))
            shift.dismiss()
            raise
        finally:
            shift.give_back()


@contextmanager
def _mark() -> Iterator[TemporaryFile]:
    """Give a file: as long as it exists, the workers go on. Where this process is killed, the next run removes it."""
    with _refused_by_the_system():
        folder = Path(tempfile.gettempdir())
        sweep_once(folder)
        temporary = TemporaryFile(folder)
        temporary.create().close()
    try:
        yield temporary
    finally:
        temporary.remove()


class _Shift:
    """The pool while it works for a job, and the files that are being fitted."""

    def __init__(self, job: Job, going_on: Path, workers: int) -> None:
        self.running: dict[Future[_Report], tuple[int, Path, bool]] = {}
        self._arrivals = Arrivals()
        self._job = job
        self._going_on = going_on
        self._workers = workers
        self._level = logging.getLogger(_PACKAGE).getEffectiveLevel()
        self._folder = _working_folder()
        with _refused_by_the_system():
            self._executor, _ = pool.take(workers)

    def begin(self, number: int, path: Path, *, again: bool = False) -> None:
        """Give a file to a worker; `again`: one of those that were at work when a worker was killed."""
        with without_interrupts():  # workers start with the first task
            try:
                future = self._submit(path, again=again)
            except BrokenExecutor:
                # Since the pool was used last a worker was killed.
                pool.drop(self._executor)
                with _refused_by_the_system():
                    self._executor, _ = pool.take(self._workers)
                    future = self._submit(path, again=again)
            self.running[future] = number, path, again
            self._arrivals.expect(future)

    def wait(self) -> Iterator[tuple[int, Path, _Report]]:
        """Wait for one file or more; yield number, file and report (`_KILLED`: to be tried again)."""
        for future in sorted(self._arrivals.some(), key=lambda future: self.running[future][0]):
            number, path, again = self.running.pop(future)
            yield number, path, _report(future, path, again=again)

    def end(self) -> Iterator[tuple[int, Path, _Report]]:
        """Begin with no further file, and yield those that are done when what runs has ended."""
        cancel_all(self.running)
        self._arrivals.wait_for_all()
        for future, (number, path, again) in self.running.items():
            if not future.cancelled() and (report := _report(future, path, again=again)) is not _KILLED:
                yield number, path, report

    def dismiss(self) -> None:
        """End the workers at once, none of which has anything to do any more: the program may be about to end."""
        pool.drop(self._executor, kill=True)

    def give_back(self) -> None:
        """Leave the pool to others."""
        pool.give_back(self._executor)

    def _submit(self, path: Path, *, again: bool) -> Future[_Report]:
        job = self._job.for_file(path)
        if again:  # its products may have been whole before its worker ended
            job = replace(job, skip_existing=True)
        with _refused_by_the_system():
            future: Future[_Report] = self._executor.submit(_work, path, job, self._going_on, self._level, self._folder)
        return future


@contextmanager
def _refused_by_the_system() -> Iterator[None]:
    """Tell a system that has no descriptors, processes or memory left from a worker that was killed."""
    try:
        yield
    except BrokenExecutor:
        raise
    except (OSError, RuntimeError, UnboundLocalError) as error:  # the last one is loky's own mistake then
        raise NoWorkersError(obstacle_to_workers(error)) from error


def _report(future: Future[_Report], path: Path, *, again: bool) -> _Report:
    error = future.exception()
    if error is None:
        report = future.result()
        if again and report.result is not None:
            report = report._replace(result=replace(report.result, skipped=False))
        return report
    if isinstance(error, BrokenExecutor):
        if not again:
            return _KILLED
        error = RuntimeError(
            f"{printable(str(path))}: the worker process that fitted it was killed, twice, perhaps because memory ran "
            "out: use fewer workers (maximum_cores)"
        )
    if not isinstance(error, Exception):
        raise error
    return _Report(FileResult(path, error=error), [], [])


def _forgotten(path: Path, mark: Path) -> FileResult:
    """Return the result of a file that a worker has left because the mark of its job is gone."""
    message = f"{path}: was not fitted: {mark}, the mark of its job, is gone"
    return FileResult(path, error=RuntimeError(printable(message)))


def _played_back(report: _Report) -> Outcome | None:
    """Say here what was said in a worker."""
    for record in report.records:
        logging.getLogger(record.name).handle(record)
    for message in report.warned:
        warnings.warn(message, RampFitWarning, stacklevel=2)
    return None if report.result is None else Outcome(report.result)


def _working_folder() -> Path | None:
    """Return the working folder, None where it was removed."""
    try:
        return Path.cwd()
    except OSError:
        return None


@contextmanager
def _working_in(folder: Path | None) -> Iterator[None]:
    """Take relative paths as those of a folder, and leave it afterwards: workers outlive it."""
    before = _working_folder()
    if folder is not None:
        os.chdir(folder)
    try:
        yield
    finally:
        if before is not None:
            with suppress(OSError):  # it may have been removed
                os.chdir(before)


def _work(path: Path, job: Job, going_on: Path, level: int, folder: Path | None) -> _Report:
    """Fit a file, in a worker process that may have been started when the working folder was another one."""
    package, records = logging.getLogger(_PACKAGE), _Records()
    before = package.level
    package.setLevel(min(level, logging.WARNING))
    package.addHandler(records)
    bar = Bar([1], shown=False, is_stopped=lambda: not going_on.exists())
    try:
        with _working_in(folder), warnings.catch_warnings(record=True) as caught, bar.file(0) as part:
            warnings.simplefilter("always", RampFitWarning)
            outcome = attempt(path, replace(job, options=job.options | {"progress": part}))
    finally:
        package.removeHandler(records)
        package.setLevel(before)
    warned = [str(warning.message) for warning in caught if issubclass(warning.category, RampFitWarning)]
    result = None if outcome is None else portable(outcome.result)
    return _Report(result, [record for record in records.found if record.levelno >= level], warned)


class _Records(logging.Handler):
    """Keeps log records as they can travel: with their text made."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        record.msg, record.args = record.getMessage(), None
        record.exc_info = None
        self.found.append(record)


def portable(result: FileResult) -> FileResult:
    """Return a result whose error can travel: with its traceback as a note, and as another error where it cannot."""
    error = result.error
    if error is None:
        return result
    error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  (our own)
    except Exception:  # noqa: BLE001  (whatever such an error does when it is made again)
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return replace(result, error=error)
