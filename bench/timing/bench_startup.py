"""How long until something happens? Imports, the first call with and without cached machine code, the command line.

Every run is a fresh process. Cold: the machine code's cache is an empty folder, so that the run compiles; warm: an
earlier process has filled it; copied: with the folder of that process, copied elsewhere, as one that was shipped or is
shared. Python's own bytecode is cached in all runs.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import (
    SMALL,
    STANDARD,
    Contender,
    duration,
    interleave,
    parse_arguments,
    reference_path,
    run_child,
    run_command,
    shape_text,
)
from reporting import Report
from shared import Table

IMPORTS = (
    "import rampfit_numba",
    "from rampfit_numba import fit_ramps",  # loads Numba
    "import stcal.ramp_fitting.ramp_fit",
)
EMPTY = "an interpreter that does nothing"


def import_seconds(statement: str) -> float:
    """Return the seconds that a statement takes in an interpreter that has imported nothing else."""
    code = f"import time; start = time.perf_counter(); {statement}; seconds = time.perf_counter() - start"
    report = "import json; print(json.dumps({'seconds': seconds}))"
    return float(run_command([sys.executable, "-c", f"{code}; {report}"])["seconds"])


class Runs:
    """Fresh processes on one small file."""

    def __init__(self, folder: Path, path: Path, *, quick: bool) -> None:
        self._folder, self._path = folder, path
        # A quick run takes the cache that is there anyway: filling one takes longer than all the rest.
        self._warm = {} if quick else {"NUMBA_CACHE_DIR": str(folder / "warm")}

    def _environment(self, *, cold: bool) -> dict[str, str]:
        return {"NUMBA_CACHE_DIR": tempfile.mkdtemp(dir=self._folder, prefix="cold-")} if cold else self._warm

    def with_copied_cache(self) -> float:
        """Return the seconds of ``rampfit FILE`` with a new copy of the warm cache."""
        copy = self._folder / "copied"
        shutil.rmtree(copy, ignore_errors=True)
        if self._warm:
            shutil.copytree(self._warm["NUMBA_CACHE_DIR"], copy)
        return self._command((), {"NUMBA_CACHE_DIR": str(copy)} if self._warm else {})

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
        command = [sys.executable, "-m", "rampfit_numba", "demo", "--quiet"]
        return float(run_command(command, self._environment(cold=True))["whole"])

    def reference(self) -> float:
        """Return the seconds of a process that reads the file's arrays and fits them with stcal."""
        return float(run_child("reference", self._path, "none")["whole"])


def main() -> None:
    """Time imports, then first calls and commands: the warm ones interleaved, the cold ones too."""
    arguments = parse_arguments(__doc__ or "", 7, quick_repeats=1)
    report = Report("startup", arguments)
    exposed = SMALL.shrunk(quick=arguments.quick)
    with tempfile.TemporaryDirectory() as name:
        from rampfit_numba.simulate import write_simulation

        folder = Path(name)
        whole = STANDARD.shrunk(quick=arguments.quick)
        paths = [
            write_simulation(kind.simulate(), folder / f"{name}_jump.fits")[0]
            for name, kind in (("small", exposed), ("whole", whole))
        ]
        runs, whole_runs = (Runs(folder, path, quick=arguments.quick) for path in paths)
        imports = [
            Contender(EMPTY, lambda: float(run_command([sys.executable, "-c", "pass"])["whole"])),
            *(Contender(statement, lambda statement=statement: import_seconds(statement)) for statement in IMPORTS),
        ]
        warm = [
            Contender("first call in a new process", lambda: runs.call("first", cold=False)),
            Contender("the same, save_opt", lambda: runs.call("first", save_opt=True, cold=False)),
            Contender("second call", lambda: runs.call("second", cold=False)),
            Contender("rampfit FILE", lambda: runs.command(cold=False)),
            Contender("rampfit FILE --save-opt", lambda: runs.command("--save-opt", cold=False)),
            Contender("rampfit FILE --maximum-cores 2", lambda: runs.command("--maximum-cores", "2", cold=False)),
            Contender("rampfit FILE with a copied cache", runs.with_copied_cache),
            Contender(f"rampfit FILE, {shape_text(whole.shape)}", lambda: whole_runs.command(cold=False)),
            Contender("stcal: read, fit, write nothing", runs.reference),
        ]
        cold = [
            Contender("rampfit FILE", lambda: runs.command(cold=True)),
            Contender("rampfit demo", runs.demo),
            Contender("first call", lambda: runs.call("first", cold=True)),
            Contender("first call, save_opt", lambda: runs.call("first", save_opt=True, cold=True)),
        ]
        if arguments.quick:
            del cold[2:]
        shape = shape_text(exposed.shape)
        found: dict[str, Any] = {}
        for title, contenders, repeats in (
            ("Imports, and an empty process for comparison", imports, arguments.repeats),
            (f"Machine code cached, {shape}", warm, arguments.repeats),
            # Compiling takes seconds and varies little.
            (f"Nothing cached, {shape}", cold, min(3, arguments.repeats)),
        ):
            for contender in contenders if contenders is not cold else ():
                contender.run()  # bytecode, page cache, and the warm cache
            times = interleave(contenders, repeats)
            rows = [[label, t.text(unit="s")] for label, t in times.items()]
            report.tables.append(Table(f"{title}: s, minimum (median)", ["", "time"], rows))
            report.keep(title, times)
            found[title] = times
    _, warmed, compiled = found.values()
    texts = [
        f"{duration(t.minimum, 's')} s" for t in (warmed["rampfit FILE"], warmed["stcal: read, fit, write nothing"])
    ]
    ratio = f"{warmed['stcal: read, fit, write nothing'].minimum / warmed['rampfit FILE'].minimum:.1f}x"
    report.gist += [
        [f"`rampfit FILE`, {shape}: whole process (stcal: no products)", *texts, ratio],
        *(
            [f"`{command}`, first run after an installation", f"{duration(compiled[command].minimum, 's')} s", "", ""]
            for command in ("rampfit FILE", "rampfit demo")
        ),
    ]
    report.finish()


if __name__ == "__main__":
    main()
