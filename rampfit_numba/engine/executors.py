"""Where slices run: here, in threads, or in worker processes."""

from __future__ import annotations

import logging
import multiprocessing
import signal
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.engine.slices import row_slices, take_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)

#: Slices per worker where a progress bar wants to move.
_STEPS = 16
#: Seconds after which idle worker processes end.
_IDLE = 300

Task = "Callable[[Any, Any], Any]"


def run_rows(
    task: Callable[[Any, Any], Any],
    inputs: tuple[Any, ...],
    outputs: tuple[Any, ...] | None,
    *,
    nrows: int,
    workers: int,
    executor: str | None = None,
    progress: bool = False,
) -> list[Any]:
    """Run `task` on slices of rows until all are done.

    Parameters
    ----------
    task : callable
        Called as ``task(inputs, outputs)`` with the arrays of a slice; it writes the outputs whole. Can be pickled.
    inputs, outputs : named tuple of arrays
        Rows are the last axis but one of every array; entries may be None. Outputs of None: the task only returns
        something.
    nrows : int
        Number of rows of the arrays.
    workers : int
        How many slices run at once; 1 runs here.
    executor : {"processes", "threads"}, optional
        Where more than one worker runs; None: processes.
    progress : bool
        Show a bar.

    Returns
    -------
    list
        What the task returned for each slice, in the order of rows.

    Raises
    ------
    RuntimeError
        A worker process died.
    """
    # Threads share their slices out as they go: small ones, so that Ctrl-C need not wait for long. Processes get one
    # each.
    kind = _usable_kind(executor) if workers > 1 else ""
    slices = row_slices(nrows, workers * _STEPS if progress or kind == "threads" else workers)
    results: list[Any] = [None] * len(slices)
    with _bar(len(slices), shown=progress) as advance:
        if workers == 1:
            for number, rows in enumerate(slices):
                results[number] = task(take_rows(inputs, rows), _rows_of(outputs, rows))
                advance()
            return results
        log.info("Fitting %d slices of rows in %d %s", len(slices), workers, kind)
        if kind == "threads":
            with ThreadPoolExecutor(workers) as pool:
                futures = {
                    pool.submit(task, take_rows(inputs, rows), _rows_of(outputs, rows)): number
                    for number, rows in enumerate(slices)
                }
                _collect(pool, futures, results, advance)
            return results
        _run_in_processes(task, inputs, outputs, slices, workers, results, advance)
    return results


def _run_in_processes(  # noqa: PLR0917  (the state of run_rows)
    task: Callable[[Any, Any], Any],
    inputs: tuple[Any, ...],
    outputs: tuple[Any, ...] | None,
    slices: list[slice],
    workers: int,
    results: list[Any],
    advance: Callable[[], None],
) -> None:
    from loky import get_reusable_executor
    from loky.process_executor import TerminatedWorkerError

    _start_trackers()
    with _without_interrupts():
        pool = get_reusable_executor(workers, timeout=_IDLE)
        futures = {
            pool.submit(_run_slice, task, take_rows(inputs, rows), _shapes(outputs, rows)): number
            for number, rows in enumerate(slices)
        }
    try:
        returned: list[Any] = [None] * len(slices)
        _collect(pool, futures, returned, advance)
    except TerminatedWorkerError as error:
        message = (
            "a worker process was killed, perhaps because memory ran out: use fewer workers (maximum_cores) or "
            f"executor='threads' ({error})"
        )
        raise RuntimeError(message) from error
    except KeyboardInterrupt:
        pool.shutdown(wait=True, kill_workers=True)
        raise
    for number, rows in enumerate(slices):
        results[number], arrays = returned[number]
        if outputs is not None:
            for output, array in zip(_rows_of(outputs, rows) or (), arrays, strict=True):
                if output is not None:
                    output[...] = array


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Hold back Ctrl-C until the end: processes that start meanwhile never see it, this one ends them."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_trackers() -> None:
    """Start the processes that clean up behind others: they must not see Ctrl-C either.

    Python 3.11's own tracker lets signals through again when it has started, so that comes before the workers start.
    """
    from multiprocessing import resource_tracker

    from loky.backend import resource_tracker as loky_tracker

    with _without_interrupts():
        resource_tracker.ensure_running()
        loky_tracker.ensure_running()


def _run_slice(task: Callable[[Any, Any], Any], inputs: Any, shapes: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Run `task` in a worker process: allocate the outputs here and send them back."""
    outputs = None
    if shapes is not None:
        outputs = type(shapes)(*(None if entry is None else np.empty(*entry) for entry in shapes))
    return task(inputs, outputs), outputs


def _shapes(outputs: tuple[Any, ...] | None, rows: slice) -> Any:  # noqa: ANN401
    if outputs is None:
        return None
    views: Any = take_rows(outputs, rows)
    return type(views)(*(None if view is None else (view.shape, view.dtype) for view in views))


def _rows_of(outputs: tuple[Any, ...] | None, rows: slice) -> tuple[Any, ...] | None:
    return None if outputs is None else take_rows(outputs, rows)


def _collect(pool: Executor, futures: dict[Future[Any], int], results: list[Any], advance: Callable[[], None]) -> None:
    """Wait for all futures; on any failure, Ctrl-C included, the others are not started any more."""
    try:
        for future in as_completed(futures):
            results[futures[future]] = future.result()
            advance()
    except BaseException:
        for future in futures:
            future.cancel()
        if isinstance(pool, ThreadPoolExecutor):
            pool.shutdown(wait=True, cancel_futures=True)
        raise


def _usable_kind(executor: str | None) -> str:
    if executor == "threads":
        return "threads"
    if multiprocessing.current_process().daemon:
        log.warning("A daemonic process may not start processes: the slices are fitted in threads")
        return "threads"
    return "processes"


@contextmanager
def _bar(total: int, *, shown: bool) -> Iterator[Callable[[], None]]:
    if not shown:
        yield lambda: None
        return
    from tqdm import tqdm

    with tqdm(total=total, unit="slice", desc="Fitting ramps") as bar:
        yield lambda: bar.update() and None
