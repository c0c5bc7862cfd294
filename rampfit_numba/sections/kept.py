"""The results of all sections, for who looks at them when the products are written: they stand in a temporary file."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.allocation import allocate_results
from rampfit_numba.engine.memory_pool import ALIGNMENT, Allocator, Arena, padded
from rampfit_numba.mapped_arrays import let_go

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
        arena = Arena(np.frombuffer(scratch.room(sum(planned) + ALIGNMENT, what), np.uint8))
        self.results = allocate_results(shape, options, None, lambda *_: Allocator(arena.empty))

    def put(self, results: Results, rows: slice, columns: slice) -> None:
        """Keep the results of a section."""
        for whole, part in ((self.results.rate, results.rate), (self.results.rateints, results.rateints)):
            for plane in fields(part):
                values = getattr(part, plane.name)
                if isinstance(values, np.ndarray):
                    _put(getattr(whole, plane.name), values, rows, columns)
        if self.results.groupdq is not None and results.groupdq is not None:
            _put(self.results.groupdq, results.groupdq, rows, columns)


def _put(whole: np.ndarray, values: np.ndarray, rows: slice, columns: slice) -> None:
    """Write a section of a plane, or of a plane for each integration."""
    whole[..., rows, columns] = values
    let_go(whole)
