"""The references and the options of a fit, for every command that fits."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from rampfit_numba.cli.arguments import add_workers
from rampfit_numba.cli.console import one_line
from rampfit_numba.registry import describe_names

if TYPE_CHECKING:
    from pathlib import Path

    from rampfit_numba.cli.arguments import Parser


def add_references(parser: Parser) -> None:
    """Add ``--readnoise``, ``--gain`` and ``--readnoise-kind``."""
    references = parser.add_argument_group("reference files (required)")
    for name, unit in (("readnoise", "DN; see --readnoise-kind"), ("gain", "e-/DN")):
        references.add_argument(
            f"--{name}", required=True, type=_reference, metavar="FILE|NUMBER", help=f"{name} ({unit})"
        )
    references.add_argument(
        "--readnoise-kind",
        choices=("cds", "single"),
        default=argparse.SUPPRESS,
        help="the read noise is that of the difference of two frames (cds, the default: JWST's reference files), or of "
        "a single frame (the default for Roman's files)",
    )


def add_fit_options(parser: Parser) -> None:
    """Add what a fit can be asked for, beside its references, and its workers."""
    fit = parser.add_argument_group("the fit")
    fit.add_argument(
        "--algorithm",
        default=argparse.SUPPRESS,
        metavar="NAME",
        help=f"{describe_names()}; default: ols, for Roman's files likely",
    )
    fit.add_argument(
        "--suppress-one-group",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="treat ramps with one good group as having none (the pipeline's default)",
    )
    fit.add_argument("--firstgroup", type=int, metavar="N", help="ignore the groups before this one (counted from 0)")
    fit.add_argument("--lastgroup", type=int, metavar="N", help="ignore the groups after this one (counted from 0)")
    fit.add_argument(
        "--rejection-threshold",
        type=float,
        metavar="SIGMA",
        help="likely, likely_joint: significance from which a jump is flagged (default: the pipeline's, about 4.5)",
    )
    fit.add_argument(
        "--pedestal",
        type=float,
        nargs=2,
        metavar=("MEAN", "SIGMA"),
        help="likely_joint: signal at time zero in DN, for ramps with one good group",
    )
    add_workers(fit)


def fit_keywords(chosen: argparse.Namespace) -> dict[str, Any]:
    """Return the options of the fit, and its workers, as keyword arguments of ``fit_ramps``."""
    from rampfit_numba.options import FitOptions

    names = [*(option.name for option in fields(FitOptions)), "maximum_cores", "executor"]
    return {name: getattr(chosen, name) for name in names if hasattr(chosen, name)}


def as_typed(error: Exception, chosen: argparse.Namespace) -> str:
    """Return the complaint about an argument under the name that the command has for it."""
    name, colon, complaint = one_line(error).partition(": ")
    return f"--{name.replace('_', '-')}{colon}{complaint}" if hasattr(chosen, name) else f"{name}{colon}{complaint}"


def _reference(text: str) -> Path | float:
    from rampfit_numba.io.reference_names import check_number, number_or_path

    try:
        reference = number_or_path(text)
        if isinstance(reference, float):
            check_number(reference)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return reference
