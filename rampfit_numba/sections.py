"""Fits whose results take more memory than they may: section by section, each written when it is fitted.

The row functions, the workers and the numbers are those of :func:`rampfit_numba.fit_ramps`, and the products have the
same bytes as those of a fit in one piece; only where the detector is cut is another matter, which no result depends on.
"""

from __future__ import annotations

import logging
import math
import time
from concurrent.futures import Executor
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba import dq
from rampfit_numba.allocation import allocate_fitopt, allocate_results
from rampfit_numba.api import anything_fitted, noise_and_gain, plan_fit, warn_of_nothing
from rampfit_numba.engine.chunks import CHUNK_BYTES, expect_files
from rampfit_numba.engine.cores import count_workers
from rampfit_numba.engine.executors import OnSharedFiles, run_rows, usable_kind
from rampfit_numba.engine.memory import size_text
from rampfit_numba.engine.memory_pool import private_allocator
from rampfit_numba.engine.shared import shared_allocator
from rampfit_numba.file_arrays import FileArray
from rampfit_numba.io.outputs import check_outputs
from rampfit_numba.io.product_headers import ProductHeaders
from rampfit_numba.io.product_parts import planned
from rampfit_numba.io.products import build_products, jumps_product
from rampfit_numba.io.section_writer import SectionedFile
from rampfit_numba.io.whole_files import written_together
from rampfit_numba.jumps import jump_columns, table_of_jumps
from rampfit_numba.progress import row_bar
from rampfit_numba.registry import ALGORITHMS
from rampfit_numba.result import NO_VALID_FIT, FitInputs, FitOpt, RampFit, Rate, RateInts, plane_types
from rampfit_numba.segments import kept_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from rampfit_numba.algorithms.method import Method, Plan, Results
    from rampfit_numba.exposure import Exposure
    from rampfit_numba.io.product_headers import Provenance
    from rampfit_numba.options import FitOptions

log = logging.getLogger(__name__)

_WORD = 4
#: Bytes that a worker works in for each integration, whatever the number of pixels: a block of them with its results.
_WORKSPACE = 16 << 10
#: Segments and jumps of a ramp, where they are not counted yet.
_USUAL_SEGMENTS, _USUAL_JUMPS = 2, 1
#: Rows that are read at a time of a long series.
_USUAL_ROWS = 4
#: Columns of a section go by whole blocks of the kernels, where memory allows.
_BLOCK = 192


@dataclass(frozen=True)
class FittedSections:
    """What is left of a fit whose results are in its products.

    Attributes
    ----------
    products : tuple of Path
    hits : int
        Pixels whose rate is flagged JUMP_DET.
    """

    products: tuple[Path, ...]
    hits: int


def memory_needed(exposure: Exposure, options: FitOptions) -> int:
    """Return the bytes that a fit in one piece takes with its results, and to write them; those of fitopt roughly."""
    nints, ngroups, nrows, ncols = exposure.shape
    per_pixel = _result_bytes(nints, ngroups, options, _USUAL_SEGMENTS, _USUAL_JUMPS)
    read = exposure.data.nbytes + exposure.groupdq.nbytes
    # To write a plane, a copy of it is made.
    return nrows * ncols * (per_pixel + nints * _WORD) + min(read, max(_USUAL_ROWS * read // nrows, CHUNK_BYTES))


def _result_bytes(nints: int, ngroups: int, options: FitOptions, nsegments: int, njumps: int) -> int:
    """Return the bytes of the results of one pixel."""
    nbytes = (nints + 1) * len(plane_types(options.own_planes)) * _WORD
    if ALGORITHMS[options.algorithm].finds_jumps:
        nbytes += nints * ngroups
    elif options.save_opt:
        nbytes += nints * (7 * nsegments + njumps + 1) * _WORD
    return nbytes


def fit_by_sections(
    exposure: Exposure,
    readnoise: Any,  # noqa: ANN401  (as for fit_ramps)
    gain: Any,  # noqa: ANN401
    asked: FitOptions,
    *,
    products: dict[str, Path],
    provenance: Provenance,
    max_memory: int,
    overwrite: bool = False,
    inputs: Iterable[Path] = (),
    maximum_cores: str | int = "none",
    executor: str | Executor | None = None,
    progress: Any = False,  # noqa: ANN401  (what row_bar takes)
) -> FittedSections:
    """Fit an exposure and write its products, with no more memory for its arrays than is given.

    Parameters
    ----------
    exposure : Exposure
    readnoise, gain : float or array_like, shape (nrows, ncols)
        As for :func:`rampfit_numba.fit_ramps`.
    asked : FitOptions
    products : dict of str to Path
        What to write, by kind: see :func:`rampfit_numba.io.outputs.product_paths`.
    provenance : Provenance
        What their headers say about the references.
    max_memory : int
        Bytes.
    overwrite : bool
        Whether existing products are replaced.
    inputs : iterable of Path
        Files that must not be overwritten in any case.
    maximum_cores, executor, progress
        As for :func:`rampfit_numba.fit_ramps`.

    Raises
    ------
    RampFileError
        A file cannot be read or written; the products are as they were.
    TypeError, ValueError
        An option is unusable, or the algorithm cannot fit this exposure.

    Warns
    -----
    RampFitWarning
        As :func:`rampfit_numba.fit_ramps`.
    """
    check_outputs(products.values(), overwrite=overwrite, inputs=inputs)
    asked.check_groups(exposure.ngroups)
    options = asked.for_groups(exposure.ngroups, even=exposure.evenly_read)
    noise, electrons = noise_and_gain(readnoise, gain, exposure, options)
    workers = count_workers(maximum_cores, exposure.nrows, limited=not isinstance(executor, Executor))
    start = time.perf_counter()
    exposure, method, plan = plan_fit(exposure, asked, options, noise, electrons, progress=bool(progress))
    fit = _Fit(exposure, options, FitInputs(exposure, noise, electrons), method, plan, workers, executor, max_memory)
    files = _Products(products, provenance, overwrite=overwrite)
    try:
        found = fit.write(files, plan.nothing_to_fit, progress)
    except _NothingFittedError:
        # The headers, which come first, say so.
        found = fit.write(files, NO_VALID_FIT, progress)
    if found.nothing:
        warn_of_nothing(found.nothing, only_nan=found.only_nan)
    seconds, plural = time.perf_counter() - start, "s" if workers > 1 else ""
    log.info("Ramps fitted and written in %.3f s by %d worker%s", seconds, workers, plural)
    return FittedSections(tuple(products.values()), found.hits)


class _NothingFittedError(Exception):
    """No ramp was fitted, though no rule for the whole exposure says so."""


@dataclass(frozen=True)
class _Products:
    """What to write where."""

    paths: dict[str, Path]
    provenance: Provenance
    overwrite: bool


@dataclass
class _Found:
    """What has been seen in all sections."""

    nothing: str
    anything: bool = False
    only_nan: bool = True
    hits: int = 0

    def look_at(self, rate: Rate) -> None:
        self.anything = self.anything or anything_fitted(rate)
        self.only_nan = self.only_nan and bool(np.isnan(rate.data).all())
        self.hits += int(np.count_nonzero(rate.dq & dq.JUMP_DET))


@dataclass(frozen=True)
class _Fit:
    """A fit that is planned, and what it may take."""

    exposure: Exposure
    options: FitOptions
    inputs: FitInputs
    method: Method
    plan: Plan
    workers: int
    executor: str | Executor | None
    max_memory: int

    def write(self, products: _Products, nothing: str, progress: Any) -> _Found:  # noqa: ANN401
        """Fit all sections and write the products; `nothing` is what their headers say, why nothing could be fitted."""
        plan, nrows = self.plan, self.exposure.nrows
        expect_files(plan.inputs)
        depth = self._count() if plan.count_rows is not None else None
        cut = self._cut(depth or (_USUAL_SEGMENTS, _USUAL_JUMPS))
        self._say(cut)
        whole = self._planned(nothing, depth)
        kept = kept_groups(whole, self.inputs) if "jumps" in products.paths else None
        found, returned, jumps = _Found(nothing), [], []
        with (
            written_together(list(products.paths.values()), overwrite=products.overwrite) as files,
            row_bar(progress, nrows * cut.across) as move,
        ):
            opened = dict(zip(products.paths, files, strict=True))
            sectioned = {kind: path for kind, path in products.paths.items() if kind != "jumps"}
            built = build_products(whole, sectioned, products.provenance)
            images = {kind: SectionedFile(opened[kind], product) for kind, product in built.items()}
            for rows, columns in cut.sections():
                results, section_returned = self._fit(rows, columns, depth, cut.reading)
                returned += section_returned
                found.look_at(results.rate)
                if kept is not None:
                    jumps.append(self._jumps(results, rows, columns, kept))
                for kind, values in _images(results, products.paths).items():
                    images[kind].put(values, rows.start, columns.start)
                del results, values  # the next ones stand there
                move(rows.stop - rows.start)
            if not (nothing or found.anything):
                raise _NothingFittedError
            self.method.tell(returned)
            if jumps:
                table = table_of_jumps(jumps, self.options.algorithm)
                path = products.paths["jumps"]
                headers = ProductHeaders(whole, products.provenance)
                opened["jumps"].write(jumps_product(whole, path.name, headers, table))
        return found

    def _count(self) -> tuple[int, int]:
        """Return the largest numbers of segments and of jumps of a ramp."""
        plan = self.plan
        cut = self._cut((_USUAL_SEGMENTS, _USUAL_JUMPS))
        most = (0, 0)
        for rows, columns in cut.sections():
            assert plan.count_rows is not None  # noqa: S101  (for mypy)
            counts = self._run(plan.count_rows, _take(plan.inputs, rows, columns), None, rows, cut.reading)
            most = tuple(max(most[axis], *(count[axis] for count in counts)) for axis in (0, 1))
        return most

    def _fit(
        self, rows: slice, columns: slice, depth: tuple[int, int] | None, reading: int
    ) -> tuple[Results, list[Any]]:
        """Fit a section; return its results, and what the row function returned."""
        nints, ngroups = self.exposure.shape[:2]
        shape = (nints, ngroups, rows.stop - rows.start, columns.stop - columns.start)
        allocator = shared_allocator if self._kind() == "processes" else private_allocator
        results = allocate_results(shape, self.options, None, allocator)
        if depth is not None:
            results = results._replace(fitopt=allocate_fitopt(shape, *depth, allocator))
        part = _take(self.plan.inputs, rows, columns)
        returned = self._run(self.plan.fit_rows, part, self.method.outputs(results), rows, reading)
        self.method.finish(self.plan, returned, results)
        return results, returned

    def _run(self, task: Callable[..., Any], inputs: Any, outputs: Any, rows: slice, reading: int) -> list[Any]:  # noqa: ANN401
        height = rows.stop - rows.start
        return run_rows(
            task,
            inputs,
            outputs,
            nrows=height,
            workers=min(self.workers, height),
            executor=self.executor,
            max_memory=reading,
        )

    def _kind(self) -> str:
        return usable_kind(self.executor, self.workers)

    def _cut(self, depth: tuple[int, int]) -> _Cut:
        """Decide on the sections: a part of the memory is for what is read of them, the other one for their results."""
        nints, ngroups, nrows, ncols = self.exposure.shape
        read = sum(array.nbytes for array in self.plan.inputs if isinstance(array, FileArray)) // (nrows * ncols)
        results = _result_bytes(nints, ngroups, self.options, *depth)
        free = max(self.max_memory - self._workspaces(), self.max_memory // 4)
        elsewhere = self._kind() == "elsewhere"
        if elsewhere and isinstance(self.executor, OnSharedFiles):
            read = 0
        # What travels stands here twice: as it was sent, and where it belongs.
        pixels = free // ((read + results) * (2 if elsewhere else 1))
        if pixels < ncols:
            width = max(pixels - pixels % _BLOCK, min(pixels, _BLOCK), 1)
            height = 1
        elif self._kind() in ("here", "threads"):
            # What is read of a section goes through memory piece by piece.
            width, height = ncols, max(free // 2 // (results * ncols), pixels // ncols)
        else:
            width, height = ncols, pixels // ncols
        height = min(height, nrows)
        return _Cut(nrows, ncols, height, width, max(free - height * width * results, read * width))

    def _workspaces(self) -> int:
        """Return the bytes that workers work in; those of other machines are no concern of this one."""
        return 0 if self._kind() == "elsewhere" else self.workers * self.exposure.nints * _WORKSPACE

    def _say(self, cut: _Cut) -> None:
        """Log how the detector is cut, and a warning where the memory is too little for that."""
        given, count = size_text(self.max_memory), sum(1 for _ in cut.sections())
        log.info("In %s of memory: %d sections of %d rows x %d columns", given, count, cut.height, cut.width)
        least = self._workspaces() + cut.reading
        if least > self.max_memory:
            log.warning("max_memory: %s do not hold these, the fit will take %s or more", given, size_text(least))

    def _planned(self, nothing: str, depth: tuple[int, int] | None) -> RampFit:
        """Return the fit as it will be, with arrays that take no memory."""
        nints, _, nrows, ncols = self.exposure.shape
        own, header = self.options.own_planes, self.exposure.header
        rate = Rate.allocate(nrows, ncols, own_planes=own, empty=planned)
        rateints = RateInts.allocate(nints, nrows, ncols, own_planes=own, empty=planned)
        fitopt = None if depth is None else FitOpt.allocate(nints, *depth, nrows, ncols, zeros=planned)
        return RampFit(rate, rateints, fitopt, header, self.options, nothing, None, self.inputs)

    def _jumps(
        self, results: Results, rows: slice, columns: slice, kept: tuple[int, int, bool]
    ) -> dict[str, np.ndarray]:
        """Return the jumps of a section, at their places on the detector."""
        noise, gain = (plane[rows, columns] for plane in (self.inputs.readnoise, self.inputs.gain))
        inputs = FitInputs(self.exposure.rows(rows, columns), noise, gain)
        rate, rateints, _, groupdq = results
        fit = RampFit(rate, rateints, None, None, self.options, "", groupdq, inputs)
        return jump_columns(fit, kept, rows.start, columns.start)


@dataclass(frozen=True)
class _Cut:
    """How a detector is cut into sections.

    Attributes
    ----------
    nrows, ncols : int
        Of the detector.
    height, width : int
        Of the sections.
    reading : int
        Bytes that may be read at once.
    """

    nrows: int
    ncols: int
    height: int
    width: int
    reading: int

    @property
    def across(self) -> int:
        """Number of sections beside each other."""
        return math.ceil(self.ncols / self.width)

    def sections(self) -> Iterator[tuple[slice, slice]]:
        """Yield rows and columns of the sections, in memory order."""
        for top in range(0, self.nrows, self.height):
            rows = slice(top, min(top + self.height, self.nrows))
            for left in range(0, self.ncols, self.width):
                yield rows, slice(left, min(left + self.width, self.ncols))


def _take(inputs: Any, rows: slice, columns: slice) -> Any:  # noqa: ANN401  (a named tuple)
    """Return the same named tuple with a section of every array."""

    def cut(array: Any) -> Any:  # noqa: ANN401
        if array is None:
            return None
        if isinstance(array, FileArray):
            part = array.rows(rows)
            return part if columns.stop - columns.start == array.shape[-1] else part.cut(columns)
        return array[..., rows, columns]

    return type(inputs)(*map(cut, inputs))


def _images(results: Results, products: dict[str, Path]) -> dict[str, dict[str, np.ndarray]]:
    """Return the images of each product, by name of extension."""
    images = {
        "rate": _named(results.rate, {"data": "SCI"}),
        "rateints": _named(results.rateints, {"data": "SCI"}),
    }
    if "fitopt" in products and results.fitopt is not None:
        images["fitopt"] = _named(results.fitopt, {})
    if "likely_chisq" in products and results.rate.chisq is not None:
        # A copy: it is in the rate product, too, and is turned into what FITS stores.
        images["likely_chisq"] = {"SCI": results.rate.chisq.copy()}
    return images


def _named(planes: Any, names: dict[str, str]) -> dict[str, np.ndarray]:  # noqa: ANN401  (a dataclass of arrays)
    found = {field.name: getattr(planes, field.name) for field in fields(planes) if field.name != "header"}
    return {names.get(name, name.upper()): plane for name, plane in found.items() if plane is not None}
