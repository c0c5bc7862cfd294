"""The commands: one module each, and what may be typed to reach them.

A command is a module with ``add_parser(subparsers)``, which declares its arguments and returns the parser, and
``run(chosen)``, which does the work and returns the exit status. A new one is such a module and a line in `COMMANDS`.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rampfit_numba.cli import cache, demo, fit, plot, reads, report, simulate, view, warmup
from rampfit_numba.cli.arguments import Parser, check_log_file, did_you_mean, refuse_unknown_options
from rampfit_numba.cli.console import say

if TYPE_CHECKING:
    from rampfit_numba.cli.arguments import Subparsers


class Command(Protocol):
    """What a command's module has. Nothing that takes time to import may be imported before `run`."""

    def add_parser(self, subparsers: Subparsers) -> Parser:
        """Declare the command's arguments."""

    def run(self, chosen: argparse.Namespace) -> int:
        """Do what was asked for; return the exit status."""


#: By name, in the order of the help.
COMMANDS: dict[str, Command] = {
    "fit": fit,
    "reads": reads,
    "plot": plot,
    "view": view,
    "report": report,
    "simulate": simulate,
    "demo": demo,
    "warmup": warmup,
    "cache": cache,
}

#: What stands in the help for an argument that is a file or a folder: a shell completes those.
_FILES = ("FILE", "FILE|NUMBER", "FOLDER", "OUT_jump.fits")

_DESCRIPTION = "Fit ramps of infrared detectors as the JWST pipeline's ramp_fit step does."
_EPILOG = """\
examples:
  rampfit jw_jump.fits --readnoise readnoise.fits --gain gain.fits     the same as: rampfit fit jw_jump.fits ...
  rampfit *_jump.fits --readnoise 14.2 --gain 5.5 --maximum-cores half --output-dir rates
  rampfit jw_jump.fits --readnoise 14.2 --gain 5.5 --algorithm likely_joint --save-opt
  rampfit reads R01_F*.fits --readnoise 6 --gain 2.1 --frame-time 10.65 --saturation 45000     any detector's reads
  rampfit demo                                                         simulate, fit, compare with the truth

exit status: 0 done; 1 something failed (other files are still done); 2 wrong usage; ended by a signal: 129 hangup,
130 Ctrl-C, 141 nobody reads the output, 143 terminated.
Options may be written with underscores, as in the pipeline (--save_opt).  More: rampfit COMMAND --help
"""


def parse(argv: list[str]) -> argparse.Namespace:
    """Return what `argv` (without the program's name) asks for; ``.parser`` is the parser to complain with.

    Raises
    ------
    SystemExit
        Status 2 after a line on standard error; status 0 after ``--help`` and ``--version``.
    """
    top = make_parser()
    if not argv:
        top.error(f"expected a FILE or a command: {', '.join(COMMANDS)}")
    if argv[0] not in (*COMMANDS, "-h", "--help", "-V", "--version") and not argv[0].startswith("--print"):
        word = argv[0]
        if not word.startswith("-") and "." not in word and not os.path.exists(word):  # noqa: PTH110  (any text)
            top.error(f"{word!r} is neither a file nor a command ({', '.join(COMMANDS)}){did_you_mean(word, COMMANDS)}")
        argv = ["fit", *argv]
    words = _with_dashes(argv)
    refuse_unknown_options(top, words)
    chosen = top.parse_args(words)
    check_log_file(chosen)
    return chosen


def _with_dashes(argv: list[str]) -> list[str]:
    """Write the names of long options with dashes: ``--save_opt`` and ``--save-opt`` are the same."""
    words: list[str] = []
    for number, word in enumerate(argv):
        if word == "--":
            return words + argv[number:]
        name, sign, value = word.partition("=")
        words.append(name.replace("_", "-") + sign + value if word.startswith("--") else word)
    return words


def make_parser() -> Parser:
    """Return the parser of the whole command; also for whoever documents or completes it."""
    top = Parser(
        prog="rampfit",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument(
        "-V", "--version", action=_Version, nargs=0, help="print the versions of rampfit and of what it stands on"
    )
    top.add_argument(
        "--print-completion",
        action=_Completion,
        choices=("bash", "zsh", "tcsh"),
        metavar="SHELL",
        help="print a completion script for bash, zsh or tcsh (needs shtab)",
    )
    subparsers = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS.values():
        parser = command.add_parser(subparsers)
        loudness = parser.add_mutually_exclusive_group()
        loudness.add_argument("--quiet", action="store_true", help="print errors only")
        loudness.add_argument("--verbose", action="store_true", help="print everything, tracebacks too")
        parser.add_argument(
            "--log-file", type=Path, metavar="FILE", help="append all log lines to this file, also with --quiet"
        )
        parser.set_defaults(parser=parser, run=command.run)
    return top


class _Version(argparse.Action):
    """Print the versions of what a result depends on; they are looked up only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        import platform
        from importlib.metadata import version

        from rampfit_numba._version import __version__

        others = ", ".join(f"{name} {version(name)}" for name in ("numba", "numpy", "astropy"))
        say(f"rampfit {__version__} ({others}, Python {platform.python_version()})")
        parser.exit()


class _Completion(argparse.Action):
    """Print what a shell needs to complete words of this command."""

    def __call__(self, parser: argparse.ArgumentParser, _: object, shell: Any, *__: object) -> None:  # noqa: ANN401
        try:
            import shtab
        except ImportError:
            parser.error("--print-completion needs shtab: pip install shtab")
        top = make_parser()
        for command in (top, *_commands_of(top).values()):
            for action in command._actions:  # noqa: SLF001  (argparse has no other list of them)
                if action.metavar in _FILES:
                    setattr(action, "complete", shtab.FILE)  # noqa: B010  (an attribute of shtab's own)
        say(shtab.complete(top, shell))
        parser.exit()


def _commands_of(top: Parser) -> dict[str, Parser]:
    (action,) = (action for action in top._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001
    return dict(action.choices)
