"""Copies between the exposure, the blocks that are fitted, and the outputs."""

from __future__ import annotations

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES, jit
from rampfit_numba.kernels.memory import copy_in, copy_out, put
from rampfit_numba.kernels.ols.arrays import WORD

_D = np.uint8(dq.DO_NOT_USE)


@jit
def load_block(pointers, first, ramps):
    """Copy a block of pixels from pixel `first` of the window on, with native byte order and the rule of groups."""
    nints, ngroups = pointers.samples.shape
    spans = pointers.spans
    number = min(LANES, pointers.npixels - first)
    for i in range(nints):
        for g in range(ngroups):
            copy_in(ramps.samples[i, g], pointers.samples[i, g] + first * WORD, number, spans)
            copy_in(ramps.flags[i, g], pointers.flags[i, g] + first, number, spans)
            if pointers.swapped:
                _swap(ramps.bits[i, g])
            if not pointers.first_used <= g <= pointers.last_used:
                flags = ramps.flags[i, g]
                for k in range(LANES):
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
    for k in range(LANES):
        word = np.uint32(bits[k])
        bits[k] = np.int32((word >> 24) | ((word >> 8) & 0xFF00) | ((word << 8) & 0xFF0000) | (word << 24))


@jit
def take_pixels(ramps, lanes, pending, to):
    """Copy some pixels of a block to another one, from lane `to` on."""
    nints, ngroups, _ = ramps.samples.shape
    number = len(lanes)
    for i in range(nints):
        for g in range(ngroups):
            samples, pending_samples = ramps.samples[i, g], pending.samples[i, g]
            flags, pending_flags = ramps.flags[i, g], pending.flags[i, g]
            for a in range(number):
                pending_samples[to + a] = samples[lanes[a]]
                pending_flags[to + a] = flags[lanes[a]]
        if ramps.zeroframe.size > 0:
            for a in range(number):
                pending.zeroframe[i, to + a] = ramps.zeroframe[i, lanes[a]]
        if ramps.suppressed.size > 0:
            for a in range(number):
                pending.suppressed[i, to + a] = ramps.suppressed[i, lanes[a]]
    for a in range(number):
        k = lanes[a]
        pending.pixeldq[to + a] = ramps.pixeldq[k]
        pending.readnoise[to + a] = ramps.readnoise[k]
        pending.gain[to + a] = ramps.gain[k]
        pending.dark[to + a] = ramps.dark[k]


@jit
def pad_block(ramps, number):
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
def store_rows(rows, first, number, pointers):
    """Copy the first `number` words of each row to its place (:class:`ResultPointers`), from pixel `first` on."""
    for row in range(len(pointers.rows)):
        copy_out(pointers.rows[row] + first * WORD, rows[row], number, pointers.spans)


@jit
def scatter_rows(rows, pixels, number, pointers):
    """Copy the first `number` words of each row to `pixels` of its place."""
    for row in range(len(pointers.rows)):
        here = rows[row]
        for a in range(number):
            put(pointers.rows[row], pixels[a], here, a, pointers.spans)


@jit
def store_fitopt(fitopt, first, number, results, spans):
    """Do what :func:`store_rows` does for the optional results, and clear them; return whether all had workspace.

    Nearly all ramps have one segment. The outputs are 0 already where nothing is copied to.
    """
    skipped = first * WORD
    for i in range(fitopt.pedestal.shape[0]):
        copy_out(results.pedestal[i] + skipped, fitopt.pedestal[i], number, spans)
        for s in range(_segments(fitopt, i, results)):
            for j in range(7):
                copy_out(results.segments[j, i, s] + skipped, fitopt.segments[j, i, s], number, spans)
        for s in range(min(fitopt.depth[1, i], results.crmag.shape[1])):
            copy_out(results.crmag[i, s] + skipped, fitopt.crmag[i, s], number, spans)
    return _clear(fitopt, results)


@jit
def scatter_fitopt(fitopt, pixels, number, results, spans):
    """Do what :func:`scatter_rows` does for the optional results, and clear them; return whether all had workspace."""
    for i in range(fitopt.pedestal.shape[0]):
        for a in range(number):
            put(results.pedestal[i], pixels[a], fitopt.pedestal[i], a, spans)
        for s in range(_segments(fitopt, i, results)):
            for j in range(7):
                row = fitopt.segments[j, i, s]
                for a in range(number):
                    put(results.segments[j, i, s], pixels[a], row, a, spans)
        for s in range(min(fitopt.depth[1, i], results.crmag.shape[1])):
            row = fitopt.crmag[i, s]
            for a in range(number):
                put(results.crmag[i, s], pixels[a], row, a, spans)
    return _clear(fitopt, results)


@jit
def _segments(fitopt, i, results):
    """Return how many segments of a block to copy: a first one always, which overwrites that of an unflagged ramp."""
    return min(max(fitopt.depth[0, i], 1), results.segments.shape[2])


@jit
def _clear(fitopt, results):
    """Set all but the first segments to 0, and return whether the outputs have room for all that were found."""
    whole = True
    for i in range(fitopt.pedestal.shape[0]):
        whole &= fitopt.depth[0, i] <= results.segments.shape[2] and fitopt.depth[1, i] <= results.crmag.shape[1]
        fitopt.segments[:, i, 1 : fitopt.depth[0, i]] = 0.0
        fitopt.crmag[i, : fitopt.depth[1, i]] = 0.0
    fitopt.depth[:] = 0
    return whole
