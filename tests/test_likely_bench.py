"""The statistics run on a few pixels, and their tables land between the markers. No figure is looked at."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import rampfit_numba
from tests.sizes import INTERPRETED

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(Path(rampfit_numba.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
}

pytestmark = [
    pytest.mark.skipif(INTERPRETED, reason="too large to interpret"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the benchmarks are developed on Linux"),
]


def run(*arguments, cwd, code=0):
    """Run the script and return what it printed, complaints included."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "statistics" / "bench_statistics.py"), *map(str, arguments)],
        cwd=cwd,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


@pytest.mark.slow
def test_tables_land_between_the_markers(tmp_path):
    places = {"--readme": "README.md", "--document": "statistics.md"}
    arguments = []
    for option, name in places.items():
        source = ROOT / name if name == "README.md" else ROOT / "docs" / name
        (tmp_path / name).write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
        arguments += [option, tmp_path / name]
    figure = tmp_path / "statistics.png"
    drawn = importlib.util.find_spec("matplotlib") is not None  # the extra `plot`, which the tests do not need
    arguments += ["--figure", figure] if drawn else ["--no-figure"]
    before = (tmp_path / "statistics.md").read_text(encoding="utf-8")
    printed = run("--quick", *arguments, cwd=tmp_path)
    document = (tmp_path / "statistics.md").read_text(encoding="utf-8")
    assert document != before
    block = document.split("<!-- statistics:start -->")[1].split("<!-- statistics:end -->")[0]
    for heading in (
        "10 integrations: bias / pull width",
        "hits missed / false jumps",
        "False jumps in a million groups",
    ):
        assert heading in block
        assert heading in printed
    assert block.count("likely_joint") > 10
    gist = (tmp_path / "README.md").read_text(encoding="utf-8").split("<!-- statistics:start -->")[1]
    assert "dark current" in gist
    assert figure.exists() == drawn


def test_few_pixels_never_land_in_the_documents(tmp_path):
    printed = run("--quick", cwd=tmp_path, code=1)
    assert "Results of --quick are no figures" in printed
