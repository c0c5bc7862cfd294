"""What goes on in a thread beside a fit: the next rows are read, the last results written.

Python's lock is free while kernels run and while the system reads and writes, so one worker's fit takes as long as the
slower of these alone.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.engine.interrupts import leave_signals_to_others, without_interrupts
from rampfit_numba.file_arrays import FileArray

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType
    from typing import Self


class Background:
    """One call at a time, in a thread, or in the caller's where the system has no thread left.

    As a context: it is left when the call has ended, whatever has happened meanwhile.

    Parameters
    ----------
    name : str
        Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._running: Future[Any] | None = None
        self._thread: threading.Thread | None = None

    def start(self, function: Callable[..., Any], *args: Any) -> None:  # noqa: ANN401  (of any function)
        """Begin a call, when the one before has ended; raises what that raised."""
        self.wait()
        future = self._running = Future[Any]()
        thread = threading.Thread(target=_call, args=(future, function, args), name=self._name)
        try:
            with without_interrupts():  # what has started is known
                thread.start()
                self._thread = thread
        except RuntimeError:
            _call(future, function, args)

    def wait(self) -> Any:  # noqa: ANN401  (what the function returned)
        """Wait for the last call, and return what it returned or raise what it raised; None if there is none."""
        if self._running is None:
            return None
        self._join()
        future, self._running = self._running, None
        return future.result()

    def _join(self) -> None:
        """Wait until the thread is gone, and with it what it was given.

        For its result first: an interrupted `join` takes the thread for ended.
        """
        if self._thread is not None and self._running is not None:
            self._running.exception()
            self._thread.join()
            self._thread = None

    def _end(self) -> None:
        """Wait whatever interrupts that, which is raised when the call has ended."""
        try:
            self._join()
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()
        if error is None:
            self.wait()


def _call(future: Future[Any], function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    if threading.current_thread() is not threading.main_thread():
        leave_signals_to_others()
    try:
        future.set_result(function(*args))
    except BaseException as error:  # noqa: BLE001  (for whoever waits)
        future.set_exception(error)


@contextmanager
def read_ahead(parts: Sequence[Any]) -> Iterator[Iterator[Any]]:
    """Give the same inputs, read where they stand in a file: each part while the caller has the one before.

    Parameters
    ----------
    parts : sequence of named tuples
        Of arrays, :class:`FileArray`, or None.

    Yields
    ------
    iterator of named tuples
        The arrays of one are overwritten when the next one is asked for.

    Raises
    ------
    RampFileError
        A file is gone, was replaced or changed, or is shorter than it was; when its part is asked for.
    """
    with Background("rampfit-reader") as reader:
        in_files = any(isinstance(array, FileArray) for part in parts[:1] for array in part)
        yield _read_ahead(parts, reader) if in_files else iter(parts)


def _read_ahead(parts: Sequence[Any], reader: Background) -> Iterator[Any]:
    buffers = _Buffers(), _Buffers()
    for number, part in enumerate(parts):
        arrays = reader.wait() if number else buffers[0].read(part)
        if number + 1 < len(parts):
            reader.start(buffers[(number + 1) % 2].read, parts[number + 1])
        yield arrays


class _Buffers:
    """Memory for the arrays of a part, made when it is first needed."""

    def __init__(self) -> None:
        self._buffers: dict[int, np.ndarray] = {}

    def read(self, part: Any) -> Any:  # noqa: ANN401  (a named tuple)
        arrays = list(part)
        for place, array in enumerate(part):
            if isinstance(array, FileArray):
                buffer = self._buffers.get(place)
                if buffer is None or buffer.nbytes < array.nbytes:
                    buffer = self._buffers[place] = np.empty(array.nbytes, np.uint8)
                arrays[place] = array.read(buffer)
        return type(part)(*arrays)
