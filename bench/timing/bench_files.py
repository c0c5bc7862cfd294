"""What does a file of many cost? Exposures from files to products, with one worker and with two.

``--part one``: ten exposures, and in the same rounds what reading one into memory, fitting one and writing its
products (with fsync) take by themselves, one after the other: with one worker a file of many should take little more
than the slower of disk (reading and writing) and fit. ``large`` and ``small``: one worker, two as the package
decides, two threads and two processes in turn, and two threads for the rows of one file after the other, for ten
exposures of 2 x 20 x 1024 x 1032 and for sixty of 1 x 5 x 64 x 64. ``command``: a fresh process. Calls of the other
parts are warm ones, of one process for each checkout. The files are in the page cache; where they stand, TMPDIR says.
``--old CHECKOUT`` has another checkout of the package fit the same files in turn.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[2]
_FILES, _SMALL_FILES = 10, 60


def serve(folder: str) -> None:
    """Fit the files in a folder as often as a line with ``maximum_cores`` and ``executor`` comes in; seconds go out."""
    from rampfit_numba import fit_files

    place = Path(folder)
    files = sorted(place.glob("*_jump.fits"))
    references = place / "bench_readnoise.fits", place / "bench_gain.fits"
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        cores, executor = json.loads(line)
        with ThreadPoolExecutor(cores) as threads, tempfile.TemporaryDirectory(dir=place) as out:
            # Whoever brings an executor has the rows of one file after the other fitted there.
            where = threads if executor == "rows" else executor
            start = time.perf_counter()
            fit_files(files, *references, output_dir=out, maximum_cores=cores, executor=where)
            print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)


if __name__ == "__main__" and sys.argv[1:2] == ["--serve"]:
    # Before this checkout's own modules are imported: another one's package is to be used.
    serve(sys.argv[2])
    sys.exit()

from common import (  # noqa: E402
    STANDARD,
    Contender,
    Exposed,
    Times,
    interleave,
    parse_arguments,
    part_option,
    shape_text,
    warm_up,
)
from reporting import Report  # noqa: E402
from shared import Table  # noqa: E402

SMALL = Exposed("1x5", "one ramp in 100 hit", (1, 5, 64, 64))


class Server:
    """A process that fits the files with the package of a checkout."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        self._process = subprocess.Popen(  # noqa: S603  (our own script)
            [sys.executable, str(Path(__file__).resolve()), "--serve", str(folder)],
            env=os.environ | {"PYTHONPATH": str(checkout)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def fit(self, cores: int, executor: str | None) -> float:
        """Fit all files and return the seconds."""
        assert self._process.stdin is not None
        print(json.dumps([cores, executor]), file=self._process.stdin, flush=True)
        return float(self._answer()["seconds"])

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit("a process that fits files ended early")
        found: dict[str, Any] = json.loads(line)
        return found


def make_files(folder: Path, shape: tuple[int, int, int, int], count: int = _FILES) -> list[Path]:
    """Write an exposure, its references, and its copies."""
    from rampfit_numba.simulate import simulate_exposure, write_simulation

    first, _, _ = write_simulation(simulate_exposure(*shape, seed=1), folder / "bench_jump.fits")
    return [first, *(Path(shutil.copy(first, folder / f"bench{n}_jump.fits")) for n in range(1, count))]


def stages(folder: Path, files: list[Path]) -> list[Contender]:
    """Return reading, fitting and writing by themselves, each for all files."""
    from rampfit_numba import fit_ramps, read_exposure, read_reference, write_products

    noise, gain = folder / "bench_readnoise.fits", folder / "bench_gain.fits"
    opened = [read_exposure(path) for path in files]
    references = [read_reference(path, opened[0], name).data for path, name in ((noise, "readnoise"), (gain, "gain"))]
    fit = fit_ramps(opened[0], *references)
    room = bytearray(16 << 20)

    def read() -> None:
        for path in files:
            read_exposure(path)
            with path.open("rb", buffering=0) as file:
                while file.readinto(room):
                    pass

    def compute() -> None:
        for exposure in opened:
            fit_ramps(exposure, *references)

    def write() -> float:
        with tempfile.TemporaryDirectory(dir=folder) as out:
            start = time.perf_counter()
            for path in files:
                write_products(fit, out, path)
            return time.perf_counter() - start

    return [Contender("read", read), Contender("fit", compute), Contender("write", write)]


def command(checkout: Path, folder: Path, *words: str) -> float:
    """Return the seconds of the whole command for all files."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        files = map(str, sorted(folder.glob("*_jump.fits")))
        options = ["--readnoise", str(folder / "bench_readnoise.fits"), "--gain", str(folder / "bench_gain.fits")]
        line = [sys.executable, "-m", "rampfit_numba", *files, *options, "--output-dir", out, "--quiet", *words]
        start = time.perf_counter()
        subprocess.run(line, env=os.environ | {"PYTHONPATH": str(checkout)}, check=True)  # noqa: S603
        return time.perf_counter() - start


WAYS = {
    "one worker": (1, None),
    "two workers, as decided": (2, None),
    "two threads": (2, "threads"),
    "two processes": (2, "processes"),
    "two threads, rows of one file": (2, "rows"),
}


def measure(
    part: str, shape: tuple[int, int, int, int], count: int, checkouts: dict[str, Path], repeats: int
) -> tuple[dict[str, Times], Times | None]:
    """Return the times of a file, and those of the slower of disk and fit where that is measured."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = make_files(folder, shape, count)
        if part == "command":
            words = {"one worker": (), "two workers": ("--maximum-cores", "2")}
            contenders = [
                Contender(f"{label}{way}", lambda c=checkout, w=typed: command(c, folder, *w))
                for way, typed in words.items()
                for label, checkout in checkouts.items()
            ]
            return _of_one(interleave(contenders, repeats), count), None
        servers = {label: Server(checkout, folder) for label, checkout in checkouts.items()}
        ways = {"one worker": WAYS["one worker"]} if part == "one" else WAYS
        contenders = [
            Contender(f"{label}{way}", lambda s=server, c=cores, k=kind: s.fit(c, k))
            for way, (cores, kind) in ways.items()
            for label, server in servers.items()
        ]
        if part == "one":
            contenders = [*stages(folder, files), *contenders]
        warm_up(contenders)
        found = _of_one(interleave(contenders, repeats), count)
        for server in servers.values():
            server.close()
    if part != "one":
        return found, None
    both = zip(found["read"].seconds, found["write"].seconds, strict=True)
    found["disk: read and write"] = Times([read + write for read, write in both])
    # Of the same round: what disturbs one of them need not have disturbed the other one's best.
    rounds = zip(found["disk: read and write"].seconds, found["fit"].seconds, strict=True)
    found["slower of disk and fit"] = Times([max(both) for both in rounds])
    return found, found["slower of disk and fit"]


def _of_one(times: dict[str, Times], count: int) -> dict[str, Times]:
    return {name: Times([seconds / count for seconds in t.seconds]) for name, t in times.items()}


def main() -> None:
    """Compare stages, workers and checkouts."""
    old = "--old", {"type": Path, "metavar": "CHECKOUT", "help": "another checkout of the package, to compare with"}
    parts = {"one": STANDARD, "large": STANDARD, "small": SMALL, "command": STANDARD}
    arguments = parse_arguments(__doc__ or "", 5, old, part_option(parts))
    report = Report("files", arguments)
    checkouts = {"": PACKAGE} | ({"before, ": arguments.old.resolve()} if arguments.old else {})
    for part in [arguments.part] if arguments.part else parts:
        shape = parts[part].shrunk(quick=arguments.quick).shape
        count = _SMALL_FILES if part == "small" and not arguments.quick else _FILES
        times, slower = measure(part, shape, count, checkouts, arguments.repeats)
        beside = slower or times["one worker"]
        rows = [[label, t.text(unit="ms"), t.ratio(beside)] for label, t in times.items()]
        title = f"{part}: a file of {count}, {shape_text(shape)}: minimum (median), ms"
        than = "times the slower of disk and fit" if slower else "times one worker"
        report.tables.append(Table(title, ["", "time", than], rows))
        report.keep(part, times)
    report.finish()


if __name__ == "__main__":
    main()
