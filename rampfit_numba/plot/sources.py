"""What can be drawn, and what it is drawn on."""

from __future__ import annotations

import math
import os
from importlib import import_module
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.api import fit_ramps
from rampfit_numba.exposure import Exposure
from rampfit_numba.files import read_and_fit
from rampfit_numba.io.exposures import check_exposure
from rampfit_numba.io.formats import FORMATS, find_format
from rampfit_numba.io.references import read_reference
from rampfit_numba.messages import how_to_install
from rampfit_numba.result import RampFit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Source = RampFit | Exposure | str | os.PathLike[str]


def matplotlib_module(name: str) -> Any:  # noqa: ANN401  (a module)
    """Return a module of matplotlib.

    Raises
    ------
    ImportError
        matplotlib is not installed; the message names the extra.
    """
    try:
        return import_module(f"matplotlib.{name}")
    except ImportError as error:
        if error.name is None or not error.name.startswith("matplotlib"):
            raise
        raise ImportError(f"pictures need matplotlib, which is not installed: {how_to_install('plot')}") from error


def as_fit(source: Any, readnoise: Any = None, gain: Any = None, **options: Any) -> RampFit:  # noqa: ANN401
    """Return a fit: `source` itself, or that of an exposure or of a file with one.

    Parameters
    ----------
    source : RampFit, Exposure or path-like
    readnoise, gain : path-like, number or array_like, optional
        For what is not fitted yet, as :func:`rampfit_numba.fit_file` takes them.
    **options
        As for :func:`rampfit_numba.fit_ramps`; of a file also those of :func:`rampfit_numba.fit_file` that reading has.

    Raises
    ------
    TypeError
        `source` is something else, or needs a read noise and a gain, or is fitted already and has no use for them.
    RampFileError
        A file cannot be read.
    """
    if isinstance(source, RampFit):
        if readnoise is not None or gain is not None or options:
            raise TypeError("source: expected an exposure or a file beside readnoise, gain and options; got a fit")
        return source
    if not isinstance(source, Exposure | str | os.PathLike):
        raise TypeError(f"source: expected a RampFit, an Exposure or a path; got {type(source).__name__}")
    kind = None if isinstance(source, Exposure) else find_format(Path(source))
    for name, reference in (("readnoise", readnoise), ("gain", gain)):
        if reference is None and not (kind is not None and kind.brings_references):
            if kind is FORMATS[-1] and not isinstance(source, Exposure):
                check_exposure(Path(source))  # what is none needs no reference
            raise TypeError(f"{name}: expected a number, an image or a file, to fit the exposure with; got none")
    if not isinstance(source, Exposure):
        return read_and_fit(source, readnoise, gain, **options).fit
    found = (read_reference(value, source, name).data for name, value in (("readnoise", readnoise), ("gain", gain)))
    return fit_ramps(source, *found, **options)


def check_integration(value: Any, nints: int) -> None:  # noqa: ANN401
    """Refuse what is not the number of an integration, and not None either.

    Raises
    ------
    TypeError, ValueError
        The message says what was expected.
    """
    if value is None:
        return
    if not is_integer(value):
        raise TypeError(f"integration: expected an integer; got {value!r}")
    if not 0 <= value < nints:
        raise ValueError(f"integration: expected a number from 0 to {nints - 1}; got {value}")


def is_integer(value: object) -> bool:
    """Tell whether a value is one integer; a truth value is none."""
    return isinstance(value, Integral) and not isinstance(value, bool | np.bool_)


def is_number(value: object) -> bool:
    """Tell whether a value is one finite number; a truth value is none."""
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_) and math.isfinite(value)


def new_figure(figure: Figure | None, size: tuple[float, float], layout: str = "constrained") -> Figure:
    """Return `figure`, or a new one of this size in inches, laid out by matplotlib, which pyplot knows."""
    if figure is not None:
        if not hasattr(figure, "add_subplot"):
            raise TypeError(f"figure: expected a matplotlib Figure; got {type(figure).__name__}")
        return figure
    made: Figure = matplotlib_module("pyplot").figure(figsize=size, layout=layout)
    return made


def new_ax(ax: Axes | None, size: tuple[float, float] = (6.4, 4.4)) -> Axes:
    """Return `ax`, or that of a new figure of this size in inches, which pyplot knows."""
    if ax is not None:
        if not hasattr(ax, "plot"):
            raise TypeError(f"ax: expected matplotlib Axes; got {type(ax).__name__}")
        return ax
    made: Axes = new_figure(None, size).add_subplot()
    return made


def name_of(fit: RampFit) -> str:
    """Return what the exposure is called: its file, or nothing; as plain text, whatever stands in the header."""
    name = fit.header.filename if fit.header is not None else ""
    return plain(Path(name).name)


def plain(text: str) -> str:
    """Return `text` as matplotlib shows it letter by letter: a dollar sign would begin a formula."""
    return "".join(char if char.isprintable() else "?" for char in text).replace("$", r"\$")
