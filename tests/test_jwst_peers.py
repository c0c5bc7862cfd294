"""The pipeline's and stcal's own ramp-fitting tests, run on this package's fitter (tests/peers/peers.py says how)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rampfit_numba
from tests.pipeline import require_pipeline

require_pipeline()

pytestmark = [pytest.mark.jwst, pytest.mark.slow]

HERE = Path(__file__).resolve().parent
STCAL = ("test_ramp_fitting.py", "test_ramp_fitting_cases.py", "test_ramp_fitting_likely_fit.py")


def run_peers(folder, environment, capsys, *arguments):
    """Run tests in a process of their own and show their last line; return how many passed and failed as expected."""
    path = [str(HERE / "peers"), str(Path(rampfit_numba.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-c", str(HERE / "peers" / "pytest.ini"), *arguments],
        cwd=folder,
        env=os.environ | environment | {"PYTHONPATH": os.pathsep.join(filter(None, path))},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr
    with capsys.disabled():
        print(f"\n{' '.join(arguments)}: {last.strip('= ')}")  # noqa: T201  (the closing line is what one wants to see)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "deselected" not in last
    assert "skipped" not in last
    return tuple(
        int(found.group(1)) if (found := re.search(rf"(\d+) {kind}", last)) else 0 for kind in ("passed", "xfailed")
    )


def test_the_pipelines_own_tests(tmp_path, offline_crds, capsys):
    passed, failed = run_peers(tmp_path, offline_crds, capsys, "--pyargs", "jwst.ramp_fitting")
    assert passed >= 40
    assert failed == 4


def test_stcals_own_tests(tmp_path, offline_crds, capsys):
    """The distribution of stcal's sources has them; RAMPFIT_STCAL_TESTS names the folder, which .ci/run makes."""
    folder = os.environ.get("RAMPFIT_STCAL_TESTS", "")
    if not folder:
        pytest.skip("RAMPFIT_STCAL_TESTS is not set: stcal's tests come with the distribution of its sources only")
    for name in STCAL:  # without their package, which is called `tests` as this one
        shutil.copy(Path(folder) / name, tmp_path / name)
    passed, failed = run_peers(tmp_path, offline_crds, capsys, *STCAL)
    assert passed >= 72
    assert failed == 6


def test_the_exceptions_are_documented():
    sys.path.insert(0, str(HERE / "peers"))
    try:
        from peers import EXCEPTIONS
    finally:
        sys.path.pop(0)
    page = (HERE.parent / "docs" / "jwst.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(test_[\w\[\]]+)` \|", page, re.MULTILINE)) == set(EXCEPTIONS)
