"""The peak memory of a fit in a process of its own, with a file that takes no room on the disk."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits

SHAPE = (400, 4, 32, 512)
MIB = 1 << 20

SCRIPT = """
import re, sys
from pathlib import Path
from rampfit_numba import fit_file
path, folder, max_memory = sys.argv[1:]
def peak():
    # ru_maxrss would be that of the process that has started this one, where that has used more.
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text()).group(1)) * 1024
fit_file(path.replace("large", "small"), 14.0, 1.8, output_dir=folder)
before = peak()
fit_file(path, 14.0, 1.8, output_dir=folder, max_memory=max_memory or None)
print(peak() - before)
"""


REPORTS = """
import re, sys
from pathlib import Path
from rampfit_numba.cli import main
path, folder, max_memory = sys.argv[1:]
words = ["--readnoise", "14", "--gain", "1.8", "--output-dir", folder, "--max-memory", max_memory]
words += ["--quiet", "--report"]
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text()).group(1)) * 1024
if main(["fit", path.replace("large", "small"), *words]):
    sys.exit(1)
before = peak()
if main(["fit", path, *words]):
    sys.exit(1)
print(peak() - before)
"""


def sparse(path, shape):
    """Write an exposure whose arrays are holes in the file: zeros."""
    first = fits.PrimaryHDU()
    for name, value in {"TGROUP": 3.0, "TFRAME": 3.0, "NFRAMES": 1, "INSTRUME": "NIRCAM"}.items():
        first.header[name] = value
    with path.open("wb") as file:
        file.write(first.header.tostring().encode())
        for name, dtype in (("SCI", ">f4"), ("GROUPDQ", "u1")):
            hdu = fits.ImageHDU(np.broadcast_to(np.zeros((), dtype), shape), name=name)
            file.write(hdu.header.tostring().encode())
            file.truncate(file.seek(-(-hdu.data.nbytes // 2880) * 2880, 1))
    return path


def growth(tmp_path, max_memory, script=SCRIPT):
    """Return by how many bytes the peak memory of a process grows with the large file."""
    sparse(tmp_path / "small_jump.fits", (2, *SHAPE[1:]))
    path = sparse(tmp_path / "large_jump.fits", SHAPE)
    if script is REPORTS:
        add_jumps(path)
    command = [sys.executable, "-W", "ignore", "-c", script, path, tmp_path / f"out{max_memory}", max_memory]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def add_jumps(path):
    """Flag a jump in a tenth of the samples."""
    with fits.open(path, mode="update", memmap=True) as hdulist:
        flags, chance = hdulist["GROUPDQ"].data, np.random.default_rng(1)
        for integration in flags[:, 1:]:
            integration[chance.random(integration.shape) < 0.1] = 4


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_peak_memory_is_bounded_by_the_budget(tmp_path):
    """In one piece it is that of the results and more."""
    results = SHAPE[0] * SHAPE[2] * SHAPE[3] * 20
    assert growth(tmp_path, "") > results
    assert growth(tmp_path, f"{48 * MIB}") < 64 * MIB < results


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_report_grows_neither_with_integrations_nor_with_jumps(tmp_path):
    pytest.importorskip("jinja2", reason="needs Jinja2, of the extra report")
    pytest.importorskip("matplotlib", reason="needs matplotlib, of the extra report")
    results = SHAPE[0] * SHAPE[2] * SHAPE[3] * 20
    assert growth(tmp_path, f"{48 * MIB}", REPORTS) < 96 * MIB < results
