"""Short versions of what `bench/faults/` does for long: many fits, killed workers, signals at random times."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scripts import LINUX, PACKAGE_FOLDER

FAULTS = Path(__file__).parents[1] / "bench" / "faults"

pytestmark = [LINUX, pytest.mark.slow]


def run(name, *words, cwd):
    done = subprocess.run(
        [sys.executable, str(FAULTS / name), *words],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": PACKAGE_FOLDER},
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_nothing_grows_with_the_number_of_fits(tmp_path):
    assert run("soak.py", "--fits", "96", cwd=tmp_path).splitlines()[-1] == "nothing has grown"


def test_killed_workers_change_no_bit(tmp_path):
    assert run("kills.py", "--runs", "3", cwd=tmp_path).startswith("3 of 3 runs right, ")


@pytest.mark.dask
def test_killed_workers_of_a_cluster_change_no_bit(tmp_path):
    pytest.importorskip("distributed", reason="needs the extra dask")
    assert run("cluster_kills.py", "--runs", "3", cwd=tmp_path).splitlines()[-1] == "3 of 3 runs right"


@pytest.mark.parametrize("way", ["two threads", "two processes"])
def test_signals_leave_nothing(tmp_path, way):
    lines = run("signals.py", "--trials", "2", "--ways", way, cwd=tmp_path).splitlines()
    assert len(lines) == 6
    assert all(" 2 of 2 right" in line for line in lines)
