"""Futures in the order in which they end, without locks that an interrupt could leave taken.

``wait``, ``as_completed`` and the methods of a future that still runs take locks in Python code. Where Ctrl-C comes
when one is taken and the block that gives it back has not begun, nobody gives it back: the thread that has the result
waits for it for good, and so does whoever ends that thread's pool. The queue here is C code, which an interrupt only
meets before or after.
"""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from rampfit_numba.engine.interrupts import interrupts_later, raise_lost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

#: Seconds between two looks for an interrupt that Python has dropped.
_LOOK = 0.5


class Arrivals:
    """Futures on their way.

    Parameters
    ----------
    futures : iterable of Future
        The first ones; :meth:`expect` takes more.
    """

    def __init__(self, futures: Iterable[Future[Any]] = ()) -> None:
        self._ended: SimpleQueue[Future[Any]] = SimpleQueue()
        self._coming: set[Future[Any]] = set()
        for future in futures:
            self.expect(future)

    def __len__(self) -> int:
        """Return how many have not been given yet."""
        return len(self._coming)

    def __iter__(self) -> Iterator[Future[Any]]:
        """Give each when it has ended, until there are no more."""
        while self._coming:
            yield self.next()

    def expect(self, future: Future[Any]) -> None:
        """Take one more; it may have ended."""
        self._coming.add(future)
        with interrupts_later():
            future.add_done_callback(self._ended.put)

    def next(self) -> Future[Any]:
        """Wait for the next one that ends; an interrupt ends that wherever it came.

        Raises
        ------
        LookupError
            All have been given.
        """
        while True:
            if not self._coming:
                raise LookupError("expected a future that is on its way; all have been given")
            raise_lost()
            try:
                future = self._ended.get(timeout=_LOOK)
            except Empty:
                continue
            self._coming.discard(future)
            return future

    def some(self) -> set[Future[Any]]:
        """Wait for one, and return all that have ended."""
        return {self.next()} | self.here()

    def here(self) -> set[Future[Any]]:
        """Return all that have ended, without waiting."""
        raise_lost()
        found: set[Future[Any]] = set()
        try:
            while True:
                future = self._ended.get_nowait()
                self._coming.discard(future)
                found.add(future)
        except Empty:
            return found

    def wait_for_all(self) -> None:
        """Wait until all have ended, after a failure or an interrupt; those that were not given never will be."""
        while self._any_runs():
            with suppress(Empty):
                self._ended.get(timeout=_LOOK)
        self._coming.clear()
        with suppress(Empty):  # a future in the queue that its own callback knows would stay, with its result
            while True:
                self._ended.get_nowait()

    def _any_runs(self) -> bool:
        # Not those that have not arrived: what an interrupt takes from the queue's door is lost.
        with interrupts_later():
            return any(not future.done() for future in self._coming)


def cancel_all(futures: Iterable[Future[Any]], cancelled: Callable[[Future[Any]], None] | None = None) -> None:
    """Cancel what has not begun; an interrupt meanwhile leaves no lock of a future taken, and is raised afterwards.

    Parameters
    ----------
    futures : iterable of Future
    cancelled : callable, optional
        Called with each one that was cancelled, of which nobody else hears.
    """
    with interrupts_later():
        for future in futures:
            if future.cancel() and cancelled is not None:
                cancelled(future)


def take_back(future: Future[Any]) -> bool:
    """Cancel a future, which the caller will do itself; False: it has begun."""
    with interrupts_later():
        return future.cancel()
