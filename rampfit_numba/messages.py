"""The project's own warning and error classes."""

from __future__ import annotations

from contextvars import ContextVar

#: What has been warned of in this thread, where somebody listens.
noted: ContextVar[list[str] | None] = ContextVar("noted", default=None)


class RampFitWarning(UserWarning):
    """The fit went on, but its result may not be what the caller expects.

    It is noted where it arises, whether a filter lets it be seen or not.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        note(str(self))


class RampFileError(ValueError):
    """A file cannot be used: the message names the file, the extension or keyword, and what to do."""


def note(message: str) -> None:
    """Add a warning to those that were noted, once."""
    found = noted.get()
    if found is not None and message not in found:
        found.append(message)


def how_to_install(extra: str) -> str:
    """Return the command that installs an extra; it works where the package is: in a clone, and not on PyPI yet."""
    return f"pip install '.[{extra}]' in a clone of rampfit_numba"
