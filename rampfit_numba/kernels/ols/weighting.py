"""Optimal weights of a segment's groups: the classes, and the form of the tables.

Source: Fixsen et al. 2000 (PASP 112, 1350), table 1; Regan 2007 (JWST-STScI-001212).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

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
    total, spread : ndarray of float64, shape (6, columns)
        sum w_k R^2 and sum w_k R^2 (k-c)^2, of length n in column n, and of the whole ramp in the last one.
    longest : int
    """

    factors: np.ndarray
    shares: np.ndarray
    total: np.ndarray
    spread: np.ndarray
    longest: int
