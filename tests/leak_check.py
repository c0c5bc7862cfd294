"""What many calls in one process leave behind: file descriptors, names in /dev/shm, threads, processes, memory (Linux).

The calls go to two worker processes, from arrays of alternating shapes and from a FITS file. After the first ones,
which start the workers and fill what is kept from call to call, nothing may grow. Exit status 1 if something did.
"""

# ruff: noqa: T201  (a script prints)
from __future__ import annotations

import argparse
import gc
import os
import re
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from rampfit_numba import Exposure, fit_ramps, read_exposure

#: Calls before the first count.
WARM = 20
SHAPES = [(2, 10, 256, 258), (1, 6, 300, 512), (4, 5, 128, 516), (1, 20, 64, 64)]
MIB = 2**20
#: What may be more at the end than after the first calls, of everything that is counted. Memory: fragments of the
#: allocator's; 300 calls that each lost one result would lose 700 MiB.
ALLOWED = {
    "file descriptors": 0,
    "file descriptors of workers": 0,
    "names in /dev/shm": 0,
    "threads": 0,
    "processes": 0,
    "memory (MiB)": 24,
    "memory of workers (MiB)": 24,
}


def children() -> list[int]:
    """Return all descendants of this process."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text(encoding="utf-8")
        except OSError:  # it has ended meanwhile
            continue
        parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(folder.name))
    found, new = [], [os.getpid()]
    while new:
        new = [child for parent in new for child in parents.get(parent, [])]
        found += new
    return sorted(found)


def resident(process: int) -> float:
    """Return the private memory of a process that is resident, in MiB."""
    fields = re.findall(
        r"^Private_\w+:\s+(\d+) kB", Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8"), re.MULTILINE
    )
    return sum(map(int, fields)) * 1024 / MIB


def open_files(process: int | str) -> int:
    """Return how many file descriptors a process has."""
    return sum(1 for _ in Path(f"/proc/{process}/fd").iterdir())


def open_files_of(processes: list[int]) -> int:
    """Return how many file descriptors processes have together, each piece of shared memory counted once.

    A worker that had nothing to do for a while, on a busy machine, maps a piece later than the others: no leak.
    """
    others, pieces = 0, set()
    for process in processes:
        for entry in Path(f"/proc/{process}/fd").iterdir():
            try:
                target, inode = str(entry.readlink()), entry.stat().st_ino
            except OSError:  # closed meanwhile
                continue
            if target.startswith("/memfd:"):
                pieces.add(inode)
            else:
                others += 1
    return others + len(pieces)


def shared_names(processes: list[int]) -> set[str]:
    """Return the names in /dev/shm that `processes` made or have mapped; others may be at work on this machine."""
    folder = Path("/dev/shm")  # noqa: S108  (not a temporary file of ours)
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    maps = "".join(Path(f"/proc/{process}/maps").read_text(encoding="utf-8", errors="replace") for process in processes)
    return {
        name
        for name in names
        if f"{folder}/{name}" in maps or {int(n) for n in re.findall(r"\b\d+\b", name)} & set(processes)
    }


def count() -> dict[str, float]:
    """Count everything that could leak."""
    gc.collect()
    others = children()
    return {
        "file descriptors": open_files("self"),
        "file descriptors of workers": open_files_of(others),
        "names in /dev/shm": len(shared_names([os.getpid(), *others])),
        "threads": threading.active_count(),
        "processes": len(others),
        "memory (MiB)": resident(os.getpid()),
        "memory of workers (MiB)": sum(resident(process) for process in others),
    }


def exposures(folder: Path) -> list[Exposure | Path]:
    """Return exposures in memory, and a file with one."""
    from astropy.io import fits

    rng = np.random.default_rng(20240711)
    arrays: list[Exposure | Path] = []
    for shape in SHAPES:
        data = np.cumsum(rng.poisson(60.0, shape), axis=1).astype(np.float32)
        flags = rng.choice(np.array([0, 1, 2, 4], np.uint8), shape, p=[0.94, 0.02, 0.02, 0.02])
        arrays.append(Exposure(data, flags, 3.0))
    primary = fits.PrimaryHDU()
    primary.header.update({"INSTRUME": "NIRCAM", "TGROUP": 3.0, "TFRAME": 3.0, "NFRAMES": 1})
    sci, dq = (fits.ImageHDU(array, name=name) for array, name in ((data, "SCI"), (flags, "GROUPDQ")))
    fits.HDUList([primary, sci, dq]).writeto(folder / "leaks_jump.fits")
    return [*arrays, folder / "leaks_jump.fits"]


def main() -> int:
    """Run the calls and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=300, metavar="N", help=f"calls in all, more than {WARM}")
    parser.add_argument("--leak", action="store_true", help="open a file in each call: shows that it is noticed")
    arguments = parser.parse_args()
    if arguments.calls <= WARM:
        parser.error(f"--calls: expected more than {WARM}; got {arguments.calls}")
    if not sys.platform.startswith("linux"):
        parser.error("this script reads /proc, which only Linux has")
    import loky

    loky.cpu_count = lambda *_, **__: 2  # two workers on any machine
    leaked = []
    with tempfile.TemporaryDirectory() as folder:
        inputs = exposures(Path(folder))
        start, before = time.perf_counter(), {}
        for call in range(arguments.calls):
            one = inputs[call % len(inputs)]
            exposure = read_exposure(one) if isinstance(one, Path) else one
            fit_ramps(exposure, 12.0, 2.0, save_opt=call % 3 == 0, maximum_cores=2, executor="processes")
            if arguments.leak:
                leaked.append(os.open("/dev/null", os.O_RDONLY))
            if call == WARM - 1:
                del exposure
                before = count()
        del exposure
        after = count()
        seconds = time.perf_counter() - start
    print(f"{arguments.calls} calls, 2 worker processes, {len(SHAPES)} shapes in memory and a file: {seconds:.1f} s\n")
    print(f"{'':28} {f'after {WARM}':>10} {f'after {arguments.calls}':>10} {'allowed':>10}")
    grown = []
    for name, limit in ALLOWED.items():
        print(f"{name:28} {before[name]:10.0f} {after[name]:10.0f} {f'+{limit}':>10}")
        if after[name] - before[name] > limit:
            grown.append(name)
    print()
    print(f"LEAK: {', '.join(grown)}" if grown else "no leak")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
