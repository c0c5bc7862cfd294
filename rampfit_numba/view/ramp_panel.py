"""The ramp of the chosen pixel: samples, lines, residuals, and the table of its segments."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.models import ColumnDataSource, Div, HoverTool, Range1d, Span
from bokeh.plotting import figure

from rampfit_numba import dq
from rampfit_numba.view.ramp import BAD, JUMP, SATURATED, UNUSED, USED
from rampfit_numba.view.style import style_figure, widget

if TYPE_CHECKING:
    from rampfit_numba.view.ramp import Line, Ramp

_BLUE, _ORANGE, _RED, _GREY, _GREEN = "#3f8fd0", "#e0703a", "#d1495b", "#8b95a1", "#3aa17e"
#: Marker, colour, whether it is filled.
_KINDS = {
    USED: ("circle", _BLUE, True),
    JUMP: ("diamond", _ORANGE, True),
    UNUSED: ("circle", _GREY, False),
    SATURATED: ("triangle", _RED, False),
    BAD: ("x", _GREY, False),
}
#: Room for the labels of the vertical axes: figures above each other begin at the same place.
LEFT_BORDER = 82
#: Room around the data, as a share of their range.
_MARGIN = 0.06
_LEAST_RESIDUAL = 3.5


class RampPanel:
    """The figures and the table of one ramp."""

    def __init__(self) -> None:
        self.ramp = figure(
            name="ramp",
            height=390,
            sizing_mode="stretch_width",
            toolbar_location="above",
            tools="pan,xwheel_zoom,box_zoom,reset",
            x_range=Range1d(0, 1),
            y_range=Range1d(0, 1),
            y_axis_label="signal (DN)",
        )
        self.residuals = figure(
            name="residuals",
            height=180,
            sizing_mode="stretch_width",
            toolbar_location=None,
            tools="xpan",
            x_range=self.ramp.x_range,
            y_range=Range1d(-_LEAST_RESIDUAL, _LEAST_RESIDUAL),
            x_axis_label="time since the reset (s)",
            y_axis_label="residual / noise",
        )
        for plot in (self.ramp, self.residuals):
            style_figure(plot)
            plot.min_border_left = LEFT_BORDER
        self.ramp.xaxis.visible = False
        self._samples = {kind: ColumnDataSource(_no_samples(), name=f"samples: {kind}") for kind in _KINDS}
        self._lines = ColumnDataSource(_no_lines(), name="lines")
        self._rates = ColumnDataSource({"xs": [], "ys": []}, name="rate lines")
        self._jumps = ColumnDataSource({"x": [], "low": [], "high": []}, name="jump times")
        self._draw_glyphs()
        self.legend, self.table, self.summary = (
            widget(Div, name=name, disable_math=True) for name in ("legend", "segments", "summary")
        )

    def _draw_glyphs(self) -> None:
        self.ramp.multi_line("xs", "ys", source=self._rates, line_color=_GREY, line_dash=[5, 4], line_width=1.5)
        lines = self.ramp.segment(
            "x0", "y0", "x1", "y1", source=self._lines, line_color="color", line_width=2.5, line_cap="round"
        )
        self.ramp.segment(
            "x", "low", "x", "high", source=self._jumps, line_color=_ORANGE, line_dash=[2, 3], line_width=1.5
        )
        self.residuals.segment(
            "x", -1e3, "x", 1e3, source=self._jumps, line_color=_ORANGE, line_dash=[2, 3], line_width=1.5
        )
        for level in (-1, 1):
            self.residuals.add_layout(Span(location=level, dimension="width", line_color=_GREY, line_dash="dotted"))
        self.residuals.add_layout(Span(location=0, dimension="width", line_color=_GREY))
        found = []
        for kind, (marker, color, filled) in _KINDS.items():
            look = {
                "marker": marker,
                "size": 8 if marker != "diamond" else 12,
                "line_color": color,
                "fill_color": color if filled else None,
                "line_width": 1.5,
            }
            glyph = self.ramp.scatter("time", "sample", source=self._samples[kind], **look)
            also = self.residuals.scatter("time", "residual", source=self._samples[kind], **look)
            found += [glyph, also]
        tips = [
            ("group", "@group"),
            ("time", "@time{0.00} s"),
            ("signal", "@sample{0.0} DN"),
            ("residual", "@residual{0.00}"),
            ("flags", "@flags"),
        ]
        for plot, renderers in ((self.ramp, found[::2]), (self.residuals, found[1::2])):
            plot.add_tools(HoverTool(renderers=renderers, tooltips=tips, visible=False))
        tips = [("groups", "@groups"), ("slope", "@slope"), ("weight", "@weight")]
        self.ramp.add_tools(HoverTool(renderers=[lines], tooltips=tips, visible=False, line_policy="interp"))

    def show(self, ramp: Ramp, rate: float) -> None:
        """Draw a ramp; `rate` is that of the exposure, in DN/s."""
        for kind, source in self._samples.items():
            source.data = _samples(ramp, np.flatnonzero(ramp.kind == kind))
        self._lines.data = _lines(ramp.lines)
        self._rates.data = _rate_lines(ramp.lines, rate)
        low, high = self._set_ranges(ramp)
        jumps = ramp.time[ramp.kind == JUMP]
        self._jumps.data = {"x": jumps, "low": np.full(jumps.size, low), "high": np.full(jumps.size, high)}
        self.legend.text = legend(ramp)
        self.table.text = segment_table(ramp.lines)

    def _set_ranges(self, ramp: Ramp) -> tuple[float, float]:
        finite = ramp.sample[np.isfinite(ramp.sample)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        margin = _MARGIN * ((high - low) or 1.0)
        x, y = self.ramp.x_range, self.ramp.y_range
        first, last = float(ramp.time.min()), float(ramp.time.max())
        space = _MARGIN / 2 * ((last - first) or 1.0)
        set_range(x, first - space, last + space)
        set_range(y, low - margin, high + margin)
        residuals = np.abs(ramp.residual[np.isfinite(ramp.residual)])
        most = max(_LEAST_RESIDUAL, 1.15 * float(residuals.max()) if residuals.size else 0.0)
        set_range(self.residuals.y_range, -most, most)
        return low - 10 * margin, high + 10 * margin


#: The signs of the legend, as SVG paths in a square of 16.
_SIGNS = {
    USED: f"<circle cx='8' cy='8' r='4' fill='{_BLUE}'/>",
    JUMP: f"<path d='M8 1.5 14 8 8 14.5 2 8Z' fill='{_ORANGE}'/>",
    UNUSED: f"<circle cx='8' cy='8' r='4' fill='none' stroke='{_GREY}' stroke-width='1.5'/>",
    SATURATED: f"<path d='M8 3 13 12H3Z' fill='none' stroke='{_RED}' stroke-width='1.5'/>",
    BAD: f"<path d='M4 4 12 12M12 4 4 12' stroke='{_GREY}' stroke-width='1.5'/>",
    "line of a segment": f"<path d='M1 12 15 4' stroke='{_GREEN}' stroke-width='2.5'/>",
    "rate of the exposure": f"<path d='M1 12 15 4' stroke='{_GREY}' stroke-width='1.5' stroke-dasharray='4 3'/>",
}


def legend(ramp: Ramp) -> str:
    """Return a legend, in HTML, of what a ramp has."""
    there = {*ramp.kind, *(["line of a segment", "rate of the exposure"] if ramp.lines else [])}
    return "".join(
        "<span class='sign'><svg viewBox='0 0 16 16' width='15' height='15' aria-hidden='true'>"
        f"{sign}</svg> {name}</span>"
        for name, sign in _SIGNS.items()
        if name in there
    )


def set_range(axis: Range1d, start: float, end: float) -> None:
    """Set what is in sight, and what the reset tool returns to."""
    axis.update(start=start, end=end, reset_start=start, reset_end=end)


def _no_samples() -> dict[str, list[Any]]:
    return {name: [] for name in ("group", "time", "sample", "residual", "flags")}


def _samples(ramp: Ramp, here: np.ndarray) -> dict[str, Any]:
    return {
        "group": ramp.group[here],
        "time": ramp.time[here],
        "sample": ramp.sample[here],
        "residual": ramp.residual[here],
        "flags": [", ".join(dq.names_of(int(flags))) or "none" for flags in ramp.flags[here]],
    }


def _no_lines() -> dict[str, list[Any]]:
    return {name: [] for name in ("x0", "y0", "x1", "y1", "color", "groups", "slope", "weight")}


def _lines(lines: list[Line]) -> dict[str, list[Any]]:
    found = _no_lines()
    for line in lines:
        found["x0"].append(line.start)
        found["x1"].append(line.stop)
        found["y0"].append(line.intercept + line.slope * line.start)
        found["y1"].append(line.intercept + line.slope * line.stop)
        found["color"].append(_GREEN)
        found["groups"].append(f"{line.first_group} to {line.last_group}")
        found["slope"].append(f"{with_error(line.slope, line.slope_err)} DN/s")
        found["weight"].append(f"{line.weight:.1%}")
    return found


def _rate_lines(lines: list[Line], rate: float) -> dict[str, list[Any]]:
    """Return a line with the rate of the exposure through the middle of each segment's own."""
    xs, ys = [], []
    for line in lines:
        middle = (line.start + line.stop) / 2
        level = line.intercept + line.slope * middle
        times = np.array([line.start, line.stop])
        if np.isfinite(rate) and line.stop > line.start:
            xs.append(times)
            ys.append(level + rate * (times - middle))
    return {"xs": xs, "ys": ys}


def with_error(value: float, error: float) -> str:
    """Return "value ± error" with the digits that the error leaves to the value."""
    if not (np.isfinite(value) and np.isfinite(error) and error > 0):
        return f"{value:.6g} ± {error:.2g}"
    digits = int(np.clip(1 - np.floor(np.log10(error)), 0, 12))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def segment_table(lines: list[Line]) -> str:
    """Return the segments as a table in HTML."""
    if not lines:
        return "<p class='empty'>This ramp has no segment: nothing of it could be fitted.</p>"
    heads = ("groups", "slope (DN/s)", "weight", "χ² / dof")
    rows = [
        (
            f"{line.first_group} to {line.last_group}" if line.nsamples > 1 else f"{line.first_group}",
            with_error(line.slope, line.slope_err),
            f"{line.weight:.1%}",
            f"{line.chisq:.1f} / {line.dof:.3g}" if line.dof > 0 else "",
        )
        for line in lines
    ]
    head = "".join(f"<th scope='col'>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
