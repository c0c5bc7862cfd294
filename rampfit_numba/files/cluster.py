"""Files fitted by the workers of a Dask cluster, which open them themselves: only paths and options travel."""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rampfit_numba.engine.arrivals import Arrivals
from rampfit_numba.engine.executors import OnSharedFiles
from rampfit_numba.engine.interrupts import raise_lost
from rampfit_numba.files.attempts import Outcome, attempt
from rampfit_numba.files.clients import check_cluster, check_files, check_workers, differences_of, versions_here
from rampfit_numba.files.plan import file_size
from rampfit_numba.files.processes import portable
from rampfit_numba.files.records import has_record, make_record
from rampfit_numba.files.results import FileResult, FilesOfFits
from rampfit_numba.io.temporary_files import TemporaryFile, sweep
from rampfit_numba.messages import RampFileError, printable
from rampfit_numba.options import FitOptions
from rampfit_numba.progress import Job as Bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rampfit_numba.files.job import Job

log = logging.getLogger(__package__)

#: Files that are with the scheduler at a time, for each thread of the workers, and at least, so that a cluster that
#: grows with its work does so: a million tasks would take the scheduler minutes, and gigabytes.
_WAITING, _FEWEST_WAITING = 3, 256
#: Bytes of a file that one slice of rows is made of, at most: its results travel as a whole.
_SLICE_BYTES = 64 << 20
#: Held by the thread of a worker that makes a report, say: what draws it need not be made for threads.
_making = threading.Lock()


@dataclass(frozen=True)
class Run:
    """What every task of one run is told.

    Attributes
    ----------
    versions : dict
        Here.
    mark : Path
        A file in the output folder that is there as long as the run goes on.
    started : int
        When it was made, in ns, on the clock of its file system.
    """

    versions: dict[str, str]
    mark: Path
    started: int


def fit_on_cluster(
    files: Sequence[tuple[int, Path]],
    job: Job,
    bar: Bar,
    take: Callable[[int, Outcome], None],
    *,
    client: Any,  # noqa: ANN401
    announce: Callable[[int, Path], None],
    stop_at_error: bool = False,
) -> None:
    """Fit files, each as one task of a Dask cluster, and hand each outcome on as it comes.

    Dask gives the file of a worker that was lost to another one, a few times. Parameters are those of
    :func:`rampfit_numba.files.lanes.fit_in_lanes`, and the client; of a run that is stopped, what is being written is
    still written.

    Raises
    ------
    RuntimeError
        The cluster cannot be used: it does not answer, has no workers, or other versions. Or it was lost.
    RampFileError
        Its workers do not see the files.
    """
    check_cluster(client)
    if isinstance(job.on_fit, FilesOfFits):
        check_workers(client, job.on_fit.check)
    there = _absolute(job)
    with _mark_in(there.destination.folder) as mark:
        check_files(client, list(there.formats), _named_files(there), mark.path)
        workers = client.nthreads()
        log.info("%d files for %d threads of %d Dask workers", len(files), sum(workers.values()), len(workers))
        run = Run(versions_here(), mark.path, mark.path.stat().st_mtime_ns)
        tasks = _Tasks(files, there, client, run, sum(workers.values()))
        try:
            for number, path, outcome in tasks.outcomes():
                raise_lost()
                announce(number, path)
                bar.move(number, 1.0)
                for product in outcome.result:
                    log.info("Saved %s", product)
                if outcome.result.status == "fitted" and isinstance(job.on_fit, FilesOfFits):
                    for product in job.on_fit.products(path):
                        log.info("Saved %s", product)
                for warning in outcome.result.warnings:
                    log.warning("%s: %s", path, warning)
                take(number, outcome)
                if stop_at_error and outcome.result.error is not None:
                    break
                mark.live()
        finally:  # Ctrl-C too
            tasks.end()
            sweep(there.destination.folder)  # of what workers that were killed have left


@contextmanager
def _mark_in(folder: Path) -> Iterator[TemporaryFile]:
    """Make a folder, and a file in it while the block runs; raises a RampFileError."""
    mark = TemporaryFile(folder)
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            mark.create().close()
        except OSError as error:
            raise RampFileError(f"{folder}: cannot be written: {error.strerror}") from error
        yield mark
    finally:
        mark.remove()


class _Tasks:
    """The files of a run on their way through a cluster."""

    def __init__(self, files: Sequence[tuple[int, Path]], job: Job, client: Any, run: Run, threads: int) -> None:  # noqa: ANN401
        self._waiting = iter(files)
        self._job = job
        self._client = client
        self._run = run
        self._most = max(_WAITING * threads, _FEWEST_WAITING)
        self._running: dict[Any, tuple[int, Path]] = {}

    def outcomes(self) -> Iterator[tuple[int, Path, Outcome]]:
        """Yield number, file and outcome of each as it comes."""
        from distributed import as_completed

        arriving = as_completed(loop=self._client.loop)
        item = next(self._waiting, None)
        while item is not None or self._running:
            if item is None or len(self._running) == self._most:
                future = next(arriving)
                number, path = self._running.pop(future)
                yield number, path, Outcome(replace(self._result(future, path), path=path))
                continue
            if (error := self._refused(item[1])) is not None:
                yield *item, Outcome(FileResult(item[1], error=error))
            else:
                future = self._submit(item[1])
                self._running[future] = item
                arriving.add(future)
            item = next(self._waiting, None)

    def end(self) -> None:
        """Let what waits be left, if that can be; where it cannot, an interrupt that ended the work is not hidden."""
        if self._client.status == "running":
            try:
                self._client.cancel(list(self._running))
            except Exception as error:  # noqa: BLE001  (whatever Dask raises)
                log.warning("What waits on the cluster could not be cancelled: %s: %s", type(error).__name__, error)

    def _refused(self, path: Path) -> Exception | None:
        """Return why a file cannot be fitted, as far as its products tell."""
        path = path.absolute()
        kind = self._job.formats[path]
        try:
            self._job.check_products(path, kind, FitOptions(**self._job.fit_options(kind)))
        except Exception as error:  # noqa: BLE001  (it is this file's failure)
            return error
        return None

    def _submit(self, path: Path) -> Any:  # noqa: ANN401  (a future of Dask)
        path = path.absolute()
        key = f"fit_file-{uuid.uuid4().hex}"
        return self._client.submit(fit_there, path, job_of_one(path, self._job), self._run, key=key, pure=False)

    def _result(self, future: Any, path: Path) -> FileResult:  # noqa: ANN401
        """Return the result of a task, also of one that has none."""
        from distributed import KilledWorker

        # The future's own method, where Ctrl-C comes before the client's loop has begun with it, has that print a
        # traceback: it cancels what is not there yet.
        coming = self._client.gather(future, asynchronous=True)
        try:
            try:
                result_later = asyncio.run_coroutine_threadsafe(coming, self._client.loop.asyncio_loop)
            except RuntimeError:  # the loop has ended
                coming.close()
                raise
            result: FileResult = Arrivals([result_later]).next().result()
        except KilledWorker as error:
            message = f"{path}: the Dask workers that fitted it were killed, perhaps because memory ran out ({error})"
            return FileResult(path, error=RuntimeError(printable(message)))
        except Exception as error:
            if isinstance(error, CancelledError) or self._client.status != "running":
                message = f"executor: the Dask scheduler was lost; the client is {self._client.status}"
                raise RuntimeError(message) from error
            # It could not be sent, say.
            return FileResult(path, error=RuntimeError(printable(f"{path}: {type(error).__name__}: {error}")))
        return result


def fit_there(path: Path, job: Job, run: Run) -> FileResult:
    """Fit one file on a worker; a failure is its result."""
    if differing := differences_of(run.versions, versions_here()):  # this worker has joined since the run began
        return FileResult(path, error=RuntimeError(f"a Dask worker of other versions has joined: {differing}"))
    bar = Bar([1], shown=False, is_stopped=lambda: not run.mark.exists())
    with bar.file(0) as part:
        job = _after_a_loss(path, job, run.started)
        outcome = attempt(path, replace(job, options=job.options | {"progress": part}))
    if outcome is None:
        message = f"{path}: was not fitted: {run.mark}, the mark of its run, is gone"
        return FileResult(path, error=RuntimeError(printable(message)))
    with _making:
        return portable(outcome.handed_to(job.on_fit))


def rows_on_cluster(path: Path, job: Job, client: Any) -> Job:  # noqa: ANN401
    """Return the job of one file whose rows are fitted on a Dask cluster, each slice read by the worker that fits it.

    Raises
    ------
    RuntimeError, RampFileError
        As for :func:`fit_on_cluster`.
    """
    check_cluster(client)
    check_files(client, [path.absolute()], _named_files(_absolute(job)))
    threads = sum(client.nthreads().values())
    asked = job.options.get("maximum_cores", "none")
    is_none = isinstance(asked, str) and asked.strip().lower() == "none"
    slices = max(2 * threads, file_size(path) // _SLICE_BYTES, 1) if is_none else asked
    log.info("%s: its rows are fitted by %d threads of %d Dask workers", path, threads, len(client.nthreads()))
    executor = OnSharedFiles(client.get_executor(pure=False))
    return replace(job, options=job.options | {"executor": executor, "maximum_cores": slices})


def job_of_one(path: Path, job: Job) -> Job:
    """Return the job of one file without the paths of all others: that none is its product was found out here."""
    one = job.for_file(path)
    return replace(one, destination=replace(one.destination, inputs=(path, *_named_files(job))), on_fit=job.on_fit)


def _named_files(job: Job) -> list[Path]:
    """Return the files that a job names beside its exposures: references, a flat field."""
    return [path for path in (*job.references.values(), *job.options.values()) if isinstance(path, Path)]


def _absolute(job: Job) -> Job:
    """Return the same job with absolute paths: workers have other working folders."""
    destination, on_fit = job.destination, job.on_fit
    return replace(
        job,
        on_fit=replace(on_fit, folder=on_fit.folder.absolute()) if isinstance(on_fit, FilesOfFits) else on_fit,
        formats={path.absolute(): kind for path, kind in job.formats.items()},
        references={name: _absolute_path(reference) for name, reference in job.references.items()},
        options={name: _absolute_path(value) for name, value in job.options.items()},
        destination=replace(
            destination,
            folder=destination.folder.absolute(),
            inputs=tuple(path.absolute() for path in destination.inputs),
        ),
    )


def _absolute_path(value: Any) -> Any:  # noqa: ANN401
    return value.absolute() if isinstance(value, Path) else value


def _after_a_loss(path: Path, job: Job, started: int) -> Job:
    """Let a task write over what a lost worker of the same run has left: some of its products, whole.

    What others have written meanwhile is told from that by the record of what it was made from.
    """
    kind = job.formats[path]
    options = FitOptions(**job.fit_options(kind))
    planned = kind.paths(path, job.destination, options).values()
    there = [product for product in planned if product.exists()]
    if job.destination.overwrite or not there or min(product.stat().st_mtime_ns for product in there) < started:
        return job
    record = make_record(path, job, kind, options)
    with job.alone(kind):
        if not all(has_record(kind, product, record) for product in there):
            return job
    on_fit = replace(job.on_fit, overwrite=True) if isinstance(job.on_fit, FilesOfFits) else None
    return replace(job, destination=replace(job.destination, overwrite=True), on_fit=on_fit)
