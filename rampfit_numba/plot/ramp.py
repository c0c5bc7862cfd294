"""A pixel's ramps with the lines fitted to them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba import dq
from rampfit_numba.pixel_ramps import inputs_of, pixel_positions
from rampfit_numba.plot.ramp_panel import Panel, draw_ramp, draw_residuals, with_error, write_beside
from rampfit_numba.plot.sources import as_fit, is_integer, name_of, new_figure
from rampfit_numba.plot.style import FONT, SAMPLES
from rampfit_numba.segments import find_samples, find_segments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from rampfit_numba.plot.ramp_panel import Columns
    from rampfit_numba.plot.sources import Source
    from rampfit_numba.result import RampFit

#: Integrations that are drawn if nothing is said.
_MOST_PANELS = 6


def plot_ramp(
    source: Source,
    x: int,
    y: int,
    *,
    readnoise: Any = None,  # noqa: ANN401  (path, number or array)
    gain: Any = None,  # noqa: ANN401
    integrations: int | Sequence[int] | None = None,
    figure: Figure | None = None,
    **options: Any,  # noqa: ANN401
) -> Figure:
    """Draw the ramps of a pixel, a panel an integration, with the line of each segment and the residuals.

    Parameters
    ----------
    source : RampFit, Exposure or path-like
        A fit that still has its `inputs`, or what is fitted at once.
    x, y : int
        Column and row of the pixel, from 0.
    readnoise, gain : path-like, number or array_like, optional
        For an exposure or a file, as :func:`rampfit_numba.fit_file` takes them.
    integrations : int or sequence of int, optional
        Which to draw, from 0. None: all, of more than six those with most segments and a few between them.
    figure : matplotlib.figure.Figure, optional
        Where to draw; None: a new one.
    **options
        For an exposure or a file, as for :func:`rampfit_numba.fit_ramps`.

    Returns
    -------
    matplotlib.figure.Figure
        Samples against the time since the reset, those that are flagged marked; each segment's line over its own
        groups; dashed lines with the rate of the exposure; beside them slope, error and share in the rate of each
        segment, whose number stands above it; below the residuals in units of their noise. What lies far from the
        fitted samples is drawn at the edge, as an arrow.

    Raises
    ------
    TypeError, ValueError
        An argument is unusable.
    ImportError
        matplotlib is not installed.
    RampFileError
        A file cannot be read.

    Examples
    --------
    >>> figure = plot_ramp("demo_jump.fits", 10, 12, readnoise=14.0, gain=1.8)
    >>> figure.savefig("ramp.pdf")
    """
    fit = as_fit(source, readnoise, gain, **options)
    x, y = _pixel(fit, x, y)
    segments, samples = (_columns(find(fit, x, y)) for find in (find_segments, find_samples))
    nints = fit.rateints.data.shape[0]
    chosen = _choose(integrations, nints, segments)
    ncols = min(len(chosen), 2)
    nrows = math.ceil(len(chosen) / ncols)
    figure = new_figure(figure, (7.2 * ncols, (5.0 if nrows == 1 else 4.2) * nrows + 0.6))
    grid = figure.add_gridspec(nrows, ncols)
    kinds: dict[str, Any] = {}
    for number, i in enumerate(chosen):
        panel = Panel(fit, x, y, i, _of(samples, i), _of(segments, i), is_lowest=number >= len(chosen) - ncols)
        cell = grid[number // ncols, number % ncols].subgridspec(2, 2, height_ratios=(3, 1.1), width_ratios=(2.5, 1))
        above = figure.add_subplot(cell[0, 0])
        below = figure.add_subplot(cell[1, 0], sharex=above)
        beside = figure.add_subplot(cell[:, 1])
        kinds |= draw_ramp(above, panel)
        draw_residuals(below, panel)
        write_beside(beside, panel)
    order = [*(label for label, _ in SAMPLES.values()), "line of a segment", "rate of the exposure", "beyond the axis"]
    found = sorted(kinds.items(), key=lambda item: order.index(item[0]))
    figure.legend(
        [handle for _, handle in found],
        [label for label, _ in found],
        loc="outside lower center",
        ncols=min(len(found), 4 * ncols),
        fontsize=FONT + 0.5,
        frameon=False,
    )
    figure.suptitle(_title(fit, x, y, len(chosen), nints), fontsize=10)
    return figure


def _pixel(fit: RampFit, x: int, y: int) -> tuple[int, int]:
    """Return column and row of a pixel, which is one that there is."""
    rows, columns = pixel_positions(inputs_of(fit).exposure, x, y)
    if rows.size != 1:
        raise ValueError(f"x, y: expected one pixel; got {rows.size}")
    return int(columns[0]), int(rows[0])


def _columns(table: Any) -> Columns:  # noqa: ANN401  (a QTable)
    return {name: np.asarray(getattr(table[name], "value", table[name])) for name in table.colnames}


def _of(columns: Columns, integration: int) -> Columns:
    here = columns["integration"] == integration
    return {name: values[here] for name, values in columns.items()}


def _choose(integrations: int | Sequence[int] | None, nints: int, segments: Columns) -> list[int]:
    """Return the integrations to draw."""
    if integrations is None:
        if nints <= _MOST_PANELS:
            return list(range(nints))
        counts = np.bincount(segments["integration"], minlength=nints)
        eventful = [int(i) for i in np.argsort(-counts, kind="stable") if counts[i] > 1][: _MOST_PANELS - 2]
        between = [round(i) for i in np.linspace(0, nints - 1, nints)]
        spread = sorted(set(between) - set(eventful))
        places = np.linspace(0, len(spread) - 1, _MOST_PANELS - len(eventful))
        return sorted({*eventful, *(spread[round(place)] for place in places)})
    given = [integrations] if isinstance(integrations, str) or not np.iterable(integrations) else list(integrations)
    if not given:
        raise ValueError("integrations: expected at least one; got none")
    if not all(map(is_integer, given)):
        raise TypeError(f"integrations: expected an integer, or several; got {integrations!r}")
    chosen = [int(i) for i in given]
    for i in chosen:
        if not 0 <= i < nints:
            raise ValueError(f"integrations: expected numbers from 0 to {nints - 1}; got {i}")
    return chosen


def _title(fit: RampFit, x: int, y: int, shown: int, nints: int) -> str:
    name = name_of(fit)
    rate, err = fit.rate.data[y, x], fit.rate.err[y, x]
    parts = [
        *([name] if name else []),
        f"column {x}, row {y}",
        fit.options.algorithm,
        f"rate {with_error(rate, err)} DN/s" if np.isfinite(rate) else "no rate",
    ]
    flags = dq.names_of(int(fit.rate.dq[y, x]))
    if flags:
        parts.append(" | ".join(flags))
    if shown < nints:
        parts.append(f"{shown} of {nints} integrations")
    return _wrapped(parts)


def _wrapped(parts: list[str]) -> str:
    half = math.ceil(len(parts) / 2) if sum(map(len, parts)) > 70 else len(parts)  # noqa: PLR2004
    return "\n".join(" · ".join(line) for line in (parts[:half], parts[half:]) if line)
