"""``rampfit fit``: exposures in, products out."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rampfit_numba.cli import collector
from rampfit_numba.cli.arguments import input_files, new_parser
from rampfit_numba.cli.console import log_failure
from rampfit_numba.cli.fit_arguments import add_fit_options, add_references, as_typed, fit_keywords
from rampfit_numba.cli.report import command_line
from rampfit_numba.cli.scheduler import add_scheduler, connected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rampfit_numba.cli.arguments import Parser, Subparsers
    from rampfit_numba.files import FileResult
    from rampfit_numba.files.results import FilesOfFits

log = logging.getLogger(__name__)

#: Options of single kinds of files.
_OF_FORMATS = ("flat", "exclude_reads", "flatten")


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
    add_references(parser)
    add_fit_options(parser)
    add_scheduler(parser)
    wfc3 = parser.add_argument_group("WFC3/IR files (_ima.fits)")
    wfc3.add_argument("--flat", type=Path, metavar="FILE", help="flat field that calwf3 divided by (PFLTFILE)")
    wfc3.add_argument("--exclude-reads", type=_reads, metavar="N,N", help="reads to leave out; 0 is the zeroth")
    wfc3.add_argument(
        "--flatten", action="store_const", const=True, help="remove a background that changes from read to read"
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--save-opt",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="also write _fitopt.fits (likely, likely_joint: _likely_chisq.fits)",
    )
    output.add_argument(
        "--save-jumps",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="also write _jumps.fits: a table of the jumps with their sizes",
    )
    output.add_argument("--int-name", default="", metavar="NAME", help="base name of the rateints product")
    output.add_argument("--opt-name", default="", metavar="NAME", help="base name of the optional product")
    output.add_argument("--output-dir", type=Path, metavar="FOLDER", help="where to write (default: here)")
    parser.add_argument(
        "--max-memory",
        type=_memory,
        metavar="SIZE",
        help="what the arrays of a fit may take, 512MiB or 2GB say; larger results are written section by section "
        "(default: a quarter of the memory)",
    )
    output.add_argument("--report", action="store_true", help="also write FILE_report.html (extra: report)")
    output.add_argument("--overwrite", action="store_true", help="replace existing files")
    output.add_argument(
        "--skip-existing",
        action="store_true",
        help="go on with a job that was interrupted: skip files whose products are all there, whole, and made by this "
        "version with these options and references; fit all others, and replace what there is of their products",
    )
    output.add_argument(
        "--summary",
        type=Path,
        metavar="FILE.csv",
        help="also write a table of the files: status, seconds, pixels, groups, hits, warnings, products, error",
    )
    return parser


def run(chosen: argparse.Namespace) -> int:
    """Fit every file, here or on a cluster; return 1 if one failed, or the table of them, else 0."""
    if chosen.scheduler is not None and chosen.executor is not None:
        chosen.parser.error("--scheduler: the workers are those of the cluster; got --executor, too")
    with connected(chosen.scheduler) as cluster:
        return _fit(chosen, cluster)


def _fit(chosen: argparse.Namespace, cluster: dict[str, Any]) -> int:
    from rampfit_numba.files import fit_files
    from rampfit_numba.files.tables import TableError

    collector.imports_are_done()
    untold: TableError | None = None
    try:
        results: Sequence[FileResult] = fit_files(
            chosen.files,
            chosen.readnoise,
            chosen.gain,
            output_dir=chosen.output_dir,
            overwrite=chosen.overwrite,
            save_jumps=chosen.save_jumps,
            int_name=chosen.int_name,
            opt_name=chosen.opt_name,
            on_error=_report,
            on_fit=_reports(chosen) if chosen.report else None,
            skip_existing=chosen.skip_existing,
            summary=chosen.summary,
            max_memory=chosen.max_memory,
            progress=not chosen.quiet and sys.stderr.isatty(),
            **fit_keywords(chosen) | cluster,
            **{name: value for name in _OF_FORMATS if (value := getattr(chosen, name)) is not None},
        )
    except TableError as error:
        untold, results = error, [result for result in error.results if result is not None]
    except (TypeError, ValueError) as error:  # what is wrong with one of the files, its result says
        chosen.parser.error(as_typed(error, chosen))
    failed = [result.path for result in results if result.error]
    if len(results) > 1:
        skipped = sum(result.skipped for result in results)
        fitted = f"{len(results) - len(failed) - skipped} of {len(results)} files fitted"
        log.info("%s%s", fitted, f", {skipped} skipped" if skipped else "")
        if failed:
            log.error("%d of %d files failed: %s", len(failed), len(results), ", ".join(map(str, failed)))
    if untold is not None:
        log_failure(untold)
    return 1 if failed or untold is not None else 0


def _reports(chosen: argparse.Namespace) -> FilesOfFits:
    """Return what writes the report on each fit, after a look whether that will be possible."""
    from rampfit_numba.cli.reports import ReportsOfFits
    from rampfit_numba.io.outputs import check_outputs

    overwrite = chosen.overwrite or chosen.skip_existing
    reports = ReportsOfFits(chosen.output_dir or Path(), overwrite, command_line())
    reports.check()
    paths = [report for file in chosen.files for report in reports.products(file)]
    check_outputs(paths, overwrite=reports.overwrite, inputs=input_files(chosen))
    return reports


def _report(result: FileResult) -> None:
    assert result.error is not None  # noqa: S101  (for mypy)
    log_failure(result.error, result.path)


def _memory(text: str) -> str:
    from rampfit_numba.engine.memory import memory_budget

    try:
        memory_budget(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("max_memory: ")) from None
    return text


def _reads(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers of reads like 1,2; got {text!r}") from None
