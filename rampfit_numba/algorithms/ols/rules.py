"""What holds for all ramps of an exposure, and where the results of some rows go."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    from rampfit_numba.algorithms.corrections import ReadRules
    from rampfit_numba.kernels.ols.settings import Settings


class OlsRules(NamedTuple):
    """What holds for every pixel of an exposure.

    Attributes
    ----------
    settings : Settings
    first_kept, stop_kept : int
        Groups to load; those outside were dropped and leave no trace.
    first_used, last_used : int
        Groups outside this inclusive range count as DO_NOT_USE.
    dropped_good : bool
        A dropped group may hold the only good sample of a ramp, which then counts for the suppression.
    reads : ReadRules or None
        What is to be done with raw reads.
    early : float
        By how much the mean time of a group's frames is later than the time up to which its photon noise counts, in s;
        for the chi-square.
    """

    settings: Settings
    first_kept: int
    stop_kept: int
    first_used: int
    last_used: int
    dropped_good: bool
    reads: ReadRules | None = None
    early: float = 0.0


class Fitted(NamedTuple):
    """What is found while rows are fitted.

    Attributes
    ----------
    whole : bool
        The optional results had room for all segments and jumps.
    finite : bool
        Every sample is finite, as far as the optional results need to know.
    """

    whole: bool = True
    finite: bool = True


class OlsOutputs(NamedTuple):
    """Outputs of some rows: the planes of rate, rateints and (or None) fitopt, rows being the last axis but one.

    Those of fitopt are 0 where a ramp has no segment or jump. The chi-squares and their degrees of freedom, those of
    rate and rateints, are None where they were not asked for.
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
    opt_slope: np.ndarray | None = None
    opt_sigslope: np.ndarray | None = None
    opt_var_poisson: np.ndarray | None = None
    opt_var_rnoise: np.ndarray | None = None
    opt_yint: np.ndarray | None = None
    opt_sigyint: np.ndarray | None = None
    opt_weights: np.ndarray | None = None
    opt_pedestal: np.ndarray | None = None
    opt_crmag: np.ndarray | None = None
    chisq: np.ndarray | None = None
    chisq_ints: np.ndarray | None = None
    dof: np.ndarray | None = None
    dof_ints: np.ndarray | None = None
