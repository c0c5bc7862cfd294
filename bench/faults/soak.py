"""Many fits in one process: alternating shapes, algorithms and executors, with nothing that grows.

python bench/faults/soak.py --fits 500
"""

from __future__ import annotations

import argparse
import sys
from itertools import cycle, islice, product
from pathlib import Path

import numpy as np

from rampfit_numba import Exposure, fit_ramps

SHAPES = ((1, 6, 64, 64), (3, 9, 40, 130), (2, 12, 128, 96))
KINDS = (("none", None), (2, "threads"), (2, "processes"))
ALGORITHMS = ("ols", "likely")
_HIT = 0.01  # share of samples
#: What may be more at the end than after the first quarter: MiB of memory that is not shared, and things with a number.
GROWTH = {"memory": 24.0, "descriptors": 0, "semaphores": 0, "threads": 0, "children": 0}


def main() -> int:
    """Print a line now and then; return 1 if anything has grown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--fits", type=int, default=500, help="how many (default: %(default)s)")
    given = parser.parse_args()
    chance = np.random.default_rng(1)
    exposures = []
    for shape in SHAPES:
        ramps = np.cumsum(chance.poisson(60.0, shape), axis=1).astype(np.float32)
        exposures.append(Exposure(ramps, np.where(chance.random(shape) < _HIT, 4, 0).astype(np.uint8), 3.0))
    # Shapes come in the same turn with every kind and algorithm, so that a quarter has seen all of them.
    turns = cycle(product(ALGORITHMS, KINDS, exposures))
    after = max(len(ALGORITHMS) * len(KINDS) * len(exposures), given.fits // 4)
    bits: dict[int, bytes] = {}
    early: dict[str, float] = {}
    for number, (algorithm, (cores, executor), exposure) in enumerate(islice(turns, given.fits), 1):
        fit = fit_ramps(exposure, 12.0, 2.0, algorithm=algorithm, maximum_cores=cores, executor=executor)
        key = hash((algorithm, exposure.shape))
        if bits.setdefault(key, fit.rate.data.tobytes()) != fit.rate.data.tobytes():
            say(f"fit {number} ({algorithm}, {executor}) has other bits")
            return 1
        if number == after:
            early = take_stock()
        if number == after or number % 100 == 0 or number == given.fits:
            say(f"{number:5} fits: " + ", ".join(f"{name} {value:g}" for name, value in take_stock().items()))
    late = take_stock()
    grown = [name for name, allowed in GROWTH.items() if late[name] > early.get(name, late[name]) + allowed]
    say(f"grown: {', '.join(grown)}" if grown else "nothing has grown")
    return 1 if grown else 0


def take_stock() -> dict[str, float]:
    """Return what this process has, and what in /dev/shm is its own."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    tasks = list(Path("/proc/self/task").iterdir())
    children = [child for task in tasks for child in (task / "children").read_text(encoding="ascii").split()]
    maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    return {
        "memory": round(int(status["RssAnon"].split()[0]) / 1024, 1),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "semaphores": maps.count("/dev/shm/"),  # noqa: S108  (looked for, not used)
        "threads": len(tasks),
        "children": len(children),
    }


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
