"""Median of one list of values, where a sorting network for many lists side by side does not pay."""

from __future__ import annotations

from rampfit_numba.kernels._jit import jit


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
