"""Where the outputs of a tile stand in memory, as addresses that kernels copy to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rampfit_numba.algorithms.blocks import is_run, pixels_before
from rampfit_numba.kernels.blocks import WORD
from rampfit_numba.kernels.memory import addresses, spans_of
from rampfit_numba.kernels.ols.arrays import RESULT_TYPES, FitOptPointers, ResultPointers

if TYPE_CHECKING:
    from rampfit_numba.algorithms.ols.rules import OlsOutputs
    from rampfit_numba.algorithms.rows import Tile

#: Types of all outputs; the first of them are those of rate and rateints, the next those of the segments.
_TYPES = [*RESULT_TYPES * 2, *[np.float32] * 9]
_RATES, _SEGMENTS = 2 * len(RESULT_TYPES), 7


class OutputPointers:
    """Finds where the outputs are, tile by tile, and has buffers for those that cannot be written in place."""

    def __init__(self, outputs: OlsOutputs, most_pixels: int) -> None:
        # Whoever gives arrays to be filled again may have cut them out of larger ones.
        planes = [plane for plane in outputs if plane is not None]
        typed = list(zip(planes, _TYPES, strict=False))
        buffers = [None if is_run(p, t) else np.empty((*p.shape[:-2], most_pixels), t) for p, t in typed]
        pairs = list(zip(planes, buffers, strict=True))
        self._copied = [(plane, buffer) for plane, buffer in pairs if buffer is not None]
        self._ncols = outputs.slope.shape[-1]
        written = [plane if buffer is None else buffer[..., np.newaxis] for plane, buffer in pairs]
        found = [addresses(array) for array in written]
        self._spans = spans_of(*written)
        in_place = [np.full(at.shape, buffer is None) for at, (_, buffer) in zip(found, pairs, strict=True)]
        self._results, self._in_place = (np.concatenate([x.ravel() for x in xs[:_RATES]]) for xs in (found, in_place))
        segments = slice(_RATES, _RATES + _SEGMENTS)
        self._fitopt, self._fitopt_in_place = (
            FitOptPointers(np.array(xs[segments]), *xs[segments.stop :]) if len(xs) > _RATES else None
            for xs in (found, in_place)
        )

    def at(self, tile: Tile) -> tuple[ResultPointers, FitOptPointers | None]:
        """Return the pointers of the outputs at `tile`, and of the optional ones if there are any."""
        skipped = pixels_before(tile, self._ncols) * WORD
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
