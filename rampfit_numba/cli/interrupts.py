"""Ctrl-C, SIGTERM and SIGHUP: each ends the work in order, temporary files and worker processes included."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rampfit_numba.engine.interrupts import is_impatient

if TYPE_CHECKING:
    from collections.abc import Iterator

# Seconds until an interrupt that was lost comes again.
_AGAIN = 0.05
#: What batch systems send, and what a terminal does that is closed; Windows has no such signal.
_ENDS = [signal.SIGTERM, *([signal.SIGHUP] if sys.platform != "win32" else [])]


class Terminated(KeyboardInterrupt):
    """A signal has come that ends processes: the work ends as it does with Ctrl-C.

    Parameters
    ----------
    number : int
        Of the signal.
    """

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def orderly_end() -> Iterator[None]:
    """Raise Terminated where a signal would end the process on the spot, and let no interrupt get lost.

    Cleaning up is not interrupted in its turn: a second signal does nothing, a second Ctrl-C nothing for a while. Where
    a caller has a handler of its own, or in another thread than the main one, nothing is changed.
    """
    in_charge = threading.current_thread() is threading.main_thread()
    if not in_charge or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    handlers = _Handlers()
    handlers.install()
    try:
        yield
    finally:
        handlers.remove()


class _Handlers:
    """What is done when a signal comes, and where Python has dropped what was raised then."""

    def __init__(self) -> None:
        self._hook = sys.unraisablehook
        self._interrupts: list[float] = []
        self._timers: list[threading.Timer] = []
        # Others are not ours: nohup ignores SIGHUP.
        self._ends = [number for number in _ENDS if signal.getsignal(number) is signal.SIG_DFL]
        self._interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def install(self) -> None:
        for number in self._ends:
            signal.signal(number, self._end)
        if self._interruptible:
            signal.signal(signal.SIGINT, self._interrupt)
        sys.unraisablehook = self._come_again

    def remove(self) -> None:
        for timer in self._timers:
            timer.cancel()
        sys.unraisablehook = self._hook
        for number in self._ends:
            signal.signal(number, signal.SIG_DFL)
        if self._interruptible:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _end(self, number: int, _: object) -> None:
        for other in self._ends:
            signal.signal(other, signal.SIG_IGN)
        raise Terminated(number)

    def _interrupt(self, *_: object) -> None:
        if not is_impatient(self._interrupts):
            raise KeyboardInterrupt

    def _come_again(self, lost: sys.UnraisableHookArgs) -> None:
        # C code that calls Python (numba does while it loads a kernel) cannot hand on exceptions: Python drops them.
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            self._hook(lost)
            return
        number: int = signal.SIGINT
        if isinstance(lost.exc_value, Terminated):
            number = lost.exc_value.number
            signal.signal(number, self._end)
        self._interrupts.clear()
        # Windows has no signals that one could send: os.kill would end the process there.
        again = (os.kill, (os.getpid(), number)) if sys.platform != "win32" else (_thread.interrupt_main, (number,))
        self._timers.append(threading.Timer(_AGAIN, *again))
        self._timers[-1].start()


def ignore_interrupts() -> None:
    """Let Ctrl-C do nothing any more: all is done, and this process is about to end its workers."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
