"""What the products say of their making."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rampfit_numba.io import hdus

if TYPE_CHECKING:
    from pathlib import Path


def read_history(path: Path) -> list[str]:
    """Return the lines of HISTORY in the primary header of a FITS file that is whole.

    Raises
    ------
    RampFileError
        The file cannot be read, or is shorter than its headers say.
    """
    primary = hdus.scan(path, ())[0].header
    return [str(line) for line in primary["HISTORY"]] if "HISTORY" in primary else []
