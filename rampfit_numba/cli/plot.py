"""``rampfit plot``: a picture of a ramp, a rate, flags, jumps or a light curve, to a file or a window."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rampfit_numba.cli.arguments import Parser, input_files, new_parser
from rampfit_numba.cli.fit_arguments import add_fit_options, add_references, as_typed, fit_keywords

if TYPE_CHECKING:
    import argparse

    from rampfit_numba.cli.arguments import Subparsers

log = logging.getLogger(__name__)

_KINDS = {
    "ramp": "the ramps of a pixel with the lines fitted to them",
    "rate": "the end of the ramp beside the rate; of a file with a rate, that alone",
    "dq": "the flags of the rate, as images with a legend",
    "jumps": "how many jumps there are of which size",
    "light-curve": "the rate of a region, integration by integration",
}
_FORMATS = (".png", ".pdf", ".svg")


def add_parser(subparsers: Subparsers) -> Parser:
    """Declare the arguments."""
    parser: Parser = new_parser(
        subparsers,
        "plot",
        "draw a ramp, a rate, flags, jumps or a light curve (extra: plot)",
        "rampfit plot ramp demo_jump.fits 12 30 --readnoise 14 --gain 1.8",
        "rampfit plot rate demo_jump.fits --readnoise 14 --gain 1.8 --output rate.png",
    )
    parser.add_argument(
        "kind", choices=tuple(_KINDS), help="; ".join(f"{kind}: {what}" for kind, what in _KINDS.items())
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="exposure after the jump step; rate, dq: or a rate")
    parser.add_argument(
        "numbers",
        metavar="NUMBER",
        nargs="*",
        type=int,
        help="ramp: X Y, the pixel's column and row; "
        "light-curve: X0 X1 Y0 Y1, the region's columns X0 to X1 - 1 and rows Y0 to Y1 - 1",
    )
    add_references(parser)
    add_fit_options(parser)
    picture = parser.add_argument_group("the picture")
    picture.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="PNG, PDF or SVG file to write (default: a window where there is a screen, else FILE_KIND.png here)",
    )
    picture.add_argument("--integration", type=int, nargs="+", metavar="N", help="which integrations (ramp: several)")
    picture.add_argument("--stretch", default="asinh", metavar="NAME", help="rate: linear, sqrt, log, asinh, squared")
    picture.add_argument("--pixel-size", type=float, metavar="MICRONS", help="jumps: rate per cm^2, not per pixel")
    picture.add_argument("--dpi", type=float, default=150, metavar="N", help="dots per inch of a PNG (default: 150)")
    picture.add_argument("--overwrite", action="store_true", help="replace an existing file")
    return parser


def run(chosen: argparse.Namespace) -> int:
    """Draw; return 0."""
    _check(chosen)
    from rampfit_numba.messages import RampFileError
    from rampfit_numba.plot.sources import matplotlib_module
    from rampfit_numba.plot.writing import check_picture, picture_path, write_figure

    pyplot = matplotlib_module("pyplot")
    path = picture_path(chosen.output, chosen.file, chosen.kind, interactive=_has_screen(pyplot))
    if path is not None and path.exists() and not chosen.overwrite:
        chosen.parser.error(f"--output: {path} exists (--overwrite replaces it)")
    if path is not None:
        check_picture(path, inputs=input_files(chosen))
    try:
        figure = _draw(chosen)
    except RampFileError:
        raise
    except (TypeError, ValueError) as error:
        chosen.parser.error(as_typed(error, chosen))
    if path is None:
        pyplot.show()
    else:
        write_figure(figure, path, dpi=chosen.dpi, overwrite=chosen.overwrite)
        log.info("Saved %s", path)
    return 0


def _check(chosen: argparse.Namespace) -> None:
    """Refuse what cannot be meant."""
    wanted = {"ramp": (2,), "light-curve": (0, 4)}.get(chosen.kind, (0,))
    if len(chosen.numbers) not in wanted:
        meaning = {"ramp": "X and Y, the pixel's column and row", "light-curve": "none, or X0 X1 Y0 Y1"}
        chosen.parser.error(
            f"{chosen.kind}: expected {meaning.get(chosen.kind, 'no numbers')} after FILE; "
            f"got {len(chosen.numbers)} numbers"
        )
    if chosen.output is not None and chosen.output.suffix.lower() not in _FORMATS:
        chosen.parser.error(f"--output: expected a file ending in {', '.join(_FORMATS)}; got {chosen.output}")
    if not (chosen.dpi > 0 and math.isfinite(chosen.dpi)):
        chosen.parser.error(f"--dpi: expected a finite number above 0; got {chosen.dpi}")
    if chosen.kind != "ramp" and chosen.integration is not None and len(chosen.integration) > 1:
        chosen.parser.error(f"--integration: {chosen.kind} shows one integration; got {len(chosen.integration)}")


def _has_screen(pyplot: Any) -> bool:  # noqa: ANN401  (a module)
    return pyplot.get_backend().lower() in {"qtagg", "tkagg", "gtk3agg", "gtk4agg", "wxagg", "macosx"}


def _draw(chosen: argparse.Namespace) -> Any:  # noqa: ANN401  (a Figure)
    """Return the figure that was asked for."""
    from rampfit_numba import plot

    # What was not said is the function's default: a rate, which is not fitted, takes no options at all.
    asked = {"readnoise": chosen.readnoise, "gain": chosen.gain, **fit_keywords(chosen)}
    given = {name: value for name, value in asked.items() if value != chosen.parser.get_default(name)}
    one = None if chosen.integration is None else chosen.integration[0]
    if chosen.kind == "ramp":
        return plot.plot_ramp(chosen.file, *chosen.numbers, integrations=chosen.integration, **given)
    if chosen.kind == "rate":
        return plot.plot_rate(chosen.file, integration=one, stretch=chosen.stretch, **given)
    if chosen.kind == "dq":
        return plot.plot_dq(chosen.file, integration=one, **given).figure
    if chosen.kind == "jumps":
        return plot.plot_jumps(chosen.file, pixel_size=chosen.pixel_size, **given).figure
    return plot.plot_light_curve(chosen.file, chosen.numbers or None, **given).figure
