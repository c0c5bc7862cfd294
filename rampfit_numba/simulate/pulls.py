"""How far fitted rates are from the truth, in units of their errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

# A Gaussian's standard deviation divided by half of the distance between its 16th and 84th percentile is 1:
_PERCENTILES = (15.865525393145708, 84.13447460685429)
_NEAR, _FAR = 3.0, 5.0


@dataclass(frozen=True)
class Pulls:
    """Distribution of (rate - truth) / err; for a Gaussian mean 0, width 1, 0.27 % beyond 3, 6e-7 beyond 5.

    Attributes
    ----------
    count : int
        Number of pixels; the rest is NaN where it is 0.
    mean : float
        Mean of the pulls within 5 widths of their median.
    width : float
        Half of the distance between their 15.87th and 84.13th percentile.
    beyond3, beyond5 : float
        Fractions with an absolute value above 3 and 5.
    """

    count: int
    mean: float
    width: float
    beyond3: float
    beyond5: float


def measure_pulls(rate: Any, err: Any, true_rate: Any, use: Any = None) -> Pulls:  # noqa: ANN401  (array-like)
    """Compare fitted rates with the truth in units of their errors.

    Parameters
    ----------
    rate, err : array_like, shape (..., nrows, ncols)
        Fitted rate and its error in DN/s; pixels with a NaN rate or without a positive error do not count.
    true_rate : array_like, shape (nrows, ncols)
        True rate in DN/s.
    use : array_like of bool, shape of `rate`, optional
        Which pixels count, for instance ``dq == 0``. None: all.

    Returns
    -------
    Pulls
        Count, robust mean and width, and fractions beyond 3 and 5.

    Raises
    ------
    ValueError
        The shapes do not agree.

    Examples
    --------
    >>> measure_pulls([[1.0, 3.0]], [[1.0, 1.0]], [[1.0, 2.0]]).mean
    0.5
    """
    rate, err, true_rate = (np.asarray(value, np.float64) for value in (rate, err, true_rate))
    use = np.ones(rate.shape, np.bool_) if use is None else np.asarray(use, np.bool_)
    if err.shape != rate.shape or use.shape != rate.shape or true_rate.shape != rate.shape[-2:]:
        raise ValueError(
            f"expected rate, err and use of one shape and true_rate of its last two dimensions; got {rate.shape}, "
            f"{err.shape}, {use.shape} and {true_rate.shape}"
        )
    use = use & np.isfinite(rate) & (err > 0)
    pulls = (rate - true_rate)[use] / err[use]
    if not pulls.size:
        return Pulls(0, *[float("nan")] * 4)
    low, high = np.percentile(pulls, _PERCENTILES)
    width = 0.5 * (high - low)
    core = pulls[np.abs(pulls - np.median(pulls)) <= _FAR * width]
    beyond = (float(np.mean(np.abs(pulls) > limit)) for limit in (_NEAR, _FAR))
    return Pulls(pulls.size, float(core.mean()), float(width), *beyond)
