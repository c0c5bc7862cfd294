"""Compile the kernels ahead of their first use."""

from __future__ import annotations

import logging
import time

import numpy as np

from rampfit_numba.kernels._jit import cache_folder, is_cold
from rampfit_numba.kernels.rows import RowInputs, RowOutputs, Rules, count_rows, fit_rows
from rampfit_numba.kernels.settings import Settings

log = logging.getLogger(__name__)

_NGROUPS = 3


def warm_up() -> float:
    """Compile the kernels, or load them from the cache, so that the next fit starts at once.

    Machine code is kept on disk: this takes several seconds once after an installation, and little later.

    Returns
    -------
    float
        Time that it took, in s.

    Examples
    --------
    >>> from rampfit_numba import warm_up
    >>> seconds = warm_up()
    """
    start = time.perf_counter()
    announce()
    shape = (1, _NGROUPS, 1, 1)
    plane, cube = np.ones(shape[2:], np.float32), np.ones((1, *shape[2:]), np.float32)
    inputs = RowInputs(np.ones(shape, np.float32), np.zeros(shape, np.uint8), plane, plane, None, None, None)
    planes = [np.empty_like(like) for like in [*[plane] * 5, *[cube] * 5]]
    rules = Rules(
        Settings(1.0, 1.0, 1.0, 1.0, 1.0, suppress_one_group=True, clear_first_jump=False),
        0,
        3,
        0,
        2,
        dropped_good=False,
    )
    fit_rows(inputs, RowOutputs(*planes), rules)
    count_rows(inputs, None, rules)
    return time.perf_counter() - start


def announce() -> bool:
    """Say so if the kernels will have to be compiled, and return whether they will."""
    cold = is_cold()
    if cold:
        kept = f"the code is kept in {cache_folder()}" if cache_folder() else "the cache folder cannot be written"
        log.info("Compiling the kernels for this machine, which takes some seconds; %s", kept)
    return cold
