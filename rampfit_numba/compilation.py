"""Compile the kernels ahead of their first use."""

from __future__ import annotations

import gc
import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rampfit_numba.algorithms.likely.read_pattern import even_read_times, read_pattern
from rampfit_numba.algorithms.likely.rows import fit_likely_rows
from rampfit_numba.algorithms.likely.rules import LikelyOutputs, LikelyRules
from rampfit_numba.algorithms.likely.thresholds import thresholds
from rampfit_numba.algorithms.ols.rows import count_rows, fit_rows
from rampfit_numba.algorithms.ols.rules import RowOutputs, Rules
from rampfit_numba.algorithms.rows import RowInputs
from rampfit_numba.kernels._jit import cache_folder, is_cold, note_warm
from rampfit_numba.kernels.ols.segments import MOST_IN_BYTES
from rampfit_numba.kernels.ols.settings import Settings
from rampfit_numba.options import ALGORITHMS, LIKELIHOOD_GROUPS, FitOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

log = logging.getLogger(__name__)


class Kernels(NamedTuple):
    """Kernels that are compiled together: those of one kind of fit.

    Attributes
    ----------
    algorithm : str
        As :class:`FitOptions` has it.
    long_ramps : bool
        For ``"ols"``: ramps of more than `MOST_IN_BYTES` groups.
    save_opt : bool
        For ``"ols"``: with the fits of the segments.
    """

    algorithm: str
    long_ramps: bool = False
    save_opt: bool = False

    @property
    def name(self) -> str:
        """A name for files."""
        return self.algorithm + "-long" * self.long_ramps + "-fitopt" * self.save_opt


_OLS = [Kernels("ols", long_ramps, save_opt) for long_ramps in (False, True) for save_opt in (False, True)]
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
            _fit_one_pixel(kernels)
    else:
        _fit_one_pixel(kernels)
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
    wanted = ALGORITHMS.values() if algorithms is None else [FitOptions(name).algorithm for name in algorithms]
    start = time.perf_counter()
    for algorithm in dict.fromkeys(wanted):
        for kernels in _OLS if algorithm == "ols" else [Kernels(algorithm)]:
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


def _fit_one_pixel(kernels: Kernels) -> None:
    """Call `kernels` with the least that there is, so that they are compiled or loaded."""
    if kernels.algorithm == "ols":
        _fit_ols(kernels)
    else:
        _fit_likelihood(kernels)


def _fit_ols(kernels: Kernels) -> None:
    ngroups = MOST_IN_BYTES + 1 if kernels.long_ramps else 3
    settings = Settings(1.0, 1.0, 1.0, 1.0, 1.0, suppress_one_group=True, clear_first_jump=False)
    rules = Rules(settings, 0, ngroups, 0, ngroups - 1, dropped_good=False)
    inputs, plane, cube = _arrays(ngroups)
    outputs = [np.empty_like(like) for like in [*[plane] * 5, *[cube] * 5]]
    if kernels.save_opt:
        count_rows(inputs, None, rules)
        segments = [np.zeros((1, 1, 1, 1), np.float32) for _ in range(7)]
        outputs += [*segments, np.zeros((1, 1, 1), np.float32), np.zeros((1, 0, 1, 1), np.float32)]
    fit_rows(inputs, RowOutputs(*outputs), rules)


def _fit_likelihood(kernels: Kernels) -> None:
    one, two = thresholds(None)
    rules = LikelyRules(
        pattern=read_pattern(even_read_times(LIKELIHOOD_GROUPS, 1.0)),
        threshold_one=one,
        threshold_two=two,
        joint=kernels.algorithm == "likely_joint",
        split_zeroframe=False,
        nframes=1,
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
