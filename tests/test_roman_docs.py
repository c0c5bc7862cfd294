"""What docs/roman.md shows works as it stands: all its blocks, in their order, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rampfit_numba
from tests.pipeline import names_in

pytest.importorskip("asdf")
pytest.importorskip("lz4")

PAGE = Path(__file__).resolve().parents[1] / "docs" / "roman.md"


def test_every_block_runs(tmp_path):
    blocks = re.findall(r"^```(bash|python)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert [kind for kind, _ in blocks] == ["bash", "python"]
    script = ["set -euo pipefail"]
    for number, (kind, text) in enumerate(blocks):
        (tmp_path / f"block_{number}.py").write_text(text, encoding="utf-8")
        script.append(text if kind == "bash" else f"python -W error block_{number}.py")
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(Path(rampfit_numba.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],  # noqa: S607  (the documented commands are for a shell)
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "(1, 8, 264, 264)" in done.stdout
    assert {"r1_rampfit.asdf", "mine_rampfit.asdf"} <= set(names_in(tmp_path))
