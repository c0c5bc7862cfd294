"""The functions for files: one of them, or many with the same references and options."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Literal

from rampfit_numba.checks import check_path
from rampfit_numba.engine.interrupts import interrupts_not_lost
from rampfit_numba.files.batch import Batch
from rampfit_numba.files.clients import client_of
from rampfit_numba.files.cluster import rows_on_cluster
from rampfit_numba.files.fitting import fit_one
from rampfit_numba.files.job import Job, make_destination
from rampfit_numba.files.results import FilesOfFits
from rampfit_numba.files.tables import TableError, write_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rampfit_numba.files.results import FileResult, FittedFile

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
    max_memory: str | int | None = None,
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
    max_memory : str or int, optional
        What the arrays of the fit may take at once, beside the program itself: bytes, or text like ``"512 MiB"`` or
        ``"2GB"``. Results that take more are fitted and written section by section of the detector, to the same
        products. None: a quarter of the memory that this process may use.
    **options
        As for :func:`rampfit_numba.fit_ramps`: algorithm, suppress_one_group, firstgroup, lastgroup, save_opt,
        rejection_threshold, pedestal, readnoise_kind, weighting, errors, chisq, maximum_cores, executor, progress. And
        ``dark_current_unit``, the unit of the average dark current (AVDRKCUR), ``"DN/s"`` or ``"electron/s"``; without
        it, its BUNIT, or DN/s as the pipeline's ramp fit takes it. Of WFC3/IR's files ``flat``, ``exclude_reads`` and
        ``flatten``, see ``docs/wfc3.md``. `executor` can also be a :class:`distributed.Client`
        (extra ``dask``): its workers read the rows from the file themselves, on a file system that they share.

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
    RuntimeError
        A worker process was killed; a Dask cluster does not answer, has no workers, or other versions.

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
    file = check_path("path", path)
    job = Job.checked([file], readnoise, gain, destination, options | {"max_memory": max_memory})
    if (client := client_of(options.get("executor"))) is not None:
        job = rows_on_cluster(file, job, client)
    with interrupts_not_lost():
        return fit_one(file, job)


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
    skip_existing: bool = False,
    summary: str | os.PathLike[str] | None = None,
    max_memory: str | int | None = None,
    **options: Any,  # noqa: ANN401  (checked against those of fit_ramps)
) -> list[FileResult]:
    """Fit the exposures in several files with the same references and options.

    The next file is read ahead and the last one is written while one is fitted. With several workers the rows of each
    file are shared out, or several files are fitted at once, whichever is faster: the log says so.

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
        Called with each :class:`FittedFile` when its products are written, in the caller's thread; what it raises is
        the file's failure. What is skipped is not fitted. The exposure and the references in ``fit.inputs`` can be
        read-only, since they are mapped, or those of other files, too. Not for several files with a Dask client: their
        fits stay with the workers.
    skip_existing : bool
        Go on with a job that was cut short: files whose products are all there, whole, and were made by this version
        with these options and references from this file are skipped. All others are fitted, and their products
        replaced, as with `overwrite`.
    summary : path-like, optional
        A table (CSV) to write in the end, also after a failure or Ctrl-C: a row for each file, with the columns file,
        status ("fitted", "skipped", "failed", "not done"), seconds, pixels, groups, hits, warnings, products, error. It
        is replaced like products.
    max_memory : str or int, optional
        What the arrays of all fits may take at once, as for :func:`fit_file`.
    **options
        As for :func:`fit_file`; without an `executor` several files are fitted in threads or processes, whichever is
        faster. With a :class:`distributed.Client` (extra ``dask``), or its ``get_executor()``, each of several files is
        a task of the cluster, whose workers open it themselves: only paths and options travel, and the file of a worker
        that was lost is given to another one.

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
        ``on_error="raise"``; the `summary` cannot be written (all products are there then).

    Examples
    --------
    >>> results = fit_files(["demo_jump.fits"], 14.0, "demo_gain.fits", on_error="continue", output_dir="again")
    >>> [result.path for result in results if result.error]
    []
    """
    if isinstance(paths, str | bytes | os.PathLike):
        raise TypeError(f"paths: expected several paths; got one, {os.fspath(paths)!r} (fit_file is for one)")
    if not hasattr(paths, "__iter__"):
        raise TypeError(f"paths: expected several paths; got {paths!r}")
    if on_error not in ("raise", "continue") and not callable(on_error):
        raise ValueError(f"on_error: expected 'raise', 'continue' or a function; got {on_error!r}")
    files = [check_path("paths", path) for path in paths]
    table = None if summary is None else check_path("summary", summary)
    here = on_fit is not None and not isinstance(on_fit, FilesOfFits)
    if here and len(files) > 1 and client_of(options.get("executor")) is not None:
        raise ValueError("on_fit: expected None with a Dask client, whose workers keep the fits of several files")
    replacing = overwrite or skip_existing
    destination = make_destination(output_dir, overwrite=replacing, save_jumps=save_jumps, names=(int_name, opt_name))
    options |= {"max_memory": max_memory}
    job = Job.checked(files, readnoise, gain, destination, options, on_fit=on_fit, skip_existing=skip_existing)

    if table is not None:
        job.check_table(table)
    batch = Batch(files, job, on_error)
    try:
        results = batch.run()
    except BaseException:
        if table is not None:
            try:
                write_table(table, files, batch.results, overwrite=replacing)
            except TableError as error:  # what stopped the job is what is to be known
                log.error("%s", error)  # noqa: TRY400
        raise
    if table is not None:
        write_table(table, files, results, overwrite=replacing)
    return results
