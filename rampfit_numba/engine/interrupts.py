"""Ctrl-C while slices run: held back where processes start, and never lost."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Hold back Ctrl-C until the end: processes that start meanwhile never see it, this one ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def interrupts_not_lost() -> Iterator[None]:
    """Raise an interrupt at the end that came where Python can only print and forget it.

    Such places are the callbacks of weak references, which run when a pool's threads go, and Python that C code calls,
    as Numba does while it loads a kernel. Where a caller handles interrupts in a way of his own (as the command does)
    or in another thread than the main one, nothing is changed.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        or sys.unraisablehook is not sys.__unraisablehook__
    ):
        yield
        return
    came = False

    def note(number: int, frame: object) -> None:
        nonlocal came
        came = True
        signal.default_int_handler(number, frame)  # type: ignore[arg-type]

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if came:
        raise KeyboardInterrupt
