"""The engine's only entry to the kernels of OLS: fit or count the ramps of some rows, tile by tile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rampfit_numba.algorithms.blocks import InputPointers, PlanePointers, is_run
from rampfit_numba.algorithms.median_network import middle_network
from rampfit_numba.algorithms.ols.pointers import OutputPointers
from rampfit_numba.algorithms.ols.rules import Fitted
from rampfit_numba.algorithms.ols.weights import segment_weights
from rampfit_numba.algorithms.rows import Tiles, fitting_pixels
from rampfit_numba.kernels.blocks import empty_ramps
from rampfit_numba.kernels.memory import spans_of
from rampfit_numba.kernels.ols.chisq import chisq_workspace, find_chisq
from rampfit_numba.kernels.ols.expected import count_flags, empty_counts
from rampfit_numba.kernels.ols.segments import MOST_IN_BYTES, empty_runs
from rampfit_numba.kernels.ols.short_median import LONGEST
from rampfit_numba.kernels.ols.tile import count_tile, fit_tile, tile_workspace

if TYPE_CHECKING:
    from rampfit_numba.algorithms.ols.rules import OlsOutputs, OlsRules
    from rampfit_numba.algorithms.rows import RowInputs, Tile
    from rampfit_numba.kernels.blocks import BlockPointers
    from rampfit_numba.kernels.ols.tile import Workspace


def fit_rows(inputs: RowInputs, outputs: OlsOutputs, rules: OlsRules) -> Fitted:
    """Fit all ramps of `inputs` into `outputs`.

    Parameters
    ----------
    inputs : RowInputs
        Not modified.
    outputs : OlsOutputs
        Written whole.
    rules : OlsRules
    """
    input_pointers = InputPointers(inputs, rules)
    most_pixels = input_pointers.tiles.pixels
    fitted = outputs._replace(chisq=None, chisq_ints=None, dof=None, dof_ints=None)
    output_pointers = OutputPointers(fitted, most_pixels)
    chisq = None if outputs.chisq is None else _Chisq(inputs, outputs, rules, most_pixels)
    ngroups = rules.stop_kept - rules.first_kept
    weights, network = segment_weights(ngroups), _network(ngroups)
    if weights.longest < ngroups <= MOST_IN_BYTES:  # the code for such segments is not compiled
        raise ValueError(f"tables of weights: expected all lengths up to {ngroups} groups; got {weights.longest}")
    workspace, whole, finite = None, True, True
    for tile in input_pointers.tiles:
        pointers = input_pointers.at(tile)
        results, fitopt = output_pointers.at(tile)
        if workspace is None:
            workspace = tile_workspace(pointers, fitopt)
        room, sound = fit_tile(pointers, results, fitopt, rules.settings, weights, network, workspace)
        whole, finite = whole and room, finite and sound
        output_pointers.store(tile)
        if chisq is not None:
            chisq.find(tile, pointers, network, workspace)
    return Fitted(bool(whole), bool(finite))


def _network(ngroups: int) -> np.ndarray:
    """Return the network that finds the medians, or an empty one where the kernels do without."""
    return middle_network(ngroups - 1 if ngroups - 1 > LONGEST and ngroups <= MOST_IN_BYTES else 1)


class _Chisq:
    """Finds the chi-squares of some rows, tile by tile, after the fit and beside it.

    The fit's own kernels know nothing of them: they are as fast, and give the same bits, with and without.
    """

    def __init__(self, inputs: RowInputs, outputs: OlsOutputs, rules: OlsRules, most_pixels: int) -> None:
        nints = inputs.data.shape[0]
        self._rules = rules
        self._workspace = chisq_workspace(rules.stop_kept - rules.first_kept)
        self._chisq = np.empty((1 + nints, most_pixels), np.float32)
        self._dof = np.empty((1 + nints, most_pixels), np.int32)
        self._planes = ((outputs.chisq, outputs.chisq_ints), (outputs.dof, outputs.dof_ints))

    def find(self, tile: Tile, pointers: BlockPointers, network: np.ndarray, workspace: Workspace) -> None:
        """Find and store those of a tile; `workspace` is that of the fit, overwritten."""
        rules, found = self._rules, (self._chisq, self._dof)
        shared = workspace.ramps, workspace.runs, workspace.block
        find_chisq(pointers, rules.settings, rules.early, network, *shared, self._workspace, *found)
        for values, (plane, cube) in zip(found, self._planes, strict=True):
            assert plane is not None  # noqa: S101  (for mypy)
            assert cube is not None  # noqa: S101
            here = values[:, : pointers.npixels].reshape(-1, *tile.shape)
            plane[tile.rows, tile.columns] = here[0]
            cube[:, tile.rows, tile.columns] = here[1:]


def count_rows(inputs: RowInputs, _outputs: None, rules: OlsRules) -> tuple[int, int]:
    """Return the largest number of segments and of jumps that any ramp of `inputs` has, as :func:`count_tile`."""
    input_pointers = InputPointers(inputs, rules)
    runs, ramps = empty_runs(rules.stop_kept - rules.first_kept), None
    most_segments = most_jumps = 0
    for tile in input_pointers.tiles:
        pointers = input_pointers.at(tile)
        if ramps is None:
            ramps = empty_ramps(pointers)
        segments, jumps = count_tile(pointers, rules.settings, ramps, runs)
        most_segments, most_jumps = max(most_segments, segments), max(most_jumps, jumps)
    return most_segments, most_jumps


def expect_rows(inputs: RowInputs, _outputs: None, rules: OlsRules) -> tuple[int, int]:
    """Return what :func:`count_rows` would if all samples were finite, and there were no zeroframe.

    Of `inputs` only the flags are looked at; the others may be None.
    """
    ngroups = rules.stop_kept - rules.first_kept
    flags = inputs.groupdq[:, rules.first_kept : rules.stop_kept]
    nints, _, nrows, ncols = flags.shape
    tiles = Tiles(nrows, ncols, fitting_pixels(nints, ngroups, in_place=is_run(flags, np.uint8)))
    finder, counts = PlanePointers(flags, np.uint8, tiles.pixels), empty_counts(ngroups)
    used = rules.first_used - rules.first_kept, rules.last_used - rules.first_kept
    most_segments = most_jumps = 0
    for tile in tiles:
        npixels = tile.shape[0] * tile.shape[1]
        segments, jumps = count_flags(finder.at(tile), npixels, used, rules.settings, counts, spans_of(finder.planes))
        most_segments, most_jumps = max(most_segments, segments), max(most_jumps, jumps)
    return most_segments, most_jumps
