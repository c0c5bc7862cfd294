"""Flags that change between the count of the segments and their fit: an error, never a write outside of an array."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rampfit_numba import Exposure, RampFitWarning, fit_ramps
from tests.scripts import LINUX, TWO_WORKERS

SHAPE = (2, 40, 16, 32)
CHANGE = """
import sys
import numpy as np
from concurrent.futures import ThreadPoolExecutor
from rampfit_numba import Exposure, fit_ramps

class Second(ThreadPoolExecutor):
    calls = 0

    def submit(self, *arguments, **options):
        self.calls += 1
        if self.calls == 2:  # the count is done
            flags[...] = 0
            flags[where] = 4
        return super().submit(*arguments, **options)

shape = (1, 40, 64, 64)
data = np.cumsum(np.random.default_rng(0).normal(20, 3, shape), axis=1).astype("f4")
flags = np.zeros(shape, "u1")
"""
PLACES = {
    "many jumps": "np.s_[:, 2::2]",
    "one jump more": "np.s_[0, 20, 5, 7]",
    "jumps of one pixel": "np.s_[0, 1::3, 63, 63]",
}


@pytest.mark.parametrize("where", PLACES)
def test_flags_that_change_after_the_count_are_an_error(where, tmp_path):
    code = CHANGE + f"where = {PLACES[where]}\n"
    code += """
try:
    fit_ramps(Exposure(data, flags, 2.5), 14.0, 5.5, save_opt=True, executor=Second(1), maximum_cores=1)
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("groupdq: expected flags that stay as they are during the fit; they changed")


@LINUX
@pytest.mark.parametrize("workers", [{}, *TWO_WORKERS], ids=str)
def test_file_that_is_rewritten_while_it_is_fitted_ends_no_process(tmp_path, workers):
    """Same inode, same size: the times tell, and where they do not, the content."""
    code = f"""
import threading, time
import numpy as np
from rampfit_numba import Exposure, fit_ramps
shape = (1, 40, 256, 256)
data = np.cumsum(np.random.default_rng(0).normal(20, 3, shape), axis=1).astype("f4")
old, new = np.zeros(shape, "u1"), np.zeros(shape, "u1")
new[:, 2::2] = 4
old.tofile("flags.dat")
flags = np.memmap("flags.dat", "u1", "r", 0, shape)
fit_ramps(Exposure(data[:, :, :8], flags[:, :, :8], 2.5), 14.0, 5.5, save_opt=True, **{workers})

def rewrite(pause):
    time.sleep(pause)
    for content in (new.tobytes(), old.tobytes()) * 3:
        with open("flags.dat", "r+b") as file:
            file.write(content)

outcomes = set()
for pause in (0.0, 0.005, 0.01, 0.02, 0.03, 0.05):
    old.tofile("flags.dat")
    thread = threading.Thread(target=rewrite, args=(pause,))
    thread.start()
    try:
        fit_ramps(Exposure(data, flags, 2.5), 14.0, 5.5, save_opt=True, **{workers})
        outcomes.add("fitted")
    except ValueError as error:
        outcomes.add("changed" if "was changed while it was read" in str(error) else str(error).split(":")[0])
    thread.join()
print(outcomes <= {{"fitted", "groupdq", "changed"}}, outcomes)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("True"), done.stdout


def test_flags_that_stay_are_none():
    """Segments, single groups, ramps without any, in blocks of every kind: nothing is mistaken for a change."""
    rng = np.random.default_rng(3)
    data = np.cumsum(rng.normal(20, 3, SHAPE), axis=1).astype(np.float32)
    for share in (0.001, 0.05, 0.5):
        flags = np.where(rng.random(SHAPE) < share, rng.choice([1, 2, 4, 5, 32], SHAPE), 0).astype(np.uint8)
        flags[:, :, 3] = 1
        flags[:, 1:, 4] = 2
        with ThreadPoolExecutor(2) as threads:
            fit = fit_ramps(Exposure(data, flags, 2.5), 14.0, 5.5, save_opt=True, executor=threads, maximum_cores=2)
        assert fit.fitopt is not None
    with pytest.warns(RampFitWarning, match="no ramp can be fitted"):
        fit = fit_ramps(Exposure(data[..., :1], np.ones_like(flags[..., :1]), 2.5), 14.0, 5.5, save_opt=True)
    assert fit.fitopt is not None
    assert fit.fitopt.slope.shape[1] == 0
