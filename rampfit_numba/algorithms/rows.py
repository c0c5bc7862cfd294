"""Inputs of some rows, and the tiles in which they are gone through.

Here the arrays may have any dtype, byte order and strides. What kernels cannot read in place is copied tile by tile
into buffers of float32 and uint8, so the exposure itself is read once, in memory order, and never converted whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rampfit_numba.kernels._jit import LANES

if TYPE_CHECKING:
    from collections.abc import Iterator


#: Bytes of samples and flags that buffers hold. Every tile costs 50 us in Python; much larger ones leave the cache.
BUFFER_BYTES = 1 << 22
_SAMPLE_AND_FLAG = 5
#: Pixels, and samples, of the largest tile that is read in place: the machine code does not hear Ctrl-C before its
#: end, some tenths of a second at the most.
MOST_PIXELS = 1 << 15
MOST_SAMPLES = 1 << 24


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
    saturation, pedestal : ndarray, shape (nrows, ncols), or None
        DN; for raw reads, see :class:`rampfit_numba.reads.ReadCorrections`.
    linearity : ndarray, shape (ncoefficients, nrows, ncols), or None
    """

    data: Any
    groupdq: Any
    readnoise: Any
    gain: Any
    pixeldq: Any
    dark: Any
    zeroframe: Any
    saturation: Any = None
    pedestal: Any = None
    linearity: Any = None


class Tile(NamedTuple):
    """A part of an image: some whole rows, or a part of one row."""

    rows: slice
    columns: slice

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and columns."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


class Tiles:
    """The tiles that an image is cut into, in memory order: whole rows, or whole blocks of `lanes` pixels of one row.

    Attributes
    ----------
    pixels : int
        Pixels of the largest tile.
    """

    def __init__(self, nrows: int, ncols: int, most_pixels: int, lanes: int = LANES) -> None:
        pixels = min(max(min(most_pixels, MOST_PIXELS), lanes), nrows * ncols)
        self.pixels = pixels - pixels % (ncols if pixels >= ncols else min(lanes, ncols))
        self._nrows, self._ncols = nrows, ncols

    def __iter__(self) -> Iterator[Tile]:
        """Yield the tiles."""
        if self.pixels >= self._ncols:
            height = self.pixels // self._ncols
            for top in range(0, self._nrows, height):
                yield Tile(slice(top, min(top + height, self._nrows)), slice(0, self._ncols))
            return
        for row in range(self._nrows):
            for left in range(0, self._ncols, self.pixels):
                yield Tile(slice(row, row + 1), slice(left, min(left + self.pixels, self._ncols)))


def fitting_pixels(nints: int, ngroups: int, *, in_place: bool) -> int:
    """Return the pixels of a tile that is read in place, or copied to buffers, and its zeroframe with it."""
    if in_place:
        return MOST_SAMPLES // (nints * ngroups)
    return BUFFER_BYTES // (nints * (ngroups + 1) * _SAMPLE_AND_FLAG)


def as_single(values: np.ndarray) -> np.ndarray:
    """Return `values` as float32; what is too large becomes infinite, silently."""
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(np.float32)


def fill(buffer: np.ndarray, tile: np.ndarray) -> None:
    """Copy `tile`, shape (..., rows, columns), to the front of `buffer`, shape (..., pixels)."""
    npixels = tile.shape[-2] * tile.shape[-1]
    front = buffer[..., :npixels].reshape(tile.shape)  # a view: one axis of a contiguous row split in two
    with np.errstate(over="ignore", invalid="ignore"):
        np.copyto(front, tile, casting="unsafe")


def one_pixel(ngroups: int) -> tuple[RowInputs, np.ndarray, np.ndarray]:
    """Return an exposure of one pixel, and planes of the shapes of its rate and its rateints."""
    shape = (1, ngroups, 1, 1)
    plane, cube = np.ones(shape[2:], np.float32), np.ones((1, *shape[2:]), np.float32)
    inputs = RowInputs(np.ones(shape, np.float32), np.zeros(shape, np.uint8), plane, plane, None, None, None)
    return inputs, plane, cube
