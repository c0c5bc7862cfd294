"""Medians: of LANES lists side by side by a sorting network, or of one list where that does not pay."""

from __future__ import annotations

from rampfit_numba.kernels._jit import LANES, jit

_BOTH, _SMALLER = 0, 1


@jit
def bring_to_middle(values, network):
    """Exchange rows of `values`, shape (length, LANES), until each column has its middle ranks in the middle rows."""
    for e in range(network.shape[0]):
        low = values[network[e, 0]]
        high = values[network[e, 1]]
        if network[e, 2] == _BOTH:
            for k in range(LANES):
                a = low[k]
                b = high[k]
                low[k] = a if a < b else b  # noqa: FURB136  (min() also asks for NaN)
                high[k] = b if a < b else a  # noqa: FURB136  (the same)
        elif network[e, 2] == _SMALLER:
            for k in range(LANES):
                a = low[k]
                b = high[k]
                low[k] = a if a < b else b  # noqa: FURB136  (min() also asks for NaN)
        else:
            for k in range(LANES):
                a = low[k]
                b = high[k]
                high[k] = b if a < b else a  # noqa: FURB136  (the same)


@jit
def middle_two(values, count):
    """Return the two values in the middle of the first `count`, twice the same of an odd number; `values` is reordered.

    Hoare's selection: NumPy's sort would cost a second of compiling.
    """
    rank = count // 2
    low, high = 0, count - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    upper = values[rank]
    if count % 2 == 1:
        return upper, upper
    lower = values[0]
    for i in range(1, rank):
        lower = max(lower, values[i])
    return lower, upper
