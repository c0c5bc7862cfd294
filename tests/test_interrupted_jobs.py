"""A job that is interrupted again and again, and continued, ends with the products of one that was not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "bench" / "faults" / "interrupts.py"


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("words", [[], ["--", "--maximum-cores", "2", "--executor", "processes"]])
def test_nothing_is_lost(words):
    command = [sys.executable, str(SCRIPT), "--files", "12", "--interrupts", "2", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("24 of 24 products right after 2 interrupts in 3 runs")
