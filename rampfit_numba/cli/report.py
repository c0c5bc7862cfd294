"""``rampfit report``: fit exposures, and write a report on each as an HTML file."""

from __future__ import annotations

import logging
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rampfit_numba.cli.arguments import input_files, new_parser
from rampfit_numba.cli.console import log_failure, one_line, recorded_warnings
from rampfit_numba.cli.fit_arguments import add_fit_options, add_references, as_typed, fit_keywords

if TYPE_CHECKING:
    import argparse

    from rampfit_numba.cli.arguments import Parser, Subparsers
    from rampfit_numba.files import FittedFile
    from rampfit_numba.report import IndexLine

log = logging.getLogger(__name__)


def add_parser(subparsers: Subparsers) -> Parser:
    """Declare the arguments."""
    parser: Parser = new_parser(
        subparsers,
        "report",
        "fit exposures, and write a report on each (extra: report)",
        "rampfit report demo_jump.fits --readnoise 14 --gain 1.8 -o demo.html",
    )
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="exposure after the jump step")
    add_references(parser)
    add_fit_options(parser)
    output = parser.add_argument_group("output")
    output.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="NAME",
        help="the report; of several files, the index, with the reports beside it (default: FILE_report.html, "
        "index.html, here)",
    )
    output.add_argument("--overwrite", action="store_true", help="replace existing files")
    return parser


def run(chosen: argparse.Namespace) -> int:
    """Write the reports, and of several an index; return 1 if one failed, else 0."""
    from rampfit_numba.files import read_and_fit
    from rampfit_numba.io.outputs import check_outputs
    from rampfit_numba.io.places import place_of
    from rampfit_numba.io.whole_files import write_all
    from rampfit_numba.messages import RampFileError
    from rampfit_numba.report import IndexLine, check_extra, render_index, report_path

    check_extra()  # before the fits, not after
    if chosen.output is not None and chosen.output.suffix.lower() not in {".html", ".htm"}:
        chosen.parser.error(f"--output: expected a name ending in .html; got {chosen.output}")
    several = len(chosen.files) > 1
    index = chosen.output or Path("index.html")
    folder = index.parent if several else Path()
    paths = [report_path(file, folder) for file in chosen.files]
    if not several and chosen.output is not None:
        paths = [chosen.output]
    if several and len({place_of(path) for path in (*paths, index)}) <= len(chosen.files):
        chosen.parser.error("FILE: two of the files would have the same report; report on them one by one")
    outputs = [*paths, *([index] if several else [])]
    check_outputs(outputs, overwrite=chosen.overwrite, inputs=input_files(chosen))
    lines: list[IndexLine] = []
    for file, path in zip(chosen.files, paths, strict=True):
        try:
            with recorded_warnings() as messages:
                fitted = read_and_fit(file, chosen.readnoise, chosen.gain, **fit_keywords(chosen))
            summary = write_fitted(fitted, path, messages, command=command_line(), overwrite=chosen.overwrite)
            lines.append(IndexLine(file.name, path.name, summary))
        except Exception as error:  # noqa: BLE001  (the others are done all the same)
            if isinstance(error, TypeError | ValueError) and not isinstance(error, RampFileError) and not several:
                chosen.parser.error(as_typed(error, chosen))
            log_failure(error, file)
            lines.append(IndexLine(file.name, "", [], one_line(error)))
    if several:
        write_all([(index, render_index(lines).encode("utf-8", "replace"))], overwrite=chosen.overwrite)
        log.info("Saved %s", index)
    return 1 if any(line.error for line in lines) else 0


def write_fitted(
    fitted: FittedFile, path: Path, messages: list[str], *, command: str, overwrite: bool
) -> list[tuple[str, str]]:
    """Write the report on a fit that was just made; return its few most important numbers."""
    from rampfit_numba.report import RunFacts, write_report

    facts = RunFacts(
        name=fitted.path.name,
        readnoise=fitted.readnoise,
        gain=fitted.gain,
        command=command,
        seconds=fitted.seconds,
        messages=tuple(messages),
        products=tuple(product.name for product in fitted.products),
    )
    content = write_report(fitted.fit, path, facts=facts, overwrite=overwrite)
    log.info("Saved %s", path)
    return content.summary


def command_line() -> str:
    """Return the command that this process was started by, as one types it."""
    return shlex.join(["rampfit", *sys.argv[1:]])
