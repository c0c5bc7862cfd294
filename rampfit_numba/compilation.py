"""Compile the kernels ahead of their first use."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import numpy as np

from rampfit_numba.kernels._jit import cache_folder, is_cold
from rampfit_numba.kernels.likely.read_pattern import even_read_times, read_pattern
from rampfit_numba.kernels.likely.rows import LikelyOutputs, LikelyRules, fit_likely_rows
from rampfit_numba.kernels.likely.thresholds import thresholds
from rampfit_numba.kernels.rows import RowInputs, RowOutputs, Rules, count_rows, fit_rows
from rampfit_numba.kernels.settings import Settings
from rampfit_numba.options import ALGORITHMS, LIKELIHOOD_GROUPS, FitOptions

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger(__name__)

_OLS_GROUPS = 3
#: Module and name of the kernel of each algorithm that takes longest to compile.
_SLOWEST = {
    "ols": ("tile", "fit_tile"),
    "likely": ("likely.tile", "fit_likely_tile"),
    "likely_joint": ("likely.joint", "fit_joint_tile"),
}


def warm_up(algorithms: Iterable[str] | None = None) -> float:
    """Compile the kernels, or load them from the cache, so that the next fit starts at once.

    Machine code is kept on disk: this takes several seconds once after an installation, and little later.

    Parameters
    ----------
    algorithms : iterable of str, optional
        The algorithms whose kernels are wanted, as for :func:`rampfit_numba.fit_ramps`; None: all.

    Returns
    -------
    float
        Time that it took, in s.

    Raises
    ------
    TypeError, ValueError
        An algorithm is unknown.

    Examples
    --------
    >>> from rampfit_numba import warm_up
    >>> seconds = warm_up(["ols"])
    """
    if isinstance(algorithms, str):
        raise TypeError(f"algorithms: expected several names; got one, {algorithms!r} (write [{algorithms!r}])")
    wanted = ALGORITHMS.values() if algorithms is None else [FitOptions(name).algorithm for name in algorithms]
    start = time.perf_counter()
    for algorithm in dict.fromkeys(wanted):
        announce(algorithm)
        if algorithm == "ols":
            _warm_up_ols()
        else:
            _warm_up_likelihood(algorithm)
    return time.perf_counter() - start


def announce(algorithm: str) -> bool:
    """Say so if the kernels of `algorithm` will have to be compiled, and return whether they will."""
    cold = is_cold(*_SLOWEST[algorithm])
    if cold:
        kept = f"the code is kept in {cache_folder()}" if cache_folder() else "the cache folder cannot be written"
        log.info("Compiling the kernels for this machine, which takes some seconds; %s", kept)
    return cold


def _warm_up_ols() -> None:
    settings = Settings(1.0, 1.0, 1.0, 1.0, 1.0, suppress_one_group=True, clear_first_jump=False)
    rules = Rules(settings, 0, _OLS_GROUPS, 0, _OLS_GROUPS - 1, dropped_good=False)
    inputs, plane, cube = _arrays(_OLS_GROUPS)
    fit_rows(inputs, RowOutputs(*[np.empty_like(like) for like in [*[plane] * 5, *[cube] * 5]]), rules)
    count_rows(inputs, None, rules)


def _warm_up_likelihood(algorithm: str) -> None:
    one, two = thresholds(None)
    rules = LikelyRules(
        pattern=read_pattern(even_read_times(LIKELIHOOD_GROUPS, 1.0)),
        threshold_one=one,
        threshold_two=two,
        joint=algorithm == "likely_joint",
        split_zeroframe=False,
        nframes=1,
        first_kept=0,
        stop_kept=LIKELIHOOD_GROUPS,
        first_used=0,
        last_used=LIKELIHOOD_GROUPS - 1,
    )
    inputs, plane, cube = _arrays(LIKELIHOOD_GROUPS)
    outputs = [np.empty_like(like) for like in [*[plane] * 5, *[cube] * 5, *[plane, cube] * 2, inputs.groupdq]]
    fit_likely_rows(inputs, LikelyOutputs(*outputs), rules)


def _arrays(ngroups: int) -> tuple[RowInputs, np.ndarray, np.ndarray]:
    """Return an exposure of one pixel, and planes of the shapes of its rate and its rateints."""
    shape = (1, ngroups, 1, 1)
    plane, cube = np.ones(shape[2:], np.float32), np.ones((1, *shape[2:]), np.float32)
    inputs = RowInputs(np.ones(shape, np.float32), np.zeros(shape, np.uint8), plane, plane, None, None, None)
    return inputs, plane, cube
