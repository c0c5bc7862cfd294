"""Draw the pictures in docs/figures, from simulated exposures: ``python docs/make_figures.py`` (extra ``plot``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from rampfit_numba import Exposure, fit_ramps, plot, simulate_exposure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rampfit_numba import RampFit

FOLDER = Path(__file__).resolve().parent / "figures"
DPI = 70
#: Sizes of jumps, in DN, that show beside the ramp that they are in; and the integrations of a transit.
FAINTEST, BRIGHTEST = 100, 2000
TRANSIT = slice(21, 42)


def main() -> None:
    """Write all pictures."""
    mpl.use("Agg")
    mpl.rcParams.update({"svg.hashsalt": "rampfit_numba", "svg.fonttype": "none"})
    FOLDER.mkdir(exist_ok=True)
    plot.plot_ramp(*ramp_with_a_jump()).savefig(FOLDER / "ramp.svg", metadata={"Date": None})
    simulation = simulate_exposure(2, 20, 96, 128, seed=4, hit_rate=0.01, source_density=0.002, bad_pixels=0.003)
    fit = fit_ramps(simulation.exposure, simulation.readnoise, simulation.gain)
    x, y = eventful_pixel(fit)
    write("ramp", plot.plot_ramp(fit, x, y))
    write("rate", plot.plot_rate(fit))
    write("dq", plot.plot_dq(fit).figure)
    write("jumps", plot.plot_jumps(fit, pixel_size=18.0).figure)
    write("pulls", plot.plot_pulls(fit, simulation.true_rate).figure)
    write("likelihood", plot.plot_ramp(uneven(), 0, 0))
    write("light_curve", plot.plot_light_curve(transit(), (2, 6, 2, 6)).figure)


def write(name: str, figure: Figure) -> None:
    """Write one picture."""
    path = FOLDER / f"{name}.png"
    figure.savefig(path, dpi=DPI, pil_kwargs={"optimize": True})
    print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB")


def ramp_with_a_jump() -> tuple[RampFit, int, int]:
    """Return a fit, and column and row of a pixel with one large jump, in the middle of the ramp."""
    simulation = simulate_exposure(1, 20, 64, 64, seed=2, hit_rate=0.01, background=50.0, source_density=0.0)
    fit = fit_ramps(simulation.exposure, simulation.readnoise, simulation.gain)
    jumps = fit.jumps()
    middle = jumps[(jumps["group"] > 7) & (jumps["group"] < 13) & (jumps["significance"] > 20)]  # noqa: PLR2004
    rows, counts = np.unique(jumps["row"] * 1000 + jumps["column"], return_counts=True)
    single = np.isin(middle["row"] * 1000 + middle["column"], rows[counts == 1])
    chosen = middle[single][0]
    return fit, chosen["column"], chosen["row"]


def eventful_pixel(fit: RampFit) -> tuple[int, int]:
    """Return column and row of a usable pixel that was hit in both integrations, at the middle of the ramps."""
    jumps = fit.jumps()
    jumps = jumps[np.isfinite(fit.rate.data[jumps["row"], jumps["column"]])]
    ngroups = fit.inputs.exposure.ngroups
    middle = np.abs(jumps["group"] - ngroups / 2) < ngroups / 4
    sizes = np.abs(jumps["size"].value)
    jumps = jumps[middle & (sizes > FAINTEST) & (sizes < BRIGHTEST)]
    places = [set(), set()]
    for jump in jumps:
        places[jump["integration"]].add((int(jump["column"]), int(jump["row"])))
    return min(places[0] & places[1])


def uneven() -> RampFit:
    """Return a likelihood fit of uneven reads with a hit that nobody has flagged."""
    rng = np.random.default_rng(1)
    times = [1, 1.5, 2, 4, 4.5, 8, 8.5, 12, 16, 20, 24, 30]
    data = (300 + 25 * np.array(times) + rng.normal(0, 4, len(times))).reshape(1, -1, 1, 1)
    data[0, 7:] += 160
    exposure = Exposure(data, None, read_times=times, group_time=1.0)
    return fit_ramps(exposure, 5.0, 2.0, algorithm="likely_joint")


def transit() -> RampFit:
    """Return the fit of a time series of 60 integrations with a dip of 3 %."""
    rng = np.random.default_rng(2)
    flux = np.full(60, 300.0)
    flux[TRANSIT] *= 0.97
    counts = rng.poisson(flux[:, None, None, None] * np.ones((60, 8, 8, 8)))
    return fit_ramps(Exposure(np.cumsum(counts, axis=1).astype(np.float32), None, 1.0), 5.0, 1.0)


if __name__ == "__main__":
    main()
