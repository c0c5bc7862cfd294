"""``rampfit warmup``: compile the kernels ahead of their first use."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from rampfit_numba.cli.arguments import new_parser
from rampfit_numba.registry import ALGORITHMS

if TYPE_CHECKING:
    import argparse

    from rampfit_numba.cli.arguments import Parser, Subparsers

log = logging.getLogger(__name__)


def add_parser(subparsers: Subparsers) -> Parser:
    """Declare the arguments."""
    parser: Parser = new_parser(
        subparsers, "warmup", "compile the kernels, so that the first fit need not", "rampfit warmup ols likely_joint"
    )
    parser.add_argument(
        "algorithms", metavar="ALGORITHM", nargs="*", help=f"{', '.join(ALGORITHMS)} (default: the kernels of all)"
    )
    return parser


def run(chosen: argparse.Namespace) -> int:
    """Compile, or load what is compiled; return 0."""
    from rampfit_numba import warm_up

    try:
        seconds = warm_up(chosen.algorithms or None, progress=not chosen.quiet and sys.stderr.isatty())
    except ValueError as error:
        chosen.parser.error(str(error))
    log.info("The kernels are ready after %.1f s", seconds)
    return 0
