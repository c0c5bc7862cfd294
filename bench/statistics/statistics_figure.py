"""The figure of bench_statistics.py: needs matplotlib, the extra `plot`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from ramp_statistics import Result

# Colours that the colour-blind can tell apart (Okabe and Ito). The pipeline's fit is a broad band under the others:
# where `likely` lies on it, they agree.
STYLES = {
    "ols": {"color": "#7f7f7f", "linestyle": ":", "linewidth": 1.8, "marker": "s", "markersize": 4.5},
    "stcal LIKELY": {"color": "#f0b94d", "linewidth": 5.5, "solid_capstyle": "round"},
    "likely": {"color": "#0072b2", "linestyle": "--", "linewidth": 1.6, "marker": "o", "markersize": 4.5},
    "likely_joint": {"color": "#009e73", "linewidth": 2.0, "marker": "D", "markersize": 4.5},
}
LABELS = {
    "ols": "ols (all hits flagged)",
    "stcal LIKELY": "LIKELY of the pipeline (stcal)",
    "likely": "likely",
    "likely_joint": "likely_joint",
}
#: The first two rows: title of a column, and the scene in it.
COLUMNS = {
    "10 integrations": "10 integrations",
    "10 integrations,\ngroups of 4 frames": "10 integrations of groups of 4 frames",
    "10 integrations,\ndark current of 1 DN/s": "10 integrations, dark current of 1 DN/s",
}
_FALSE = "10 integrations, dark current of 1 DN/s"
_HIT = "10 integrations, hits in 5 % of the groups"


def draw(path: Path, results: dict[str, list[Result]], sizes: np.ndarray, missed: dict[str, np.ndarray]) -> None:
    """Draw bias and pull width against signal-to-noise, and missed and false jumps.

    Parameters
    ----------
    path : Path
        PNG file to write.
    results : dict
        What was measured, by the scenes' titles.
    sizes, missed
        Edges of the bins of hit sizes; the fraction missed in each, by algorithm.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    settings = {
        "font.size": 9.5,
        "axes.titlesize": 10.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": "#555555",
        "axes.grid": True,
        "grid.color": "#e6e6e6",
        "grid.linewidth": 0.7,
        "axes.axisbelow": True,
    }
    with mpl.rc_context(settings):
        figure, axes = plt.subplots(3, 3, figsize=(11, 9.6), constrained_layout=True)
        for column, (title, scene) in enumerate(COLUMNS.items()):
            axes[0, column].set_title(title)
            _against_signal(axes[0, column], results[scene], "bias", 0.0)
            _against_signal(axes[1, column], results[scene], "pull", 1.0)
        for row, label in enumerate(("bias of the rate / $\\sigma$", "pull width")):
            axes[row, 0].set_ylabel(label)
            _same_range(axes[row])
        _missed(axes[2, 0], sizes, missed)
        _false(axes[2, 1], results[_FALSE])
        axes[2, 2].set_title("10 integrations,\nhits in 5 % of the groups")
        _against_signal(axes[2, 2], results[_HIT], "bias", 0.0)
        axes[2, 2].set_ylabel("bias of the rate / $\\sigma$")
        for ax in [*axes[1], axes[2, 1], axes[2, 2]]:
            ax.set_xlabel("signal-to-noise of one integration")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=10.5)
        figure.savefig(path, dpi=130, metadata={"Software": None})
        plt.close(figure)


def _against_signal(ax: Axes, results: list[Result], quantity: str, right: float) -> None:
    signal = [result.scene.signal_to_noise for result in results]
    ax.axhline(right, color="#333333", linewidth=0.9)
    for name, style in STYLES.items():
        values = [getattr(result.measured[name], quantity) for result in results]
        ax.plot(signal, values, label=LABELS[name], **style)
    _signal_axis(ax, signal)


def _signal_axis(ax: Axes, signal: list[float]) -> None:
    ax.set_xscale("log")
    ax.set_xticks(signal, [f"{value:g}" for value in signal])
    ax.minorticks_off()


def _same_range(row: np.ndarray) -> None:
    low, high = (
        pick(limit) for pick, limit in zip((min, max), zip(*(ax.get_ylim() for ax in row), strict=True), strict=True)
    )
    for ax in row:
        ax.set_ylim(low, high)


def _missed(ax: Axes, sizes: np.ndarray, missed: dict[str, np.ndarray]) -> None:
    middles = np.sqrt(sizes[1:] * sizes[:-1])
    for name, fraction in missed.items():
        ax.plot(middles, 100 * fraction, **STYLES[name])
    ax.set_xscale("log")
    ticks = [2, 3, 5, 7, 10, 20]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    ax.set_title("missed hits, 1 integration,\nS/N 20")
    ax.set_xlabel("size of the hit / $\\sigma$ of a difference")
    ax.set_ylabel("missed / %")
    ax.set_ylim(-3, 103)


def _false(ax: Axes, results: list[Result]) -> None:
    signal = [result.scene.signal_to_noise for result in results]
    for name in list(STYLES)[1:]:
        false = [1e6 * (result.measured[name].false or 0) for result in results]
        ax.plot(signal, false, **STYLES[name])
    ax.set_ylim(bottom=0)
    _signal_axis(ax, signal)
    ax.set_title("false jumps without hits,\n10 integrations, dark current of 1 DN/s")
    ax.set_ylabel("flags in a million groups")
