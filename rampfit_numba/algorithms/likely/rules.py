"""What holds for all ramps of an exposure, and where the results of some rows go."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    from rampfit_numba.algorithms.corrections import ReadRules
    from rampfit_numba.algorithms.read_pattern import ReadPattern


class LikelyRules(NamedTuple):
    """What holds for every pixel of an exposure.

    Attributes
    ----------
    pattern : ReadPattern
        With one group more than the exposure where the first one is split.
    threshold_one, threshold_two : float
        See :func:`thresholds.thresholds`.
    joint : bool
        One covariance and one rate for all integrations of a pixel, instead of the pipeline's rules.
    split_zeroframe : bool
        Group 0 is split into the zeroframe and the mean of its other frames; the inputs then have a zeroframe.
    nframes : int
        Frames of group 0 before it is split.
    first_used, last_used : int
        Groups outside this inclusive range count as DO_NOT_USE; none is ever dropped.
    pedestal_mean, pedestal_sigma : float
        What is known of the level that the ramps start from, in DN, with `joint`; NaN for nothing.
    reads : ReadRules or None
        What is to be done with raw reads.
    """

    pattern: ReadPattern
    threshold_one: float
    threshold_two: float
    joint: bool
    split_zeroframe: bool
    nframes: int
    first_used: int
    last_used: int
    pedestal_mean: float = float("nan")
    pedestal_sigma: float = float("nan")
    reads: ReadRules | None = None


class LikelyOutputs(NamedTuple):
    """Outputs of some rows, which are the last axis but one of every array.

    Attributes
    ----------
    slope, err, var_poisson, var_rnoise, chisq : ndarray of float32, shape (nrows, ncols)
        In DN/s and (DN/s)^2.
    dq : ndarray of uint32, shape (nrows, ncols)
    dof : ndarray of int32, shape (nrows, ncols)
        Degrees of freedom of `chisq`.
    slope_ints, err_ints, var_poisson_ints, var_rnoise_ints, chisq_ints, dq_ints, dof_ints
        The same of each integration, shape (nints, nrows, ncols).
    groupdq : ndarray of uint8, shape (nints, ngroups, nrows, ncols)
        The flags of the input, JUMP_DET where a jump was found, and SATURATED where raw reads were.
    """

    slope: np.ndarray
    err: np.ndarray
    var_poisson: np.ndarray
    var_rnoise: np.ndarray
    dq: np.ndarray
    slope_ints: np.ndarray
    err_ints: np.ndarray
    var_poisson_ints: np.ndarray
    var_rnoise_ints: np.ndarray
    dq_ints: np.ndarray
    chisq: np.ndarray
    chisq_ints: np.ndarray
    dof: np.ndarray
    dof_ints: np.ndarray
    groupdq: np.ndarray
