"""Compile the kernels ahead of their first use."""

from __future__ import annotations

import gc
import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rampfit_numba.algorithms.method import Kernels, load_method
from rampfit_numba.kernels._jit import cache_folder, is_cold, note_warm
from rampfit_numba.options import FitOptions
from rampfit_numba.registry import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

log = logging.getLogger(__name__)


_ready: set[Kernels] = set()


def make_ready(kernels: Kernels) -> None:
    """Compile `kernels`, and say so, or load them from the cache; nothing happens when this process has them.

    A fit does this before its workers start, which must find them compiled, not each compile its own.
    """
    if kernels in _ready:
        return
    if is_cold(kernels.name):
        kept = f"the code is kept in {cache_folder()}" if cache_folder() else "the cache folder cannot be written"
        log.info("Compiling the kernels for this machine, which takes some seconds; %s", kept)
        with _without_collector():
            load_method(kernels.algorithm).fit_smallest(kernels)
    else:
        load_method(kernels.algorithm).fit_smallest(kernels)
    note_warm(kernels.name)
    _ready.add(kernels)


def warm_up(algorithms: Iterable[str] | None = None) -> float:
    """Compile the kernels, or load them from the cache, so that the next fit starts at once.

    Machine code is kept on disk: for all algorithms this takes about a minute once after an installation, and little
    later. For OLS it comprises the optional results and ramps of any length, which a fit compiles only when it needs
    them.

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
    wanted = ALGORITHMS if algorithms is None else [FitOptions(name).algorithm for name in algorithms]
    start = time.perf_counter()
    for algorithm in dict.fromkeys(wanted):
        for kernels in load_method(algorithm).kernels(algorithm):
            make_ready(kernels)
    return time.perf_counter() - start


@contextmanager
def _without_collector() -> Iterator[None]:
    """Let the garbage of the whole process wait: to look for it takes a tenth of the time of compiling (100 MB)."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
