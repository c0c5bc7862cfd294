"""Optimal weights of a segment's groups: the classes, and the tables.

Source: Fixsen et al. 2000 (PASP 112, 1350), table 1; Regan 2007 (JWST-STScI-001212).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rampfit_numba.kernels._jit import jit_inline

#: Exponent of each signal-to-noise class, and the (inclusive) lower bounds of classes 1 to 5.
POWERS = (0.0, 0.4, 1.0, 3.0, 6.0, 10.0)
BOUNDS = (5.0, 10.0, 20.0, 50.0, 100.0)


class Weights(NamedTuple):
    """Tables for segments of up to `longest` groups, and of all ngroups groups of the exposure.

    Other segments are long and rare: what the tables say of them is computed for each, see :mod:`long_segments`. So the
    tables stay small, however many groups there are.

    Attributes
    ----------
    factors : ndarray of float64, shape (6 * entries,)
        What a segment's samples are multiplied with: the coefficient of each sample in the slope per group (the a_k
        above) times n^3 - n, the segment's relative weight. Class c, length n and group k stand at c * entries + n
        (n-1) / 2 + k, where n (n-1) / 2 is the sum of the shorter lengths; the whole ramp stands at the end. Single
        groups have factor 0.
    shares : ndarray of float64, shape (6 * entries,)
        The coefficient of each sample in the weighted mean, w_k / sum w_k.
    per_total, spread, slope_noise : ndarray of float64, shape (6, columns)
        1 / sum w_k R^2, sum w_k R^2 (k-c)^2 and the root of its inverse, of length n in column n, and of the whole ramp
        in the last one.
    per_step, per_cubic : ndarray of float64, shape (columns,)
        1 / (n - 1) and 1 / (n^3 - n). What has no meaning for n = 0 or 1 is NaN.
    longest : int
    """

    factors: np.ndarray
    shares: np.ndarray
    per_total: np.ndarray
    spread: np.ndarray
    slope_noise: np.ndarray
    per_step: np.ndarray
    per_cubic: np.ndarray
    longest: int


class SegmentShape(NamedTuple):
    """What the fit of a segment takes from its signal-to-noise class and its number of groups n alone.

    Divisions and roots of these are what storing a segment would take half of its time for.

    Attributes
    ----------
    per_step, per_cubic, per_total, spread, slope_noise : float
        See :class:`Weights`.
    """

    per_step: float
    per_cubic: float
    per_total: float
    spread: float
    slope_noise: float


@jit_inline
def shape_in_tables(weights, snr_class, column):
    """Return the :class:`SegmentShape` of the segments of a column of the tables.

    Formula
    -------
    per_total = 1 / sum w_k R^2,  spread = sum w_k R^2 (k - c)^2

    Source
    ------
    Section 5 of ``docs/algorithm.md``; :class:`Weights`.

    Units
    -----
    R is the noise of a group in e-, w_k a weight in 1 / e-^2; k counts groups from the first, c is their middle.
    """
    return SegmentShape(
        weights.per_step[column],
        weights.per_cubic[column],
        weights.per_total[snr_class, column],
        weights.spread[snr_class, column],
        weights.slope_noise[snr_class, column],
    )


@jit_inline
def shape_of_long(length, total, spread):
    """Return the :class:`SegmentShape` of a segment without an entry in the tables, from the sums that they would have.

    Formula
    -------
    per_step = 1 / (n - 1),  per_cubic = 1 / (n^3 - n),  per_total = 1 / total,  slope_noise = sqrt(1 / spread)

    Source
    ------
    Section 5 of ``docs/algorithm.md``; :class:`Weights`.

    Units
    -----
    None has one; n is `length`.
    """
    n = np.float64(length)
    return SegmentShape(1.0 / (n - 1.0), 1.0 / (n * n * n - n), 1.0 / total, spread, np.sqrt(1.0 / spread))
