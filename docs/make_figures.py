"""Draw the pictures that are kept in docs/figures: python docs/make_figures.py."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

from rampfit_numba import fit_ramps, simulate_exposure
from rampfit_numba.plot import plot_ramp

FOLDER = Path(__file__).parent / "figures"


def main() -> None:
    """Draw a ramp with a jump in its middle."""
    mpl.rcParams.update({"svg.hashsalt": "rampfit_numba", "svg.fonttype": "none"})
    simulation = simulate_exposure(1, 20, 64, 64, seed=2, hit_rate=0.01, background=50.0, source_density=0.0)
    fit = fit_ramps(simulation.exposure, simulation.readnoise, simulation.gain)
    jumps = fit.jumps()
    middle = jumps[(jumps["group"] > 7) & (jumps["group"] < 13) & (jumps["significance"] > 20)]  # noqa: PLR2004
    rows, counts = np.unique(jumps["row"] * 1000 + jumps["column"], return_counts=True)
    single = np.isin(middle["row"] * 1000 + middle["column"], rows[counts == 1])
    chosen = middle[single][0]
    figure = plot_ramp(fit, x=chosen["column"], y=chosen["row"])
    FOLDER.mkdir(exist_ok=True)
    figure.savefig(FOLDER / "ramp.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
