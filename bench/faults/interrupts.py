"""A job of many files that gets Ctrl-C again and again, and is continued: it must end with all of its products.

They are those of a job that nobody interrupted, byte by byte but for their dates; at every interrupt each file has all
of its products or none, and nothing else lies in the folder. A job that was done before it got all of its interrupts is
compared, too, and begun anew.

python bench/faults/interrupts.py --files 300 --interrupts 10
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lines import say

from rampfit_numba.simulate import simulate_exposure, write_simulation

_DATE = re.compile(rb"DATE    = '[0-9T:.-]{23}'")
_PRODUCTS = ("rate", "rateints")
#: What a file takes, about: an interrupt comes while some of its run's part is left.
_SECONDS = 0.01
#: Of a run that was interrupted, as shells have it.
_INTERRUPTED = 130
#: For each interrupt at most, those that were done before it came with the others.
_RUNS = 20


def main() -> int:
    """Print what was seen; return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=300, help="how many (default: %(default)s)")
    parser.add_argument("--interrupts", type=int, default=10, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the times (default: %(default)s)")
    parser.add_argument("options", nargs="*", help="of rampfit, after --: those of workers, say")
    given = parser.parse_args()
    chance = random.Random(given.seed)  # noqa: S311  (chance, not secrecy)
    with tempfile.TemporaryDirectory() as name:
        job = _Job(Path(name), given.files, given.options)
        job.start("whole").wait()
        wanted = job.products("whole")
        runs = interrupted = 0
        while True:
            process = job.start("again")
            runs += 1
            if interrupted < given.interrupts:
                # So that each run has its part: some time after the first of the files that are to be fitted.
                job.wait_for_more("again", process)
                time.sleep(chance.uniform(0, _SECONDS * given.files / given.interrupts))
                process.send_signal(signal.SIGINT)
            status = process.wait()
            job.check_sets("again")
            if status == _INTERRUPTED:
                interrupted += 1
                continue
            found = job.products("again")
            enough = interrupted >= given.interrupts or runs >= _RUNS * given.interrupts
            if status != 0 or found != wanted or enough:
                break
            # On a busy computer a run may have done the rest before its interrupt comes.
            job.remove("again")
    right = sum(found.get(product) == content for product, content in wanted.items())
    say(
        f"{right} of {len(wanted)} products right after {interrupted} interrupts in {runs} runs; the last one ended "
        f"with status {status}"
    )
    return 0 if found == wanted and interrupted >= given.interrupts and status == 0 else 1


class _Job:
    """Copies of a small exposure, and the command that fits them."""

    def __init__(self, folder: Path, files: int, options: list[str]) -> None:
        self._folder = folder
        paths = write_simulation(simulate_exposure(1, 5, 64, 64, seed=1), folder / "f0_jump.fits")
        inputs = [folder / f"f{number}_jump.fits" for number in range(files)]
        for path in inputs[1:]:
            shutil.copy(inputs[0], path)
        references = [f"--{kind}={path}" for kind in ("gain", "readnoise") for path in paths if kind in path.name]
        self._command = [sys.executable, "-m", "rampfit_numba", *map(str, inputs), *references, *options]

    def start(self, output: str) -> subprocess.Popen[bytes]:
        """Begin, or go on."""
        words = ["--output-dir", str(self._folder / output), "--skip-existing", "--quiet"]
        return subprocess.Popen([*self._command, *words], stderr=subprocess.DEVNULL)  # noqa: S603  (our own)

    def products(self, output: str) -> dict[str, bytes]:
        """Return all that there is, without dates."""
        folder = self._folder / output
        return {path.name: _DATE.sub(b"", path.read_bytes()) for path in folder.iterdir()} if folder.exists() else {}

    def wait_for_more(self, output: str, process: subprocess.Popen[bytes]) -> None:
        """Wait until a product has come, or the process has ended."""
        there = self._count(output)
        while process.poll() is None and self._count(output) == there:
            time.sleep(0.002)

    def remove(self, output: str) -> None:
        """Have nothing done."""
        shutil.rmtree(self._folder / output)

    def check_sets(self, output: str) -> None:
        """Refuse a file with a part of its products, and what is no product."""
        names = {path.name for path in (self._folder / output).iterdir()}
        bases = {name.partition("_")[0] for name in names}
        if names != {f"{base}_{kind}.fits" for base in bases for kind in _PRODUCTS}:
            sys.exit(f"sets in parts, or files that are none of them: {sorted(names)}")

    def _count(self, output: str) -> int:
        folder = self._folder / output
        return sum(1 for _ in folder.glob("*_rate.fits")) if folder.exists() else 0


if __name__ == "__main__":
    sys.exit(main())
