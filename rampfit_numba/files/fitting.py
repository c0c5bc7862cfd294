"""One file: read the exposure and its references, fit, write the products."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba import dq
from rampfit_numba.api import fit_ramps
from rampfit_numba.files.job import RUN_OPTIONS, Job
from rampfit_numba.files.large import fit_if_large
from rampfit_numba.files.results import FileResult, FittedFile
from rampfit_numba.io.formats import Destination
from rampfit_numba.options import FitOptions
from rampfit_numba.registry import ALGORITHMS
from rampfit_numba.units import DN

if TYPE_CHECKING:
    import os

    from rampfit_numba.exposure import Exposure
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
    job = Job.checked([Path(path)], readnoise, gain, Destination(Path.cwd()), options)
    kind = job.formats[Path(path)]
    begin = time.perf_counter()
    exposure = kind.read(Path(path), **job.format_options(kind))
    references = _references(Path(path), exposure, job)
    return _fitted(Path(path), _fit_exposure(Path(path), exposure, references, job), references, begin)


def fit_one(path: Path, job: Job) -> FileResult:
    """Fit the exposure in a file of a job and write its products; raises as :func:`rampfit_numba.fit_file` says.

    With :meth:`Job.for_file`, which can be pickled, this runs in any process that sees the files.
    """
    kind = job.formats[path]
    asked = FitOptions(**job.fit_options(kind))
    job.check_products(path, kind, asked)

    own = job.format_options(kind)
    begin = time.perf_counter()
    exposure = kind.read(path, **own)
    asked.check_groups(exposure.ngroups)
    options = asked.for_groups(exposure.ngroups, even=exposure.evenly_read)
    if options != asked:
        job.check_products(path, kind, options)
    references = _references(path, exposure, job)
    sections = fit_if_large(path, exposure, references, asked, job)
    if sections is not None:
        fitted, hits, products = None, sections.hits, sections.products
    else:
        fit = _fit_exposure(path, exposure, references, job)
        fitted = _fitted(path, fit, references, begin)
        hits = int(np.count_nonzero(fit.rate.dq & dq.JUMP_DET))
        products = tuple(kind.write(fit, path, job.destination, references, **own))
    for product in products:
        log.info("Saved %s", product)
    if job.on_fit is not None and fitted is not None:
        job.on_fit(replace(fitted, products=products))
    _, ngroups, nrows, ncols = exposure.shape
    return FileResult(
        path,
        products,
        seconds=time.perf_counter() - begin,
        pixels=nrows * ncols,
        groups=ngroups,
        hits=hits,
    )


def _references(path: Path, exposure: Exposure, job: Job) -> dict[str, ReferenceImage]:
    """Return read noise and gain; say what will be fitted, with which references."""
    kind = job.formats[path]
    options = FitOptions(**job.fit_options(kind)).for_groups(exposure.ngroups)
    instrument = f"{exposure.instrument}, " if exposure.instrument else ""
    size = f"{exposure.nrows} rows x {exposure.ncols} columns"
    log.info("%s: %s%s, %d integration(s) of %d group(s)", path, instrument, size, exposure.nints, exposure.ngroups)
    _remark_on_units(path, exposure, options)
    references = {name: job.reference(name, exposure, kind) for name in job.references}
    for name, reference in references.items():
        log.info("Using %s reference: %s", name.upper(), reference.source)
    log.info("Using algorithm = %s, weighting = %s", options.algorithm, options.weighting)
    return references


def _fit_exposure(path: Path, exposure: Exposure, references: dict[str, ReferenceImage], job: Job) -> RampFit:
    run = {name: value for name, value in job.options.items() if name in RUN_OPTIONS and name != "max_memory"}
    given = job.fit_options(job.formats[path])
    return fit_ramps(exposure, references["readnoise"].data, references["gain"].data, **given, **run)


def _fitted(path: Path, fit: RampFit, references: dict[str, ReferenceImage], begin: float) -> FittedFile:
    seconds = time.perf_counter() - begin
    return FittedFile(path, fit, references["readnoise"].source, references["gain"].source, seconds)


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
