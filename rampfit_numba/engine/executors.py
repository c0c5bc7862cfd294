"""Where slices run: here, in threads, in worker processes, or in somebody's executor."""

from __future__ import annotations

import logging
import multiprocessing
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.engine import shared
from rampfit_numba.engine.arrivals import Arrivals, cancel_all, take_back
from rampfit_numba.engine.background import read_ahead
from rampfit_numba.engine.chunks import chunk_height, expect_files, run_chunks
from rampfit_numba.engine.interrupts import interrupts_later, interrupts_not_lost, without_interrupts
from rampfit_numba.engine.memory import memory_budget
from rampfit_numba.engine.processes import NoProcessesError, run_in_processes
from rampfit_numba.engine.slices import row_slices, take_rows
from rampfit_numba.file_arrays import FileArray
from rampfit_numba.machine_code import everything_kept
from rampfit_numba.progress import row_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rampfit_numba.progress import FilePart

log = logging.getLogger(__name__)

#: Slices per worker: small ones even out what disturbs a worker, move the bar, and let Ctrl-C through; but each costs
#: some tenths of a millisecond (2x20: 2 per worker take a tenth less time than 4), so they are of some size, and where
#: there is a bar, of another.
_FEWEST, _STEPS = 2, 16
_SLICE_BYTES, _STEP_BYTES = 48 << 20, 16 << 20

_ahead: ContextVar[bool] = ContextVar("rampfit_reads_ahead", default=False)


@contextmanager
def reading_ahead() -> Iterator[None]:
    """Let fits by one worker, of this thread, have another thread read each chunk of a file while they fit the last.

    For whoever works on several files with more than one thread as it is: a fit by itself takes one core.
    """
    before = _ahead.set(True)
    try:
        yield
    finally:
        _ahead.reset(before)


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
        Where more than one worker runs; None: threads. On systems that have no memory without a name for processes to
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
        A worker process was killed, and another one while the slices that were not done were fitted once more.
    """
    kind = usable_kind(executor, workers)
    in_files = sum(array.nbytes for array in inputs if isinstance(array, FileArray))
    budget = (max_memory or memory_budget(None)) // workers if in_files else 1
    # Two chunks of one row at least stand in memory then.
    ahead = kind == "here" and 0 < 2 * in_files <= budget * nrows and _ahead.get()
    if max_memory is None:
        expect_files(inputs)
    if isinstance(executor, Executor):
        slices = row_slices(nrows, workers)
    elif ahead:
        slices = row_slices(nrows, -(-nrows // chunk_height(inputs, budget // 2)))
    else:
        slices = row_slices(nrows, workers * _slices_per_worker(inputs, workers, kind, bar=progress is not False))
    with interrupts_not_lost(), row_bar(progress, nrows) as move:

        def advance(number: int) -> None:
            move(slices[number].stop - slices[number].start)

        if ahead:
            results = _run_reading_ahead(task, inputs, outputs, slices, advance)
        elif kind == "here":
            results = _run_here(task, inputs, outputs, slices, advance, budget)
        elif kind == "threads":
            results = _run_in_threads(task, inputs, outputs, slices, workers, executor, advance, budget)
        elif kind == "processes":
            try:
                parts = [(take_rows(inputs, rows), take_rows(outputs, rows)) for rows in slices]
                results = run_in_processes(task, parts, workers, advance, partial(check_files, inputs), budget=budget)
            except NoProcessesError as error:
                log.warning("No worker processes can be started (%s): the slices are fitted in threads", error)
                results = _run_in_threads(task, inputs, outputs, slices, workers, executor, advance, budget)
        else:
            results = _run_elsewhere(task, inputs, outputs, slices, executor, advance)  # type: ignore[arg-type]
    check_files(inputs)  # a mixture of what stood in a file before and after a change is no result
    return [result for slice_results in results for result in slice_results]


def usable_kind(executor: str | Executor | None, workers: int) -> str:
    """Return where the slices run: "here", "threads", "processes", or "elsewhere"."""
    if isinstance(executor, ThreadPoolExecutor):
        return "threads"
    if isinstance(executor, Executor):
        return "elsewhere"
    if workers == 1:
        return "here"
    if executor != "processes":
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
    if obstacle := shared.obstacle():  # through pipes two workers are ten times slower than one core
        return obstacle
    if not everything_kept():  # each worker would compile for itself
        return "The machine code could not be kept for other processes"
    return ""


def check_files(inputs: Any) -> None:  # noqa: ANN401
    """Refuse files that are not any more what they were."""
    for array in inputs:
        if isinstance(array, FileArray):
            array.check()


def _slices_per_worker(inputs: Any, workers: int, kind: str, *, bar: bool) -> int:  # noqa: ANN401
    if kind == "here" and not bar:
        return 1
    share: int = sum(array.nbytes for array in inputs if array is not None) // workers
    fewest = 1 if kind == "here" else _FEWEST
    return min(max(fewest, share // (_STEP_BYTES if bar else _SLICE_BYTES)), _STEPS)


def _run_here(  # noqa: PLR0917  (the state of run_rows)
    task: Callable[[Any, Any], Any],
    inputs: Any,  # noqa: ANN401
    outputs: Any,  # noqa: ANN401
    slices: list[slice],
    advance: Callable[[int], None],
    budget: int,
) -> list[Any]:
    results = []
    for number, rows in enumerate(slices):
        results.append(run_chunks(task, take_rows(inputs, rows), take_rows(outputs, rows), budget))
        advance(number)
    return results


def _run_reading_ahead(
    task: Callable[[Any, Any], Any],
    inputs: Any,  # noqa: ANN401
    outputs: Any,  # noqa: ANN401
    slices: list[slice],
    advance: Callable[[int], None],
) -> list[Any]:
    """Run `task` on slices of one chunk each: one is read while the one before is fitted."""
    results = []
    with read_ahead([take_rows(inputs, rows) for rows in slices]) as parts:
        for number, (rows, part) in enumerate(zip(slices, parts, strict=True)):
            results.append([task(part, take_rows(outputs, rows))])
            advance(number)
    return results


class _NoThreadsError(Exception):
    """No thread could be started; what was submitted is done, or will not be."""


class _Threads(ThreadPoolExecutor):
    def submit(self, function: Callable[..., Any], /, *args: Any, **keywords: Any) -> Future[Any]:  # noqa: ANN401
        try:
            return super().submit(function, *args, **keywords)
        except RuntimeError as error:
            raise _NoThreadsError(error) from error


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
    """Run slices in somebody's threads; or in threads of our own, of which this is one.

    Where this one waited for all others, the system would often begin with two of them on one core, and leave another
    one idle for some milliseconds.
    """
    parts = [(take_rows(inputs, rows), take_rows(outputs, rows)) for rows in slices]

    def fit(number: int) -> Any:  # noqa: ANN401  (what the task returns)
        return run_chunks(task, *parts[number], budget)

    def submit(pool: Executor, work: Callable[[int], Any] | None = None) -> list[Any]:
        futures: list[Future[Any]] = []
        try:
            for number in range(len(parts)):
                with interrupts_later():  # neither a thread's start nor the pool's locks are left in the middle
                    futures.append(pool.submit(fit, number))
            return _collect(futures, advance, work)
        except BaseException:  # Ctrl-C too: what has not begun is left
            cancel_all(futures)
            raise

    if isinstance(executor, ThreadPoolExecutor):
        return submit(executor)
    try:
        with _Threads(workers - 1, thread_name_prefix="rampfit") as threads:
            return submit(threads, fit)
    except _NoThreadsError as error:
        log.warning("No threads can be started (%s): the slices are fitted one after another", error)
        return _run_here(task, inputs, outputs, slices, advance, budget)


def _run_elsewhere(  # noqa: PLR0917  (the state of run_rows)
    task: Callable[[Any, Any], Any],
    inputs: Any,  # noqa: ANN401
    outputs: Any,  # noqa: ANN401
    slices: list[slice],
    executor: Executor,
    advance: Callable[[int], None],
) -> list[Any]:
    """Send the arrays themselves, unless they stand in files that the workers see, wherever these are."""
    futures: list[Future[Any]] = []
    send_files = isinstance(executor, OnSharedFiles)
    try:
        for rows in slices:
            sent = take_rows(inputs, rows)
            arrays = [a if send_files or not isinstance(a, FileArray) else a.read() for a in sent]
            forms = _forms(take_rows(outputs, rows))
            with without_interrupts():  # workers may start with a task
                futures.append(executor.submit(_run_slice, task, type(inputs)(*arrays), forms))
            del sent, arrays
    except BaseException:  # Ctrl-C, or a file that cannot be read: what has not begun is left
        cancel_all(futures)
        raise
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


def _collect(
    futures: list[Future[Any]], advance: Callable[[int], None], work: Callable[[int], Any] | None = None
) -> list[Any]:
    """Wait for all futures, telling the number of each one done; after a failure no further one is started.

    With `work`, those that have not begun are done here meanwhile, the last one first.
    """
    numbers = {future: number for number, future in enumerate(futures)}
    arrivals = Arrivals(futures)
    here: dict[Future[Any], Any] = {}

    def see(future: Future[Any]) -> None:
        if future not in here:
            future.result()
            advance(numbers[future])

    try:
        for future in reversed(futures):
            if work is None or not take_back(future):  # nor could those before it be
                break
            here[future] = None
            here[future] = work(numbers[future])
            advance(numbers[future])
            for ended in arrivals.here():
                see(ended)
        for future in arrivals:
            see(future)
    except BaseException:  # Ctrl-C too
        cancel_all(futures)
        raise
    return [here[future] if future in here else future.result() for future in futures]
