"""The Python function: check, prepare, run, and hand back the result."""

from __future__ import annotations

import logging
import math
import os
import sys
import time
import warnings
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.algorithms import corrections
from rampfit_numba.algorithms.method import Method, Plan, Results, load_method
from rampfit_numba.algorithms.rows import RowInputs, as_single
from rampfit_numba.allocation import allocate_fitopt, allocate_results, check_apart
from rampfit_numba.checks import as_measured
from rampfit_numba.compilation import make_ready
from rampfit_numba.engine.cores import count_workers
from rampfit_numba.engine.executors import run_rows, usable_kind
from rampfit_numba.engine.memory_pool import private_allocator
from rampfit_numba.engine.shared import shared_allocator
from rampfit_numba.exposure import Exposure
from rampfit_numba.mapped_arrays import as_file_array
from rampfit_numba.messages import RampFitWarning
from rampfit_numba.options import FitOptions, checked_weighting
from rampfit_numba.progress import unseen
from rampfit_numba.registry import ALGORITHMS
from rampfit_numba.result import NO_VALID_FIT, FitInputs, FitOpt, RampFit, Rate
from rampfit_numba.units import ELECTRON, gain_unit, signal_unit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike

    from rampfit_numba.progress import FilePart
    from rampfit_numba.registry import Algorithm
    from rampfit_numba.units import Scaled

log = logging.getLogger(__name__)

#: Steps that make the flags, their keywords, and the groups from which on there is something for them to find.
_STEPS = (("S_JUMP", "jump", 3), ("S_SATURA", "saturation", 1))
_EXPOSURE_ARRAYS = ("data", "groupdq", "pixeldq", "average_dark_current", "zeroframe")


def fit_ramps(
    exposure: Exposure,
    readnoise: ArrayLike,
    gain: ArrayLike,
    *,
    algorithm: str = "ols",
    suppress_one_group: bool = True,
    firstgroup: int | None = None,
    lastgroup: int | None = None,
    save_opt: bool = False,
    rejection_threshold: float | None = None,
    pedestal: tuple[float, float] | None = None,
    readnoise_kind: str = "cds",
    weighting: str | float | Sequence[tuple[float, float]] = "optimal",
    errors: str | None = None,
    chisq: bool = False,
    maximum_cores: str | int = "none",
    executor: str | Executor | None = None,
    progress: bool | FilePart = False,
    out: RampFit | None = None,
) -> RampFit:
    """Fit the ramps of an exposure: count rates per pixel and integration, with variances and flags.

    Parameters
    ----------
    exposure : Exposure
        Ramps, flags, timing. Not modified; data in electrons are divided by the gain, in a copy of them.
    readnoise : float, array_like of shape (nrows, ncols), path-like, or what :func:`read_reference` returns
        Read noise in DN (a Quantity also in electron), of the difference of two frames (CDS) as JWST's reference files
        have it, or of a single frame: see `readnoise_kind`.
    gain : float, array_like of shape (nrows, ncols), path-like, or what :func:`read_reference` returns
        In e-/DN. A file is cut to the exposure's subarray, as its header has it.
    algorithm : str
        ``"ols"``: optimally weighted least squares between the flagged jumps; the pipeline's name ``"OLS_C"`` is
        accepted too. ``"likely"`` (or ``"LIKELY"``): generalised least squares with a search for jumps, as the
        pipeline has it. ``"likely_joint"``: the same with one covariance for all integrations, less biased, see
        ``docs/likelihood.md``. Fewer than four groups, evenly spaced, are fitted with ``"ols"`` in any case.
    suppress_one_group : bool
        Treat a ramp with exactly one good group as having none; no effect on the likelihood fits.
    firstgroup, lastgroup : int, optional
        First and last group to use, 0-based and inclusive.
    save_opt : bool
        Also return the fits of the segments; the likelihood fits have none.
    rejection_threshold : float, optional
        Likelihood fits only: significance, in standard deviations, from which a jump is flagged. None: the thresholds
        of the pipeline, 20.25 (4.5 squared) and 23.8 in chi-square.
    pedestal : (float, float), optional
        ``"likely_joint"`` only: mean and standard deviation, in DN, of the signal that a ramp has at time zero; gives a
        rate to ramps with one good group.
    readnoise_kind : {"cds", "single"}
        What `readnoise` is that of: ``"cds"``, the difference of two frames, or ``"single"``, one frame, as most
        laboratories and observatories state it; CDS noise is larger by the square root of two.
    weighting : {"optimal", "uniform", "interpolated"}, float, or sequence of (float, float)
        ``"ols"`` only: how the groups of a segment are weighted. ``"optimal"``: as in the pipeline; ``"interpolated"``:
        the same without steps; ``"uniform"``: equally; a number: by the distance from the middle to this power; pairs:
        a signal-to-noise ratio and the power from there on. See ``docs/weighting.md``.
    errors : {"weights", "reference"}, optional
        ``"ols"`` only: errors that follow from the weights, or those of the pipeline's formulas whatever the weights
        are. None: the pipeline's for optimal weights of evenly spaced groups, else (also for a single group with read
        times) what follows from the weights.
    chisq : bool
        Also return the chi-square of the samples around the lines of the segments, and its degrees of freedom, in
        rate and rateints. The likelihood fits always do. For ``"ols"`` only with optimal weights, the pipeline's errors
        and evenly spaced groups.
    maximum_cores : str or int
        ``"none"`` (one), ``"quarter"``, ``"half"``, ``"all"`` of the cores that this process may use, or a number: so
        many workers at most; where `executor` is None no more than one for each 16 MiB of data and flags.
    executor : {"processes", "threads"} or concurrent.futures.Executor, optional
        Where the slices are fitted when there is more than one worker; None: threads, which copy no array and start at
        once. On systems where processes cannot share memory without copies (macOS, Windows), threads in any case. With
        an Executor `maximum_cores` only sets the number of slices. The results are the same to the bit.
    progress : bool
        Show a progress bar: on standard error, or as a widget in a notebook.
    out : RampFit, optional
        An earlier result of the same shape and kind of algorithm, whose arrays in rate and rateints, and groupdq, are
        overwritten and returned.

    Returns
    -------
    RampFit
        Rates in DN/s, variances in (DN/s)^2; with `chisq`, and of the likelihood fits, also chi-squares; of the latter
        also the flags of the jumps found.

    Raises
    ------
    TypeError, ValueError
        An argument is unusable; the message names it, what was expected and what came.
    RuntimeError
        A worker process was killed, and another one while what was not done was fitted once more.

    Warns
    -----
    RampFitWarning
        No ramp of the exposure can be fitted: the rates are NaN and the flags say why. Or there are too few groups for
        a likelihood fit, and ``"ols"`` steps in.

    Notes
    -----
    Optimal weights: Fixsen et al. 2000 (PASP 112, 1350). Combination of segments between cosmic rays: Robberto 2008
    (JWST-STScI-0001490). Variances: Regan 2007 (JWST-STScI-001212). Likelihood fits: Brandt 2024a, b (PASP 136, 045004
    and 045005).

    Examples
    --------
    >>> import numpy as np
    >>> from rampfit_numba import Exposure, fit_ramps
    >>> ramp = np.arange(10, dtype=np.float32).reshape(1, 10, 1, 1) * 30
    >>> fit = fit_ramps(Exposure(ramp, None, group_time=3.0), readnoise=14.0, gain=5.5)
    >>> float(fit.rate.data[0, 0])
    10.0
    """
    if not isinstance(exposure, Exposure):
        raise TypeError(
            "exposure: expected an Exposure, as Exposure(...) makes of arrays and read_exposure of a file; got "
            f"{type(exposure).__name__}"
        )
    asked = FitOptions(
        algorithm=algorithm,
        suppress_one_group=suppress_one_group,
        firstgroup=firstgroup,
        lastgroup=lastgroup,
        save_opt=save_opt,
        rejection_threshold=rejection_threshold,
        pedestal=pedestal,
        readnoise_kind=readnoise_kind,
        weighting=checked_weighting(weighting),
        errors=errors,
        chisq=chisq,
    )
    asked.check_groups(exposure.ngroups)
    options = asked.for_groups(exposure.ngroups, even=exposure.evenly_read)
    if not isinstance(executor, Executor) and executor not in (None, "processes", "threads"):
        raise ValueError(f"executor: expected None, 'processes', 'threads' or an Executor; got {executor!r}")
    noise, electrons = noise_and_gain(readnoise, gain, exposure, options)
    workers = workers_for(exposure, maximum_cores, executor)
    allocator = shared_allocator if usable_kind(executor, workers) == "processes" else private_allocator
    results = allocate_results(exposure.shape, options, out, allocator)
    if out is not None:
        given = {name: getattr(exposure, name) for name in _EXPOSURE_ARRAYS}
        given |= dict(zip(("saturation", "pedestal", "linearity"), read_planes(exposure), strict=False))
        check_apart(results, given | {"readnoise": noise, "gain": electrons})
    start = time.perf_counter()
    exposure, method, plan = plan_fit(exposure, asked, options, noise, electrons, progress=bool(progress))
    run = partial(run_rows, nrows=exposure.nrows, workers=workers, executor=executor)
    fit = partial(run, plan.fit_rows, plan.inputs)
    if plan.count_rows is None:
        returned = fit(method.outputs(results), progress=progress)
    else:
        with_segments = partial(allocate_fitopt, exposure.shape, allocator=allocator)
        returned, results = _fit_segments(plan, method, results, with_segments, run, fit, progress)
    method.tell(returned)
    nothing = method.finish(plan, returned, results) or ("" if anything_fitted(results.rate) else NO_VALID_FIT)
    if nothing:
        warn_of_nothing(nothing, only_nan=bool(np.isnan(results.rate.data).all()))
    log.info("Ramps fitted in %.3f s by %d worker%s", time.perf_counter() - start, workers, "s" if workers > 1 else "")
    rate, rateints, fitopt, groupdq = results
    if exposure.header is not None:
        rate, rateints = replace(rate, header=exposure.header), replace(rateints, header=exposure.header)
    kept = FitInputs(exposure, noise, electrons)
    return RampFit(rate, rateints, fitopt, exposure.header, options, nothing, groupdq, kept)


def _fit_segments(  # noqa: PLR0917  (the state of fit_ramps)
    plan: Plan,
    method: Method,
    results: Results,
    allocate: Callable[[int, int], FitOpt],
    run: Callable[..., list[Any]],
    fit: Callable[..., list[Any]],
    progress: bool | FilePart,  # noqa: FBT001  (as users have it)
) -> tuple[list[Any], Results]:
    """Fit an exposure with its optional results; return what the row function returned, and all results."""
    assert plan.count_rows is not None  # noqa: S101  (for mypy)
    if plan.expect_rows is None:
        depth = _largest(run(plan.count_rows, plan.inputs, None))
    else:
        depth = _largest(run(plan.expect_rows, RowInputs(None, plan.inputs.groupdq, *[None] * 5), None))
    results = results._replace(fitopt=allocate(*depth))
    returned = fit(method.outputs(results), progress=progress)
    if plan.expect_rows is not None and not all(part.finite for part in returned):
        found = _largest(run(plan.count_rows, plan.inputs, None))
        if found != depth:
            results = results._replace(fitopt=None)  # the new arrays find its memory
            results = results._replace(fitopt=allocate(*found))
            returned = fit(method.outputs(results), progress=unseen(progress))
    return returned, results


def _largest(counts: list[tuple[int, int]]) -> tuple[int, int]:
    """Return the largest numbers of segments and of jumps of all slices."""
    segments, jumps = zip(*counts, strict=True)
    return max(segments), max(jumps)


def plan_fit(
    exposure: Exposure,
    asked: FitOptions,
    options: FitOptions,
    readnoise: np.ndarray,
    gain: np.ndarray,
    *,
    progress: bool,
) -> tuple[Exposure, Method, Plan]:
    """Return the exposure in DN, the code of its algorithm, and how that will fit it; its kernels are compiled.

    Parameters
    ----------
    exposure : Exposure
    asked, options : FitOptions
        What was asked for, and what fits the exposure's number of groups.
    readnoise, gain : ndarray, shape (nrows, ncols)
        See :func:`noise_and_gain`.
    progress : bool
        Whether to show that kernels are compiled.

    Warns
    -----
    RampFitWarning
        See :func:`fit_ramps`.
    """
    exposure = exposure.in_dn(gain)
    needed = ALGORITHMS[asked.algorithm].fewest_groups
    if exposure.ngroups < needed:
        instead = "" if options == asked else f"it is fitted with {options.algorithm!r}, and "
        message = f"{asked.algorithm!r} needs {needed} groups, the exposure has {exposure.ngroups}: "
        warnings.warn(f"{message}{instead}no jump is searched for", RampFitWarning, stacklevel=3)

    if complaint := skipped_steps(exposure, ALGORITHMS[options.algorithm]):
        warnings.warn(complaint, RampFitWarning, stacklevel=3)

    # All that is mapped from a file is read instead: see file_arrays.py.
    planes = (readnoise, gain, exposure.pixeldq, exposure.average_dark_current, exposure.zeroframe)
    arrays = (exposure.data, exposure.groupdq, *planes, *read_planes(exposure))
    inputs = RowInputs(*(_source(array) for array in arrays))
    method = load_method(options.algorithm)
    plan = method.plan(exposure, options, inputs)
    make_ready(plan.kernels, progress=progress)
    if exposure.corrections is not None:
        corrections.make_ready()
    return exposure, method, plan


def workers_for(exposure: Exposure, maximum_cores: str | int, executor: str | Executor | None) -> int:
    """Return how many workers share out the rows of an exposure; see :func:`fit_ramps`."""
    nbytes = exposure.data.nbytes + (0 if exposure.groupdq is None else exposure.groupdq.nbytes)
    limited = not isinstance(executor, Executor)
    return count_workers(maximum_cores, exposure.nrows, limited=limited, nbytes=nbytes if executor is None else None)


def warn_of_nothing(reason: str, *, only_nan: bool) -> None:
    """Warn that nothing could be fitted, and what the rates are; ``"ols"`` may have zeros, as its reference."""
    left = "NaN" if only_nan else "NaN or 0"
    warnings.warn(f"no ramp can be fitted: {reason}; all rates are {left}", RampFitWarning, stacklevel=3)


def skipped_steps(exposure: Exposure, algorithm: Algorithm) -> str:
    """Return a complaint where the flags that OLS relies on were not made; empty where nothing says so."""
    if algorithm.finds_jumps or exposure.header is None:
        return ""
    primary, skipped = exposure.header.primary, []
    for keyword, step, fewest in _STEPS:
        if str(primary.get(keyword, "")).strip().upper() == "SKIPPED" and exposure.ngroups >= fewest:
            skipped.append(f"{keyword}, the {step} step")
    if not skipped:
        return ""
    where = f"{exposure.header.filename}: " if exposure.header.filename else ""
    return (
        f"{where}SKIPPED in the header: {' and '.join(skipped)}; {algorithm.name!r} takes hits and saturated groups "
        "without flags for signal: run the step, or use 'likely', which searches for jumps itself"
    )


def noise_and_gain(
    readnoise: Any,  # noqa: ANN401
    gain: Any,  # noqa: ANN401
    exposure: Exposure,
    options: FitOptions,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the noise of the difference of two frames in DN and the gain in e-/DN, of every pixel."""
    image = exposure.shape[2:]
    electrons, _ = _per_pixel("gain", reference_image(gain, exposure, "gain"), image, gain_unit)
    noise, unit = _per_pixel("readnoise", reference_image(readnoise, exposure, "readnoise"), image, signal_unit)
    if unit == ELECTRON:
        with np.errstate(all="ignore"):
            noise = as_single(np.asarray(noise, np.float64) / electrons)
    return (_of_two_frames(noise) if options.readnoise_kind == "single" else noise), electrons


def reference_image(reference: Any, exposure: Exposure, name: str) -> Any:  # noqa: ANN401  (an array, a number, or more)
    """Return a reference as numbers, read from its file where it is one."""
    if isinstance(reference, str | os.PathLike):
        from rampfit_numba.io.references import read_reference

        return read_reference(reference, exposure, name).data
    # What read_reference returns can only come from a program that has imported it: no need to import astropy here.
    references = sys.modules.get("rampfit_numba.io.references")
    if references is not None and isinstance(reference, references.ReferenceImage):
        return reference.data
    return reference


def anything_fitted(rate: Rate) -> bool:
    """Tell whether any pixel has a rate; a 0 without an error is what OLS, as its reference, gives for no segment."""
    return any((np.isfinite(row) & (err > 0)).any() for row, err in zip(rate.data, rate.err, strict=True))


def _per_pixel(
    name: str,
    value: Any,  # noqa: ANN401
    image: tuple[int, int],
    kind: Callable[[Any], Scaled],
) -> tuple[np.ndarray, str | None]:
    """Return a number or an array as an array of the detector's shape, without copying it, and its unit, if any."""
    array, unit = as_measured(name, value, kind)
    if array.shape not in ((), image):
        raise ValueError(
            f"{name}: expected a number or shape {image}, the (nrows, ncols) of data; got shape {array.shape}"
        )
    if array.ndim == 0 and not (np.isfinite(single := as_single(array)) and single > 0):
        raise ValueError(f"{name}: expected a number above 0 that single precision can hold; got {array}")
    return np.broadcast_to(array, image), unit


def _of_two_frames(noise: np.ndarray) -> np.ndarray:
    """Return the read noise of the difference of two frames from that of one."""
    with np.errstate(over="ignore"):
        return as_single(noise.astype(np.float64) * math.sqrt(2))


def read_planes(exposure: Exposure) -> tuple[np.ndarray | None, ...]:
    """Return what the corrections of raw reads need of each pixel."""
    wanted = exposure.corrections
    return () if wanted is None else (wanted.saturation, wanted.pedestal, wanted.linearity)


def _source(array: np.ndarray | None) -> Any:  # noqa: ANN401  (an array, an array in a file, or None)
    return None if array is None else as_file_array(array)
