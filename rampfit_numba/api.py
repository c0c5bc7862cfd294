"""The Python function: check, prepare, run, and hand back the result."""

from __future__ import annotations

import logging
import math
import time
import warnings
from concurrent.futures import Executor
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.compilation import announce, warm_up
from rampfit_numba.engine.cores import count_workers
from rampfit_numba.engine.executors import run_rows, usable_kind
from rampfit_numba.engine.shared import output_allocator
from rampfit_numba.exposure import Exposure, as_array
from rampfit_numba.kernels.rows import RowInputs, RowOutputs, as_single, count_rows, fit_rows
from rampfit_numba.messages import RampFitWarning
from rampfit_numba.options import FitOptions
from rampfit_numba.prepare import make_plan
from rampfit_numba.result import FitOpt, RampFit, Rate, RateInts
from rampfit_numba.sources import file_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

log = logging.getLogger(__name__)

#: Bytes of a value, and arrays in a rate (or rateints) and in a fitopt.
_SAMPLE, _RATE_ARRAYS, _FITOPT_ARRAYS = 4, 5, 9


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
        Read noise as reference files have it: that of the difference of two frames (CDS), in DN.
    gain : float or array_like, shape (nrows, ncols)
        In e-/DN.
    algorithm : str
        ``"ols"``: optimally weighted least squares; the pipeline's name ``"OLS_C"`` is accepted too.
    suppress_one_group : bool
        Treat a ramp with exactly one good group as having none.
    firstgroup, lastgroup : int, optional
        First and last group to use, 0-based and inclusive.
    save_opt : bool
        Also return the fits of the segments.
    maximum_cores : str or int
        ``"none"`` (one), ``"quarter"``, ``"half"``, ``"all"`` of the cores that this process may use, or a number.
    executor : {"processes", "threads"} or concurrent.futures.Executor, optional
        Where the slices are fitted when there is more than one worker; None: processes. With an Executor
        `maximum_cores` only sets the number of slices. The results are the same to the bit.
    progress : bool
        Show a progress bar on stderr.
    out : RampFit, optional
        An earlier result of the same shape, whose rate and rateints arrays are overwritten and returned.

    Returns
    -------
    RampFit
        Rates in DN/s, variances in (DN/s)^2.

    Raises
    ------
    TypeError, ValueError
        An argument is unusable; the message names it, what was expected and what came.
    RuntimeError
        A worker process was killed.

    Warns
    -----
    RampFitWarning
        No ramp of the exposure can be fitted: the rates are NaN and the flags say why.

    Notes
    -----
    Optimal weights: Fixsen et al. 2000 (PASP 112, 1350). Combination of segments between cosmic rays: Robberto 2008
    (JWST-STScI-0001490). Variances: Regan 2007 (JWST-STScI-001212).

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
    options = FitOptions(algorithm, suppress_one_group, firstgroup, lastgroup, save_opt)
    if not exposure.evenly_read:
        raise ValueError("read_times: OLS needs evenly spaced groups, and these are not; use the pipeline's LIKELY")
    if not isinstance(executor, Executor) and executor not in (None, "processes", "threads"):
        raise ValueError(f"executor: expected None, 'processes', 'threads' or an Executor; got {executor!r}")
    image = exposure.shape[2:]
    noise, electrons = _per_pixel("readnoise", readnoise, image, "DN"), _per_pixel("gain", gain, image, "electron / DN")
    workers = count_workers(maximum_cores, exposure.nrows, limited=not isinstance(executor, Executor))
    kind = usable_kind(executor, workers)
    allocator = output_allocator if kind == "processes" else _ordinary_allocator
    rate, rateints = _allocate(exposure, out, allocator)

    # Workers must find the kernels compiled, not each compile its own.
    if announce() and kind != "here":
        warm_up()
    start = time.perf_counter()
    data, groupdq = file_source(exposure.data), file_source(exposure.groupdq)
    plan = make_plan(exposure, options, data, groupdq)
    if plan.nothing_to_fit:
        message = f"no ramp can be fitted: {plan.nothing_to_fit}; all rates are NaN"
        warnings.warn(message, RampFitWarning, stacklevel=2)
    # All that is mapped from a file is read instead: see sources.py.
    planes = (noise, electrons, exposure.pixeldq, exposure.average_dark_current)
    zeroframe = exposure.zeroframe if plan.use_zeroframe else None
    inputs = RowInputs(
        data, groupdq, *(None if plane is None else file_source(plane) for plane in (*planes, zeroframe))
    )
    run = partial(run_rows, nrows=exposure.nrows, workers=workers, executor=executor)
    fitopt = None
    if options.save_opt:
        counts = run(partial(count_rows, rules=plan.rules), inputs, None)
        nsegments, njumps = (max(count[axis] for count in counts) for axis in (0, 1))
        planes = exposure.nints * (7 * nsegments + njumps + 1)
        room = allocator(planes * math.prod(image) * _SAMPLE, _FITOPT_ARRAYS)
        # New memory is 0, be it shared or NumPy's; most of it stays so, and is not even touched.
        zeros = np.zeros if room is np.empty else room
        fitopt = FitOpt.allocate(exposure.nints, nsegments, njumps, *image, zeros=zeros)
    run(partial(fit_rows, rules=plan.rules), inputs, _outputs(rate, rateints, fitopt), progress=progress)
    if plan.nothing_to_fit:
        # CHARGELOSS leaves a read-noise variance on pixels without a slope; where there is no slope at all, it would
        # mislead.
        for plane in (rate.var_rnoise, rateints.var_rnoise):
            plane[...] = 0
    log.info("Ramps fitted in %.3f s by %d worker%s", time.perf_counter() - start, workers, "s" if workers > 1 else "")
    return RampFit(rate, rateints, fitopt, exposure.header, options, plan.nothing_to_fit)


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


def _ordinary_allocator(_nbytes: int, _arrays: int) -> Callable[..., np.ndarray]:
    return np.empty


def _allocate(
    exposure: Exposure, out: RampFit | None, allocator: Callable[[int, int], Callable[..., np.ndarray]]
) -> tuple[Rate, RateInts]:
    image, cube = exposure.shape[2:], (exposure.nints, *exposure.shape[2:])
    if out is None:
        empty = allocator((1 + exposure.nints) * _RATE_ARRAYS * math.prod(image) * _SAMPLE, 2 * _RATE_ARRAYS)
        return Rate.allocate(*image, empty=empty), RateInts.allocate(*cube, empty=empty)
    if not isinstance(out, RampFit):
        raise TypeError(f"out: expected a RampFit; got {type(out).__name__}")
    for kind, planes, shape in (("rate", out.rate, image), ("rateints", out.rateints, cube)):
        for field in fields(planes):
            plane, dtype = getattr(planes, field.name), np.dtype(np.uint32 if field.name == "dq" else np.float32)
            if plane.shape != shape or plane.dtype != dtype or not plane.flags.writeable:
                raise ValueError(
                    f"out.{kind}.{field.name}: expected a writeable array of {dtype}, shape {shape} as the exposure; "
                    f"got {plane.dtype}, shape {plane.shape}"
                )
    return out.rate, out.rateints


def _outputs(rate: Rate, rateints: RateInts, fitopt: FitOpt | None) -> RowOutputs:
    planes = [
        plane for fit in (rate, rateints) for plane in (fit.data, fit.err, fit.var_poisson, fit.var_rnoise, fit.dq)
    ]
    if fitopt is not None:
        planes += [fitopt.slope, fitopt.sigslope, fitopt.var_poisson, fitopt.var_rnoise, fitopt.yint, fitopt.sigyint]
        planes += [fitopt.weights, fitopt.pedestal, fitopt.crmag]
    return RowOutputs(*planes)
