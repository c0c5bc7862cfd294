"""What became of many files, as a table (CSV)."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from rampfit_numba.io.whole_files import write_all
from rampfit_numba.messages import RampFileError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rampfit_numba.files.results import FileResult

COLUMNS = ("file", "status", "seconds", "pixels", "groups", "hits", "warnings", "products", "error")
_BETWEEN = "; "
#: What begins a formula where a spreadsheet opens the table.
_FORMULAS = ("=", "+", "-", "@")


class TableError(RampFileError):
    """The table cannot be written, but its files are fitted.

    Attributes
    ----------
    results : sequence of FileResult or None
        What the table was to tell.
    """

    def __init__(self, message: str, results: Sequence[FileResult | None]) -> None:
        super().__init__(message)
        self.results = results

    def __reduce__(self) -> tuple[type, tuple[str, Sequence[FileResult | None]]]:
        """Travel between processes with the results."""
        return type(self), (str(self), self.results)


def write_table(
    path: Path, files: Sequence[Path], results: Sequence[FileResult | None], *, overwrite: bool = False
) -> None:
    r"""Write a row for each file, whole or not at all; files without a result are "not done".

    Columns are those of :class:`rampfit_numba.FileResult`. Warnings are parted by semicolons, and so are products. What
    cannot be printed, as line breaks in a file's name, is written as Python writes it: ``\\\\n``. No cell begins like a
    formula: names have their folder, ``./=x_jump.fits``, and other texts a quotation mark in front.

    Raises
    ------
    TableError
        The file cannot be written, or exists (without `overwrite`): nobody knows whose it is.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for file, result in zip(files, results, strict=True):
        rows.writerow([_name(file), *_cells(result)])
    try:
        write_all([(path, text.getvalue().encode())], overwrite=overwrite, kept="products are kept")
    except RampFileError as error:
        raise TableError(str(error), results) from error


def _cells(result: FileResult | None) -> list[str]:
    if result is None:
        return ["not done", *[""] * (len(COLUMNS) - 2)]
    known = result.pixels > 0
    counts = [str(count) if known else "" for count in (result.pixels, result.groups, result.hits)]
    error = "" if result.error is None else str(result.error) or type(result.error).__name__
    return [
        result.status,
        f"{result.seconds:.3f}",
        *counts,
        _text(_BETWEEN.join(result.warnings)),
        _BETWEEN.join(map(_name, result.products)),
        _text(" ".join(error.split())),
    ]


def _name(path: Path) -> str:
    name = printable(str(path))
    return f"./{name}" if name.startswith(_FORMULAS) else name


def _text(text: str) -> str:
    text = printable(text)
    return f"'{text}" if text.startswith(_FORMULAS) else text
