"""``rampfit simulate``: a simulated exposure, its gain file and its readnoise file, and on request the truth."""

from __future__ import annotations

import argparse
import logging
import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rampfit_numba.cli.arguments import add_shape, new_parser

if TYPE_CHECKING:
    from rampfit_numba.cli.arguments import Parser, Subparsers

log = logging.getLogger(__name__)

#: Shapes that are simulated if nothing is said, by kind of file.
_SHAPES = {
    "jwst": (2, 20, 1024, 1032),
    "reads": (2, 20, 1024, 1032),
    "wfc3": (1, 16, 266, 266),
    "roman": (1, 8, 256, 256),
}
# float32 values and uint8 flags.
_BYTES_PER_SAMPLE = 5


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


def add_parser(subparsers: Subparsers) -> Parser:
    """Declare the arguments."""
    parser: Parser = new_parser(
        subparsers,
        "simulate",
        "write a simulated exposure and its gain and readnoise files",
        "rampfit simulate demo_jump.fits --shape 2x10x64x64 --hit-rate 0.01 --truth",
    )
    parser.add_argument("output", metavar="OUT_jump.fits", type=Path, help="gain and readnoise files go beside it")
    parser.add_argument(
        "--like",
        choices=tuple(_SHAPES),
        default="jwst",
        help="jwst: a file after the jump step (default); reads: plain detector reads, a cube of uint16; wfc3: an "
        "_ima.fits of HST's WFC3/IR; roman: an OUT_linearity.asdf, the groups of --shape being resultants",
    )
    add_shape(parser, "2x20x1024x1032; wfc3: 1x16x266x266; roman: 1x8x256x256")
    parser.add_argument(
        "--truth",
        action="store_true",
        help="jwst, reads: also write OUT_truth.fits: RATE (DN/s) and JUMPS (where hits fell)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    exposure = parser.add_argument_group("the exposure (all with sensible defaults; none of them with --like wfc3)")
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
    return parser


def run(chosen: argparse.Namespace) -> int:
    """Simulate and write; return 0."""
    if chosen.shape is None:
        chosen.shape = _SHAPES[chosen.like]
    if chosen.like == "wfc3":
        return _run_wfc3(chosen)
    if chosen.like == "roman":
        return _run_roman(chosen)
    from rampfit_numba.simulate import (
        READS_BIAS,
        SimulationOptions,
        simulate_exposure,
        simulation_paths,
        write_simulation,
    )

    settings = simulation_settings(chosen)
    if chosen.like == "reads":
        settings["bias"] = READS_BIAS
    try:
        SimulationOptions(**settings)
    except (TypeError, ValueError) as error:
        chosen.parser.error(str(error))
    # Complains before the work, not after.
    paths = simulation_paths(chosen.output, overwrite=chosen.overwrite, truth=chosen.truth)
    _check_space(paths[0], chosen)
    log.info("Simulating %s, seed %d", " x ".join(map(str, chosen.shape)), chosen.seed)
    simulation = simulate_exposure(*chosen.shape, seed=chosen.seed, **settings)
    written = write_simulation(
        simulation, chosen.output, overwrite=chosen.overwrite, truth=chosen.truth, like=chosen.like
    )
    for path in written:
        log.info("Saved %s", path)
    return 0


def _run_wfc3(chosen: argparse.Namespace) -> int:
    from rampfit_numba.io.outputs import check_outputs
    from rampfit_numba.simulate.wfc3 import simulate_ima, write_ima

    nints, nsamp, *image = chosen.shape
    others = sorted(simulation_settings(chosen))
    if nints != 1 or chosen.truth or others:
        what = (
            "--truth" if chosen.truth else f"--{others[0].replace('_', '-')}" if others else "more than 1 integration"
        )
        chosen.parser.error(f"argument --like: wfc3 has no {what}")
    check_outputs([chosen.output], overwrite=chosen.overwrite)
    log.info("Simulating %d reads of %d x %d, seed %d", nsamp, *image, chosen.seed)
    simulated = simulate_ima(nsamp, (image[0], image[1]), seed=chosen.seed)
    log.info("Saved %s", write_ima(simulated, chosen.output, overwrite=chosen.overwrite))
    return 0


def _run_roman(chosen: argparse.Namespace) -> int:
    from rampfit_numba.simulate.roman import roman_paths, simulate_roman, write_roman_simulation

    nints, *shape = chosen.shape
    if nints != 1 or chosen.truth:
        chosen.parser.error(f"argument --like: roman has no {'--truth' if chosen.truth else 'more than 1 integration'}")
    roman_paths(chosen.output, overwrite=chosen.overwrite)
    log.info("Simulating %s, seed %d", " x ".join(map(str, shape)), chosen.seed)
    try:
        simulation = simulate_roman(*shape, seed=chosen.seed, **simulation_settings(chosen))
    except (TypeError, ValueError) as error:
        chosen.parser.error(str(error))
    for path in write_roman_simulation(simulation, chosen.output, overwrite=chosen.overwrite):
        log.info("Saved %s", path)
    return 0


def _check_space(path: Path, chosen: argparse.Namespace) -> None:
    """Refuse an exposure that the disk has no room for; how small one becomes that is compressed nobody knows."""
    from rampfit_numba.messages import RampFileError

    if path.suffix == ".gz":
        return
    needed = math.prod(chosen.shape) * (_BYTES_PER_SAMPLE + chosen.truth)
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise RampFileError(
            f"{path}: needs {needed / 1e6:.1f} MB with the files beside it, {path.parent} has {free / 1e6:.1f} MB free"
        )


def simulation_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options of the simulation that were given, as keyword arguments of ``SimulationOptions``."""
    names = [*(name for name, _, _ in SIMULATION), "source_flux", "zeroframe"]
    return {name: getattr(arguments, name) for name in names if hasattr(arguments, name)}
