"""``rampfit simulate``: a simulated exposure, its gain file and its readnoise file, and on request the truth."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rampfit_numba.cli.arguments import simulation_settings

if TYPE_CHECKING:
    import argparse

log = logging.getLogger(__name__)


def run(chosen: argparse.Namespace) -> int:
    """Simulate and write; return 0."""
    from rampfit_numba.simulate import SimulationOptions, simulate_exposure, simulation_paths, write_simulation

    settings = simulation_settings(chosen)
    try:
        SimulationOptions(**settings)
    except (TypeError, ValueError) as error:
        chosen.parser.error(str(error))
    # Complains before the work, not after.
    simulation_paths(chosen.output, overwrite=chosen.overwrite, truth=chosen.truth)
    log.info("Simulating %s, seed %d", " x ".join(map(str, chosen.shape)), chosen.seed)
    simulation = simulate_exposure(*chosen.shape, seed=chosen.seed, **settings)
    for path in write_simulation(simulation, chosen.output, overwrite=chosen.overwrite, truth=chosen.truth):
        log.info("Saved %s", path)
    return 0
