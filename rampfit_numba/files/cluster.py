"""Files fitted by the workers of a Dask cluster, which open them themselves: only paths and options travel."""

from __future__ import annotations

import logging
import pickle
import uuid
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rampfit_numba.engine.executors import OnSharedFiles
from rampfit_numba.files.clients import check_cluster, check_files, differences_of, versions_here
from rampfit_numba.files.fitting import fit_one
from rampfit_numba.files.results import FileResult
from rampfit_numba.options import FitOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rampfit_numba.files.job import Job

log = logging.getLogger(__package__)

#: Files that are with the scheduler at a time, for each thread of the workers, and at least, so that a cluster that
#: grows with its work does so: a million tasks would take the scheduler minutes, and gigabytes.
_WAITING, _FEWEST_WAITING = 3, 256
#: Bytes of a file that one slice of rows is made of, at most: its results travel as a whole.
_SLICE_BYTES = 64 << 20


@dataclass(frozen=True)
class Run:
    """What every task of one run is told.

    Attributes
    ----------
    versions : dict
        Here.
    started : int
        Modification time of a file that was made in the output folder when the run began, in ns.
    """

    versions: dict[str, str]
    started: int


def fit_on_cluster(
    files: Sequence[Path],
    job: Job,
    client: Any,  # noqa: ANN401
    report: Callable[[int, FileResult], None],
) -> None:
    """Fit each of many files as one task of a Dask cluster.

    Parameters
    ----------
    files : sequence of Path
    job : Job
        What is asked for, checked.
    client : distributed.Client
    report : callable
        Called with the number of each file and its result when that is there; what it raises ends the run.

    Raises
    ------
    RuntimeError
        The cluster cannot be used: it does not answer, has no workers, or other versions. Or it was lost.
    RampFileError
        Its workers do not see the files.
    """
    from distributed import as_completed

    check_cluster(client)
    job = _absolute(job)
    run = Run(versions_here(), check_files(client, list(job.formats), job))
    threads = sum(client.nthreads().values())
    log.info("%d files for %d threads of %d Dask workers", len(files), threads, len(client.nthreads()))
    waiting = iter(enumerate(files))
    numbers: dict[Any, int] = {}

    def submit() -> Any:  # noqa: ANN401  (a future, or None where nothing is left)
        for number, path in waiting:
            try:
                kind = job.formats[path.absolute()]
                job.check_products(path.absolute(), kind, FitOptions(**job.fit_options(kind)))
            except Exception as error:  # noqa: BLE001  (it is this file's failure)
                report(number, FileResult(path, error=error))
                continue
            task = _for_worker(path.absolute(), job)
            key = f"fit_file-{uuid.uuid4().hex}"
            future = client.submit(fit_there, path.absolute(), task, run, key=key, pure=False)
            numbers[future] = number
            return future
        return None

    try:
        most = max(_WAITING * threads, _FEWEST_WAITING)
        begun = [future for _ in range(most) if (future := submit()) is not None]
        arriving = as_completed(begun, loop=client.loop)
        for future in arriving:
            number = numbers.pop(future)
            report(number, replace(_result_of(future, files[number], client), path=files[number]))
            if (another := submit()) is not None:
                arriving.add(another)
    except BaseException:  # Ctrl-C too
        client.cancel(list(numbers))
        raise


def fit_there(path: Path, job: Job, run: Run) -> FileResult:
    """Fit one file on a worker; a failure is its result."""
    if differing := differences_of(run.versions, versions_here()):  # this worker has joined since the run began
        return FileResult(path, error=RuntimeError(f"a Dask worker of other versions has joined: {differing}"))
    try:
        result = attempt(path, _after_a_loss(path, job, run.started))
    except Exception as error:  # noqa: BLE001  (it is this file's failure, and travels)
        return FileResult(path, error=_that_travels(error))
    return replace(result, error=_that_travels(result.error))


def attempt(path: Path, job: Job) -> FileResult:
    """Fit."""
    return fit_one(path, job)


def rows_on_cluster(path: Path, job: Job, client: Any) -> Job:  # noqa: ANN401
    """Return the job of one file whose rows are fitted on a Dask cluster, each slice read by the worker that fits it.

    Raises
    ------
    RuntimeError, RampFileError
        As for :func:`fit_on_cluster`.
    """
    check_cluster(client)
    check_files(client, [path.absolute()], _absolute(job))
    threads = sum(client.nthreads().values())
    asked = job.options.get("maximum_cores", "none")
    slices = max(2 * threads, path.stat().st_size // _SLICE_BYTES) if asked == "none" else asked
    log.info("%s: its rows are fitted by %d threads of %d Dask workers", path, threads, len(client.nthreads()))
    executor = OnSharedFiles(client.get_executor(pure=False))
    return replace(job, options=job.options | {"executor": executor, "maximum_cores": slices})


def _absolute(job: Job) -> Job:
    """Return the same job with absolute paths: workers have other working folders."""
    destination = job.destination
    return replace(
        job,
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


def _for_worker(path: Path, job: Job) -> Job:
    """Return the job of one file, without the paths of all others: none of its products is one of those, see above."""
    one = job.for_file(path)
    references = [reference for reference in job.references.values() if isinstance(reference, Path)]
    return replace(one, destination=replace(one.destination, inputs=(path, *references)))


def _after_a_loss(path: Path, job: Job, started: int) -> Job:
    """Let a task write over what a lost worker of the same run has left: some of its products, whole."""
    kind = job.formats[path]
    planned = kind.paths(path, job.destination, FitOptions(**job.fit_options(kind))).values()
    there = [product.stat().st_mtime_ns for product in planned if product.exists()]
    if not there or min(there) < started:
        return job
    return replace(job, destination=replace(job.destination, overwrite=True))


def _that_travels(error: Exception | None) -> Exception | None:
    """Return an error that another process can be sent."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  (our own)
    except Exception:  # noqa: BLE001  (whatever its class does)
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _result_of(future: Any, path: Path, client: Any) -> FileResult:  # noqa: ANN401
    """Return the result of a task, also of one that has none."""
    from distributed import KilledWorker

    try:
        result: FileResult = future.result()
    except KilledWorker as error:
        return FileResult(path, error=RuntimeError(f"{path}: the Dask workers that fitted it were killed ({error})"))
    except CancelledError:
        raise RuntimeError(f"executor: the Dask scheduler was lost, the client is {client.status}") from None
    except Exception as error:  # noqa: BLE001  (of Dask: it could not be sent, say)
        return FileResult(path, error=RuntimeError(f"{path}: {type(error).__name__}: {error}"))
    return result
