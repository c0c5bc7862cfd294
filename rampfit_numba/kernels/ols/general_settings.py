"""Times and rules that straight-line fits with any weights need, the same for every pixel of an exposure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np


class GeneralTimes(NamedTuple):
    """Times of an exposure's groups, in s since the reset.

    Attributes
    ----------
    mean, tau : ndarray of float64, shape (ngroups,)
        Mean time of the frames, and their mean weighted by the variance that arrives with each.
    reads : ndarray of float64, shape (ngroups,)
        Frames that a group is the mean of.
    lone : ndarray of float64, shape (ngroups,)
        What a ramp's only good group is divided by.
    first, zeroframe : float
        The same for group 0 alone, and for a zeroframe.
    """

    mean: np.ndarray
    tau: np.ndarray
    reads: np.ndarray
    lone: np.ndarray
    first: float
    zeroframe: float


class GeneralSettings(NamedTuple):
    """Rules of an exposure.

    Attributes
    ----------
    first_kept, stop_kept : int
        Groups outside were dropped.
    group_time : float
        Time between groups, in s; NaN where it is not the same everywhere.
    suppress_one_group, clear_first_jump : bool
        See :class:`rampfit_numba.kernels.ols.settings.Settings`.
    interpolated : bool
        The exponents are those at the bounds, and rise linearly in between.
    reference_errors : bool
        Variances are the pipeline's, whatever the weights are.
    """

    first_kept: int
    stop_kept: int
    group_time: float
    suppress_one_group: bool
    clear_first_jump: bool
    interpolated: bool
    reference_errors: bool
