"""Ctrl-C and SIGTERM: either ends the work in order, temporary files and worker processes included."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Seconds until an interrupt that was lost comes again.
_AGAIN = 0.05


class Terminated(KeyboardInterrupt):
    """SIGTERM has come: the work ends as it does with Ctrl-C."""


@contextmanager
def orderly_end() -> Iterator[None]:
    """Raise Terminated where SIGTERM would end the process on the spot, and let no interrupt get lost.

    Where a caller has a handler of its own, or in another thread than the main one, nothing is changed.
    """
    in_charge = threading.current_thread() is threading.main_thread()
    if not in_charge or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # cleaning up is not to be interrupted in its turn
        raise Terminated

    timers: list[threading.Timer] = []
    hook = sys.unraisablehook

    def come_again(lost: sys.UnraisableHookArgs) -> None:
        # C code that calls Python (numba does while it loads a kernel) cannot hand on exceptions: Python drops them.
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            hook(lost)
            return
        number = signal.SIGINT
        if issubclass(lost.exc_type, Terminated):
            number = signal.SIGTERM
            signal.signal(number, end)
        # Windows has no signals that one could send: os.kill would end the process there.
        again = (os.kill, (os.getpid(), number)) if sys.platform != "win32" else (_thread.interrupt_main, (number,))
        timers.append(threading.Timer(_AGAIN, *again))
        timers[-1].start()

    signal.signal(signal.SIGTERM, end)
    sys.unraisablehook = come_again
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
        sys.unraisablehook = hook
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
