"""What does a file of many cost? Ten exposures from files to products, with one and with two workers.

Beside it what reading one into memory, fitting one and writing its products (with fsync) take by themselves, one after
the other: with one worker a file of many should take little more than the slower of disk (reading and writing) and fit.
All calls are warm ones, of one process for each contender; `the command` is a fresh process. The files are in the page
cache. ``--old CHECKOUT`` has another checkout of the package fit the same files in turn.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[2]
_FILES = 10


def serve(folder: str) -> None:
    """Fit the files in a folder as often as a line with ``maximum_cores`` and ``executor`` comes in; seconds go out."""
    from rampfit_numba import fit_files

    place = Path(folder)
    files = sorted(place.glob("*_jump.fits"))
    references = place / "bench_readnoise.fits", place / "bench_gain.fits"
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        cores, executor = json.loads(line)
        with tempfile.TemporaryDirectory(dir=place) as out:
            start = time.perf_counter()
            fit_files(files, *references, output_dir=out, maximum_cores=cores, executor=executor)
            print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)


if __name__ == "__main__" and sys.argv[1:2] == ["--serve"]:
    # Before this checkout's own modules are imported: another one's package is to be used.
    serve(sys.argv[2])
    sys.exit()

from common import STANDARD, Contender, Times, interleave, parse_arguments, shape_text, warm_up  # noqa: E402
from reporting import Report  # noqa: E402
from shared import Table  # noqa: E402


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


def make_files(folder: Path, shape: tuple[int, int, int, int]) -> list[Path]:
    """Write an exposure, its references, and its copies."""
    from rampfit_numba.simulate import simulate_exposure, write_simulation

    first, _, _ = write_simulation(simulate_exposure(*shape, seed=1), folder / "bench_jump.fits")
    return [first, *(Path(shutil.copy(first, folder / f"bench{n}_jump.fits")) for n in range(1, _FILES))]


def stages(folder: Path, files: list[Path], repeats: int) -> dict[str, Times]:
    """Time reading, fitting and writing by themselves, each for all files; return the seconds of one file."""
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

    contenders = [Contender("read", read), Contender("fit", compute), Contender("write", write)]
    warm_up(contenders)
    times = interleave(contenders, repeats)
    return {name: Times([seconds / len(files) for seconds in t.seconds]) for name, t in times.items()}


def command(checkout: Path, folder: Path, *words: str) -> float:
    """Return the seconds of the whole command for all files."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        files = map(str, sorted(folder.glob("*_jump.fits")))
        options = ["--readnoise", str(folder / "bench_readnoise.fits"), "--gain", str(folder / "bench_gain.fits")]
        line = [sys.executable, "-m", "rampfit_numba", *files, *options, "--output-dir", out, "--quiet", *words]
        start = time.perf_counter()
        subprocess.run(line, env=os.environ | {"PYTHONPATH": str(checkout)}, check=True)  # noqa: S603
        return time.perf_counter() - start


def main() -> None:
    """Compare checkouts, workers and stages."""
    old = "--old", {"type": Path, "metavar": "CHECKOUT", "help": "another checkout of the package, to compare with"}
    arguments = parse_arguments(__doc__ or "", 5, old)
    report = Report("files", arguments)
    shape = STANDARD.shrunk(quick=arguments.quick).shape
    checkouts = {"": PACKAGE} | ({"before, ": arguments.old.resolve()} if arguments.old else {})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = make_files(folder, shape)
        parts = stages(folder, files, arguments.repeats)
        servers = {label: Server(checkout, folder) for label, checkout in checkouts.items()}
        ways: list[tuple[str, int, str | None]] = [("one worker", 1, None), ("two workers", 2, None)]
        ways += [(f"two {kind}", 2, kind) for kind in ("threads", "processes")]
        contenders = [
            Contender(f"{label}{way}", lambda s=server, c=cores, k=kind: s.fit(c, k))
            for way, cores, kind in ways
            for label, server in servers.items()
        ]
        warm_up(contenders)
        times = interleave(contenders, arguments.repeats)
        for server in servers.values():
            server.close()
        fresh = interleave(
            [
                Contender(f"{label}the command, {way}", lambda c=checkout, w=words: command(c, folder, *w))
                for way, words in (("one worker", ()), ("two workers", ("--maximum-cores", "2")))
                for label, checkout in checkouts.items()
            ],
            arguments.repeats,
        )
    disk = Times([read + write for read, write in zip(parts["read"].seconds, parts["write"].seconds, strict=True)])
    slower = max(disk, parts["fit"], key=lambda t: t.median)
    rows = [[label, t.text(unit="ms"), ""] for label, t in (parts | {"disk: read and write": disk}).items()]
    for label, t in (times | fresh).items():
        each = Times([seconds / _FILES for seconds in t.seconds])
        rows.append([f"{label}: {_FILES} files", each.text(unit="ms"), each.ratio(slower)])
    title = f"A file of {_FILES}, {shape_text(shape)}: ms, minimum (median)"
    report.tables.append(Table(title, ["", "time", "times the slower of disk and fit"], rows))
    report.keep("stages", parts)
    report.keep("files", times | fresh)
    report.finish()


if __name__ == "__main__":
    main()
