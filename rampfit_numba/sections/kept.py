"""The results of all sections, for who looks at them when the products are written: they stand in a temporary file."""

from __future__ import annotations

import math
import mmap
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.allocation import allocate_results
from rampfit_numba.engine.memory_pool import ALIGNMENT, Allocator, Arena, padded

if TYPE_CHECKING:
    from rampfit_numba.algorithms.method import Results
    from rampfit_numba.io.scratch import Scratch
    from rampfit_numba.options import FitOptions


class KeptResults:
    """Results of a whole exposure, but those of segments, in a file.

    Parameters
    ----------
    shape : tuple of int
        Of the exposure: (nints, ngroups, nrows, ncols).
    options : FitOptions
    scratch : Scratch
        Which has the file, and removes it.
    what : str
        Whose results they are, for messages.

    Attributes
    ----------
    results : Results
        Not to be written into, and whole when all sections were put there.
    """

    def __init__(self, shape: tuple[int, int, int, int], options: FitOptions, scratch: Scratch, what: str) -> None:
        planned: list[int] = []

        def count(wanted: tuple[int, ...], dtype: Any) -> np.ndarray:  # noqa: ANN401
            planned.append(padded(math.prod(wanted) * np.dtype(dtype).itemsize))
            return np.broadcast_to(np.zeros((), dtype), wanted)

        allocate_results(shape, options, None, lambda *_: Allocator(count))
        self._memory = scratch.room(sum(planned) + ALIGNMENT, what)
        arena = Arena(np.frombuffer(self._memory, np.uint8))
        self.results = allocate_results(shape, options, None, lambda *_: Allocator(arena.empty))

    def put(self, results: Results, rows: slice, columns: slice) -> None:
        """Keep the results of a section."""
        for whole, part in ((self.results.rate, results.rate), (self.results.rateints, results.rateints)):
            for plane in fields(part):
                values = getattr(part, plane.name)
                if isinstance(values, np.ndarray):
                    getattr(whole, plane.name)[..., rows, columns] = values
        if self.results.groupdq is not None:
            self.results.groupdq[..., rows, columns] = results.groupdq
        if hasattr(mmap, "MADV_DONTNEED"):  # it stands in the file: this process need not have it
            self._memory.madvise(mmap.MADV_DONTNEED)
