"""The entry of the command: from arguments to an exit status."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from rampfit_numba.cli import collector, commands, console
from rampfit_numba.cli.interrupts import Terminated, ignore_interrupts, orderly_end

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

# The last two: 128 + SIGINT, SIGPIPE; that of another signal is made like them.
_FAILED, _INTERRUPTED, _NOBODY_READS = 1, 130, 141
_OF_SIGNALS = 128


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command ``rampfit``.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name. None: those of the process.

    Returns
    -------
    int
        Exit status: 0 done, 1 something failed, 2 wrong usage, 129 the terminal was closed (SIGHUP), 130 interrupted,
        141 standard output was closed, 143 terminated (SIGTERM).

    Examples
    --------
    >>> main(["--version"])  # doctest: +SKIP
    rampfit 0.1.0
    0
    """
    console.provide_standard_error()
    if argv is None:  # the process is this command's own
        collector.wait_for_imports()
    try:
        with orderly_end():
            return _main(argv)
    except Terminated as end:
        _say_farewell("terminated")
        return _OF_SIGNALS + end.number
    except KeyboardInterrupt:
        _say_farewell("interrupted")
        return _INTERRUPTED
    finally:
        if argv is None:
            ignore_interrupts()


def _say_farewell(how: str) -> None:
    with suppress(OSError):  # the terminal may be gone
        sys.stderr.write(f"\nrampfit: {how}; files are whole or absent\n")


def _main(argv: Sequence[str] | None) -> int:
    try:
        try:
            status = _run(commands.parse(list(sys.argv[1:] if argv is None else argv)))
        except SystemExit as end:  # argparse has said what there is to say
            status = end.code if isinstance(end.code, int) else 0
        console.flush()
    except console.OutputError as error:
        console.give_up_output()
        if isinstance(error.__cause__, BrokenPipeError):
            return _NOBODY_READS
        sys.stderr.write(f"rampfit: error: standard output cannot be written ({error.__cause__})\n")
        return _FAILED
    return status


def _run(chosen: argparse.Namespace) -> int:
    with console.console_log(quiet=chosen.quiet, verbose=chosen.verbose, file=chosen.log_file):
        try:
            return int(chosen.run(chosen))
        except console.OutputError:
            raise
        except Exception as error:  # noqa: BLE001  (the last resort: a user gets a line, not a traceback)
            console.log_failure(error)
            return _FAILED
