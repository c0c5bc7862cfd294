"""From files to files: read an exposure and its references, fit, write the products."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from rampfit_numba._version import __version__
from rampfit_numba.api import fit_ramps
from rampfit_numba.checks import check_unit
from rampfit_numba.engine.cores import count_workers
from rampfit_numba.io.fits import check_outputs
from rampfit_numba.io.formats import FORMATS, Destination, find_format
from rampfit_numba.io.references import ReferenceImage, read_reference, resolve_reference
from rampfit_numba.messages import RampFileError
from rampfit_numba.options import FitOptions
from rampfit_numba.progress import job as progress_job
from rampfit_numba.registry import ALGORITHMS, find_algorithm
from rampfit_numba.units import DN, rate_unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rampfit_numba.exposure import Exposure
    from rampfit_numba.io.formats import Format
    from rampfit_numba.result import RampFit

log = logging.getLogger(__name__)

#: What may be given to the functions for files as options: those of a fit, and how it is run.
_FIT_OPTIONS = tuple(option.name for option in fields(FitOptions))
_RUN_OPTIONS = ("maximum_cores", "executor", "progress")
#: Those of single kinds of files.
_FORMAT_OPTIONS = tuple(name for kind in FORMATS for name in kind.own_options)


@dataclass(frozen=True)
class FileResult(Sequence[Path]):
    """What became of one file. As a sequence, it is that of the files written.

    Attributes
    ----------
    path : Path
        The exposure's file.
    products : tuple of Path
        The files written; empty where it failed.
    error : Exception or None
        Why it failed.
    """

    path: Path
    products: tuple[Path, ...] = ()
    error: Exception | None = None

    def __len__(self) -> int:
        return len(self.products)

    def __bool__(self) -> bool:
        return self.error is None

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Path, ...]: ...
    def __getitem__(self, index: int | slice) -> Path | tuple[Path, ...]:
        return self.products[index]


@dataclass(frozen=True, eq=False)
class FittedFile:
    """An exposure that was read from a file and fitted, and is still in memory.

    Attributes
    ----------
    path : Path
    fit : RampFit
        Its `inputs` are the exposure and the references.
    readnoise, gain : str
        Base names of the references' files, or what they were where there was none.
    seconds : float
        That reading and fitting took.
    products : tuple of Path
        The files written, if any.
    """

    path: Path
    fit: RampFit
    readnoise: str
    gain: str
    seconds: float
    products: tuple[Path, ...] = ()


def read_and_fit(
    path: str | os.PathLike[str],
    readnoise: Any = None,  # noqa: ANN401  (path, number or array)
    gain: Any = None,  # noqa: ANN401
    **options: Any,  # noqa: ANN401
) -> FittedFile:
    """Fit the exposure in a file, and write nothing; parameters, and what is raised, are those of :func:`fit_file`."""
    job = _Job.checked([Path(path)], readnoise, gain, Destination(Path.cwd()), options)
    kind = job.formats[Path(path)]
    begin = time.perf_counter()
    exposure = kind.read(Path(path), **job.format_options(kind))
    fit, references = _fit_exposure(Path(path), exposure, job)
    return _fitted(Path(path), fit, references, begin)


def fit_file(
    path: str | os.PathLike[str],
    readnoise: Any = None,  # noqa: ANN401  (path, number or array)
    gain: Any = None,  # noqa: ANN401
    *,
    output_dir: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    save_jumps: bool = False,
    int_name: str = "",
    opt_name: str = "",
    **options: Any,  # noqa: ANN401  (checked against those of fit_ramps)
) -> FileResult:
    """Fit the exposure in a file and write its products: rate, rateints and, with ``save_opt=True``, an optional one.

    That is fitopt, and for the likelihood fits likely_chisq.

    Parameters
    ----------
    path : path-like
        Jump-step (or ramp) file, see :func:`rampfit_numba.read_exposure`.
    readnoise, gain : path-like, number or array_like of shape (nrows, ncols)
        Read noise in DN, of the difference of two frames (CDS) unless ``readnoise_kind="single"`` says otherwise, and
        gain in e-/DN; see :func:`rampfit_numba.read_reference`.
    output_dir : path-like, optional
        Folder of the products, made where it does not exist. None: the working directory, as the pipeline does.
    overwrite : bool
        Whether existing products are replaced. Without it they are refused before the fit begins.
    save_jumps : bool
        Also write the table of the jumps, ``_jumps.fits``: what :func:`rampfit_numba.find_jumps` returns.
    int_name, opt_name : str
        Names to use for rateints and the optional product in place of the input's; known suffixes are replaced.
    **options
        As for :func:`rampfit_numba.fit_ramps`: algorithm, suppress_one_group, firstgroup, lastgroup, save_opt,
        rejection_threshold, pedestal, readnoise_kind, chisq, maximum_cores, executor, progress. And
        ``dark_current_unit``, the unit of the average dark current (AVDRKCUR), ``"DN/s"`` or ``"electron/s"``; without
        it, its BUNIT, or DN/s as the pipeline's ramp fit takes it.

    Returns
    -------
    FileResult
        Its ``products`` are the files written, which it is also a sequence of.

    Raises
    ------
    RampFileError
        A file cannot be read or written.
    TypeError, ValueError
        An option is unusable, or the algorithm cannot fit this exposure.

    Warns
    -----
    RampFitWarning
        No pixel could be fitted; the products are written all the same, with NaN rates and their flags.

    Examples
    --------
    With the files that ``rampfit simulate demo_jump.fits`` writes:

    >>> result = fit_file("demo_jump.fits", "demo_readnoise.fits", "demo_gain.fits", output_dir="rates")
    >>> [path.name for path in result]
    ['demo_rate.fits', 'demo_rateints.fits']
    """
    destination = _destination(output_dir, overwrite=overwrite, save_jumps=save_jumps, names=(int_name, opt_name))
    job = _Job.checked([Path(path)], readnoise, gain, destination, options)
    return FileResult(Path(path), tuple(_fit_file(Path(path), job)))


def fit_files(
    paths: Iterable[str | os.PathLike[str]],
    readnoise: Any = None,  # noqa: ANN401  (path, number or array)
    gain: Any = None,  # noqa: ANN401
    *,
    output_dir: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    save_jumps: bool = False,
    int_name: str = "",
    opt_name: str = "",
    on_error: Literal["raise", "continue"] | Callable[[FileResult], None] = "raise",
    on_fit: Callable[[FittedFile], None] | None = None,
    **options: Any,  # noqa: ANN401  (checked against those of fit_ramps)
) -> list[FileResult]:
    """Fit the exposures in several files, one after the other, with the same references and options.

    Parameters
    ----------
    paths : iterable of path-like
        The exposures' files; `int_name` and `opt_name` can name the products of one file only. None of them is
        overwritten by the product of another.
    readnoise, gain : path-like, number or array_like of shape (nrows, ncols), optional
        Read noise in DN and gain in e-/DN, the same for all files, as for :func:`fit_file`.
    output_dir : path-like, optional
        Folder of the products. None: the working directory.
    overwrite : bool
        Whether existing products are replaced.
    save_jumps : bool
        Also write the table of the jumps of each.
    int_name, opt_name : str
        Names of the products, as for :func:`fit_file`.
    on_error : {"raise", "continue"} or callable
        Whether a file that fails stops the run, or is noted in its result while the others are done. "continue" logs
        the error; a function is called with the result instead.
    on_fit : callable, optional
        Called with each :class:`FittedFile` when its products are written; what it raises is the file's failure.
    **options
        As for :func:`fit_file`.

    Returns
    -------
    list of FileResult
        One for each file, in their order.

    Raises
    ------
    TypeError, ValueError
        An argument is unusable, or two files would have the same products; nothing was fitted then.
    RampFileError
        There is no such reference file (nothing was fitted then); a file cannot be read or written, with
        ``on_error="raise"``.

    Examples
    --------
    >>> results = fit_files(["demo_jump.fits"], 14.0, "demo_gain.fits", on_error="continue", output_dir="again")
    >>> [result.path for result in results if result.error]
    []
    """
    if isinstance(paths, str | os.PathLike):
        raise TypeError(f"paths: expected several paths; got one, {os.fspath(paths)!r} (fit_file is for one)")
    if on_error not in ("raise", "continue") and not callable(on_error):
        raise ValueError(f"on_error: expected 'raise', 'continue' or a function; got {on_error!r}")
    files = [Path(path) for path in paths]
    destination = _destination(output_dir, overwrite=overwrite, save_jumps=save_jumps, names=(int_name, opt_name))
    job = replace(_Job.checked(files, readnoise, gain, destination, options), on_fit=on_fit)

    results = []
    with progress_job([_size(path) for path in files], shown=bool(options.get("progress"))) as bar:
        if bar is not None:
            job = replace(job, options=job.options | {"progress": bar})
        for number, path in enumerate(files):
            if len(files) > 1:
                log.info("File %d of %d: %s", number + 1, len(files), path)
            with nullcontext() if bar is None else bar.file(number):
                results.append(_fit_or_report(path, job, on_error))
    return results


def _fit_or_report(path: Path, job: _Job, on_error: str | Callable[[FileResult], None]) -> FileResult:
    try:
        return FileResult(path, tuple(_fit_file(path, job)))
    except Exception as error:
        if on_error == "raise":
            raise
        result = FileResult(path, error=error)
        if callable(on_error):
            on_error(result)
        else:
            log.error("%s", error if isinstance(error, RampFileError) else f"{path}: {error}")  # noqa: TRY400
        return result


def _destination(
    output_dir: str | os.PathLike[str] | None, *, overwrite: bool, save_jumps: bool, names: tuple[str, str]
) -> Destination:
    folder = Path.cwd() if output_dir is None else Path(output_dir)
    return Destination(folder, overwrite, *names, save_jumps=save_jumps)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # told when its turn comes
        return 0


@dataclass(frozen=True)
class _Job:
    """What is asked for, checked as far as that is possible before a file is read."""

    references: dict[str, Any]
    destination: Destination
    options: dict[str, Any]
    formats: dict[Path, Format]
    on_fit: Callable[[FittedFile], None] | None = None

    @classmethod
    def checked(
        cls,
        files: Sequence[Path],
        readnoise: Any,  # noqa: ANN401
        gain: Any,  # noqa: ANN401
        destination: Destination,
        options: dict[str, Any],
    ) -> _Job:
        """Check the arguments of fit_file and fit_files; raises as they say."""
        formats = {path: find_format(path) for path in files}
        _check_options(options)
        for argument, reference in (("readnoise", readnoise), ("gain", gain)):
            for path, kind in formats.items():
                if reference is None and not kind.brings_references:
                    raise ValueError(
                        f"{argument}: expected a reference file or a number, since {kind.name} files like {path} do "
                        "not tell it; got none"
                    )
        for path, kind in formats.items():
            if destination.save_jumps and not kind.tables_jumps:
                raise ValueError(f"save_jumps: not for {kind.name} files like {path}")
        for argument, name in (("int_name", destination.int_name), ("opt_name", destination.opt_name)):
            if name and len(files) > 1:
                raise ValueError(f"{argument}: can name the products of one file only; got {len(files)} files")
        if destination.folder.exists() and not destination.folder.is_dir():
            raise RampFileError(f"output_dir: {destination.folder} is no folder")
        references = {
            name: None if reference is None else resolve_reference(reference, name)
            for name, reference in (("readnoise", readnoise), ("gain", gain))
        }
        inputs = (*files, *(reference for reference in references.values() if isinstance(reference, Path)))
        job = cls(
            references,
            replace(destination, inputs=inputs),
            options,
            formats,
        )
        job.refuse_same_products(files)

        log.info("rampfit_numba %s", __version__)
        if destination.opt_name and not options.get("save_opt"):
            log.warning("opt_name has no effect without save_opt")
        return job

    def fit_options(self, kind: Format) -> dict[str, Any]:
        """Return the options of the fit of a file: what is not said is as usual for its kind."""
        usual = {"algorithm": kind.algorithm, "readnoise_kind": kind.readnoise_kind}
        options = usual | {name: value for name, value in self.options.items() if name in _FIT_OPTIONS}
        algorithm = find_algorithm(str(options["algorithm"]))
        if algorithm and "rejection_threshold" in algorithm.own_options and options.get("rejection_threshold") is None:
            options["rejection_threshold"] = kind.rejection_threshold
        return options

    def format_options(self, kind: Format) -> dict[str, Any]:
        """Return the options that only this kind of file has; refuses those of another one."""
        given = {name: value for name, value in self.options.items() if name in _FORMAT_OPTIONS}
        for name in given:
            if name not in kind.own_options:
                owners = ", ".join(other.name for other in FORMATS if name in other.own_options)
                raise ValueError(f"{name}: only for {owners} files; this is one of {kind.name}")
        return given

    def check_products(self, path: Path, kind: Format, options: FitOptions) -> None:
        """Refuse what the products of an exposure could not or must not be written to; raises as `fit_file` says."""
        planned = kind.paths(path, self.destination, options)
        check_outputs(planned.values(), overwrite=self.destination.overwrite, inputs=self.destination.inputs)

    def refuse_same_products(self, files: Sequence[Path]) -> None:
        """Refuse files that would be written to the same product."""
        sources: dict[Path, Path] = {}
        for path in files:
            kind = self.formats[path]
            for product in kind.paths(path, self.destination, FitOptions(**self.fit_options(kind))).values():
                if product in sources:
                    raise ValueError(
                        f"paths: {sources[product]} and {path} would both be written to {product.name}; fit them one "
                        "by one"
                    )
                sources[product] = path

    def reference(self, name: str, exposure: Exposure, kind: Format) -> ReferenceImage:
        """Return the read noise or the gain for an exposure: the one that was given, or the one that its kind has."""
        if self.references[name] is not None:
            return read_reference(self.references[name], exposure, name)
        return kind.default_reference(exposure, name)


def _fit_file(path: Path, job: _Job) -> list[Path]:
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
    fit, references = _fit_exposure(path, exposure, job)
    products = list(kind.write(fit, path, job.destination, references, **own))
    for product in products:
        log.info("Saved %s", product)
    if job.on_fit is not None:
        job.on_fit(replace(_fitted(path, fit, references, begin), products=tuple(products)))
    return products


def _fit_exposure(path: Path, exposure: Exposure, job: _Job) -> tuple[RampFit, dict[str, ReferenceImage]]:
    kind = job.formats[path]
    given = job.fit_options(kind)
    options = FitOptions(**given).for_groups(exposure.ngroups)
    instrument = f"{exposure.instrument}, " if exposure.instrument else ""
    size = f"{exposure.nrows} rows x {exposure.ncols} columns"
    log.info("%s: %s%s, %d integration(s) of %d group(s)", path, instrument, size, exposure.nints, exposure.ngroups)
    _remark_on_units(path, exposure, options)
    references = {name: job.reference(name, exposure, kind) for name in job.references}
    for name, reference in references.items():
        log.info("Using %s reference: %s", name.upper(), reference.source)
    log.info("Using algorithm = %s, weighting = %s", options.algorithm, options.weighting)
    run = {name: value for name, value in job.options.items() if name in _RUN_OPTIONS}
    return fit_ramps(exposure, references["readnoise"].data, references["gain"].data, **given, **run), references


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


def _check_options(options: dict[str, Any]) -> None:
    """Refuse names that no option has, and how a fit cannot be run."""
    known = (*_FIT_OPTIONS, *_RUN_OPTIONS, *_FORMAT_OPTIONS)
    for name in options:
        if name not in known:
            raise TypeError(f"{name}: unknown option; expected some of {', '.join(known)}")
    check_unit("dark_current_unit", options.get("dark_current_unit"), rate_unit)
    count_workers(options.get("maximum_cores", "none"), 1, available=1)
    executor = options.get("executor")
    if not isinstance(executor, Executor) and executor not in (None, "processes", "threads"):
        raise ValueError(f"executor: expected None, 'processes', 'threads' or an Executor; got {executor!r}")
