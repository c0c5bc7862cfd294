"""Corrections of raw reads, tile by tile, on the copies that are fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rampfit_numba.algorithms.rows import fill
from rampfit_numba.kernels.corrections import correct_reads

if TYPE_CHECKING:
    from rampfit_numba.algorithms.rows import RowInputs, Tile
    from rampfit_numba.reads import ReadCorrections


class ReadRules(NamedTuple):
    """Corrections of raw reads that are the same for all pixels; see :class:`rampfit_numba.reads.ReadCorrections`.

    Attributes
    ----------
    inverted_from : float
        NaN for counts that rise.
    from_first : bool
    """

    inverted_from: float
    from_first: bool


def read_rules(corrections: ReadCorrections | None) -> ReadRules | None:
    """Return the rules of an exposure's corrections; None where there are none."""
    if corrections is None:
        return None
    inverted_from = corrections.inverted_from
    return ReadRules(float("nan") if inverted_from is None else inverted_from, corrections.from_first)


def make_ready() -> None:
    """Compile the kernel, or load it, before several workers do."""
    nothing = np.empty(0, np.float32)
    samples, flags = np.zeros((1, 1, 1), np.float32), np.zeros((1, 1, 1), np.uint8)
    correct_reads(samples, flags, 1, nothing, nothing, np.empty((0, 0), np.float32), np.float32("nan"), False)  # noqa: FBT003


class Corrector:
    """Corrects tiles of the inputs that were copied to buffers."""

    def __init__(self, inputs: RowInputs, rules: ReadRules, most_pixels: int) -> None:
        self._rules = rules
        images = (inputs.saturation, inputs.pedestal)
        self._planes = [(image, np.empty(most_pixels if image is not None else 0, np.float32)) for image in images]
        cube = inputs.linearity
        self._planes.append((cube, np.empty((0, 0) if cube is None else (len(cube), most_pixels), np.float32)))

    def correct(self, samples: np.ndarray, flags: np.ndarray, tile: Tile) -> None:
        """Correct the ramps of `tile`, which stand at the front of the last axis of two buffers."""
        for plane, buffer in self._planes:
            if plane is not None:
                fill(buffer, plane[..., tile.rows, tile.columns])
        saturation, pedestal, linearity = (buffer for _, buffer in self._planes)
        correct_reads(
            samples,
            flags,
            tile.shape[0] * tile.shape[1],
            saturation,
            pedestal,
            linearity,
            np.float32(self._rules.inverted_from),
            self._rules.from_first,
        )
