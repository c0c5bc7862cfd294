"""Many fits in one process: alternating shapes, algorithms, executors and files, with nothing that grows.

python bench/faults/soak.py --fits 500
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from contextlib import suppress
from itertools import cycle, islice, product
from pathlib import Path

import loky
import numpy as np
from astropy.io import fits
from lines import say

from rampfit_numba import Exposure, fit_files, fit_ramps, warm_up

loky.cpu_count = lambda *_, **__: 2  # two workers on any machine
SHAPES = ((1, 6, 64, 64), (3, 9, 40, 130), (2, 12, 128, 96))
KINDS = (("none", None), (2, "threads"), (2, "processes"))
ALGORITHMS = ("ols", "likely")
_HIT = 0.01  # share of samples
_FILES = 4
_PATIENCE = 20.0  # s in which what comes and goes, as a thread does, must have gone
#: What may be more at the end than after the first quarter: MiB of memory that is not shared, things with a number, and
#: seconds that threads of the workers took which fit nothing. One thread comes and goes: the timer that lets memory go.
GROWTH = {"memory": 24.0, "descriptors": 0, "semaphores": 0, "threads": 1, "children": 0, "shm": 0, "idle_seconds": 1.0}


def main() -> int:
    """Print a line now and then; return 1 if anything has grown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--fits", type=int, default=500, help="how many (default: %(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return soak(given.fits, Path(folder))


def soak(count: int, folder: Path) -> int:
    """Do so many fits; return 1 if anything has grown, or has other bits."""
    chance = np.random.default_rng(1)
    inputs: list[Exposure | list[Path]] = []
    for shape in SHAPES:
        ramps = np.cumsum(chance.poisson(60.0, shape), axis=1).astype(np.float32)
        inputs.append(Exposure(ramps, np.where(chance.random(shape) < _HIT, 4, 0).astype(np.uint8), 3.0))
    inputs.append(write_files(inputs[0], folder))
    # Shapes come in the same turn with every kind and algorithm, so that a quarter has seen all of them.
    turns = cycle(product(ALGORITHMS, KINDS, enumerate(inputs)))
    after = max(len(ALGORITHMS) * len(KINDS) * len(inputs), count // 4)
    # What waits for another call must not wait for a compilation meanwhile: on a busy machine it would be let go.
    warm_up(ALGORITHMS)
    bits: dict[tuple[str, int], bytes] = {}
    early: dict[str, float] = {}
    for number, (algorithm, (cores, executor), (which, item)) in enumerate(islice(turns, count), 1):
        options = {"algorithm": algorithm, "maximum_cores": cores, "executor": executor}
        rate = (
            fit_ramps(item, 12.0, 2.0, **options).rate.data if which < len(SHAPES) else rate_of(item, folder, options)
        )
        if bits.setdefault((algorithm, which), rate.tobytes()) != rate.tobytes():
            say(f"fit {number} ({algorithm}, {executor}) has other bits")
            return 1
        if number == after:
            early = take_stock()
        if number in {after, count} or number % 100 == 0:
            say(f"{number:5} fits: " + ", ".join(f"{name} {value:g}" for name, value in take_stock().items()))
    end = time.monotonic() + _PATIENCE
    while True:
        late = take_stock()
        grown = [name for name, allowed in GROWTH.items() if late[name] > early.get(name, late[name]) + allowed]
        if not grown or time.monotonic() > end:
            break
        time.sleep(0.2)
    say(f"grown: {', '.join(grown)}" if grown else "nothing has grown")
    return 1 if grown else 0


def write_files(exposure: Exposure, folder: Path) -> list[Path]:
    """Write an exposure to files, enough of them that two workers each take several."""
    first = fits.PrimaryHDU()
    nints, ngroups = exposure.shape[:2]
    first.header.update(TELESCOP="JWST", INSTRUME="NIRCAM", EXP_TYPE="NRC_IMAGE", NINTS=nints, NGROUPS=ngroups)
    first.header.update(NFRAMES=1, GROUPGAP=0, TGROUP=3.0, TFRAME=3.0)
    images = [fits.ImageHDU(exposure.data, name="SCI"), fits.ImageHDU(exposure.groupdq, name="GROUPDQ")]
    images.append(fits.ImageHDU(np.zeros(exposure.shape[2:], np.int32), name="PIXELDQ"))
    files = [folder / f"f{number}_jump.fits" for number in range(_FILES)]
    for file in files:
        fits.HDUList([first, *images]).writeto(file)
    return files


def rate_of(files: list[Path], folder: Path, options: dict[str, object]) -> np.ndarray:
    """Fit files, and return the rate that the last one's product holds."""
    results = fit_files(files, 12.0, 2.0, output_dir=folder / "out", overwrite=True, **options)
    with fits.open(results[-1].products[0]) as hdulist:
        return np.array(hdulist["SCI"].data)


def take_stock() -> dict[str, float]:
    """Return what this process has, and what in /dev/shm is its own."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    tasks = list(Path("/proc/self/task").iterdir())
    children = [child for task in tasks for child in children_of(task)]
    maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    names = [path.name for path in Path("/dev/shm").iterdir()]  # noqa: S108  (looked at, not used)
    return {
        "memory": round(int(status["RssAnon"].split()[0]) / 1024, 1),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "semaphores": maps.count("/dev/shm/"),  # noqa: S108  (looked for, not used)
        "threads": len(tasks),
        "children": len(children),
        "shm": sum(os.getpid() in map(int, re.findall(r"\d+", name)) for name in names),
        "idle_seconds": round(sum(map(idle_seconds, children)), 2),
    }


def children_of(task: Path) -> list[str]:
    """Return the processes that a thread has started."""
    try:
        return (task / "children").read_text(encoding="ascii").split()
    except OSError:  # it has ended
        return []


def idle_seconds(process: str) -> float:
    """Return the processor time of a worker's threads but its first one, which fits: those of BLAS among them."""
    found = 0.0
    with suppress(OSError):  # the process has ended
        for task in Path(f"/proc/{process}/task").iterdir():
            if task.name != process:
                with suppress(OSError):  # the thread has ended
                    times = (task / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]
                    found += sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
    return found


if __name__ == "__main__":
    sys.exit(main())
