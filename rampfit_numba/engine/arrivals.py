"""Futures in the order in which they end, without locks that an interrupt could leave taken.

``wait``, ``as_completed`` and the methods of a future that still runs take locks in Python code. Where Ctrl-C comes
when one is taken and the block that gives it back has not begun, nobody gives it back: the thread that has the result
waits for it for good, and so does whoever ends that thread's pool. The queue here is C code, which an interrupt only
meets before or after.
"""

from __future__ import annotations

from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from rampfit_numba.engine.interrupts import raise_lost, without_interrupts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
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
        with without_interrupts():
            future.add_done_callback(self._ended.put)

    def next(self) -> Future[Any]:
        """Wait for the next one that ends; an interrupt ends that wherever it came."""
        while True:
            raise_lost()
            try:
                future = self._ended.get(timeout=_LOOK)
            except Empty:
                continue
            self._coming.discard(future)
            return future

    def some(self) -> set[Future[Any]]:
        """Wait for one, and return all that have ended."""
        found = {self.next()}
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
            try:
                self._ended.get(timeout=_LOOK)
            except Empty:
                continue

    def _any_runs(self) -> bool:
        # Not those that have not arrived: what an interrupt takes from the queue's door is lost.
        with without_interrupts():
            return any(not future.done() for future in self._coming)
