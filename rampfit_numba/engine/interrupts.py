"""Ctrl-C while work is done: held back where processes start, never lost, and once is enough."""

from __future__ import annotations

import signal
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import TypeAlias

    Handler: TypeAlias = Callable[[int, FrameType | None], object]

#: Seconds for which Ctrl-C is not heard after Ctrl-C: to clean up is not to be interrupted in its turn.
PATIENCE = 5.0
#: When Ctrl-C came to a block of :func:`interrupts_not_lost`, on the clock of `time.monotonic`.
_came: list[float] = []


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Hold back Ctrl-C, and the end of a terminal: processes that start meanwhile never see it, this one ends them.

    Nor is the block left in the middle: a worker whose start is cut off shows a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    with interrupts_later():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def interrupts_later() -> Iterator[None]:
    """Call the handlers of signals that end the work when the block has ended.

    To block signals is not enough: the system gives them to another thread, and Python still calls handlers here. Nor
    is it always right: threads that start meanwhile would have them blocked for life, and so would what these start.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []

    def later(number: int, frame: FrameType | None) -> None:
        came.append((number, frame))

    # The last one is given back first. Ctrl-C, the most frequent, is the last one to be given back. Windows has no
    # SIGHUP.
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    handlers: dict[int, Handler] = {
        int(number): handler for number in numbers if callable(handler := signal.getsignal(number))
    }
    try:
        for number in handlers:
            signal.signal(number, later)
        yield
    finally:
        with ExitStack() as stack:  # which goes on where one raises
            stack.callback(_handle, came, handlers)
            for number, handler in handlers.items():
                stack.callback(signal.signal, number, handler)


def _handle(came: list[tuple[int, FrameType | None]], handlers: dict[int, Handler]) -> None:
    with ExitStack() as stack:
        for number, frame in reversed(came):
            stack.callback(handlers[number], number, frame)


@contextmanager
def interrupts_not_lost() -> Iterator[None]:
    """Raise an interrupt, at the end or by :func:`raise_lost`, that came where Python can only print and forget it.

    Such places are the callbacks of weak references, which run when a pool's threads go, and Python that C code calls,
    as Numba does while it loads a kernel. A second Ctrl-C does nothing for a while. Where a caller handles interrupts
    in a way of his own (as the command does) or in another thread than the main one, nothing is changed. A block in
    another one only raises what came to that.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        or sys.unraisablehook is not sys.__unraisablehook__
    ):
        with _lost_ones_raised():
            yield
        return

    def note(number: int, frame: object) -> None:
        if is_impatient(_came):
            return
        signal.default_int_handler(number, frame)  # type: ignore[arg-type]

    signal.signal(signal.SIGINT, note)
    try:
        with _lost_ones_raised():
            yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _came.clear()


@contextmanager
def _lost_ones_raised() -> Iterator[None]:
    """Raise an interrupt that has come also in place of an error: it may have made that, in the middle of a lock."""
    try:
        yield
    except Exception:
        raise_lost()
        raise
    raise_lost()


def raise_lost() -> None:
    """Raise the interrupt that has come to a block of :func:`interrupts_not_lost`, if one has.

    To be called where one waits for long; not while cleaning up after an interrupt. Other threads go on.
    """
    if _came and threading.current_thread() is threading.main_thread():
        raise KeyboardInterrupt


def is_impatient(came: list[float]) -> bool:
    """Whether a signal follows the last one of `came` at once; the time of one that does not is kept there."""
    now = time.monotonic()
    if came and now - came[0] < PATIENCE:
        return True
    came[:] = [now]
    return False


def leave_signals_to_others() -> None:
    """Let signals reach the main thread, which holds them back where it must; and no process that starts here."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
