"""The engine's only entry to the kernels: fit or count the ramps of some rows, tile by tile.

Here the arrays may have any dtype, byte order and strides. Each tile is copied into buffers of float32 and uint8 that
stay in the cache, so the exposure itself is read once, in memory order, and never converted whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES
from rampfit_numba.kernels.arrays import Tile, TileFitOpt, TileResult
from rampfit_numba.kernels.median_network import middle_network
from rampfit_numba.kernels.segments import room_for_reach
from rampfit_numba.kernels.tile import count_tile, fit_tile
from rampfit_numba.kernels.weights import segment_weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rampfit_numba.kernels.settings import Settings

#: Bytes of samples and flags that a tile may hold. Every tile costs 50 us in Python; much larger ones leave the cache.
TILE_BYTES = 1 << 21
_SAMPLE_AND_FLAG = 5
_MOST_PIXELS = 1 << 14
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


class RowInputs(NamedTuple):
    """Inputs of some rows, which are the last axis but one of every array.

    Attributes
    ----------
    data, groupdq : ndarray, shape (nints, ngroups, nrows, ncols)
        DN; flags of uint8.
    readnoise, gain : ndarray, shape (nrows, ncols)
        CDS noise in DN; e-/DN.
    pixeldq, dark : ndarray, shape (nrows, ncols), or None
        Flags; DN/s.
    zeroframe : ndarray, shape (nints, nrows, ncols), or None
        DN.
    """

    data: Any
    groupdq: Any
    readnoise: Any
    gain: Any
    pixeldq: Any
    dark: Any
    zeroframe: Any


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
    loader = _TileLoader(inputs, rules)
    ngroups = rules.stop_kept - rules.first_kept
    weights, network = segment_weights(ngroups), middle_network(max(ngroups - 1, 1))
    reach = room_for_reach(ngroups)
    room = _ResultRoom(inputs.data.shape[0], loader.most_pixels, outputs)
    for window in loader.windows():
        tile = loader.load(window)
        result, fitopt = room.of(tile.pixeldq.size)
        fit_tile(tile, rules.settings, weights, network, reach, result, fitopt)
        room.store(result, fitopt, outputs, window)


def count_rows(inputs: RowInputs, _outputs: None, rules: Rules) -> tuple[int, int]:
    """Return the largest number of segments and of jumps that any ramp of `inputs` has, as :func:`count_tile`."""
    loader = _TileLoader(inputs, rules)
    reach = room_for_reach(rules.stop_kept - rules.first_kept)
    counts = [count_tile(loader.load(window), rules.settings, reach) for window in loader.windows()]
    return max(c[0] for c in counts), max(c[1] for c in counts)


class _Window(NamedTuple):
    """A tile's place: some whole rows, or a part of one row."""

    rows: slice
    columns: slice

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


class _TileLoader:
    """Copies tiles of the inputs into buffers; those for samples and flags are allocated once."""

    def __init__(self, inputs: RowInputs, rules: Rules) -> None:
        self._inputs = inputs
        self._rules = rules
        nints, _, self._nrows, self._ncols = inputs.data.shape
        ngroups = rules.stop_kept - rules.first_kept
        fitting = TILE_BYTES // (nints * ngroups * _SAMPLE_AND_FLAG)
        self._pixels = min(max(fitting, 4 * LANES), _MOST_PIXELS, self._nrows * self._ncols)
        if self._pixels >= self._ncols:
            self._pixels -= self._pixels % self._ncols
        self.most_pixels = _padded(self._pixels)
        self._samples = np.empty(nints * ngroups * self.most_pixels, np.float32)
        self._flags = np.empty(nints * ngroups * self.most_pixels, np.uint8)
        self._shape = (nints, ngroups)

    def windows(self) -> Iterator[_Window]:
        """Yield the tiles' places in memory order."""
        if self._pixels >= self._ncols:
            height = self._pixels // self._ncols
            for top in range(0, self._nrows, height):
                yield _Window(slice(top, min(top + height, self._nrows)), slice(0, self._ncols))
            return
        for row in range(self._nrows):
            for left in range(0, self._ncols, self._pixels):
                yield _Window(slice(row, row + 1), slice(left, min(left + self._pixels, self._ncols)))

    def load(self, window: _Window) -> Tile:
        """Copy the inputs at `window`, with native byte order and with the flags that follow from the rules alone."""
        inputs, rules = self._inputs, self._rules
        nints, ngroups = self._shape
        npixels = window.shape[0] * window.shape[1]
        padded = _padded(npixels)
        size = nints * ngroups * padded
        samples = self._samples[:size].reshape(nints, ngroups, padded)
        flags = self._flags[:size].reshape(nints, ngroups, padded)
        kept = slice(rules.first_kept, rules.stop_kept)
        _fill(samples, inputs.data[:, kept, window.rows, window.columns], 0)
        _fill(flags, inputs.groupdq[:, kept, window.rows, window.columns], dq.DO_NOT_USE)
        flags[:, : max(rules.first_used - rules.first_kept, 0)] |= dq.DO_NOT_USE
        flags[:, max(rules.last_used + 1 - rules.first_kept, 0) :] |= dq.DO_NOT_USE
        return Tile(
            samples=samples,
            bits=samples.view(np.int32),
            flags=flags,
            pixeldq=self._plane(inputs.pixeldq, window, padded, np.uint32, 0),
            readnoise=self._plane(inputs.readnoise, window, padded, np.float32, 1),
            gain=self._plane(inputs.gain, window, padded, np.float32, 1),
            dark=self._plane(inputs.dark, window, padded, np.float32, 0),
            zeroframe=self._cube(inputs.zeroframe, window, padded),
            suppressed=self._suppressed(window, padded),
        )

    def _plane(
        self, plane: np.ndarray | None, window: _Window, padded: int, dtype: type[np.generic], padding: int
    ) -> np.ndarray:
        values = np.full(padded, padding, dtype)
        if plane is not None:
            _fill(values, plane[window.rows, window.columns], padding)
        return values

    def _cube(self, cube: np.ndarray | None, window: _Window, padded: int) -> np.ndarray:
        if cube is None:
            return np.empty((self._shape[0], 0), np.float32)
        values = np.empty((self._shape[0], padded), np.float32)
        _fill(values, cube[:, window.rows, window.columns], 0)
        return values

    def _suppressed(self, window: _Window, padded: int) -> np.ndarray:
        """Find the ramps whose only good group was dropped: a group can be dropped because they are suppressed."""
        rules, inputs = self._rules, self._inputs
        if not rules.dropped_good:
            return np.empty((self._shape[0], 0), np.bool_)
        found = np.zeros((self._shape[0], padded), np.bool_)
        here = found[:, : window.shape[0] * window.shape[1]]
        for g in range(inputs.data.shape[1]):
            if rules.first_kept <= g < rules.stop_kept or not rules.first_used <= g <= rules.last_used:
                continue
            flags = inputs.groupdq[:, g, window.rows, window.columns]
            samples = as_single(inputs.data[:, g, window.rows, window.columns])
            good = ((flags & ~np.uint8(dq.PERSISTENCE)) == 0) & np.isfinite(samples)
            here |= good.reshape(here.shape)
        return found


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
    def store(result: TileResult, fitopt: TileFitOpt | None, outputs: RowOutputs, window: _Window) -> None:
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


def _copy_out(planes: Iterable[np.ndarray], outputs: Iterable[np.ndarray | None], window: _Window) -> None:
    npixels = window.shape[0] * window.shape[1]
    for output, plane in zip(outputs, planes, strict=False):
        if output is not None and output.size > 0:
            output[..., window.rows, window.columns] = plane[..., :npixels].reshape(*plane.shape[:-1], *window.shape)


def as_single(values: np.ndarray) -> np.ndarray:
    """Return `values` as float32; what is too large becomes infinite, silently."""
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(np.float32)


def _padded(npixels: int) -> int:
    return -(-npixels // LANES) * LANES


def _fill(buffer: np.ndarray, window: np.ndarray, padding: int) -> None:
    """Copy `window`, shape (..., rows, columns), to the front of `buffer`, shape (..., pixels), and pad the rest."""
    npixels = window.shape[-2] * window.shape[-1]
    front = buffer[..., :npixels].reshape(window.shape)  # a view: one axis of a contiguous row split in two
    with np.errstate(over="ignore", invalid="ignore"):
        np.copyto(front, window, casting="unsafe")
    buffer[..., npixels:] = padding
