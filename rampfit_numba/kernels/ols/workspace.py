"""What the fit of a block works in, and what stands where in it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rampfit_numba.kernels._jit import LANES
from rampfit_numba.kernels.bits import BITS
from rampfit_numba.kernels.lists import SPARE
from rampfit_numba.kernels.ols.long_median import Selection, empty_selection
from rampfit_numba.kernels.ols.pixels import CONSTANTS
from rampfit_numba.kernels.ols.segments import MOST_IN_BYTES

#: Rows of `doubles`, of `words` and of `masks` in :class:`BlockWorkspace`; some quantities have several.
(
    RATE,
    SIZE,
    CLASSES,
    SLOPE,
    TOTALS,
    WORK,
    CLEAN,
    CLEAN_COMBINED,
    SUMS,
    COMBINED,
    SOME,
    PIXEL_CONSTANTS,
    DOUBLES,
) = (int(row) for row in np.cumsum([0, 1, 1, 1, 1, 3, 2, 3, 4, 4, 4, 8, CONSTANTS]))
BASE, RATE_DQ, WORDS = range(3)
#: ... and of `bytes`, the lowest bits of flags; before them stands what is overwritten anywhere.
BASE_BITS, BITS_NOW, BITS_JOINED, BITS_ANY, BITS_ALL, BITS_PARTLY_SATURATED, BYTES = range(5, 12)
UNFLAGGED, LEFT_OUT, FITTED, INVALID, SOME_MASKS, MASKS = 0, 1, 2, 3, 4, 6
ADDED, PARTLY_SATURATED, REPLACED_FLAG, FLAGS = range(4)


class BlockWorkspace(NamedTuple):
    """State of a block while it is fitted: one value a lane, or a lane and integration.

    Many quantities stand in few arrays: at every use of an attribute, the compiler takes all of them apart, which took
    it a second and a half when each had an array.

    Attributes
    ----------
    has_flags : ndarray of bool, shape (nints,)
        To be set before a block is fitted: whether any ramp of the integration has a flag that counts. The other arrays
        are overwritten.
    nflagged, flagged : ndarray of int64, shape (nints,), and of uint32, shape (nints, LANES + SPARE)
        The ramps that have flags, and their number.
    status, flags : ndarray of uint16, shape (nints, LANES), and of uint8, shape (3, nints, LANES)
        See :mod:`ramp_status`; the bits that integrations get, those of partial saturation, and the flags of group 0 as
        they were where a zeroframe took its place.
    replaced_sample, read_variances : ndarray of float32 and float64, shape (nints, LANES)
        Group 0 as it was where a zeroframe took its place, in DN; var_rnoise in (DN/s)^2, where a ramp has lost charge:
        else that memory stays untouched, which counts with many integrations.
    differences, values : ndarray of float32, shape (ngroups - 1, LANES), and of float64, shape (ngroups,)
        See :mod:`median_rate`.
    doubles, words, masks, bytes, singles, stored : ndarray of float64, uint32, bool, uint8, float32 and int32
        Shape (rows, LANES) or (LANES,).
    listed : ndarray of uint32, shape (LANES + SPARE,)
    usable_bits : ndarray of uint64, shape (LANES / BITS, ngroups - 1)
        See :func:`rampfit_numba.kernels.ols.short_median.middle_of_usable_steps`.
    selection : Selection or None
        Finds medians where there are too many groups for a network.
    """

    has_flags: np.ndarray
    nflagged: np.ndarray
    flagged: np.ndarray
    status: np.ndarray
    flags: np.ndarray
    replaced_sample: np.ndarray
    read_variances: np.ndarray
    differences: np.ndarray
    values: np.ndarray
    doubles: np.ndarray
    words: np.ndarray
    masks: np.ndarray
    bytes: np.ndarray
    singles: np.ndarray
    stored: np.ndarray
    listed: np.ndarray
    usable_bits: np.ndarray
    selection: Selection | None


def block_workspace(nints: int, ngroups: int) -> BlockWorkspace:
    """Return :class:`BlockWorkspace` for blocks of exposures with so many integrations and groups."""
    return BlockWorkspace(
        has_flags=np.empty(nints, np.bool_),
        nflagged=np.empty(nints, np.int64),
        flagged=np.empty((nints, LANES + SPARE), np.uint32),
        status=np.empty((nints, LANES), np.uint16),
        flags=np.empty((FLAGS, nints, LANES), np.uint8),
        replaced_sample=np.empty((nints, LANES), np.float32),
        read_variances=np.empty((nints, LANES), np.float64),
        differences=np.empty((max(ngroups - 1, 1), LANES), np.float32),
        values=np.empty(ngroups, np.float64),
        doubles=np.zeros((DOUBLES, LANES), np.float64),
        words=np.empty((WORDS, LANES), np.uint32),
        masks=np.empty((MASKS, LANES), np.bool_),
        bytes=np.empty((BYTES, LANES), np.uint8),
        singles=np.empty(LANES, np.float32),
        stored=np.empty(LANES, np.int32),
        listed=np.empty(LANES + SPARE, np.uint32),
        usable_bits=np.empty((max(LANES // BITS, 1), max(ngroups - 1, 1)), np.uint64),
        selection=empty_selection(ngroups - 1) if ngroups > MOST_IN_BYTES else None,
    )
