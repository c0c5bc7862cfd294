"""From files to files: one of them, or many with the same references and options."""

from __future__ import annotations

import logging
import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rampfit_numba.files.clients import client_of
from rampfit_numba.files.cluster import fit_on_cluster, rows_on_cluster
from rampfit_numba.files.fitting import fit_one
from rampfit_numba.files.job import Job, make_destination
from rampfit_numba.files.results import FileResult
from rampfit_numba.messages import RampFileError
from rampfit_numba.progress import job as progress_job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rampfit_numba.files.results import FittedFile

log = logging.getLogger(__package__)


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
    destination = make_destination(output_dir, overwrite=overwrite, save_jumps=save_jumps, names=(int_name, opt_name))
    job = Job.checked([Path(path)], readnoise, gain, destination, options)
    if (client := client_of(options.get("executor"))) is not None:
        job = rows_on_cluster(Path(path), job, client)
    return fit_one(Path(path), job)


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
    destination = make_destination(output_dir, overwrite=overwrite, save_jumps=save_jumps, names=(int_name, opt_name))
    job = replace(Job.checked(files, readnoise, gain, destination, options), on_fit=on_fit)

    client = client_of(options.get("executor"))
    if client is not None and len(files) == 1:
        job, client = rows_on_cluster(files[0], job, client), None
    elif client is not None and on_fit is not None:
        raise ValueError("on_fit: expected None with a Dask client, whose workers keep the fits of several files")
    results = []
    with progress_job([_size(path) for path in files], shown=bool(options.get("progress"))) as bar:
        if client is not None:
            return _fit_elsewhere(files, job, client, on_error, bar)
        if bar is not None:
            job = replace(job, options=job.options | {"progress": bar})
        for number, path in enumerate(files):
            if len(files) > 1:
                log.info("File %d of %d: %s", number + 1, len(files), path)
            with nullcontext() if bar is None else bar.file(number):
                results.append(_fit_or_report(path, job, on_error))
    return results


def _fit_elsewhere(
    files: Sequence[Path],
    job: Job,
    client: Any,  # noqa: ANN401
    on_error: str | Callable[[FileResult], None],
    bar: Any,  # noqa: ANN401
) -> list[FileResult]:
    results: dict[int, FileResult] = {}

    def report(number: int, result: FileResult) -> None:
        for product in result:
            log.info("Saved %s", product)
        for warning in result.warnings:
            log.warning("%s: %s", result.path, warning)
        with nullcontext() if bar is None else bar.file(number):
            results[number] = _reported(result, on_error)

    try:
        fit_on_cluster(files, job, client, report)
    except KeyboardInterrupt:
        log.warning("%d of %d files are done; workers end those that they are at", len(results), len(files))
        raise
    return [results[number] for number in range(len(files))]


def _reported(result: FileResult, on_error: str | Callable[[FileResult], None]) -> FileResult:
    """Raise or tell a failure, as asked; return the result."""
    error = result.error
    if error is None:
        return result
    if on_error == "raise":
        raise error
    if callable(on_error):
        on_error(result)
    else:
        log.error("%s", error if isinstance(error, RampFileError) else f"{result.path}: {error}")
    return result


def _fit_or_report(path: Path, job: Job, on_error: str | Callable[[FileResult], None]) -> FileResult:
    try:
        return fit_one(path, job)
    except Exception as error:
        if on_error == "raise":
            raise
        return _reported(FileResult(path, error=error), on_error)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # told when its turn comes
        return 0
