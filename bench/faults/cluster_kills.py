"""Jobs of a Dask cluster, one worker of which is killed at a random time: the products must be those of this process.

By turns whole files are tasks, and the rows of one file. A scheduler and two workers run as processes of their own; a
new worker joins after each kill. Needs the extra dask.

python bench/faults/cluster_kills.py --runs 20
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from distributed import Client
from lines import say

from rampfit_numba import fit_files
from rampfit_numba.simulate import simulate_exposure, write_simulation

sys.path.append(str(Path(__file__).resolve().parents[1]))  # the folder above, with what all benchmarks share
from shared import from_tests

_DATE = re.compile(rb"DATE    = '[0-9T:.-]{23}'")
_REFERENCES = {"readnoise": 14.0, "gain": 1.8}
_WORKERS, _FILES, _PATIENCE = 2, 12, 200.0


def main() -> int:
    """Print how many runs were right; return 1 if any was not."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=20, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the times (default: %(default)s)")
    given = parser.parse_args()
    chance = random.Random(given.seed)  # noqa: S311  (chance, not secrecy)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [folder / f"f{number:02d}_jump.fits" for number in range(_FILES)]
        for number, path in enumerate(files):
            write_simulation(simulate_exposure(2, 10, 128, 128, seed=number), path)
        (folder / "cluster").mkdir()
        cluster = from_tests("clusters").Cluster(folder / "cluster")
        try:
            for _ in range(_WORKERS):
                cluster.add_worker()
            with Client(scheduler_file=str(cluster.file), timeout=_PATIENCE, set_as_default=False) as client:
                client.wait_for_workers(_WORKERS, timeout=_PATIENCE)
                right = sum([run(cluster, client, job, chance) for job in jobs(files, folder, client, given.runs)])
        finally:
            cluster.close()
    say(f"{right} of {given.runs} runs right")
    return 0 if right == given.runs else 1


class Job:
    """Some files, what this process makes of them, and the seconds that the cluster takes for it."""

    def __init__(self, name: str, files: list[Path], folder: Path, client: Client) -> None:
        self.name = name
        self._files = files
        self._folder = folder
        self.wanted = self.products()
        self.products(executor=client)  # each worker loads its machine code
        start = time.perf_counter()
        self.products(executor=client)
        self.took = time.perf_counter() - start

    def products(self, **how: Any) -> dict[str, bytes]:  # noqa: ANN401  (options)
        """Fit; return all that lies in the folder of the products then, without dates."""
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            fit_files(self._files, **_REFERENCES, output_dir=name, **how)
            return {path.name: _DATE.sub(b"", path.read_bytes()) for path in Path(name).iterdir()}


def jobs(files: list[Path], folder: Path, client: Client, runs: int) -> list[Job]:
    """Return the jobs, one for each run."""
    large = folder / "large_jump.fits"
    write_simulation(simulate_exposure(2, 40, 512, 512, seed=1), large)
    both = [Job("files", files, folder, client), Job("rows of a file", [large], folder, client)]
    return [both[number % len(both)] for number in range(runs)]


def run(cluster: Any, client: Client, job: Job, chance: random.Random) -> bool:  # noqa: ANN401  (of the tests)
    """Kill a worker while the job is done; say what has become of it, and let another worker join."""
    victim = chance.choice(cluster.workers)
    delay = chance.uniform(0, job.took)
    ended = threading.Event()
    killed = []

    def kill() -> None:
        if not ended.wait(delay):
            victim.kill()
            killed.append(victim)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        found, complaint = job.products(executor=client), "other products"
    except Exception as error:  # noqa: BLE001  (whatever is raised is a finding)
        found, complaint = {}, f"{type(error).__name__}: {error}"
    ended.set()
    killer.join()
    right = found == job.wanted
    say(f"{job.name:15} a worker killed after {delay:4.2f} of {job.took:4.2f} s{'' if killed else ', too late'}: "
        f"{'right' if right else complaint}")  # fmt: skip
    if killed:
        victim.wait()
        cluster.workers.remove(victim)
        cluster.add_worker()
    cluster.wait_for(lambda: len(client.nthreads()) == _WORKERS)
    return right


if __name__ == "__main__":
    sys.exit(main())
