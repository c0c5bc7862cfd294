"""Step against step: the JWST pipeline's ramp_fit and this package's, from models and from files, and their memory.

It needs the extra ``jwst``, but no network: it makes a CRDS cache of its own. "Model" is a whole ``step.run`` on a data
model in memory, as a user's script or notebook calls it, with the copy that the step may make of it; "file" goes from
the file to the two products. The peaks are those of fresh processes that go from the file to the two products, counted
as ``bench_memory.py`` counts them.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench_memory import watch
from common import (
    CHILDREN,
    MIB,
    STANDARD,
    Contender,
    Times,
    interleave,
    parse_arguments,
    read_case,
    reference_path,
    run_child,
    shape_text,
    warm_up,
)
from reporting import Report
from shared import Table, from_tests

WORKERS = 2
#: maximum_cores and executor of this package's contenders, by what the tables call them.
OURS = {
    "rampfit_numba, one worker": ("none", "threads"),
    f"rampfit_numba, {WORKERS} threads": (str(WORKERS), "threads"),
    f"rampfit_numba, {WORKERS} processes": (str(WORKERS), "processes"),
}


def contestants() -> dict[str, tuple[str, ...]]:
    """Return what ``children.py step`` is told for each contender: cores, and for ours the executor."""
    theirs = f"jwst {version('jwst')}"
    return {f"{theirs}, one core": ("none",), f"{theirs}, its pool of {WORKERS}": (str(WORKERS),), **OURS}


def make_step(path: Path, cores: str, executor: str = "") -> Any:  # noqa: ANN401  (a step of the pipeline)
    """Return a step, ours where an executor is named, set up for an exposure."""
    if executor:
        from rampfit_numba.jwst import RampFitStep
    else:
        from jwst.ramp_fitting import RampFitStep
    named = {f"override_{name}": str(reference_path(path, name)) for name in ("readnoise", "gain")}
    return RampFitStep(maximum_cores=cores, **named, **({"executor": executor} if executor else {}))


def steady(path: Path, folder: Path, repeats: int) -> tuple[dict[str, Times], dict[str, Times]]:
    """Time all contenders in this process, from a model and from the file, after comparing what they find."""
    from stdatamodels.jwst import datamodels

    model = datamodels.RampModel(path)
    contenders = []
    for name, (cores, *executor) in contestants().items():
        step = make_step(path, cores, *executor)
        contenders.append(Contender(name, lambda step=step, model=model: step.run(model)))
    check(path, warm_up(contenders))
    from_model = interleave(contenders, repeats)
    contenders = []
    for number, (name, (cores, *executor)) in enumerate(contestants().items()):
        step = make_step(path, cores, *executor)
        step.save_results, step.output_dir = True, str(folder / f"products_{number}")
        contenders.append(Contender(name, lambda step=step: step.run(str(path))))
    warm_up(contenders)
    return from_model, interleave(contenders, repeats)


def check(path: Path, results: dict[str, Any]) -> None:
    """Refuse results that differ by more than the project's tolerances from those of the pipeline on one core."""
    compare, pipeline, case = from_tests("compare"), from_tests("pipeline"), read_case(path)
    wanted, *others = results.values()
    for products in others:
        expected, got = (pipeline.planes_of(*found, None) for found in (wanted, products))
        failures = compare.Comparison().add(case, expected, got)
        if failures:
            sys.exit(f"The results disagree, so their times mean nothing: {failures[0]}")


def peaks(path: Path, tiny: Path, repeats: int) -> dict[str, tuple[int, int]]:
    """Return own memory at its peak, and beyond that of a tiny exposure, in fresh processes."""
    found = {}
    for name, told in contestants().items():
        own = {
            each: max(watch([sys.executable, str(CHILDREN), "step", str(each), *told]).own for _ in range(repeats))
            for each in {path, tiny}
        }
        found[name] = own[path], own[path] - own[tiny]
    return found


def first_results(path: Path, repeats: int) -> dict[str, Times]:
    """Time fresh processes from their start to their two products."""

    def fresh(told: tuple[str, ...]) -> float:
        report = run_child("step", path, *told)
        return float(report["done"] - report["started"])

    return interleave([Contender(n, lambda told=told: fresh(told)) for n, told in contestants().items()], repeats)


def main() -> None:
    """Compare the steps."""
    if importlib.util.find_spec("jwst") is None:
        sys.exit("bench_step.py needs the pipeline: pip install '.[jwst,test]'")
    arguments = parse_arguments(__doc__ or "", 5, quick_repeats=1)
    report = Report("step", arguments)
    exposed = replace(STANDARD, options={"instrument": "MIRI"}).shrunk(quick=arguments.quick)
    shape = shape_text(exposed.shape)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ.update(from_tests("pipeline").offline_environment(folder / "crds"))
        logging.disable(logging.WARNING)
        from rampfit_numba.simulate import write_simulation

        path = write_simulation(exposed.simulate(), folder / "bench_jump.fits")[0]
        tiny = replace(exposed, shape=(2, 20, 16, 40))
        tiny_path = path if arguments.quick else write_simulation(tiny.simulate(), folder / "tiny_jump.fits")[0]
        size = path.stat().st_size
        from_model, from_file = steady(path, folder, arguments.repeats)
        fresh = first_results(path, (arguments.repeats + 1) // 2)
        memory = peaks(path, tiny_path, (arguments.repeats + 1) // 2)
    one = next(iter(from_model))
    rows = []
    for contender in from_model:
        cells = [times[contender].text(unit="s") for times in (from_model, from_file, fresh)]
        speed_up = "" if contender == one else from_model[one].ratio(from_model[contender])
        rows.append([contender, *cells, speed_up, *(str(round(value / MIB)) for value in memory[contender])])
    headings = [
        "",
        "model, s",
        "file, s",
        "fresh process, s",
        "speed-up (model)",
        "peak, MiB",
        "beyond a tiny exposure",
    ]
    report.tables.append(
        Table(
            f"The step on {shape}, a file of {size / MIB:.0f} MiB: seconds are minimum (median)",
            headings,
            rows,
            "All results were compared within the project's tolerances. The speed-up is over one core of the pipeline.",
        )
    )
    for where, times in (("model", from_model), ("file", from_file), ("fresh", fresh)):
        report.keep(where, times)
    report.measurements["peaks"] = memory
    ours = f"rampfit_numba, {WORKERS} threads"
    seconds = [times.minimum for times in (from_model[ours], from_model[one])]
    report.gist.append(
        [
            f"{shape}, the pipeline's step on a model ({WORKERS} threads; {one})",
            *(f"{value:.2f} s" for value in seconds),
            f"{seconds[1] / seconds[0]:.0f}x",
        ]
    )
    report.finish()


# The guard is for the pipeline: its pool starts Python anew and imports this file again.
if __name__ == "__main__":
    main()
