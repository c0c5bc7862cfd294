"""``rampfit demo``: simulate a small exposure, fit its file, compare the rates with the truth."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from rampfit_numba import dq
from rampfit_numba.cli.arguments import add_shape, add_workers, new_parser
from rampfit_numba.cli.console import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    import numpy as np

    from rampfit_numba.cli.arguments import Parser, Subparsers
    from rampfit_numba.simulate import Pulls, Simulation

# Enough hits and bright sources that a small exposure has ramps of every kind.
_SETTINGS: Final[dict[str, Any]] = {"hit_rate": 0.01, "source_density": 2e-3, "source_flux": (20.0, 2e5)}

# What the check allows beside statistical scatter. The method's errors are a few per cent too small by nature: segments
# are weighted by their read noise alone, and at low signal the Poisson noise is estimated from the noisy ramp itself.
_MEAN, _WIDTH, _BEYOND5 = 0.05, 0.15, 1e-3
_SIGMAS = 5.0
# Below these, most ramps have no slope, or too few pixels are left to tell a right fit from a wrong one.
_LEAST_GROUPS, _LEAST_PIXELS = 3, 128


@dataclass(frozen=True)
class _Row:
    """One line of the table."""

    name: str
    pulls: Pulls
    checked: bool

    @property
    def passes(self) -> bool:
        """Whether the pulls look like those of a right fit."""
        pulls = self.pulls
        if not self.checked:
            return True
        if not pulls.count:
            return False
        scatter = _SIGMAS / math.sqrt(pulls.count)
        return (
            abs(pulls.mean) < _MEAN + scatter
            and abs(pulls.width - 1) < _WIDTH + scatter
            and pulls.beyond5 <= _BEYOND5 + scatter * math.sqrt(_BEYOND5)
        )


def add_parser(subparsers: Subparsers) -> Parser:
    """Declare the arguments."""
    parser: Parser = new_parser(
        subparsers,
        "demo",
        "simulate a small exposure, fit it, and compare the rates with the truth",
        "rampfit demo demo_folder --seed 3",
    )
    parser.add_argument("folder", metavar="FOLDER", nargs="?", type=Path, help="keep the files here (default: nowhere)")
    add_shape(parser, "2x20x128x128", "2x20x128x128")
    add_workers(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace existing files in FOLDER")
    return parser


def run(chosen: argparse.Namespace) -> int:
    """Simulate, fit and compare; return 0 where the numbers are as they should be, else 1."""
    _, ngroups, nrows, ncols = chosen.shape
    if ngroups < _LEAST_GROUPS or nrows * ncols < _LEAST_PIXELS:
        chosen.parser.error(
            f"argument --shape: the self check needs {_LEAST_GROUPS} groups and {_LEAST_PIXELS} pixels or more; got "
            f"{ngroups} group(s) and {nrows} x {ncols} pixels"
        )
    if chosen.folder is None:
        with TemporaryDirectory(prefix="rampfit_demo_") as folder:
            return _run_in(Path(folder), chosen)
    return _run_in_new(chosen.folder, chosen)


def _run_in_new(folder: Path, chosen: argparse.Namespace) -> int:
    """Run in a folder that is made where it does not exist; a failure leaves none that is empty."""
    from rampfit_numba.io.outputs import check_outputs
    from rampfit_numba.io.whole_files import make_folder, remove_folders

    check_outputs([folder / "demo_jump.fits"], overwrite=True)
    made = make_folder(folder)
    try:
        return _run_in(folder, chosen)
    except BaseException:
        remove_folders(made)
        raise


def _run_in(folder: Path, chosen: argparse.Namespace) -> int:
    from rampfit_numba.files import fit_file
    from rampfit_numba.simulate import simulate_exposure, simulation_paths, write_simulation

    paths = simulation_paths(folder / "demo_jump.fits", overwrite=chosen.overwrite)
    simulation = simulate_exposure(*chosen.shape, seed=chosen.seed, **_SETTINGS)
    exposure, gain, readnoise = write_simulation(simulation, paths[0], overwrite=chosen.overwrite)
    begin = time.perf_counter()
    products = fit_file(
        exposure,
        readnoise,
        gain,
        output_dir=folder,
        overwrite=chosen.overwrite,
        maximum_cores=chosen.maximum_cores,
        executor=chosen.executor,
    )
    seconds = time.perf_counter() - begin

    rows = list(_compare(simulation, products))
    passes = all(row.passes for row in rows)
    if chosen.quiet and passes:
        return 0

    say(f"Simulated {' x '.join(map(str, chosen.shape))} (integrations x groups x rows x columns), seed {chosen.seed}:")
    say(_describe(simulation))
    say(f"Fitted in {seconds:.2f} s, reading and writing included (the first fit after an installation also compiles).")
    where = "a temporary folder, removed at the end" if chosen.folder is None else str(folder)
    say(f"Files in {where}: {', '.join(path.name for path in (*paths, *products))}\n")
    say(f"{'(rate - truth) / err':<34} {'count':>9} {'mean':>8} {'width':>7} {'beyond 3':>9} {'beyond 5':>9}")
    for row in rows:
        say(_format(row))
    say(f"{'a Gaussian':<34} {'':>9} {0:8.3f} {1:7.3f} {'0.27 %':>9} {'0.0001 %':>9}\n")
    if passes:
        say("Self check passed: the rates scatter around the truth as their errors say.")
        return 0
    say("Self check FAILED: " + "; ".join(row.name for row in rows if not row.passes))
    return 1


def _describe(simulation: Simulation) -> str:
    exposure = simulation.exposure
    flags, pixels = exposure.groupdq, exposure.pixeldq
    assert flags is not None  # noqa: S101  (the simulator makes both)
    assert pixels is not None  # noqa: S101
    spoilt = ((pixels & dq.DO_NOT_USE) > 0) | ~(simulation.gain > 0)
    saturated = (flags[:, -1] & dq.SATURATED) > 0
    return (
        f"  {simulation.hits.sum()} cosmic-ray hits, {saturated.sum()} ramps that saturate, {spoilt.sum()} bad pixels, "
        f"rates up to {simulation.true_rate.max():.0f} DN/s"
    )


def _compare(simulation: Simulation, products: Sequence[Path]) -> Iterator[_Row]:
    """Yield the rows of the table, read back from the products."""
    from rampfit_numba.simulate import measure_pulls

    for kind in ("rate", "rateints"):
        rate, err, flags = _read(next(path for path in products if path.name.endswith(f"_{kind}.fits")))
        jump, full = (flags & dq.JUMP_DET) > 0, (flags & dq.SATURATED) > 0
        for name, use, checked in (
            ("all that could be fitted", None, True),
            ("no flags", flags == 0, True),
            ("cosmic-ray hits", jump & ~full, False),
            ("saturated in part", full, False),
        ):
            yield _Row(f"{kind}, {name}", measure_pulls(rate, err, simulation.true_rate, use), checked)


def _read(path: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    from astropy.io import fits

    with fits.open(path, memmap=False) as hdulist:
        return hdulist["SCI"].data, hdulist["ERR"].data, hdulist["DQ"].data


def _format(row: _Row) -> str:
    pulls = row.pulls
    if not pulls.count:
        return f"{row.name:<34} {0:9d}"
    return (
        f"{row.name:<34} {pulls.count:9d} {pulls.mean:8.3f} {pulls.width:7.3f} {100 * pulls.beyond3:7.2f} % "
        f"{100 * pulls.beyond5:7.4f} %"
    )
