"""What all benchmarks share: options, exposures, the reference, interleaved timing, fresh processes."""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))  # the folder above, with what timing and statistics share

from shared import SEED, from_tests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

TIMING = Path(__file__).resolve().parent
CHILDREN = TIMING / "children.py"
MIB = 2**20
#: nrows and ncols with ``--quick``: enough for several slices, and no multiple of anything.
QUICK_IMAGE = (18, 41)
QUICK_NINTS = 3


# ----------------------------------------------------------------------------------------------------- the command line
def parse_arguments(
    description: str, repeats: int, *more: tuple[str, dict[str, Any]], quick_repeats: int = 2
) -> argparse.Namespace:
    """Return the options that every benchmark has, and `more` (name, settings of ``add_argument``)."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="tiny exposures: shows that the script works, no figures")
    parser.add_argument("--repeats", type=int, metavar="N", help=f"runs of each contender (default: {repeats})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here too, for make_tables.py")
    for name, settings in more:
        parser.add_argument(name, **settings)
    arguments = parser.parse_args()
    arguments.given = [f"--part {arguments.part}"] if getattr(arguments, "part", "") else []
    arguments.given += [f"--repeats {arguments.repeats}"] if arguments.repeats else []
    arguments.given += ["--quick"] if arguments.quick else []
    if arguments.repeats is None:
        arguments.repeats = quick_repeats if arguments.quick else repeats
    if arguments.repeats < 1:
        parser.error(f"--repeats: expected at least 1; got {arguments.repeats}")
    return arguments


def part_option(parts: Iterable[str]) -> tuple[str, dict[str, Any]]:
    """Return the option of a benchmark that takes many minutes: parts of about two, with tables of their own."""
    return "--part", {"choices": list(parts), "default": "", "help": "only this part, as make_tables.py runs it"}


# -------------------------------------------------------------------------------------------------------- the exposures
@dataclass(frozen=True)
class Exposed:
    """A simulated exposure: its name in the tables, what is special about it, its shape, the simulator's options."""

    name: str
    kind: str
    shape: tuple[int, int, int, int]
    options: dict[str, Any] = field(default_factory=dict)

    def shrunk(self, *, quick: bool) -> Exposed:
        """Return it with a tiny detector where a quick run is asked for."""
        if not quick:
            return self
        nints, ngroups = self.shape[:2]
        return Exposed(self.name, self.kind, (min(nints, QUICK_NINTS), ngroups, *QUICK_IMAGE), self.options)

    def simulate(self) -> Any:  # noqa: ANN401  (a Simulation; importing its type here would cost the children time)
        """Return the simulation, the same at every call."""
        from rampfit_numba import simulate_exposure

        return simulate_exposure(*self.shape, seed=SEED, **self.options)


STANDARD = Exposed("2x20", "one ramp in 100 hit", (2, 20, 1024, 1032))
SMALL = Exposed("small", "one ramp in 100 hit", (2, 20, 128, 128))


def shape_text(shape: Sequence[int]) -> str:
    """Return a shape as the tables show it."""
    return " x ".join(map(str, shape))


def case_of(simulation: Any) -> Any:  # noqa: ANN401
    """Return a simulation as the tests' ``Case``: plain arrays and numbers, for either side of a comparison."""
    exposure = simulation.exposure
    return from_tests("cases").Case(
        data=exposure.data,
        groupdq=exposure.groupdq,
        pixeldq=exposure.pixeldq,
        readnoise=simulation.readnoise,
        gain=simulation.gain,
        group_time=exposure.group_time,
        frame_time=exposure.frame_time,
        instrument=exposure.instrument,
        suppress_one_group=True,
        save_opt=False,
    )


def read_case(path: Path) -> Any:  # noqa: ANN401
    """Return a simulated exposure and its references, written by ``write_simulation``, as native arrays."""
    from astropy.io import fits

    arrays = {}
    with fits.open(path) as hdus:
        header = hdus[0].header
        for name, dtype in (("SCI", np.float32), ("GROUPDQ", np.uint8), ("PIXELDQ", np.uint32)):
            arrays[name] = hdus[name].data.astype(dtype)
    for name in ("readnoise", "gain"):
        arrays[name] = fits.getdata(reference_path(path, name), "SCI").astype(np.float32)
    return from_tests("cases").Case(
        data=arrays["SCI"],
        groupdq=arrays["GROUPDQ"],
        pixeldq=arrays["PIXELDQ"],
        readnoise=arrays["readnoise"],
        gain=arrays["gain"],
        group_time=header["TGROUP"],
        frame_time=header["TFRAME"],
        instrument=header["INSTRUME"],
        suppress_one_group=True,
        save_opt=False,
    )


def reference_path(path: Path, name: str) -> Path:
    """Return the path of the readnoise or gain file that belongs to a simulated exposure."""
    return path.with_name(path.name.replace("_jump.", f"_{name}."))


# -------------------------------------------------------------------------------------------------------- the reference
def prepare_reference(case: Any) -> tuple[Any, ...]:  # noqa: ANN401
    """Return fresh arguments for :func:`run_reference`; the reference modifies its flags and its read noise."""
    from stcal.ramp_fitting.ramp_fit import create_ramp_fit_class

    reference = from_tests("reference")
    exposure = SimpleNamespace(
        frame_time=case.frame_time,
        group_time=case.group_time,
        groupgap=case.groupgap,
        nframes=case.nframes,
        drop_frames1=case.drop_frames1,
        read_times=None,
    )
    model = reference.Model(
        data=case.data,
        groupdq=case.groupdq.copy(),
        pixeldq=case.pixeldq.copy(),
        average_dark_current=None,
        zeroframe=None,
        meta=SimpleNamespace(exposure=exposure, instrument=SimpleNamespace(name=case.instrument)),
    )
    ramps = create_ramp_fit_class(model, "OLS_C", reference.DQ_FLAGS, case.suppress_one_group)
    return ramps, case.readnoise.copy(), case.gain.copy()


def run_reference(
    ramps: Any,  # noqa: ANN401  (stcal's RampData)
    readnoise: np.ndarray,
    gain: np.ndarray,
    *,
    save_opt: bool = False,
    cores: str = "none",
) -> Any:  # noqa: ANN401  (three dictionaries of arrays)
    """Call stcal's whole ``ramp_fit_data``."""
    from stcal.ramp_fitting.ramp_fit import ramp_fit_data

    with np.errstate(all="ignore"):
        return ramp_fit_data(ramps, save_opt, readnoise, gain, "OLS_C", "optimal", cores)


def check_agreement(case: Any, reference: Any, fit: Any) -> None:  # noqa: ANN401
    """Refuse a result whose planes differ from the reference's by more than the project's tolerances."""
    cases, compare = from_tests("cases"), from_tests("compare")
    rate, rateints, fitopt = reference
    renamed = [{("data" if name == "slope" else name): plane for name, plane in p.items()} for p in (rate, rateints)]
    wanted = cases.PlainFit(*renamed, dict(fitopt) if fitopt is not None else None)
    failures = compare.Comparison().add(case, wanted, cases.plain(fit))
    if failures:
        sys.exit(f"The results disagree, so their times mean nothing: {failures[0]}")


def check_same(first: Any, second: Any) -> None:  # noqa: ANN401
    """Refuse two fits of this package that are not equal in every bit."""
    for planes in ("rate", "rateints"):
        for name in ("data", "err", "dq", "var_poisson", "var_rnoise"):
            one, other = (getattr(getattr(fit, planes), name).view(np.uint32) for fit in (first, second))
            if not np.array_equal(one, other):
                sys.exit(f"The results disagree, so their times mean nothing: {planes}.{name}")


# --------------------------------------------------------------------------------------------------------------- timing
def _nothing() -> tuple[Any, ...]:
    return ()


@dataclass(frozen=True)
class Contender:
    """Something to time: ``run(*prepare())``, of which only ``run`` counts."""

    name: str
    run: Callable[..., Any]
    prepare: Callable[[], tuple[Any, ...]] = _nothing


@dataclass(frozen=True)
class Times:
    """Seconds of one contender's runs."""

    seconds: list[float]

    @property
    def minimum(self) -> float:
        """The quickest run."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """The run in the middle."""
        return statistics.median(self.seconds)

    def text(self, *, unit: str = "ms") -> str:
        """Return minimum (median)."""
        return f"{duration(self.minimum, unit)} ({duration(self.median, unit)})"

    def ratio(self, other: Times) -> str:
        """Return how many times longer this takes than `other`: of the minima (of the medians)."""
        return f"{self.minimum / other.minimum:.2f} ({self.median / other.median:.2f})"


def duration(seconds: float, unit: str) -> str:
    """Return a time with three digits."""
    value = seconds * (1e3 if unit == "ms" else 1.0)
    return f"{value:.{min(3, max(0, 2 - math.floor(math.log10(max(value, 1e-9)))))}f}"


def warm_up(contenders: Sequence[Contender]) -> dict[str, Any]:
    """Run each contender once and return the results, so that they can be compared."""
    return {contender.name: contender.run(*contender.prepare()) for contender in contenders}


def interleave(contenders: Sequence[Contender], repeats: int) -> dict[str, Times]:
    """Time the contenders in turn, A B C A B C ..., so that whatever else the machine does hits all alike.

    A contender that returns a float has taken its time itself (in another process).
    """
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for _ in range(repeats):
        for contender in contenders:
            prepared = contender.prepare()
            with _no_collection():
                start = time.perf_counter()
                result = contender.run(*prepared)
                took = time.perf_counter() - start
            seconds[contender.name].append(result if isinstance(result, float) else took)
            del prepared, result  # freed outside of the time
    return {name: Times(times) for name, times in seconds.items()}


@contextmanager
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# ------------------------------------------------------------------------------------------------------ other processes
def run_child(*arguments: object, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """Run ``children.py`` with `arguments` in a fresh process; return what it reports, and its whole time."""
    return run_command([sys.executable, str(CHILDREN), *map(str, arguments)], environment)


def run_command(command: list[str], environment: dict[str, str] | None = None) -> dict[str, Any]:
    """Run a command; return the JSON of its last line, if it is any, with ``started`` and ``whole`` (both s).

    Python keeps bytecode whatever the environment says: without it, most of a short run is the compilation of imports.
    """
    everything = os.environ | (environment or {})
    everything.pop("PYTHONDONTWRITEBYTECODE", None)
    start = time.monotonic()
    done = subprocess.run(  # noqa: S603  (our own scripts)
        command, env=everything, capture_output=True, text=True, check=False
    )
    whole = time.monotonic() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    lines = done.stdout.strip().splitlines()
    report = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    return report | {"started": start, "whole": whole}


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
