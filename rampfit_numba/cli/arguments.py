"""Parsers, and the arguments that several commands have."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[Any]  # noqa: SLF001  (its only name)


class Parser(argparse.ArgumentParser):
    """Parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Print `message` and exit with status 2."""
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


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
        help="none, quarter, half, all, or a number of cores (default: none, that is one)",
    )
    group.add_argument("--executor", choices=("processes", "threads"), help="what the workers are (default: processes)")


def add_shape(parser: Parser, default: str) -> None:
    """Add ``--shape`` and ``--seed``, what every simulated exposure has."""
    parser.add_argument(
        "--shape",
        type=_shape,
        default=_shape(default),
        metavar="IxGxRxC",
        help=f"integrations x groups x rows x columns (default: {default})",
    )
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="seed of the random numbers (default: 0)")


def check_log_file(chosen: argparse.Namespace) -> None:
    """Refuse a log file that cannot be written, or that is one of the other files; complains as a parser does."""
    path: Path | None = chosen.log_file
    if path is None:
        return
    given = [value for name, value in vars(chosen).items() if name != "log_file" and value is not None]
    files = [file for value in given for file in (value if isinstance(value, list) else [value])]
    try:
        if path.is_file() and any(isinstance(file, Path) and file.exists() and file.samefile(path) for file in files):
            chosen.parser.error(f"argument --log-file: {path} is one of the files to work on")
        with path.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        chosen.parser.error(f"argument --log-file: {path}: cannot be written ({error.strerror or error})")


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
