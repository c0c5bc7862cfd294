"""The commands that docs/reads.md shows work as they stand, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import rampfit_numba
from tests.sizes import INTERPRETED

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reads.md"

pytestmark = pytest.mark.skipif(INTERPRETED, reason="too large to interpret")


def test_the_commands_run_and_find_the_truth(tmp_path):
    blocks = re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(Path(rampfit_numba.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]),
    }
    script = "set -euo pipefail\n" + "".join(blocks)
    subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, check=True, timeout=600)  # noqa: S607
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"demo_rate.fits", "numbers_rate.fits"}
    truth = fits.getdata(tmp_path / "demo_truth.fits", "RATE")
    with fits.open(tmp_path / "out" / "demo_rate.fits") as found:
        good = (found["DQ"].data & 1) == 0
        pulls = ((found["SCI"].data - truth) / found["ERR"].data)[good & np.isfinite(found["SCI"].data)]
        assert 0.95 < pulls.std() < 1.05
        assert found["NREADS"].data.max() == 16
