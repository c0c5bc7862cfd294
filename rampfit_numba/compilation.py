"""Compile the kernels ahead of their first use."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from rampfit_numba.algorithms.method import Kernels, load_method
from rampfit_numba.first_run import compile_or_load
from rampfit_numba.options import FitOptions
from rampfit_numba.registry import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Iterable


_ready: set[Kernels] = set()


def make_ready(kernels: Kernels, *, progress: bool = False, count: str = "") -> None:
    """Compile `kernels`, and say so, or load them from the cache; nothing happens when this process has them.

    A fit does this before its workers start, which must find them compiled, not each compile its own.

    Parameters
    ----------
    kernels : Kernels
        What is needed.
    progress : bool
        Show a bar while they are compiled.
    count : str
        Which one of how many this is, for the messages.

    Warns
    -----
    RampFitWarning
        Machine code on disk was damaged, cannot be trusted or cannot be written; the fit does without it.
    """
    if kernels in _ready:
        return
    method = load_method(kernels.algorithm)
    run_once = partial(method.fit_smallest, kernels)
    compile_or_load(kernels.name, kernels.label, run_once, progress=progress, count=count)
    _ready.add(kernels)


def warm_up(algorithms: Iterable[str] | None = None, *, progress: bool = False) -> float:
    """Compile the kernels, or load them from the cache, so that the next fit starts at once.

    Machine code is kept on disk: for all algorithms this takes about a minute once after an installation, and little
    later. For OLS it comprises the optional results, the chi-squares and ramps of any length, which a fit compiles only
    when it needs them.

    Parameters
    ----------
    algorithms : iterable of str, optional
        The algorithms whose kernels are wanted, as for :func:`rampfit_numba.fit_ramps`; None: all.
    progress : bool
        Show a bar on stderr for each kind of kernels that is compiled.

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
    kinds = [kernels for algorithm in dict.fromkeys(wanted) for kernels in load_method(algorithm).kernels(algorithm)]
    for number, kernels in enumerate(kinds, 1):
        make_ready(kernels, progress=progress, count=f"{number} of {len(kinds)}: ")
    return time.perf_counter() - start
