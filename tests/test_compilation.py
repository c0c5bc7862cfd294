"""What is compiled, and when."""

from __future__ import annotations

import logging
import subprocess
import sys

import numba
import numpy as np
import pytest

from rampfit_numba import Exposure, fit_ramps, warm_up
from rampfit_numba.algorithms.method import Kernels
from rampfit_numba.compilation import make_ready
from rampfit_numba.kernels.likely.joint import fit_joint_tile
from rampfit_numba.kernels.likely.tile import fit_likely_tile
from rampfit_numba.kernels.ols.segments import MOST_IN_BYTES
from rampfit_numba.kernels.ols.tile import count_tile, fit_tile
from rampfit_numba.machine_code import places

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")


def exposure_of(ngroups):
    ramps = np.arange(ngroups, dtype=np.float32).reshape(1, ngroups, 1, 1) * 30
    return Exposure(np.tile(ramps, (1, 1, 2, 3)), None, 1.0)


def test_after_a_warm_up_no_fit_compiles():
    """Whatever a fit needs: ramps that bytes can count or not, optional results or not, the other algorithms."""
    warm_up()
    kernels = (fit_tile, count_tile, fit_likely_tile, fit_joint_tile)
    before = [kernel.signatures for kernel in kernels]
    assert all(before)
    for ngroups in (3, MOST_IN_BYTES, MOST_IN_BYTES + 1, 300):
        for save_opt in (False, True):
            fit_ramps(exposure_of(ngroups), 14.0, 2.0, save_opt=save_opt)
    for algorithm in ("likely", "likely_joint"):
        fit_ramps(exposure_of(20), 14.0, 2.0, algorithm=algorithm)
    assert [kernel.signatures for kernel in kernels] == before


def test_each_kind_of_kernels_is_announced_once(tmp_path, monkeypatch, caplog):
    """Also where kernels of another kind are in the cache already."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    for cached in (places.usable_places, places.all_places):
        cached.cache_clear()
    caplog.set_level(logging.INFO, "rampfit_numba")
    try:
        for kernels in (Kernels("ols"), Kernels("ols", ("fitopt",)), Kernels("likely")):
            for call in range(2):  # a second process finds the note of the first
                caplog.clear()
                monkeypatch.setattr("rampfit_numba.compilation._ready", set())
                make_ready(kernels)
                assert ("Compiling" in caplog.text) == (call == 0)
                assert (str(tmp_path) in caplog.text) == (call == 0)
    finally:
        for cached in (places.usable_places, places.all_places):
            cached.cache_clear()


def test_least_squares_compile_nothing_of_the_likelihood(tmp_path):
    """Nor import it: that alone takes some hundredths of a second."""
    code = """
import sys
import numpy as np
from rampfit_numba import Exposure, fit_ramps
from rampfit_numba.kernels import likely

exposure = Exposure(np.zeros((1, 5, 2, 3)), None, 1.0)

def compiled():
    modules = [module for name, module in sys.modules.items() if name.startswith(likely.__name__ + ".")]
    kernels = [value for module in modules for value in vars(module).values() if hasattr(value, "signatures")]
    own = [kernel for kernel in kernels if kernel.__module__.startswith(likely.__name__)]
    return sum(bool(kernel.signatures) for kernel in own)

fit_ramps(exposure, 1.0, 1.0)
assert "rampfit_numba.algorithms.likely" not in sys.modules
print(compiled())
fit_ramps(exposure, 1.0, 1.0, algorithm="likely")
print(compiled())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    least_squares, likelihood = map(int, done.stdout.split())
    assert least_squares == 0
    assert likelihood > 0


def test_warm_up_takes_algorithms():
    assert warm_up(["LIKELY", "likely_joint"]) > 0
    with pytest.raises(ValueError, match="algorithm: expected one of"):
        warm_up(["fast"])
    with pytest.raises(TypeError, match="algorithms: expected several names; got one, 'ols'"):
        warm_up("ols")
