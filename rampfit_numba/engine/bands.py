"""Rows whose inputs stand in a file, read a band at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.engine.slices import take_rows
from rampfit_numba.file_arrays import FileArray

if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes that are read at a time: a share of the last-level cache, in which the kernels then find them.
BAND_BYTES = 8 << 20


def run_bands(task: Callable[[Any, Any], Any], inputs: Any, outputs: Any) -> list[Any]:  # noqa: ANN401  (named tuples)
    """Run `task` on some rows: on all at once, or, where inputs stand in a file, on as many as are read at a time.

    Parameters and results are those of :func:`rampfit_numba.engine.executors.run_rows`; inputs may be
    :class:`FileArray`.
    """
    nrows = next(array.shape[-2] for array in inputs if array is not None)
    row = sum(array.nbytes // nrows for array in inputs if isinstance(array, FileArray))
    height = max(1, BAND_BYTES // row) if row else nrows
    rooms = [np.empty(a.nbytes // nrows * height, np.uint8) if isinstance(a, FileArray) else None for a in inputs]
    results = []
    for top in range(0, nrows, height):
        band = slice(top, min(top + height, nrows))
        arrays = [
            array.read(room) if isinstance(array, FileArray) else array
            for array, room in zip(take_rows(inputs, band), rooms, strict=True)
        ]
        results.append(task(type(inputs)(*arrays), take_rows(outputs, band)))
    return results
