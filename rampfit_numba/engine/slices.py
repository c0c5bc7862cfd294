"""Rows, cut into slices for the workers."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

Arrays = TypeVar("Arrays", bound=tuple[Any, ...] | None)

#: Bytes of data and flags that are fitted in the time that a slice costs in Python, about half a millisecond
#: (`bench_workers.py`, the table of small exposures).
_BYTES = 2 << 20


def paying_slices(nbytes: int) -> int:
    """Return into how many slices an exposure of so many bytes is cut for threads at most.

    Threads fit side by side, but begin one after the other, under Python's lock: the fit of `nbytes` by n of them takes
    ``nbytes / n + n * _BYTES``, in a unit of time, and that is least at the square root of their ratio.

    Examples
    --------
    >>> paying_slices(200 << 20)
    10
    """
    return max(1, math.isqrt(nbytes // _BYTES))


def row_slices(nrows: int, count: int) -> list[slice]:
    """Cut `nrows` rows into `count` consecutive slices whose heights differ by one at most, the larger first.

    Examples
    --------
    >>> row_slices(7, 3)
    [slice(0, 3, None), slice(3, 5, None), slice(5, 7, None)]
    """
    count = max(1, min(count, nrows))
    height, larger = divmod(nrows, count)
    edges = [0]
    for number in range(count):
        edges.append(edges[-1] + height + (number < larger))
    return [slice(start, stop) for start, stop in pairwise(edges)]


def take_rows(arrays: Arrays, rows: slice) -> Arrays:
    """Return the same named tuple with views of `rows` (the last axis but one) of every array; None stays."""
    if arrays is None:
        return arrays
    views: Any = (_rows(array, rows) for array in arrays)
    return type(arrays)(*views)


def _rows(array: Any, rows: slice) -> Any:  # noqa: ANN401  (an array, an array in a file, or None)
    if array is None:
        return None
    return array[..., rows, :] if isinstance(array, np.ndarray) else array.rows(rows)
