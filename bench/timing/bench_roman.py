"""Roman's full frame, from file to image: time and memory, beside romancal's step where that is installed.

    python bench/timing/bench_roman.py [--size 4096] [--resultants 10]

Each is a process of its own, and reads and writes the same files.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from rampfit_numba.simulate.roman import FRAME_TIME, RomanSimulation, imaging_pattern, write_roman_simulation

_MIB = 2**20
_HITS = 0.01
_RUN = """
import json, resource, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np
{imports}
ready = time.perf_counter()
{run}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({{"seconds": time.perf_counter() - ready, "peak": peak}}))
"""
_OURS = (
    """
from rampfit_numba import fit_file, warm_up
from rampfit_numba.io.roman import plain_asdf
warm_up(["likely"])
with plain_asdf():
    pass
""",
    """
names = (f"{folder}/r_{name}.asdf" for name in ("linearity", "readnoise", "gain"))
fit_file(*names, output_dir=folder, overwrite=True, maximum_cores=int(sys.argv[2]), executor="threads")
""",
)
_THEIRS = (
    """
from roman_datamodels import datamodels
from romancal.ramp_fitting.ramp_fit_step import likely
""",
    """
image = likely(*(datamodels.open(f"{folder}/r_{name}.asdf") for name in ("linearity", "readnoise", "gain")))
image.meta.wcs = None
image.save(f"{folder}/theirs.asdf")
""",
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=4096, help="rows and columns")
    parser.add_argument("--resultants", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=2)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), chosen.resultants, chosen.size)
        pixels = chosen.size**2
        samples = chosen.resultants * pixels
        # Ramps and their flags, PIXELDQ, read noise, gain; seven planes of rate and of rateints, flags with the jumps.
        inputs, outputs = 5 * samples + 12 * pixels, 2 * 7 * 4 * pixels + samples
        shape = f"{chosen.resultants} x {chosen.size} x {chosen.size}"
        print(f"{shape}: inputs {inputs / _MIB:.0f} MiB, results of the fit {outputs / _MIB:.0f} MiB")
        cases = [("rampfit_numba, 1 worker", _OURS, 1), ("rampfit_numba, 2 threads", _OURS, 2)]
        if find_spec("romancal"):
            cases.append(("romancal, likely", _THEIRS, 1))
        for name, code, workers in cases:
            for _ in range(chosen.repeats if code is _OURS else 1):
                found = run(code, folder, workers)
                print(f"{name}: {found['seconds']:.1f} s, peak {found['peak'] / _MIB:.0f} MiB", flush=True)


def write(folder: Path, nresultants: int, size: int) -> None:
    """Write ramps with a hit in one per cent of the pixels, and their references."""
    rng = np.random.default_rng(1)
    pattern = imaging_pattern(nresultants)
    rate = rng.uniform(1, 50, (size, size)).astype(np.float32)
    data = np.empty((nresultants, size, size), np.float32)
    image = (size, size)
    hit = np.where(rng.random(image) < _HITS, rng.integers(1, nresultants, image), nresultants)
    for number, reads in enumerate(pattern):
        noise = rng.standard_normal((size, size), np.float32) * np.float32(7 / len(reads) ** 0.5)
        data[number] = rate * np.float32(np.mean(reads) * FRAME_TIME) + noise + np.float32(900) * (hit <= number)
    ones = np.ones(image, np.float32)
    flags = np.zeros((size, size), np.uint32)
    simulation = RomanSimulation(
        data, np.zeros(data.shape, np.uint8), flags, 7 * ones, 1.8 * ones, rate, pattern, FRAME_TIME, 1
    )
    start = time.perf_counter()
    write_roman_simulation(simulation, folder / "r_linearity.asdf")
    print(f"written in {time.perf_counter() - start:.1f} s")


def run(code: tuple[str, str], folder: str, workers: int) -> dict[str, float]:
    """Run a piece of code in a process of its own."""
    imports, call = code
    script = _RUN.format(imports=imports, run=f"folder = sys.argv[1]\n{call}")
    done = subprocess.run(  # noqa: S603  (this interpreter, and code of this file)
        [sys.executable, "-c", script, folder, str(workers)], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
