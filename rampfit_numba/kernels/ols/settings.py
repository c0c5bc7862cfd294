"""Scalars that the kernels need, the same for every pixel of an exposure."""

from __future__ import annotations

from typing import NamedTuple

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
