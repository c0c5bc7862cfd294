"""Do workers help? One worker, threads and processes, from arrays and from a FITS file; stcal's own pool beside them.

Steady state: whole calls in one process whose pool is warm; from the file, a call opens it too. First result: from the
start of a fresh interpreter (with the machine code cached) to the end of its first fit, loading of arrays not counted.
The file is in the page cache. Small exposures: what workers cost where there is little to share out.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

from common import (
    CHILDREN,
    STANDARD,
    Contender,
    Exposed,
    Times,
    check_same,
    duration,
    interleave,
    parse_arguments,
    run_child,
    shape_text,
    usable_cores,
    warm_up,
)
from reporting import Report
from shared import Table

SOURCES = ("arrays", "file")
KINDS = ("threads", "processes")
ONE = "one worker"
SMALL = ((1, 5, 64, 64), (2, 20, 128, 128), (2, 20, 256, 256), (2, 20, 512, 512), (2, 20, 1024, 1032))
#: More workers than there are on most machines: what is measured is what they cost.
MANY = 64


class ReferenceServer:
    """A process in which stcal fits the exposure of a file again and again; its main module has the guard it needs."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(  # noqa: S603  (our own script)
            [sys.executable, str(CHILDREN), "serve", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def fit(self, cores: str) -> float:
        """Fit once and return the seconds."""
        assert self._process.stdin is not None
        print(cores, file=self._process.stdin, flush=True)
        return float(self._answer()["seconds"])

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit("stcal's process ended early")
        found: dict[str, Any] = json.loads(line)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def steady(simulation: Any, path: Path, workers: int, repeats: int) -> dict[str, Times]:  # noqa: ANN401
    """Time one worker, threads and processes from arrays and from the file, and stcal on one core and with its pool."""
    from rampfit_numba import fit_ramps, read_exposure

    def fit(source: str, cores: int, executor: str | None) -> Any:  # noqa: ANN401
        exposure = simulation.exposure if source == "arrays" else read_exposure(path)
        return fit_ramps(exposure, simulation.readnoise, simulation.gain, maximum_cores=cores, executor=executor)

    contenders = []
    for source in SOURCES:
        contenders.append(Contender(f"{ONE}, {source}", lambda source=source: fit(source, 1, None)))
        contenders += [
            Contender(f"{workers} {kind}, {source}", lambda source=source, kind=kind: fit(source, workers, kind))
            for kind in KINDS
        ]
    for number, contender in enumerate(contenders):
        warm = warm_up([contender])[contender.name]
        if number == 0:
            first = warm
        check_same(first, warm)
    del first, warm
    with ReferenceServer(path) as server:
        contenders += [
            Contender("stcal, one core", lambda: server.fit("none")),
            Contender(f"stcal, its pool of {workers}", lambda: server.fit(str(workers))),
        ]
        return interleave(contenders, repeats)


def first_results(path: Path, workers: int, repeats: int) -> dict[str, Times]:
    """Time fresh processes from their start to the end of their first fit."""

    def fresh(*arguments: object) -> float:
        found = run_child(*arguments)
        return float(found["done"] - found["started"] - found["loading"])

    contenders = []
    for source in SOURCES:
        contenders.append(Contender(f"{ONE}, {source}", lambda s=source: fresh("first", s, path, 1, "")))
        contenders += [
            Contender(f"{workers} {kind}, {source}", lambda s=source, k=kind: fresh("first", s, path, workers, k))
            for kind in KINDS
        ]
    contenders += [
        Contender("stcal, one core", lambda: fresh("reference", path, "none")),
        Contender(f"stcal, its pool of {workers}", lambda: fresh("reference", path, workers)),
    ]
    return interleave(contenders, repeats)


def small_exposures(repeats: int, *, quick: bool) -> Table:
    """Time exposures that are worth few workers by one, two and many, and by many that are insisted on."""
    import loky

    from rampfit_numba import fit_ramps

    real, rows = loky.cpu_count, []
    for shape in SMALL[:2] if quick else SMALL:
        simulation = Exposed("small", "one ramp in 100 hit", shape).simulate()

        def fit(cores: int, executor: str | None, simulation: Any = simulation) -> Any:  # noqa: ANN401
            loky.cpu_count = (lambda *_, **__: MANY) if cores == MANY else real
            try:
                return fit_ramps(
                    simulation.exposure,
                    simulation.readnoise,
                    simulation.gain,
                    maximum_cores=cores,
                    executor=executor,
                )
            finally:
                loky.cpu_count = real

        contenders = [
            Contender(ONE, lambda fit=fit: fit(1, None)),
            Contender("2", lambda fit=fit: fit(2, None)),
            Contender(str(MANY), lambda fit=fit: fit(MANY, None)),
            Contender("insisted on", lambda fit=fit: fit(MANY, "threads")),
        ]
        first, *others = (warm_up([contender])[contender.name] for contender in contenders)
        for other in others:
            check_same(first, other)
        times = interleave(contenders, repeats * 4)
        rows.append([shape_text(shape), *(found.text(unit="ms") for found in times.values())])
    columns = ["", ONE, "maximum_cores=2", f"maximum_cores={MANY}", f'maximum_cores={MANY}, executor="threads"']
    note = (
        f"The package is told of {MANY} cores where it is asked for {MANY}: the last two columns say what workers "
        "cost, not what so many cores bring. All results were compared bit for bit."
    )
    return Table("Small exposures, arrays: ms, minimum (median)", columns, rows, note=note)


def _baseline(name: str) -> str:
    """Return whose time a contender's is compared with."""
    if name.startswith("stcal"):
        return "stcal, one core"
    return f"{ONE}, {name.rpartition(', ')[2]}"


def _gist(times: dict[str, Times], workers: int, shape: str) -> list[list[str]]:
    rows = []
    # Whichever a user would take who knew.
    theirs = min(times["stcal, one core"], times[f"stcal, its pool of {workers}"], key=lambda found: found.minimum)
    for kind, source in (("threads", "arrays"), ("processes", "file")):
        name = f"{workers} {kind}, {source}"
        ours, one = times[name], times[_baseline(name)]
        where = "from arrays" if source == "arrays" else "from a file"
        label = f"{shape}, {workers} {kind} {where} ({one.minimum / ours.minimum:.2f}x one worker)"
        seconds = [f"{duration(t.minimum, 's')} s" for t in (ours, theirs)]
        rows.append([label, *seconds, f"{theirs.minimum / ours.minimum:.0f}x"])
    return rows


def main() -> None:
    """Compare for every number of workers that this machine has cores for."""
    arguments = parse_arguments(__doc__ or "", 7)
    report = Report("workers", arguments)
    exposed = STANDARD.shrunk(quick=arguments.quick)
    shape = shape_text(exposed.shape)
    numbers = [2, *(number for number in (4, 8) if number <= usable_cores() and not arguments.quick)]
    simulation = exposed.simulate()
    with tempfile.TemporaryDirectory() as folder:
        from rampfit_numba.simulate import write_simulation

        path, _, _ = write_simulation(simulation, Path(folder) / "bench_jump.fits")
        for workers in numbers:
            times = steady(simulation, path, workers, arguments.repeats)
            # A fresh process is noisier than a warm one, but there are many of them.
            fresh = first_results(path, workers, (arguments.repeats + 1) // 2)
            for title, found, unit in (
                (f"Steady state, {shape}, {workers} workers: ms, minimum (median)", times, "ms"),
                (f"First result of a fresh process, {shape}, {workers} workers: s, minimum (median)", fresh, "s"),
            ):
                rows = [
                    [name, t.text(unit=unit), "" if name == _baseline(name) else found[_baseline(name)].ratio(t)]
                    for name, t in found.items()
                ]
                report.tables.append(Table(title, ["", "time", "speed-up over one"], rows))
            report.keep(f"steady, {workers}", times)
            report.keep(f"first, {workers}", fresh)
            if workers == numbers[0]:
                report.gist += _gist(times, workers, shape)
    report.tables[-1].note = (
        "All of this package's results were compared bit for bit. Loading arrays from the file into memory is not "
        "counted, opening the file in the rows named so is."
    )
    report.tables.append(small_exposures(arguments.repeats, quick=arguments.quick))
    report.finish()


if __name__ == "__main__":
    main()
