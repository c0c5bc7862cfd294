"""What docs/jwst.md shows works as it stands: all its blocks, in their order, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rampfit_numba
from tests.pipeline import names_in, require_pipeline

require_pipeline("matplotlib")

pytestmark = [pytest.mark.jwst]

PAGE = Path(__file__).resolve().parents[1] / "docs" / "jwst.md"


@pytest.mark.timeout(600)
def test_every_block_runs(tmp_path):
    blocks = re.findall(r"^```(bash|python)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert [kind for kind, _ in blocks].count("python") >= 4
    script = ["set -euo pipefail"]
    for number, (kind, text) in enumerate(blocks):
        (tmp_path / f"block_{number}.py").write_text(text, encoding="utf-8")
        script.append(text if kind == "bash" else f"python -W error::RuntimeWarning block_{number}.py")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CRDS_", "STPIPE_"))}
    environment |= {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(Path(rampfit_numba.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]),
        "MPLBACKEND": "Agg",
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
    assert "rampfit_numba.jwst.RampFitStep (rampfit_numba)" in done.stdout
    assert "<ImageModel(64, 64) from x_0_rampfitstep.fits> <CubeModel(4, 64, 64)" in done.stdout
    wanted = {"fitopt.png", "parameters.asdf", "x_0_rampfitstep.fits", "x_1_rampfitstep.fits", "x_fitopt.fits"}
    assert wanted | {"x_rampfitstep.fits", "x_rate.fits", "x_rateints.fits"} <= set(names_in(tmp_path))
    assert (tmp_path / "fitopt.png").read_bytes().startswith(b"\x89PNG")
