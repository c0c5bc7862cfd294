"""The references and the options of a fit, for every command that fits."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from rampfit_numba.cli.arguments import add_workers
from rampfit_numba.cli.console import one_line
from rampfit_numba.registry import ERRORS, describe_names

if TYPE_CHECKING:
    from pathlib import Path

    from rampfit_numba.cli.arguments import Parser
    from rampfit_numba.options import Weighting


def add_references(parser: Parser) -> None:
    """Add ``--readnoise``, ``--gain``, ``--readnoise-kind`` and ``--dark-current-unit``."""
    references = parser.add_argument_group("references (required, but for WFC3/IR files)")
    for name, unit in (("readnoise", "DN; see --readnoise-kind"), ("gain", "e-/DN")):
        references.add_argument(f"--{name}", type=reference, metavar="FILE|NUMBER", help=f"{name} ({unit})")
    references.add_argument(
        "--readnoise-kind",
        choices=("cds", "single"),
        help="the read noise is that of the difference of two frames (cds, the default: JWST's reference files), or of "
        "a single frame (the default for Roman's files)",
    )
    references.add_argument(
        "--dark-current-unit",
        choices=("DN/s", "electron/s"),
        help="unit of the exposure's average dark current, AVDRKCUR (default: its BUNIT, or DN/s as in the pipeline)",
    )


def add_fit_options(parser: Parser) -> None:
    """Add what a fit can be asked for, beside its references, and its workers."""
    fit = parser.add_argument_group("the fit")
    fit.add_argument(
        "--algorithm",
        metavar="NAME",
        help=f"{describe_names()}; default: ols, or likely for files of WFC3/IR and Roman",
    )
    add_groups_and_threshold(fit, "group")
    fit.add_argument(
        "--pedestal",
        type=float,
        nargs=2,
        metavar=("MEAN", "SIGMA"),
        help="likely_joint: signal at time zero in DN, for ramps with one good group",
    )
    add_weighting(fit)
    add_chisq(fit)
    add_workers(fit)


def add_groups_and_threshold(fit: argparse._ArgumentGroup, unit: str) -> None:
    """Add which groups are fitted, and from when on a jump is flagged; `unit` is what the groups are called."""
    fit.add_argument(
        "--suppress-one-group",
        action=argparse.BooleanOptionalAction,
        default=True,
        help=f"ols: treat ramps with one good {unit} as having none (default, as in the pipeline)",
    )
    for name, where in (("firstgroup", "before"), ("lastgroup", "after")):
        fit.add_argument(
            f"--{name}", type=int, metavar="N", help=f"ignore the {unit}s {where} this one (counted from 0)"
        )
    fit.add_argument(
        "--rejection-threshold",
        type=float,
        metavar="SIGMA",
        help="likely, likely_joint: significance from which a jump is flagged (default: the pipeline's, about 4.5)",
    )


def add_chisq(group: argparse._ArgumentGroup) -> None:
    """Add ``--chisq``."""
    group.add_argument(
        "--chisq",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="ols: also the chi-squares of the samples, CHISQ and DOF (the likelihood fits always have them)",
    )


def add_weighting(fit: argparse._ArgumentGroup) -> None:
    """Add how `ols` weights groups, and what its errors follow."""
    fit.add_argument(
        "--weighting",
        type=_weighting,
        default="optimal",
        metavar="NAME|POWER|SNR:POWER,...",
        help="ols: optimal (the pipeline's), uniform, interpolated, a power, or powers from signal-to-noise ratios on",
    )
    fit.add_argument(
        "--errors",
        choices=ERRORS,
        help="ols: errors that follow the weights, or the pipeline's formulas (default: the latter where they hold)",
    )


def _weighting(text: str) -> Weighting:
    from rampfit_numba.options import parse_weighting  # it stands beside what takes time to import

    try:
        return parse_weighting(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def fit_keywords(chosen: argparse.Namespace) -> dict[str, Any]:
    """Return the options of the fit, and its workers, as keyword arguments; what is not said has its default there."""
    from rampfit_numba.options import FitOptions

    names = [*(option.name for option in fields(FitOptions)), "maximum_cores", "executor", "dark_current_unit"]
    return {name: value for name in names if (value := getattr(chosen, name, None)) is not None}


def as_typed(error: Exception, chosen: argparse.Namespace) -> str:
    """Return the complaint about an argument under the name that the command has for it."""
    name, colon, complaint = one_line(error).partition(": ")
    return f"--{name.replace('_', '-')}{colon}{complaint}" if hasattr(chosen, name) else f"{name}{colon}{complaint}"


def reference(text: str) -> Path | float:
    """Return what an argument that is a file or a number means."""
    from rampfit_numba.io.reference_names import check_number, number_or_path

    try:
        value = number_or_path(text)
        if isinstance(value, float):
            check_number(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return value
