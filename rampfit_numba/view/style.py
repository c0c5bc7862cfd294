"""How figures and widgets look, in light and in dark: the colours are those of style.css, by their names."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from bokeh.models import InlineStyleSheet

if TYPE_CHECKING:
    from collections.abc import Callable

#: Of pixels without a value, of the pixel that is chosen, and of data: seen on light and on dark ground.
NO_VALUE_COLOR, PICK_COLOR, DATA_COLOR = "#b0457f", "#ff5a36", "#3f8fd0"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


@cache
def static_text(name: str) -> str:
    """Return the text of a file of the page."""
    return (files("rampfit_numba.view") / "static" / name).read_text(encoding="utf-8")


def widget(kind: type, **properties: Any) -> Any:  # noqa: ANN401  (the models of Bokeh)
    """Return a widget that looks like the page it stands in."""
    sheet = InlineStyleSheet(css=static_text("widgets.css"))
    return kind(sizing_mode="stretch_width", stylesheets=[sheet], **properties)


def style_figure(plot: Any) -> None:  # noqa: ANN401
    """Let a figure look like the page it stands in; style.css has the colours."""
    plot.min_border = 4
    plot.background_fill_color = plot.border_fill_color = None
    plot.outline_line_width = 1
    plot.toolbar.logo = None
    plot.toolbar.autohide = False
    # Room for all tools: where a figure changes its size, Bokeh moves the last ones into a menu, however wide it is.
    plot.toolbar.stylesheets = [InlineStyleSheet(css=":host { min-width: 180px; }")]
    for axis in plot.axis:
        axis.axis_label_text_font = axis.major_label_text_font = _FONT
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = "13px"
        axis.major_label_text_font_size = "12px"
        axis.axis_line_color = None
        axis.minor_tick_line_color = None


def when_changed(model: Any, name: str, action: Callable[[], None]) -> None:  # noqa: ANN401
    """Call `action` when a property of a model has changed."""
    model.on_change(name, lambda attr, old, new: action())  # noqa: ARG005  (Bokeh asks for these names)
