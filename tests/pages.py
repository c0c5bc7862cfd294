"""The code blocks of the documentation's pages, run as a reader would: one after the other, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import rampfit_numba

ROOT = Path(__file__).resolve().parents[1]
#: Everything that is written for a reader.
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if "_build" not in page.parts]

_BLOCK = re.compile(
    r"^(?P<marker><!-- ci:\w+ -->\n)?```(?P<kind>bash|console|python)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)


def blocks_of(page):
    """List (kind, text) of the blocks that are run: not the gate's lines of the README, which make environments."""
    found = _BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [(block["kind"], block["text"]) for block in found if not block["marker"]]


def is_executed_at_build(page):
    """Tell whether the page is a notebook."""
    return page.read_text(encoding="utf-8").startswith("---\nfile_format: mystnb")


def run_page(page, folder, *, warnings="error"):
    """Run all blocks of a page in a folder; return what they printed.

    Of a console block the lines with the prompt and the command ``rampfit`` are run; others show what somebody without
    this package's environment would type.
    """
    script = ["set -euo pipefail"]
    for number, (kind, text) in enumerate(blocks_of(page)):
        if kind == "python":
            name = f"block_{number}.py"
            (folder / name).write_text(text, encoding="utf-8")
            script.append(f"python -W {warnings} {name}")
        elif kind == "bash":
            script.append(text)
        else:
            script += [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ rampfit")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CRDS_", "STPIPE_"))}
    environment |= {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(Path(rampfit_numba.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]),
        "MPLBACKEND": "Agg",
    }
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],  # noqa: S607  (the documented commands are for a shell)
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{page.relative_to(ROOT)}\n{done.stdout}"
    return done.stdout
