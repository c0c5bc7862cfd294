"""The read pattern as the kernels use it: one row for each difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rampfit_numba.kernels.likely.columns import (
    ALPHA_PHOTON,
    ALPHA_READ,
    BETA_PHOTON,
    BETA_READ,
    COLUMNS,
    DELTA_T,
    PAIR,
    SINGLE_GROUP_COLUMNS,
    SINGLE_GROUP_LEVEL,
    SINGLE_GROUP_PEDESTAL,
    SINGLE_GROUP_PHOTON,
    SINGLE_GROUP_READ,
    SINGLE_GROUP_TIME,
)

if TYPE_CHECKING:
    from rampfit_numba.algorithms.read_pattern import ReadPattern


def difference_table(pattern: ReadPattern) -> np.ndarray:
    """Return an array of float64, shape (n + 1, COLUMNS), for n differences; the last row ends the recursions."""
    n = pattern.delta_t.size
    table = np.zeros((n + 1, COLUMNS))
    table[:n, ALPHA_PHOTON] = pattern.alpha_photon
    table[:n, ALPHA_READ] = pattern.alpha_read
    table[1:n, BETA_PHOTON] = pattern.beta_photon
    table[1:n, BETA_READ] = pattern.beta_read
    table[:n, DELTA_T] = pattern.delta_t
    table[: n - 1, PAIR] = pattern.reads[1:-1] > 1
    return table


def single_group_table(pattern: ReadPattern, mean: float, sigma: float, *, zeroframe: bool) -> np.ndarray:
    """Return what a ramp's only good group says about its rate, an array of float64, shape (G, SINGLE_GROUP_COLUMNS).

    The group is a difference from the reset whose level is known to be `mean` +- `sigma` (Brandt 2024a, section 6).
    With neither, a lone zeroframe counts from 0, as in the pipeline's OLS, and other groups say nothing.

    Parameters
    ----------
    pattern : ReadPattern
        Its times count from the reset.
    mean, sigma : float
        In DN; NaN for nothing.
    zeroframe : bool
        Group 0 is a zeroframe.
    """
    table = np.full((pattern.reads.size, SINGLE_GROUP_COLUMNS), np.nan)
    known = np.isfinite(mean) and np.isfinite(sigma)
    if known or zeroframe:
        time = pattern.mean_t
        spread = sigma if known else 0.0
        with np.errstate(divide="ignore", invalid="ignore"):  # a group at time 0 cannot be used, which its time shows
            table[:, SINGLE_GROUP_PHOTON] = pattern.tau / time**2
            table[:, SINGLE_GROUP_READ] = 1 / (pattern.reads * time**2)
            table[:, SINGLE_GROUP_PEDESTAL] = spread * spread / time**2
        table[:, SINGLE_GROUP_TIME] = time
        table[:, SINGLE_GROUP_LEVEL] = mean if known else 0.0
        if not known:
            table[1:] = np.nan
    return table
