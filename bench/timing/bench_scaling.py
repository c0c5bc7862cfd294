"""What do many files cost on many workers? Measured for one and two workers of Dask, modelled and simulated beyond.

Costs of one exposure, alone: reading it, fitting it, writing its products, on a file system in memory, so that no disk
shows; what the disk of the working folder does; and Dask's scheduler for a task that does nothing. `scaling_model.py`
has the model and the simulation. Needs the extra dask.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import MIB, STANDARD, Contender, interleave, parse_arguments, reference_path, shape_text, warm_up
from reporting import Report
from scaling_model import Costs, files_per_second, saturating_workers, simulate
from shared import Table

if TYPE_CHECKING:
    from common import Times

GB, HOUR, MILLION = 1e9, 3600.0, 1_000_000
#: File systems, in bytes a second, beside this machine's disk.
BANDWIDTHS = {2 * GB: "a server", 10 * GB: "a parallel file system", 50 * GB: "a large one"}
#: A file system in memory.
MEMORY = Path("/dev/shm")  # noqa: S108  (no name of a file)
#: Seconds that a disk is written to: what it takes at first, it does not take for long.
DISK, QUICK_DISK = 8.0, 0.2
#: Workers that are simulated, as multiples of those that saturate a file system; and more are not simulated.
MULTIPLES = (0.25, 0.5, 1.0, 2.0)
MOST_SIMULATED = 512
CLUSTER_SIZES = (16, 128, 1024)
#: From here on no digit behind the point.
TEN = 10
FILES, QUICK_FILES, TASKS, QUICK_TASKS = 16, 6, 1000, 50
CHUNK = 16 * MIB
_WAITING = 256
_THREADS = {"OMP_NUM_THREADS": "1"}
#: Workers, and their environment: with Dask's own one they give memory back to the system after each file.
CLUSTERS = {
    "1": (1, _THREADS),
    "2": (2, _THREADS),
    "2, in Dask's own environment": (2, _THREADS | {"MALLOC_TRIM_THRESHOLD_": "65536"}),
    (NO_DASK := "2, without Dask"): (2, _THREADS),
}
#: Runs of many files, of which the quickest counts.
RUNS = 3
STANDARD_FILE = "standard_jump.fits"


def main() -> None:
    """Measure, model, simulate."""
    if not (hasattr(os, "posix_fadvise") and MEMORY.is_dir()):
        sys.exit(f"This benchmark needs {MEMORY}, and a system that forgets a file when it is told to")
    arguments = parse_arguments(str(__doc__).splitlines()[0], 5)
    report = Report("scaling", arguments)
    exposed = STANDARD.shrunk(quick=arguments.quick)
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="bench-scaling-") as name:
        folder = Path(name)
        path = write_exposure(exposed, folder)
        times = measure_alone(path, folder, arguments.repeats)
        written = sum(product.stat().st_size for product in (folder / "whole").iterdir())
        costs, measured = measure_cluster(path, folder, times, written, quick=arguments.quick)
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="bench-scaling-") as name:
        disk = measure_disk(Path(name), costs, QUICK_DISK if arguments.quick else DISK)
    report.keep("alone", times)
    report.measurements["cluster"] = {"schedule": [costs.schedule], **{name: [s] for name, s in measured.items()}}
    report.measurements["disk"] = {"bytes a second": list(disk)}
    bandwidths = {disk[1]: "this machine's disk"} | BANDWIDTHS
    report.tables = [
        cost_table(costs, times, disk, shape_text(exposed.shape)),
        check_table(costs, measured),
        saturation_table(costs, bandwidths, quick=arguments.quick),
        million_table(costs, bandwidths),
    ]
    report.finish()


# ------------------------------------------------------------------------------------------------------------- measured
def write_exposure(exposed: Any, folder: Path) -> Path:  # noqa: ANN401
    """Write the exposure and its references; return the path of the former."""
    from rampfit_numba.simulate import write_simulation

    path = folder / STANDARD_FILE
    write_simulation(exposed.simulate(), path)
    return path


def references_of(path: Path) -> tuple[Path, Path]:
    """Return the paths of read noise and gain."""
    return reference_path(path, "readnoise"), reference_path(path, "gain")


def measure_alone(path: Path, folder: Path, repeats: int) -> dict[str, Times]:
    """Time what one worker does with a file, together and apart."""
    from rampfit_numba import fit_file, fit_ramps, read_exposure, read_reference, write_products
    from rampfit_numba.file_arrays import FileArray
    from rampfit_numba.mapped_arrays import as_file_array

    def read() -> Any:  # noqa: ANN401
        exposure = read_exposure(path)
        arrays = (as_file_array(array) for array in (exposure.data, exposure.groupdq, exposure.pixeldq))
        return [array.read() if isinstance(array, FileArray) else array for array in arrays]

    exposure = read_exposure(path)
    data, groupdq, pixeldq = read()
    for name, array in (("data", data), ("groupdq", groupdq), ("pixeldq", pixeldq)):
        object.__setattr__(exposure, name, array)  # the same exposure, in memory
    readnoise, gain = (
        read_reference(reference, exposure, name).data
        for reference, name in zip(references_of(path), ("readnoise", "gain"), strict=True)
    )
    fit = fit_ramps(exposure, readnoise, gain)
    contenders = [
        Contender("read", read),
        Contender("fit", lambda: fit_ramps(exposure, readnoise, gain)),
        Contender("write", lambda: write_products(fit, folder / "apart", path.name, overwrite=True)),
        Contender("whole", lambda: fit_file(path, *references_of(path), output_dir=folder / "whole", overwrite=True)),
    ]
    warm_up(contenders)
    return interleave(contenders, repeats)


def measure_disk(folder: Path, costs: Costs, duration: float) -> tuple[float, float]:
    """Return the bytes a second that the disk is read, and written, in the second half of the time."""
    room = bytearray(os.urandom(int(costs.written_bytes)))
    begin = time.perf_counter()
    middle, written, number = begin, 0, 0
    while (now := time.perf_counter()) < begin + duration or not written:
        if now < begin + duration / 2:
            middle, written = now, 0
        with (folder / f"{number % 8}").open("wb", buffering=0) as file:
            file.write(room)
            os.fsync(file.fileno())
        written, number = written + len(room), number + 1
    write = written / (time.perf_counter() - middle)

    total, begin = 0, time.perf_counter()
    for path in folder.iterdir():
        with path.open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    begin = time.perf_counter()
    for path in folder.iterdir():
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(room):
                total += count
    return total / (time.perf_counter() - begin), write


def do_nothing(path: Path, *_: object) -> Path:
    """Stand for a fit."""
    return path


def measure_cluster(
    path: Path, folder: Path, times: dict[str, Times], written: int, *, quick: bool
) -> tuple[Costs, dict[str, float]]:
    """Return the costs of a file, the scheduler's among them, and the seconds a file of one and of two workers."""
    import dask
    from distributed import Client, LocalCluster

    files = [folder / f"f{number:02d}_jump.fits" for number in range(QUICK_FILES if quick else FILES)]
    for file in files:
        file.symlink_to(path)
    measured, schedule = {}, float("inf")
    with_dask = {name: setting for name, setting in CLUSTERS.items() if name != NO_DASK}
    for name, (workers, environment) in with_dask.items():
        options: dict[str, Any] = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
        with (
            dask.config.set({"distributed.nanny.pre-spawn-environ": environment}),
            LocalCluster(**options) as cluster,
            Client(cluster) as client,
        ):
            measured[name] = seconds_a_file(files, folder, executor=client)
            schedule = min(schedule, seconds_a_task(client, QUICK_TASKS if quick else TASKS))
    measured[NO_DASK] = seconds_a_file(files, folder, executor="processes", maximum_cores=CLUSTERS[NO_DASK][0])
    apart = [times[kind].minimum for kind in ("read", "fit", "write")]
    rest = max(times["whole"].minimum - sum(apart), 0.0)  # headers, checks: as the fit, nobody else waits for them
    return Costs(path.stat().st_size, written, apart[0], apart[1] + rest, apart[2], schedule), measured


def seconds_a_file(files: list[Path], folder: Path, **how: Any) -> float:  # noqa: ANN401
    """Return what a file more costs a run: what it begins with, the comparison of versions for instance, is not its.

    The quickest of some runs with few files, and with all.
    """
    from rampfit_numba import fit_files

    def seconds(some: list[Path]) -> float:
        begin = time.perf_counter()
        fit_files(some, *references_of(folder / STANDARD_FILE), output_dir=folder / "many", overwrite=True, **how)
        return time.perf_counter() - begin

    seconds(files)  # each worker loads its machine code
    few = files[: len(files) // 3]
    times = [(seconds(few), seconds(files)) for _ in range(RUNS)]
    quickest_few, quickest = map(min, zip(*times, strict=True))
    return (quickest - quickest_few) / (len(files) - len(few))


def seconds_a_task(client: Any, count: int) -> float:  # noqa: ANN401
    """Return what scheduler, client and worker need for a task that does nothing, submitted as `fit_files` does."""
    from distributed import as_completed

    def submit(number: int) -> Any:  # noqa: ANN401
        return client.submit(do_nothing, Path(f"{number}.fits"), key=f"nothing-{uuid.uuid4().hex}", pure=False)

    numbers = iter(range(count))
    begin = time.perf_counter()
    arriving = as_completed([submit(next(numbers)) for _ in range(min(_WAITING, count))])
    for future in arriving:
        future.result()
        if (number := next(numbers, None)) is not None:
            arriving.add(submit(number))
    return (time.perf_counter() - begin) / count


# --------------------------------------------------------------------------------------------------------------- tables
def cost_table(costs: Costs, times: dict[str, Times], disk: tuple[float, float], shape: str) -> Table:
    """Return what one file costs."""
    rest = costs.fit - times["fit"].minimum
    rows = [
        ("reading it", costs.read, costs.read_bytes),
        ("fitting it (ols)", times["fit"].minimum, costs.read_bytes),
        ("writing rate and rateints", costs.write, costs.written_bytes),
        ("the rest: headers, references, checks", rest, 0.0),
        ("Dask's scheduler, for its task", costs.schedule, 0.0),
        ("this machine's disk: reading it", costs.read_bytes / disk[0], costs.read_bytes),
        ("this machine's disk: writing, for long, with fsync", costs.written_bytes / disk[1], costs.written_bytes),
    ]
    size = f"{costs.read_bytes / 1e6:.0f} MB in, {costs.written_bytes / 1e6:.0f} MB out"
    return Table(
        f"One core, one exposure of {shape}: {size}",
        ["", "s", "bytes", "ns a byte"],
        [
            [what, f"{s:.4f}", f"{n / 1e6:.0f} MB" if n else "-", f"{s / n * 1e9:.2f}" if n else "-"]
            for what, s, n in rows
        ],
        f"All in one, `fit_file`: {times['whole'].minimum:.3f} s. All but the last two: on a file system in memory.",
    )


def check_table(costs: Costs, measured: dict[str, float]) -> Table:
    """Return the model beside what was measured."""
    rows = []
    for name, seconds in measured.items():
        workers = CLUSTERS[name][0]
        rate, model = 1 / seconds, files_per_second(costs, workers, float("inf"))
        simulated = simulate(costs, workers, 1e15, files_per_worker=60)
        rows.append([name, *(f"{value:.2f}" for value in (rate, model, simulated, rate / model))])
    return Table(
        "Files a second",
        ["workers", "measured", "model", "simulation", "measured / model"],
        rows,
        "On a file system in memory; with Dask, client and scheduler are two more processes on the same cores.",
    )


def saturation_table(costs: Costs, bandwidths: dict[float, str], *, quick: bool) -> Table:
    """Return how many workers a file system bears, and the files a second below and beyond."""
    rows = []
    for bandwidth, name in bandwidths.items():
        enough = saturating_workers(costs, bandwidth)
        row = [f"{bandwidth / GB:.2g} GB/s: {name}", f"{enough:.0f}" if enough >= TEN else f"{enough:.1f}"]
        for multiple in MULTIPLES:
            workers = round(multiple * enough)
            if workers == 0:
                row.append("-")
                continue
            text = f"{workers}: {files_per_second(costs, workers, bandwidth):.1f}"
            if workers <= (16 if quick else MOST_SIMULATED):
                text += f" ({simulate(costs, workers, bandwidth):.1f})"
            row.append(text)
        rows.append(row)
    return Table(
        "Workers that keep a file system busy; and fewer and more of them, with files a second: model (simulation)",
        ["shared by all", "workers", *(f"{multiple:g} x as many" for multiple in MULTIPLES)],
        rows,
        f"Dask's scheduler hands out at most {1 / costs.schedule:.0f} files a second.",
    )


def million_table(costs: Costs, bandwidths: dict[float, str]) -> Table:
    """Return what a million exposures cost."""
    rows = []
    for bandwidth, name in bandwidths.items():
        row = [f"{bandwidth / GB:.2g} GB/s: {name}"]
        for workers in CLUSTER_SIZES:
            hours = MILLION / files_per_second(costs, workers, bandwidth) / HOUR
            row.append(f"{hours:.1f} h ({hours * workers:.0f})")
        rows.append(row)
    return Table(
        f"A million such exposures, {MILLION * costs.read_bytes / 1e12:.0f} TB in, "
        f"{MILLION * costs.written_bytes / 1e12:.0f} TB out: hours (core hours paid for; "
        f"{MILLION * costs.seconds / HOUR:.0f} are work)",
        ["shared by all", *(f"{workers} workers" for workers in CLUSTER_SIZES)],
        rows,
    )


if __name__ == "__main__":
    main()
