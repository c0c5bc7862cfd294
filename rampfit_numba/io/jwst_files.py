"""JWST's jump-step files as a kind of exposure files."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rampfit_numba.io.exposures import exposure_in
from rampfit_numba.io.histories import read_history
from rampfit_numba.io.outputs import product_paths, write_products
from rampfit_numba.io.product_headers import Provenance
from rampfit_numba.registry import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rampfit_numba.exposure import Exposure
    from rampfit_numba.io.formats import Destination
    from rampfit_numba.io.references import ReferenceImage
    from rampfit_numba.io.scratch import Scratch
    from rampfit_numba.options import FitOptions
    from rampfit_numba.result import RampFit

log = logging.getLogger(__name__)


def is_kind(_: bytes) -> bool:
    """Take every file: reading it says what it lacks."""
    return True


def read(path: Path, dark_current_unit: str | None = None, scratch: Scratch | None = None) -> Exposure:
    """Return the exposure in a file; say what of it goes no further."""
    exposure = exposure_in(path, dark_current_unit, scratch)
    if exposure.header is not None and exposure.header.left_out:
        log.info("%s: not carried over to the products: %s", path, ", ".join(exposure.header.left_out))
    return exposure


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


def provenance(destination: Destination, references: dict[str, ReferenceImage]) -> Provenance:
    """Return what the products' headers say about the references."""
    noise, gain = references["readnoise"], references["gain"]
    return Provenance(noise.source, gain.source, gain.gain_factor, destination.history)


def write(
    fit: RampFit,
    path: Path,
    destination: Destination,
    references: dict[str, ReferenceImage],
    dark_current_unit: str | None = None,  # noqa: ARG001  (an option of reading)
) -> Sequence[Path]:
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
        history=destination.history,
        inputs=destination.inputs,
    )


def history(product: Path) -> list[str]:
    """Return the lines of the history of a product, which must be whole."""
    return read_history(product)
