"""From matplotlib's figures to pieces of a page: SVG whose ink is the page's, in light and in dark."""

from __future__ import annotations

import io
import re
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

#: Stands for the page's ink and ground in a drawing, until it becomes part of the page.
_INK, _GROUND = "#010203", "#fdfcfe"
#: Colours of pictures that the page has its own for: ink, ground, and the band behind residuals.
_COLORS = {_INK: "--ink", "#000000": "--ink", _GROUND: "--card", "#ffffff": "--card", "#e6e6e6": "--edge"}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, found, and copied
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.titlecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.facecolor": _GROUND,
    "legend.edgecolor": _GROUND,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "figure.dpi": 100,
}
_SIZE = re.compile(r'<svg [^>]*?width="([\d.]+)pt" height="([\d.]+)pt"[^>]*>')


@contextmanager
def page_style() -> Iterator[None]:
    """Let what is drawn in the block look like the page."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        yield


def new_figure(width: float, height: float, layout: Literal["constrained", "compressed"] = "constrained") -> Figure:
    """Return a figure of so many inches that no window knows."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout=layout)


def as_svg(figure: Figure, alternative: str, name: str) -> str:
    """Return a figure as SVG for a page: its text says `alternative`; `name` tells its parts from other figures'."""
    import matplotlib as mpl

    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Names of parts must be the figure's own: all figures stand in one page.
    text = re.sub(r'(id="|url\(#|xlink:href="#|href="#)', rf"\g<1>{name}-", text)
    text = _numbered(text)
    text = _SIZE.sub(
        lambda size: (
            f'<svg viewBox="0 0 {size[1]} {size[2]}" role="img" aria-label="{escape(alternative)}" '
            'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        ),
        text,
        count=1,
    )
    for color, variable in _COLORS.items():
        text = text.replace(color, f"var({variable})")
    return text


def _numbered(text: str) -> str:
    """Give a number to each name that several parts of a figure have: in a page each stands for one part."""
    seen: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        count = seen[found[1]] = seen.get(found[1], 0) + 1
        return found[0] if count == 1 else f'id="{found[1]}-{count}"'

    return re.sub(r'\bid="([^"]+)"', number, text)
