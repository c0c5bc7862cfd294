"""Where the inputs of a tile stand in memory, as addresses from which kernels copy blocks.

Inputs may have any dtype, byte order and strides. Where a tile's pixels stand behind each other as float32 (in
either byte order) or uint8, they are read in place, once and block by block; others are first copied to a buffer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from rampfit_numba import dq
from rampfit_numba.algorithms.corrections import Corrector
from rampfit_numba.algorithms.rows import Tiles, as_single, fill, fitting_pixels
from rampfit_numba.kernels._jit import LANES
from rampfit_numba.kernels.blocks import BlockPointers
from rampfit_numba.kernels.memory import addresses, spans_of

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from rampfit_numba.algorithms.corrections import ReadRules
    from rampfit_numba.algorithms.rows import RowInputs, Tile


class GroupRules(Protocol):
    """Which groups of an exposure are loaded, and which may be used."""

    @property
    def first_kept(self) -> int:
        """First group to load."""

    @property
    def stop_kept(self) -> int:
        """Group after the last one to load."""

    @property
    def first_used(self) -> int:
        """Groups before it count as DO_NOT_USE."""

    @property
    def last_used(self) -> int:
        """Groups after it count as DO_NOT_USE."""

    @property
    def dropped_good(self) -> bool:
        """A group that is not loaded may hold the only good sample of a ramp."""

    @property
    def reads(self) -> ReadRules | None:
        """What is to be done with raw reads."""


class AllGroups(NamedTuple):
    """Rules of a fit that loads all groups."""

    stop_kept: int
    first_used: int
    last_used: int
    reads: ReadRules | None
    first_kept: int = 0
    dropped_good: bool = False


class InputPointers:
    """Finds the pointers of the inputs, tile by tile: those of one are valid until the next one's are found.

    Tiles have up to `most_pixels` pixels, in whole blocks of `lanes`. Of None they have as many as suit what is read in
    place, or is not.
    """

    def __init__(
        self, inputs: RowInputs, rules: GroupRules, most_pixels: int | None = None, lanes: int = LANES
    ) -> None:
        nints, _, nrows, ncols = inputs.data.shape
        kept = slice(rules.first_kept, rules.stop_kept)
        data, groupdq = inputs.data[:, kept], inputs.groupdq[:, kept]
        self._inputs, self._rules = inputs, rules
        self._swapped = data.dtype != np.float32 and data.dtype.newbyteorder() == np.float32
        direct = [is_run(data, data.dtype if self._swapped else np.float32), is_run(groupdq, np.uint8)]
        if rules.reads is not None:
            # What is corrected is a copy.
            direct = [False, False]
        self._swapped &= direct[0]
        # Whatever needs memory for all integrations of a tile keeps it small.
        in_place = all(direct) and not rules.dropped_good
        in_place &= inputs.zeroframe is None or is_run(inputs.zeroframe, np.float32)
        ngroups = rules.stop_kept - rules.first_kept
        if most_pixels is None:
            most_pixels = fitting_pixels(nints, ngroups, in_place=in_place)
        self.tiles = Tiles(nrows, ncols, most_pixels, lanes)
        most = self.tiles.pixels
        self._data = PlanePointers(data, np.float32, most, direct=direct[0])
        self._groupdq = PlanePointers(groupdq, np.uint8, most, direct=direct[1])
        self._corrector = None if rules.reads is None else Corrector(inputs, rules.reads, most)
        self._zeroframe = None if inputs.zeroframe is None else PlanePointers(inputs.zeroframe, np.float32, most)
        types = (np.uint32, np.float32, np.float32, np.float32)
        planes = (inputs.pixeldq, inputs.readnoise, inputs.gain, inputs.dark)
        self._planes = [
            None if plane is None else PlanePointers(plane, dtype, most)
            for plane, dtype in zip(planes, types, strict=True)
        ]
        found = (self._data, self._groupdq, self._zeroframe, *self._planes)
        self._spans = spans_of(*(one.planes for one in found if one is not None))

    def at(self, tile: Tile) -> BlockPointers:
        """Return where the inputs are at `tile`."""
        rules = self._rules
        npixels = tile.shape[0] * tile.shape[1]
        planes = [0 if plane is None else int(plane.at(tile)) for plane in self._planes]
        samples, flags = self._data.at(tile), self._groupdq.at(tile)
        if self._corrector is not None:
            self._corrector.correct(self._data.buffer, self._groupdq.buffer, tile)
        return BlockPointers(
            samples=samples,
            flags=flags,
            zeroframe=np.empty(0, np.int64) if self._zeroframe is None else self._zeroframe.at(tile),
            planes=np.array(planes, np.int64),
            suppressed=find_suppressed(self._inputs, rules, tile),
            npixels=npixels,
            swapped=self._swapped,
            first_used=rules.first_used - rules.first_kept,
            last_used=rules.last_used - rules.first_kept,
            spans=self._spans,
        )

    def corrected_flags(self, npixels: int) -> np.ndarray:
        """Return the flags of the last tile's pixels, shape (nints, ngroups, npixels), after the corrections."""
        return self._groupdq.buffer[..., :npixels]


def find_suppressed(inputs: RowInputs, rules: GroupRules, tile: Tile) -> np.ndarray:
    """Find the ramps whose only good group was dropped: a group can be dropped because they are suppressed.

    Returns
    -------
    ndarray of bool, shape (nints, npixels)
        Or (nints, 0) where there can be none.
    """
    nints, ngroups = inputs.data.shape[:2]
    if not rules.dropped_good:
        return np.empty((nints, 0), np.bool_)
    found = np.zeros((nints, tile.shape[0] * tile.shape[1]), np.bool_)
    for g in range(ngroups):
        if rules.first_kept <= g < rules.stop_kept or not rules.first_used <= g <= rules.last_used:
            continue
        flags = inputs.groupdq[:, g, tile.rows, tile.columns]
        samples = as_single(inputs.data[:, g, tile.rows, tile.columns])
        good = ((flags & ~np.uint8(dq.PERSISTENCE)) == 0) & np.isfinite(samples)
        found |= good.reshape(found.shape)
    return found


class PlanePointers:
    """One input, and the buffer for a tile of it where it cannot be read in place."""

    def __init__(self, array: np.ndarray, dtype: DTypeLike, most_pixels: int, *, direct: bool | None = None) -> None:
        self._array = array
        self._direct = is_run(array, dtype) if direct is None else direct
        shape = (*array.shape[:-2], 0 if self._direct else most_pixels)
        self.buffer = np.empty(shape, dtype)
        self.planes = array if self._direct else self.buffer[..., np.newaxis]
        self._addresses = addresses(self.planes)

    def at(self, tile: Tile) -> np.ndarray:
        """Return the addresses of the first pixel of `tile`, of the shape of the array's leading axes."""
        if self._direct:
            return np.asarray(self._addresses + pixels_before(tile, self._array.shape[-1]) * self._array.itemsize)
        fill(self.buffer, self._array[..., tile.rows, tile.columns])
        return self._addresses


def pixels_before(tile: Tile, ncols: int) -> int:
    """Return how many pixels of an image stand before a tile."""
    return int(tile.rows.start * ncols + tile.columns.start)


def is_run(array: np.ndarray, dtype: DTypeLike) -> bool:
    """Tell whether the pixels of each plane are elements of `dtype` that stand behind each other."""
    nrows, ncols = array.shape[-2:]
    rows, columns = array.strides[-2:]
    size = array.dtype.itemsize
    return array.dtype == dtype and (ncols == 1 or columns == size) and (nrows == 1 or rows == ncols * size)
