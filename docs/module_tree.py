"""The tree of the package with the first line of each module: python docs/module_tree.py."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "rampfit_numba"


def lines_of(folder: Path, depth: int = 0) -> list[str]:
    """Return a line for a folder, and for each module and folder in it."""
    lines = [_line(f"{folder.name}/", folder / "__init__.py", depth)]
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        if path.is_dir() and (path / "__init__.py").is_file():
            lines += lines_of(path, depth + 1)
        elif path.suffix == ".py" and path.name != "__init__.py":
            lines.append(_line(path.name, path, depth + 1))
    return lines


def _line(name: str, path: Path, depth: int) -> str:
    """Return the name and what the module says of itself."""
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return f"{'  ' * depth + name:32}{said.partition(chr(10))[0]}".rstrip()


if __name__ == "__main__":
    print("\n".join(lines_of(PACKAGE)))
