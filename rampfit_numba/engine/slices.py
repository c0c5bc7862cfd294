"""Rows, cut into slices for the workers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

Arrays = TypeVar("Arrays", bound=tuple[Any, ...] | None)


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
