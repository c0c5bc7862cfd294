"""How many reads the fit of some rows used, window by window: an entry that the engine is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rampfit_numba.algorithms.corrections import Corrector, ReadRules
from rampfit_numba.algorithms.rows import RowInputs, Windows, fill, fitting_pixels
from rampfit_numba.kernels._jit import LANES
from rampfit_numba.kernels.used_reads import count_used

if TYPE_CHECKING:
    from rampfit_numba.algorithms.rows import Window


class UsedReads(NamedTuple):
    """Number of reads used, int16, shape (nints, nrows, ncols)."""

    nreads: np.ndarray


def count_used_rows(
    inputs: RowInputs, outputs: UsedReads, first_used: int, last_used: int, rules: ReadRules | None
) -> None:
    """Count the reads used of some rows; the flags of `inputs` are those that the fit left behind."""
    nints, nreads, nrows, ncols = inputs.data.shape
    windows = Windows(nrows, ncols, fitting_pixels(nints, nreads, in_place=False))
    room = -(-windows.pixels // LANES) * LANES
    samples = np.zeros((nints, nreads, room), np.float32)
    flags, result = np.zeros(samples.shape, np.uint8), np.empty((nints, room), np.int16)
    corrector = None if rules is None else Corrector(inputs, rules, room)
    for window in windows:
        _fill(samples, flags, inputs, window)
        npixels = window.shape[0] * window.shape[1]
        if corrector is not None:
            corrector.correct(samples, flags, window)
        count_used(samples.view(np.int32), flags, npixels, first_used, last_used, result)
        outputs.nreads[:, window.rows, window.columns] = result[:, :npixels].reshape(nints, *window.shape)


def _fill(samples: np.ndarray, flags: np.ndarray, inputs: RowInputs, window: Window) -> None:
    fill(samples, inputs.data[..., window.rows, window.columns])
    fill(flags, inputs.groupdq[..., window.rows, window.columns])
