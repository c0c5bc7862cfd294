"""Pictures into files: whole, or absent."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from rampfit_numba.messages import RampFileError, remedy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def picture_path(output: Path | None, source: Path, kind: str, *, interactive: bool) -> Path | None:
    """Return where a picture goes; None: to a window."""
    if output is not None:
        return output
    return None if interactive else Path(f"{source.name.split('.')[0]}_{kind}.png")


def write_figure(figure: Figure, path: Path, *, dpi: float = 150) -> None:
    """Write a figure as PNG, PDF or SVG, as the ending of `path` says.

    Raises
    ------
    RampFileError
        The file cannot be written.
    """
    part = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        figure.savefig(part, dpi=dpi)
        part.replace(path)
    except OSError as error:
        raise RampFileError(f"{path}: cannot be written ({error.strerror or error}){remedy(error)}") from error
    finally:
        if part.exists():
            os.unlink(part)  # noqa: PTH108  (of what may be gone)
