"""The engine's only entry to the kernels of OLS: fit or count the ramps of some rows, tile by tile."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rampfit_numba.kernels.arrays import TileFitOpt, TileResult
from rampfit_numba.kernels.loading import RowInputs, TileLoader, Window, as_single
from rampfit_numba.kernels.median_network import middle_network
from rampfit_numba.kernels.segments import room_for_reach
from rampfit_numba.kernels.tile import count_tile, fit_tile, room_for_tile
from rampfit_numba.kernels.weights import segment_weights

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rampfit_numba.kernels.settings import Settings

__all__ = ["RowInputs", "RowOutputs", "Rules", "as_single", "count_rows", "fit_rows"]

#: Arrays of the optional results.
_FITOPT = 9


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
    loader = TileLoader(inputs, rules)
    ngroups = rules.stop_kept - rules.first_kept
    weights, network = segment_weights(ngroups), middle_network(max(ngroups - 1, 1))
    results = _ResultRoom(inputs.data.shape[0], loader.most_pixels, outputs)
    room = None
    for window in loader.windows():
        tile = loader.load(window)
        result, fitopt = results.of(tile.pixeldq.size)
        if room is None:
            room = room_for_tile(tile, fitopt, loader.most_pixels)
        fit_tile(tile, rules.settings, weights, network, room, result, fitopt)
        results.store(result, fitopt, outputs, window)


def count_rows(inputs: RowInputs, _outputs: None, rules: Rules) -> tuple[int, int]:
    """Return the largest number of segments and of jumps that any ramp of `inputs` has, as :func:`count_tile`."""
    loader = TileLoader(inputs, rules)
    reach = room_for_reach(rules.stop_kept - rules.first_kept)
    counts = [count_tile(loader.load(window), rules.settings, reach) for window in loader.windows()]
    return max(c[0] for c in counts), max(c[1] for c in counts)


class _ResultRoom:
    """Buffers for the results of one tile; those of rate and rateints are allocated once."""

    def __init__(self, nints: int, most_pixels: int, outputs: RowOutputs) -> None:
        self._nints = nints
        self._floats = np.empty(4 * (nints + 1) * most_pixels, np.float32)
        self._dq = np.empty((nints + 1) * most_pixels, np.uint32)
        self._fitopt = None
        if outputs.opt_slope is not None and outputs.opt_crmag is not None:
            # There is always a first segment, if only to be left at 0.
            segments, jumps = max(outputs.opt_slope.shape[1], 1), outputs.opt_crmag.shape[1]
            self._fitopt = TileFitOpt(
                segments=np.zeros((7, nints, segments, most_pixels), np.float32),
                pedestal=np.zeros((nints, most_pixels), np.float32),
                crmag=np.zeros((nints, jumps, most_pixels), np.float32),
                depth=np.zeros((2, nints), np.int64),
            )

    def of(self, npixels: int) -> tuple[TileResult, TileFitOpt | None]:
        """Return room for `npixels` pixels, and for their optional results if somebody wants them."""
        nints = self._nints
        rate, rateints = 4 * npixels, 4 * nints * npixels
        result = TileResult(
            rate=self._floats[:rate].reshape(4, npixels),
            rate_dq=self._dq[:npixels],
            rateints=self._floats[rate : rate + rateints].reshape(4, nints, npixels),
            rateints_dq=self._dq[npixels : npixels * (nints + 1)].reshape(nints, npixels),
        )
        return result, self._fitopt

    @staticmethod
    def store(result: TileResult, fitopt: TileFitOpt | None, outputs: RowOutputs, window: Window) -> None:
        """Copy the results to their place in the outputs."""
        _copy_out([*result.rate, result.rate_dq, *result.rateints, result.rateints_dq], outputs, window)
        if fitopt is None:
            return
        optional = outputs[len(RowOutputs._fields) - _FITOPT :]
        _copy_out([fitopt.pedestal], optional[7:8], window)
        for i, (segments, jumps) in enumerate(fitopt.depth.T):
            # Nearly all ramps have one segment. The outputs are 0 already where nothing is copied to.
            deepest = max(segments, 1)
            planes = [plane[i] for plane in optional if plane is not None]
            _copy_out(fitopt.segments[:, i, :deepest], [plane[:deepest] for plane in planes[:7]], window)
            fitopt.segments[:, i, 1:segments] = 0
            _copy_out([fitopt.crmag[i, :jumps]], [planes[8][:jumps]], window)
            fitopt.crmag[i, :jumps] = 0
        fitopt.depth[:] = 0


def _copy_out(planes: Iterable[np.ndarray], outputs: Iterable[np.ndarray | None], window: Window) -> None:
    npixels = window.shape[0] * window.shape[1]
    for output, plane in zip(outputs, planes, strict=False):
        if output is not None and output.size > 0:
            output[..., window.rows, window.columns] = plane[..., :npixels].reshape(*plane.shape[:-1], *window.shape)
