"""What the option `weighting` means: exponents of the weights of a segment's groups.

Source: Fixsen et al. 2000 (PASP 112, 1350), table 1, for the optimal ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rampfit_numba.kernels.ols.weighting import BOUNDS, POWERS

if TYPE_CHECKING:
    from rampfit_numba.options import Weighting

#: Exponents at the bounds of the optimal weighting, between which those of "interpolated" rise.
_AT_BOUNDS = (0.4, 1.0, 3.0, 6.0, 10.0)


class Exponents(NamedTuple):
    """The exponent as a function of the signal-to-noise ratio of a segment.

    Attributes
    ----------
    bounds, exponents : ndarray of float64, shapes (n,), (n + 1,)
        Exponent k + 1 holds from bound k on.
    interpolated : bool
        In between, exponents rise linearly from the one above the lower bound to the next.
    """

    bounds: np.ndarray
    exponents: np.ndarray
    interpolated: bool


def find_exponents(weighting: Weighting) -> Exponents:
    """Return the exponents of a weighting, as :class:`rampfit_numba.FitOptions` has it.

    Examples
    --------
    >>> find_exponents("uniform").exponents
    array([0.])
    >>> find_exponents(((10.0, 2.0),))
    Exponents(bounds=array([10.]), exponents=array([0., 2.]), interpolated=False)
    """
    if weighting == "uniform":
        weighting = 0.0
    if weighting == "optimal":
        return Exponents(np.array(BOUNDS), np.array(POWERS), interpolated=False)
    if weighting == "interpolated":
        return Exponents(np.array(BOUNDS), np.array((0.0, *_AT_BOUNDS)), interpolated=True)
    pairs: tuple[tuple[float, float], ...] = weighting if isinstance(weighting, tuple) else ()
    lowest = 0.0 if isinstance(weighting, tuple) else float(weighting)
    bounds = np.array([bound for bound, _ in pairs], np.float64)
    return Exponents(bounds, np.array([lowest, *(exponent for _, exponent in pairs)], np.float64), interpolated=False)
