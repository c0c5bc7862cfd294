"""What the kernels take and give: the arrays of one block, LANES pixels with all their integrations and groups."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: Bytes of a sample, and of a result.
WORD = 4
#: Types of the results of an exposure's or an integration's pixel, in the order of the arguments of
#: :class:`rampfit_numba.algorithms.ols.rules.OlsOutputs` and of the rows of :attr:`BlockResult.packed`.
RESULT_TYPES = (*[np.float32] * 4, np.uint32)


class Ramps(NamedTuple):
    """Inputs of one block; what is behind the last pixel of an image is padding.

    Attributes
    ----------
    samples : ndarray of float32, shape (nints, ngroups, LANES)
        In DN; a zeroframe value takes the place of group 0 where it must.
    bits : ndarray of int32
        The same memory.
    flags : ndarray of uint8, shape of `samples`
        :func:`ramp_status.gather_flags` adds DO_NOT_USE to samples that are not finite and not SATURATED.
    pixeldq : ndarray of uint32, shape (LANES,)
    readnoise, gain, dark : ndarray of float32, shape (LANES,)
        CDS noise in DN, e-/DN, DN/s.
    zeroframe : ndarray of float32, shape (nints, LANES) or (nints, 0)
        In DN.
    suppressed : ndarray of bool, shape (nints, LANES) or (nints, 0)
        See :func:`ramp_status.ramp_status`.
    """

    samples: np.ndarray
    bits: np.ndarray
    flags: np.ndarray
    pixeldq: np.ndarray
    readnoise: np.ndarray
    gain: np.ndarray
    dark: np.ndarray
    zeroframe: np.ndarray
    suppressed: np.ndarray


class BlockResult(NamedTuple):
    """Outputs of one block in DN/s and (DN/s)^2; float32 arrays begin with an axis SLOPE, ERR, VAR_POISSON, VAR_RNOISE.

    Attributes
    ----------
    packed : ndarray of uint32, shape (5 + 5 nints, LANES)
        Everything, row by row: the rate's four planes, its flags, the four of each integration, and their flags. The
        other arrays are the same memory.
    rate, rate_dq : ndarray, shapes (4, LANES), (LANES,)
    rateints, rateints_dq : ndarray, shapes (4, nints, LANES), (nints, LANES)
    """

    packed: np.ndarray
    rate: np.ndarray
    rate_dq: np.ndarray
    rateints: np.ndarray
    rateints_dq: np.ndarray


class BlockFitOpt(NamedTuple):
    """Optional outputs of one block, zeroed by the caller.

    Attributes
    ----------
    segments : ndarray of float32, shape (7, nints, nsegments, LANES)
        The first axis is that of :mod:`fitopt`.
    pedestal : ndarray of float32, shape (nints, LANES)
    crmag : ndarray of float32, shape (nints, njumps, LANES)
    depth : ndarray of int64, shape (2, nints)
        Largest number of segments and of jumps that any ramp of the block has: what is behind was not has_flags. It can
        be larger than there is room for, where the flags changed after they were counted.
    """

    segments: np.ndarray
    pedestal: np.ndarray
    crmag: np.ndarray
    depth: np.ndarray


class BlockPointers(NamedTuple):
    """Inputs of the pixels of one window: addresses of the first pixel, behind which the others follow.

    Attributes
    ----------
    samples, flags : ndarray of int64, shape (nints, ngroups)
        Float32 in DN; uint8.
    zeroframe : ndarray of int64, shape (nints,) or (0,)
        Float32 in DN.
    planes : ndarray of int64, shape (4,)
        Flags (uint32), read noise, gain and dark current (float32) of the pixels; 0 where there are none.
    suppressed : ndarray of bool, shape (nints, npixels) or (nints, 0)
        See :func:`ramp_status.ramp_status`; the array itself.
    npixels : int
    swapped : bool
        The samples' bytes stand in the other order.
    first_used, last_used : int
        Groups outside this inclusive range count as DO_NOT_USE.
    spans : ndarray of int64, shape (number, 2)
        See :func:`rampfit_numba.kernels.memory.spans_of`.
    """

    samples: np.ndarray
    flags: np.ndarray
    zeroframe: np.ndarray
    planes: np.ndarray
    suppressed: np.ndarray
    npixels: int
    swapped: bool
    first_used: int
    last_used: int
    spans: np.ndarray


class ResultPointers(NamedTuple):
    """Outputs of the pixels of one window, as :class:`BlockPointers`.

    Attributes
    ----------
    rows : ndarray of int64, shape (5 + 5 nints,)
        Those of rate and rateints, as :class:`BlockResult` has their rows.
    spans : ndarray of int64, shape (number, 2)
        See :func:`rampfit_numba.kernels.memory.spans_of`; also for the optional results.
    """

    rows: np.ndarray
    spans: np.ndarray


class FitOptPointers(NamedTuple):
    """Optional outputs of the pixels of one window, as :class:`BlockPointers`; zeroed by the caller.

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
