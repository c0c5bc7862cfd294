"""One integration of a pixel: its samples, the lines of its segments, the residuals, and the numbers beside them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rampfit_numba import dq
from rampfit_numba.pixel_ramps import is_ols
from rampfit_numba.plot.style import BLUE, DO_NOT_USE, FONT, GREEN, GREY, JUMP_DET, SAMPLES, SATURATED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rampfit_numba.result import RampFit

    Columns = dict[str, np.ndarray]

#: Segments that are listed.
_MOST_LISTED = 8
#: Parts of a panel's height that are kept free above the data, for the numbers of the segments, and around it.
_STRIP, _MARGIN = 0.13, 0.05
#: Samples that are not fitted stretch the axis by so many times what the fitted ones take; jumps and saturated ones.
_STRETCH, _FAR_STRETCH = 2.0, 10.0
_SIGMAS = 3.5


class Panel(NamedTuple):
    """What one panel shows: one integration of a pixel."""

    fit: RampFit
    x: int
    y: int
    integration: int
    samples: Columns
    segments: Columns
    is_lowest: bool

    @property
    def span(self) -> tuple[float, float]:
        """Return the ends of the time axis."""
        times = self.samples["time"]
        extra = 0.04 * (times.max() - times.min()) or 0.5 * abs(times[0]) or 1.0
        return float(times.min() - extra), float(times.max() + extra)


def _kinds(panel: Panel) -> dict[str, np.ndarray]:
    """Return which samples are of which kind; one may be of several."""
    samples = panel.samples
    flags, finite = samples["dq"], np.isfinite(samples["value"])
    zeroframe = samples["zeroframe"]
    used = samples["segment"] >= 0
    jump = ((flags & JUMP_DET) != 0) & ~zeroframe
    found = jump & samples["found"]
    return {
        "unused": finite & ~used & ((flags & (DO_NOT_USE | SATURATED | JUMP_DET)) == 0),
        "good": finite & used & ~jump & ~zeroframe,
        "zeroframe": finite & zeroframe,
        "jump": finite & jump & ~found,
        "found": finite & found,
        "saturated": finite & ((flags & SATURATED) != 0) & ~zeroframe,
        "bad": finite & ((flags & DO_NOT_USE) != 0) & ~zeroframe,
        "lost": ~finite,
    }


def _limits(panel: Panel) -> tuple[float, float]:
    """Return what the value axis must hold: the fitted samples with their lines, the rest if it is not far away."""
    samples = panel.samples
    values = samples["value"]
    finite = np.isfinite(values)
    used = finite & (samples["segment"] >= 0)
    lines = samples["line"][np.isfinite(samples["line"])]
    core = np.concatenate([values[used], lines]) if used.any() else values[finite]
    if core.size == 0:
        return 0.0, 1.0
    low, high = float(core.min()), float(core.max())
    width = high - low or 0.01 * abs(high) or 1.0
    stretch = np.where((samples["dq"] & (SATURATED | JUMP_DET)) != 0, _FAR_STRETCH, _STRETCH)
    near = finite & (values > low - stretch * width) & (values < high + stretch * width)
    if near.any():
        low, high = min(low, float(values[near].min())), max(high, float(values[near].max()))
    return low, high if high > low else low + width


def draw_ramp(ax: Axes, panel: Panel) -> dict[str, Any]:
    """Draw samples and lines; return what the legend is to explain."""
    samples, segments = panel.samples, panel.segments
    low, high = _limits(panel)
    height = (high - low) / (1 - _STRIP - 2 * _MARGIN)
    bottom, top = low - _MARGIN * height, high + (_MARGIN + _STRIP) * height
    ax.set_xlim(*panel.span)
    ax.set_ylim(bottom, top)
    handles: dict[str, Any] = {}
    times, values = samples["time"], samples["value"]
    for kind, where in _kinds(panel).items():
        if not where.any():
            continue
        label, style = SAMPLES[kind]
        here = values[where] if kind != "lost" else np.full(int(where.sum()), bottom + 0.3 * _MARGIN * height)
        inside = (here >= bottom) & (here <= high + _MARGIN * height)
        (handles[label],) = ax.plot(
            times[where][inside], here[inside], ls="none", label=label, zorder=3, gid=f"samples-{kind}", **style
        )
        for marker, beyond, edge in (("v", here < bottom, 0.02), ("^", here > high + _MARGIN * height, 1 - _STRIP)):
            if beyond.any():
                (handles["beyond the axis"],) = ax.plot(
                    times[where][beyond],
                    np.full(int(beyond.sum()), edge),
                    transform=ax.get_xaxis_transform(),
                    ls="none",
                    marker=marker,
                    color=style["mec"],
                    ms=5,
                    label="beyond the axis",
                    gid="beyond",
                )
    rate = float(panel.fit.rate.data[panel.y, panel.x])
    for k in range(segments["slope"].size):
        t = np.array([segments["start_time"][k], segments["stop_time"][k]])
        drawn = t
        if t[0] == t[1]:  # one sample: its line comes from where the signal is taken to be 0
            half = 0.03 * (panel.span[1] - panel.span[0])
            drawn = np.array([t[0] - half, t[0] + half])
        line = segments["intercept"][k] + segments["slope"][k] * drawn
        if np.isfinite(line).all():
            (handles["line of a segment"],) = ax.plot(
                drawn, line, color=BLUE, lw=1.8, zorder=4, label="line of a segment", gid=f"segment-{k}"
            )
            if np.isfinite(rate):
                middle = line.mean()
                (handles["rate of the exposure"],) = ax.plot(
                    drawn,
                    middle + rate * (drawn - drawn.mean()),
                    color=GREEN,
                    ls=(0, (4, 3)),
                    lw=1.2,
                    zorder=5,
                    label="rate of the exposure",
                    gid=f"rate-{k}",
                )
    _number_segments(ax, panel)
    _mark_jumps(ax, panel)
    ax.set_ylabel("signal (DN)")
    ax.set_title(f"integration {panel.integration}", fontsize=9)
    ax.ticklabel_format(axis="y", useOffset=False)
    ax.tick_params(labelbottom=False)
    return handles


def _number_segments(ax: Axes, panel: Panel) -> None:
    """Write the number of each segment above it, in the strip that is free of data; heavy ones first."""
    segments = panel.segments
    if segments["slope"].size < 2:  # noqa: PLR2004  (nothing to tell apart)
        return
    low, high = panel.span
    taken: list[float] = []
    for k in np.argsort(-np.nan_to_num(segments["weight"]), kind="stable"):
        middle = (segments["start_time"][k] + segments["stop_time"][k]) / 2
        if all(abs(middle - other) > 0.04 * (high - low) for other in taken):
            taken.append(middle)
            ax.text(
                middle,
                1 - _STRIP / 2.6,
                str(k + 1),
                transform=ax.get_xaxis_transform(),
                ha="center",
                va="center",
                color=BLUE,
                fontsize=FONT + 0.5,
                fontweight="bold",
                gid=f"number-{k}",
            ).set_in_layout(False)


def _mark_jumps(ax: Axes, panel: Panel) -> None:
    """Draw a dotted line where a jump is: between its group and the one before."""
    samples = panel.samples
    times, own = samples["time"], ~samples["zeroframe"]
    for k in np.nonzero(((samples["dq"] & JUMP_DET) != 0) & own)[0]:
        if k > 0 and own[k - 1]:
            ax.axvline((times[k] + times[k - 1]) / 2, color=GREY, ls=":", lw=0.9, zorder=1, gid="jump")


def draw_residuals(ax: Axes, panel: Panel) -> None:
    """Draw what is left of the samples, in units of its noise."""
    samples = panel.samples
    with np.errstate(all="ignore"):
        pulls = samples["residual"] / samples["noise"]
    ax.set_ylabel("residual\n($\\sigma$)")
    if panel.is_lowest:
        ax.set_xlabel("time since the reset (s)")
    known = np.isfinite(pulls)
    largest = max(_SIGMAS, 1.15 * float(np.abs(pulls[known]).max(initial=0)))
    ax.set_ylim(-largest, largest)
    ax.axhspan(-1, 1, color="#E6E6E6", zorder=0)
    ax.axhline(0, color=BLUE, lw=1)
    if not known.any():
        ax.text(0.5, 0.8, "no residuals", transform=ax.transAxes, ha="center", va="center", fontsize=FONT, color=GREY)
    for kind, where in _kinds(panel).items():
        here = where & known
        if here.any() and kind != "lost":
            ax.plot(samples["time"][here], pulls[here], ls="none", gid=f"residuals-{kind}", **SAMPLES[kind][1])


def write_beside(ax: Axes, panel: Panel) -> None:
    """Write the numbers beside the panel, where there are no data."""
    ax.set_axis_off()
    lines = _report(panel)
    ax.text(
        0,
        1,
        "\n".join(lines),
        transform=ax.transAxes,
        va="top",
        ha="left",
        fontsize=FONT,
        linespacing=1.35,
        gid="report",
    ).set_in_layout(False)


def _report(panel: Panel) -> list[str]:
    """Return what is written beside a panel, line by line."""
    fit, segments = panel.fit, panel.segments
    i, x, y = panel.integration, panel.x, panel.y
    rate, err = float(fit.rateints.data[i, y, x]), float(fit.rateints.err[i, y, x])
    lines = [f"rate {with_error(rate, err)} DN/s" if np.isfinite(rate) else "no rate"]
    flags = dq.names_of(int(fit.rateints.dq[i, y, x]))
    lines += [*flags[:3], *(["..."] if len(flags) > 3 else [])]  # noqa: PLR2004
    count = segments["slope"].size
    if count == 0:
        return [*lines, "no segment was fitted"]
    listed = sorted(np.argsort(-np.nan_to_num(segments["weight"]), kind="stable")[:_MOST_LISTED])
    own_slopes = is_ols(fit)
    for k in listed:
        first, last = int(segments["first_group"][k]), int(segments["last_group"][k])
        groups = f"group {first}" if first == last else f"groups {first}-{last}"
        if segments["zeroframe"][k]:
            groups = "zeroframe" if first == last else f"zeroframe-{last}"
        number = f"{k + 1}: " if count > 1 else ""
        dof = float(segments["dof"][k])
        lines.append(f"{number}{groups}, weight {_percent(float(segments['weight'][k]))}")
        if own_slopes:
            lines.append(f"  {with_error(float(segments['slope'][k]), float(segments['slope_err'][k]))} DN/s")
        if dof > 0 and np.isfinite(segments["chisq"][k]):
            lines.append(f"  χ² {segments['chisq'][k]:.3g} for {dof:.3g}")
    if len(listed) < count:
        lines.append(f"and {count - len(listed)} of less weight")
    return lines


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 or share == 0 else f"{100 * share:.1g} %"  # noqa: PLR2004


def with_error(value: float, err: float) -> str:
    """Return a value with its error, to two digits of the error."""
    if not (np.isfinite(err) and err > 0):
        return f"{value:.4g}"
    digits = 1 - math.floor(math.log10(float(f"{err:.1e}")))
    if digits < -3 or digits > 6 or abs(value) >= 1e7:  # noqa: PLR2004
        return f"{value:.4g} ± {err:.2g}"
    places = max(digits, 0)
    return f"{round(float(value), digits):.{places}f} ± {round(float(err), digits):.{places}f}"
