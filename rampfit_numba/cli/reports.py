"""``--report``: a report on each fit, beside its products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rampfit_numba.cli.report import write_fitted
from rampfit_numba.files.results import FilesOfFits
from rampfit_numba.report import check_extra, report_path

if TYPE_CHECKING:
    from pathlib import Path

    from rampfit_numba.files import FittedFile


@dataclass(frozen=True)
class ReportsOfFits(FilesOfFits):
    """Writes them.

    Attributes
    ----------
    command : str
        What the reports say that they were made by.
    """

    command: str

    def check(self) -> None:
        """Raise an ImportError without the extra ``report``."""
        check_extra()

    def products(self, path: Path) -> tuple[Path, ...]:
        """Return the path of the report on a file."""
        return (report_path(path, self.folder),)

    def __call__(self, fitted: FittedFile) -> None:
        """Write the report on a fit."""
        (path,) = self.products(fitted.path)
        write_fitted(fitted, path, [], command=self.command, overwrite=self.overwrite)
