"""Products of plain reads: those of any fit, and how many reads were used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rampfit_numba.io.product_parts import Image, Product
from rampfit_numba.io.products import build_products
from rampfit_numba.io.whole_files import write_all

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rampfit_numba.io.product_headers import Provenance
    from rampfit_numba.result import RampFit
    from rampfit_numba.used_reads import NumberOfReads


def write_read_products(
    fit: RampFit, nreads: NumberOfReads, paths: Mapping[str, Path], provenance: Provenance, *, overwrite: bool = False
) -> None:
    """Write rate and, where there is a path for it, rateints, with an extension NREADS: all of them, whole, or none.

    Parameters
    ----------
    fit : RampFit
    nreads : NumberOfReads
        How many reads were used.
    paths : mapping
        By kind, "rate" and "rateints".
    provenance : Provenance
        What the headers say about the references.
    overwrite : bool
        Whether existing files are replaced.

    Raises
    ------
    RampFileError
        A file exists (without `overwrite`), or cannot be written.
    """
    files: list[tuple[Path, Product]] = []
    for kind, product in build_products(fit, paths, provenance).items():
        *parts, asdf = product.parts
        parts.append(Image("NREADS", getattr(nreads, kind)))
        files.append((paths[kind], Product(product.primary, [*parts, asdf])))
    write_all(files, overwrite=overwrite)
