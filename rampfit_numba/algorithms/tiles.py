"""Tiles of an exposure, copied to buffers that stay in the cache: for kernels that do not read in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from rampfit_numba import dq
from rampfit_numba.algorithms.corrections import Corrector
from rampfit_numba.algorithms.rows import RowInputs, Tile, Tiles, fill, fitting_pixels
from rampfit_numba.kernels._jit import LANES
from rampfit_numba.kernels.tiles import TileInputs

if TYPE_CHECKING:
    from rampfit_numba.algorithms.corrections import ReadRules


class TileRules(Protocol):
    """What a loader must know of the rules of a fit: the groups that may be used, and what is done with raw reads."""

    @property
    def first_used(self) -> int:
        """Groups before it count as DO_NOT_USE."""

    @property
    def last_used(self) -> int:
        """Groups after it count as DO_NOT_USE."""

    @property
    def reads(self) -> ReadRules | None:
        """Corrections; None: none."""


class TileLoader:
    """Copies tiles of the inputs into buffers that are allocated once: a tile is valid until the next one is loaded."""

    def __init__(self, inputs: RowInputs, rules: TileRules) -> None:
        self._inputs = inputs
        self._rules = rules
        nints, ngroups, nrows, ncols = inputs.data.shape
        self.tiles = Tiles(nrows, ncols, fitting_pixels(nints, ngroups, in_place=False))
        self.most_pixels = most = _padded_size(self.tiles.pixels)
        self._shape = (nints, ngroups)
        self._corrector = None if rules.reads is None else Corrector(inputs, rules.reads, most)
        self._samples = np.empty(nints * ngroups * most, np.float32)
        self._flags = np.empty(nints * ngroups * most, np.uint8)
        self._zeroframe = np.empty(nints * most * (inputs.zeroframe is not None), np.float32)
        # Planes that are absent keep these values.
        self._pixeldq = np.zeros(most, np.uint32)
        self._readnoise, self._gain = np.ones(most, np.float32), np.ones(most, np.float32)
        self._dark = np.zeros(most, np.float32)

    def load(self, tile: Tile, groupdq: np.ndarray | None = None) -> TileInputs:
        """Copy the inputs at `tile`, with native byte order and with the flags that follow from the rules alone.

        `groupdq` are the flags of its groups, where they were read already.
        """
        inputs, rules = self._inputs, self._rules
        nints, ngroups = self._shape
        npixels = tile.shape[0] * tile.shape[1]
        padded = _padded_size(npixels)
        size = nints * ngroups * padded
        samples = self._samples[:size].reshape(nints, ngroups, padded)
        flags = self._flags[:size].reshape(nints, ngroups, padded)
        zeroframe = self._zeroframe[: nints * padded].reshape(nints, -1)
        planes = (
            (inputs.pixeldq, self._pixeldq, 0),
            (inputs.readnoise, self._readnoise, 1),
            (inputs.gain, self._gain, 1),
            (inputs.dark, self._dark, 0),
        )
        _fill(samples, inputs.data[:, :, tile.rows, tile.columns], 0)
        if groupdq is None:
            groupdq = inputs.groupdq[:, :, tile.rows, tile.columns]
        _fill(flags, groupdq, dq.DO_NOT_USE)
        if self._corrector is not None:
            self._corrector.correct(samples, flags, tile)
        if inputs.zeroframe is not None:
            _fill(zeroframe, inputs.zeroframe[:, tile.rows, tile.columns], 0)
        for plane, buffer, padding in planes:
            if plane is not None:
                _fill(buffer[:padded], plane[tile.rows, tile.columns], padding)
        flags[:, : max(rules.first_used, 0)] |= dq.DO_NOT_USE
        flags[:, max(rules.last_used + 1, 0) :] |= dq.DO_NOT_USE
        return TileInputs(
            samples=samples,
            bits=samples.view(np.int32),
            flags=flags,
            pixeldq=self._pixeldq[:padded],
            readnoise=self._readnoise[:padded],
            gain=self._gain[:padded],
            dark=self._dark[:padded],
            zeroframe=zeroframe,
        )


def _padded_size(npixels: int) -> int:
    """Return the size of buffers for `npixels` pixels: whole blocks."""
    return -(-npixels // LANES) * LANES


def _fill(buffer: np.ndarray, tile: np.ndarray, padding: int) -> None:
    """Copy `tile`, shape (..., rows, columns), to the front of `buffer`, shape (..., pixels), and pad the rest."""
    fill(buffer, tile)
    buffer[..., tile.shape[-2] * tile.shape[-1] :] = padding
