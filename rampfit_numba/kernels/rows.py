"""The engine's only entry to the kernels of OLS: fit or count the ramps of some rows, tile by tile."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rampfit_numba.kernels._jit import LANES
from rampfit_numba.kernels.loading import RowInputs, TileLoader, Window, as_single
from rampfit_numba.kernels.median_network import middle_network
from rampfit_numba.kernels.tile import TileFitOpt, TileResult, count_tile, fit_tile
from rampfit_numba.kernels.weights import segment_weights

if TYPE_CHECKING:
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
    """Outputs of some rows: the planes of rate, rateints and (or None) fitopt, rows being the last axis but one."""

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
    # Sixty-four lanes of bytes fit into one vector register; few exposures need more.
    reach = np.zeros((ngroups + 1, LANES), np.uint8 if ngroups < np.iinfo(np.uint8).max else np.uint16)
    room = _ResultRoom(inputs.data.shape[0], loader.most_pixels, outputs)
    for window in loader.windows():
        tile = loader.load(window)
        result, fitopt = room.of(tile.pixeldq.size)
        fit_tile(tile, rules.settings, weights, network, reach, result, fitopt)
        room.store(result, fitopt, outputs, window)


def count_rows(inputs: RowInputs, _outputs: None, rules: Rules) -> tuple[int, int]:
    """Return the largest number of segments and of jumps that any ramp of `inputs` has, as :func:`count_tile`."""
    loader = TileLoader(inputs, rules)
    counts = [count_tile(loader.load(window), rules.settings) for window in loader.windows()]
    return max(c[0] for c in counts), max(c[1] for c in counts)


class _ResultRoom:
    """Buffers for the results of one tile; those of rate and rateints are allocated once."""

    def __init__(self, nints: int, most_pixels: int, outputs: RowOutputs) -> None:
        self._nints = nints
        self._floats = np.empty(4 * (nints + 1) * most_pixels, np.float32)
        self._dq = np.empty((nints + 1) * most_pixels, np.uint32)
        self._depths = None
        if outputs.opt_slope is not None and outputs.opt_crmag is not None:
            self._depths = outputs.opt_slope.shape[1], outputs.opt_crmag.shape[1]

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
        if self._depths is None:
            return result, None
        segments, jumps = self._depths
        return result, TileFitOpt(
            segments=np.zeros((7, nints, segments, npixels), np.float32),
            pedestal=np.zeros((nints, npixels), np.float32),
            crmag=np.zeros((nints, jumps, npixels), np.float32),
        )

    @staticmethod
    def store(result: TileResult, fitopt: TileFitOpt | None, outputs: RowOutputs, window: Window) -> None:
        """Copy the results to their place in the outputs."""
        planes = [*result.rate, result.rate_dq, *result.rateints, result.rateints_dq]
        if fitopt is not None:
            planes += [*fitopt.segments, fitopt.pedestal, fitopt.crmag]
        npixels = window.shape[0] * window.shape[1]
        for output, plane in zip(outputs, planes, strict=False):
            if output is not None:
                output[..., window.rows, window.columns] = plane[..., :npixels].reshape(
                    *plane.shape[:-1], *window.shape
                )
