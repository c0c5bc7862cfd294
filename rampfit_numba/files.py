"""From files to files: read an exposure and its references, fit, write the products."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from rampfit_numba._version import __version__
from rampfit_numba.api import fit_ramps
from rampfit_numba.engine.cores import count_workers
from rampfit_numba.io.fits import check_outputs, product_paths, read_exposure, write_products
from rampfit_numba.io.references import read_reference, resolve_reference
from rampfit_numba.messages import RampFileError
from rampfit_numba.options import FitOptions
from rampfit_numba.progress import job as progress_job
from rampfit_numba.registry import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


log = logging.getLogger(__name__)

#: What may be given to the functions for files as options: those of a fit, and how it is run.
_FIT_OPTIONS = tuple(option.name for option in fields(FitOptions))
_OPTIONS = (*_FIT_OPTIONS, "maximum_cores", "executor", "progress")


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


def fit_file(
    path: str | os.PathLike[str],
    readnoise: Any,  # noqa: ANN401  (path, number or array)
    gain: Any,  # noqa: ANN401
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
        rejection_threshold, pedestal, readnoise_kind, maximum_cores, executor, progress.

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
    >>> result = fit_file("jw01_nrca1_jump.fits", "readnoise.fits", "gain.fits", output_dir="out")  # doctest: +SKIP
    >>> [path.name for path in result]  # doctest: +SKIP
    ['jw01_nrca1_rate.fits', 'jw01_nrca1_rateints.fits']
    """
    job = _Job.checked([Path(path)], readnoise, gain, output_dir, overwrite, save_jumps, int_name, opt_name, options)
    return FileResult(Path(path), tuple(_fit_file(Path(path), job)))


def fit_files(
    paths: Iterable[str | os.PathLike[str]],
    readnoise: Any,  # noqa: ANN401  (path, number or array)
    gain: Any,  # noqa: ANN401
    *,
    output_dir: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    save_jumps: bool = False,
    int_name: str = "",
    opt_name: str = "",
    on_error: Literal["raise", "continue"] | Callable[[FileResult], None] = "raise",
    **options: Any,  # noqa: ANN401  (checked against those of fit_ramps)
) -> list[FileResult]:
    """Fit the exposures in several files, one after the other, with the same references and options.

    Parameters
    ----------
    paths : iterable of path-like
        The exposures' files; `int_name` and `opt_name` can name the products of one file only. None of them is
        overwritten by the product of another.
    on_error : {"raise", "continue"} or callable
        Whether a file that fails stops the run, or is noted in its result while the others are done. "continue" logs
        the error; a function is called with the result instead.
    readnoise, gain, output_dir, overwrite, save_jumps, int_name, opt_name, **options
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
    >>> results = fit_files(names, "readnoise.fits", "gain.fits", on_error="continue")  # doctest: +SKIP
    >>> [result.path for result in results if result.error]  # doctest: +SKIP
    []
    """
    if isinstance(paths, str | os.PathLike):
        raise TypeError(f"paths: expected several paths; got one, {os.fspath(paths)!r} (fit_file is for one)")
    if on_error not in ("raise", "continue") and not callable(on_error):
        raise ValueError(f"on_error: expected 'raise', 'continue' or a function; got {on_error!r}")
    files = [Path(path) for path in paths]
    job = _Job.checked(files, readnoise, gain, output_dir, overwrite, save_jumps, int_name, opt_name, options)

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


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # told when its turn comes
        return 0


@dataclass(frozen=True)
class _Job:
    """What is asked for, checked as far as that is possible before a file is read."""

    references: dict[str, Any]
    folder: Path
    overwrite: bool
    save_jumps: bool
    int_name: str
    opt_name: str
    options: dict[str, Any]
    fit_options: FitOptions
    inputs: tuple[Path, ...]

    @classmethod
    def checked(  # noqa: PLR0917  (those of fit_files)
        cls,
        files: Sequence[Path],
        readnoise: Any,  # noqa: ANN401
        gain: Any,  # noqa: ANN401
        output_dir: str | os.PathLike[str] | None,
        overwrite: bool,  # noqa: FBT001
        save_jumps: bool,  # noqa: FBT001
        int_name: str,
        opt_name: str,
        options: dict[str, Any],
    ) -> _Job:
        """Check the arguments of fit_file and fit_files; raises as they say."""
        fit_options = _check_options(options)
        for argument, name in (("int_name", int_name), ("opt_name", opt_name)):
            if name and len(files) > 1:
                raise ValueError(f"{argument}: can name the products of one file only; got {len(files)} files")
        _refuse_same_products(files, int_name, opt_name)
        folder = Path.cwd() if output_dir is None else Path(output_dir)
        if folder.exists() and not folder.is_dir():
            raise RampFileError(f"output_dir: {folder} is no folder")
        references = {"readnoise": readnoise, "gain": gain}
        references = {name: resolve_reference(reference, name) for name, reference in references.items()}
        inputs = (*files, *(reference for reference in references.values() if isinstance(reference, Path)))

        log.info("rampfit_numba %s", __version__)
        if opt_name and not fit_options.save_opt:
            log.warning("opt_name has no effect without save_opt")
        return cls(references, folder, overwrite, save_jumps, int_name, opt_name, options, fit_options, inputs)

    def check_products(self, path: Path, options: FitOptions) -> None:
        """Refuse what the products of an exposure could not or must not be written to; raises as `fit_file` says."""
        planned = product_paths(
            path,
            self.folder,
            save_opt=options.save_opt,
            save_jumps=self.save_jumps,
            optional=ALGORITHMS[options.algorithm].optional_product,
            int_name=self.int_name,
            opt_name=self.opt_name,
        )
        check_outputs(planned.values(), overwrite=self.overwrite, inputs=self.inputs)


def _fit_file(path: Path, job: _Job) -> list[Path]:
    job.check_products(path, job.fit_options)

    exposure = read_exposure(path)
    options = job.fit_options.for_groups(exposure.ngroups)
    if options != job.fit_options:
        job.check_products(path, options)
    instrument = f"{exposure.instrument}, " if exposure.instrument else ""
    size = f"{exposure.nrows} rows x {exposure.ncols} columns"
    log.info("%s: %s%s, %d integration(s) of %d group(s)", path, instrument, size, exposure.nints, exposure.ngroups)
    images = {name: read_reference(reference, exposure, name) for name, reference in job.references.items()}
    noise, conversion = images["readnoise"], images["gain"]
    log.info("Using READNOISE reference: %s", noise.source)
    log.info("Using GAIN reference: %s", conversion.source)
    log.info("Using algorithm = %s, weighting = optimal", options.algorithm)
    fit = fit_ramps(exposure, noise.data, conversion.data, **job.options)
    products = write_products(
        fit,
        job.folder,
        path,
        readnoise_name=noise.source,
        gain_name=conversion.source,
        gain_factor=conversion.gain_factor,
        overwrite=job.overwrite,
        save_jumps=job.save_jumps,
        int_name=job.int_name,
        opt_name=job.opt_name,
        inputs=job.inputs,
    )
    for product in products:
        log.info("Saved %s", product)
    return products


def _check_options(options: dict[str, Any]) -> FitOptions:
    """Return what the fit will be asked for; refuses bad options before a file is read."""
    for name in options:
        if name not in _OPTIONS:
            raise TypeError(f"{name}: unknown option; expected some of {', '.join(_OPTIONS)}")
    count_workers(options.get("maximum_cores", "none"), 1, available=1)
    executor = options.get("executor")
    if not isinstance(executor, Executor) and executor not in (None, "processes", "threads"):
        raise ValueError(f"executor: expected None, 'processes', 'threads' or an Executor; got {executor!r}")
    return FitOptions(**{name: value for name, value in options.items() if name in _FIT_OPTIONS})


def _refuse_same_products(files: Sequence[Path], int_name: str, opt_name: str) -> None:
    sources: dict[Path, Path] = {}
    for path in files:
        rate = product_paths(path, "", int_name=int_name, opt_name=opt_name)["rate"]
        if rate in sources:
            raise ValueError(f"paths: {sources[rate]} and {path} would both be written to {rate}; fit them one by one")
        sources[rate] = path
