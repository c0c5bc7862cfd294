"""What the times of the frames say about the covariance of the differences of groups.

Source: Brandt 2024a, equations 4, 11, 28 and 29. Times are in s, rates in DN/s.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class ReadPattern(NamedTuple):
    """Times of an exposure of G groups, which has n = G - 1 differences; difference k joins the groups k and k + 1.

    With photon noise p = rate / gain and read noise r of one frame, the covariance of the differences' rates is
    p alpha_photon + r^2 alpha_read on its diagonal and p beta_photon + r^2 beta_read beside it.

    Attributes
    ----------
    reads : ndarray of int64, shape (G,)
        Frames that each group is the mean of.
    mean_t, tau : ndarray of float64, shape (G,)
        Mean time of the frames, and their mean weighted by the variance that arrives with each, in s.
    delta_t : ndarray of float64, shape (n,)
        Time between the means, in s.
    alpha_read, alpha_photon : ndarray of float64, shape (n,)
        In 1/s^2 and 1/s.
    beta_read, beta_photon : ndarray of float64, shape (n - 1,)
        Coupling of the differences k and k + 1, in 1/s^2 and 1/s.
    """

    reads: np.ndarray
    mean_t: np.ndarray
    tau: np.ndarray
    delta_t: np.ndarray
    alpha_read: np.ndarray
    beta_read: np.ndarray
    alpha_photon: np.ndarray
    beta_photon: np.ndarray


def read_pattern(
    read_times: Iterable[Sequence[float] | np.ndarray | float], *, split_first: bool = False
) -> ReadPattern:
    """Return the pattern of groups whose frames were read at `read_times`.

    Parameters
    ----------
    read_times : iterable of sequences of float
        The times of the frames of each group in s, ascending. Where a group's are not all before those of the next, the
        photon noise that the two share is found frame by frame, and that of groups further apart is left out.
    split_first : bool
        The first frame of group 0, which must have two or more, stands for itself: a zeroframe.

    Returns
    -------
    ReadPattern
        Its number of groups is one larger with `split_first`.
    """
    groups = [np.atleast_1d(np.asarray(times, np.float64)) for times in read_times]
    if split_first:
        groups[:1] = [groups[0][:1], groups[0][1:]]
    reads = np.array([times.size for times in groups], np.int64)
    mean_t = np.array([times.mean() for times in groups])
    tau = np.array([np.sum(np.arange(2 * times.size - 1, 0, -2) * times) / times.size**2 for times in groups])
    dt = np.diff(mean_t)
    alpha, beta = tau[:-1] + tau[1:] - 2 * mean_t[:-1], mean_t[1:-1] - tau[1:-1]
    if any(before[-1] > after[0] for before, after in pairwise(groups)):
        one, two = _common_time(groups, 1), _common_time(groups, 2)
        alpha, beta = tau[:-1] + tau[1:] - 2 * one, one[1:] - tau[1:-1] - two + one[:-1]
    return ReadPattern(
        reads=reads,
        mean_t=mean_t,
        tau=tau,
        delta_t=dt,
        alpha_read=(1 / reads[:-1] + 1 / reads[1:]) / dt**2,
        beta_read=-1 / (reads[1:-1] * dt[:-1] * dt[1:]),
        alpha_photon=alpha / dt**2,
        beta_photon=beta / (dt[:-1] * dt[1:]),
    )


def _common_time(groups: Sequence[np.ndarray], distance: int) -> np.ndarray:
    """Return the covariance of the photon noise of groups `distance` apart, over the rate of photons: a time in s.

    Two frames have the photons in common that came before the earlier of them. If all frames of the one group are
    earlier, that is their mean time.
    """
    pairs = zip(groups, groups[distance:], strict=False)
    return np.array([np.minimum.outer(one, other).mean() for one, other in pairs])


def even_read_times(
    ngroups: int, frame_time: float, nframes: int = 1, groupgap: int = 0, drop_frames1: int = 0
) -> list[np.ndarray]:
    """Return the times since the reset, in s, of the frames of `ngroups` evenly spaced groups.

    Of the frames dropped at the start only a pedestal's prior knows; without one a shift of all times has no effect.
    """
    first = np.arange(1, nframes + 1) + drop_frames1
    return [(first + g * (nframes + groupgap)) * float(frame_time) for g in range(ngroups)]
