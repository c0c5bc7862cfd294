"""How many reads the fit of some rows used, tile by tile: an entry that the engine is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rampfit_numba.algorithms.corrections import Corrector, ReadRules
from rampfit_numba.algorithms.rows import RowInputs, Tiles, fill, fitting_pixels
from rampfit_numba.kernels._jit import LANES
from rampfit_numba.kernels.used_reads import count_used

if TYPE_CHECKING:
    from rampfit_numba.algorithms.rows import Tile


class UsedReads(NamedTuple):
    """Number of reads used, int16, shape (nints, nrows, ncols)."""

    nreads: np.ndarray


def count_used_rows(
    inputs: RowInputs, outputs: UsedReads, first_used: int, last_used: int, rules: ReadRules | None
) -> None:
    """Count the reads used of some rows; the flags of `inputs` are those that the fit left behind."""
    nints, nreads, nrows, ncols = inputs.data.shape
    tiles = Tiles(nrows, ncols, fitting_pixels(nints, nreads, in_place=False))
    padded = -(-tiles.pixels // LANES) * LANES
    samples = np.zeros((nints, nreads, padded), np.float32)
    flags, result = np.zeros(samples.shape, np.uint8), np.empty((nints, padded), np.int16)
    corrector = None if rules is None else Corrector(inputs, rules, padded)
    for tile in tiles:
        _fill(samples, flags, inputs, tile)
        npixels = tile.shape[0] * tile.shape[1]
        if corrector is not None:
            corrector.correct(samples, flags, tile)
        count_used(samples.view(np.int32), flags, npixels, first_used, last_used, result)
        outputs.nreads[:, tile.rows, tile.columns] = result[:, :npixels].reshape(nints, *tile.shape)


def _fill(samples: np.ndarray, flags: np.ndarray, inputs: RowInputs, tile: Tile) -> None:
    fill(samples, inputs.data[..., tile.rows, tile.columns])
    fill(flags, inputs.groupdq[..., tile.rows, tile.columns])
