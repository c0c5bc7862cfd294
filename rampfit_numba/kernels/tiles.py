"""What kernels take that do not read in place: the arrays of one tile, some pixels with all integrations and groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np


class TileInputs(NamedTuple):
    """Inputs of one tile. The number of pixels is a multiple of LANES; what is behind the last pixel is padding.

    Attributes
    ----------
    samples : ndarray of float32, shape (nints, ngroups, npixels)
        In DN.
    bits : ndarray of int32
        The same memory.
    flags : ndarray of uint8, shape of `samples`
        DO_NOT_USE is added to samples that are not finite.
    pixeldq : ndarray of uint32, shape (npixels,)
    readnoise, gain, dark : ndarray of float32, shape (npixels,)
        CDS noise in DN, e-/DN, DN/s.
    zeroframe : ndarray of float32, shape (nints, npixels) or (nints, 0)
        In DN.
    """

    samples: np.ndarray
    bits: np.ndarray
    flags: np.ndarray
    pixeldq: np.ndarray
    readnoise: np.ndarray
    gain: np.ndarray
    dark: np.ndarray
    zeroframe: np.ndarray
