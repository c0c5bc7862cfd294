"""From files to files: read an exposure and its references, fit, write the products."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict, Unpack

from rampfit_numba.api import fit_ramps
from rampfit_numba.io.fits import check_outputs, product_paths, read_exposure, write_products
from rampfit_numba.io.references import read_reference
from rampfit_numba.messages import RampFileError
from rampfit_numba.options import FitOptions

if TYPE_CHECKING:
    from collections.abc import Iterable

logger = logging.getLogger(__name__)


class FitKeywords(TypedDict, total=False):
    """Options of :func:`rampfit_numba.fit_ramps` that the functions for files pass on."""

    algorithm: str
    suppress_one_group: bool
    firstgroup: int | None
    lastgroup: int | None
    save_opt: bool
    maximum_cores: int | str
    executor: str | None
    progress: bool


@dataclass(frozen=True)
class FileResult:
    """What became of one file.

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


def fit_file(
    path: str | os.PathLike[str],
    readnoise: Any,  # noqa: ANN401  (path, number or array)
    gain: Any,  # noqa: ANN401
    *,
    output_dir: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    int_name: str = "",
    opt_name: str = "",
    **options: Unpack[FitKeywords],
) -> list[Path]:
    """Fit the exposure in a file and write its products: rate, rateints and, with ``save_opt=True``, fitopt.

    Parameters
    ----------
    path : path-like
        Jump-step (or ramp) file, see :func:`rampfit_numba.read_exposure`.
    readnoise, gain : path-like, number or array_like of shape (nrows, ncols)
        Read noise (CDS) in DN and gain in e-/DN, see :func:`rampfit_numba.read_reference`.
    output_dir : path-like, optional
        Folder of the products, made where it does not exist. None: the working directory, as the pipeline does.
    overwrite : bool
        Whether existing products are replaced. Without it they are refused before the fit begins.
    int_name, opt_name : str
        Names to use for rateints and fitopt in place of the input's; known suffixes are replaced.
    **options
        As for :func:`rampfit_numba.fit_ramps`: algorithm, suppress_one_group, firstgroup, lastgroup, save_opt,
        maximum_cores, executor, progress.

    Returns
    -------
    list of Path
        The files written.

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
    >>> fit_file("jw01_nrca1_jump.fits", "readnoise.fits", "gain.fits", output_dir="out")  # doctest: +SKIP
    [PosixPath('out/jw01_nrca1_rate.fits'), PosixPath('out/jw01_nrca1_rateints.fits')]
    """
    outputs = _Outputs(Path.cwd() if output_dir is None else Path(output_dir), overwrite, int_name, opt_name)
    return _fit_file(Path(path), {"readnoise": readnoise, "gain": gain}, outputs, options, ())


def fit_files(
    paths: Iterable[str | os.PathLike[str]],
    readnoise: Any,  # noqa: ANN401  (path, number or array)
    gain: Any,  # noqa: ANN401
    *,
    output_dir: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    int_name: str = "",
    opt_name: str = "",
    on_error: Literal["raise", "continue"] = "raise",
    **options: Unpack[FitKeywords],
) -> list[FileResult]:
    """Fit the exposures in several files, one after the other, with the same references and options.

    Parameters
    ----------
    paths : iterable of path-like
        The exposures' files; `int_name` and `opt_name` can name the products of one file only.
    on_error : {"raise", "continue"}
        Whether a file that fails stops the run, or is noted in its result while the others are done.
    readnoise, gain, output_dir, overwrite, int_name, opt_name, **options
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
        A file cannot be read or written, with ``on_error="raise"``.

    Examples
    --------
    >>> results = fit_files(names, "readnoise.fits", "gain.fits", on_error="continue")  # doctest: +SKIP
    >>> [result.path for result in results if result.error]  # doctest: +SKIP
    []
    """
    if isinstance(paths, str | os.PathLike):
        raise TypeError(f"paths: expected several paths; got one, {os.fspath(paths)!r} (fit_file is for one)")
    if on_error not in ("raise", "continue"):
        raise ValueError(f"on_error: expected 'raise' or 'continue'; got {on_error!r}")
    files = [Path(path) for path in paths]
    for argument, name in (("int_name", int_name), ("opt_name", opt_name)):
        if name and len(files) > 1:
            raise ValueError(f"{argument}: can name the products of one file only; got {len(files)} files")
    _refuse_same_products(files)
    _check_options(options)

    outputs = _Outputs(Path.cwd() if output_dir is None else Path(output_dir), overwrite, int_name, opt_name)
    results = []
    for path in files:
        try:
            products = _fit_file(path, {"readnoise": readnoise, "gain": gain}, outputs, options, files)
        except Exception as error:
            if on_error == "raise":
                raise
            logger.error("%s", error if isinstance(error, RampFileError) else f"{path}: {error}")  # noqa: TRY400
            results.append(FileResult(path, error=error))
        else:
            results.append(FileResult(path, tuple(products)))
    return results


class _Outputs(NamedTuple):
    """Where the products go."""

    folder: Path
    overwrite: bool
    int_name: str
    opt_name: str


def _fit_file(
    path: Path,
    references: dict[str, Any],
    outputs: _Outputs,
    options: FitKeywords,
    others: Iterable[Path],
) -> list[Path]:
    """Do what :func:`fit_file` says; `others` are further files that must not be overwritten."""
    algorithm = _check_options(options).algorithm
    folder, overwrite, int_name, opt_name = outputs
    inputs = [path, *others, *(Path(name) for name in references.values() if isinstance(name, str | os.PathLike))]
    planned = product_paths(path, folder, save_opt=bool(options.get("save_opt")), int_name=int_name, opt_name=opt_name)
    check_outputs(planned.values(), overwrite=overwrite, inputs=inputs)

    exposure = read_exposure(path)
    instrument = f"{exposure.instrument}, " if exposure.instrument else ""
    size = f"{exposure.nrows} rows x {exposure.ncols} columns"
    logger.info("%s: %s%s, %d integration(s) of %d group(s)", path, instrument, size, exposure.nints, exposure.ngroups)
    images = {name: read_reference(reference, exposure, name) for name, reference in references.items()}
    noise, conversion = images["readnoise"], images["gain"]
    logger.info("Using READNOISE reference: %s", noise.source)
    logger.info("Using GAIN reference: %s", conversion.source)
    logger.info("Using algorithm = %s, weighting = optimal", algorithm)
    fit = fit_ramps(exposure, noise.data, conversion.data, **options)
    products = write_products(
        fit,
        folder,
        path,
        readnoise_name=noise.source,
        gain_name=conversion.source,
        gain_factor=conversion.gain_factor,
        overwrite=overwrite,
        int_name=int_name,
        opt_name=opt_name,
        inputs=inputs,
    )
    for product in products:
        logger.info("Saved %s", product)
    return products


def _check_options(options: FitKeywords) -> FitOptions:
    """Return what the fit will be asked for; refuses bad options before a file is read."""
    names = {option.name for option in fields(FitOptions)}
    return FitOptions(**{name: value for name, value in options.items() if name in names})  # type: ignore[arg-type]


def _refuse_same_products(files: list[Path]) -> None:
    sources: dict[Path, Path] = {}
    for path in files:
        rate = product_paths(path, "")["rate"]
        if rate in sources:
            raise ValueError(f"paths: {sources[rate]} and {path} would both be written to {rate}; fit them one by one")
        sources[rate] = path
