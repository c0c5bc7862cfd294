"""The image of a page: which one, how it is scaled, what part of it is in sight, which pixel is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.events import DoubleTap, RangesUpdate, Reset, SelectionGeometry, Tap
from bokeh.models import (
    BoxSelectTool,
    ColorBar,
    ColumnDataSource,
    CustomJS,
    Div,
    FixedTicker,
    LinearColorMapper,
    NumericInput,
    PanTool,
    Range1d,
    ResetTool,
    Select,
    Spinner,
    WheelZoomTool,
)
from bokeh.palettes import Greys256, Inferno256, Viridis256
from bokeh.plotting import figure

from rampfit_numba import dq
from rampfit_numba.view.planes import list_planes
from rampfit_numba.view.scaling import (
    LIMITS,
    SHADES,
    STRETCHES,
    Part,
    find_limits,
    scale_marks,
    shades,
    shrink,
    visible_part,
)
from rampfit_numba.view.style import NO_VALUE_COLOR, PICK_COLOR, style_figure, when_changed, widget

if TYPE_CHECKING:
    from collections.abc import Callable

    from rampfit_numba.exposure import Exposure
    from rampfit_numba.result import RampFit
    from rampfit_numba.view.planes import Plane

_PALETTES = {"viridis": Viridis256, "grey": Greys256[::-1], "grey, inverted": Greys256, "inferno": Inferno256}
#: Colours of flags, the most serious first: the first that applies is shown.
_FLAG_COLORS = (
    (dq.DO_NOT_USE, "DO_NOT_USE", "#6b7280"),
    (dq.SATURATED, "SATURATED", "#e0703a"),
    (dq.JUMP_DET, "JUMP_DET", "#3f8fd0"),
    (~0, "another", "#3aa17e"),
)
#: The size of the picture, in pixels of the screen, as long as the page has not told it.
_SCREEN = 700
#: Wider and higher pictures of oblong detectors would leave no room for anything else.
_LEAST_ASPECT, _MOST_ASPECT = 0.8, 2.2


class ImagePanel:
    """The image and what belongs to it.

    Parameters
    ----------
    exposure : Exposure
    fit : RampFit
    on_pick : callable
        ``on_pick(x, y)`` is called when a pixel was clicked.
    on_box : callable
        ``on_box(left, right, bottom, top)`` (pixels, inclusive) when a box was drawn.
    on_error : callable
        ``on_error(exception)`` when an image cannot be read.
    """

    def __init__(
        self,
        exposure: Exposure,
        fit: RampFit,
        *,
        on_pick: Callable[[int, int], None],
        on_box: Callable[[int, int, int, int], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._shape = exposure.nrows, exposure.ncols
        self._planes = list_planes(exposure, fit)
        self._on_pick, self._on_box, self._on_error = on_pick, on_box, on_error
        self._shown: tuple[Any, ...] = ()
        self._whole = np.zeros((1, 1), np.float32)
        self._make_controls(exposure)
        self._make_figure()
        self.show()

    # ------------------------------------------------------------------------------------------------------- controls
    def _make_controls(self, exposure: Exposure) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for plane in self._planes.values():
            groups.setdefault(plane.group, []).append((plane.name, plane.title))
        self.choice = widget(Select, title="Image", name="plane", options=groups, value="rate")
        self.integration = widget(
            Spinner, title="Integration", name="image_integration", low=0, high=exposure.nints - 1, value=0, step=1
        )
        self.group = widget(
            Spinner, title="Group", name="image_group", low=0, high=exposure.ngroups - 1, value=0, step=1
        )
        self.stretch = widget(Select, title="Stretch", name="stretch", options=list(STRETCHES), value="linear")
        self.limits = widget(Select, title="Limits", name="limits", options=[*LIMITS, "as typed"], value=LIMITS[0])
        self.low = widget(NumericInput, title="From", name="low", value=0.0, mode="float")
        self.high = widget(NumericInput, title="To", name="high", value=1.0, mode="float")
        self.palette = widget(Select, title="Colours", name="palette", options=list(_PALETTES), value="viridis")
        for control in (self.choice, self.integration, self.group, self.stretch, self.limits, self.palette):
            when_changed(control, "value", self.show)
        for control in (self.low, self.high):
            when_changed(control, "value", self._limits_typed)

    @property
    def controls(self) -> dict[str, Any]:
        """The widgets, by name."""
        found = (
            self.choice,
            self.integration,
            self.group,
            self.stretch,
            self.limits,
            self.low,
            self.high,
            self.palette,
        )
        return {control.name: control for control in found}

    def step(self, control: str, by: int) -> None:
        """Move a choice or a number by a step."""
        model = self.controls[control]
        if isinstance(model, Spinner):
            model.value = int(np.clip(model.value + by, model.low, model.high))
        else:
            options = list(model.options)
            model.value = options[(options.index(model.value) + by) % len(options)]

    @property
    def plane(self) -> Plane:
        """The image that is chosen."""
        return self._planes[self.choice.value]

    # --------------------------------------------------------------------------------------------------------- figure
    def _make_figure(self) -> None:
        nrows, ncols = self._shape
        aspect = float(np.clip(ncols / nrows, _LEAST_ASPECT, _MOST_ASPECT))
        ranges = {"x_range": Range1d(-0.5, ncols - 0.5), "y_range": Range1d(-0.5, nrows - 0.5)}
        for axis in ranges.values():
            axis.min_interval = 4
        self.figure = figure(
            **ranges,
            name="image",
            sizing_mode="scale_width",
            aspect_ratio=aspect,
            match_aspect=True,
            toolbar_location="above",
            tools=[],
            x_axis_label="x (column)",
            y_axis_label="y (row)",
        )
        wheel, box = WheelZoomTool(), BoxSelectTool(persistent=True)
        self.figure.add_tools(PanTool(), wheel, box, ResetTool())
        self.figure.toolbar.active_scroll = wheel
        style_figure(self.figure)
        self.figure.grid.visible = False
        self._mapper = LinearColorMapper(palette=list(Viridis256), low=-0.5, high=SHADES + 0.5)
        self._source = ColumnDataSource(
            name="image_source", data={name: [] for name in ("image", "value", "x", "y", "dw", "dh")}
        )
        self.figure.image(
            "image", x="x", y="y", dw="dw", dh="dh", source=self._source, color_mapper=self._mapper, level="image"
        )
        self._bar = ColorBar(
            name="color_bar",
            color_mapper=LinearColorMapper(palette=list(Viridis256), low=0, high=SHADES - 1),
            ticker=FixedTicker(ticks=[]),
            width=12,
            padding=4,
            background_fill_color=None,
            bar_line_color=None,
            major_label_text_font_size="12px",
            title_text_font_size="12px",
            title_text_font_style="normal",
        )
        self.figure.add_layout(self._bar, "right")
        self._pick = ColumnDataSource({"x": [], "y": []})
        for width, color in ((4, "#000000"), (2, PICK_COLOR)):
            self.figure.rect("x", "y", 1, 1, source=self._pick, fill_alpha=0, line_color=color, line_width=width)
        # One pixel of a large detector is too small to be found again: a cross-hair with a gap around it.
        self.figure.scatter(
            "x", "y", source=self._pick, marker="circle", size=22, fill_alpha=0, line_color="#000000", line_width=3
        )
        self.figure.scatter(
            "x", "y", source=self._pick, marker="circle", size=22, fill_alpha=0, line_color=PICK_COLOR, line_width=1.5
        )
        for event in (Tap, DoubleTap):  # two pixels clicked one after the other are a double tap to Bokeh
            self.figure.on_event(event, self._tapped)
        self.figure.on_event(RangesUpdate, lambda _: self._draw())
        self.figure.on_event(Reset, lambda _: self._draw())
        self.figure.on_event(SelectionGeometry, self._boxed)
        when_changed(self.figure, "inner_width", self._draw)
        self.legend = widget(Div, name="image_legend", disable_math=True)
        self._readout()

    def _readout(self) -> None:
        """Show the value under the pointer: nothing is asked of the server for that."""
        code = """
            const target = document.getElementById('readout');
            if (target === null) return;
            const d = source.data;
            if (d.image.length === 0) return;
            const x = Math.round(cb_obj.x), y = Math.round(cb_obj.y);
            if (cb_obj.x < -0.5 || cb_obj.y < -0.5 || x >= ncols || y >= nrows) { target.textContent = ''; return; }
            const values = d.value[0], step = d.step[0];
            const [rows, columns] = values.shape ?? [values.length, values[0].length];
            const row = Math.floor((y - d.bottom[0]) / step), column = Math.floor((x - d.left[0]) / step);
            if (row < 0 || column < 0 || row >= rows || column >= columns) { target.textContent = ''; return; }
            const value = values.shape ? values[row * columns + column] : values[row][column];
            let text = Number.isNaN(value) ? 'no value' : Number(value.toPrecision(6)) + ' ' + d.unit[0];
            if (d.flags[0]) {
                const set = names.filter((_, bit) => Math.floor(value / 2 ** bit) % 2 === 1);
                text = set.length ? set.join(', ') : 'no flag';
            }
            target.textContent = `x ${x}, y ${y}: ${text}` + (step > 1 ? ` (mean of ${step} by ${step} pixels)` : '');
        """
        nrows, ncols = self._shape
        arguments = {"source": self._source, "nrows": nrows, "ncols": ncols, "names": list(dq.NAMES)}
        self.figure.js_on_event("mousemove", CustomJS(args=arguments, code=code))

    def _tapped(self, event: Tap) -> None:
        if event.x is None or event.y is None:
            return
        x, y = round(event.x), round(event.y)
        nrows, ncols = self._shape
        if 0 <= x < ncols and 0 <= y < nrows:
            self._on_pick(x, y)

    def _boxed(self, event: SelectionGeometry) -> None:
        box = event.geometry
        if not event.final or box.get("type") != "rect":
            return
        part = visible_part(self._shape, (box["x0"], box["x1"]), (box["y0"], box["y1"]), max(self._shape))
        self._on_box(part.left, part.right - 1, part.bottom, part.top - 1)

    def mark(self, x: int, y: int) -> None:
        """Mark a pixel, and move the image where it is out of sight."""
        self._pick.data = {"x": [x], "y": [y]}
        moved = False
        for axis, place in ((self.figure.x_range, x), (self.figure.y_range, y)):
            low, high = sorted((axis.start, axis.end))
            if not low <= place <= high:
                half = (high - low) / 2
                axis.start, axis.end = place - half, place + half
                moved = True
        if moved:
            self._draw()

    # -------------------------------------------------------------------------------------------------------- drawing
    def show(self) -> None:
        """Show what is chosen."""
        plane = self.plane
        self.integration.visible = "integration" in plane.needs and self.integration.high > 0
        self.group.visible = "group" in plane.needs
        key = (plane.name, *(getattr(self, need).value or 0 for need in plane.needs))
        try:
            if key != self._shown:
                self._whole = np.asarray(plane.read(self.integration.value or 0, self.group.value or 0))
                self._shown = key
        except Exception as error:  # noqa: BLE001  (whatever it is, the page must stay)
            self._on_error(error)
            return
        flags = self._is_flags
        for control in (self.stretch, self.limits, self.low, self.high, self.palette):
            control.visible = not flags
        self._bar.visible = not flags
        if not flags and self.limits.value != "as typed":
            low, high = find_limits(self._whole, self.limits.value)
            self._set_limits(low, high)
        self._draw()

    @property
    def _is_flags(self) -> bool:
        return self._whole.dtype.kind in "iu" and self.plane.unit == ""

    def _set_limits(self, low: float, high: float) -> None:
        self._setting_limits = True
        self.low.value, self.high.value = (float(f"{limit:.5g}") for limit in (low, high))
        self._setting_limits = False

    _setting_limits = False

    def _limits_typed(self) -> None:
        if self._setting_limits:
            return
        if self.limits.value == "as typed":
            self._draw()
        else:
            self.limits.value = "as typed"

    def _part(self) -> Part:
        x, y = self.figure.x_range, self.figure.y_range
        try:
            screen = max(self.figure.inner_width, self.figure.inner_height)
        except ValueError:  # the page has not told yet
            screen = _SCREEN
        return visible_part(self._shape, (x.start, x.end), (y.start, y.end), screen)

    def _draw(self) -> None:
        """Send the part in sight to the page."""
        part = self._part()
        cut = self._whole[part.bottom : part.top, part.left : part.right]
        values = shrink(cut if self._is_flags else cut.astype(np.float32), part.step)
        if self._is_flags:
            colors = [color for _, _, color in _FLAG_COLORS]
            picture = np.full(values.shape, SHADES, np.uint8)
            for number, (bits, _, _) in reversed(list(enumerate(_FLAG_COLORS))):
                picture[(values.astype(np.int64) & bits) != 0] = number
            palette = [*colors, *["#000000"] * (SHADES - len(colors)), "rgba(128, 128, 128, 0.08)"]
        else:
            limits = self.low.value or 0.0, self.high.value or 0.0
            if not limits[0] < limits[1]:
                limits = limits[0], limits[0] + 1.0
            picture = shades(values, limits, self.stretch.value)
            palette = [*_PALETTES[self.palette.value][:SHADES], NO_VALUE_COLOR]
            marks = scale_marks(limits, self.stretch.value)
            self._bar.update(
                ticker=FixedTicker(ticks=list(marks)), major_label_overrides=marks, title=self.plane.unit or None
            )
            self._bar.color_mapper.palette = palette[:SHADES]
        self.legend.text = _legend(values, flags=self._is_flags)
        if list(self._mapper.palette) != palette:
            self._mapper.palette = palette
        rows, columns = values.shape
        self._source.data = {
            "image": [picture],
            "value": [np.ascontiguousarray(values, np.float64 if self._is_flags else np.float32)],
            "x": [part.left - 0.5],
            "y": [part.bottom - 0.5],
            "dw": [columns * part.step],
            "dh": [rows * part.step],
            "left": [part.left],
            "bottom": [part.bottom],
            "step": [part.step],
            "plane": [self.plane.name],
            "unit": [self.plane.unit],
            "flags": [self._is_flags],
        }


def _legend(values: np.ndarray, *, flags: bool) -> str:
    """Return what the colours mean that the colour bar does not have, in HTML."""
    if flags:
        there = [(name, color) for bits, name, color in _FLAG_COLORS if (values.astype(np.int64) & bits).any()]
    else:
        there = [("no value", NO_VALUE_COLOR)] if np.isnan(values).any() else []
    return "".join(f"<span class='sign'><i style='background:{color}'></i> {name}</span>" for name, color in there)
