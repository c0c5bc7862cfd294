"""The fit of an exposure section by section: what is read ahead, fitted, and written behind."""

from __future__ import annotations

import logging
import math
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba import dq
from rampfit_numba.allocation import allocate_fitopt, allocate_results
from rampfit_numba.api import anything_fitted, noise_and_gain, plan_fit, warn_of_nothing, workers_for
from rampfit_numba.engine.background import Background, read_ahead
from rampfit_numba.engine.chunks import expect_files
from rampfit_numba.engine.cores import threads_worth
from rampfit_numba.engine.executors import OnSharedFiles, check_files, run_rows, usable_kind
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
from rampfit_numba.progress import row_bar, unseen
from rampfit_numba.result import NO_VALID_FIT, FitInputs, FitOpt, RampFit, Rate, RateInts
from rampfit_numba.sections.cut import USUAL_DEPTH, Memory, workers_held
from rampfit_numba.sections.kept import KeptResults
from rampfit_numba.segments import kept_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Executor
    from pathlib import Path

    from rampfit_numba.algorithms.method import Method, Plan, Results
    from rampfit_numba.algorithms.rows import RowInputs
    from rampfit_numba.exposure import Exposure
    from rampfit_numba.io.product_headers import Provenance
    from rampfit_numba.io.scratch import Scratch
    from rampfit_numba.options import FitOptions
    from rampfit_numba.sections.cut import Cut

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FittedSections:
    """What is left of a fit whose results are in its products.

    Attributes
    ----------
    products : tuple of Path
    hits : int
        Pixels whose rate is flagged JUMP_DET.
    fitted_at : float
        When the last section was fitted, and all but what is last to be written: in seconds of `time.perf_counter`.
    fit : RampFit or None
        The fit without those of the segments, where it was to be kept: its arrays stand in a file.
    """

    products: tuple[Path, ...]
    hits: int
    fitted_at: float
    fit: RampFit | None = None


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
    keep: Scratch | None = None,
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
    keep : Scratch, optional
        Where the results are to be kept, too, as long as it is there.
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
    workers = workers_for(exposure, maximum_cores, executor)
    if usable_kind(executor, workers) != "elsewhere" and workers > (
        held := workers_held(exposure, options, max_memory)
    ):
        log.info("max_memory: %s have room for %d of %d workers", size_text(max_memory), held, workers)
        workers = held
    start = time.perf_counter()
    exposure, method, plan = plan_fit(exposure, asked, options, noise, electrons, progress=bool(progress))
    fit = _Fit(exposure, options, FitInputs(exposure, noise, electrons), method, plan, workers, executor, max_memory)
    kept = None if keep is None else KeptResults(exposure.shape, options, keep, f"{products['rate']}: the fit")
    files = _Products(products, provenance, kept, overwrite=overwrite)
    try:
        found = fit.write(files, plan.nothing_to_fit, progress)
    except _NothingFittedError:
        # The headers, which come first, say so.
        found = fit.write(files, NO_VALID_FIT, unseen(progress))
    if found.nothing:
        warn_of_nothing(found.nothing, only_nan=found.only_nan)
    seconds, plural = time.perf_counter() - start, "s" if workers > 1 else ""
    log.info("Ramps fitted and written in %.3f s by %d worker%s", seconds, workers, plural)
    whole = None if kept is None else fit.kept(kept.results, found.nothing)
    return FittedSections(tuple(products.values()), found.hits, found.fitted_at, whole)


class _NothingFittedError(Exception):
    """No ramp was fitted, though no rule for the whole exposure says so."""


@dataclass(frozen=True)
class _Products:
    """What to write where."""

    paths: dict[str, Path]
    provenance: Provenance
    kept: KeptResults | None
    overwrite: bool


@dataclass
class _Found:
    """What has been seen in all sections."""

    nothing: str
    anything: bool = False
    only_nan: bool = True
    hits: int = 0
    fitted_at: float = 0.0

    def look_at(self, rate: Rate) -> None:
        self.anything = self.anything or anything_fitted(rate)
        self.only_nan = self.only_nan and bool(np.isnan(rate.data).all())
        self.hits += int(np.count_nonzero(rate.dq & dq.JUMP_DET))
        self.fitted_at = time.perf_counter()


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
        cut = self._cut(depth or USUAL_DEPTH)
        self._memory().say(cut, self.exposure, self.options)
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
            with self._sections(cut) as sections, Background("rampfit-writer") as writer:
                for rows, columns, part in sections:
                    results, section_returned = self._fit(part, rows, columns, depth, cut.reading)
                    returned += section_returned
                    found.look_at(results.rate)
                    if products.kept is not None:
                        products.kept.put(results, rows, columns)
                    if kept is not None:
                        jumps.append(self._jumps(results, rows, columns, kept))
                    section = images, _images(results, products.paths), rows.start, columns.start
                    if cut.behind:
                        writer.start(_put, *section)
                    else:
                        _put(*section)
                    del results, section  # the next ones, or those after them, stand there
                    move(rows.stop - rows.start)
            check_files(plan.inputs)
            if not (nothing or found.anything):
                raise _NothingFittedError
            self.method.tell(returned)
            if jumps:
                table = table_of_jumps(jumps, self.options.algorithm)
                path = products.paths["jumps"]
                headers = ProductHeaders(whole, products.provenance)
                opened["jumps"].write(jumps_product(whole, path.name, headers, table))
        return found

    def kept(self, results: Results, nothing: str) -> RampFit:
        """Return the whole fit, from the results of all sections."""
        header = self.exposure.header
        rate, rateints = replace(results.rate, header=header), replace(results.rateints, header=header)
        return RampFit(rate, rateints, None, header, self.options, nothing, results.groupdq, self.inputs)

    @contextmanager
    def _sections(self, cut: Cut) -> Iterator[Iterator[tuple[slice, slice, RowInputs]]]:
        """Give rows, columns and inputs of the sections, which are read ahead unless workers read them themselves."""
        places = list(cut.sections())
        parts = [_take(self.plan.inputs, *place) for place in places]
        with read_ahead(parts) if cut.behind and self._reads_ahead() else nullcontext(iter(parts)) as inputs:
            yield ((*place, part) for place, part in zip(places, inputs, strict=True))

    def _count(self) -> tuple[int, int]:
        """Return the largest numbers of segments and of jumps of a ramp."""
        assert self.plan.count_rows is not None  # noqa: S101  (for mypy)
        cut = self._cut(USUAL_DEPTH)
        most = (0, 0)
        with self._sections(cut) as sections:
            for rows, _, part in sections:
                counts = self._run(self.plan.count_rows, part, None, rows, cut.reading)
                most = tuple(max(most[axis], *(count[axis] for count in counts)) for axis in (0, 1))
        return most

    def _fit(
        self, part: RowInputs, rows: slice, columns: slice, depth: tuple[int, int] | None, reading: int
    ) -> tuple[Results, list[Any]]:
        """Fit a section; return its results, and what the row function returned."""
        nints, ngroups = self.exposure.shape[:2]
        shape = (nints, ngroups, rows.stop - rows.start, columns.stop - columns.start)
        allocator = shared_allocator if self._kind() == "processes" else private_allocator
        results = allocate_results(shape, self.options, None, allocator)
        if depth is not None:
            results = results._replace(fitopt=allocate_fitopt(shape, *depth, allocator))
        returned = self._run(self.plan.fit_rows, part, self.method.outputs(results), rows, reading)
        self.method.finish(self.plan, returned, results)
        return results, returned

    def _run(self, task: Callable[..., Any], inputs: Any, outputs: Any, rows: slice, reading: int) -> list[Any]:  # noqa: ANN401
        height = rows.stop - rows.start
        workers = min(self.workers, height)
        if self.executor is None:  # as of an exposure of this size
            nbytes = sum(array.nbytes for array in (inputs.data, inputs.groupdq) if array is not None)
            workers = min(workers, threads_worth(nbytes))
        return run_rows(
            task,
            inputs,
            outputs,
            nrows=height,
            workers=workers,
            executor=self.executor,
            max_memory=reading,
        )

    def _kind(self) -> str:
        return usable_kind(self.executor, self.workers)

    def _reads_ahead(self) -> bool:
        return self._kind() in ("here", "threads")

    def _cut(self, depth: tuple[int, int]) -> Cut:
        return self._memory().cut(self.exposure, self.options, depth)

    def _memory(self) -> Memory:
        """Return what the fit may take, and what stands in it."""
        kind, _, _, *image = self._kind(), *self.exposure.shape
        read = sum(array.nbytes for array in self.plan.inputs if isinstance(array, FileArray)) // math.prod(image)
        if kind == "elsewhere":
            if isinstance(self.executor, OnSharedFiles):
                read = 0
            # What travels stands here twice: as it was sent, and where it belongs.
            return Memory(self.max_memory, 0, read, copies=2, reads_ahead=False)
        return Memory(self.max_memory, self.workers, read, copies=1, reads_ahead=self._reads_ahead())

    def _planned(self, nothing: str, depth: tuple[int, int] | None) -> RampFit:
        """Return the fit as it will be, with arrays that take no memory."""
        nints, _, nrows, ncols = self.exposure.shape
        own, header = self.options.own_planes, self.exposure.header
        rate = Rate.allocate(nrows, ncols, own_planes=own, empty=planned)
        rateints = RateInts.allocate(nints, nrows, ncols, own_planes=own, empty=planned)
        fitopt = None if depth is None else FitOpt.allocate(nints, *depth, nrows, ncols, empty=planned)
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
        images["likely_chisq"] = {"SCI": results.rate.chisq}
    return images


def _put(files: dict[str, SectionedFile], images: dict[str, dict[str, np.ndarray]], top: int, left: int) -> None:
    """Write the images of a section, those of each product into its file."""
    for kind, values in images.items():
        files[kind].put(values, top, left)


def _named(planes: Any, names: dict[str, str]) -> dict[str, np.ndarray]:  # noqa: ANN401  (a dataclass of arrays)
    found = {field.name: getattr(planes, field.name) for field in fields(planes) if field.name != "header"}
    return {names.get(name, name.upper()): plane for name, plane in found.items() if plane is not None}
