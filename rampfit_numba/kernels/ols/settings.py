"""What the kernels need that is the same for every pixel of an exposure: times, and rules as scalars."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

#: The reference's bound of variances, in (DN/s)^2.
LARGEST_VARIANCE = 1e6


class Settings(NamedTuple):
    """Timing and rules of an exposure.

    Attributes
    ----------
    group_time, frame_time, one_group_time : float
        Time between groups, between frames, and from the reset to the mean time of group 0, in s.
    readnoise_scale : float
        sqrt(2 nframes): divides CDS noise (of the difference of two frames) into noise of a group.
    pedestal_groups : float
        Factor of the slope in the pedestal.
    suppress_one_group : bool
        Ramps with exactly one good group count as having none.
    clear_first_jump : bool
        The first group follows one that was dropped: its JUMP_DET is void.
    largest_variance : float
        Variances from here on count as unknown and are set to 0, in (DN/s)^2.
    """

    group_time: float
    frame_time: float
    one_group_time: float
    readnoise_scale: float
    pedestal_groups: float
    suppress_one_group: bool
    clear_first_jump: bool
    largest_variance: float = LARGEST_VARIANCE


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
        See :class:`Settings`.
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
