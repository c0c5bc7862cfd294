"""Fit of one tile: a few thousand ramps whose samples and flags stand together in memory.

A tile is treated block by block: LANES pixels with all their integrations and groups, which then are in the nearest
cache. Where few pixels of a block have flags, it is fitted as if none had, and those that have are fitted once more,
gathered from the whole tile into blocks of their own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels import ramp_status
from rampfit_numba.kernels._jit import LANES, jit, jit_allocating
from rampfit_numba.kernels.arrays import Tile, TileFitOpt, TileResult
from rampfit_numba.kernels.block import BlockRoom, fit_block, room_for_block
from rampfit_numba.kernels.segments import Reach, count_segments, find_reach, room_for_reach

_J = np.uint8(dq.JUMP_DET)
_D = np.uint8(dq.DO_NOT_USE)
_UNFITTED = ramp_status.NO_USABLE_GROUP | ramp_status.FIRST_SATURATED
_ZEROFRAME = ramp_status.ZEROFRAME
#: Up to so many pixels with flags leave a block; 2x20 with one in 40 pixels flagged takes a quarter less time with it.
_FEW = LANES // 4


class Room(NamedTuple):
    """What :func:`fit_tile` works in.

    Attributes
    ----------
    block : BlockRoom
    reach : Reach
    flagged : ndarray of uint32, shape (npixels + 1,) or longer
        Pixels with flags that are still to be fitted.
    few, result, fitopt : Tile, TileResult, TileFitOpt or None
        A block of gathered pixels, and their results.
    """

    block: BlockRoom
    reach: Reach
    flagged: np.ndarray
    few: Tile
    result: TileResult
    fitopt: TileFitOpt | None


def room_for_tile(tile: Tile, fitopt: TileFitOpt | None, most_pixels: int) -> Room:
    """Return :class:`Room` for tiles like `tile` of up to `most_pixels` pixels, with optional results like `fitopt`."""
    nints, ngroups, _ = tile.samples.shape
    samples = np.empty((nints, ngroups, LANES), np.float32)
    few = Tile(
        samples=samples,
        bits=samples.view(np.int32),
        flags=np.empty(samples.shape, np.uint8),
        pixeldq=np.empty(LANES, np.uint32),
        readnoise=np.empty(LANES, np.float32),
        gain=np.empty(LANES, np.float32),
        dark=np.empty(LANES, np.float32),
        zeroframe=np.empty((nints, LANES if tile.zeroframe.size else 0), np.float32),
        suppressed=np.empty((nints, LANES if tile.suppressed.size else 0), np.bool_),
    )
    result = TileResult(
        rate=np.empty((4, LANES), np.float32),
        rate_dq=np.empty(LANES, np.uint32),
        rateints=np.empty((4, nints, LANES), np.float32),
        rateints_dq=np.empty((nints, LANES), np.uint32),
    )
    optional = None
    if fitopt is not None:
        optional = TileFitOpt(
            segments=np.zeros((7, nints, fitopt.segments.shape[2], LANES), np.float32),
            pedestal=np.zeros((nints, LANES), np.float32),
            crmag=np.zeros((nints, fitopt.crmag.shape[1], LANES), np.float32),
            depth=np.zeros((2, nints), np.int64),
        )
    flagged = np.empty(most_pixels + 1, np.uint32)
    return Room(room_for_block(nints, ngroups), room_for_reach(ngroups), flagged, few, result, optional)


@jit
def fit_tile(tile, settings, weights, network, room, result, fitopt):
    """Fit all ramps of a tile (sections 2.9 to 8 of the rules in ``docs/algorithm.md``).

    Parameters
    ----------
    tile : Tile
    settings : Settings
    weights : Weights
    network : ndarray of int64, shape (exchanges, 3)
        See :func:`middle_network`.
    room : Room
    result : TileResult
    fitopt : TileFitOpt or None
        With None, the code for the optional results is not even compiled.
    """
    nints, ngroups, npixels = tile.samples.shape
    flagged, touched = room.flagged, room.block.touched
    found, pixel_flags = room.block.bytes[0], room.block.bytes[1]
    nflagged = fitted = 0
    # With a literal 0, all that is called would be compiled for a literal as well.
    first = start = np.int64(0)
    # One call of fit_block for both kinds of blocks: it becomes a part of this function, and takes seconds to compile.
    while first < npixels or fitted < nflagged:
        gathered = first >= npixels
        here, here_first, here_result, here_fitopt = tile, first, result, fitopt
        pixels = flagged[fitted : min(fitted + LANES, nflagged)]
        if gathered:
            _gather(tile, pixels, room.few)
            here, here_first, here_result, here_fitopt = room.few, start, room.result, room.fitopt
        for k in range(LANES):
            pixel_flags[k] = 0
        for i in range(nints):
            touched[i] = ramp_status.gather_flags(here.bits[i], here.flags[i], here_first, found) or ngroups == 1
            if touched[i]:
                for k in range(LANES):
                    pixel_flags[k] |= found[k]
        if not gathered:
            before = nflagged
            for k in range(LANES):
                flagged[nflagged] = first + k
                nflagged += pixel_flags[k] != 0
            if nflagged - before <= _FEW and ngroups > 1:
                touched[:] = False
            else:
                nflagged = before
        fit_block(here, here_first, settings, weights, network, room.reach, room.block, here_result, here_fitopt)
        if gathered:
            _scatter(room.result, pixels, result)
            if fitopt is not None:
                _scatter_fitopt(room.fitopt, pixels, fitopt)
            fitted += LANES
        first += LANES


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
