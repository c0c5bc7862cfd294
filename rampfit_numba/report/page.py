"""From a fit to the HTML of its report."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from rampfit_numba.engine import shared
from rampfit_numba.engine.memory_pool import free_private
from rampfit_numba.messages import how_to_install, printable
from rampfit_numba.report.content import RunFacts, collect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Environment

    from rampfit_numba.report.content import Content
    from rampfit_numba.result import RampFit


class IndexLine(NamedTuple):
    """A file's line in the index of several reports.

    Attributes
    ----------
    name : str
    link : str
        To the report, from the index; empty where it failed.
    summary : list of (str, str)
    error : str
    """

    name: str
    link: str
    summary: list[tuple[str, str]]
    error: str = ""


def check_extra() -> None:
    """Refuse to go on without what a report needs.

    Raises
    ------
    ImportError
        The extra ``report`` is not installed.

    Examples
    --------
    >>> check_extra()
    """
    for name in ("jinja2", "matplotlib"):
        if find_spec(name) is None:
            raise ImportError(f"a report needs {name}, which is not installed: {how_to_install('report')}")


def _environment() -> Environment:
    """Return what makes pages, to which all text is data: no HTML, and nothing that turns its direction, say."""
    from jinja2 import Environment

    return Environment(autoescape=True, finalize=_as_data)


def _as_data(value: object) -> object:
    # What is HTML already says so.
    return printable(value, keep="\n") if isinstance(value, str) and not hasattr(value, "__html__") else value


@cache
def _text(name: str) -> str:
    return (files("rampfit_numba.report") / "static" / name).read_text(encoding="utf-8")


def render_report(fit: RampFit, facts: RunFacts | None = None) -> tuple[str, Content]:
    """Return the report on a fit as one HTML page that needs nothing else, and what it says."""
    check_extra()
    from rampfit_numba.report import figures

    # It would save the next fit little beside the seconds that a report takes, which needs memory of its own.
    free_private()
    shared.pool.free()
    content = collect(fit, facts or RunFacts())
    page = (
        _environment()
        .from_string(_text("report.html"))
        .render(
            style=_text("report.css"),
            content=content,
            rate=figures.rate_picture(fit),
            histograms=figures.histograms(fit),
            flags=figures.flag_picture(fit),
            jumps=figures.jump_pictures(fit, content.jumps),
            ramps={
                title: [(pixel, figures.ramp_picture(fit, pixel)) for pixel in pixels]
                for title, pixels in content.notable.items()
            },
        )
    )
    return page, content


def render_index(lines: Sequence[IndexLine]) -> str:
    """Return a page with a line for each of several reports.

    Parameters
    ----------
    lines : sequence of IndexLine
        One for each report, in the order of the page.

    Returns
    -------
    str
        The page, HTML.

    Examples
    --------
    >>> "<html" in render_index([])
    True
    """
    check_extra()
    names = list(dict.fromkeys(name for line in lines for name, _ in line.summary))
    page: str = (
        _environment()
        .from_string(_text("index.html"))
        .render(style=_text("report.css"), lines=[(line, dict(line.summary)) for line in lines], names=names)
    )
    return page
