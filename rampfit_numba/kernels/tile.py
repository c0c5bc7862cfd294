"""Fit of one tile: a few thousand ramps whose samples and flags stand together in memory.

A tile is treated block by block: LANES pixels with all their integrations and groups, which then are in the nearest
cache. The group index runs outside and the pixel index inside, so that the compiler can use vectors. Most ramps have no
flag and take a short path; the others are cut into segments.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels import ramp_status
from rampfit_numba.kernels._jit import LANES, jit
from rampfit_numba.kernels.charge_loss import has_charge_loss, recompute_read_variances
from rampfit_numba.kernels.combine import combine_integrations, combine_segments, store
from rampfit_numba.kernels.fitopt import store_jumps, store_pedestals, store_segments
from rampfit_numba.kernels.median_rate import add_clean_rate, add_flagged_rate, cancels, exact_rate
from rampfit_numba.kernels.ols import clean_weights, find_reach, sum_clean, sum_segments, sum_single_group
from rampfit_numba.kernels.pixels import CONSTANTS, find_constants, load_pixels
from rampfit_numba.kernels.segments import clear_first_jump, group_masks, list_segments

_DS = np.uint32(dq.DO_NOT_USE | dq.SATURATED)
_JP = np.uint32(dq.JUMP_DET | dq.PERSISTENCE)
_J8 = np.uint8(dq.JUMP_DET)
_UNFITTED = ramp_status.NO_USABLE_GROUP | ramp_status.FIRST_SATURATED
_ZEROFRAME = ramp_status.ZEROFRAME
_ONE = np.uint64(1)


class Tile(NamedTuple):
    """Inputs of one tile. The number of pixels is a multiple of LANES; what is behind the last pixel is padding.

    Attributes
    ----------
    samples : ndarray of float32, shape (nints, ngroups, npixels)
        In DN; a zeroframe value takes the place of group 0 where it must.
    bits : ndarray of int32
        The same memory.
    flags : ndarray of uint8, shape of `samples`
        DO_NOT_USE is added to samples that are not finite.
    pixeldq : ndarray of uint32, shape (npixels,)
    readnoise, gain, dark : ndarray of float32, shape (npixels,)
        CDS noise in DN, e-/DN, DN/s.
    zeroframe : ndarray of float32, shape (nints, npixels) or (nints, 0)
        In DN.
    suppressed : ndarray of bool, shape (nints, npixels) or (nints, 0)
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


class TileResult(NamedTuple):
    """Outputs of one tile, in DN/s and (DN/s)^2; float32 arrays begin with an axis SLOPE, ERR, VAR_POISSON, VAR_RNOISE.

    Attributes
    ----------
    rate, rate_dq : ndarray, shapes (4, npixels), (npixels,)
    rateints, rateints_dq : ndarray, shapes (4, nints, npixels), (nints, npixels)
    """

    rate: np.ndarray
    rate_dq: np.ndarray
    rateints: np.ndarray
    rateints_dq: np.ndarray


class TileFitOpt(NamedTuple):
    """Optional outputs of one tile, zeroed by the caller.

    Attributes
    ----------
    segments : ndarray of float32, shape (7, nints, nsegments, npixels)
        The first axis is that of :mod:`fitopt`.
    pedestal : ndarray of float32, shape (nints, npixels)
    crmag : ndarray of float32, shape (nints, njumps, npixels)
    """

    segments: np.ndarray
    pedestal: np.ndarray
    crmag: np.ndarray


@jit
def fit_tile(tile, settings, weights, network, reach, result, fitopt):
    """Fit all ramps of a tile (sections 2.9 to 8 of the rules in ``docs/algorithm.md``).

    Parameters
    ----------
    tile : Tile
    settings : Settings
    weights : Weights
    network : ndarray of int64, shape (exchanges, 3)
        See :func:`middle_network`.
    reach : ndarray of uint8 or uint16, shape (ngroups + 1, LANES)
        Room to work in; the type can count to ngroups.
    result : TileResult
    fitopt : TileFitOpt or None
        With None, the code for the optional results is not even compiled.
    """
    nints, ngroups, npixels = tile.samples.shape
    # State of a block: one value a lane, or a lane and integration.
    status = np.empty((nints, LANES), np.uint16)
    added = np.empty((nints, LANES), np.uint8)
    late = np.empty((nints, LANES), np.uint8)
    flagged = np.empty(nints, np.bool_)
    replaced_sample = np.empty((nints, LANES), np.float32)
    replaced_flag = np.empty((nints, LANES), np.uint8)
    read_variances = np.empty((nints, LANES), np.float64)
    differences = np.empty((max(ngroups - 1, 1), LANES), np.float64)
    readnoise = np.empty(LANES, np.float64)
    gain = np.empty(LANES, np.float64)
    rate = np.empty(LANES, np.float64)
    constants = np.empty((CONSTANTS, LANES), np.float64)
    base = np.empty(LANES, np.uint32)
    active = np.empty(LANES + 1, np.uint32)
    lanes = np.empty(LANES + 1, np.uint32)
    rows = np.zeros(LANES, np.int64)
    count = np.empty(LANES, np.int32)
    fitted = np.empty(LANES, np.bool_)
    invalid = np.empty(LANES, np.bool_)
    clean = np.zeros((4, LANES), np.float64)
    clean_combined = np.empty((4, LANES), np.float64)
    sums = np.empty((4, LANES), np.float64)
    combined = np.empty((4, LANES), np.float64)
    totals = np.empty((3, LANES), np.float64)
    dq_now = np.empty(LANES, np.uint32)
    dq_any = np.empty(LANES, np.uint32)
    dq_all = np.empty(LANES, np.uint32)
    dq_late = np.empty(LANES, np.uint32)
    good = np.empty((ngroups // 64 + 1, LANES), np.uint64)
    jump = np.empty((ngroups // 64 + 1, LANES), np.uint64)
    begins = np.empty(ngroups // 2 + 2, np.int64)
    ends = np.empty(ngroups // 2 + 2, np.int64)

    for first in range(0, npixels, LANES):
        load_pixels(tile, first, settings, readnoise, gain, base)
        any_flagged = _find_rates(
            tile,
            first,
            settings,
            network,
            differences,
            status,
            added,
            late,
            flagged,
            replaced_sample,
            replaced_flag,
            rate,
        )
        find_constants(settings, readnoise, gain, rate, constants)
        for k in range(LANES):
            totals[0, k] = totals[1, k] = totals[2, k] = 0.0
            dq_any[k] = base[k]
            dq_all[k] = _DS
            dq_late[k] = 0
        if ngroups > 1:
            clean_weights(ngroups, constants, clean)
            for k in range(LANES):
                clean[0, k] = 0.0
                fitted[k] = True
                invalid[k] = (base[k] & _DS) != 0
            combine_segments(clean, fitted, invalid, clean_combined)

        for i in range(nints):
            samples, flags = tile.samples[i], tile.flags[i]
            if not flagged[i] and fitopt is None:
                sum_clean(samples, first, status[i], settings, readnoise, gain, constants, weights, clean)
                _store_clean(clean, clean_combined, base, i, first, totals, dq_all, read_variances[i], result)
                continue
            find_reach(flags, first, settings.clear_first_jump, reach)
            nactive = 0
            for k in range(LANES):
                active[nactive] = k
                nactive += (status[i, k] & _UNFITTED) == 0 and status[i, k] != 0
            if 2 * nactive > LANES:
                sum_segments(
                    samples,
                    first,
                    settings,
                    readnoise,
                    gain,
                    constants,
                    weights,
                    reach,
                    None,
                    LANES,
                    lanes,
                    rows,
                    sums,
                    count,
                )
            else:
                if ngroups > 1:
                    sum_clean(samples, first, status[i], settings, readnoise, gain, constants, weights, clean)
                for k in range(LANES):
                    for j in range(4):
                        sums[j, k] = clean[j, k]
                    count[k] = 1
                sum_segments(
                    samples,
                    first,
                    settings,
                    readnoise,
                    gain,
                    constants,
                    weights,
                    reach,
                    active,
                    nactive,
                    lanes,
                    rows,
                    sums,
                    count,
                )
            for a in range(nactive):
                k = active[a]
                if count[k] == 0:
                    sum_single_group(samples, first, k, status[i, k], settings, constants, reach, sums, count)
            for k in range(LANES):
                dq_now[k] = base[k] | added[i, k]
                invalid[k] = (dq_now[k] & _DS) != 0
                usable = (status[i, k] & _UNFITTED) == 0
                fitted[k] = usable and count[k] > 0
                for j in range(4):
                    sums[j, k] = sums[j, k] if usable else 0.0
            combine_segments(sums, fitted, invalid, combined)
            for k in range(LANES):
                totals[0, k] += sums[0, k]
                totals[1, k] += sums[1, k]
                totals[2, k] += sums[2, k]
                dq_any[k] |= dq_now[k] & _JP
                dq_all[k] &= dq_now[k]
                dq_late[k] |= late[i, k]
                result.rateints_dq[i, first + k] = dq_now[k] | late[i, k]
                read_variances[i, k] = combined[3, k]
            for j in range(4):
                store(combined[j], result.rateints[j, i], first)
            if fitopt is not None:
                group_masks(flags, first, good, jump)
                if settings.clear_first_jump:
                    clear_first_jump(flags, first, good, jump)
                for k in range(LANES):
                    if (status[i, k] & _UNFITTED) == 0:
                        used, _ = list_segments(good, jump, k, begins, ends)
                        store_segments(
                            samples,
                            first,
                            k,
                            status[i, k],
                            begins,
                            ends,
                            used,
                            settings,
                            weights,
                            readnoise[k],
                            gain[k],
                            constants,
                            fitopt.segments[:, i],
                        )
                store_pedestals(samples, first, settings, dq_now, combined[0], fitopt.pedestal[i])
                store_jumps(samples, flags, first, status[i], replaced_sample[i], replaced_flag[i], fitopt.crmag[i])

        for k in range(LANES):
            dq_now[k] = dq_any[k] | dq_all[k]
        combine_integrations(totals, dq_now, combined)
        for j in range(4):
            store(combined[j], result.rate[j], first)
        for k in range(LANES):
            result.rate_dq[first + k] = dq_now[k] | dq_late[k]
        if any_flagged and has_charge_loss(status):
            recompute_read_variances(
                tile.flags,
                first,
                settings,
                status,
                replaced_flag,
                constants,
                read_variances,
                result.rateints,
                result.rate,
            )


@jit
def count_tile(tile, settings):
    """Return the largest number of segments and of jumps that a ramp of this tile has, as fitopt needs it (section 8).

    The parameters are those of :func:`fit_tile`; the padding must be flagged, so as not to count.
    """
    nints, ngroups, npixels = tile.samples.shape
    status = np.empty(LANES, np.uint16)
    added = np.empty(LANES, np.uint8)
    late = np.empty(LANES, np.uint8)
    good = np.empty((ngroups // 64 + 1, LANES), np.uint64)
    jump = np.empty((ngroups // 64 + 1, LANES), np.uint64)
    begins = np.empty(ngroups // 2 + 2, np.int64)
    ends = np.empty(ngroups // 2 + 2, np.int64)
    jumps = np.empty(LANES, np.int64)
    most_segments = 0
    most_jumps = 0
    for first in range(0, npixels, LANES):
        for i in range(nints):
            flags = tile.flags[i]
            if not ramp_status.flag_non_finite(tile.bits[i], flags, first):
                most_segments = max(most_segments, 1)
                continue
            ramp_status.ramp_status(flags, first, tile.zeroframe[i], tile.suppressed[i], settings, status, added, late)
            jumps[:] = 0
            for g in range(1, ngroups):
                here = flags[g, first : first + LANES]
                for k in range(LANES):
                    jumps[k] += (here[k] & _J8) != 0
            group_masks(flags, first, good, jump)
            if settings.clear_first_jump:
                clear_first_jump(flags, first, good, jump)
            for k in range(LANES):
                most_jumps = max(most_jumps, jumps[k])
                if (status[k] & _UNFITTED) != 0:
                    continue
                if (status[k] & _ZEROFRAME) != 0:
                    good[0, k] |= _ONE
                    jump[0, k] &= ~_ONE
                _, reported = list_segments(good, jump, k, begins, ends)
                most_segments = max(most_segments, reported)
    return most_segments, most_jumps


@jit
def _find_rates(
    tile, first, settings, network, differences, status, added, late, flagged, replaced_sample, replaced_flag, rate
):
    """Find a block's statuses and median rates, and put zeroframe samples in the place of group 0.

    Returns whether any ramp has flags.
    """
    nints, ngroups, _ = tile.samples.shape
    rate[:] = 0.0
    size = np.zeros(LANES, np.float64)
    any_flagged = False
    for i in range(nints):
        samples, flags, zeroframe = tile.samples[i], tile.flags[i], tile.zeroframe[i]
        flagged[i] = ramp_status.flag_non_finite(tile.bits[i], flags, first) or ngroups == 1
        any_flagged |= flagged[i]
        if not flagged[i]:
            status[i] = 0
            added[i] = 0
            late[i] = 0
            add_clean_rate(samples, first, settings, network, differences, rate, size)
            continue
        ramp_status.ramp_status(flags, first, zeroframe, tile.suppressed[i], settings, status[i], added[i], late[i])
        add_flagged_rate(samples, flags, first, status[i], zeroframe, settings, network, differences, rate, size)
        for k in range(LANES):
            if (status[i, k] & _ZEROFRAME) != 0:
                replaced_sample[i, k] = samples[0, first + k]
                replaced_flag[i, k] = flags[0, first + k]
                samples[0, first + k] = zeroframe[first + k]
                flags[0, first + k] = 0
    dark = tile.dark[first : first + LANES]
    for k in range(LANES):
        if cancels(rate[k], size[k]):
            rate[k] = exact_rate(tile, first + k, status[:, k], settings)
        mean = rate[k] / nints
        rate[k] = mean + dark[k] if mean > 0 else np.float64(dark[k])
    return any_flagged


@jit
def _store_clean(clean, clean_combined, base, i, first, totals, dq_all, read_variances, result):
    """Store one integration of a block in which no ramp has flags, and add it to the totals."""
    slope = result.rateints[0, i, first : first + LANES]
    flags = result.rateints_dq[i, first : first + LANES]
    for k in range(LANES):
        totals[0, k] += clean[0, k]
        totals[1, k] += clean[1, k]
        totals[2, k] += clean[2, k]
        slope[k] = np.nan if (base[k] & _DS) != 0 else clean[0, k] * clean_combined[3, k]
        flags[k] = base[k]
        dq_all[k] &= base[k]
        read_variances[k] = clean_combined[3, k]
    for j in range(1, 4):
        store(clean_combined[j], result.rateints[j, i], first)
