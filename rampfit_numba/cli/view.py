"""``rampfit view``: fit an exposure, and look at it in the browser."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from rampfit_numba.cli.arguments import new_parser
from rampfit_numba.cli.console import flush, say
from rampfit_numba.cli.fit_arguments import add_fit_options, add_references, as_typed, fit_keywords
from rampfit_numba.cli.interrupts import Terminated

if TYPE_CHECKING:
    from rampfit_numba.cli.arguments import Parser, Subparsers

log = logging.getLogger(__name__)

_LARGEST_PORT = 65535


def add_parser(subparsers: Subparsers) -> Parser:
    """Declare the arguments."""
    parser: Parser = new_parser(
        subparsers,
        "view",
        "fit an exposure, and look at it in the browser (extra: view)",
        "rampfit view demo_jump.fits --readnoise 14 --gain 1.8",
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="exposure after the jump step")
    add_references(parser)
    add_fit_options(parser)
    page = parser.add_argument_group("the page")
    page.add_argument("--port", type=_port, default=0, metavar="N", help="where to serve (default: a free port)")
    page.add_argument(
        "--browser",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="open a browser, and end when its last tab is closed; without, end with Ctrl-C",
    )
    return parser


def run(chosen: argparse.Namespace) -> int:
    """Fit, serve, and wait until the viewer is closed; return 0, or 1 where that is not possible."""
    from rampfit_numba.files import read_and_fit
    from rampfit_numba.messages import RampFileError
    from rampfit_numba.pixel_ramps import inputs_of
    from rampfit_numba.view import load, view

    load()  # before the fit, not after: the page is there sooner, and a missing extra is told at once
    try:
        fit = read_and_fit(chosen.file, chosen.readnoise, chosen.gain, **fit_keywords(chosen)).fit
    except RampFileError:
        raise
    except (TypeError, ValueError) as error:
        chosen.parser.error(as_typed(error, chosen))
    with view(inputs_of(fit).exposure, fit, browser=chosen.browser, port=chosen.port) as viewer:
        say(viewer.url)
        flush()
        log.info("The viewer is open; Ctrl-C ends it%s", ", as does closing its tab" if chosen.browser else "")
        try:
            viewer.wait()
        except Terminated:
            raise
        except KeyboardInterrupt:
            log.info("The viewer has ended")
    return 0


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to {_LARGEST_PORT}, got {text!r}")
    return int(text)
