"""Slices in worker processes: what a killed one leaves undone is done once more."""

from __future__ import annotations

import errno
import logging
import re
from concurrent.futures import BrokenExecutor, Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rampfit_numba.engine import transfer
from rampfit_numba.engine.arrivals import Arrivals, cancel_all
from rampfit_numba.engine.interrupts import without_interrupts
from rampfit_numba.engine.pool import pool
from rampfit_numba.messages import remedy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rampfit_numba.engine.transfer import SharedTask

log = logging.getLogger(__name__)

_EXIT_CODES = re.compile(r"exit codes of the workers are \{([^}]*)\}")


#: What to do where the system has refused workers, by the number of its error: it names no file.
_REMEDIES = {
    errno.ENOSPC: "make room in /dev/shm",
    errno.EROFS: "let /dev/shm be written",
    errno.EACCES: "let /dev/shm be written",
    errno.EMFILE: "see ulimit -n",
    errno.EAGAIN: "see ulimit -u",
}


class NoProcessesError(Exception):
    """No worker process could be started."""


class _Slices:
    """The slices of a call: what was done, and what is to be."""

    def __init__(
        self, parts: Sequence[tuple[Any, Any]], share: Callable[[Any, Any], SharedTask], advance: Callable[[int], None]
    ) -> None:
        self._parts = parts
        self._share = share
        self._advance = advance
        self._shared: dict[int, SharedTask] = {}
        self._results: dict[int, Any] = {}

    def undone(self) -> list[int]:
        return [number for number in range(len(self._parts)) if number not in self._results]

    def shared(self, number: int) -> SharedTask:
        """Return where the arrays of a slice stand; they are copied there when it is first sent."""
        if number not in self._shared:
            self._shared[number] = self._share(*self._parts[number])
        return self._shared[number]

    def finish(self, number: int, result: Any) -> None:  # noqa: ANN401
        if number not in self._results:
            self._results[number] = result
            self._advance(number)

    def results(self) -> list[Any]:
        return [self._results[number] for number in range(len(self._parts))]


def run_in_processes(
    task: Callable[[Any, Any], Any],
    parts: list[tuple[Any, Any]],
    workers: int,
    advance: Callable[[int], None],
    check_inputs: Callable[[], None],
    *,
    budget: int = 1,
) -> list[Any]:
    """Run `task` on slices in worker processes.

    A killed worker takes the pool with it. What it and the others had not finished is done once more, in a new pool: a
    task writes its outputs whole, whatever stands there.

    Parameters
    ----------
    task : callable
        See :func:`rampfit_numba.engine.executors.run_rows`.
    parts : list of (inputs, outputs)
        Named tuples of the arrays of each slice; outputs may be None.
    workers : int
        How many run at once.
    advance : callable
        Called with the number of each slice that is done.
    check_inputs : callable
        Called after a worker was killed; raises where the inputs are to blame.
    budget : int
        Bytes that each worker may read from files at once.

    Returns
    -------
    list
        What the task returned, slice by slice.

    Raises
    ------
    RuntimeError
        A worker was killed, and then another one.
    NoProcessesError
        None could be started.
    """
    with transfer.sharing(parts) as share:
        slices = _Slices(parts, share, advance)
        try:
            _Attempt(task, workers, budget).run(slices)
        except BrokenExecutor as error:
            check_inputs()
            log.warning(
                "A worker process was killed%s: %d of %d slices are fitted once more",
                _exit_codes(error),
                len(slices.undone()),
                len(parts),
            )
            try:
                _Attempt(task, workers, budget).run(slices)
            except BrokenExecutor as again:
                check_inputs()
                raise RuntimeError(
                    f"a worker process was killed twice{_exit_codes(again)}, perhaps by the system because memory ran "
                    "out (its log tells): use fewer workers (maximum_cores), executor='threads' or a smaller max_memory"
                ) from again
        return slices.results()


def _exit_codes(error: BrokenExecutor) -> str:
    found = _EXIT_CODES.search(str(error))
    return f" ({found[1]})" if found else ""


def obstacle_to_workers(error: Exception) -> str:
    """Say what workers lack."""
    if isinstance(error, UnboundLocalError):  # loky's own mistake when a pipe could not be made
        return "descriptors ran out, see ulimit -n"
    if not isinstance(error, OSError):
        return f"{error}, see ulimit -u" if "thread" in str(error) else str(error)
    if error.filename:  # a temporary file
        return f"{error.filename}: {error.strerror}{remedy(error)}"
    way_out = _REMEDIES.get(error.errno or 0, "")
    return f"{error.strerror or error}{', ' if way_out else ''}{way_out}"


class _Attempt:
    """One pool of workers, and what it was sent."""

    def __init__(self, task: Callable[[Any, Any], Any], workers: int, budget: int) -> None:
        self._task = task
        self._budget = budget
        self._workers = workers
        self._futures: dict[Future[Any], int] = {}
        self._arrivals = Arrivals()
        try:
            self._executor, self._size = pool.take(workers)
        except OSError as error:
            raise NoProcessesError(obstacle_to_workers(error)) from error

    def run(self, slices: _Slices) -> None:
        """Run what is undone of `slices`."""
        try:
            with self._nobody_left():
                for number in slices.undone():
                    # A larger pool, from another call, must not do more at once than was asked for.
                    while self._size > self._workers and len(self._arrivals) >= self._workers:
                        self._finish(self._arrivals.next(), slices)
                    self._submit(number, slices.shared(number))
                for future in self._arrivals:
                    self._finish(future, slices)
        except BrokenExecutor:
            pool.drop(self._executor)
            for future, number in self._futures.items():
                if not future.cancelled() and future.exception() is None:
                    slices.finish(number, future.result())
            raise
        except (OSError, RuntimeError, UnboundLocalError) as error:
            # Descriptors, processes or memory for them have run out.
            if self._futures:
                raise
            pool.drop(self._executor, kill=True)
            raise NoProcessesError(obstacle_to_workers(error)) from error
        finally:
            pool.give_back(self._executor)

    def _finish(self, future: Future[Any], slices: _Slices) -> None:
        slices.finish(self._futures[future], future.result())

    def _submit(self, number: int, shared_task: SharedTask) -> None:
        call = (transfer.run_shared, self._task, shared_task, self._budget)
        with without_interrupts():  # workers start with the first task, and what was sent is known
            try:
                future: Future[Any] = self._executor.submit(*call)
            except BrokenExecutor:
                if self._futures:
                    raise
                # An idle worker was killed since the last call: that is nobody's loss.
                pool.drop(self._executor)
                self._executor, self._size = pool.take(self._workers)
                future = self._executor.submit(*call)
            self._futures[future] = number
            self._arrivals.expect(future)

    @contextmanager
    def _nobody_left(self) -> Iterator[None]:
        """After a failure, leave only when no worker writes any more into memory that the next call may be given."""
        try:
            try:
                yield
            except Exception:
                cancel_all(self._futures)
                self._arrivals.wait_for_all()
                raise
        except KeyboardInterrupt:
            pool.drop(self._executor, kill=True)
            raise
