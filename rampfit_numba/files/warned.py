"""What is warned of while a file is fitted, whatever thread it is fitted in."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rampfit_numba.messages import note, noted

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGE = logging.getLogger("rampfit_numba")


class _Listener(logging.Handler):
    """Notes what is logged as a warning, for the file that this thread is at."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.WARNING:
            note(record.getMessage())


@contextmanager
def warnings_of_this_file() -> Iterator[list[str]]:
    """Give a list to which the warnings of this thread are added, each once, beside being shown."""
    found: list[str] = []
    listener, before = _Listener(logging.WARNING), noted.set(found)
    _PACKAGE.addHandler(listener)
    try:
        yield found
    finally:
        _PACKAGE.removeHandler(listener)
        noted.reset(before)
