"""Roman's ramps as a kind of exposure files."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rampfit_numba.io.roman import MAGIC, read_history, read_roman
from rampfit_numba.io.roman_images import image_path, write_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rampfit_numba.exposure import Exposure
    from rampfit_numba.io.formats import Destination
    from rampfit_numba.io.references import ReferenceImage
    from rampfit_numba.options import FitOptions
    from rampfit_numba.result import RampFit

log = logging.getLogger(__name__)


def is_kind(start: bytes) -> bool:
    """Tell whether a file that begins so is one of ASDF: no other kind has such files."""
    return start.startswith(MAGIC)


def read(path: Path) -> Exposure:
    """Return the exposure in a file."""
    return read_roman(path)


def paths(path: Path, destination: Destination, _: FitOptions) -> dict[str, Path]:
    """Return where the image goes."""
    return {"rampfit": image_path(path, destination.folder)}


def write(fit: RampFit, path: Path, destination: Destination, references: dict[str, ReferenceImage]) -> Sequence[Path]:
    """Write the image."""
    if fit.options.save_opt or destination.int_name or destination.opt_name:
        log.warning("%s: save_opt, int_name and opt_name have no effect, Roman has one product", path)
    names = {name: reference.source for name, reference in references.items()}
    target = image_path(path, destination.folder)
    image = write_image(
        fit,
        target,
        path,
        overwrite=destination.overwrite,
        inputs=destination.inputs,
        references=names,
        history=destination.history,
    )
    return [image]


def history(product: Path) -> list[str]:
    """Return the lines of the history of an image, which must be whole."""
    return read_history(product)
