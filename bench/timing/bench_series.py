"""Long time series: seconds and peak memory from arrays and from a file, of this checkout and of another one.

Each figure is from a process of its own, the quickest of several, after a first fit in each that loads the machine
code. The file stands in the system's cache. ``python bench/timing/bench_series.py --before OLD_CHECKOUT`` needs 10 GB
of disk.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

ROOT = Path(__file__).parents[2]
MIB = 1 << 20
#: Share of the samples that are flagged as jumps.
_HITS = 0.002
_PIXELS = 16
#: What a child runs: it prints the seconds of the fit, and its peak memory in bytes.
CHILD = """
import resource, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np
from rampfit_numba import Exposure, fit_file, fit_ramps, read_exposure
kind, path, folder, options = sys.argv[1], sys.argv[2], sys.argv[3], eval(sys.argv[4])
run = {name: value for name, value in options.items() if name not in ("max_memory", "nints")}
fit_file(path.replace("series_jump", "first_jump"), 14.0, 1.8, output_dir=folder, overwrite=True, **run)
if kind == "arrays":
    found = read_exposure(path)
    exposure = Exposure(np.array(found.data), np.array(found.groupdq), found.group_time)
    begin = time.perf_counter()
    fit_ramps(exposure, 14.0, 1.8, **run)
elif kind == "reading":
    found = read_exposure(path)
    begin = time.perf_counter()
    np.array(found.data), np.array(found.groupdq)
elif kind == "few":
    shape = (options.pop("nints"), 6, 1, 16)
    rng = np.random.default_rng(1)
    ramps = (80 * np.arange(6.0)[:, None, None] + rng.normal(0, 12, shape)).astype("f4")
    fit_ramps(Exposure(ramps[:50], None, 3.0), 14.0, 1.8, **options)
    begin = time.perf_counter()
    fit_ramps(Exposure(ramps, None, 3.0), 14.0, 1.8, **options)
else:
    begin = time.perf_counter()
    fit_file(path, 14.0, 1.8, output_dir=folder, overwrite=True, **options)
print(time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def make_file(path: Path, shape: tuple[int, ...]) -> Path:
    """Write an exposure of noisy ramps, integration by integration."""
    nints, ngroups, *_ = shape
    random = np.random.default_rng(1)
    ramps = 80 * np.arange(ngroups)[:, None, None] + random.normal(0, 10, shape[1:])
    flags = np.where(random.random(shape[1:]) < _HITS, 4, 0).astype("u1")
    first = fits.PrimaryHDU()
    first.header.update({"TGROUP": 0.9, "TFRAME": 0.9, "NFRAMES": 1, "INSTRUME": "NIRSPEC"})
    with path.open("wb") as file:
        file.write(first.header.tostring().encode())
        for name, plane in (("SCI", ramps.astype(">f4")), ("GROUPDQ", flags)):
            hdu = fits.ImageHDU(np.broadcast_to(np.zeros((), plane.dtype), shape), name=name)
            file.write(hdu.header.tostring().encode())
            for i in range(nints):
                file.write(np.roll(plane, i, axis=-1).tobytes())
            file.write(bytes(-(nints * plane.nbytes) % 2880))
    return path


def run(checkout: Path, kind: str, path: Path, options: dict[str, Any], tries: int) -> tuple[float, float]:
    """Return the fewest seconds, and the most memory, of some tries."""
    seconds, peaks = [], []
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        for _ in range(tries):
            command = [sys.executable, "-c", CHILD, kind, str(path), folder, repr(options)]
            environment = os.environ | {"PYTHONPATH": str(checkout)}
            output = subprocess.run(  # noqa: S603
                command, env=environment, cwd=folder, check=True, capture_output=True, text=True
            ).stdout
            time, peak = map(float, output.split())
            seconds.append(time)
            peaks.append(peak)
    return min(seconds), max(peaks)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, help="another checkout, for the first column")
    parser.add_argument("--folder", type=Path, help="where the files are made (default: a temporary one)")
    parser.add_argument("--tries", type=int, default=2)
    parser.add_argument("--rows", default="", help="only rows whose label contains this")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        folder = Path(name)
        make_file(folder / "first_jump.fits", (4, 6, 8, 64))
        two_threads = {"maximum_cores": 2, "executor": "threads"}
        rows: list[tuple[str, int, str, dict[str, Any]]] = [
            ("2000x6x64x512 arrays, one worker", 2000, "arrays", {}),
            ("2000x6x64x512 arrays, 2 threads", 2000, "arrays", two_threads),
            ("2000x6x64x512 reading alone", 2000, "reading", {}),
            ("2000x6x64x512 file, one worker", 2000, "file", {}),
            ("2000x6x64x512 file, 2 threads", 2000, "file", two_threads),
            ("2000x6x64x512 file, 2 processes", 2000, "file", {"maximum_cores": 2, "executor": "processes"}),
            ("2000x6x64x512 file, max_memory 256 MiB", 2000, "file", {"max_memory": "256 MiB"}),
            ("4000x6x64x512 file, max_memory 256 MiB", 4000, "file", {"max_memory": "256 MiB"}),
            *(
                (f"{nints}x6x1x16 {algorithm}, ns a ramp", 0, "few", {"nints": nints, "algorithm": algorithm})
                for algorithm in ("ols", "likely", "likely_joint")
                for nints in (500, 70_000)
            ),
        ]
        checkouts = ([("before", chosen.before)] if chosen.before else []) + [("after", ROOT)]
        print(f"{'':46s}" + "".join(f"{heading:>24s}" for heading, _ in checkouts))
        made = 0
        for label, nints, kind, options in rows:
            if chosen.rows not in label:
                continue
            path = folder / "series_jump.fits"
            if nints and nints != made:
                make_file(path, (nints, 6, 64, 512))
                made = nints
            figures = []
            for heading, checkout in checkouts:
                # Other checkouts than this one may not know the option.
                known = {key: value for key, value in options.items() if heading == "after" or key != "max_memory"}
                seconds, peak = run(checkout, kind, path, known, chosen.tries)
                per_ramp = (
                    f"{seconds / (16 * int(options['nints'])) * 1e9:.0f} ns" if kind == "few" else f"{seconds:.2f} s"
                )  # type: ignore[call-overload]
                figures.append(f"{per_ramp}, {peak / MIB:.0f} MiB")
            print(f"{label:46s}" + "".join(f"{figure:>24s}" for figure in figures), flush=True)


if __name__ == "__main__":
    main()
