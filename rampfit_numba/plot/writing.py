"""Pictures into files: whole, or absent."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from rampfit_numba.io.outputs import check_outputs
from rampfit_numba.io.whole_files import write_all
from rampfit_numba.messages import RampFileError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure


def picture_path(output: Path | None, source: Path, kind: str, *, interactive: bool) -> Path | None:
    """Return where a picture goes; None: to a window."""
    if output is not None:
        return output
    return None if interactive else Path(f"{source.name.split('.')[0]}_{kind}.png")


def check_picture(path: Path, *, inputs: Sequence[Path] = ()) -> None:
    """Refuse a picture that could not be written, or would take the place of one of the `inputs`.

    Raises
    ------
    RampFileError
        The message says why.
    """
    if not path.parent.is_dir():
        raise RampFileError(f"{path}: the folder {path.parent} does not exist; make it first")
    check_outputs([path], overwrite=True, inputs=inputs)


def write_figure(figure: Figure, path: Path, *, dpi: float = 150, overwrite: bool = False) -> None:
    """Write a figure as PNG, PDF or SVG, as the ending of `path` says.

    Raises
    ------
    RampFileError
        The file cannot be written, or exists (without `overwrite`).
    """
    picture = BytesIO()
    figure.savefig(picture, format=path.suffix.removeprefix(".").lower(), dpi=dpi)
    write_all([(path, picture.getvalue())], overwrite=overwrite)
