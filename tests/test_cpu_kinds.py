"""Results are the same to the bit whatever instructions the kernels are compiled to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rampfit_numba.kernels import vectors
from tests.sizes import INTERPRETED

SCRIPT = Path(__file__).parent.parent / "bench" / "compare_cpus.py"


@pytest.mark.slow
@pytest.mark.skipif(INTERPRETED, reason="compares machine code")
@pytest.mark.skipif(not SCRIPT.exists(), reason="needs the project's folder with bench/")
def test_kinds_of_processors_give_the_same_bits():
    command = [sys.executable, SCRIPT, "--exposures", "16"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SSE2 against this: 16 exposures" in done.stdout


@pytest.mark.skipif(INTERPRETED, reason="vectors are as long as a block then")
@pytest.mark.parametrize(
    ("features", "width"),
    [("+avx512f,+avx2", 16), ("+avx,+sse2", 8), ("+avx2,+fma", 8), ("+fma", 8), ("+sse4.2", 4), ("-avx,+sse2", 4)],
)
def test_width_is_that_of_the_registers(features, width, monkeypatch):
    """A list of features need not name what they are built on: +avx2 without +avx gave half as long vectors."""
    monkeypatch.setattr(vectors.numba.config, "CPU_FEATURES", features)
    assert vectors._width() == width
