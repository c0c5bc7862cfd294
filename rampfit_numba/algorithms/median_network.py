"""Sorting networks cut down to the middle outputs, for the median of many short rows side by side."""

from __future__ import annotations

from array import array
from functools import lru_cache

import numpy as np

_BOTH, _SMALLER, _LARGER = range(3)
#: Up to this length, several networks are tried; longer ones take too long to make.
_SHORT = 512
_TRIALS = 16
#: Exchanges that are looked at as Python's numbers at once: of tens of thousands of values there are millions.
_CHUNK = 1 << 16


@lru_cache(maxsize=8)
def middle_network(length: int) -> np.ndarray:
    """Return the exchanges that bring the two middle ranks of `length` values to their places.

    The middle ranks are (length // 2 - 1, length // 2), for odd lengths the median and its lower neighbour. The network
    is the pairwise one (Parberry 1992, Parallel Processing Letters 2, 205) without the exchanges, and the halves of
    exchanges, on which no middle output depends: a sixth less for 19 values than is left of Batcher's. It sorts a power
    of two; of the values that are missing, some count as the smallest and the others as the largest, in the way that
    leaves least to do.

    Returns
    -------
    ndarray of int64, shape (exchanges, 3)
        Places i < j, and what is needed of them: 0 both, 1 the smaller (at i), 2 the larger (at j).
    """
    spare = (1 << (length - 1).bit_length()) - length
    step = max(spare // _TRIALS, 1) if length <= _SHORT else spare + 1
    pairs = np.concatenate([np.empty((0, 2), np.int32), *_pairwise(np.arange(length + spare, dtype=np.int32))])
    trials = (_middle_part(pairs, smallest, length) for smallest in range(0, spare + 1, step))
    network = np.array(min(trials, key=_operations), np.int64)
    network.setflags(write=False)
    return network


def _pairwise(places: np.ndarray) -> list[np.ndarray]:
    """Return the exchanges that sort the values at `places`, whose number is a power of two, as arrays of pairs."""
    if len(places) == 1:
        return []
    evens, odds = places[::2], places[1::2]
    pairs = [np.stack([evens, odds], axis=1), *_pairwise(evens), *_pairwise(odds)]
    step = len(odds) // 2
    while step > 0:
        pairs.append(np.stack([odds[:-step], evens[step:]], axis=1))
        step //= 2
    return pairs


def _middle_part(pairs: np.ndarray, smallest: int, length: int) -> np.ndarray:
    """Return what the middle ranks need of `pairs`, of whose values `smallest` below and some above are missing."""
    needed = {max(length // 2 - 1, 0), length // 2}
    kept = array("i")
    for stop in range(len(pairs), 0, -_CHUNK):
        for i, j in pairs[max(stop - _CHUNK, 0) : stop][::-1].tolist():
            low, high = i - smallest, j - smallest
            smaller, larger = low in needed, high in needed
            if low >= 0 and high < length and (smaller or larger):
                kept.extend((low, high, _BOTH if smaller and larger else _SMALLER if smaller else _LARGER))
                needed.add(low)
                needed.add(high)
    return np.frombuffer(kept, np.int32).reshape(-1, 3)[::-1] if kept else np.empty((0, 3), np.int32)


def _operations(network: np.ndarray) -> int:
    """Return the number of minima and maxima."""
    return len(network) + int(np.count_nonzero(network[:, 2] == _BOTH))
