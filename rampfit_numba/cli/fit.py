"""``rampfit fit``: exposures in, products out."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rampfit_numba.cli.arguments import add_workers, new_parser
from rampfit_numba.cli.console import log_failure, one_line

if TYPE_CHECKING:
    from rampfit_numba.cli.arguments import Parser, Subparsers
    from rampfit_numba.files import FileResult

log = logging.getLogger(__name__)


def add_parser(subparsers: Subparsers) -> Parser:
    """Declare the arguments."""
    parser: Parser = new_parser(
        subparsers,
        "fit",
        "fit exposures: _jump.fits in; _rate.fits, _rateints.fits (and _fitopt.fits) out",
        "rampfit fit demo_jump.fits --readnoise demo_readnoise.fits --gain demo_gain.fits --output-dir rates",
        "rampfit demo_jump.fits --readnoise 14 --gain 1.8 --algorithm likely_joint --maximum-cores half",
    )
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="exposure after the jump step")
    references = parser.add_argument_group("reference files (required)")
    for name, unit in (("readnoise", "DN; see --readnoise-kind"), ("gain", "e-/DN")):
        references.add_argument(
            f"--{name}", required=True, type=_reference, metavar="FILE|NUMBER", help=f"{name} ({unit})"
        )
    references.add_argument(
        "--readnoise-kind",
        choices=("cds", "single"),
        default="cds",
        help="the read noise is that of the difference of two frames (cds, the default: JWST's reference files), or of "
        "a single frame",
    )
    fit = parser.add_argument_group("the fit")
    fit.add_argument(
        "--algorithm",
        default="ols",
        metavar="NAME",
        help="ols, likely (or their names in the pipeline, OLS_C and LIKELY), or likely_joint (default: ols)",
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
    output = parser.add_argument_group("output")
    output.add_argument(
        "--save-opt",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="also write _fitopt.fits (likely, likely_joint: _likely_chisq.fits)",
    )
    output.add_argument("--int-name", default="", metavar="NAME", help="base name of the rateints product")
    output.add_argument("--opt-name", default="", metavar="NAME", help="base name of the optional product")
    output.add_argument("--output-dir", type=Path, metavar="FOLDER", help="where to write (default: here)")
    output.add_argument("--overwrite", action="store_true", help="replace existing files")
    return parser


def run(chosen: argparse.Namespace) -> int:
    """Fit every file; return 1 if one failed, else 0."""
    from rampfit_numba.files import fit_files

    names = (
        *("algorithm", "suppress_one_group", "firstgroup", "lastgroup", "save_opt", "rejection_threshold", "pedestal"),
        *("readnoise_kind", "maximum_cores", "executor"),
    )
    try:
        results = fit_files(
            chosen.files,
            chosen.readnoise,
            chosen.gain,
            output_dir=chosen.output_dir,
            overwrite=chosen.overwrite,
            int_name=chosen.int_name,
            opt_name=chosen.opt_name,
            on_error=_report,
            progress=not chosen.quiet and sys.stderr.isatty(),
            **{name: getattr(chosen, name) for name in names},
        )
    except (TypeError, ValueError) as error:  # what is wrong with one of the files, its result says
        chosen.parser.error(_as_typed(error, chosen))
    failed = [result.path for result in results if result.error]
    if len(results) > 1:
        log.info("%d of %d files fitted", len(results) - len(failed), len(results))
        if failed:
            log.error("%d of %d files failed: %s", len(failed), len(results), ", ".join(map(str, failed)))
    return 1 if failed else 0


def _report(result: FileResult) -> None:
    assert result.error is not None  # noqa: S101  (for mypy)
    log_failure(result.error, result.path)


def _as_typed(error: Exception, chosen: argparse.Namespace) -> str:
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
