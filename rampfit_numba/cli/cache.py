"""``rampfit cache``: where compiled code is kept, how much of it there is, and how to be rid of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rampfit_numba.cli.arguments import new_parser
from rampfit_numba.cli.console import say

if TYPE_CHECKING:
    import argparse

    from rampfit_numba.cli.arguments import Parser, Subparsers
    from rampfit_numba.machine_code import Place, Version


def add_parser(subparsers: Subparsers) -> Parser:
    """Declare the arguments."""
    parser: Parser = new_parser(
        subparsers,
        "cache",
        "show where compiled code is kept and how large it is, or remove it",
        "rampfit cache --clean-old",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--clean", action="store_true", help="remove all of it; the next fit compiles again")
    which.add_argument("--clean-old", action="store_true", help="remove that of other versions than this one")
    return parser


def run(chosen: argparse.Namespace) -> int:
    """Show what is there, or remove it; return 0, or 1 where something could not be removed."""
    from rampfit_numba.machine_code import all_places, find_versions, remove_version

    failed = 0
    for place in all_places():
        say(f"{place.folder.parent}{_remark(place)}")
        versions = find_versions(place)
        for version in versions:
            removed = ""
            if chosen.clean or (chosen.clean_old and not version.current):
                try:
                    remove_version(version)
                    removed = "removed: "
                except OSError as error:
                    removed = f"NOT removed ({error.strerror}): "
                    failed = 1
            say(f"  {removed}{_describe(version)}")
        if not versions:
            say("  empty")
    return failed


def _remark(place: Place) -> str:
    if place.problem:
        return f"  ({place.problem})"
    return "" if place.lasting else "  (temporary files: no better place can be written)"


def _describe(version: Version) -> str:
    used = "this version, this Python, this processor" if version.current else "another version, Python or processor"
    kinds = f"ready: {', '.join(version.ready)}" if version.ready else "nothing is complete"
    return f"{version.folder.name}  {version.size / 1e6:.1f} MB in {version.files} files; {used}; {kinds}"
