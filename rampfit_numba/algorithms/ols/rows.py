"""The engine's only entry to the kernels of OLS: fit or count the ramps of some rows, window by window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rampfit_numba.algorithms.median_network import middle_network
from rampfit_numba.algorithms.ols.pointers import InputFinder, OutputFinder
from rampfit_numba.algorithms.ols.weights import segment_weights
from rampfit_numba.kernels.ols.segments import room_for_reach
from rampfit_numba.kernels.ols.window import count_window, fit_window, room_for_ramps, room_for_window

if TYPE_CHECKING:
    from rampfit_numba.algorithms.ols.rules import RowOutputs, Rules
    from rampfit_numba.algorithms.rows import RowInputs


def fit_rows(inputs: RowInputs, outputs: RowOutputs, rules: Rules) -> bool:
    """Fit all ramps of `inputs` into `outputs`, and return whether the optional ones had room for what was found.

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
    room, whole = None, True
    for window in sources.windows:
        places = sources.find(window)
        results, fitopt = targets.find(window)
        if room is None:
            room = room_for_window(places, fitopt)
        whole &= bool(fit_window(places, results, fitopt, rules.settings, weights, network, room))
        targets.store(window)
    return whole


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
