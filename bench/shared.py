"""What timing and statistics share: the project's folder, the tests' modules, tables, and where they are written."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
SEED = 20240711
#: The figures depend on these.
PACKAGES = ("rampfit_numba", "numpy", "numba", "astropy", "loky", "stcal")


def from_tests(name: str) -> Any:  # noqa: ANN401  (a module)
    """Return a module of the tests: they define the tolerances and know how to call the reference.

    The package itself must come from where it is installed, so the project's folder is on the path for a moment only.
    """
    sys.path.insert(0, str(ROOT))
    try:
        return importlib.import_module(f"tests.{name}")
    finally:
        sys.path.remove(str(ROOT))


@dataclass
class Table:
    """A table for people: every cell is text."""

    title: str
    headings: list[str]
    rows: list[list[str]] = field(default_factory=list)
    note: str = ""

    def markdown(self) -> str:
        """Return the table in Markdown, its columns aligned."""
        return f"{self.title}\n\n{markdown_rows(self.headings, self.rows)}\n" + (
            f"\n{self.note}\n" if self.note else ""
        )


def markdown_rows(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return headings and rows as a Markdown table whose first column is text and whose others are numbers."""
    widths = [max(len(row[i]) for row in (headings, *rows)) for i in range(len(headings))]
    lines = [list(headings), ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])], *rows]
    justified = [
        [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in justified)


def replace_block(path: Path, name: str, content: str) -> None:
    """Replace what stands between ``<!-- name:start -->`` and ``<!-- name:end -->`` in a file."""
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    text = path.read_text(encoding="utf-8")
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        sys.exit(f"{path.name}: expected {start} and {end}, once each and in this order")
    before, _, rest = text.partition(start)
    path.write_text(f"{before}{start}\n{content}\n{end}{rest.partition(end)[2]}", encoding="utf-8")
    print(f"{path.name}: {name} written")


def versions() -> dict[str, str]:
    """Return the versions of Python and of what the figures depend on."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def versions_text(found: dict[str, str]) -> str:
    """Return the versions in one line."""
    return ", ".join(f"{name} {version}" for name, version in found.items())
