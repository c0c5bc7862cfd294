"""Differences of neighbouring groups, which of them can be used, and their median.

Source: Brandt 2024a, equation 5. A vector's differences stand in one-dimensional arrays, WIDTH values for each.
"""

from __future__ import annotations

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels._jit import jit_inline
from rampfit_numba.kernels.likely.columns import DELTA_T
from rampfit_numba.kernels.vectors import WIDTH, load, load_difference, load_unset, select, spread, store

_ANY = np.uint8(0xFF)
_ANY_BUT_ADVICE = np.uint8(0xFF ^ dq.PERSISTENCE)
_ANY_BUT_ADVICE_OR_JUMP = np.uint8(0xFF ^ dq.PERSISTENCE ^ dq.JUMP_DET)
_BOTH, _SMALLER = 0, 1


@jit_inline
def load_differences(samples, flags, first, table, joint, difference, used):
    """Find the differences of a vector of ramps.

    Parameters
    ----------
    samples : ndarray of float32, shape (ngroups, npixels)
        Ramps of one integration in DN.
    flags : ndarray of uint8, shape (ngroups, npixels)
    first : int
        First pixel of the vector.
    table : ndarray
        See :func:`difference_table`.
    joint : bool
        A flag JUMP_DET takes away the difference that ends at its group, and PERSISTENCE none; else, as all other
        flags, they also take the next one.
    difference, used : ndarray of float64, shape (n * WIDTH,)
        Results: rates in DN/s, infinite where the samples are not finite; 1 for differences without flags, else 0.

    Formula
    -------
    d_k = (s_{k+1} - s_k) / dt_k

    Source
    ------
    Brandt 2024a (PASP 136, 045004), equation 5; sections 3 and 13 of ``docs/likelihood.md``.

    Units
    -----
    s in DN, dt_k (the difference of two groups' mean times) in s, d in DN/s.
    """
    before_bits = _ANY_BUT_ADVICE_OR_JUMP if joint else _ANY
    after_bits = _ANY_BUT_ADVICE if joint else _ANY
    for k in range(samples.shape[0] - 1):
        value = load_difference(samples[k + 1], samples[k], first) / table[k, DELTA_T]
        finite = value - value == 0.0
        usable = finite & load_unset(flags[k], first, before_bits) & load_unset(flags[k + 1], first, after_bits)
        store(difference, k * WIDTH, select(finite, value, np.inf))
        store(used, k * WIDTH, select(usable, 1.0, 0.0))


@jit_inline
def list_finite(difference, count, values):
    """Copy the finite differences for :func:`middle`, and put 0 in the place of the others, which nobody uses.

    Parameters
    ----------
    difference : ndarray of float64, shape (count * WIDTH,)
        Modified.
    count : int
    values : ndarray of float64, shape (count * WIDTH,)
        Result.

    Returns
    -------
    vector
        The filler: see :func:`list_used`.
    """
    filler = spread(np.inf)
    for k in range(count):
        value = load(difference, k * WIDTH)
        finite = value < np.inf
        store(values, k * WIDTH, select(finite, value, filler))
        store(difference, k * WIDTH, select(finite, value, 0.0))
        filler = select(finite, filler, 0.0 - filler)
    return filler


@jit_inline
def list_used(difference, used, count, values, place, filler):
    """Copy the used differences for :func:`middle`, and put 0 in the place of infinite ones.

    Parameters
    ----------
    difference, used : ndarray of float64, shape (count * WIDTH,)
        The first is modified.
    count : int
    values : ndarray of float64
        Result, from the row `place` on.
    place : int
    filler : vector
        What stands in for values that do not count: +inf and -inf in turn, so that the middle stays the middle; +inf at
        first.

    Returns
    -------
    vector
        The next filler, which is -inf after an odd number of them.
    """
    for k in range(count):
        value = load(difference, k * WIDTH)
        counts = load(used, k * WIDTH) > 0.0
        store(values, (place + k) * WIDTH, select(counts, value, filler))
        store(difference, k * WIDTH, select(value < np.inf, value, 0.0))
        filler = select(counts, filler, 0.0 - filler)
    return filler


@jit_inline
def middle(values, count, network, filler):
    """Return the median of `count` rows of `values`, NaN where none counts.

    Parameters
    ----------
    values : ndarray of float64
        Its rows are exchanged.
    count : int
    network : ndarray of int64, shape (exchanges, 3)
        That of :func:`middle_network` for `count` values.
    filler : vector
        As the functions above return it.

    Formula
    -------
    guess = median of the d_k that count

    Source
    ------
    The guess of the rate: sections 5 and 13 of ``docs/likelihood.md``.

    Units
    -----
    The differences d, and the median, in DN/s.
    """
    for e in range(network.shape[0]):
        i, j = network[e, 0] * WIDTH, network[e, 1] * WIDTH
        a, b = load(values, i), load(values, j)
        smaller = a < b
        if network[e, 2] == _BOTH:
            store(values, i, select(smaller, a, b))
            store(values, j, select(smaller, b, a))
        elif network[e, 2] == _SMALLER:
            store(values, i, select(smaller, a, b))
        else:
            store(values, j, select(smaller, b, a))
    lower, upper = load(values, max(count // 2 - 1, 0) * WIDTH), load(values, count // 2 * WIDTH)
    mean = (lower + upper) * 0.5
    # With a filler to spare, it stands above.
    if count % 2 == 1:
        return select(filler > 0.0, upper, mean)
    return select(filler > 0.0, mean, lower)
