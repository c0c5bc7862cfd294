"""Blocks: LANES pixels, or fewer, with all their integrations and groups, copied from wherever the exposure stands.

A block stays in the nearest cache while it is fitted, so that the exposure is read from memory once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import types

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES, jit, jit_apart
from rampfit_numba.kernels.memory import copy_in, fetch

#: Bytes of a sample, and of a result.
WORD = 4
#: Most rows of samples of a block that is asked for ahead: a quarter of a megabyte, which the second cache has room for
#: beside the block at hand; larger ones push that out.
_MOST_AHEAD = 200
_D = np.uint8(dq.DO_NOT_USE)


class Ramps(NamedTuple):
    """Inputs of one block of `lanes` pixels; what is behind the last pixel of an image is padding.

    Attributes
    ----------
    samples : ndarray of float32, shape (nints, ngroups, lanes)
        In DN; a zeroframe value takes the place of group 0 where it must.
    bits : ndarray of int32
        The same memory.
    flags : ndarray of uint8, shape of `samples`
        :func:`ramp_status.gather_flags` adds DO_NOT_USE to samples that are not finite and not SATURATED.
    pixeldq : ndarray of uint32, shape (lanes,)
    readnoise, gain, dark : ndarray of float32, shape (lanes,)
        CDS noise in DN, e-/DN, DN/s.
    zeroframe : ndarray of float32, shape (nints, lanes) or (nints, 0)
        In DN.
    suppressed : ndarray of bool, shape (nints, lanes) or (nints, 0)
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


class BlockPointers(NamedTuple):
    """Inputs of the pixels of one tile: addresses of the first pixel, behind which the others follow.

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


def empty_ramps(pointers: BlockPointers, lanes: int = LANES) -> Ramps:
    """Return arrays for a block of pixels whose inputs are like these; planes that are absent keep their values."""
    nints, ngroups = pointers.samples.shape
    samples = np.zeros((nints, ngroups, lanes), np.float32)
    return Ramps(
        samples=samples,
        bits=samples.view(np.int32),
        flags=np.zeros(samples.shape, np.uint8),
        pixeldq=np.zeros(lanes, np.uint32),
        readnoise=np.ones(lanes, np.float32),
        gain=np.ones(lanes, np.float32),
        dark=np.zeros(lanes, np.float32),
        zeroframe=np.zeros((nints, lanes if pointers.zeroframe.size else 0), np.float32),
        suppressed=np.zeros((nints, lanes if pointers.suppressed.size else 0), np.bool_),
    )


@jit_apart(types.none)
def load_block(pointers, first, ramps):
    """Copy a block of pixels from pixel `first` of the tile on, with native byte order and the rule of groups.

    The block behind it is asked for, so that it has come when its turn is.
    """
    nints, ngroups = pointers.samples.shape
    spans = pointers.spans
    lanes = ramps.pixeldq.size
    following, number = first + lanes, min(lanes, pointers.npixels - first)
    ahead = following < pointers.npixels and nints * ngroups <= _MOST_AHEAD
    for i in range(nints):
        for g in range(ngroups):
            copy_in(ramps.samples[i, g], pointers.samples[i, g] + first * WORD, number, spans)
            copy_in(ramps.flags[i, g], pointers.flags[i, g] + first, number, spans)
            if ahead:
                fetch(pointers.samples[i, g] + following * WORD, lanes * WORD)
                fetch(pointers.flags[i, g] + following, lanes)
            if pointers.swapped:
                _swap(ramps.bits[i, g])
            if not pointers.first_used <= g <= pointers.last_used:
                flags = ramps.flags[i, g]
                for k in range(flags.size):
                    flags[k] |= _D
        if pointers.zeroframe.size > 0:
            copy_in(ramps.zeroframe[i], pointers.zeroframe[i] + first * WORD, number, spans)
        if pointers.suppressed.size > 0:
            for k in range(number):
                ramps.suppressed[i, k] = pointers.suppressed[i, first + k]
    if pointers.planes[0] != 0:
        copy_in(ramps.pixeldq, pointers.planes[0] + first * WORD, number, spans)
    copy_in(ramps.readnoise, pointers.planes[1] + first * WORD, number, spans)
    copy_in(ramps.gain, pointers.planes[2] + first * WORD, number, spans)
    if pointers.planes[3] != 0:
        copy_in(ramps.dark, pointers.planes[3] + first * WORD, number, spans)


@jit
def _swap(bits):
    """Reverse the bytes of a row of samples."""
    for k in range(bits.size):
        word = np.uint32(bits[k])
        bits[k] = np.int32((word >> 24) | ((word >> 8) & 0xFF00) | ((word << 8) & 0xFF0000) | (word << 24))


@jit
def pad_block(ramps, number):
    """Make the ramps behind the first `number` pixels of a block unusable; the pixels' planes may be anything."""
    nints, ngroups, lanes = ramps.samples.shape
    if number == lanes:
        return
    for i in range(nints):
        for g in range(ngroups):
            ramps.samples[i, g, number:] = 0.0
            ramps.flags[i, g, number:] = _D
        if ramps.zeroframe.size > 0:
            ramps.zeroframe[i, number:] = 0.0
        if ramps.suppressed.size > 0:
            ramps.suppressed[i, number:] = False
