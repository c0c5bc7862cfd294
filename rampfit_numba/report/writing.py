"""Reports into files: whole, or absent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rampfit_numba.checks import check_path
from rampfit_numba.io.outputs import check_outputs
from rampfit_numba.io.whole_files import write_all
from rampfit_numba.report.page import render_report

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from rampfit_numba.report.content import Content, RunFacts
    from rampfit_numba.result import RampFit

_ENDING = re.compile(r"(\.(fits?|asdf|gz|npy|npz|zarr))+$", re.IGNORECASE)


def report_path(source: str | os.PathLike[str], folder: str | os.PathLike[str] = "") -> Path:
    """Return the path of the report on a file: its name with ``_report.html`` in place of the ending.

    Parameters
    ----------
    source : path-like
        The exposure's file.
    folder : path-like
        Folder of the report.

    Returns
    -------
    Path
        The report's file.

    Examples
    --------
    >>> report_path("data/jw01_nrca1_jump.fits", "out").as_posix()
    'out/jw01_nrca1_jump_report.html'
    """
    name = _ENDING.sub("", check_path("source", source).name)
    return check_path("folder", folder) / f"{name}_report.html"


def write_report(
    fit: RampFit, path: str | os.PathLike[str], *, facts: RunFacts | None = None, overwrite: bool = False
) -> Content:
    """Write the report on a fit: one HTML file that needs no other and no network.

    Needs the extra ``report``.

    Parameters
    ----------
    fit : RampFit
        With its `inputs`.
    path : path-like
        The file.
    facts : RunFacts, optional
        What the fit itself does not know: its file, references, time, warnings.
    overwrite : bool
        Whether an existing file is replaced.

    Returns
    -------
    Content
        What the report says.

    Raises
    ------
    ImportError
        The extra ``report`` is not installed.
    RampFileError
        The file exists (without `overwrite`) or cannot be written; the exposure's file cannot be read any more.
    ValueError
        The fit does not know what was fitted.

    Examples
    --------
    >>> from rampfit_numba import fit_ramps, simulate_exposure
    >>> simulation = simulate_exposure(1, 6, 16, 16)
    >>> fit = fit_ramps(simulation.exposure, simulation.readnoise, simulation.gain)
    >>> content = write_report(fit, "demo_report.html")
    """
    path = check_path("path", path)
    check_outputs([path], overwrite=overwrite)
    page, content = render_report(fit, facts)
    write_all([(path, page.encode("utf-8", "replace"))], overwrite=overwrite)
    return content
