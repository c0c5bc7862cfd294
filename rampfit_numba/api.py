"""The Python function: check, prepare, run, and hand back the result."""

from __future__ import annotations

import logging
import math
import time
import warnings
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.algorithms.likely.plan import make_likely_rules
from rampfit_numba.algorithms.likely.rows import fit_likely_rows
from rampfit_numba.algorithms.likely.rules import LikelyOutputs, LikelyRules
from rampfit_numba.algorithms.ols.plan import make_plan
from rampfit_numba.algorithms.ols.rows import count_rows, fit_rows
from rampfit_numba.algorithms.ols.rules import RowOutputs
from rampfit_numba.algorithms.rows import RowInputs, as_single
from rampfit_numba.compilation import Kernels, make_ready
from rampfit_numba.engine.cores import count_workers
from rampfit_numba.engine.executors import run_rows, usable_kind
from rampfit_numba.engine.memory_pool import Allocator, private_allocator
from rampfit_numba.engine.shared import shared_allocator
from rampfit_numba.exposure import Exposure, as_array
from rampfit_numba.file_arrays import as_file_array
from rampfit_numba.kernels.ols.segments import MOST_IN_BYTES
from rampfit_numba.messages import RampFitWarning
from rampfit_numba.options import LIKELIHOOD_GROUPS, FitOptions
from rampfit_numba.result import FitOpt, RampFit, Rate, RateInts, plane_types

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

log = logging.getLogger(__name__)

#: Bytes of a value, and arrays in a fitopt.
_SAMPLE, _FITOPT_ARRAYS = 4, 9
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
    maximum_cores: str | int = "none",
    executor: str | Executor | None = None,
    progress: bool = False,
    out: RampFit | None = None,
) -> RampFit:
    """Fit the ramps of an exposure: count rates per pixel and integration, with variances and flags.

    Parameters
    ----------
    exposure : Exposure
        Ramps in DN, flags, timing. Not modified.
    readnoise : float or array_like, shape (nrows, ncols)
        Read noise in DN, of the difference of two frames (CDS) as JWST's reference files have it, or of a single frame:
        see `readnoise_kind`.
    gain : float or array_like, shape (nrows, ncols)
        In e-/DN.
    algorithm : str
        ``"ols"``: optimally weighted least squares between the flagged jumps; the pipeline's name ``"OLS_C"`` is
        accepted too. ``"likely"`` (or ``"LIKELY"``): generalised least squares with a search for jumps, as the
        pipeline has it. ``"likely_joint"``: the same with one covariance for all integrations, less biased, see
        ``docs/likelihood.md``. Exposures of fewer than four groups are fitted with ``"ols"`` in any case.
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
    maximum_cores : str or int
        ``"none"`` (one), ``"quarter"``, ``"half"``, ``"all"`` of the cores that this process may use, or a number.
    executor : {"processes", "threads"} or concurrent.futures.Executor, optional
        Where the slices are fitted when there is more than one worker; None: processes. With an Executor
        `maximum_cores` only sets the number of slices. The results are the same to the bit.
    progress : bool
        Show a progress bar on stderr.
    out : RampFit, optional
        An earlier result of the same shape and kind of algorithm, whose arrays in rate and rateints, and groupdq, are
        overwritten and returned.

    Returns
    -------
    RampFit
        Rates in DN/s, variances in (DN/s)^2; of the likelihood fits also chi-squares and the flags of the jumps found.

    Raises
    ------
    TypeError, ValueError
        An argument is unusable; the message names it, what was expected and what came.
    RuntimeError
        A worker process was killed.

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
        raise TypeError(f"exposure: expected an Exposure; got {type(exposure).__name__}")
    asked = FitOptions(
        algorithm, suppress_one_group, firstgroup, lastgroup, save_opt, rejection_threshold, pedestal, readnoise_kind
    )
    options = asked.for_groups(exposure.ngroups)
    if not options.is_likelihood and not exposure.evenly_read:
        raise ValueError(
            "read_times: 'ols' needs evenly spaced groups, and these are not; use algorithm='likely', which needs "
            f"{LIKELIHOOD_GROUPS} groups or more (this exposure has {exposure.ngroups})"
        )
    if not isinstance(executor, Executor) and executor not in (None, "processes", "threads"):
        raise ValueError(f"executor: expected None, 'processes', 'threads' or an Executor; got {executor!r}")
    image = exposure.shape[2:]
    noise, electrons = _per_pixel("readnoise", readnoise, image, "DN"), _per_pixel("gain", gain, image, "electron / DN")
    if options.readnoise_kind == "single":
        noise = _of_two_frames(noise)
    workers = count_workers(maximum_cores, exposure.nrows, limited=not isinstance(executor, Executor))
    kind = usable_kind(executor, workers)
    allocator = shared_allocator if kind == "processes" else private_allocator
    rate, rateints = _allocate(exposure, options, out, allocator)
    new_flags = _allocate_flags(exposure, out, allocator) if options.is_likelihood else None
    if out is not None:
        given = {name: getattr(exposure, name) for name in _EXPOSURE_ARRAYS} | {"readnoise": noise, "gain": electrons}
        _check_apart(given, rate, rateints, new_flags)
    if options != asked:
        message = f"{asked.algorithm!r} needs {LIKELIHOOD_GROUPS} groups, the exposure has {exposure.ngroups}: "
        warnings.warn(f"{message}it is fitted with 'ols', and no jump is searched for", RampFitWarning, stacklevel=2)

    start = time.perf_counter()
    data, groupdq = as_file_array(exposure.data), as_file_array(exposure.groupdq)
    # All that is mapped from a file is read instead: see file_arrays.py.
    planes = (noise, electrons, exposure.pixeldq, exposure.average_dark_current, None)
    inputs = RowInputs(data, groupdq, *(_source(plane) for plane in planes))
    run = partial(run_rows, nrows=exposure.nrows, workers=workers, executor=executor)
    fitopt = None
    if new_flags is None:
        fitopt, nothing = _run_ols(
            exposure, options, inputs, (rate, rateints), run, allocator=allocator, progress=progress
        )
    else:
        nothing = _run_likelihood(exposure, options, inputs, (rate, rateints, new_flags), run, progress=progress)
    if nothing:
        warnings.warn(f"no ramp can be fitted: {nothing}; all rates are NaN", RampFitWarning, stacklevel=2)
    log.info("Ramps fitted in %.3f s by %d worker%s", time.perf_counter() - start, workers, "s" if workers > 1 else "")
    return RampFit(rate, rateints, fitopt, exposure.header, options, nothing, new_flags)


def _run_ols(
    exposure: Exposure,
    options: FitOptions,
    inputs: RowInputs,
    results: tuple[Rate, RateInts],
    run: Callable[..., list[Any]],
    *,
    allocator: Callable[[int, int], Allocator],
    progress: bool,
) -> tuple[FitOpt | None, str]:
    """Fill the rates; return the fitopt, if it was asked for, and the reason why nothing can be fitted, or nothing."""
    rate, rateints = results
    plan = make_plan(exposure, options, inputs.data, inputs.groupdq)
    if plan.use_zeroframe:
        inputs = inputs._replace(zeroframe=_source(exposure.zeroframe))
    ngroups = plan.rules.stop_kept - plan.rules.first_kept
    make_ready(Kernels("ols", long_ramps=ngroups > MOST_IN_BYTES, save_opt=options.save_opt))
    fitopt = None
    if options.save_opt:
        counts = run(partial(count_rows, rules=plan.rules), inputs, None)
        nsegments, njumps = (max(count[axis] for count in counts) for axis in (0, 1))
        planes, image = exposure.nints * (7 * nsegments + njumps + 1), exposure.shape[2:]
        room = allocator(planes * math.prod(image) * _SAMPLE, _FITOPT_ARRAYS)
        fitopt = FitOpt.allocate(exposure.nints, nsegments, njumps, *image, zeros=room.zeros)
    run(partial(fit_rows, rules=plan.rules), inputs, _outputs(rate, rateints, fitopt), progress=progress)
    if plan.nothing_to_fit:
        # CHARGELOSS leaves a read-noise variance on pixels without a slope; where there is no slope at all, it would
        # mislead.
        for plane in (rate.var_rnoise, rateints.var_rnoise):
            plane[...] = 0
    return fitopt, plan.nothing_to_fit


def _run_likelihood(
    exposure: Exposure,
    options: FitOptions,
    inputs: RowInputs,
    results: tuple[Rate, RateInts, np.ndarray],
    run: Callable[..., list[Any]],
    *,
    progress: bool,
) -> str:
    """Fill the rates and the flags of the groups; return the reason why nothing can be fitted, or nothing."""
    rules = make_likely_rules(exposure, options)
    if rules.split_zeroframe:
        inputs = inputs._replace(zeroframe=_source(exposure.zeroframe))
    make_ready(Kernels(options.algorithm))
    jumps = run(partial(_fit_and_count, rules=rules), inputs, _likely_outputs(*results), progress=progress)
    log.info("Jumps found: %d", sum(jumps))
    return "" if any(np.isfinite(row).any() for row in results[0].data) else "no ramp has a valid fit"


def _per_pixel(name: str, value: Any, image: tuple[int, int], unit: str) -> np.ndarray:  # noqa: ANN401
    """Return a number or an array as an array of the detector's shape, without copying it."""
    array = as_array(name, value, unit)
    if array.shape not in ((), image):
        raise ValueError(
            f"{name}: expected a number or shape {image}, the (nrows, ncols) of data; got shape {array.shape}"
        )
    if array.ndim == 0 and not (np.isfinite(single := as_single(array)) and single > 0):
        raise ValueError(f"{name}: expected a number above 0 that single precision can hold; got {array}")
    return np.broadcast_to(array, image)


def _of_two_frames(noise: np.ndarray) -> np.ndarray:
    """Return the read noise of the difference of two frames from that of one."""
    with np.errstate(over="ignore"):
        return as_single(noise.astype(np.float64) * math.sqrt(2))


def _source(array: np.ndarray | None) -> Any:  # noqa: ANN401  (an array, an array in a file, or None)
    return None if array is None else as_file_array(array)


def _allocate(
    exposure: Exposure,
    options: FitOptions,
    out: RampFit | None,
    allocator: Callable[[int, int], Allocator],
) -> tuple[Rate, RateInts]:
    image, cube = exposure.shape[2:], (exposure.nints, *exposure.shape[2:])
    types = plane_types(likelihood=options.is_likelihood)
    if out is None:
        # Apart: who keeps the rate alone does not keep the memory of the integrations.
        of_rate, of_rateints = (
            allocator(len(types) * math.prod(shape) * _SAMPLE, len(types)).empty for shape in (image, cube)
        )
        return (
            Rate.allocate(*image, likelihood=options.is_likelihood, empty=of_rate),
            RateInts.allocate(*cube, likelihood=options.is_likelihood, empty=of_rateints),
        )
    if not isinstance(out, RampFit):
        raise TypeError(f"out: expected a RampFit; got {type(out).__name__}")
    for kind, planes, shape in (("rate", out.rate, image), ("rateints", out.rateints, cube)):
        for name, dtype in types.items():
            _check_room(f"out.{kind}.{name}", getattr(planes, name), shape, dtype)
    if options.is_likelihood or out.rate.chisq is out.rateints.chisq is None:
        return out.rate, out.rateints
    # The room for a chi-square would keep that of the earlier fit.
    return replace(out.rate, chisq=None, dof=None), replace(out.rateints, chisq=None, dof=None)


def _allocate_flags(exposure: Exposure, out: RampFit | None, allocator: Callable[[int, int], Allocator]) -> np.ndarray:
    if out is None:
        return allocator(math.prod(exposure.shape), 1).empty(exposure.shape, np.uint8)
    _check_room("out.groupdq", out.groupdq, exposure.shape, np.dtype(np.uint8))
    assert out.groupdq is not None  # noqa: S101  (for mypy)
    return out.groupdq


def _check_room(name: str, plane: np.ndarray | None, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    expected = f"{name}: expected a writeable array of {dtype}, shape {shape} as the exposure"
    if plane is None:
        raise ValueError(f"{expected}; got None, as results of another algorithm have it")
    if plane.shape != shape or plane.dtype != dtype or not plane.flags.writeable:
        raise ValueError(f"{expected}; got {plane.dtype}, shape {plane.shape}")


def _check_apart(
    inputs: dict[str, np.ndarray | None], rate: Rate, rateints: RateInts, new_flags: np.ndarray | None
) -> None:
    """Refuse room that overlaps an input, which would be overwritten while it is read."""
    room = {f"out.rate.{name}": plane for name, plane in vars(rate).items()}
    room |= {f"out.rateints.{name}": plane for name, plane in vars(rateints).items()} | {"out.groupdq": new_flags}
    for name, plane in room.items():
        for source, array in inputs.items():
            if plane is not None and array is not None and np.may_share_memory(plane, array):
                raise ValueError(
                    f"{name}: expected memory of its own, since inputs are not modified; got that of {source}"
                )


def _outputs(rate: Rate, rateints: RateInts, fitopt: FitOpt | None) -> RowOutputs:
    planes = [
        plane for fit in (rate, rateints) for plane in (fit.data, fit.err, fit.var_poisson, fit.var_rnoise, fit.dq)
    ]
    if fitopt is not None:
        planes += [fitopt.slope, fitopt.sigslope, fitopt.var_poisson, fitopt.var_rnoise, fitopt.yint, fitopt.sigyint]
        planes += [fitopt.weights, fitopt.pedestal, fitopt.crmag]
    return RowOutputs(*planes)


def _likely_outputs(rate: Rate, rateints: RateInts, groupdq: np.ndarray) -> LikelyOutputs:
    names = ("err", "var_poisson", "var_rnoise", "dq", "chisq", "dof")
    return LikelyOutputs(
        slope=rate.data,
        slope_ints=rateints.data,
        groupdq=groupdq,
        **{name: getattr(rate, name) for name in names},
        **{f"{name}_ints": getattr(rateints, name) for name in names},
    )


def _fit_and_count(inputs: RowInputs, outputs: LikelyOutputs, rules: LikelyRules) -> int:
    """Fit some rows and return the number of jumps found: nothing else tells new flags from old ones."""
    fit_likely_rows(inputs, outputs, rules)
    nints, ngroups = outputs.groupdq.shape[:2]
    # One plane at a time stays in the cache.
    return sum(
        int(np.count_nonzero(outputs.groupdq[i, g] != inputs.groupdq[i, g]))
        for i in range(nints)
        for g in range(ngroups)
    )
