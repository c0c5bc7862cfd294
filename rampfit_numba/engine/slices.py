"""Rows, cut into slices for the workers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, TypeVar

Arrays = TypeVar("Arrays", bound=tuple[Any, ...])


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
    views: Any = (None if array is None else array[..., rows, :] for array in arrays)
    return type(arrays)(*views)
