"""How long until something happens? Imports, the first call with and without cached machine code, the command line.

Every run is a fresh process. Cold: the machine code's cache is an empty folder, so that the run compiles; warm: an
earlier process has filled it; copied: with the folder of that process, copied elsewhere, as one that was shipped or is
shared. Python's own bytecode is cached in all runs. ``--before CHECKOUT`` has another checkout of the package do the
same in turn.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from common import (
    SMALL,
    STANDARD,
    Contender,
    Times,
    duration,
    interleave,
    parse_arguments,
    part_option,
    reference_path,
    run_child,
    run_command,
    shape_text,
)
from reporting import Report
from shared import Table

if TYPE_CHECKING:
    from collections.abc import Callable

IMPORTS = (
    "import rampfit_numba",
    "from rampfit_numba import fit_ramps",  # loads Numba
    "import stcal.ramp_fitting.ramp_fit",
)
EMPTY = "an interpreter that does nothing"
PARTS = ("warm", "cold")
#: Where this package is.
PACKAGE = Path(next(iter(importlib.util.find_spec("rampfit_numba").submodule_search_locations))).parent  # type: ignore[union-attr,arg-type]
BEFORE = "before, "
RAMPFIT, DEMO, THEIRS = "rampfit FILE", "rampfit demo", "stcal: read, fit, write nothing"
_IMPORTED = "Imports, and an empty process for comparison"


def with_package(checkout: Path) -> dict[str, str]:
    """Return what lets a process have the package of a checkout (with ``-P``, whatever folder it runs in)."""
    return {"PYTHONPATH": str(checkout)}


def import_seconds(statement: str, checkout: Path) -> float:
    """Return the seconds that a statement takes in an interpreter that has imported nothing else."""
    code = f"import time; start = time.perf_counter(); {statement}; seconds = time.perf_counter() - start"
    report = "import json; print(json.dumps({'seconds': seconds}))"
    return float(run_command([sys.executable, "-P", "-c", f"{code}; {report}"], with_package(checkout))["seconds"])


class Runs:
    """Fresh processes on one small file."""

    def __init__(self, folder: Path, path: Path, checkout: Path, *, quick: bool) -> None:
        self._folder, self._path, self._package = folder, path, with_package(checkout)
        # A quick run takes the cache that is there anyway: filling one takes longer than all the rest.
        self._warm = {} if quick else {"NUMBA_CACHE_DIR": str(folder / "_".join(["warm", *checkout.parts[1:]]))}

    def _environment(self, *, cold: bool) -> dict[str, str]:
        cache = {"NUMBA_CACHE_DIR": tempfile.mkdtemp(dir=self._folder, prefix="cold-")} if cold else self._warm
        return self._package | cache

    def with_copied_cache(self) -> float:
        """Return the seconds of ``rampfit FILE`` with a new copy of the warm cache."""
        copy = self._folder / "copied"
        shutil.rmtree(copy, ignore_errors=True)
        if self._warm:
            shutil.copytree(self._warm["NUMBA_CACHE_DIR"], copy)
        return self._command((), self._package | ({"NUMBA_CACHE_DIR": str(copy)} if self._warm else {}))

    def call(self, which: str, *, save_opt: bool = False, cold: bool) -> float:
        """Return the seconds of the ``"first"`` or ``"second"`` call of ``fit_ramps``."""
        option = "save_opt" if save_opt else ""
        return float(run_child("calls", self._path, option, environment=self._environment(cold=cold))[which])

    def command(self, *options: str, cold: bool) -> float:
        """Return the seconds of ``rampfit FILE``, from the start of the process to its end."""
        return self._command(options, self._environment(cold=cold))

    def _command(self, options: tuple[str, ...], environment: dict[str, str]) -> float:
        references = [
            word for name in ("readnoise", "gain") for word in (f"--{name}", str(reference_path(self._path, name)))
        ]
        output = tempfile.mkdtemp(dir=self._folder, prefix="out-")
        command = [
            sys.executable,
            "-P",
            "-m",
            "rampfit_numba",
            str(self._path),
            *references,
            "--output-dir",
            output,
            "--quiet",
        ]
        return float(run_command([*command, *options], environment)["whole"])

    def demo(self) -> float:
        """Return the seconds of ``rampfit demo``, the first command of the README, with nothing cached."""
        command = [sys.executable, "-P", "-m", "rampfit_numba", "demo", "--quiet"]
        return float(run_command(command, self._environment(cold=True))["whole"])

    def reference(self) -> float:
        """Return the seconds of a process that reads the file's arrays and fits them with stcal."""
        return float(run_child("reference", self._path, "none")["whole"])


def import_contenders(checkout: Path) -> dict[str, Callable[[], float]]:
    """Return what the table of imports has."""
    return {
        EMPTY: lambda: float(run_command([sys.executable, "-c", "pass"])["whole"]),
        **{statement: lambda s=statement: import_seconds(s, checkout) for statement in IMPORTS},  # type: ignore[misc]
    }


def warm_contenders(small: Runs, whole: Runs, shape: str) -> dict[str, Callable[[], float]]:
    """Return what the table of cached machine code has."""
    return {
        "first call in a new process": lambda: small.call("first", cold=False),
        "the same, save_opt": lambda: small.call("first", save_opt=True, cold=False),
        "second call": lambda: small.call("second", cold=False),
        RAMPFIT: lambda: small.command(cold=False),
        f"{RAMPFIT} --save-opt": lambda: small.command("--save-opt", cold=False),
        f"{RAMPFIT} --maximum-cores 2": lambda: small.command("--maximum-cores", "2", cold=False),
        f"{RAMPFIT} with a copied cache": small.with_copied_cache,
        f"{RAMPFIT}, {shape}": lambda: whole.command(cold=False),
        THEIRS: small.reference,
    }


def cold_contenders(runs: Runs, *, quick: bool) -> dict[str, Callable[[], float]]:
    """Return what the table of compilations has; a quick run compiles twice only."""
    found = {
        RAMPFIT: lambda: runs.command(cold=True),
        DEMO: runs.demo,
        "first call": lambda: runs.call("first", cold=True),
        "first call, save_opt": lambda: runs.call("first", save_opt=True, cold=True),
    }
    return dict(list(found.items())[:2]) if quick else found


def in_turn(
    now: dict[str, Callable[[], float]], before: dict[str, Callable[[], float]], repeats: int, *, first: bool
) -> tuple[dict[str, Times], list[str], list[list[str]]]:
    """Time contenders, those of the other checkout in turn; return times, headings and rows."""
    # What is not this package's is the same in both checkouts.
    before = {name: run for name, run in before.items() if name not in {EMPTY, THEIRS, IMPORTS[-1]}}
    contenders = []
    for name, run in now.items():
        contenders += [Contender(f"{BEFORE}{name}", before[name])] if name in before else []
        contenders.append(Contender(name, run))
    for contender in contenders if first else ():
        contender.run()  # bytecode, page cache, and the warm cache
    times = interleave(contenders, repeats)
    if not before:
        return times, ["", "time"], [[name, times[name].text(unit="s")] for name in now]
    rows = []
    for name in now:
        old = times.get(f"{BEFORE}{name}")
        cells = [old.text(unit="s"), old.ratio(times[name])] if old else ["", ""]
        rows.append([name, cells[0], times[name].text(unit="s"), cells[1]])
    return times, ["", "before", "now", "before / now"], rows


def main() -> None:
    """Time imports, then first calls and commands: the warm ones interleaved, the cold ones too."""
    other = (
        "--before",
        {"type": Path, "metavar": "CHECKOUT", "help": "another checkout of the package, beside this one"},
    )
    arguments = parse_arguments(__doc__ or "", 7, part_option(PARTS), other, quick_repeats=1)
    arguments.given += ["--before CHECKOUT"] if arguments.before else []
    report = Report("startup", arguments)
    exposed, large = (kind.shrunk(quick=arguments.quick) for kind in (SMALL, STANDARD))
    checkouts = [PACKAGE, *([arguments.before.resolve()] if arguments.before else [])]
    parts = [arguments.part] if arguments.part else PARTS
    shape, quick = shape_text(exposed.shape), arguments.quick
    with tempfile.TemporaryDirectory() as name:
        from rampfit_numba.simulate import write_simulation

        folder = Path(name)
        small_path, large_path = (
            write_simulation(kind.simulate(), folder / f"{kind.name}_jump.fits")[0] for kind in (exposed, large)
        )
        small = [Runs(folder, small_path, checkout, quick=quick) for checkout in checkouts]
        whole = [Runs(folder, large_path, checkout, quick=quick) for checkout in checkouts]
        tables: list[tuple[str, list[dict[str, Callable[[], float]]], int]] = []
        if "warm" in parts:
            tables += [
                (_IMPORTED, [import_contenders(checkout) for checkout in checkouts], arguments.repeats),
                (
                    f"Machine code cached, {shape}",
                    [warm_contenders(*runs, shape_text(large.shape)) for runs in zip(small, whole, strict=True)],
                    arguments.repeats,
                ),
            ]
        if "cold" in parts:  # compiling takes seconds and varies little
            found = [cold_contenders(runs, quick=quick) for runs in small]
            tables.append((f"Nothing cached, {shape}", found, min(2, arguments.repeats)))
        for title, (now, *earlier), repeats in tables:
            first = not title.startswith("Nothing")
            times, headings, rows = in_turn(now, earlier[0] if earlier else {}, repeats, first=first)
            report.tables.append(Table(f"{title}: s, minimum (median)", headings, rows))
            report.keep(title, times)
            seconds = {name: f"{duration(t.minimum, 's')} s" for name, t in times.items()}
            if THEIRS in times:
                ratio = f"{times[THEIRS].minimum / times[RAMPFIT].minimum:.1f}x"
                label = f"`{RAMPFIT}`, {shape}: whole process (stcal: no products)"
                report.gist.append([label, seconds[RAMPFIT], seconds[THEIRS], ratio])
            if DEMO in times:
                report.gist += [
                    [f"`{name}`, first run after an installation", seconds[name], "", ""] for name in (RAMPFIT, DEMO)
                ]
    report.finish()


if __name__ == "__main__":
    main()
