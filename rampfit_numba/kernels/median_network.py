"""Sorting networks cut down to the middle outputs, for the median of many short rows side by side."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=8)
def middle_network(length: int) -> np.ndarray:
    """Return the exchanges that bring the two middle ranks of `length` values to their places.

    The middle ranks are (length // 2 - 1, length // 2), for odd lengths the median and its lower neighbour. The network
    is Batcher's merge exchange (Knuth, The Art of Computer Programming 3, algorithm 5.2.2 M) without the exchanges, and
    the halves of exchanges, on which no middle output depends.

    Returns
    -------
    ndarray of int64, shape (exchanges, 3)
        Places i < j, and what is needed of them: 0 both, 1 the smaller (at i), 2 the larger (at j).
    """
    pairs = _merge_exchange(length)
    needed = {max(length // 2 - 1, 0), length // 2}
    kept = []
    for low, high in reversed(pairs):
        smaller, larger = low in needed, high in needed
        if smaller or larger:
            kept.append((low, high, 0 if smaller and larger else 1 if smaller else 2))
            needed |= {low, high}
    network = np.array(kept[::-1], np.int64).reshape(-1, 3)
    network.setflags(write=False)
    return network


def _merge_exchange(length: int) -> list[tuple[int, int]]:
    pairs = []
    top = 1
    while top < length:
        top *= 2
    top //= 2
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while d > 0:
            pairs += [(i, i + d) for i in range(length - d) if i & p == r]
            d, q, r = q - p, q // 2, p
        p //= 2
    return pairs
