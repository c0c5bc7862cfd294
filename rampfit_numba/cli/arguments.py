"""Parsers, and the arguments that several commands have."""

from __future__ import annotations

import argparse
import difflib
import os
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rampfit_numba.io.places import place_of
from rampfit_numba.messages import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    Subparsers = argparse._SubParsersAction[Any]  # noqa: SLF001  (its only name)


#: Arguments that name what is written.
_WRITTEN = ("output", "output_dir", "folder", "summary", "log_file")


class Parser(argparse.ArgumentParser):
    """Parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Print `message` and exit with status 2."""
        self.exit(2, f"{self.prog}: error: {printable(message)} (see {self.prog} --help)\n")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the question whether one of the known words was meant, or nothing."""
    known = list(known)
    near = [name for name in known if name.startswith(word)] or difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def refuse_unknown_options(top: Parser, words: list[str]) -> None:
    """Complain about a misspelt option before argparse complains about what else it misses then."""
    commands: dict[str, Parser] = next(
        action.choices
        for action in top._actions  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction)  # noqa: SLF001
    )
    parser = commands.get(words[0])
    if parser is None:
        return
    known = [name for name in parser._option_string_actions if name.startswith("--")]  # noqa: SLF001
    for word, after in pairwise([*words[1:], "--"]):
        if word == "--":
            return
        name = word.partition("=")[0]
        # One dash, as other programs have it: "-save-opt"; a negative number is none, nor are "-h" and "-".
        single = name[:1] == "-" and name[1:2].isalpha() and len(name) > len("-h")
        if (name.startswith("--") or single) and name not in known:
            given = word if after.startswith("-") else f"{word} {after}"
            parser.error(f"unrecognized arguments: {given}{did_you_mean('--' + name.lstrip('-'), known)}")


def new_parser(subparsers: Subparsers, command: str, summary: str, *examples: str) -> Any:  # noqa: ANN401  (a Parser)
    """Return the parser of a command.

    `summary` is its line in the list of commands, without a full stop; `examples` are lines that can be typed as they
    stand, shown at the end of its help.
    """
    return subparsers.add_parser(
        command,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog="\n".join(["example:" if len(examples) == 1 else "examples:", *(f"  {line}" for line in examples)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_workers(group: Any) -> None:  # noqa: ANN401  (argparse names its groups' type privately)
    """Add ``--maximum-cores`` and ``--executor`` to a parser or a group of its arguments."""
    group.add_argument(
        "--maximum-cores",
        type=_maximum_cores,
        default="none",
        metavar="N",
        help="none, quarter, half, all, or a number of cores: so many workers at most (default: none, that is one)",
    )
    group.add_argument(
        "--executor",
        choices=("processes", "threads"),
        help="what the workers are (default: threads; of several files the faster of the two)",
    )


def add_shape(parser: Parser, told: str, default: str | None = None) -> None:
    """Add ``--shape`` and ``--seed`` of a simulated exposure; `told` is what the help says of the default."""
    parser.add_argument(
        "--shape",
        type=_shape,
        default=default and _shape(default),
        metavar="IxGxRxC",
        help=f"integrations x groups x rows x columns (default: {told})",
    )
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="seed of the random numbers (default: 0)")


def input_files(chosen: argparse.Namespace) -> list[Path]:
    """Return the files that a command is to read: none of its outputs may take their place."""
    return _files(chosen, but=_WRITTEN)


def _files(chosen: argparse.Namespace, but: tuple[str, ...]) -> list[Path]:
    """Return what arguments name as files, or as folders, whichever of them is there."""
    given = [value for name, value in vars(chosen).items() if name not in but]
    files = [file for value in given for file in (value if isinstance(value, list) else [value])]
    return [file for file in files if isinstance(file, Path)]


def check_log_file(chosen: argparse.Namespace) -> None:
    """Refuse a log file that cannot be written, or that is one of the other files; complains as a parser does."""
    path: Path | None = chosen.log_file
    if path is None:
        return
    try:
        if _is_one_of(path, _files(chosen, but=("log_file",))):
            chosen.parser.error(f"argument --log-file: {path} is one of the files to work on")
        # A pipe that nobody reads would be waited for.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
        os.close(os.open(path, flags, 0o666))
    except OSError as error:
        chosen.parser.error(f"argument --log-file: {path}: cannot be written ({error.strerror or error})")


def _is_one_of(log: Path, files: list[Path]) -> bool:
    """Tell whether the log is one of some files, or will be when both are there."""
    if log.is_file() and any(file.exists() and file.samefile(log) for file in files):
        return True
    place = place_of(log)
    return any(place_of(file) == place for file in files if not file.exists())


def _maximum_cores(text: str) -> str:
    from rampfit_numba.engine.cores import count_workers

    try:
        count_workers(text, 1, available=1)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("maximum_cores: ")) from None
    return text


def _shape(text: str) -> tuple[int, ...]:
    parts = text.lower().split("x")
    if len(parts) != 4 or not all(part.isdecimal() and int(part) > 0 for part in parts):  # noqa: PLR2004
        raise argparse.ArgumentTypeError(f"expected four numbers above 0 like 2x20x1024x1032, got {text!r}")
    return tuple(int(part) for part in parts)


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected an integer >= 0, got {text!r}")
    return int(text)
