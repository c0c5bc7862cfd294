"""What the benchmarks run in other processes, each of which reports one line of JSON (all times in s).

Not for use by hand. ``started`` of the caller and ``done`` here are both of the system-wide monotonic clock.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import prepare_reference, read_case, reference_path, run_reference


def report(**values: Any) -> None:  # noqa: ANN401
    """Tell the caller."""
    print(json.dumps(values), flush=True)


def first_fit(source: str, path: str, cores: str, executor: str) -> None:
    """Report when the first fit of this process was done, and how long the loading took that does not count."""
    loading = 0.0
    if source == "arrays":
        start = time.monotonic()
        case = read_case(Path(path))
        loading = time.monotonic() - start
    from rampfit_numba import Exposure, fit_ramps, read_exposure, read_reference

    if source == "arrays":
        exposure = Exposure(case.data, case.groupdq, case.group_time, pixeldq=case.pixeldq, frame_time=case.frame_time)
        references = case.readnoise, case.gain
    else:
        exposure = read_exposure(path)
        references = tuple(
            read_reference(reference_path(Path(path), name), exposure, name).data for name in ("readnoise", "gain")
        )
    fit_ramps(exposure, *references, maximum_cores=cores, executor=executor or None)
    report(done=time.monotonic(), loading=loading)


def first_calls(path: str, save_opt: str) -> None:
    """Report the first and the second call of ``fit_ramps`` in this process."""
    from rampfit_numba import fit_ramps, read_exposure

    exposure = read_exposure(path)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        fit_ramps(exposure, 14.0, 1.8, save_opt=save_opt == "save_opt")
        seconds.append(time.perf_counter() - start)
    report(first=seconds[0], second=seconds[1])


def reference_fit(path: str, cores: str) -> None:
    """Fit with stcal: native arrays read from the file, nothing written."""
    start = time.monotonic()
    case = read_case(Path(path))
    loading = time.monotonic() - start
    prepared = prepare_reference(case)
    run_reference(*prepared, cores=cores)
    report(done=time.monotonic(), loading=loading)


def reference_server(path: str) -> None:
    """Fit with stcal as often as the caller asks: a line with ``maximum_cores`` comes in, the seconds go out."""
    case = read_case(Path(path))
    report(ready=True)
    for line in sys.stdin:
        prepared = prepare_reference(case)
        start = time.perf_counter()
        run_reference(*prepared, cores=line.strip())
        report(seconds=time.perf_counter() - start)


def step_fit(path: str, cores: str, executor: str = "") -> None:
    """Run the pipeline's own step, or this package's where an executor is named, from the file to its two products."""
    if executor:
        from rampfit_numba.jwst import RampFitStep
    else:
        from jwst.ramp_fitting import RampFitStep

    logging.disable(logging.INFO)
    step = RampFitStep()
    step.maximum_cores = cores
    if executor:
        step.executor = executor
    for name in ("readnoise", "gain"):
        setattr(step, f"override_{name}", str(reference_path(Path(path), name)))
    with tempfile.TemporaryDirectory() as folder:
        for name, product in zip(("rate", "rateints"), step.process(path), strict=True):
            product.save(str(Path(folder) / f"x_{name}.fits"))
    report(done=time.monotonic())


COMMANDS = {
    "first": first_fit,
    "calls": first_calls,
    "reference": reference_fit,
    "serve": reference_server,
    "step": step_fit,
}

# The guard is for stcal: its pool starts Python anew and imports this file again.
if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
