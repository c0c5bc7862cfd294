"""Rates by integration: of the chosen pixel, and of a box, as a light curve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.events import Tap
from bokeh.models import BasicTicker, ColumnDataSource, HoverTool, Range1d
from bokeh.plotting import figure

from rampfit_numba.view.ramp_panel import LEFT_BORDER, set_range
from rampfit_numba.view.style import DATA_COLOR, PICK_COLOR, style_figure

if TYPE_CHECKING:
    from collections.abc import Callable

#: More points than these have error bars that only hide them.
_MOST_BARS = 400


class SeriesPanel:
    """A figure of values with errors, one an integration.

    Parameters
    ----------
    name : str
    label : str
        Of the vertical axis.
    on_pick : callable, optional
        ``on_pick(integration)`` is called when one was clicked.
    """

    def __init__(self, name: str, label: str, on_pick: Callable[[int], None] | None = None) -> None:
        self._on_pick = on_pick
        self.figure = figure(
            name=name,
            height=190,
            sizing_mode="stretch_width",
            toolbar_location="above",
            tools="pan,xwheel_zoom,box_zoom,reset",
            x_range=Range1d(0, 1),
            y_range=Range1d(0, 1),
            x_axis_label="integration",
            y_axis_label=label,
        )
        style_figure(self.figure)
        self.figure.xaxis.ticker = BasicTicker(min_interval=1)  # there is no integration 0.5
        self.figure.min_border_left = LEFT_BORDER
        self._bars = ColumnDataSource({"x": [], "low": [], "high": []})
        self._points = ColumnDataSource({"x": [], "value": [], "error": []}, name=f"{name} points")
        self._here = ColumnDataSource({"x": [], "value": []})
        self.figure.segment("x", "low", "x", "high", source=self._bars, line_color=DATA_COLOR, line_width=1)
        points = self.figure.scatter("x", "value", source=self._points, size=5, color=DATA_COLOR, line_color=None)
        self.figure.scatter(
            "x", "value", source=self._here, size=13, fill_color=None, line_color=PICK_COLOR, line_width=2
        )
        tips = [("integration", "@x"), ("rate", "@value{0.0000} ± @error{0.0000} DN/s")]
        self.figure.add_tools(HoverTool(renderers=[points], tooltips=tips, visible=False))
        if on_pick is not None:
            self.figure.on_event(Tap, self._tapped)

    def show(self, value: np.ndarray, error: np.ndarray) -> None:
        """Draw the values of all integrations."""
        x = np.arange(value.size)
        low, high = value - error, value + error
        bars: dict[str, Any] = {"x": x, "low": low, "high": high}
        self._bars.data = bars if value.size <= _MOST_BARS else {name: [] for name in bars}
        self._points.data = {"x": x, "value": value, "error": error}
        set_range(self.figure.x_range, -0.5, value.size - 0.5)
        finite = np.concatenate([low[np.isfinite(low)], high[np.isfinite(high)]])
        bottom, top = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        margin = 0.08 * ((top - bottom) or 1.0)
        set_range(self.figure.y_range, bottom - margin, top + margin)

    def mark(self, integration: int) -> None:
        """Mark an integration."""
        values = self._points.data["value"]
        self._here.data = {"x": [integration], "value": [values[integration]]} if integration < len(values) else {}

    def _tapped(self, event: Tap) -> None:
        count = len(self._points.data["value"])
        if event.x is not None and count and self._on_pick is not None:
            self._on_pick(int(np.clip(round(event.x), 0, count - 1)))
