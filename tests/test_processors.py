"""The same bits on every kind of processor: what compilers do with wider registers never shows."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from llvmlite.binding import get_host_cpu_features

import rampfit_numba
from tests.cases import plain, run_engine
from tests.random_exposures import random_case
from tests.sizes import INTERPRETED

_AVX2 = "+avx,+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe,+popcnt,+sse4.2"
_AVX512 = f"{_AVX2},+avx512bw,+avx512cd,+avx512dq,+avx512f,+avx512vl"
#: Processors by the registers that they have: LLVM's name for one, its features, and that by which to know one.
KINDS = {
    "SSE2": ("x86-64", "+sse2", "sse2"),
    "AVX2": ("haswell", _AVX2, "avx2"),
    "AVX-512": ("skylake-avx512", _AVX512, "avx512vl"),
    "NEON": ("generic", "+neon", "neon"),
}


def digest() -> str:
    """Return a hash of all planes, optional ones too, of some exposures with everything in them; NaNs are alike."""
    found = hashlib.sha256()
    for algorithm in ("ols", "likely_joint"):
        for seed in range(40, 52):
            fit = plain(run_engine(random_case(seed), algorithm=algorithm, save_opt=algorithm == "ols"))
            for planes in vars(fit).values():
                for name, plane in (planes or {}).items():
                    found.update(name.encode() + str(plane.shape).encode())
                    found.update(np.where(plane == plane, plane, np.nan).astype(plane.dtype).tobytes())  # noqa: PLR0124
    return found.hexdigest()


@pytest.mark.slow
@pytest.mark.timeout(1500)  # both algorithms are compiled
@pytest.mark.skipif(INTERPRETED, reason="nothing is compiled")
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_processor_gives_the_same_bits(tmp_path, kind):
    name, features, known_by = KINDS[kind]
    if not get_host_cpu_features().get(known_by):
        pytest.skip(f"this processor ({platform.machine()}) has no {kind}")
    path = os.pathsep.join([str(Path(rampfit_numba.__file__).parents[1]), str(Path(__file__).parents[1])])
    settings = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path)}
    script = "from tests.test_processors import digest; print(digest())"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | settings | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [digest()]
