"""The project's own warning and error classes, and texts of others in them: data, whatever a terminal would obey."""

from __future__ import annotations

import errno
import logging
from contextvars import ContextVar

#: What has been warned of in this thread, where somebody listens.
noted: ContextVar[list[str] | None] = ContextVar("noted", default=None)


#: What to do about errors of the system, by their number.
_REMEDIES = {
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "make room: your quota of that disk is used up",
    errno.EFBIG: "let files be larger (ulimit -f)",
    errno.EMFILE: "let more files be open (ulimit -n)",
    errno.ENFILE: "the whole system has too many files open",
    errno.EROFS: "choose another folder",
}


class RampFitWarning(UserWarning):
    """The fit went on, but its result may not be what the caller expects.

    It is noted where it arises, whether a filter lets it be seen or not.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*map(_shown, args))
        note(str(self))


class RampFileError(ValueError):
    """A file cannot be used: the message names the file, the extension or keyword, and what to do."""

    def __init__(self, *args: object) -> None:
        super().__init__(*map(_shown, args))


class PrintableRecords(logging.NullHandler):
    """The first handler of this package's log: names and values of files reach the others as what can be printed."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Change the record where that is needed."""
        text = record.getMessage()
        if not text.isprintable():
            record.msg, record.args = printable(text), ()
        return True


def printable(text: str, *, keep: str = "") -> str:
    r"""Return `text` with all that cannot be printed, but for the characters in `keep`, as Python writes it.

    File names and headers may hold what terminals obey (ESC), what parts lines, and what turns the direction of text.

    Examples
    --------
    >>> print(printable("a\x1b[2Jb\n"))
    a\x1b[2Jb\n
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode("ascii") for char in text
    )


def _shown(part: object) -> object:
    # astropy's own messages have several lines.
    return printable(part, keep="\n") if isinstance(part, str) else part


def note(message: str) -> None:
    """Add a warning to those that were noted, once."""
    found = noted.get()
    if found is not None and message not in found:
        found.append(message)


def remedy(error: OSError) -> str:
    """Return what to do where the system has refused something, to be appended to a message; or nothing."""
    found = _REMEDIES.get(error.errno or 0, "")
    return f"; {found}" if found else ""


def how_to_install(extra: str) -> str:
    """Return the command that installs an extra; it works where the package is: in a clone, and not on PyPI yet."""
    return f"pip install '.[{extra}]' in a clone of rampfit_numba"
