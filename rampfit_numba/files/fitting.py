"""One file: read the exposure and its references, fit, write the products."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba import dq
from rampfit_numba.api import fit_ramps
from rampfit_numba.checks import check_path
from rampfit_numba.files.job import RUN_OPTIONS, Job
from rampfit_numba.files.large import fit_if_large, memory_for_unpacked
from rampfit_numba.files.records import is_up_to_date, make_record
from rampfit_numba.files.results import FileResult, FilesOfFits, FittedFile
from rampfit_numba.files.warned import warnings_of_this_file
from rampfit_numba.io.formats import Destination
from rampfit_numba.io.hdus import text
from rampfit_numba.io.scratch import Scratch
from rampfit_numba.options import FitOptions
from rampfit_numba.progress import FilePart
from rampfit_numba.registry import ALGORITHMS
from rampfit_numba.units import DN

if TYPE_CHECKING:
    import os
    from contextlib import AbstractContextManager

    from rampfit_numba.exposure import Exposure
    from rampfit_numba.io.formats import Format
    from rampfit_numba.io.references import ReferenceImage
    from rampfit_numba.result import RampFit

log = logging.getLogger(__package__)


def read_and_fit(
    path: str | os.PathLike[str],
    readnoise: Any = None,  # noqa: ANN401  (path, number or array)
    gain: Any = None,  # noqa: ANN401
    **options: Any,  # noqa: ANN401
) -> FittedFile:
    """Fit the exposure in a file, and write nothing; parameters, and what is raised, are those of :func:`fit_file`."""
    path = check_path("path", path)
    job = Job.checked([path], readnoise, gain, Destination(Path.cwd()), options)
    kind = job.formats[path]
    begin = time.perf_counter()
    exposure = kind.read(path, **job.format_options(kind))
    references = _references(exposure, kind, job)
    _describe(path, exposure, references, job)
    fit = _fit_exposure(exposure, references, kind, job)
    return _fitted(path, fit, references, time.perf_counter() - begin)


def fit_one(path: Path, job: Job) -> FileResult:
    """Fit the exposure in a file of a job and write its products; raises as :func:`rampfit_numba.fit_file` says.

    With :meth:`Job.for_file`, which can be pickled, this runs in any process that sees the files.
    """
    with warnings_of_this_file() as warned:
        result, fitted = read_fit_write(path, job)
    if job.on_fit is not None and fitted is not None:
        job.on_fit(fitted)
    return replace(result, warnings=tuple(warned))


def read_fit_write(
    path: Path, job: Job, turn: AbstractContextManager[object] | None = None
) -> tuple[FileResult, FittedFile | None]:
    """Do the same, but for calling ``job.on_fit``: return what that is to be given, too.

    Parameters
    ----------
    path : Path
    job : Job
    turn : context manager, optional
        Entered for the fit alone, where files are read and written while others are fitted.
    """
    with Scratch(job.destination.folder, memory_for_unpacked(job)) as scratch:
        return _read_fit_write(path, job, turn, scratch)


def _read_fit_write(
    path: Path, job: Job, turn: AbstractContextManager[object] | None, scratch: Scratch
) -> tuple[FileResult, FittedFile | None]:
    begin = time.perf_counter()
    kind = job.formats[path]
    asked = FitOptions(**job.fit_options(kind))
    record = make_record(path, job, kind, asked)
    if skipped := _skipped(path, job, asked, record):
        return skipped, None
    job.check_products(path, kind, asked)

    with job.alone(kind):
        exposure = kind.read(path, scratch, **job.format_options(kind))
    asked.check_groups(exposure.ngroups)
    options = asked.for_groups(exposure.ngroups, even=exposure.evenly_read)
    if options != asked:
        if skipped := _skipped(path, job, options, record):
            return skipped, None
        job.check_products(path, kind, options)
    with job.alone(kind):
        references = _references(exposure, kind, job)
    if turn is not None:
        read_ahead(path)
    waiting = time.perf_counter()
    destination = replace(job.destination, record=record)
    with turn or nullcontext():
        begin += time.perf_counter() - waiting
        _describe(path, exposure, references, job)
        written = fit_if_large(
            path, exposure, references, asked, replace(job, destination=destination), scratch=scratch
        )
        fit = None if written else _fit_exposure(exposure, references, kind, job)
    fitted: FittedFile | None
    if fit is not None:
        fitted = _fitted(path, fit, references, time.perf_counter() - begin)
        hits = int(np.count_nonzero(fit.rate.dq & dq.JUMP_DET))
        stop_here_if_asked(job)
        with job.alone(kind):
            products = tuple(kind.write(fit, path, destination, references, **job.format_options(kind)))
    else:
        assert written is not None  # noqa: S101  (for mypy)
        fitted = None if written.fit is None else _fitted(path, written.fit, references, written.fitted_at - begin)
        hits, products = written.hits, written.products
    for product in products:
        log.info("Saved %s", product)
    result = FileResult(
        path,
        products,
        seconds=time.perf_counter() - begin,
        pixels=exposure.nrows * exposure.ncols,
        groups=exposure.ngroups,
        hits=hits,
    )
    return result, None if job.on_fit is None or fitted is None else replace(fitted, products=products)


def read_ahead(path: Path) -> None:
    """Have the system read a file into its cache, where it can: what is not needed in the end costs nobody memory."""
    import os

    if not hasattr(os, "posix_fadvise"):
        return
    try:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
    except OSError:  # the fit will read it, or say why not
        return


def _skipped(path: Path, job: Job, options: FitOptions, record: str) -> FileResult | None:
    """Return the result of a file whose products are there and up to date, if that is to be looked at; else None."""
    if not job.skip_existing:
        return None
    kind = job.formats[path]
    planned = kind.paths(path, job.destination, options)
    with job.alone(kind):
        if not is_up_to_date(kind, planned, record):
            return None
    if isinstance(job.on_fit, FilesOfFits) and not all(other.is_file() for other in job.on_fit.products(path)):
        return None
    log.info("%s: its products are up to date", path)
    return FileResult(path, tuple(planned.values()), skipped=True)


def stop_here_if_asked(job: Job) -> None:
    """Raise Stopped if the job of many files was stopped meanwhile."""
    part = job.options.get("progress")
    if isinstance(part, FilePart):
        part.check()


def _references(exposure: Exposure, kind: Format, job: Job) -> dict[str, ReferenceImage]:
    return {name: job.reference(name, exposure, kind) for name in job.references}


def _describe(path: Path, exposure: Exposure, references: dict[str, ReferenceImage], job: Job) -> None:
    """Log what will be fitted, with which references."""
    asked = FitOptions(**job.fit_options(job.formats[path]))
    options = asked.for_groups(exposure.ngroups, even=exposure.evenly_read)
    instrument = f"{exposure.instrument}, " if exposure.instrument else ""
    size = f"{exposure.nrows} rows x {exposure.ncols} columns"
    log.info("%s: %s%s, %d integration(s) of %d group(s)", path, instrument, size, exposure.nints, exposure.ngroups)
    _remark_on_steps(path, exposure, job.formats[path], asked)
    _remark_on_units(path, exposure, options)
    for name, reference in references.items():
        log.info("Using %s reference: %s", name.upper(), reference.source)
    weighting = f", weighting = {options.weighting}" if "weighting" in ALGORITHMS[options.algorithm].own_options else ""
    log.info("Using algorithm = %s%s", options.algorithm, weighting)


def _fit_exposure(exposure: Exposure, references: dict[str, ReferenceImage], kind: Format, job: Job) -> RampFit:
    given = job.fit_options(kind)
    run = {name: value for name, value in job.options.items() if name in RUN_OPTIONS and name != "max_memory"}
    return fit_ramps(exposure, references["readnoise"].data, references["gain"].data, **given, **run)


def _fitted(path: Path, fit: RampFit, references: dict[str, ReferenceImage], seconds: float) -> FittedFile:
    return FittedFile(path, fit, references["readnoise"].source, references["gain"].source, seconds)


def _remark_on_steps(path: Path, exposure: Exposure, kind: Format, options: FitOptions) -> None:
    """Warn where what a fit relies on was not done before."""
    algorithm = ALGORITHMS[options.algorithm]
    if not (kind.flags_jumps or algorithm.finds_jumps):
        log.warning(
            "%s: jumps are not flagged in files of %s, and %r takes hits for signal; 'likely' searches for them itself",
            path,
            kind.name,
            algorithm.name,
        )
    if exposure.header is not None and text(exposure.header.primary, "S_LINEAR").upper() == "SKIPPED":
        log.warning(
            "%s: SKIPPED in the header: S_LINEAR, the linearity step; ramps that bend have rates that are too low, and "
            "a search for jumps flags groups of them",
            path,
        )


def _remark_on_units(path: Path, exposure: Exposure, options: FitOptions) -> None:
    """Say what is converted, and warn where the unit of a dark current matters and is not known."""
    if exposure.data_unit != DN:
        log.warning("%s: data in %s are divided by the gain", path, exposure.data_unit)
    has_dark = exposure.average_dark_current is not None and exposure.dark_current_unit is None
    if has_dark and ALGORITHMS[options.algorithm].needs_dark_unit:
        log.warning(
            "%s: the unit of AVDRKCUR is not known; it is taken as DN/s, as the pipeline's ramp fit does, but the "
            "pipeline's dark step documents electron/s: state it (dark_current_unit, --dark-current-unit)",
            path,
        )
