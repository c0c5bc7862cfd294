"""The tree of the package with the first line of each module: python docs/module_tree.py."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "rampfit_numba"
_HEAD = ("| module | what it is |", "|---|---|")


def modules_of(folder: Path) -> list[tuple[str, str]]:
    """Return the path within the package of a folder and of each module in it, and what these say of themselves."""
    found = [(_name(folder) + "/", _first_line(folder / "__init__.py"))]
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        if path.is_dir() and (path / "__init__.py").is_file():
            found += modules_of(path)
        elif path.suffix == ".py" and path.name != "__init__.py":
            found.append((_name(path), _first_line(path)))
    return found


def page() -> str:
    """Return the tree in Markdown: a table for the modules of the package itself, and one for each folder."""
    lines = []
    for name, said in modules_of(PACKAGE):
        if name.endswith("/"):
            heading = name.removeprefix(f"{PACKAGE.name}/") or name
            lines += ["", f"## {heading}", "", _markdown(said), "", *_HEAD]
        else:
            lines.append(f"| `{name.rpartition('/')[2]}` | {_markdown(said)} |")
    return "\n".join(lines)


def _name(path: Path) -> str:
    return path.relative_to(PACKAGE.parent).as_posix()


def _first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def _markdown(text: str) -> str:
    """Return reStructuredText of one line as Markdown: code, and names that would be links."""
    return re.sub(r":\w+:`~?([^`]*)`", r"`\1`", text).replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    for name, said in modules_of(PACKAGE):
        depth, short = name.rstrip("/").count("/"), Path(name).name + "/" * name.endswith("/")
        print(f"{'  ' * depth + short:32}{said}".rstrip())
