"""``rampfit reads``: plain files of detector reads in, rates out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rampfit_numba.cli.arguments import add_workers, new_parser
from rampfit_numba.cli.fit_arguments import add_chisq, add_groups_and_threshold, as_typed, fit_keywords, reference
from rampfit_numba.registry import describe_names

if TYPE_CHECKING:
    import argparse

    from rampfit_numba.cli.arguments import Parser, Subparsers


def add_parser(subparsers: Subparsers) -> Parser:
    """Declare the arguments."""
    parser: Parser = new_parser(
        subparsers,
        "reads",
        "fit plain FITS files of detector reads from anywhere: one exposure in, _rate.fits out",
        "rampfit reads R01_F*.fits --readnoise 6 --readnoise-kind single --gain 2.1 --frame-time 10.65",
    )
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        type=Path,
        help="one file with a cube, one with an HDU a read, or one file a read (sorted by their numbers)",
    )
    references = parser.add_argument_group("the detector")
    references.add_argument(
        "--readnoise", required=True, type=reference, metavar="FILE|NUMBER", help="readnoise (DN; see --readnoise-kind)"
    )
    references.add_argument(
        "--readnoise-kind",
        choices=("single", "cds"),
        default="single",
        help="the read noise is that of a single read (default), or of the difference of two",
    )
    references.add_argument(
        "--gain", type=reference, metavar="FILE|NUMBER", help="gain (e-/DN); not for reads in electrons"
    )
    references.add_argument(
        "--saturation", type=reference, metavar="FILE|NUMBER", help="raw counts from which on a read is saturated"
    )
    references.add_argument(
        "--linearity", type=Path, metavar="FILE", help="cube of coefficients c_p, p from 0: sum of c_p x^p is linear"
    )
    references.add_argument(
        "--pedestal",
        metavar="first|FILE|NUMBER",
        help="subtracted before the linearity correction: the first read, or a bias",
    )
    references.add_argument(
        "--invert", type=float, metavar="NUMBER", help="counts fall as light arrives: subtract them from this (65536)"
    )
    times = parser.add_argument_group("times (one of the first three is needed)")
    times.add_argument("--frame-time", type=float, metavar="S", help="time from frame to frame in s")
    times.add_argument("--time-keyword", metavar="NAME", help="keyword: time of each read; in a cube: frame time")
    times.add_argument("--read-times", type=float, nargs="+", metavar="S", help="times of the reads of a ramp in s")
    times.add_argument("--time-unit", choices=("s", "ms", "us", "min", "d"), default="s", help="of the keyword")
    times.add_argument("--nframes", type=int, default=1, metavar="N", help="frames that each read is the mean of")
    times.add_argument("--groupgap", type=int, default=0, metavar="N", help="frames skipped after each read")
    order = parser.add_argument_group("the reads")
    order.add_argument("--reads-per-ramp", type=int, metavar="N", help="the stack holds several ramps of N reads each")
    order.add_argument("--skip", type=int, default=0, metavar="N", help="leave out the first N reads of each ramp")
    order.add_argument("--reverse", action="store_true", help="the last read comes first")
    order.add_argument("--extname", metavar="NAME", help="take the HDUs of this name only; may have wildcards: IMAGE_*")
    fit = parser.add_argument_group("the fit")
    fit.add_argument("--algorithm", default="likely", metavar="NAME", help=f"{describe_names()}; default: likely")
    add_groups_and_threshold(fit, "read")
    add_chisq(fit)
    add_workers(fit)
    output = parser.add_argument_group("output")
    output.add_argument("--name", default="", metavar="NAME", help="base name of the products (default: first file's)")
    output.add_argument("--output-dir", type=Path, metavar="FOLDER", help="where to write (default: here)")
    output.add_argument("--overwrite", action="store_true", help="replace existing files")
    return parser


def run(chosen: argparse.Namespace) -> int:
    """Fit the exposure; return 0."""
    from rampfit_numba.messages import RampFileError
    from rampfit_numba.read_files import READING_OPTIONS, fit_reads

    given = vars(chosen)
    options = {name: given[name] for name in READING_OPTIONS if name in given} | fit_keywords(chosen)
    if chosen.pedestal not in (None, "first"):
        from rampfit_numba.io.reference_names import number_or_path

        try:  # a bias may be any number
            options["pedestal"] = number_or_path(chosen.pedestal)
        except ValueError as error:
            chosen.parser.error(f"argument --pedestal: {error}")
    try:
        fit_reads(
            chosen.files,
            chosen.readnoise,
            chosen.gain,
            output_dir=chosen.output_dir,
            name=chosen.name,
            overwrite=chosen.overwrite,
            progress=not chosen.quiet and sys.stderr.isatty(),
            **options,
        )
    except RampFileError:
        raise
    except (TypeError, ValueError) as error:
        chosen.parser.error(as_typed(error, chosen))
    return 0
