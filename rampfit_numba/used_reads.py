"""How many reads of each pixel a fit used."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rampfit_numba.algorithms.corrections import read_rules
from rampfit_numba.algorithms.groups import usable_groups
from rampfit_numba.algorithms.rows import RowInputs
from rampfit_numba.algorithms.used_reads import UsedReads, count_used_rows
from rampfit_numba.engine.cores import count_workers
from rampfit_numba.engine.executors import run_rows
from rampfit_numba.exposure import Exposure
from rampfit_numba.mapped_arrays import as_file_array
from rampfit_numba.result import RampFit

if TYPE_CHECKING:
    from typing import Any


class NumberOfReads(NamedTuple):
    """How many reads were used.

    Attributes
    ----------
    rate : ndarray of int32, shape (nrows, ncols)
        Of all integrations.
    rateints : ndarray of int16, shape (nints, nrows, ncols)
    """

    rate: np.ndarray
    rateints: np.ndarray


def count_reads(exposure: Exposure, fit: RampFit, *, maximum_cores: str | int = "none") -> NumberOfReads:
    """Return the number of reads (groups) of each pixel that a fit used.

    A read counts where it and a neighbour are good, without a jump between them; or it is the only good one of its ramp
    and there is a rate all the same.

    Parameters
    ----------
    exposure : Exposure
        What was fitted.
    fit : RampFit
        Result of that fit.
    maximum_cores : str or int
        Threads, as for :func:`rampfit_numba.fit_ramps`.

    Returns
    -------
    NumberOfReads
        ``.rate`` (nrows, ncols) and ``.rateints`` (nints, nrows, ncols).

    Raises
    ------
    TypeError, ValueError
        The fit is none of this exposure.

    Examples
    --------
    >>> import numpy as np
    >>> from rampfit_numba import Exposure, count_reads, fit_ramps
    >>> ramp = np.arange(0, 100, 10)[:, None, None]
    >>> exposure = Exposure.from_reads(ramp, frame_time=1.0, saturation=70)
    >>> fit = fit_ramps(exposure, 5.0, 2.0, algorithm="likely", readnoise_kind="single")
    >>> count_reads(exposure, fit).rate
    array([[7]], dtype=int32)
    """
    for name, value, kind in (("exposure", exposure, Exposure), ("fit", fit, RampFit)):
        if not isinstance(value, kind):
            raise TypeError(f"{name}: expected {kind.__name__}; got {type(value).__name__}")
    cube = (exposure.nints, *exposure.shape[2:])
    if fit.rateints.data.shape != cube:
        raise ValueError(f"fit: expected one of this exposure, shape {cube}; got shape {fit.rateints.data.shape}")
    if fit.inputs is not None and fit.inputs.exposure.ngroups != exposure.ngroups:
        raise ValueError(
            f"fit: expected one of this exposure, of {exposure.ngroups} groups; got one of "
            f"{fit.inputs.exposure.ngroups} groups"
        )
    flags = exposure.groupdq if fit.groupdq is None else fit.groupdq
    corrections = exposure.corrections
    planes: tuple[Any, ...] = ()
    if corrections is not None:
        planes = (corrections.saturation, corrections.pedestal, corrections.linearity)
    inputs = RowInputs(as_file_array(exposure.data), as_file_array(flags), None, None, None, None, None, *planes)
    first_used, last_used = usable_groups(fit.options, exposure.ngroups)
    task = partial(count_used_rows, first_used=first_used, last_used=last_used, rules=read_rules(exposure.corrections))
    nreads = np.empty(cube, np.int16)
    workers = count_workers(maximum_cores, exposure.nrows, nbytes=exposure.data.nbytes + flags.nbytes)
    run_rows(task, inputs, UsedReads(nreads), nrows=exposure.nrows, workers=workers, executor="threads")
    fitted = np.isfinite(fit.rateints.data)
    np.copyto(nreads, np.maximum(nreads, 1), where=fitted)
    np.copyto(nreads, 0, where=~fitted)
    return NumberOfReads(nreads.sum(axis=0, dtype=np.int32), nreads)
