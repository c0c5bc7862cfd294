"""The engine's only entry to the kernels of OLS: fit or count the ramps of some rows, window by window."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rampfit_numba.kernels.loading import RowInputs, as_single
from rampfit_numba.kernels.median_network import middle_network
from rampfit_numba.kernels.places import InputFinder, OutputFinder
from rampfit_numba.kernels.segments import room_for_reach
from rampfit_numba.kernels.weights import segment_weights
from rampfit_numba.kernels.window import count_window, fit_window, room_for_ramps, room_for_window

if TYPE_CHECKING:
    import numpy as np

    from rampfit_numba.kernels.settings import Settings

__all__ = ["RowInputs", "RowOutputs", "Rules", "as_single", "count_rows", "fit_rows"]


class Rules(NamedTuple):
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
    """

    settings: Settings
    first_kept: int
    stop_kept: int
    first_used: int
    last_used: int
    dropped_good: bool


class RowOutputs(NamedTuple):
    """Outputs of some rows: the planes of rate, rateints and (or None) fitopt, rows being the last axis but one.

    Those of fitopt must be 0, and stay so where a ramp has no segment or jump.
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


def fit_rows(inputs: RowInputs, outputs: RowOutputs, rules: Rules) -> None:
    """Fit all ramps of `inputs` into `outputs`.

    Parameters
    ----------
    inputs : RowInputs
        Not modified.
    outputs : RowOutputs
        Written whole.
    rules : Rules
    """
    sources = InputFinder(inputs, rules)
    targets = OutputFinder(outputs, sources.windows.pixels)
    ngroups = rules.stop_kept - rules.first_kept
    weights, network = segment_weights(ngroups), middle_network(max(ngroups - 1, 1))
    room = None
    for window in sources.windows:
        places = sources.find(window)
        results, fitopt = targets.find(window)
        if room is None:
            room = room_for_window(places, fitopt)
        fit_window(places, results, fitopt, rules.settings, weights, network, room)
        targets.store(window)


def count_rows(inputs: RowInputs, _outputs: None, rules: Rules) -> tuple[int, int]:
    """Return the largest number of segments and of jumps that any ramp of `inputs` has, as :func:`count_window`."""
    sources = InputFinder(inputs, rules)
    reach, ramps = room_for_reach(rules.stop_kept - rules.first_kept), None
    most_segments = most_jumps = 0
    for window in sources.windows:
        places = sources.find(window)
        if ramps is None:
            ramps = room_for_ramps(places)
        segments, jumps = count_window(places, rules.settings, ramps, reach)
        most_segments, most_jumps = max(most_segments, segments), max(most_jumps, jumps)
    return most_segments, most_jumps
