"""From files of plain reads to their products."""

from __future__ import annotations

import logging
import os
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rampfit_numba._version import __version__
from rampfit_numba.api import fit_ramps
from rampfit_numba.checks import is_quantity
from rampfit_numba.files import FileResult
from rampfit_numba.io.fits import check_outputs, product_paths
from rampfit_numba.io.product_headers import Provenance
from rampfit_numba.io.read_products import write_read_products
from rampfit_numba.io.reads import in_electrons, read_reads, read_reference_map
from rampfit_numba.io.references import resolve_reference
from rampfit_numba.options import FitOptions
from rampfit_numba.registry import ALGORITHMS
from rampfit_numba.units import DN, DN_PER_S, ELECTRON, ELECTRON_PER_S, signal_unit
from rampfit_numba.used_reads import count_reads

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rampfit_numba.exposure import Exposure

log = logging.getLogger(__name__)

#: Options of :func:`rampfit_numba.read_reads`.
READING_OPTIONS = (
    *("read_times", "frame_time", "time_keyword", "time_unit", "extname", "reads_per_ramp", "skip", "reverse"),
    *("invert", "saturation", "pedestal", "linearity", "nframes", "groupgap", "pixeldq", "average_dark_current"),
)
# The pedestal of the reads is another one than the option of "likely_joint".
_FITTING = tuple(option.name for option in fields(FitOptions) if option.name not in ("pedestal", "save_opt"))
_RUNNING = ("maximum_cores", "executor", "progress")


def fit_reads(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    readnoise: Any,  # noqa: ANN401  (path, number or array)
    gain: Any = None,  # noqa: ANN401
    *,
    algorithm: str = "likely",
    readnoise_kind: str = "single",
    output_dir: str | os.PathLike[str] | None = None,
    name: str = "",
    overwrite: bool = False,
    **options: Any,  # noqa: ANN401  (those of read_reads and fit_ramps)
) -> FileResult:
    """Fit the exposure in files of plain reads and write its rate, and that of each integration if it has several.

    The products have SCI, ERR, DQ, VAR_POISSON, VAR_RNOISE, of the likelihood fits and with ``chisq=True`` CHISQ and
    DOF, and NREADS, the number of reads used.

    Parameters
    ----------
    paths : path-like or iterable of path-like
        See :func:`rampfit_numba.read_reads`.
    readnoise, gain : path-like, number or array_like of shape (nrows, ncols)
        Read noise in DN and gain in e-/DN; of a FITS file the first image is taken. Read noise may be in electrons, as
        a Quantity or the file's BUNIT says. Reads in electrons (BUNIT) have a gain of 1, which may be left out, a read
        noise in electrons, and rates in electron/s.
    algorithm, readnoise_kind : str
        As for :func:`rampfit_numba.fit_ramps`, with other defaults: here nobody has flagged jumps, and read noise is
        that of a single read.
    output_dir : path-like, optional
        Folder of the products, made where it does not exist. None: the working directory.
    name : str
        Base name of the products; empty: that of the first file.
    overwrite : bool
        Whether existing products are replaced.
    **options
        As for :func:`rampfit_numba.read_reads` (read_times, frame_time, time_keyword, time_unit, extname,
        reads_per_ramp, skip, reverse, invert, saturation, pedestal, linearity, nframes, groupgap, pixeldq,
        average_dark_current) and for :func:`rampfit_numba.fit_ramps` (suppress_one_group, firstgroup, lastgroup,
        rejection_threshold, weighting, errors, chisq, maximum_cores, executor, progress). `pedestal` is the level to
        subtract from raw counts, not that of ``"likely_joint"``.

    Returns
    -------
    FileResult
        ``path``, the first file, and ``products``, the files written; also a sequence of these.

    Raises
    ------
    RampFileError
        A file cannot be read or written.
    TypeError, ValueError
        An argument is unusable.

    Examples
    --------
    >>> from rampfit_numba import fit_reads
    >>> result = fit_reads("demo_reads.fits", 6.0, 2.1, frame_time=10.65, saturation=45000, output_dir="out")
    >>> [path.name for path in result.products]
    ['demo_reads_rate.fits']
    """
    known = (*READING_OPTIONS, *_FITTING, *_RUNNING)
    for option in options:
        if option not in known:
            raise TypeError(f"{option}: unknown option; expected some of {', '.join(known)}")
    fitting = {option: value for option, value in options.items() if option in _FITTING}
    asked = FitOptions(algorithm=algorithm, readnoise_kind=readnoise_kind, **fitting)
    references = {"readnoise": resolve_reference(readnoise, "readnoise")}
    if gain is not None:
        references["gain"] = resolve_reference(gain, "gain")
    log.info("rampfit_numba %s", __version__)

    files = [Path(paths)] if isinstance(paths, str | os.PathLike) else [Path(path) for path in paths]
    exposure = read_reads(files, **{option: value for option, value in options.items() if option in READING_OPTIONS})
    assert exposure.header is not None  # noqa: S101  (read_reads gives one)
    maps = (options.get(option) for option in ("saturation", "pedestal", "linearity"))
    named = (Path(value) for value in maps if isinstance(value, str | os.PathLike) and value != "first")
    inputs = (*files, *named, *(reference for reference in references.values() if isinstance(reference, Path)))
    planned = product_paths(name or exposure.header.filename, Path.cwd() if output_dir is None else output_dir)
    if exposure.nints == 1:
        del planned["rateints"]
    check_outputs(planned.values(), overwrite=overwrite, inputs=inputs)

    _describe(exposure)
    if not ALGORITHMS[asked.algorithm].finds_jumps:
        log.warning(
            "%s: nobody has flagged jumps, and %r takes hits for signal; 'likely' searches for them itself",
            files[0],
            asked.algorithm,
        )
    conversion = _gain(exposure, references.get("gain"))
    _check_noise_unit(exposure, readnoise)
    noise = read_reference_map(references["readnoise"], "readnoise", exposure)
    log.info("Read noise is that of %s", "a single read" if readnoise_kind == "single" else "two reads' difference")
    running = {option: value for option, value in options.items() if option in _RUNNING}
    fit = fit_ramps(
        exposure, noise, conversion, algorithm=algorithm, readnoise_kind=readnoise_kind, **fitting, **running
    )
    nreads = count_reads(exposure, fit, maximum_cores=running.get("maximum_cores", "none"))
    names = {kind: reference.name if isinstance(reference, Path) else "" for kind, reference in references.items()}
    unit = ELECTRON_PER_S if in_electrons(exposure) else DN_PER_S
    provenance = Provenance(names["readnoise"], names.get("gain", ""), None, _history(exposure, files), unit)
    write_read_products(fit, nreads, planned, provenance, overwrite=overwrite)
    for product in planned.values():
        log.info("Saved %s", product)
    return FileResult(files[0], tuple(planned.values()))


def _gain(exposure: Exposure, given: Any) -> Any:  # noqa: ANN401
    if given is None:
        if not in_electrons(exposure):
            raise ValueError("gain: expected a number, an array or a file, in e-/DN; got none")
        return 1.0
    gain = read_reference_map(given, "gain", exposure)
    if in_electrons(exposure) and not (isinstance(gain, float) and gain == 1):
        raise ValueError("gain: expected 1, or none, since BUNIT says that the reads are in electrons; got another one")
    return gain


def _check_noise_unit(exposure: Exposure, readnoise: Any) -> None:  # noqa: ANN401
    """Refuse a read noise in DN beside reads in electrons, whose gain is not known."""
    if in_electrons(exposure) and is_quantity(readnoise) and signal_unit(readnoise.unit).unit == DN:
        raise ValueError(
            f"readnoise: expected electron, since BUNIT says that the reads are in electrons; got {readnoise.unit}"
        )


def _describe(exposure: Exposure) -> None:
    size = f"{exposure.nrows} rows x {exposure.ncols} columns"
    log.info("%d ramp(s) of %d reads, %s, %.6g s apart", exposure.nints, exposure.ngroups, size, exposure.group_time)
    for line in _corrections(exposure):
        log.info("%s", line[0].upper() + line[1:])


def _corrections(exposure: Exposure) -> list[str]:
    corrections = exposure.corrections
    if corrections is None:
        return ["no saturation level, pedestal or linearity correction"]
    lines = []
    if corrections.inverted_from is not None:
        lines.append(f"counts subtracted from {corrections.inverted_from:g}")
    if corrections.saturation is not None:
        alike = corrections.saturation.strides[-2:] == (0, 0)
        unit = ELECTRON if in_electrons(exposure) else DN
        level = f"saturated from {corrections.saturation.flat[0]:g} {unit}"
        lines.append(level if alike else "saturation levels by pixel")
    if corrections.from_first or corrections.pedestal is not None:
        lines.append("pedestal subtracted: " + ("the first read" if corrections.from_first else "a bias"))
    if corrections.linearity is not None:
        lines.append(f"linearity polynomial of {len(corrections.linearity)} coefficients")
    return lines


def _history(exposure: Exposure, files: list[Path]) -> list[str]:
    reads = f"{len(files)} file(s) of reads" if len(files) > 1 else f"reads in {files[0].name}"
    return [f"rampfit_numba: {reads}; {'; '.join(_corrections(exposure))}"]
