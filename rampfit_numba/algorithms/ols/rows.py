"""The engine's only entry to the kernels of OLS: fit or count the ramps of some rows, window by window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rampfit_numba.algorithms.median_network import middle_network
from rampfit_numba.algorithms.ols.pointers import InputPointers, OutputPointers
from rampfit_numba.algorithms.ols.weights import segment_weights
from rampfit_numba.kernels.ols.segments import empty_runs
from rampfit_numba.kernels.ols.window import count_window, empty_ramps, fit_window, window_workspace

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
    input_pointers = InputPointers(inputs, rules)
    output_pointers = OutputPointers(outputs, input_pointers.windows.pixels)
    ngroups = rules.stop_kept - rules.first_kept
    weights, network = segment_weights(ngroups), middle_network(max(ngroups - 1, 1))
    workspace, whole = None, True
    for window in input_pointers.windows:
        pointers = input_pointers.at(window)
        results, fitopt = output_pointers.at(window)
        if workspace is None:
            workspace = window_workspace(pointers, fitopt)
        whole &= bool(fit_window(pointers, results, fitopt, rules.settings, weights, network, workspace))
        output_pointers.store(window)
    return whole


def count_rows(inputs: RowInputs, _outputs: None, rules: Rules) -> tuple[int, int]:
    """Return the largest number of segments and of jumps that any ramp of `inputs` has, as :func:`count_window`."""
    input_pointers = InputPointers(inputs, rules)
    runs, ramps = empty_runs(rules.stop_kept - rules.first_kept), None
    most_segments = most_jumps = 0
    for window in input_pointers.windows:
        pointers = input_pointers.at(window)
        if ramps is None:
            ramps = empty_ramps(pointers)
        segments, jumps = count_window(pointers, rules.settings, ramps, runs)
        most_segments, most_jumps = max(most_segments, segments), max(most_jumps, jumps)
    return most_segments, most_jumps
