"""How much the chi-square must fall for a difference to be left out.

Source: Brandt 2024b, section 3, with the pipeline's numbers.
"""

from __future__ import annotations

import math

#: Those of 4.5 sigma, as the pipeline rounds them.
DEFAULT_THRESHOLDS = 20.25, 23.8
_BEYOND = 10.0


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
