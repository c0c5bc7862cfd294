"""``rampfit simulate``: a simulated exposure, its gain file and its readnoise file, and on request the truth."""

from __future__ import annotations

import logging
import math
import shutil
from typing import TYPE_CHECKING

from rampfit_numba.cli.arguments import simulation_settings

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

log = logging.getLogger(__name__)

# float32 values and uint8 flags.
_BYTES_PER_SAMPLE = 5


def run(chosen: argparse.Namespace) -> int:
    """Simulate and write; return 0."""
    from rampfit_numba.simulate import SimulationOptions, simulate_exposure, simulation_paths, write_simulation

    settings = simulation_settings(chosen)
    try:
        SimulationOptions(**settings)
    except (TypeError, ValueError) as error:
        chosen.parser.error(str(error))
    # Complains before the work, not after.
    paths = simulation_paths(chosen.output, overwrite=chosen.overwrite, truth=chosen.truth)
    _check_space(paths[0], chosen)
    log.info("Simulating %s, seed %d", " x ".join(map(str, chosen.shape)), chosen.seed)
    simulation = simulate_exposure(*chosen.shape, seed=chosen.seed, **settings)
    for path in write_simulation(simulation, chosen.output, overwrite=chosen.overwrite, truth=chosen.truth):
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
