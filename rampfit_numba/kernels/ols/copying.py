"""Copies from block to block, and from blocks to the outputs."""

from __future__ import annotations

import numpy as np
from numba import types

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES, jit, jit_apart, jit_inline
from rampfit_numba.kernels.blocks import WORD
from rampfit_numba.kernels.memory import copy_out, put, stream_out
from rampfit_numba.kernels.ols.arrays import RESULT_TYPES
from rampfit_numba.kernels.ols.combine import VAR_RNOISE

_CHARGELOSS = np.uint16(dq.CHARGELOSS)


@jit_apart(types.none)
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


@jit_apart(types.none)
def store_rows(rows, first, number, pointers):
    """Copy the first `number` words of each row to its place (:class:`ResultPointers`), from pixel `first` on."""
    for row in range(len(rows)):
        copy_out(pointers.rows[row] + first * WORD, rows[row], number, pointers.spans)


@jit_apart(types.none)
def stream_rows(rows, first, number, pointers):
    """Do the same past the caches, for outputs, which nobody reads soon (:func:`stream_out`)."""
    for row in range(len(rows)):
        stream_out(pointers.rows[row] + first * WORD, rows[row], number, pointers.spans)


@jit_apart(types.none)
def scatter_rows(rows, pixels, number, pointers):
    """Copy the first `number` words of each row to `pixels` of its place."""
    for row in range(len(rows)):
        here = rows[row]
        for a in range(number):
            put(pointers.rows[row], pixels[a], here, a, pointers.spans)


@jit_apart(types.none)
def store_integrations(result, begin, end, nints, place):
    """Copy integrations `begin` to `end` of `nints`, which `result` keeps, to their place (:class:`BlockPlace`)."""
    pointers, kept, of_rate = place.results, result.rateints.shape[1], len(RESULT_TYPES)
    for j in range(of_rate):
        for i in range(begin, end):
            target, here = pointers.rows[of_rate + j * nints + i], result.packed[of_rate + j * kept + i - begin]
            if place.gathered:
                for a in range(place.number):
                    put(target, place.pixels[a], here, a, pointers.spans)
            else:
                stream_out(target + place.first * WORD, here, place.number, pointers.spans)


@jit_apart(types.none)
def store_read_variances(status, read_variances, singles, result, place):
    """Store the integrations' var_rnoise where there is CHARGELOSS: in `result`, or where that was copied to.

    Parameters
    ----------
    status : ndarray of uint16, shape (nints, LANES)
    read_variances : ndarray of float64, shape (nints, LANES)
    singles : ndarray of float32, shape (LANES,)
        Workspace to work in.
    result : BlockResult
    place : BlockPlace
    """
    nints, pointers = len(status), place.results
    for i in range(nints):
        target = pointers.rows[len(RESULT_TYPES) + VAR_RNOISE * nints + i]
        for k in range(LANES):
            if (status[i, k] & _CHARGELOSS) == 0:
                continue
            singles[k] = read_variances[i, k]
            if result.rateints.shape[1] == nints:
                result.rateints[VAR_RNOISE, i, k] = singles[k]
            elif k < place.number:
                put(target, place.pixels[k] if place.gathered else place.first + k, singles, k, pointers.spans)


@jit
def store_fitopt(fitopt, i, place):
    """Copy the optional results of integration `i` of a block to their place, and clear them.

    Also those that are 0, as most are: nobody has written there before. Gathered pixels were written so once, when they
    left their blocks, so that of them only what there is has to be copied.

    Parameters
    ----------
    fitopt : BlockFitOpt or None
    i : int
    place : BlockPlace
    """
    if fitopt is None:
        return
    results, spans, number = place.fitopt, place.results.spans, place.number
    segments, jumps = results.segments.shape[2], results.crmag.shape[1]
    if place.gathered:
        _scatter(results.pedestal[i], fitopt.pedestal, place, spans)
        # A first segment always, which overwrites that of a ramp that was fitted as if it had no flags.
        for s in range(min(max(fitopt.depth[0], 1), segments)):
            for j in range(7):
                _scatter(results.segments[j, i, s], fitopt.segments[j, s], place, spans)
        for s in range(min(fitopt.depth[1], jumps)):
            _scatter(results.crmag[i, s], fitopt.crmag[s], place, spans)
    else:
        skipped = place.first * WORD
        stream_out(results.pedestal[i] + skipped, fitopt.pedestal, number, spans)
        for s in range(segments):
            some = s < fitopt.depth[0] or s == 0
            for j in range(7):
                row = fitopt.segments[j, s] if some else fitopt.nothing
                stream_out(results.segments[j, i, s] + skipped, row, number, spans)
        for s in range(jumps):
            row = fitopt.crmag[s] if s < fitopt.depth[1] else fitopt.nothing
            stream_out(results.crmag[i, s] + skipped, row, number, spans)
    fitopt.whole[0] &= fitopt.depth[0] <= segments and fitopt.depth[1] <= jumps
    for s in range(1, min(fitopt.depth[0], segments)):
        for j in range(7):
            fitopt.segments[j, s] = 0.0
    for s in range(min(fitopt.depth[1], jumps)):
        fitopt.crmag[s] = 0.0
    fitopt.depth[:] = 0


@jit_inline
def _scatter(address, row, place, spans):
    for a in range(place.number):
        put(address, place.pixels[a], row, a, spans)
