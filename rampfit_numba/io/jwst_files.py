"""JWST's jump-step files as a kind of exposure files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rampfit_numba.io.exposures import read_exposure
from rampfit_numba.io.outputs import product_paths, write_products
from rampfit_numba.registry import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rampfit_numba.exposure import Exposure
    from rampfit_numba.io.formats import Destination
    from rampfit_numba.io.references import ReferenceImage
    from rampfit_numba.options import FitOptions
    from rampfit_numba.result import RampFit


def is_kind(_: bytes) -> bool:
    """Take every file: reading it says what it lacks."""
    return True


def read(path: Path) -> Exposure:
    """Return the exposure in a file."""
    return read_exposure(path)


def paths(path: Path, destination: Destination, options: FitOptions) -> dict[str, Path]:
    """Return where rate, rateints and the optional product go."""
    return product_paths(
        path,
        destination.folder,
        save_opt=options.save_opt,
        save_jumps=destination.save_jumps,
        optional=ALGORITHMS[options.algorithm].optional_product,
        int_name=destination.int_name,
        opt_name=destination.opt_name,
    )


def write(fit: RampFit, path: Path, destination: Destination, references: dict[str, ReferenceImage]) -> Sequence[Path]:
    """Write rate, rateints and the optional product."""
    noise, gain = references["readnoise"], references["gain"]
    return write_products(
        fit,
        destination.folder,
        path,
        readnoise_name=noise.source,
        gain_name=gain.source,
        gain_factor=gain.gain_factor,
        overwrite=destination.overwrite,
        save_jumps=destination.save_jumps,
        int_name=destination.int_name,
        opt_name=destination.opt_name,
        inputs=destination.inputs,
    )
