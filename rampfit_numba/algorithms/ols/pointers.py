"""Where inputs and outputs of a tile stand in memory, as addresses that kernels copy from and to.

Inputs may have any dtype, byte order and strides. Where a tile's pixels stand behind each other as float32 (in
either byte order) or uint8, they are read in place, once and block by block; others are first copied to a buffer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rampfit_numba import dq
from rampfit_numba.algorithms.corrections import Corrector
from rampfit_numba.algorithms.rows import Tiles, as_single, fill, fitting_pixels
from rampfit_numba.kernels.memory import addresses, spans_of
from rampfit_numba.kernels.ols.arrays import RESULT_TYPES, WORD, BlockPointers, FitOptPointers, ResultPointers

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from rampfit_numba.algorithms.ols.rules import OlsOutputs, OlsRules
    from rampfit_numba.algorithms.rows import RowInputs, Tile

#: Types of all outputs; the first of them are those of rate and rateints, the next those of the segments.
_TYPES = [*RESULT_TYPES * 2, *[np.float32] * 9]
_RATES, _SEGMENTS = 2 * len(RESULT_TYPES), 7


class InputPointers:
    """Finds the pointers of the inputs, tile by tile: those of one are valid until the next one's are found."""

    def __init__(self, inputs: RowInputs, rules: OlsRules) -> None:
        nints, _, nrows, ncols = inputs.data.shape
        kept = slice(rules.first_kept, rules.stop_kept)
        data, groupdq = inputs.data[:, kept], inputs.groupdq[:, kept]
        self._inputs, self._rules = inputs, rules
        self._swapped = data.dtype != np.float32 and data.dtype.newbyteorder() == np.float32
        direct = [_is_run(data, data.dtype if self._swapped else np.float32), _is_run(groupdq, np.uint8)]
        if rules.reads is not None:
            # What is corrected is a copy.
            direct = [False, False]
        self._swapped &= direct[0]
        # Whatever needs memory for all integrations of a tile keeps it small.
        in_place = all(direct) and not rules.dropped_good
        in_place &= inputs.zeroframe is None or _is_run(inputs.zeroframe, np.float32)
        ngroups = rules.stop_kept - rules.first_kept
        self.tiles = Tiles(nrows, ncols, fitting_pixels(nints, ngroups, in_place=in_place))
        most = self.tiles.pixels
        self._data = _Input(data, np.float32, most, direct=direct[0])
        self._groupdq = _Input(groupdq, np.uint8, most, direct=direct[1])
        self._corrector = None if rules.reads is None else Corrector(inputs, rules.reads, most)
        self._zeroframe = None if inputs.zeroframe is None else _Input(inputs.zeroframe, np.float32, most)
        types = (np.uint32, np.float32, np.float32, np.float32)
        planes = (inputs.pixeldq, inputs.readnoise, inputs.gain, inputs.dark)
        self._planes = [
            None if plane is None else _Input(plane, dtype, most) for plane, dtype in zip(planes, types, strict=True)
        ]
        found = (self._data, self._groupdq, self._zeroframe, *self._planes)
        self._spans = np.concatenate([one.spans for one in found if one is not None])

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


def find_suppressed(inputs: RowInputs, rules: OlsRules, tile: Tile) -> np.ndarray:
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


class _Input:
    """One input, and the buffer for a tile of it where it cannot be read in place."""

    def __init__(self, array: np.ndarray, dtype: DTypeLike, most_pixels: int, *, direct: bool | None = None) -> None:
        self._array = array
        self._direct = _is_run(array, dtype) if direct is None else direct
        shape = (*array.shape[:-2], 0 if self._direct else most_pixels)
        self.buffer = np.empty(shape, dtype)
        planes = array if self._direct else self.buffer[..., np.newaxis]
        self._addresses = addresses(planes)
        self.spans = spans_of(planes)

    def at(self, tile: Tile) -> np.ndarray:
        """Return the addresses of the first pixel of `tile`, of the shape of the array's leading axes."""
        if self._direct:
            return np.asarray(self._addresses + _pixels_before(tile, self._array.shape[-1]) * self._array.itemsize)
        fill(self.buffer, self._array[..., tile.rows, tile.columns])
        return self._addresses


class OutputPointers:
    """Finds where the outputs are, tile by tile, and has buffers for those that cannot be written in place."""

    def __init__(self, outputs: OlsOutputs, most_pixels: int) -> None:
        # Whoever gives arrays to be filled again may have cut them out of larger ones.
        planes = [plane for plane in outputs if plane is not None]
        typed = list(zip(planes, _TYPES, strict=False))
        buffers = [None if _is_run(p, t) else np.zeros((*p.shape[:-2], most_pixels), t) for p, t in typed]
        pairs = list(zip(planes, buffers, strict=True))
        self._copied = [(plane, buffer) for plane, buffer in pairs if buffer is not None]
        self._ncols = outputs.slope.shape[-1]
        written = [plane if buffer is None else buffer[..., np.newaxis] for plane, buffer in pairs]
        found = [addresses(array) for array in written]
        self._spans = np.concatenate([spans_of(array) for array in written])
        in_place = [np.full(at.shape, buffer is None) for at, (_, buffer) in zip(found, pairs, strict=True)]
        self._results, self._in_place = (np.concatenate([x.ravel() for x in xs[:_RATES]]) for xs in (found, in_place))
        segments = slice(_RATES, _RATES + _SEGMENTS)
        self._fitopt, self._fitopt_in_place = (
            FitOptPointers(np.array(xs[segments]), *xs[segments.stop :]) if len(xs) > _RATES else None
            for xs in (found, in_place)
        )

    def at(self, tile: Tile) -> tuple[ResultPointers, FitOptPointers | None]:
        """Return the pointers of the outputs at `tile`, and of the optional ones if there are any."""
        for _, buffer in self._copied:
            buffer[...] = 0
        skipped = _pixels_before(tile, self._ncols) * WORD
        results = ResultPointers(self._results + skipped * self._in_place, self._spans)
        if self._fitopt is None or self._fitopt_in_place is None:
            return results, None
        pairs = zip(self._fitopt, self._fitopt_in_place, strict=True)
        return results, FitOptPointers(*(first + skipped * in_place for first, in_place in pairs))

    def store(self, tile: Tile) -> None:
        """Copy what could not be written in place at `tile`."""
        npixels = tile.shape[0] * tile.shape[1]
        for plane, buffer in self._copied:
            here = plane[..., tile.rows, tile.columns]
            here[...] = buffer[..., :npixels].reshape(here.shape)


def _pixels_before(tile: Tile, ncols: int) -> int:
    return int(tile.rows.start * ncols + tile.columns.start)


def _is_run(array: np.ndarray, dtype: DTypeLike) -> bool:
    """Tell whether the pixels of each plane are elements of `dtype` that stand behind each other."""
    nrows, ncols = array.shape[-2:]
    rows, columns = array.strides[-2:]
    size = array.dtype.itemsize
    return array.dtype == dtype and (ncols == 1 or columns == size) and (nrows == 1 or rows == ncols * size)
