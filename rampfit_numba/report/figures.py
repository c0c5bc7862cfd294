"""The pictures of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rampfit_numba import dq
from rampfit_numba.mapped_arrays import let_go
from rampfit_numba.report.drawing import as_svg, new_figure, page_style

if TYPE_CHECKING:
    from rampfit_numba.report.content import NotablePixel
    from rampfit_numba.report.jump_counts import JumpCounts
    from rampfit_numba.result import RampFit

_BLUE, _ORANGE, _GREY = "#3f8fd0", "#e0703a", "#8b95a1"
_BINS = 80
#: Values that a histogram is made of: more would change nothing that one could see.
_MOST = 1 << 20
#: Half widths of a distribution that a histogram shows on either side of its middle.
_WIDEST = 12.0


def histograms(fit: RampFit) -> list[tuple[str, str]]:
    """Return histograms of rates, errors, chi-squares, and differences between integrations: titles and drawings."""
    rate = fit.rate
    usable = np.isfinite(rate.data) & np.isfinite(rate.err) & ((rate.dq & dq.DO_NOT_USE) == 0)
    found: list[tuple[str, str]] = []
    if not usable.any():
        return found
    with page_style():
        found.append(("Rate", _histogram(rate.data[usable], "rate (DN/s)", "Rates of the usable pixels", "h-rate")))
        found.append(
            ("Error of the rate", _histogram(rate.err[usable], "error (DN/s)", "Errors of the usable pixels", "h-err"))
        )
        if rate.chisq is not None and rate.dof is not None:
            counted = usable & (rate.dof > 0) & np.isfinite(rate.chisq)
            if counted.any():
                reduced = rate.chisq[counted] / rate.dof[counted]
                found.append(
                    ("Chi-square", _histogram(reduced, "χ² / dof", "Reduced chi-squares", "h-chisq", mark=1.0))
                )
        pulls = _differences(fit)
        if pulls.size:
            text = "Differences between integrations in units of their errors"
            found.append(
                (
                    "Differences between integrations",
                    _histogram(pulls, "difference / error", text, "h-pull", normal=True),
                )
            )
    return found


def _differences(fit: RampFit) -> np.ndarray:
    """Return the differences of the rates of neighbouring integrations in units of their errors."""
    ints = fit.rateints
    nints = ints.data.shape[0]
    if nints < 2:  # noqa: PLR2004  (two, for one difference)
        return np.empty(0)
    pairs = range(nints - 1)
    found = []
    for i in pairs:
        with np.errstate(invalid="ignore", divide="ignore"):
            pull = (ints.data[i + 1] - ints.data[i]) / np.hypot(ints.err[i], ints.err[i + 1])
        bad = ((ints.dq[i] | ints.dq[i + 1] | fit.rate.dq) & dq.DO_NOT_USE) != 0
        found.append(_thinned(pull[np.isfinite(pull) & ~bad], _MOST // len(pairs)))
        let_go(ints.data)
    return np.concatenate(found)


def _thinned(values: np.ndarray, most: int) -> np.ndarray:
    """Return a sample, always the same, where there are more: every so many would be of some columns only."""
    most = max(most, 1)
    return values if values.size <= most else values[np.random.default_rng(0).integers(0, values.size, most)]


def _histogram(
    values: np.ndarray, label: str, alternative: str, name: str, *, mark: float | None = None, normal: bool = False
) -> str:
    values = _thinned(np.asarray(values, np.float64).ravel(), _MOST)
    low, high = (-6.0, 6.0) if normal else (float(limit) for limit in np.percentile(values, [0.2, 99.8]))
    middle, width = float(np.median(values)), float(np.diff(np.percentile(values, [15.87, 84.13]))[0] / 2)
    if not normal and width > 0:  # a few values far away must not hide all others in one bar
        low, high = max(low, middle - _WIDEST * width), min(high, middle + _WIDEST * width)
    if not low < high:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(values, bins=_BINS, range=(low, high))
    outside = values.size - int(counts.sum())
    figure = new_figure(4.6, 2.7)
    axes = figure.add_subplot()
    axes.stairs(counts, edges, fill=True, color=_BLUE, alpha=0.85)
    if normal:
        x = np.linspace(low, high, 200)
        expected = values.size * (edges[1] - edges[0]) * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
        axes.plot(x, expected, color=_ORANGE, lw=1.4, label="as the errors say")
        axes.legend(frameon=False, loc="upper right", handlelength=1.2)
    if mark is not None:
        axes.axvline(mark, color=_ORANGE, lw=1.2, label=f"expected: {mark:g}")
        axes.legend(frameon=False, loc="upper right", handlelength=1.2)
    axes.set_xlabel(label)
    axes.set_ylabel("differences" if normal else "pixels")
    axes.set_xlim(low, high)
    axes.set_title(f"median {middle:.4g}, half width {width:.3g}; {outside} not shown", fontsize=9, loc="left")
    said = (
        f"{alternative}: histogram of {values.size} values, median {middle:.4g}, half of the central 68 % {width:.3g}."
    )
    return as_svg(figure, said, name)


def rate_picture(fit: RampFit) -> str:
    """Return the end of the ramp beside the rate."""
    from rampfit_numba.plot import plot_rate

    with page_style():
        figure = plot_rate(fit, wcs=False, figure=new_figure(9.6, 4.4, layout="compressed"))
        rate = fit.rate.data[np.isfinite(fit.rate.data)]
        said = (
            f"The last group of the ramp, and the rate: median {np.median(rate):.4g} DN/s." if rate.size else "No rate."
        )
        return as_svg(figure, said, "rate")


def flag_picture(fit: RampFit) -> str:
    """Return the flags of the rate as an image."""
    from rampfit_numba.plot import plot_dq

    with page_style():
        figure = new_figure(7.4, 4.6)
        plot_dq(fit, ax=figure.add_subplot())
        return as_svg(
            figure, "Image of the data-quality flags of the rate; the table beside it has their counts.", "dq"
        )


def jump_pictures(fit: RampFit, jumps: JumpCounts) -> list[tuple[str, str]]:
    """Return how many jumps there are of which size, and where: titles and drawings."""
    from rampfit_numba.plot.summaries import draw_jump_sizes

    if not jumps.total:
        return []
    with page_style():
        sizes, places = new_figure(6.4, 4.4), new_figure(6.4, 4.4)
        draw_jump_sizes(fit, jumps.sizes, jumps.sizes_found, sizes.add_subplot(), numbers=jumps.kinds)
        said = f"Histogram of the sizes of {jumps.total} jumps"
        said += f", from a random sample of {jumps.sizes.size}." if jumps.sampled else "."
        axes = places.add_subplot()
        nrows, ncols = fit.rate.data.shape
        step = max(1, max(nrows, ncols) // 128)
        rows, columns = np.arange(0, nrows, step), np.arange(0, ncols, step)
        shown = np.add.reduceat(np.add.reduceat(jumps.of_pixels, rows, axis=0), columns, axis=1)
        image = axes.imshow(
            shown,
            origin="lower",
            cmap="viridis",
            extent=(-0.5, ncols - 0.5, -0.5, nrows - 0.5),
            aspect="auto" if max(nrows, ncols) > 4 * min(nrows, ncols) else "equal",
        )
        what = "jumps in a pixel" if step == 1 else f"jumps in {step} by {step} pixels"
        places.colorbar(image, ax=axes, label=what).ax.locator_params(axis="y", integer=True)
        axes.set_xlabel("column x")
        axes.set_ylabel("row y")
        return [
            ("How large they are", as_svg(sizes, said, "jump-sizes")),
            ("Where they are", as_svg(places, f"Map of {jumps.total} jumps on the detector.", "jump-map")),
        ]


def ramp_picture(fit: RampFit, pixel: NotablePixel) -> str:
    """Return the ramp of a pixel, with the lines of its segments."""
    from rampfit_numba.plot import plot_ramp

    with page_style():
        figure = plot_ramp(fit, pixel.x, pixel.y, integrations=pixel.integration, figure=new_figure(7.2, 4.6))
        figure.suptitle("")
        let_go(fit.rateints.data)
        said = (
            f"Ramp of the pixel x {pixel.x}, y {pixel.y} in integration {pixel.integration}: "
            f"{pixel.segments} segments, {pixel.rate}, flags {pixel.flags}."
        )
        return as_svg(figure, said, f"ramp-{pixel.x}-{pixel.y}")
