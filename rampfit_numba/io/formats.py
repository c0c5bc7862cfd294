"""Kinds of exposure files, told by their content: how each is read, what it brings, what its products are.

A new kind is a module of its own and a line in `FORMATS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from rampfit_numba.exposure import Exposure
    from rampfit_numba.io.product_headers import Provenance
    from rampfit_numba.io.references import ReferenceImage
    from rampfit_numba.io.scratch import Scratch
    from rampfit_numba.options import FitOptions
    from rampfit_numba.result import RampFit


@dataclass(frozen=True)
class Destination:
    """Where products go, and what of the names is prescribed.

    Attributes
    ----------
    folder : Path
    overwrite : bool
    int_name, opt_name : str
        Names in place of the exposure's for rateints and the optional product, or empty.
    inputs : iterable of Path
        Files that must not be overwritten in any case.
    save_jumps : bool
        The table of the jumps is a product too.
    record : str
        Last line of the products' history: what they were made from.
    """

    folder: Path
    overwrite: bool = False
    int_name: str = ""
    opt_name: str = ""
    inputs: Iterable[Path] = ()
    save_jumps: bool = False
    record: str = ""

    @property
    def history(self) -> tuple[str, ...]:
        """Lines for the products' history, beside what is said of the fit."""
        return (self.record,) if self.record else ()


@dataclass(frozen=True)
class Format:
    """A kind of exposure file, as seen from outside; what it does is in its module.

    Attributes
    ----------
    name : str
        For messages.
    module : str
        Where its functions are: ``is_kind(start)``, ``read(path, **options)``, ``default_reference(exposure, name)``,
        ``paths(path, destination, options)``, ``write(fit, path, destination, references, **options)`` and
        ``history(product)``.
    algorithm : str
        What an exposure is fitted with if nothing is said.
    readnoise_kind : str
        What a read noise is if nothing is said.
    rejection_threshold : float or None
        What a search for jumps takes if nothing is said.
    own_options : tuple of str
        Options of reading and writing that only this kind has.
    path_options : tuple of str
        Those of them that name a file, where they are texts or paths.
    tables_jumps : bool
        It can have a table of the jumps among its products.
    by_sections : bool
        Its products can be written section by section of the detector, and it has a ``provenance(destination,
        references)`` for their headers; what does not fit into memory is read to a ``scratch``.
    alone : bool
        No two of its files are read or written at once: that changes what is global to the process (which warnings are
        shown).
    brings_references : bool
        The file or its instrument tells read noise and gain, so that they need not be given.
    flags_jumps : bool
        Somebody has flagged the jumps in its files, before they are fitted.
    """

    name: str
    module: str
    algorithm: str = "ols"
    readnoise_kind: str = "cds"
    rejection_threshold: float | None = None
    own_options: tuple[str, ...] = ()
    path_options: tuple[str, ...] = ()
    brings_references: bool = False
    flags_jumps: bool = True
    tables_jumps: bool = False
    by_sections: bool = False
    alone: bool = False

    def is_kind(self, start: bytes) -> bool:
        """Tell whether a file that begins so is of this kind."""
        return bool(self._code.is_kind(start))

    def read(self, path: Path, scratch: Scratch | None = None, **options: Any) -> Exposure:  # noqa: ANN401  (the kind's)
        """Return the exposure in a file; where the kind can, with a `scratch` for what does not fit into memory."""
        if self.by_sections:
            options["scratch"] = scratch
        exposure: Exposure = self._code.read(path, **options)
        return exposure

    def default_reference(self, exposure: Exposure, name: str) -> ReferenceImage:
        """Return the ``"readnoise"`` or ``"gain"`` that the file or its instrument tells, where it does."""
        reference: ReferenceImage = self._code.default_reference(exposure, name)
        return reference

    def paths(self, path: Path, destination: Destination, options: FitOptions) -> dict[str, Path]:
        """Return where the products of an exposure go, by kind of product."""
        paths: dict[str, Path] = self._code.paths(path, destination, options)
        return paths

    def write(
        self,
        fit: RampFit,
        path: Path,
        destination: Destination,
        references: dict[str, ReferenceImage],
        **options: Any,  # noqa: ANN401  (those of the kind)
    ) -> Sequence[Path]:
        """Write the products of the exposure in `path`: whole, or none of them."""
        written: Sequence[Path] = self._code.write(fit, path, destination, references, **options)
        return written

    def provenance(self, destination: Destination, references: dict[str, ReferenceImage]) -> Provenance:
        """Return what the products' headers say about the references."""
        provenance: Provenance = self._code.provenance(destination, references)
        return provenance

    def history(self, product: Path) -> list[str]:
        """Return the lines of a product's history; raises RampFileError where it cannot be read, or is not whole."""
        lines: list[str] = self._code.history(product)
        return lines

    @property
    def _code(self) -> Any:  # noqa: ANN401  (a module)
        return import_module(f"rampfit_numba.io.{self.module}")


#: In the order in which they are asked; the last one takes what no other knows, and says what is wrong with it.
FORMATS: Final = (
    Format(
        "Roman",
        "roman_files",
        algorithm="likely",
        readnoise_kind="single",
        rejection_threshold=4.5,
        alone=True,
        flags_jumps=False,
    ),
    Format(
        "WFC3/IR",
        "wfc3_files",
        algorithm="likely",
        own_options=("flat", "exclude_reads", "flatten"),
        path_options=("flat",),
        brings_references=True,
        flags_jumps=False,
    ),
    Format("JWST", "jwst_files", own_options=("dark_current_unit",), tables_jumps=True, by_sections=True),
)
#: Enough to hold the primary header of nearly every file; a longer one is told by its first cards as well.
_START = 64 * 2880


def find_format(path: Path) -> Format:
    """Return the kind of an exposure's file; one that cannot be read is left to the last, which says so."""
    import gzip
    import zlib

    try:
        if not path.is_file():  # a pipe would be waited for
            return FORMATS[-1]
        with path.open("rb") as file:
            start = file.read(_START)
        if start.startswith(b"\x1f\x8b"):
            with gzip.open(path) as stream:
                start = stream.read(_START)
    except (OSError, EOFError, ValueError, zlib.error):
        start = b""
    return next((kind for kind in FORMATS if kind.is_kind(start)), FORMATS[-1])
