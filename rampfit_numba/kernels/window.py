"""Fit of the pixels of one window, block by block.

A block is LANES pixels with all their integrations and groups. It is copied from wherever the exposure stands to room
that stays in the nearest cache, so that the exposure is read from memory once. Where few pixels of a block have flags,
it is fitted as if none had, and those that have are fitted once more, gathered into blocks of their own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels import ramp_status
from rampfit_numba.kernels._jit import LANES, jit, jit_allocating
from rampfit_numba.kernels.arrays import BlockFitOpt, BlockResult, Ramps
from rampfit_numba.kernels.block import BlockRoom, fit_block, room_for_block
from rampfit_numba.kernels.memory import copy_in, copy_out, put
from rampfit_numba.kernels.places import FitOptPlaces, Places
from rampfit_numba.kernels.segments import Reach, count_segments, find_reach, room_for_reach

_J = np.uint8(dq.JUMP_DET)
_D = np.uint8(dq.DO_NOT_USE)
_UNFITTED = ramp_status.NO_USABLE_GROUP | ramp_status.FIRST_SATURATED
_ZEROFRAME = ramp_status.ZEROFRAME
#: Up to so many pixels with flags leave a block; 2x20 with one in 40 pixels flagged takes a quarter less time with it.
_FEW = LANES // 4
_SAMPLE = 4
_FLAGS = 4


class Room(NamedTuple):
    """What :func:`fit_window` works in.

    Attributes
    ----------
    block : BlockRoom
    reach : Reach
    ramps, few : Ramps
        The block at hand, and pixels with flags that wait for enough of their kind.
    pixels : ndarray of int64, shape (LANES + 1,)
        Where those of `few` stand in the window.
    lanes : ndarray of uint32, shape (LANES + 1,)
        Pixels of the block that have flags.
    result, fitopt : BlockResult, BlockFitOpt or None
    """

    block: BlockRoom
    reach: Reach
    ramps: Ramps
    few: Ramps
    pixels: np.ndarray
    lanes: np.ndarray
    result: BlockResult
    fitopt: BlockFitOpt | None


def room_for_window(places: Places, fitopt: FitOptPlaces | None) -> Room:
    """Return :class:`Room` for windows whose inputs, and optional results, are like these."""
    nints, ngroups = places.samples.shape
    optional = None
    if fitopt is not None:
        # There is always a first segment, if only to be left at 0.
        segments, jumps = max(fitopt.segments.shape[2], 1), fitopt.crmag.shape[1]
        optional = BlockFitOpt(
            segments=np.zeros((7, nints, segments, LANES), np.float32),
            pedestal=np.zeros((nints, LANES), np.float32),
            crmag=np.zeros((nints, jumps, LANES), np.float32),
            depth=np.zeros((2, nints), np.int64),
        )
    return Room(
        block=room_for_block(nints, ngroups),
        reach=room_for_reach(ngroups),
        ramps=room_for_ramps(places),
        few=room_for_ramps(places),
        pixels=np.empty(LANES + 1, np.int64),
        lanes=np.empty(LANES + 1, np.uint32),
        result=BlockResult(
            rate=np.empty((4, LANES), np.float32),
            rate_dq=np.empty(LANES, np.uint32),
            rateints=np.empty((4, nints, LANES), np.float32),
            rateints_dq=np.empty((nints, LANES), np.uint32),
        ),
        fitopt=optional,
    )


def room_for_ramps(places: Places) -> Ramps:
    """Return room for a block of pixels whose inputs are like these; planes that are absent keep their values."""
    nints, ngroups = places.samples.shape
    samples = np.zeros((nints, ngroups, LANES), np.float32)
    return Ramps(
        samples=samples,
        bits=samples.view(np.int32),
        flags=np.zeros(samples.shape, np.uint8),
        pixeldq=np.zeros(LANES, np.uint32),
        readnoise=np.ones(LANES, np.float32),
        gain=np.ones(LANES, np.float32),
        dark=np.zeros(LANES, np.float32),
        zeroframe=np.zeros((nints, LANES if places.zeroframe.size else 0), np.float32),
        suppressed=np.zeros((nints, LANES if places.suppressed.size else 0), np.bool_),
    )


@jit
def fit_window(places, results, fitopt_results, settings, weights, network, room):
    """Fit all ramps of a window (sections 2.9 to 8 of the rules in ``docs/algorithm.md``).

    Parameters
    ----------
    places : Places
    results : ResultPlaces
    fitopt_results : FitOptPlaces or None
        With None, the code for the optional results is not even compiled.
    settings : Settings
    weights : Weights
    network : ndarray of int64, shape (exchanges, 3)
        See :func:`middle_network`.
    room : Room
    """
    nints, ngroups = places.samples.shape
    touched, found, sums = room.block.touched, room.block.bytes[0], room.block.singles
    pixel_flags, lanes, pixels = room.block.bytes[1], room.lanes, room.pixels
    first = waiting = np.int64(0)
    # One call of fit_block for both kinds of blocks: it becomes a part of this function, and takes seconds to compile.
    while first < places.npixels or waiting > 0:
        gathered = waiting > LANES - _FEW or first >= places.npixels
        number = waiting if gathered else min(LANES, places.npixels - first)
        here = room.few if gathered else room.ramps
        if not gathered:
            _load(places, first, here)
        _pad(here, number)
        for k in range(LANES):
            pixel_flags[k] = 0
        for i in range(nints):
            some = ramp_status.gather_flags(here.samples[i], here.bits[i], here.flags[i], found, sums)
            touched[i] = some or ngroups == 1
            if some:
                for k in range(LANES):
                    pixel_flags[k] |= found[k]
        if not gathered:
            flagged = 0
            for k in range(number):
                lanes[flagged] = k
                flagged += pixel_flags[k] != 0
            if flagged <= _FEW and ngroups > 1:
                touched[:] = False
                for a in range(flagged):
                    pixels[waiting] = first + lanes[a]
                    _take(here, lanes[a], room.few, waiting)
                    waiting += 1
        fit_block(here, settings, weights, network, room.reach, room.block, room.result, room.fitopt)
        if gathered:
            _scatter(room.result, pixels, number, results)
            if fitopt_results is not None:
                _scatter_fitopt(room.fitopt, pixels, number, fitopt_results)
            waiting = np.int64(0)
        else:
            _store(room.result, first, number, results)
            if fitopt_results is not None:
                _store_fitopt(room.fitopt, first, number, fitopt_results)
            first += LANES


@jit
def _load(places, first, ramps):
    """Copy a block of pixels from pixel `first` of the window on, with native byte order and the rule of groups."""
    nints, ngroups = places.samples.shape
    number = min(LANES, places.npixels - first)
    for i in range(nints):
        for g in range(ngroups):
            copy_in(ramps.samples[i, g], places.samples[i, g] + first * _SAMPLE, number)
            copy_in(ramps.flags[i, g], places.flags[i, g] + first, number)
            if places.swapped:
                _swap(ramps.bits[i, g])
            if not places.first_used <= g <= places.last_used:
                flags = ramps.flags[i, g]
                for k in range(LANES):
                    flags[k] |= _D
        if places.zeroframe.size > 0:
            copy_in(ramps.zeroframe[i], places.zeroframe[i] + first * _SAMPLE, number)
        if places.suppressed.size > 0:
            for k in range(number):
                ramps.suppressed[i, k] = places.suppressed[i, first + k]
    if places.planes[0] != 0:
        copy_in(ramps.pixeldq, places.planes[0] + first * _SAMPLE, number)
    copy_in(ramps.readnoise, places.planes[1] + first * _SAMPLE, number)
    copy_in(ramps.gain, places.planes[2] + first * _SAMPLE, number)
    if places.planes[3] != 0:
        copy_in(ramps.dark, places.planes[3] + first * _SAMPLE, number)


@jit
def _swap(bits):
    """Reverse the bytes of a row of samples."""
    for k in range(LANES):
        word = np.uint32(bits[k])
        bits[k] = np.int32((word >> 24) | ((word >> 8) & 0xFF00) | ((word << 8) & 0xFF0000) | (word << 24))


@jit
def _take(ramps, k, few, to):
    """Copy one pixel to another block."""
    nints, ngroups, _ = ramps.samples.shape
    for i in range(nints):
        for g in range(ngroups):
            few.samples[i, g, to] = ramps.samples[i, g, k]
            few.flags[i, g, to] = ramps.flags[i, g, k]
        if ramps.zeroframe.size > 0:
            few.zeroframe[i, to] = ramps.zeroframe[i, k]
        if ramps.suppressed.size > 0:
            few.suppressed[i, to] = ramps.suppressed[i, k]
    few.pixeldq[to] = ramps.pixeldq[k]
    few.readnoise[to] = ramps.readnoise[k]
    few.gain[to] = ramps.gain[k]
    few.dark[to] = ramps.dark[k]


@jit
def _pad(ramps, number):
    """Make the ramps behind the first `number` pixels of a block unusable; the pixels' planes may be anything."""
    if number == LANES:
        return
    nints, ngroups, _ = ramps.samples.shape
    for i in range(nints):
        for g in range(ngroups):
            ramps.samples[i, g, number:] = 0.0
            ramps.flags[i, g, number:] = _D
        if ramps.zeroframe.size > 0:
            ramps.zeroframe[i, number:] = 0.0
        if ramps.suppressed.size > 0:
            ramps.suppressed[i, number:] = False


@jit
def _store(result, first, number, results):
    """Copy the results of a block to pixel `first` of the window and those behind it."""
    skipped = first * _SAMPLE
    for j in range(4):
        copy_out(results.rate[j] + skipped, result.rate[j], number)
        for i in range(result.rateints_dq.shape[0]):
            copy_out(results.rateints[j, i] + skipped, result.rateints[j, i], number)
    copy_out(results.rate[_FLAGS] + skipped, result.rate_dq, number)
    for i in range(result.rateints_dq.shape[0]):
        copy_out(results.rateints[_FLAGS, i] + skipped, result.rateints_dq[i], number)


@jit
def _scatter(result, pixels, number, results):
    """Copy the results of gathered pixels to their places in the window."""
    for j in range(4):
        row = result.rate[j]
        for a in range(number):
            put(results.rate[j], pixels[a], row, a)
        for i in range(result.rateints_dq.shape[0]):
            row = result.rateints[j, i]
            for a in range(number):
                put(results.rateints[j, i], pixels[a], row, a)
    for a in range(number):
        put(results.rate[_FLAGS], pixels[a], result.rate_dq, a)
    for i in range(result.rateints_dq.shape[0]):
        flags = result.rateints_dq[i]
        for a in range(number):
            put(results.rateints[_FLAGS, i], pixels[a], flags, a)


@jit
def _store_fitopt(fitopt, first, number, results):
    """Do what :func:`_store` does for the optional results, and clear them.

    Nearly all ramps have one segment. The outputs are 0 already where nothing is copied to.
    """
    skipped = first * _SAMPLE
    for i in range(fitopt.pedestal.shape[0]):
        copy_out(results.pedestal[i] + skipped, fitopt.pedestal[i], number)
        for s in range(_segments(fitopt, i, results)):
            for j in range(7):
                copy_out(results.segments[j, i, s] + skipped, fitopt.segments[j, i, s], number)
        for s in range(fitopt.depth[1, i]):
            copy_out(results.crmag[i, s] + skipped, fitopt.crmag[i, s], number)
    _clear(fitopt)


@jit
def _scatter_fitopt(fitopt, pixels, number, results):
    """Do what :func:`_scatter` does for the optional results, and clear them."""
    for i in range(fitopt.pedestal.shape[0]):
        for a in range(number):
            put(results.pedestal[i], pixels[a], fitopt.pedestal[i], a)
        for s in range(_segments(fitopt, i, results)):
            for j in range(7):
                row = fitopt.segments[j, i, s]
                for a in range(number):
                    put(results.segments[j, i, s], pixels[a], row, a)
        for s in range(fitopt.depth[1, i]):
            row = fitopt.crmag[i, s]
            for a in range(number):
                put(results.crmag[i, s], pixels[a], row, a)
    _clear(fitopt)


@jit
def _segments(fitopt, i, results):
    """Return how many segments of a block to copy: a first one always, which overwrites that of an unflagged ramp."""
    return min(max(fitopt.depth[0, i], 1), results.segments.shape[2])


@jit
def _clear(fitopt):
    """Set all but the first segments to 0."""
    for i in range(fitopt.pedestal.shape[0]):
        fitopt.segments[:, i, 1 : fitopt.depth[0, i]] = 0.0
        fitopt.crmag[i, : fitopt.depth[1, i]] = 0.0
    fitopt.depth[:] = 0


@jit_allocating
def count_window(places, settings, ramps, reach):
    """Return the largest number of segments and of jumps that a ramp of this window has, as fitopt needs it (section 8).

    Parameters
    ----------
    places : Places
    settings : Settings
    ramps : Ramps
    reach : Reach
        Room to work in.
    """
    nints, ngroups = places.samples.shape
    status = np.empty(LANES, np.uint16)
    found = np.empty(LANES, np.uint8)
    sums = np.empty(LANES, np.float32)
    added = np.empty(LANES, np.uint8)
    late = np.empty(LANES, np.uint8)
    flagged = np.empty(LANES + 1, np.uint32)
    left_out = np.empty(LANES, np.bool_)
    work = np.empty((5, LANES), np.uint8)
    several, single, jumps = np.empty(LANES, np.int32), np.empty(LANES, np.int32), np.empty(LANES, np.int32)
    most_segments = 0
    most_jumps = 0
    for first in range(0, places.npixels, LANES):
        _load(places, first, ramps)
        _pad(ramps, min(LANES, places.npixels - first))
        for i in range(nints):
            flags = ramps.flags[i]
            if not ramp_status.gather_flags(ramps.samples[i], ramps.bits[i], flags, found, sums):
                most_segments = max(most_segments, 1)
                continue
            number = ramp_status.ramp_status(
                flags, ramps.zeroframe[i], ramps.suppressed[i], settings, status, added, late, flagged, work
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
            find_reach(flags, settings.clear_first_jump, left_out, reach)
            count_segments(reach, several, single)
            for k in range(LANES):
                most_jumps = max(most_jumps, jumps[k])
                most_segments = max(most_segments, several[k] if several[k] > 0 else single[k])
    return most_segments, most_jumps
