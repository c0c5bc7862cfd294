"""What the kernels give: the arrays of one block, LANES pixels with all their integrations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: Types of the results of an exposure's or an integration's pixel, in the order of the arguments of
#: :class:`rampfit_numba.algorithms.ols.rules.OlsOutputs` and of the rows of :attr:`BlockResult.packed`.
RESULT_TYPES = (*[np.float32] * 4, np.uint32)


class BlockResult(NamedTuple):
    """Outputs of one block in DN/s and (DN/s)^2; float32 arrays begin with an axis SLOPE, ERR, VAR_POISSON, VAR_RNOISE.

    Attributes
    ----------
    packed : ndarray of uint32, shape (5 + 5 kept, LANES)
        Everything, row by row: the rate's four planes, its flags, the four of each integration, and their flags. The
        other arrays are the same memory. Of many integrations only some are kept until they are copied.
    rate, rate_dq : ndarray, shapes (4, LANES), (LANES,)
    rateints, rateints_dq : ndarray, shapes (4, kept, LANES), (kept, LANES)
    """

    packed: np.ndarray
    rate: np.ndarray
    rate_dq: np.ndarray
    rateints: np.ndarray
    rateints_dq: np.ndarray


class FitOptPointers(NamedTuple):
    """Optional outputs of the pixels of one tile, as :class:`.blocks.BlockPointers`.

    Attributes
    ----------
    segments : ndarray of int64, shape (7, nints, nsegments)
        The first axis is that of :mod:`fitopt`.
    pedestal : ndarray of int64, shape (nints,)
    crmag : ndarray of int64, shape (nints, njumps)
    """

    segments: np.ndarray
    pedestal: np.ndarray
    crmag: np.ndarray


class BlockFitOpt(NamedTuple):
    """Optional outputs of one integration of a block.

    The first segments are written always; all else is 0 before, and cleared when it has been copied.

    Attributes
    ----------
    segments : ndarray of float32, shape (7, nsegments, LANES)
        The first axis is that of :mod:`fitopt`.
    pedestal : ndarray of float32, shape (LANES,)
    crmag : ndarray of float32, shape (njumps, LANES)
    nothing : ndarray of float32, shape (LANES,)
        0, for what is not there.
    depth : ndarray of int64, shape (2,)
        Largest number of segments and of jumps that any ramp has: what is behind is 0. It can be larger than there is
        room for, where the flags changed after they were counted.
    whole : ndarray of bool, shape (1,)
        Whether there was room for all so far.
    """

    segments: np.ndarray
    pedestal: np.ndarray
    crmag: np.ndarray
    nothing: np.ndarray
    depth: np.ndarray
    whole: np.ndarray


class ResultPointers(NamedTuple):
    """Outputs of the pixels of one tile, as :class:`.blocks.BlockPointers`.

    Attributes
    ----------
    rows : ndarray of int64, shape (5 + 5 nints,)
        Those of rate and rateints, as :class:`BlockResult` has their rows.
    spans : ndarray of int64, shape (number, 2)
        See :func:`rampfit_numba.kernels.memory.spans_of`; also for the optional results.
    """

    rows: np.ndarray
    spans: np.ndarray


class BlockPlace(NamedTuple):
    """Where the results of one block belong.

    Attributes
    ----------
    gathered : bool
        Whether the pixels of the block stand at `pixels`, else one behind the other from `first` on.
    first : int
    pixels : ndarray of int64, shape (LANES,)
    number : int
        How many pixels the block has; lanes behind these are padding.
    results, fitopt : ResultPointers, FitOptPointers or None
    """

    gathered: np.bool_
    first: np.int64
    pixels: np.ndarray
    number: np.int64
    results: ResultPointers
    fitopt: FitOptPointers | None
