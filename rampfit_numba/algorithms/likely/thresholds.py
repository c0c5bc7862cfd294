"""How much the chi-square must fall for a difference to be left out.

Source: Brandt 2024b, section 3, with the pipeline's numbers.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

#: Those of 4.5 sigma, as the pipeline rounds them.
DEFAULT_THRESHOLDS = 20.25, 23.8
_BEYOND = 10.0
#: A chi-square is absurd if it is improbable even with variances this many times as large: see docs/likelihood.md.
_DOUBT = 2.25
_IMPROBABLE = 1e-6


def thresholds(rejection_threshold: float | None) -> tuple[float, float]:
    """Return the least gains in chi-square by which one difference, and two neighbouring ones, are left out.

    One difference has one degree of freedom: z^2. Two have the gain that chance exceeds equally often, the quantile of
    the chi-square distribution of two degrees of freedom, which is -2 ln p.

    Parameters
    ----------
    rejection_threshold : float or None
        z, in sigma; None is the pipeline's default, 4.5 with rounded thresholds.
    """
    if rejection_threshold is None:
        return DEFAULT_THRESHOLDS
    one = rejection_threshold * rejection_threshold  # infinite where it is too large: nothing is flagged then
    chance = math.erfc(rejection_threshold / math.sqrt(2))
    return one, -2 * math.log(chance) if chance > 0 else one + _BEYOND


def most_chisq(count: int, threshold_two: float) -> np.ndarray:
    """Return the largest chi-squares that can be believed, an array of float64, shape (count + 1,).

    Element n is that of n differences, which have n - 1 degrees of freedom; one alone has none, and no limit. Larger
    ones have a chance of one in a million even if the noise is one and a half times what is said of it. What the search
    is told to leave alone is believed, too.

    Parameters
    ----------
    count : int
        Number of differences, at least 1.
    threshold_two : float
        Least gain in chi-square by which two differences are left out.

    Notes
    -----
    Quantiles of the chi-square distribution by the approximation of Wilson and Hilferty (1931, PNAS 17, 684), which
    is 15 % too large with one degree of freedom and 1 % with ten.
    """
    degrees = np.arange(1, max(count, 2))
    part = 2 / (9 * degrees)
    quantile = degrees * (1 - part + NormalDist().inv_cdf(1 - _IMPROBABLE) * np.sqrt(part)) ** 3
    return np.concatenate([[np.inf, np.inf], np.maximum(_DOUBT * quantile, threshold_two)])[: max(count, 2) + 1]
