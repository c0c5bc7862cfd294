"""What became of a file: in a word, and with the fit still in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from rampfit_numba.result import RampFit


@dataclass(frozen=True)
class FileResult(Sequence[Path]):
    """What became of one file. As a sequence, it is that of the files written.

    Attributes
    ----------
    path : Path
        The exposure's file.
    products : tuple of Path
        The files written; empty where it failed.
    error : Exception or None
        Why it failed.
    seconds : float
        That reading, fitting and writing took.
    pixels : int
        Pixels of the detector that were fitted.
    groups : int
        Groups of an integration.
    hits : int
        Pixels in whose ramps a jump was flagged, by an earlier step or by the fit.
    warnings : tuple of str
        What was warned of.
    skipped : bool
        The products were there already, and up to date.
    """

    path: Path
    products: tuple[Path, ...] = ()
    error: Exception | None = None
    seconds: float = 0.0
    pixels: int = 0
    groups: int = 0
    hits: int = 0
    warnings: tuple[str, ...] = ()
    skipped: bool = False

    @property
    def status(self) -> str:
        """``"fitted"``, ``"skipped"`` or ``"failed"``."""
        return "failed" if self.error is not None else "skipped" if self.skipped else "fitted"

    def __len__(self) -> int:
        return len(self.products)

    def __bool__(self) -> bool:
        return self.error is None

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Path, ...]: ...
    def __getitem__(self, index: int | slice) -> Path | tuple[Path, ...]:
        return self.products[index]


@dataclass(frozen=True, eq=False)
class FittedFile:
    """An exposure that was read from a file and fitted, and is still in memory.

    Attributes
    ----------
    path : Path
    fit : RampFit
        Its `inputs` are the exposure and the references, not to be written to: images read from reference files are
        shared by all files of a job, and read-only, as are data mapped from a file. Copy what is to be changed.
    readnoise, gain : str
        Base names of the references' files, or what they were where there was none.
    seconds : float
        That reading and fitting took; of a fit by sections, until the last of them was fitted, those before being
        written meanwhile.
    products : tuple of Path
        The files written, if any.
    """

    path: Path
    fit: RampFit
    readnoise: str
    gain: str
    seconds: float
    products: tuple[Path, ...] = ()


@dataclass(frozen=True)
class FilesOfFits(ABC):
    """What makes files of each fit, beside its products: where the fit is, also on a worker of a cluster.

    It can be pickled.

    Attributes
    ----------
    folder : Path
        Where they stand.
    overwrite : bool
        Whether existing files are replaced.
    """

    folder: Path
    overwrite: bool

    @abstractmethod
    def check(self) -> None:
        """Raise an ImportError where a process lacks what this takes."""

    @abstractmethod
    def products(self, path: Path) -> tuple[Path, ...]:
        """Return what is made of the fit of a file."""

    @abstractmethod
    def __call__(self, fitted: FittedFile) -> None:
        """Make the files of a fit."""
