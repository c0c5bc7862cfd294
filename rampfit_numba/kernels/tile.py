"""Fit of one tile: a few thousand ramps whose samples and flags stand together in memory.

A tile is treated block by block: LANES pixels with all their integrations and groups, which then are in the nearest
cache. Where few pixels of a block have flags, it is fitted as if none had, and those that have are fitted once more,
gathered from the whole tile into blocks of their own.
"""

from __future__ import annotations

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels import ramp_status
from rampfit_numba.kernels._jit import LANES, jit, jit_allocating
from rampfit_numba.kernels.arrays import Tile, TileFitOpt, TileResult
from rampfit_numba.kernels.block import fit_block, room_for_block
from rampfit_numba.kernels.segments import count_segments, find_reach

_J = np.uint8(dq.JUMP_DET)
_D = np.uint8(dq.DO_NOT_USE)
_UNFITTED = ramp_status.NO_USABLE_GROUP | ramp_status.FIRST_SATURATED
_ZEROFRAME = ramp_status.ZEROFRAME
#: Up to so many pixels with flags leave a block; 2x20 with one in 40 pixels flagged takes a quarter less time with it.
_FEW = LANES // 4


@jit_allocating
def fit_tile(tile, settings, weights, network, reach, result, fitopt):
    """Fit all ramps of a tile (sections 2.9 to 8 of the rules in ``docs/algorithm.md``).

    Parameters
    ----------
    tile : Tile
    settings : Settings
    weights : Weights
    network : ndarray of int64, shape (exchanges, 3)
        See :func:`middle_network`.
    reach : Reach
        Room to work in.
    result : TileResult
    fitopt : TileFitOpt or None
        With None, the code for the optional results is not even compiled.
    """
    nints, ngroups, npixels = tile.samples.shape
    room = room_for_block(nints, ngroups)
    flagged = np.empty(npixels + 1, np.uint32)
    few, few_result, few_fitopt = _room_for_few(tile, fitopt)
    _fit_blocks(tile, settings, weights, network, reach, result, fitopt, room, flagged, few, few_result, few_fitopt)


@jit
def _fit_blocks(tile, settings, weights, network, reach, result, fitopt, room, flagged, few, few_result, few_fitopt):
    """Do the work of :func:`fit_tile` in arrays that it made: room for a list of pixels, and for a block of a few."""
    nints, ngroups, npixels = tile.samples.shape
    found, pixel_flags = room.bytes[0], room.bytes[1]
    nflagged = fitted = 0
    first = 0
    # One call of fit_block for both: it is inlined, and takes seconds to compile.
    while first < npixels or fitted < nflagged:
        gathered = first >= npixels
        here, here_first, here_result, here_fitopt = tile, first, result, fitopt
        pixels = flagged[fitted : min(fitted + LANES, nflagged)]
        if gathered:
            _gather(tile, pixels, few)
            here, here_first, here_result, here_fitopt = few, 0, few_result, few_fitopt
        pixel_flags[:] = 0
        for i in range(nints):
            room.touched[i] = ramp_status.gather_flags(here.bits[i], here.flags[i], here_first, found) or ngroups == 1
            if room.touched[i]:
                for k in range(LANES):
                    pixel_flags[k] |= found[k]
        if not gathered:
            before = nflagged
            for k in range(LANES):
                flagged[nflagged] = first + k
                nflagged += pixel_flags[k] != 0
            if nflagged - before <= _FEW and ngroups > 1:
                room.touched[:] = False
            else:
                nflagged = before
        fit_block(here, here_first, settings, weights, network, reach, room, here_result, here_fitopt)
        if gathered:
            _scatter(few_result, pixels, result)
            if fitopt is not None:
                _scatter_fitopt(few_fitopt, pixels, fitopt)
            fitted += LANES
        first += LANES


@jit_allocating
def _room_for_few(tile, fitopt):
    """Return a tile of one block, and room for its results."""
    nints, ngroups, _ = tile.samples.shape
    samples = np.empty((nints, ngroups, LANES), np.float32)
    few = Tile(
        samples,
        samples.view(np.int32),
        np.empty((nints, ngroups, LANES), np.uint8),
        np.empty(LANES, np.uint32),
        np.empty(LANES, np.float32),
        np.empty(LANES, np.float32),
        np.empty(LANES, np.float32),
        np.empty((nints, min(tile.zeroframe.shape[1], LANES)), np.float32),
        np.empty((nints, min(tile.suppressed.shape[1], LANES)), np.bool_),
    )
    result = TileResult(
        np.empty((4, LANES), np.float32),
        np.empty(LANES, np.uint32),
        np.empty((4, nints, LANES), np.float32),
        np.empty((nints, LANES), np.uint32),
    )
    if fitopt is None:
        return few, result, None
    optional = TileFitOpt(
        np.zeros((7, nints, fitopt.segments.shape[2], LANES), np.float32),
        np.zeros((nints, LANES), np.float32),
        np.zeros((nints, fitopt.crmag.shape[1], LANES), np.float32),
        np.zeros((2, nints), np.int64),
    )
    return few, result, optional


@jit
def _gather(tile, pixels, few):
    """Copy some pixels of a tile to the front of a block; what is behind is padding."""
    nints, ngroups, _ = tile.samples.shape
    number = len(pixels)
    for i in range(nints):
        for g in range(ngroups):
            from_samples, from_flags = tile.samples[i, g], tile.flags[i, g]
            to_samples, to_flags = few.samples[i, g], few.flags[i, g]
            for a in range(number):
                to_samples[a] = from_samples[pixels[a]]
                to_flags[a] = from_flags[pixels[a]]
            to_samples[number:] = 0.0
            to_flags[number:] = _D
        if tile.zeroframe.size > 0:
            for a in range(number):
                few.zeroframe[i, a] = tile.zeroframe[i, pixels[a]]
            few.zeroframe[i, number:] = 0.0
        if tile.suppressed.size > 0:
            for a in range(number):
                few.suppressed[i, a] = tile.suppressed[i, pixels[a]]
            few.suppressed[i, number:] = False
    for a in range(LANES):
        pixel = pixels[min(a, number - 1)]
        few.pixeldq[a] = tile.pixeldq[pixel]
        few.readnoise[a] = tile.readnoise[pixel]
        few.gain[a] = tile.gain[pixel]
        few.dark[a] = tile.dark[pixel]


@jit
def _scatter(few, pixels, result):
    """Copy the results of gathered pixels to their places in the tile."""
    for a in range(len(pixels)):
        pixel = pixels[a]
        result.rate_dq[pixel] = few.rate_dq[a]
        for j in range(4):
            result.rate[j, pixel] = few.rate[j, a]
        for i in range(few.rateints_dq.shape[0]):
            result.rateints_dq[i, pixel] = few.rateints_dq[i, a]
            for j in range(4):
                result.rateints[j, i, pixel] = few.rateints[j, i, a]


@jit
def _scatter_fitopt(few, pixels, fitopt):
    """Do what :func:`_scatter` does for the optional results, and zero what is behind the first segment in `few`."""
    for i in range(few.pedestal.shape[0]):
        segments, jumps = few.depth[0, i], few.depth[1, i]
        fitopt.depth[0, i] = max(fitopt.depth[0, i], segments)
        fitopt.depth[1, i] = max(fitopt.depth[1, i], jumps)
        for a in range(len(pixels)):
            pixel = pixels[a]
            fitopt.pedestal[i, pixel] = few.pedestal[i, a]
            for s in range(max(segments, 1)):
                for j in range(7):
                    fitopt.segments[j, i, s, pixel] = few.segments[j, i, s, a]
            for s in range(jumps):
                fitopt.crmag[i, s, pixel] = few.crmag[i, s, a]
        few.segments[:, i, 1:segments] = 0.0
        few.crmag[i, :jumps] = 0.0
    few.depth[:] = 0


@jit_allocating
def count_tile(tile, settings, reach):
    """Return the largest number of segments and of jumps that a ramp of this tile has, as fitopt needs it (section 8).

    The parameters are those of :func:`fit_tile`; the padding must be flagged, so as not to count.
    """
    nints, ngroups, npixels = tile.samples.shape
    status = np.empty(LANES, np.uint16)
    found = np.empty(LANES, np.uint8)
    added = np.empty(LANES, np.uint8)
    late = np.empty(LANES, np.uint8)
    flagged = np.empty(LANES + 1, np.uint32)
    left_out = np.empty(LANES, np.bool_)
    work = np.empty((5, LANES), np.uint8)
    several, single, jumps = np.empty(LANES, np.int32), np.empty(LANES, np.int32), np.empty(LANES, np.int32)
    most_segments = 0
    most_jumps = 0
    for first in range(0, npixels, LANES):
        for i in range(nints):
            flags = tile.flags[i]
            if not ramp_status.gather_flags(tile.bits[i], flags, first, found):
                most_segments = max(most_segments, 1)
                continue
            number = ramp_status.ramp_status(
                flags, first, tile.zeroframe[i], tile.suppressed[i], settings, status, added, late, flagged, work
            )
            jumps[:] = 0
            for g in range(1, ngroups):
                here = flags[g, first : first + LANES]
                for k in range(LANES):
                    jumps[k] += (here[k] & _J) != 0
            for a in range(number):
                k = flagged[a]
                if (status[k] & _ZEROFRAME) != 0:
                    flags[0, first + k] = 0
            for k in range(LANES):
                left_out[k] = (status[k] & _UNFITTED) != 0
            find_reach(flags, first, settings.clear_first_jump, left_out, reach)
            count_segments(reach, several, single)
            for k in range(LANES):
                most_jumps = max(most_jumps, jumps[k])
                most_segments = max(most_segments, several[k] if several[k] > 0 else single[k])
    return most_segments, most_jumps
