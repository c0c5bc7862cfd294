"""How much memory does a file take? The peaks of ``rampfit FILE``, of stcal and of the pipeline's step.

Counted over the process and all its children, while they run. Own memory is what costs: all anonymous pages, and shared
memory once (that of the process that holds most of it, the one in which the others' segments come together). Pages of
mapped files, libraries included, belong to the system's page cache, which drops them when memory is short: they are
shown apart, and those in several processes count in each. stcal runs on native arrays that were read from the file with
astropy, and writes nothing; ``rampfit`` and the pipeline's step write their products.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from common import (
    CHILDREN,
    MIB,
    STANDARD,
    parse_arguments,
    reference_path,
    shape_text,
)
from reporting import Report
from shared import Table

_INTERVAL = 0.001
#: What an idle process of each kind holds is measured on this exposure.
_TINY = (2, 20, 16, 40)
_VERSION = "from importlib.metadata import version; print(version('jwst'))"


@dataclass(frozen=True)
class Peak:
    """Largest values seen, in bytes: own memory and mapped files' pages of all processes, resident set of the first."""

    own: int = 0
    files: int = 0
    resident: int = 0

    def larger(self, other: Peak) -> Peak:
        """Return the larger values of two."""
        return Peak(*map(max, zip(self.values(), other.values(), strict=True)))

    def values(self) -> tuple[int, int, int]:
        """Return the three numbers."""
        return self.own, self.files, self.resident


def watch(command: list[str]) -> Peak:
    """Run a command and return its peaks; all but the kernel's own high-water mark (VmHWM) are sampled."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603  (our own commands)
        peak = Peak()
        while True:
            pid, status = os.waitpid(process.pid, os.WNOHANG)
            if pid:
                break
            peak = peak.larger(_sample(process.pid))
            time.sleep(_INTERVAL)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            sys.exit(f"{' '.join(command)} failed:\n{output.read().decode(errors='replace')}")
    return peak


def _sample(root: int) -> Peak:
    # status costs the watched process nothing; smaps_rollup would stop it while all of its pages are counted.
    found = [_fields(_read(Path(f"/proc/{pid}/status"))) for pid in [root, *_descendants(root)]]
    own, shared, files = ([fields.get(name, 0) for fields in found] for name in ("RssAnon", "RssShmem", "RssFile"))
    # Not wait4's ru_maxrss: a child inherits that of the process that started it.
    return Peak(sum(own) + max(shared), sum(files), found[0].get("VmHWM", 0))


def _descendants(pid: int) -> list[int]:
    """Return the processes that a process started, and theirs."""
    found = []
    for thread in _listed(Path(f"/proc/{pid}/task")):
        for child in _read(thread / "children").split():
            found += [int(child), *_descendants(int(child))]
    return found


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # it has ended
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:  # it has ended
        return ""


def _fields(text: str) -> dict[str, int]:
    pairs = (line.split()[:2] for line in text.splitlines() if line.endswith(" kB"))
    return {name.rstrip(":"): int(value) * 1024 for name, value in pairs}


def commands(path: Path, folder: Path, jwst: str) -> dict[str, list[str]]:
    """Return what is compared, on one file."""
    references = [word for name in ("readnoise", "gain") for word in (f"--{name}", str(reference_path(path, name)))]
    rampfit = [
        sys.executable,
        "-m",
        "rampfit_numba",
        str(path),
        *references,
        "--output-dir",
        str(folder),
        "--overwrite",
    ]
    child = [str(CHILDREN)]
    found = {
        "rampfit FILE": rampfit,
        "rampfit FILE --save-opt": [*rampfit, "--save-opt"],
        "rampfit FILE --maximum-cores 2": [*rampfit, "--maximum-cores", "2"],
        "rampfit FILE --maximum-cores 2 --executor processes": [
            *rampfit,
            "--maximum-cores",
            "2",
            "--executor",
            "processes",
        ],
        "stcal, one core": [sys.executable, *child, "reference", str(path), "none"],
        "stcal, its pool of 2": [sys.executable, *child, "reference", str(path), "2"],
    }
    if jwst:
        version = subprocess.run([jwst, "-c", _VERSION], check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603
        for cores, workers in (("none", "one core"), ("2", "its pool of 2")):
            found[f"step of jwst {version}, {workers}"] = [jwst, *child, "step", str(path), cores]
    return found


def main() -> None:
    """Watch every command on the large exposure and on a tiny one, in turn."""
    if not Path("/proc/self/status").exists():
        sys.exit("bench_memory.py needs Linux: it reads /proc")
    interpreter = (
        "--jwst",
        {"metavar": "PYTHON", "default": "", "help": "an interpreter that has jwst (default: this one)"},
    )
    arguments = parse_arguments(__doc__ or "", 3, interpreter, quick_repeats=1)
    jwst = arguments.jwst or (sys.executable if importlib.util.find_spec("jwst") else "")
    arguments.given += ["--jwst PYTHON"] if arguments.jwst else []
    report = Report("memory", arguments)
    exposed = STANDARD.shrunk(quick=arguments.quick)
    shape = shape_text(exposed.shape)
    with tempfile.TemporaryDirectory() as name:
        from rampfit_numba.simulate import write_simulation

        folder = Path(name)
        paths = {}
        for key, shown in (("large", exposed), ("tiny", replace(exposed, shape=_TINY))):
            paths[key] = write_simulation(shown.simulate(), folder / f"{key}_jump.fits")[0]
        sets = {key: commands(path, folder, jwst) for key, path in paths.items()}
        size = paths["large"].stat().st_size
        subprocess.run(sets["tiny"]["rampfit FILE"], check=True, capture_output=True)  # noqa: S603  (compiles)
        found: dict[str, dict[str, Peak]] = {key: dict.fromkeys(sets[key], Peak()) for key in sets}
        for _ in range(arguments.repeats):
            for label in sets["large"]:
                for key, commanded in sets.items():
                    found[key][label] = found[key][label].larger(watch(commanded[label]))
    nints, _, nrows, ncols = exposed.shape
    planes = 5 * 4 * (nints + 1) * nrows * ncols
    rows = []
    for label, peak in found["large"].items():
        beyond = peak.own - found["tiny"][label].own
        cells = [str(round(value / MIB)) for value in (peak.own, beyond, peak.files, peak.resident)]
        rows.append([label, *cells, f"{peak.own / size:.2f}"])
        report.measurements[label] = {"large": peak.values(), "tiny": found["tiny"][label].values()}
    report.measurements["bytes"] = {"file": size, "outputs": planes}
    report.tables.append(
        Table(
            f"Peak memory, {shape}, a file of {size / MIB:.0f} MiB: MiB, the largest of {arguments.repeats} runs",
            ["", "own", "own, beyond a tiny exposure", "mapped files' pages", "resident, main process", "own / file"],
            rows,
            f"The planes of rate and rateints take {planes / MIB:.0f} MiB.",
        )
    )
    ours, theirs = (found["large"][label].own / size for label in ("rampfit FILE", "stcal, one core"))
    report.gist.append(
        [
            f"{shape}, peak memory, file of {size / MIB:.0f} MiB",
            f"{ours:.1f}x file",
            f"{theirs:.1f}x file",
            f"{theirs / ours:.1f}x",
        ]
    )
    report.finish()


if __name__ == "__main__":
    main()
