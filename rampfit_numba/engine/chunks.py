"""Rows whose inputs stand in a file, read a chunk at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.engine.memory import usable_memory
from rampfit_numba.engine.slices import take_rows
from rampfit_numba.file_arrays import FileArray

if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes that are read at a time: a share of the last-level cache, in which the kernels then find them. Each chunk costs
#: 0.4 ms in Python (2x20, one worker and two threads: 8 MiB take a tenth more time than 16, 24 as much).
CHUNK_BYTES = 16 << 20
#: Bytes that are read in one piece, if the budget allows: what stands together in the file of a plane and a chunk. Many
#: integrations of few rows would be read in hundreds of thousands of pieces (2000 x 6 x 64 x 512: in twice the time).
PIECE_BYTES = 8 << 10


def chunk_height(inputs: Any, budget: int) -> int:  # noqa: ANN401  (a named tuple)
    """Return how many rows are read at a time of those inputs that stand in a file; all rows where none does.

    Parameters
    ----------
    inputs : named tuple of arrays
    budget : int
        Bytes that a chunk may take; one row in any case.
    """
    nrows: int = next(array.shape[-2] for array in inputs if array is not None)
    read = [array for array in inputs if isinstance(array, FileArray)]
    row = sum(array.nbytes for array in read) // nrows
    if not row:
        return nrows
    piece = max(array.shape[-1] * array.dtype.itemsize for array in read)
    wanted = max(CHUNK_BYTES // row, -(-PIECE_BYTES // piece))
    return max(1, min(wanted, budget // row, nrows))


def expect_files(inputs: Any) -> None:  # noqa: ANN401  (a named tuple)
    """Tell the system which files will be read whole, piece by piece, if its memory has room for them."""
    files = [array for array in inputs if isinstance(array, FileArray) and array.nbytes > CHUNK_BYTES]
    if files and sum(array.nbytes for array in files) < usable_memory() // 2:
        for array in files:
            array.expect()


def run_chunks(
    task: Callable[[Any, Any], Any],
    inputs: Any,  # noqa: ANN401  (named tuples)
    outputs: Any,  # noqa: ANN401
    budget: int = CHUNK_BYTES,
) -> list[Any]:
    """Run `task` on some rows: on all at once, or, where inputs stand in a file, on as many as are read at a time.

    Parameters and results are those of :func:`rampfit_numba.engine.executors.run_rows`; inputs may be
    :class:`FileArray`. `budget` is that of :func:`chunk_height`.
    """
    nrows = next(array.shape[-2] for array in inputs if array is not None)
    height = chunk_height(inputs, budget)
    buffers = [np.empty(a.nbytes // nrows * height, np.uint8) if isinstance(a, FileArray) else None for a in inputs]
    results = []
    for top in range(0, nrows, height):
        chunk = slice(top, min(top + height, nrows))
        arrays = [
            array.read(buffer) if isinstance(array, FileArray) else array
            for array, buffer in zip(take_rows(inputs, chunk), buffers, strict=True)
        ]
        results.append(task(type(inputs)(*arrays), take_rows(outputs, chunk)))
    return results
