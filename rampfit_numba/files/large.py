"""Exposures whose results are written section by section: they take more memory than they may, or long to write."""

from __future__ import annotations

import logging
from concurrent.futures import Executor
from typing import TYPE_CHECKING

import numpy as np

from rampfit_numba.api import noise_and_gain, workers_for
from rampfit_numba.engine.memory import memory_budget, size_text
from rampfit_numba.files.job import RUN_OPTIONS
from rampfit_numba.files.results import FilesOfFits
from rampfit_numba.sections import fit_by_sections, memory_needed, result_size
from rampfit_numba.units import DN

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rampfit_numba.exposure import Exposure
    from rampfit_numba.files.job import Job
    from rampfit_numba.io.references import ReferenceImage
    from rampfit_numba.io.scratch import Scratch
    from rampfit_numba.options import FitOptions
    from rampfit_numba.sections import FittedSections

log = logging.getLogger(__package__)

#: What part of a budget the arrays of a file may take that is compressed or scaled; larger ones stand in another file.
_UNPACKED_SHARE = 2
#: Bytes of results from which on an exposure is fitted by sections, whatever its budget: it is read and written
#: meanwhile, and sections stand where others stood: new memory takes the system as long as a fit takes the kernels.
LONG = 256 << 20


def memory_for_unpacked(job: Job) -> int:
    """Return the bytes that the arrays of a compressed or scaled file may take in memory."""
    return memory_budget(job.options.get("max_memory")) // _UNPACKED_SHARE


def fit_if_large(
    path: Path,
    exposure: Exposure,
    references: dict[str, ReferenceImage],
    options: FitOptions,
    job: Job,
    *,
    scratch: Scratch,
) -> FittedSections | None:
    """Fit an exposure and write its products section by section, if its results take more memory than they may.

    Parameters
    ----------
    path : Path
    exposure : Exposure
    references : dict of str to ReferenceImage
        ``"readnoise"`` and ``"gain"``.
    options : FitOptions
    job : Job
    scratch : Scratch
        For data that are converted, and results that are looked at afterwards.

    Returns
    -------
    FittedSections or None
        None: nothing was done, the exposure is to be fitted in one piece.
    """
    max_memory = memory_budget(job.options.get("max_memory"))
    run = {name: value for name, value in job.options.items() if name in RUN_OPTIONS and name != "max_memory"}
    here = not isinstance(run.get("executor"), Executor)
    workers = workers_for(exposure, run.get("maximum_cores", "none"), run.get("executor")) if here else 0
    needed = memory_needed(exposure, options, workers) + _converted_size(exposure)
    held = sum(a.nbytes for a in (exposure.data, exposure.groupdq) if not isinstance(a, np.memmap))
    kind = job.formats[path]
    if held > max_memory:
        size, budget = size_text(held), size_text(max_memory)
        log.warning("%s: %s of it stand in memory, beside %s (max_memory)", path, size, budget)
    else:
        max_memory -= held
    fits_in = needed <= max_memory
    whole_wanted = options.save_opt or job.on_fit is not None or exposure.data_unit != DN
    # To count segments before they are fitted, sections are read twice; what is wanted beside the products is written
    # and read once more; and workers elsewhere read for themselves.
    if fits_in and (result_size(exposure, options) < LONG or whole_wanted or not here):
        return None
    if obstacle := _obstacle(job, by_sections=kind.by_sections):
        if fits_in:
            return None
        sizes = size_text(needed), size_text(max_memory)
        log.warning("%s: its results take %s at once, more than %s (max_memory): %s", path, *sizes, obstacle)
        return None
    noise, gain = (references[name].data for name in ("readnoise", "gain"))
    if exposure.data_unit != DN:
        _, electrons = noise_and_gain(noise, gain, exposure, options)
        what = f"{path}: what is in {exposure.data_unit}, divided by the gain"

        def write(images: Iterable[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
            return scratch.write(images, shape, np.float32, what)

        keep = None if scratch.holds(_converted_size(exposure)) else write
        exposure = exposure.in_dn(electrons, keep)
    return fit_by_sections(
        exposure,
        noise,
        gain,
        options,
        products=kind.paths(path, job.destination, options),
        provenance=kind.provenance(job.destination, references),
        max_memory=max_memory,
        overwrite=job.destination.overwrite,
        inputs=job.destination.inputs,
        keep=None if job.on_fit is None else scratch,
        **run,
    )


def _converted_size(exposure: Exposure) -> int:
    """Return the bytes of what is converted to DN before it is fitted."""
    if exposure.data_unit == DN:
        return 0
    arrays = (exposure.data, exposure.zeroframe)
    return sum(array.size for array in arrays if array is not None) * np.dtype(np.float32).itemsize


def _obstacle(job: Job, *, by_sections: bool) -> str:
    """Return why an exposure cannot be fitted section by section, or an empty text."""
    if not by_sections:
        return "files of this kind are fitted in one piece"
    if job.on_fit is not None and not isinstance(job.on_fit, FilesOfFits):
        return "a function (on_fit) needs them all"
    return ""
