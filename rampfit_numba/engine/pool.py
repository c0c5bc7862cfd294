"""The worker processes: one pool of this package's own, kept from call to call.

loky needs no ``__main__`` guard, notices killed workers and lets idle ones end. Its ready-made reusable executor is one
for the whole process: other code that uses it, with other options, would find its own shut down.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from rampfit_numba.engine.interrupts import without_interrupts
from rampfit_numba.engine.memory_pool import IDLE

if TYPE_CHECKING:
    from loky.process_executor import ProcessPoolExecutor

#: loky ends workers that have grown by 300 MB, as a leak: these have a share of each exposure mapped, of any size.
_WORKER_ENVIRONMENT = {"LOKY_MAX_MEMORY_LEAK_SIZE": "1e18"}
#: Seconds between two looks of a worker at whether its parent still lives.
_WATCH = 5.0


class _Pool:
    """The pool of this process, if there is one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._executor: ProcessPoolExecutor | None = None
        self._workers = 0
        # How many calls use which executor: one that was replaced by a larger one goes on until they are done.
        self._users: dict[ProcessPoolExecutor, int] = {}

    def take(self, workers: int) -> tuple[ProcessPoolExecutor, int]:
        """Return a pool of at least so many workers, and how many it has; it must be given back, or dropped."""
        from loky.process_executor import ProcessPoolExecutor

        _start_trackers()
        with self._lock:
            if self._executor is None or self._workers < workers:
                replaced = self._executor
                self._executor = ProcessPoolExecutor(
                    workers,
                    timeout=IDLE,
                    initializer=_watch_parent,
                    initargs=(os.getpid(),),
                    env=_WORKER_ENVIRONMENT,
                )
                self._workers = workers
                if replaced is not None and not self._users.get(replaced):
                    replaced.shutdown(wait=False)
            self._users[self._executor] = self._users.get(self._executor, 0) + 1
            return self._executor, self._workers

    def runs(self, workers: int) -> bool:
        """Tell whether so many workers run already: those that are idle for long have ended."""
        with self._lock:
            processes = {} if self._executor is None else self._executor._processes  # noqa: SLF001  (loky tells no other way)
            return len(processes or {}) >= workers

    def give_back(self, executor: ProcessPoolExecutor) -> None:
        """End a use of `executor`; the last one of a pool that was replaced ends its workers."""
        with self._lock:
            if executor not in self._users:  # dropped meanwhile
                return
            self._users[executor] -= 1
            if self._users[executor] == 0:
                del self._users[executor]
                if executor is not self._executor:
                    executor.shutdown(wait=False)

    def drop(self, executor: ProcessPoolExecutor, *, kill: bool = False) -> None:
        """Do not use `executor` any more; end its workers at once if `kill`."""
        with self._lock:
            self._users.pop(executor, None)
            if self._executor is executor:
                self._executor = None
        executor.shutdown(wait=True, kill_workers=kill)

    def forget(self) -> None:
        """Begin anew in a forked child: the workers are the parent's."""
        self._lock = threading.Lock()
        self._executor = None
        self._users = {}


pool = _Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pool.forget)


def _start_trackers() -> None:
    """Start the processes that clean up behind others: they must not see Ctrl-C either.

    Python 3.11's own tracker lets signals through again when it has started, so that comes before the workers start.
    """
    from multiprocessing import resource_tracker

    from loky.backend import resource_tracker as loky_tracker

    with without_interrupts():
        resource_tracker.ensure_running()
        loky_tracker.ensure_running()


def _watch_parent(parent: int) -> None:
    """End this worker when its parent was killed: nobody else would for a while."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH)
        os._exit(1)

    with suppress(RuntimeError):  # no more threads: loky's own watch must do
        threading.Thread(target=watch, daemon=True, name="rampfit-parent").start()
