"""Where slices run: here, in threads, in worker processes, or in somebody's executor."""

from __future__ import annotations

import logging
import multiprocessing
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ThreadPoolExecutor, as_completed, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.engine import shared, transfer
from rampfit_numba.engine.chunks import expect_files, run_chunks
from rampfit_numba.engine.memory import memory_budget
from rampfit_numba.engine.pool import pool, without_interrupts
from rampfit_numba.engine.slices import row_slices, take_rows
from rampfit_numba.file_arrays import FileArray
from rampfit_numba.machine_code import everything_kept
from rampfit_numba.progress import row_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rampfit_numba.progress import FilePart

log = logging.getLogger(__name__)

#: Slices per worker: small ones even out what disturbs a worker, move the bar, and let Ctrl-C through; but each costs
#: some tenths of a millisecond (2x20: 2 per worker take a tenth less time than 4), so they are of some size.
_FEWEST, _STEPS = 2, 16
_SLICE_BYTES = 48 << 20


class OnSharedFiles(Executor):
    """An executor whose workers, wherever they are, see the files of this process: they read their rows themselves.

    Parameters
    ----------
    executor : concurrent.futures.Executor
        That does the work; whoever made it ends it.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, function: Callable[..., Any], /, *args: Any, **keywords: Any) -> Future[Any]:  # noqa: ANN401
        """Hand on a call."""
        return self._executor.submit(function, *args, **keywords)


class _NoProcessesError(Exception):
    """No worker process could be started."""


def run_rows(
    task: Callable[[Any, Any], Any],
    inputs: Any,  # noqa: ANN401  (a named tuple of arrays)
    outputs: Any,  # noqa: ANN401
    *,
    nrows: int,
    workers: int,
    executor: str | Executor | None = None,
    progress: bool | FilePart = False,
    max_memory: int | None = None,
) -> list[Any]:
    """Run `task` on slices of rows until all are done.

    Parameters
    ----------
    task : callable
        Called as ``task(inputs, outputs)`` with the arrays of some rows; it writes the outputs whole. Can be pickled.
    inputs, outputs : named tuple of arrays
        Rows are the last axis but one of every array; entries may be None, and inputs may be :class:`FileArray`.
        Outputs of None: the task only returns something.
    nrows : int
        Number of rows of the arrays.
    workers : int
        How many slices run at once; 1 runs here, unless `executor` is an Executor.
    executor : {"processes", "threads"} or concurrent.futures.Executor, optional
        Where more than one worker runs; None: processes. On systems that have no memory without a name for them to
        share, threads in any case.
    progress : bool or FilePart
        Show a bar, or move that of a job, which can also stop.
    max_memory : int, optional
        Bytes that what is read from files may take at once, of which the caller has told the system; None: a quarter of
        what this process may use.

    Returns
    -------
    list
        What the task returned, in the order of rows.

    Raises
    ------
    RuntimeError
        A worker process died.
    """
    kind = usable_kind(executor, workers)
    in_files = any(isinstance(array, FileArray) for array in inputs)
    budget = (max_memory or memory_budget(None)) // workers if in_files else 1
    if max_memory is None:
        expect_files(inputs)
    if isinstance(executor, Executor):
        slices = row_slices(nrows, workers)
    else:
        size = sum(array.nbytes for array in inputs if array is not None)
        wanted = min(max(_FEWEST, size // (workers * _SLICE_BYTES)), _STEPS)
        per_worker = _STEPS if progress is not False else 1 if kind == "here" else wanted
        slices = row_slices(nrows, workers * per_worker)
    with row_bar(progress, nrows) as move:

        def advance(number: int) -> None:
            move(slices[number].stop - slices[number].start)

        if kind == "here":
            results = []
            for number, rows in enumerate(slices):
                results.append(run_chunks(task, take_rows(inputs, rows), take_rows(outputs, rows), budget))
                advance(number)
        elif kind == "threads":
            results = _run_in_threads(task, inputs, outputs, slices, workers, executor, advance, budget)
        elif kind == "processes":
            try:
                results = _run_in_processes(task, inputs, outputs, slices, workers, advance, budget)
            except _NoProcessesError as error:
                log.warning("No worker processes can be started (%s): the slices are fitted in threads", error)
                results = _run_in_threads(task, inputs, outputs, slices, workers, executor, advance, budget)
        else:
            results = _run_elsewhere(task, inputs, outputs, slices, executor, advance)  # type: ignore[arg-type]
    _check_files(inputs)  # a mixture of what stood in a file before and after a change is no result
    return [result for slice_results in results for result in slice_results]


def usable_kind(executor: str | Executor | None, workers: int) -> str:
    """Return where the slices run: "here", "threads", "processes", or "elsewhere"."""
    if isinstance(executor, ThreadPoolExecutor):
        return "threads"
    if isinstance(executor, Executor):
        return "elsewhere"
    if workers == 1:
        return "here"
    if executor == "threads" or (executor is None and not shared.available()):
        return "threads"
    if obstacle := _no_processes():
        log.info("%s: the slices are fitted in threads", obstacle)
        return "threads"
    return "processes"


def _no_processes() -> str:
    """Return why this process can have no workers, or nothing."""
    if multiprocessing.parent_process() is not None:
        # A daemonic process may not start any, and any other would wait for idle workers when it ends.
        return "In a worker process already"
    if not shared.available():  # macOS, Windows: through pipes two workers are ten times slower than one core
        return "This system has no memory that processes can share without copies"
    if not everything_kept():  # each worker would compile for itself
        return "The machine code could not be kept for other processes"
    return ""


def _check_files(inputs: Any) -> None:  # noqa: ANN401
    """Refuse files that are not any more what they were."""
    for array in inputs:
        if isinstance(array, FileArray):
            array.check()


def _take_pool(workers: int) -> tuple[Executor, int]:
    try:
        return pool.take(workers)
    except OSError as error:
        raise _NoProcessesError(error) from error


def _run_in_threads(  # noqa: PLR0917  (the state of run_rows)
    task: Callable[[Any, Any], Any],
    inputs: Any,  # noqa: ANN401
    outputs: Any,  # noqa: ANN401
    slices: list[slice],
    workers: int,
    executor: Any,  # noqa: ANN401
    advance: Callable[[int], None],
    budget: int,
) -> list[Any]:
    def submit(pool: Executor) -> list[Any]:
        parts = [(take_rows(inputs, rows), take_rows(outputs, rows)) for rows in slices]
        futures = [pool.submit(run_chunks, task, *part, budget) for part in parts]
        try:
            return _collect(futures, advance)
        except BaseException:  # Ctrl-C too: what has not begun is left
            for future in futures:
                future.cancel()
            raise

    if isinstance(executor, ThreadPoolExecutor):
        return submit(executor)
    with ThreadPoolExecutor(workers, thread_name_prefix="rampfit") as threads:
        return submit(threads)


def _run_in_processes(  # noqa: PLR0917  (the state of run_rows)
    task: Callable[[Any, Any], Any],
    inputs: Any,  # noqa: ANN401
    outputs: Any,  # noqa: ANN401
    slices: list[slice],
    workers: int,
    advance: Callable[[int], None],
    budget: int,
) -> list[Any]:
    executor, size = _take_pool(workers)
    futures: list[Future[Any]] = []
    try:
        parts = [(take_rows(inputs, rows), take_rows(outputs, rows)) for rows in slices]
        with transfer.sharing(parts) as share, _nobody_left(futures, kill=lambda: pool.drop(executor, kill=True)):
            for part in parts:
                shared_task = share(*part)
                running = [future for future in futures if not future.done()]
                if size > workers and len(running) >= workers:
                    # A larger pool, from another call, must not do more at once than was asked for.
                    wait(running, return_when=FIRST_COMPLETED)
                with without_interrupts():  # workers start with the first task
                    try:
                        future = executor.submit(transfer.run_shared, task, shared_task, budget)
                    except BrokenExecutor:
                        if futures:
                            raise
                        # An idle worker was killed since the last call: that is nobody's loss.
                        pool.drop(executor)
                        executor, size = pool.take(workers)
                        future = executor.submit(transfer.run_shared, task, shared_task, budget)
                futures.append(future)
            return _collect(futures, advance)
    except BrokenExecutor as error:
        pool.drop(executor)
        _check_files(inputs)
        raise RuntimeError(
            "a worker process was killed, perhaps because memory ran out: use fewer workers (maximum_cores) or "
            f"executor='threads' ({error})"
        ) from error
    except (OSError, RuntimeError, UnboundLocalError) as error:
        # Descriptors, processes or memory for them have run out; the last one is loky's own mistake then.
        if futures:
            raise
        pool.drop(executor, kill=True)
        raise _NoProcessesError("descriptors ran out" if isinstance(error, UnboundLocalError) else error) from error
    finally:
        pool.give_back(executor)


@contextmanager
def _nobody_left(futures: list[Future[Any]], kill: Callable[[], None]) -> Iterator[None]:
    """After a failure, leave only when no worker writes any more into memory that the next call may be given."""
    try:
        yield
    except KeyboardInterrupt:
        kill()
        raise
    except Exception:
        for future in futures:
            future.cancel()
        wait(futures)
        raise


def _run_elsewhere(  # noqa: PLR0917  (the state of run_rows)
    task: Callable[[Any, Any], Any],
    inputs: Any,  # noqa: ANN401
    outputs: Any,  # noqa: ANN401
    slices: list[slice],
    executor: Executor,
    advance: Callable[[int], None],
) -> list[Any]:
    """Send the arrays themselves, unless they stand in files that the workers see, wherever these are."""
    futures, send_files = [], isinstance(executor, OnSharedFiles)
    with without_interrupts():
        for rows in slices:
            sent = take_rows(inputs, rows)
            arrays = [a if send_files or not isinstance(a, FileArray) else a.read() for a in sent]
            futures.append(executor.submit(_run_slice, task, type(inputs)(*arrays), _forms(take_rows(outputs, rows))))
    results = []
    for rows, (result, planes) in zip(slices, _collect(futures, advance), strict=True):
        results.append(result)
        for output, plane in zip(take_rows(outputs, rows) or (), planes or (), strict=True):
            if output is not None:
                output[...] = plane
    return results


def _run_slice(task: Callable[[Any, Any], Any], inputs: Any, forms: Any) -> tuple[list[Any], Any]:  # noqa: ANN401
    """Run `task` somewhere else: allocate the outputs there and send them back."""
    outputs = None
    if forms is not None:
        planes: Any = (None if form is None else np.zeros(*form) for form in forms)
        outputs = type(forms)(*planes)
    return run_chunks(task, inputs, outputs), outputs


def _forms(outputs: Any) -> Any:  # noqa: ANN401
    """Return shape and dtype of every output."""
    if outputs is None:
        return None
    forms: Any = (None if output is None else (output.shape, output.dtype) for output in outputs)
    return type(outputs)(*forms)


def _collect(futures: list[Future[Any]], advance: Callable[[int], None]) -> list[Any]:
    """Wait for all futures, telling the number of each one done; after a failure no further one is started."""
    numbers = {future: number for number, future in enumerate(futures)}
    try:
        for future in as_completed(futures):
            future.result()
            advance(numbers[future])
    except BaseException:  # Ctrl-C too
        for future in futures:
            future.cancel()
        raise
    return [future.result() for future in futures]
