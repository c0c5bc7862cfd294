"""Fits of segments that have no entry in the tables of weights: those of many groups.

Source: as :mod:`rampfit_numba.algorithms.ols.weights`, whose steps are taken here in the same order: the results are
those that a table would give. Tables of all lengths would grow with the square of the number of groups (8000: 3 GB).
"""

from __future__ import annotations

import numpy as np

from rampfit_numba.kernels._jit import jit
from rampfit_numba.kernels.ols.weighting import POWERS

_CLASSES = len(POWERS)
_POWERS = np.array(POWERS, np.float32).astype(np.float64)
_FLAT, _LINEAR, _CUBIC, _SIXTH = (POWERS.index(power) for power in (0.0, 1.0, 3.0, 6.0))
#: More than what a product of up to ten factors (5 roundings, 6e-16) and the library's power (1e-16) are off by.
_ROUNDING = 2.0**-49
#: NumPy adds up to so many values in eight sums, and more of them by halves.
_BLOCK, _SUMS = 128, 8
_ADD, _FOUND = -1, 96
#: Values that :func:`sum_pairwise` works in: enough for 2^16 groups.
WORKSPACE = 128


@jit
def sum_pairwise(values, number, workspace):
    """Return the sum of the first `number` values, added in the order in which NumPy's ``sum`` does it.

    Halves are summed apart, and so on down to blocks. No recursion: Numba cannot keep that on disk. `workspace`, of
    float64 and shape (WORKSPACE,) or longer, holds what is left to do (begin and number of values, or that two sums are
    to be added), and sums.
    """
    workspace[0], workspace[1] = 0.0, number
    waiting, found = 1, 0
    while waiting > 0:
        waiting -= 1
        start, count = np.int64(workspace[2 * waiting]), np.int64(workspace[2 * waiting + 1])
        if count == _ADD:
            found -= 1
            workspace[_FOUND + found - 1] += workspace[_FOUND + found]
        elif count > _BLOCK:
            half = count // 2
            half -= half % _SUMS
            workspace[2 * waiting + 1] = _ADD
            workspace[2 * waiting + 2], workspace[2 * waiting + 3] = start + half, count - half
            workspace[2 * waiting + 4], workspace[2 * waiting + 5] = start, half
            waiting += 3
        else:
            workspace[_FOUND + found] = _sum_block(values, start, count)
            found += 1
    return workspace[_FOUND]


@jit
def _sum_block(values, start, number):
    """Return the sum of up to `_BLOCK` values from `start` on."""
    total = 0.0
    whole = number - number % _SUMS
    if whole > 0:
        a, b, c, d, e, f, g, h = (
            values[start],
            values[start + 1],
            values[start + 2],
            values[start + 3],
            values[start + 4],
            values[start + 5],
            values[start + 6],
            values[start + 7],
        )
        for k in range(start + _SUMS, start + whole, _SUMS):
            a += values[k]
            b += values[k + 1]
            c += values[k + 2]
            d += values[k + 3]
            e += values[k + 4]
            f += values[k + 5]
            g += values[k + 6]
            h += values[k + 7]
        total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for k in range(start + whole, start + number):
        total += values[k]
    return total


@jit
def _raise_to_power(snr_class, number, values, raised):
    """Raise the first `number` of `values` to the power of a class, a whole number, as the library's function does it.

    Products take a tenth of its time. Both are within 7e-16 of the power, so they are the same in single precision, but
    for a product next to the middle of two neighbouring numbers: where there is one, all are done by the function.
    """
    certain = True
    for k in range(number):
        value = values[k]
        square = value * value
        cube = square * value
        sixth = cube * cube
        tenth = sixth * (square * square)
        product = cube if snr_class == _CUBIC else sixth if snr_class == _SIXTH else tenth
        raised[k] = np.float64(np.float32(product))
        certain &= np.float32(product * (1.0 - _ROUNDING)) == np.float32(product * (1.0 + _ROUNDING))
    for k in range(number):
        values[k] = raised[k] if certain else np.float64(np.float32(values[k] ** _POWERS[snr_class]))


@jit
def weigh_long(snr_class, length, weights, terms, workspace):
    """Return sum w_k R^2 and sum w_k R^2 (k-c)^2 of a segment of `length` groups, and find all of its w_k R^2.

    Parameters
    ----------
    snr_class, length : int
        Signal-to-noise class; number of groups.
    weights, terms : ndarray of float64, shape (length,) or longer
        Result: w_k R^2 = ``|(k-c)/c|^P``, c = (length - 1) / 2. Workspace to work in.
    workspace : ndarray of float64
        See :func:`sum_pairwise`.

    Returns
    -------
    total, spread : float

    Formula
    -------
    w_k R^2 = |(k - c) / c|^P,  c = (n - 1) / 2

    Source
    ------
    Fixsen et al. 2000 (PASP 112, 1350); section 5 of ``docs/algorithm.md``.

    Units
    -----
    None: w is relative, n is the number of groups, c their middle, P the exponent.
    """
    centre, half = 0.5 * (np.float64(length) - 1.0), (length + 1) // 2
    reciprocal = 1.0 / centre
    for k in range(half):
        scaled = np.float64(np.float32(abs((np.float64(k) - centre) * reciprocal)))
        weights[k] = np.float64(1.0) if snr_class == _FLAT else scaled
    if snr_class > _LINEAR:
        _raise_to_power(snr_class, half, weights, terms)
    elif _FLAT < snr_class < _LINEAR:
        for k in range(half):
            weights[k] = np.float64(np.float32(weights[k] ** _POWERS[snr_class]))
    for k in range(half):
        weights[length - 1 - k] = weights[k]
    total = sum_pairwise(weights, length, workspace)
    for k in range(length):
        distance = np.float64(k) - centre
        terms[k] = weights[k] * (distance * distance)
    return total, sum_pairwise(terms, length, workspace)


@jit
def fit_long(samples, lane, begin, length, snr_class, workspace):
    """Return the slope per group times n^3 - n of one segment of n groups, in DN, as :func:`fit_segments` finds it.

    Parameters
    ----------
    samples : ndarray of float32, shape (ngroups, LANES)
        In DN.
    lane, begin, length, snr_class : int
        Ramp, first group, number of groups n, signal-to-noise class.
    workspace : ndarray of float64, shape (3, max(n, WORKSPACE)) or larger
        Overwritten.

    Formula
    -------
    slope = sum over pairs j < n / 2: a_{n-1-j} (y_{n-1-j} - y_j),  a_k = (n^3 - n) w_k (k - c) / sum w (k - c)^2

    Source
    ------
    As :func:`fit_segments`; section 5 of ``docs/algorithm.md``.

    Units
    -----
    Samples y and slope in DN; the weights w, about the middle c of n groups, have none.
    """
    weights, last = workspace[0], begin + length - 1
    n = np.float64(length)
    cubic, centre = n * n * n - n, 0.5 * (n - 1.0)
    _, spread = weigh_long(snr_class, length, weights, workspace[1], workspace[2])
    slope = np.float64(-0.0)  # to which a -0.0 is added without becoming 0.0
    for pair in range(length // 2):
        factor = weights[pair] * (centre - np.float64(pair)) / spread * cubic
        slope += factor * (np.float64(samples[last - pair, lane]) - np.float64(samples[begin + pair, lane]))
    return slope


@jit
def describe_long(samples, lane, begin, length, snr_class, workspace):
    """Return the weighted mean in DN of one segment, and the two sums of :func:`weigh_long`; parameters as there.

    Formula
    -------
    mean = sum w_k y_k / sum w_k

    Source
    ------
    Section 5 of ``docs/algorithm.md``.

    Units
    -----
    Samples y and their mean in DN; the weights w have none.
    """
    if workspace is None:  # nor is any segment long
        return 0.0, 1.0, 0.0
    weights = workspace[0]
    total, spread = weigh_long(snr_class, length, weights, workspace[1], workspace[2])
    mean = 0.0
    for k in range(length):
        mean += weights[k] / total * np.float64(samples[begin + k, lane])
    return mean, total, spread


@jit
def fit_long_segments(samples, weights, segments, number, workspace):
    """Fit those of the segments of a block that have no entry in the tables: find `slope` of `segments`.

    Parameters are those of :func:`fit_segments`, which has found `row`, and `long_workspace` of `segments`.
    """
    if workspace is None:
        return
    entries = weights.factors.size // _CLASSES
    for s in range(number):
        length = np.int64(segments.length[s])
        if length > weights.longest:
            begin = np.int64(segments.last[s]) + 1 - length
            snr_class = np.int64(segments.row[s]) // entries
            segments.slope[s] = fit_long(samples, np.int64(segments.lane[s]), begin, length, snr_class, workspace)
