"""Fit of the pixels of one tile, block by block.

A block is LANES pixels with all their integrations and groups. It is copied from wherever the exposure stands to memory
that stays in the nearest cache, so that the exposure is read from memory once. Where few pixels of a block have flags,
it is fitted as if none had, and those that have are fitted once more, gathered into blocks of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES, jit_entry, jit_entry_allocating
from rampfit_numba.kernels.blocks import Ramps, empty_ramps, load_block, pad_block
from rampfit_numba.kernels.lists import SPARE
from rampfit_numba.kernels.memory import addresses, end_streams, spans_of
from rampfit_numba.kernels.ols import ramp_status
from rampfit_numba.kernels.ols.arrays import RESULT_TYPES, BlockFitOpt, BlockPlace, BlockResult, ResultPointers
from rampfit_numba.kernels.ols.block import fit_block
from rampfit_numba.kernels.ols.copying import (
    scatter_rows,
    store_rows,
    stream_rows,
    take_pixels,
)
from rampfit_numba.kernels.ols.segments import (
    RunLengths,
    Segments,
    count_segments,
    empty_runs,
    empty_segments,
    find_runs,
)
from rampfit_numba.kernels.ols.workspace import BlockWorkspace, block_workspace

if TYPE_CHECKING:
    from rampfit_numba.kernels.blocks import BlockPointers
    from rampfit_numba.kernels.ols.arrays import FitOptPointers

_J = np.uint8(dq.JUMP_DET)
_INF = np.float32(np.inf)
_UNFITTED = ramp_status.NO_USABLE_GROUP | ramp_status.FIRST_SATURATED
_ZEROFRAME = ramp_status.ZEROFRAME
#: Up to so many pixels with flags leave a block; 2x20 with one in 40 pixels flagged takes a quarter less time with it.
_MOST_PENDING = LANES // 4
#: With more samples a pixel, every pixel has some flag, and blocks take gigabytes: none leaves them.
_MOST_GATHERED = 100_000
#: Most results that are collected before they are copied to the outputs, in longer runs: written block by block,
#: between reads of as many planes, they take a tenth more of the time of a fit without flags (2x20 at 1024 x 1032).
_COLLECTED = 1 << 16
#: Most integrations whose results a block keeps before they are copied, so that they stay in a near cache and take no
#: gigabytes; copied one by one, 500 x 6 takes a twelfth longer.
_MOST_KEPT = 32
_ROWS = len(RESULT_TYPES)


class Workspace(NamedTuple):
    """What :func:`fit_tile` works in.

    Attributes
    ----------
    block : BlockWorkspace
    runs : RunLengths
    segments : Segments
    ramps, pending : Ramps
        The block at hand, and pixels with flags that wait for enough of their kind.
    pixels : ndarray of int64, shape (LANES,)
        Where those of `pending` stand in the tile.
    lanes : ndarray of uint32, shape (LANES,)
        Pixels of the block that have flags.
    result, fitopt : BlockResult, BlockFitOpt or None
        Of one block.
    collected, collected_pointers : ndarray of uint32, shape (5 + 5 nints, npixels), and ResultPointers
        Results of some blocks, and where their rows are; those of `result`, with the rows that it keeps, where no more
        than one block is collected.
    """

    block: BlockWorkspace
    runs: RunLengths
    segments: Segments
    ramps: Ramps
    pending: Ramps
    pixels: np.ndarray
    lanes: np.ndarray
    result: BlockResult
    fitopt: BlockFitOpt | None
    collected: np.ndarray
    collected_pointers: ResultPointers


def tile_workspace(pointers: BlockPointers, fitopt: FitOptPointers | None) -> Workspace:
    """Return :class:`Workspace` for tiles whose inputs, and optional results, are like these."""
    nints, ngroups = pointers.samples.shape
    result, rows = _empty_result(min(nints, _MOST_KEPT)), _ROWS * (nints + 1)
    blocks = _COLLECTED // (rows * LANES)
    collected = np.empty((rows, blocks * LANES), np.uint32) if nints <= _MOST_KEPT and blocks > 1 else result.packed
    return Workspace(
        block=block_workspace(nints, ngroups),
        runs=empty_runs(ngroups),
        segments=empty_segments(ngroups),
        ramps=empty_ramps(pointers),
        pending=_empty_pending(pointers),
        pixels=np.empty(LANES, np.int64),
        lanes=np.empty(LANES, np.uint32),
        result=result,
        fitopt=None if fitopt is None else _empty_fitopt(fitopt),
        collected=collected,
        collected_pointers=ResultPointers(addresses(collected[..., np.newaxis]), spans_of(collected[..., np.newaxis])),
    )


def _empty_fitopt(results: FitOptPointers) -> BlockFitOpt:
    """Return arrays for the optional results of an integration; there is always a first segment, if only to be 0."""
    segments, jumps = max(results.segments.shape[2], 1), results.crmag.shape[1]
    return BlockFitOpt(
        segments=np.zeros((7, segments, LANES), np.float32),
        pedestal=np.zeros(LANES, np.float32),
        crmag=np.zeros((jumps, LANES), np.float32),
        nothing=np.zeros(LANES, np.float32),
        depth=np.zeros(2, np.int64),
        whole=np.ones(1, np.bool_),
    )


def _empty_pending(pointers: BlockPointers) -> Ramps:
    """Return arrays for the pixels that leave their blocks, without integrations where none do."""
    nints, ngroups = pointers.samples.shape
    if nints * ngroups > _MOST_GATHERED:
        pointers = pointers._replace(
            samples=pointers.samples[:0], zeroframe=pointers.zeroframe[:0], suppressed=pointers.suppressed[:0]
        )
    return empty_ramps(pointers)


def _empty_result(nints: int) -> BlockResult:
    words = np.empty((_ROWS * (nints + 1), LANES), np.uint32)
    rate, rate_dq, rateints, rateints_dq = np.split(words, [_ROWS - 1, _ROWS, _ROWS + (_ROWS - 1) * nints])
    return BlockResult(
        packed=words,
        rate=rate.view(np.float32),
        rate_dq=rate_dq[0],
        rateints=rateints.view(np.float32).reshape(_ROWS - 1, nints, LANES),
        rateints_dq=rateints_dq,
    )


@jit_entry
def fit_tile(pointers, results, fitopt_results, settings, weights, network, workspace):
    """Fit all ramps of a tile (sections 2.9 to 8 of the rules in ``docs/algorithm.md``).

    Parameters
    ----------
    pointers : BlockPointers
    results : ResultPointers
    fitopt_results : FitOptPointers or None
        With None, the code for the optional results is not even compiled.
    settings : Settings
    weights : Weights
    network : ndarray of int64, shape (exchanges, 3)
        See :func:`middle_network`.
    workspace : Workspace

    Returns
    -------
    tuple of bool
        Whether the optional results had room for all segments and jumps, and whether every sample is finite; both true
        without optional results.
    """
    nints, ngroups = pointers.samples.shape
    finite = True
    block, runs, segments, ramps, pending = (
        workspace.block,
        workspace.runs,
        workspace.segments,
        workspace.ramps,
        workspace.pending,
    )
    result, fitopt, lanes, pixels = workspace.result, workspace.fitopt, workspace.lanes, workspace.pixels
    collected, collected_pointers = workspace.collected, workspace.collected_pointers
    has_flags, found, pixel_flags, sums = block.has_flags, block.bytes[0], block.bytes[1], block.singles
    most_pending = _MOST_PENDING if pending.samples.shape[0] == nints else 0
    # Those of the rate, where integrations are not kept.
    waiting_rows = len(result.packed) if result.rateints.shape[1] == nints else _ROWS
    first = copied = waiting = np.int64(0)
    # One call of fit_block for both kinds of blocks: it becomes a part of this function, and takes seconds to compile.
    while first < pointers.npixels or waiting > 0:
        gathered = waiting > LANES - _MOST_PENDING or first >= pointers.npixels
        number = waiting if gathered else min(LANES, pointers.npixels - first)
        here = pending if gathered else ramps
        if not gathered:
            load_block(pointers, first, here)
        pad_block(here, number)
        for k in range(LANES):
            pixel_flags[k] = 0
        for i in range(nints):
            some = ramp_status.gather_flags(here.samples[i], here.bits[i], here.flags[i], found, sums)
            has_flags[i] = some or ngroups == 1
            if fitopt_results is not None:
                for k in range(LANES):
                    finite &= abs(sums[k]) < _INF
            if some:
                for k in range(LANES):
                    pixel_flags[k] |= found[k]
        if not gathered:
            flagged = 0
            for k in range(number):
                lanes[flagged] = k
                flagged += pixel_flags[k] != 0
            # Where all have flags, nothing is gained.
            if flagged <= most_pending and flagged < number and ngroups > 1:
                has_flags[:] = False
                if flagged > 0:
                    take_pixels(here, lanes[:flagged], pending, waiting)
                for a in range(flagged):
                    pixels[waiting] = first + lanes[a]
                    waiting += 1
        place = BlockPlace(gathered, first, pixels, number, results, fitopt_results)
        fit_block(here, settings, weights, network, runs, segments, block, result, fitopt, place)
        if not gathered:
            if collected.shape[1] > LANES:
                store_rows(result.packed, first - copied, LANES, collected_pointers)
            first += LANES
        if gathered or first >= pointers.npixels or first - copied == collected.shape[1]:
            end = min(first, pointers.npixels)
            stream_rows(collected[:waiting_rows], copied, end - copied, results)
            copied = end
        if gathered:
            scatter_rows(result.packed[:waiting_rows], pixels, number, results)
            waiting = np.int64(0)
    end_streams()
    if fitopt_results is None:
        return True, finite
    whole = fitopt.whole[0]
    fitopt.whole[0] = True
    return whole, finite


@jit_entry_allocating
def count_tile(pointers, settings, ramps, runs):
    """Return the largest number of segments and of jumps of a ramp of this tile, as fitopt needs it (section 8).

    Parameters
    ----------
    pointers : BlockPointers
    settings : Settings
    ramps : Ramps
    runs : RunLengths
        Workspace to work in.
    """
    nints, ngroups = pointers.samples.shape
    status = np.empty(LANES, np.uint16)
    found = np.empty(LANES, np.uint8)
    sums = np.empty(LANES, np.float32)
    added = np.empty(LANES, np.uint8)
    partly_saturated = np.empty(LANES, np.uint8)
    flagged = np.empty(LANES + SPARE, np.uint32)
    left_out = np.empty(LANES, np.bool_)
    work = np.empty((5, LANES), np.uint8)
    several, single, jumps = np.empty(LANES, np.int32), np.empty(LANES, np.int32), np.empty(LANES, np.int32)
    most_segments = 0
    most_jumps = 0
    for first in range(0, pointers.npixels, LANES):
        load_block(pointers, first, ramps)
        pad_block(ramps, min(LANES, pointers.npixels - first))
        for i in range(nints):
            flags = ramps.flags[i]
            if not ramp_status.gather_flags(ramps.samples[i], ramps.bits[i], flags, found, sums):
                most_segments = max(most_segments, 1)
                continue
            number = ramp_status.ramp_status(
                flags, ramps.zeroframe[i], ramps.suppressed[i], settings, status, added, partly_saturated, flagged, work
            )
            jumps[:] = 0
            for g in range(1, ngroups):
                here = flags[g]
                for k in range(LANES):
                    jumps[k] += (here[k] & _J) != 0
            for a in range(number):
                k = flagged[a]
                if (status[k] & _ZEROFRAME) != 0:
                    flags[0, k] = 0
            for k in range(LANES):
                left_out[k] = (status[k] & _UNFITTED) != 0
            find_runs(flags, settings.clear_first_jump, left_out, runs)
            count_segments(runs, several, single)
            for k in range(LANES):
                most_jumps = max(most_jumps, jumps[k])
                most_segments = max(most_segments, several[k] if several[k] > 0 else single[k])
    return most_segments, most_jumps
