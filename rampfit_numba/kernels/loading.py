"""Rows of an exposure, copied tile by tile for the kernels.

Here the arrays may have any dtype, byte order and strides. Each tile is copied into buffers of float32 and uint8 that
stay in the cache, so the exposure itself is read once, in memory order, and never converted whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES
from rampfit_numba.kernels.arrays import Tile

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Bytes of samples and flags that a tile may hold. Every tile costs 50 us in Python; much larger ones leave the cache.
TILE_BYTES = 1 << 22
_SAMPLE_AND_FLAG = 5
_MOST_PIXELS = 1 << 15


class GroupRange(Protocol):
    """Which groups to load and which of them count: :class:`rows.Rules` describes the attributes."""

    @property
    def first_kept(self) -> int: ...  # noqa: D102
    @property
    def stop_kept(self) -> int: ...  # noqa: D102
    @property
    def first_used(self) -> int: ...  # noqa: D102
    @property
    def last_used(self) -> int: ...  # noqa: D102
    @property
    def dropped_good(self) -> bool: ...  # noqa: D102


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


class Window(NamedTuple):
    """A tile's place: some whole rows, or a part of one row."""

    rows: slice
    columns: slice

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and columns."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


class TileLoader:
    """Copies tiles of the inputs into buffers that are allocated once: a tile is valid until the next one is loaded."""

    def __init__(self, inputs: RowInputs, rules: GroupRange) -> None:
        self._inputs = inputs
        self._rules = rules
        nints, _, self._nrows, self._ncols = inputs.data.shape
        ngroups = rules.stop_kept - rules.first_kept
        fitting = TILE_BYTES // (nints * ngroups * _SAMPLE_AND_FLAG)
        pixels = min(max(fitting, LANES), _MOST_PIXELS, self._nrows * self._ncols)
        # Whole rows, or whole blocks of a row.
        self._pixels = pixels - pixels % (self._ncols if pixels >= self._ncols else min(LANES, self._ncols))
        self.most_pixels = most = padded_size(self._pixels)
        self._shape = (nints, ngroups)
        self._samples = np.empty(nints * ngroups * most, np.float32)
        self._flags = np.empty(nints * ngroups * most, np.uint8)
        self._zeroframe = np.empty(nints * most * (inputs.zeroframe is not None), np.float32)
        # Planes that are absent keep these values.
        self._pixeldq = np.zeros(most, np.uint32)
        self._readnoise, self._gain = np.ones(most, np.float32), np.ones(most, np.float32)
        self._dark = np.zeros(most, np.float32)

    def windows(self) -> Iterator[Window]:
        """Yield the tiles' places in memory order."""
        if self._pixels >= self._ncols:
            height = self._pixels // self._ncols
            for top in range(0, self._nrows, height):
                yield Window(slice(top, min(top + height, self._nrows)), slice(0, self._ncols))
            return
        for row in range(self._nrows):
            for left in range(0, self._ncols, self._pixels):
                yield Window(slice(row, row + 1), slice(left, min(left + self._pixels, self._ncols)))

    def load(self, window: Window) -> Tile:
        """Copy the inputs at `window`, with native byte order and with the flags that follow from the rules alone."""
        inputs, rules = self._inputs, self._rules
        nints, ngroups = self._shape
        npixels = window.shape[0] * window.shape[1]
        padded = padded_size(npixels)
        size = nints * ngroups * padded
        samples = self._samples[:size].reshape(nints, ngroups, padded)
        flags = self._flags[:size].reshape(nints, ngroups, padded)
        zeroframe = self._zeroframe[: nints * padded].reshape(nints, -1)
        kept = slice(rules.first_kept, rules.stop_kept)
        planes = (
            (inputs.pixeldq, self._pixeldq, 0),
            (inputs.readnoise, self._readnoise, 1),
            (inputs.gain, self._gain, 1),
            (inputs.dark, self._dark, 0),
        )
        with np.errstate(over="ignore", invalid="ignore"):
            _fill(samples, inputs.data[:, kept, window.rows, window.columns], 0)
            _fill(flags, inputs.groupdq[:, kept, window.rows, window.columns], dq.DO_NOT_USE)
            if inputs.zeroframe is not None:
                _fill(zeroframe, inputs.zeroframe[:, window.rows, window.columns], 0)
            for plane, buffer, padding in planes:
                if plane is not None:
                    _fill(buffer[:padded], plane[window.rows, window.columns], padding)
        flags[:, : max(rules.first_used - rules.first_kept, 0)] |= dq.DO_NOT_USE
        flags[:, max(rules.last_used + 1 - rules.first_kept, 0) :] |= dq.DO_NOT_USE
        return Tile(
            samples=samples,
            bits=samples.view(np.int32),
            flags=flags,
            pixeldq=self._pixeldq[:padded],
            readnoise=self._readnoise[:padded],
            gain=self._gain[:padded],
            dark=self._dark[:padded],
            zeroframe=zeroframe,
            suppressed=self._suppressed(window, padded),
        )

    def _suppressed(self, window: Window, padded: int) -> np.ndarray:
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


def as_single(values: np.ndarray) -> np.ndarray:
    """Return `values` as float32; what is too large becomes infinite, silently."""
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(np.float32)


def padded_size(npixels: int) -> int:
    """Return the size of buffers for `npixels` pixels: whole blocks."""
    return -(-npixels // LANES) * LANES


def _fill(buffer: np.ndarray, window: np.ndarray, padding: int) -> None:
    """Copy `window`, shape (..., rows, columns), to the front of `buffer`, shape (..., pixels), and pad the rest."""
    npixels = window.shape[-2] * window.shape[-1]
    front = buffer[..., :npixels].reshape(window.shape)  # a view: one axis of a contiguous row split in two
    np.copyto(front, window, casting="unsafe")
    buffer[..., npixels:] = padding
