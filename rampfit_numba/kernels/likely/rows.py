"""The engine's only entry to the likelihood algorithm: fit the ramps of some rows, tile by tile."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    from rampfit_numba.kernels.likely.read_pattern import ReadPattern
    from rampfit_numba.kernels.loading import RowInputs


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
    first_kept, stop_kept, first_used, last_used, dropped_good
        As in :class:`rampfit_numba.kernels.rows.Rules`; no group is ever dropped: 0, ngroups, first and last group
        that may be used, False.
    pedestal_mean, pedestal_sigma : float
        What is known of the level that the ramps start from, in DN, with `joint`; NaN for nothing.
    """

    pattern: ReadPattern
    threshold_one: float
    threshold_two: float
    joint: bool
    split_zeroframe: bool
    nframes: int
    first_kept: int
    stop_kept: int
    first_used: int
    last_used: int
    dropped_good: bool = False
    pedestal_mean: float = float("nan")
    pedestal_sigma: float = float("nan")


class LikelyOutputs(NamedTuple):
    """Outputs of some rows, which are the last axis but one of every array.

    Attributes
    ----------
    slope, err, var_poisson, var_rnoise, chisq : ndarray of float32, shape (nrows, ncols)
        In DN/s and (DN/s)^2.
    dq : ndarray of uint32, shape (nrows, ncols)
    dof : ndarray of int32, shape (nrows, ncols)
        Differences that were used; one more than the degrees of freedom of `chisq` in each fit.
    slope_ints, err_ints, var_poisson_ints, var_rnoise_ints, chisq_ints, dq_ints, dof_ints
        The same of each integration, shape (nints, nrows, ncols).
    groupdq : ndarray of uint8, shape (nints, ngroups, nrows, ncols)
        The flags of the input, and JUMP_DET where a jump was found.
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


def fit_likely_rows(inputs: RowInputs, outputs: LikelyOutputs, rules: LikelyRules) -> None:
    """Fit all ramps of `inputs`, which have four or more groups, into `outputs`.

    Parameters
    ----------
    inputs : RowInputs
        Not modified.
    outputs : LikelyOutputs
        Written whole.
    rules : LikelyRules
    """
