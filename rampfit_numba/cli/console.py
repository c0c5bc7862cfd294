"""Log lines, warnings and failures, as a user of a terminal wants them: on standard error, one line each."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, TextIO

from rampfit_numba.messages import RampFitWarning, printable, remedy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PACKAGE = "rampfit_numba"
_FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"

log = logging.getLogger(__name__)


@contextmanager
def console_log(*, quiet: bool, verbose: bool, file: Path | None = None) -> Iterator[None]:
    """Send the package's log lines and warnings to standard error while the block runs.

    Warnings of this package are log lines; those of others are for developers and show with `verbose` only. All that
    `verbose` shows is appended to `file`, where one is given, whatever standard error shows.

    Raises
    ------
    OSError
        The file cannot be written.
    """

    def show(*details: Any, **_: Any) -> None:  # noqa: ANN401  (the arguments of warnings.showwarning)
        message, category, filename, lineno = details[:4]
        if issubclass(category, RampFitWarning):
            log.warning("%s", one_line(message))
        else:
            log.debug("%s:%d: %s: %s", filename, lineno, category.__name__, one_line(message))

    package = logging.getLogger(_PACKAGE)
    level = logging.ERROR if quiet else logging.DEBUG if verbose else logging.INFO
    handlers: list[logging.Handler] = [_AroundBars(sys.stderr)]
    handlers[0].setLevel(level)
    if file is not None:
        handlers.append(_LogFile(file, encoding="utf-8", errors="backslashreplace"))
        level = logging.DEBUG
    before = package.level
    package.setLevel(min(level, logging.WARNING))  # the summary of many files lists warnings, shown or not
    for handler in handlers:
        handler.setFormatter(_Formatter(_FORMAT))
        package.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", RampFitWarning)
            warnings.showwarning = show
            yield
    finally:
        for handler in handlers:
            package.removeHandler(handler)
            with suppress(OSError):  # what a full disk did not take has been told
                handler.close()
        package.setLevel(before)


class _Formatter(logging.Formatter):
    """Shows the text of exceptions as what can be printed, too."""

    def formatException(self, ei: Any) -> str:  # noqa: N802, ANN401  (logging's name and argument)
        """Return a traceback."""
        return printable(super().formatException(ei), keep="\n")


class _AroundBars(logging.StreamHandler[TextIO]):
    """Writes lines above a progress bar, not into it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        tqdm = sys.modules.get("tqdm")  # whoever shows a bar has imported it
        with tqdm.tqdm.external_write_mode(self.stream) if tqdm else nullcontext():
            super().emit(record)


class _LogFile(logging.FileHandler):
    """The file of log lines; that it cannot be written any more is said once, and the work goes on."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002  (logging's name and argument)
        """Say what the failure is, and give up the file."""
        logging.getLogger(_PACKAGE).removeHandler(self)
        error = sys.exception()
        reason = f"{error.strerror}{remedy(error)}" if isinstance(error, OSError) else error
        log.error("%s: cannot be written any more: %s", self.baseFilename, reason)


@contextmanager
def recorded_warnings() -> Iterator[list[str]]:
    """Give a list to which the block's warnings are added, beside being shown."""
    found: list[str] = []

    class _Recorder(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    recorder, package = _Recorder(logging.WARNING), logging.getLogger(_PACKAGE)
    before = package.level
    # With --quiet too: a report says what the screen does not.
    package.setLevel(min(package.getEffectiveLevel(), logging.WARNING))
    package.addHandler(recorder)
    try:
        yield found
    finally:
        package.removeHandler(recorder)
        package.setLevel(before)


def one_line(message: object) -> str:
    """Return `message` as text without line breaks; blanks within its lines stay, they can be part of a name."""
    return " ".join(filter(None, map(str.strip, str(message).splitlines())))


def log_failure(error: Exception, path: Path | None = None) -> None:
    """Log one line about what failed, naming the file, and the traceback where everything is to be shown."""
    message = one_line(error)
    if isinstance(error, MemoryError):
        message = f"not enough memory: {message}".removesuffix(": ")
    elif not _is_expected(error):
        message = (
            f"internal error, {type(error).__name__}: {message}; please report it, with what the same command prints "
            "with --verbose"
        )
    # Messages about files begin with the file.
    where = f"{path}: " if path is not None and printable(path.name) not in message else ""
    log.error("%s%s", where, message)
    log.debug("Traceback", exc_info=error)


def _is_expected(error: Exception) -> bool:
    """Whether the message is for the user: a bad file or value, a full disk, a killed worker, a missing extra."""
    # RuntimeError itself is what a killed worker raises; its subclasses (RecursionError ...) are mistakes.
    # An ImportError without a name is not Python's own: an extra is not installed.
    missing_extra = isinstance(error, ImportError) and error.name is None
    return isinstance(error, ValueError | OSError | MemoryError) or type(error) is RuntimeError or missing_extra


def provide_standard_error() -> None:
    """Let messages go nowhere where standard error was closed before the start (``2>&-``)."""
    if sys.stderr is not None:
        return
    number = 2
    try:
        os.fstat(number)
    except OSError:
        # Or the next file opened, a product perhaps, would take the number: what libraries print would end up in it.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        if nowhere != number:
            os.dup2(nowhere, number)
            os.close(nowhere)
        os.set_inheritable(number, True)  # noqa: FBT003  (worker processes need one too)
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  (for the rest of the process)


class OutputError(Exception):
    """Standard output cannot be written; the cause is an OSError."""


def say(text: str) -> None:
    """Print a line of the command's result on standard output.

    Raises
    ------
    OutputError
        Nobody reads it, or it is a file on a full disk.
    """
    if sys.stdout is None:  # closed before the start
        return
    try:
        sys.stdout.write(printable(f"{text}\n", keep="\n"))
    except OSError as error:
        raise OutputError from error


def flush() -> None:
    """Hand on what was said; raises OutputError as `say` does."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        raise OutputError from error


def give_up_output() -> None:
    """Let what was said go nowhere: the interpreter flushes once more at its end, and would complain once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
