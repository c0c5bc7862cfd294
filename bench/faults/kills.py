"""Fits during which a worker process is killed at a random time: each must be right to the last bit.

python bench/faults/kills.py --runs 20
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import loky
import numpy as np
from lines import say

from rampfit_numba import Exposure, fit_ramps

loky.cpu_count = lambda *_, **__: 2  # two workers on any machine


def main() -> int:
    """Print how many runs were right; return 1 if any was not."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=20, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the times (default: %(default)s)")
    given = parser.parse_args()
    chance = random.Random(given.seed)  # noqa: S311  (chance, not secrecy)
    ramps = np.cumsum(np.random.default_rng(1).poisson(60.0, (10, 10, 256, 512)), axis=1).astype(np.float32)
    exposure = Exposure(ramps, None, 3.0)

    def fit() -> bytes:
        result = fit_ramps(exposure, 12.0, 2.0, maximum_cores=2, executor="processes")
        planes = (result.rate.data, result.rate.err, result.rate.dq, result.rateints.data, result.rateints.dq)
        return b"".join(plane.tobytes() for plane in planes)

    wanted = fit()
    start = time.perf_counter()
    fit()
    took = time.perf_counter() - start
    right = killed = 0
    for _ in range(given.runs):
        before = set(workers())
        timer = threading.Timer(chance.uniform(0, took), kill, [chance])
        timer.start()
        try:
            right += fit() == wanted
        except RuntimeError as error:
            say(str(error))
        timer.join()
        fit()  # an idle worker that was killed is noticed here, and the next run begins with two
        killed += before != set(workers())
    say(f"{right} of {given.runs} runs right, {killed} with a worker killed; a fit takes {took:.2f} s")
    return 0 if right == given.runs else 1


def workers() -> list[int]:
    """Return the worker processes of this one."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        try:
            children = (task / "children").read_text(encoding="ascii").split()
        except OSError:  # the thread has ended
            continue
        for child in children:
            try:
                if b"popen_loky" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
            except OSError:  # it has ended
                continue
    return sorted(found)


def kill(chance: random.Random) -> None:
    """Kill one of them."""
    if there := workers():
        with suppress(ProcessLookupError):  # it has ended
            os.kill(chance.choice(there), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
