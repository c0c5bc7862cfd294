"""What may be typed after ``rampfit``, and what it means."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NoReturn

from rampfit_numba.cli.console import say

COMMANDS = ("fit", "simulate", "demo", "warmup")

_DESCRIPTION = "Fit ramps of infrared detectors as the JWST pipeline's ramp_fit step does."
_EPILOG = """\
examples:
  rampfit jw_jump.fits --readnoise readnoise.fits --gain gain.fits     the same as: rampfit fit jw_jump.fits ...
  rampfit *_jump.fits --readnoise 14.2 --gain 5.5 --maximum-cores half --output-dir rates
  rampfit jw_jump.fits --readnoise 14.2 --gain 5.5 --algorithm likely_joint --save-opt
  rampfit demo                                                         simulate, fit, compare with the truth

exit status: 0 done; 1 something failed (other files are still done); 2 wrong usage; 130 interrupted; 143 terminated.
Options may be written with underscores, as in the pipeline (--save_opt).  More: rampfit COMMAND --help
"""

# What can be chosen about a simulated exposure: name, kind, explanation. Defaults and ranges: SimulationOptions.
SIMULATION = (
    ("frame_time", float, "time between frames in s"),
    ("nframes", int, "frames averaged per group"),
    ("groupgap", int, "frames skipped after each group"),
    ("drop_frames1", int, "frames dropped before the first group"),
    ("background", float, "mean background in DN/s"),
    ("source_density", float, "point sources per pixel"),
    ("psf", str, "gaussian or moffat"),
    ("fwhm", float, "width of the sources in pixels"),
    ("gain", float, "mean gain in e-/DN"),
    ("readnoise", float, "CDS read noise in DN"),
    ("hit_rate", float, "cosmic-ray hits per pixel and group"),
    ("missed_hits", float, "fraction of the hits that get no flag"),
    ("saturation", float, "saturation level in DN"),
    ("saturated_fraction", float, "fraction of the pixels that are full after half a ramp"),
    ("bad_pixels", float, "fraction of bad pixels"),
    ("instrument", str, "NIRCAM or MIRI"),
)


class Parser(argparse.ArgumentParser):
    """Parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Print `message` and exit with status 2."""
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def parse(argv: list[str]) -> argparse.Namespace:
    """Return what `argv` (without the program's name) asks for; ``.parser`` is the parser to complain with.

    Raises
    ------
    SystemExit
        Status 2 after a line on standard error; status 0 after ``--help`` and ``--version``.
    """
    top = _make_parser()
    if not argv:
        top.error(f"expected a FILE or a command: {', '.join(COMMANDS)}")
    if argv[0] not in (*COMMANDS, "-h", "--help", "--version"):
        word = argv[0]
        if not word.startswith("-") and "." not in word and not Path(word).exists():
            top.error(f"{word!r} is neither a file nor a command ({', '.join(COMMANDS)})")
        argv = ["fit", *argv]
    return top.parse_args(_with_dashes(argv))


def _with_dashes(argv: list[str]) -> list[str]:
    """Write the names of long options with dashes: ``--save_opt`` and ``--save-opt`` are the same."""
    words: list[str] = []
    for number, word in enumerate(argv):
        if word == "--":
            return words + argv[number:]
        name, sign, value = word.partition("=")
        words.append(name.replace("_", "-") + sign + value if word.startswith("--") else word)
    return words


def _make_parser() -> Parser:
    top = Parser(
        prog="rampfit",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command, add, summary in (
        ("fit", _add_fit, "fit exposures: _jump.fits in; _rate.fits, _rateints.fits (and _fitopt.fits) out"),
        ("simulate", _add_simulate, "write a simulated exposure and its gain and readnoise files"),
        ("demo", _add_demo, "simulate a small exposure, fit it, and compare the rates with the truth"),
        ("warmup", _add_warmup, "compile the kernels, so that the first fit need not"),
    ):
        parser = commands.add_parser(
            command, help=summary, description=summary[0].upper() + summary[1:] + ".", allow_abbrev=False
        )
        add(parser)
        loudness = parser.add_mutually_exclusive_group()
        loudness.add_argument("--quiet", action="store_true", help="print errors only")
        loudness.add_argument("--verbose", action="store_true", help="print everything, tracebacks too")
        parser.set_defaults(parser=parser)
    return top


class _Version(argparse.Action):
    """Print the version; it is looked up only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from rampfit_numba._version import __version__

        say(f"rampfit {__version__}")
        parser.exit()


def _add_fit(parser: Parser) -> None:
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
    _add_workers(fit)
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


def _add_workers(group: Any) -> None:  # noqa: ANN401  (argparse names its groups' type privately)
    group.add_argument(
        "--maximum-cores",
        type=_maximum_cores,
        default="none",
        metavar="N",
        help="none, quarter, half, all, or a number of cores (default: none, that is one)",
    )
    group.add_argument("--executor", choices=("processes", "threads"), help="what the workers are (default: processes)")


def _add_simulate(parser: Parser) -> None:
    parser.add_argument("output", metavar="OUT_jump.fits", type=Path, help="gain and readnoise files go beside it")
    _add_shape(parser, "2x20x1024x1032")
    parser.add_argument(
        "--truth", action="store_true", help="also write OUT_truth.fits: RATE (DN/s) and JUMPS (where hits fell)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    exposure = parser.add_argument_group("the exposure (all with sensible defaults)")
    for name, kind, explanation in SIMULATION:
        exposure.add_argument(
            f"--{name.replace('_', '-')}", type=kind, metavar="VALUE", help=explanation, default=argparse.SUPPRESS
        )
    exposure.add_argument(
        "--source-flux",
        type=float,
        nargs=2,
        metavar=("MIN", "MAX"),
        default=argparse.SUPPRESS,
        help="range of the sources' rates in DN/s",
    )
    exposure.add_argument("--zeroframe", action="store_true", default=argparse.SUPPRESS, help="write a ZEROFRAME too")


def _add_demo(parser: Parser) -> None:
    parser.add_argument("folder", metavar="FOLDER", nargs="?", type=Path, help="keep the files here (default: nowhere)")
    _add_shape(parser, "2x20x128x128")
    _add_workers(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace existing files in FOLDER")


def _add_warmup(parser: Parser) -> None:
    parser.add_argument(
        "algorithms", metavar="ALGORITHM", nargs="*", help="ols, likely, likely_joint (default: the kernels of all)"
    )


def _add_shape(parser: Parser, default: str) -> None:
    parser.add_argument(
        "--shape",
        type=_shape,
        default=_shape(default),
        metavar="IxGxRxC",
        help=f"integrations x groups x rows x columns (default: {default})",
    )
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="seed of the random numbers (default: 0)")


def simulation_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options of the simulation that were given, as keyword arguments of ``SimulationOptions``."""
    names = [*(name for name, _, _ in SIMULATION), "source_flux", "zeroframe"]
    return {name: getattr(arguments, name) for name in names if hasattr(arguments, name)}


def _reference(text: str) -> Path | float:
    from rampfit_numba.io.reference_names import check_number, number_or_path

    try:
        reference = number_or_path(text)
        if isinstance(reference, float):
            check_number(reference)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return reference


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
