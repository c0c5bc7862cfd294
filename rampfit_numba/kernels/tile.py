"""Fit of one tile: a few thousand ramps whose samples and flags stand together in memory.

A tile is treated block by block: LANES pixels with all their integrations and groups, which then are in the nearest cache. The
group index runs outside and the pixel index inside, so that the compiler can use vectors. Most ramps have no flag and take a
short path; the others are cut into segments.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels import ramp_status
from rampfit_numba.kernels._jit import LANES, jit
from rampfit_numba.kernels.combine import base_dq, bounded, combine_exposure, combine_integration
from rampfit_numba.kernels.median_rate import add_clean_rate, add_flagged_rate, cancels, exact_rate
from rampfit_numba.kernels.ols import (
    clean_slopes,
    poisson_variance,
    read_variance,
    segment_intercept,
    segment_slope,
    signal_class,
    unfittable,
)
from rampfit_numba.kernels.ramp_status import flag_non_finite, integration_dq
from rampfit_numba.kernels.segments import charge_loss_masks, group_masks, list_segments

_D, _S = np.uint32(dq.DO_NOT_USE), np.uint32(dq.SATURATED)
_DS = np.uint32(dq.DO_NOT_USE | dq.SATURATED)
_JP = np.uint32(dq.JUMP_DET | dq.PERSISTENCE)
_J8, _S8 = np.uint8(dq.JUMP_DET), np.uint8(dq.SATURATED)
_UNFITTED = ramp_status.NO_USABLE_GROUP | ramp_status.FIRST_SATURATED
_ZEROFRAME = ramp_status.ZEROFRAME
_SOLE_FIRST = ramp_status.SOLE_FIRST
_CHARGELOSS = np.uint16(dq.CHARGELOSS)
#: Rows of the float32 results of a pixel.
SLOPE, ERR, VAR_POISSON, VAR_RNOISE = range(4)
#: Rows of the float32 results of a segment.
(SEG_SLOPE, SEG_SIGSLOPE, SEG_VAR_POISSON, SEG_VAR_RNOISE, SEG_YINT, SEG_SIGYINT, SEG_WEIGHTS) = range(7)
#: The reference's value of sqrt(2), used for the uncertainties of segments of two groups.
_SQRT2 = 1.41421356
_FEW = 2


class Tile(NamedTuple):
    """Inputs of one tile. The number of pixels is a multiple of LANES; what is behind the last pixel is padding.

    Attributes
    ----------
    samples : ndarray of float32, shape (nints, ngroups, npixels)
        In DN.
    bits : ndarray of int32
        The same memory.
    flags : ndarray of uint8, shape of `samples`
        DO_NOT_USE is added to samples that are not finite.
    pixeldq : ndarray of uint32, shape (npixels,)
    readnoise, gain, dark : ndarray of float32, shape (npixels,)
        CDS noise in DN, e-/DN, DN/s.
    zeroframe : ndarray of float32, shape (nints, npixels) or (nints, 0)
        In DN.
    good_elsewhere : ndarray of uint8, shape (nints, npixels) or (nints, 0)
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
    good_elsewhere: np.ndarray


class TileResult(NamedTuple):
    """Outputs of one tile, in DN/s and (DN/s)^2; the first axis of the float32 arrays is SLOPE, ERR, VAR_POISSON, VAR_RNOISE.

    Attributes
    ----------
    rate, rate_dq : ndarray, shapes (4, npixels), (npixels,)
    rateints, rateints_dq : ndarray, shapes (4, nints, npixels), (nints, npixels)
    segments : ndarray of float32, shape (7, nints, nsegments, npixels)
        Zeroed by the caller; npixels is 0 where nobody wants them.
    pedestal : ndarray of float32, shape (nints, npixels)
    crmag : ndarray of float32, shape (nints, njumps, npixels)
    """

    rate: np.ndarray
    rate_dq: np.ndarray
    rateints: np.ndarray
    rateints_dq: np.ndarray
    segments: np.ndarray
    pedestal: np.ndarray
    crmag: np.ndarray


@jit
def fit_tile(tile, settings, weights, network, result):
    """Fit all ramps of a tile (sections 2.9 to 8 of the rules in ``docs/algorithm.md``).

    Parameters
    ----------
    tile : Tile
    settings : Settings
    weights : Weights
    network : ndarray of int64, shape (exchanges, 3)
    result : TileResult
    """
    nints, ngroups, npixels = tile.samples.shape
    want_segments = result.segments.shape[3] > 0
    status = np.empty((nints, LANES), np.uint16)
    differences = np.empty((max(ngroups - 1, 1), LANES), np.float64)
    # The reference's samples before a zeroframe value takes their place: needed for crmag and charge loss only.
    replaced_sample = np.empty((nints, LANES), np.float32)
    replaced_flag = np.empty((nints, LANES), np.uint8)
    read_weights = np.empty((nints, LANES), np.float64)
    flagged = np.empty(nints, np.bool_)

    readnoise = np.empty(LANES, np.float64)
    gain = np.empty(LANES, np.float64)
    rate = np.empty(LANES, np.float64)
    base = np.empty(LANES, np.uint32)
    slope = np.empty(LANES, np.float64)
    count = np.empty(LANES, np.int64)
    sums = np.empty((4, LANES), np.float64)
    clean = np.empty((4, LANES), np.float64)
    totals = np.empty((3, LANES), np.float64)
    dq_any = np.empty(LANES, np.uint32)
    dq_all = np.empty(LANES, np.uint32)
    dq_late = np.empty(LANES, np.uint32)
    good = np.empty((ngroups // 64 + 1, LANES), np.uint64)
    jump = np.empty((ngroups // 64 + 1, LANES), np.uint64)
    begins = np.empty(ngroups // 2 + 2, np.int64)
    ends = np.empty(ngroups // 2 + 2, np.int64)

    for first in range(0, npixels, LANES):
        for k in range(LANES):
            gain[k] = tile.gain[first + k]
            scaled = np.float64(tile.readnoise[first + k]) * (gain[k] / settings.readnoise_scale)
            readnoise[k] = np.float32(scaled)
            base[k] = base_dq(tile.pixeldq[first + k], tile.readnoise[first + k], tile.gain[first + k])

        _find_rates(tile, first, settings, network, differences, status, flagged, replaced_sample, replaced_flag, rate)
        for k in range(LANES):
            dark = np.float64(tile.dark[first + k])
            mean = rate[k] / nints
            rate[k] = mean + dark if mean > 0 else dark
            dq_any[k] = base[k]
            dq_all[k] = _DS
            dq_late[k] = 0
        totals[:] = 0.0
        if ngroups > 1:
            _clean_sums(ngroups, settings, readnoise, gain, rate, clean)

        charge_loss = False
        for i in range(nints):
            samples, flags = tile.samples[i], tile.flags[i]
            if ngroups > 1:
                clean_slopes(samples, first, readnoise, gain, weights, slope)
            if flagged[i] or want_segments:
                group_masks(flags, first, good, jump)
                if settings.clear_first_jump:
                    _clear_first_jump(flags, first, good, jump)
            for k in range(LANES):
                state = status[i, k]
                count[k] = 1
                if state == 0 and not want_segments:
                    s = slope[k] / settings.group_time + (unfittable(readnoise[k]) if ngroups > _FEW else 0.0)
                    sums[0, k] = s / clean[3, k]
                    sums[1, k] = clean[0, k]
                    sums[2, k] = clean[1, k]
                    sums[3, k] = clean[2, k]
                    continue
                charge_loss |= (state & _CHARGELOSS) != 0
                for j in range(4):
                    sums[j, k] = 0.0
                if (state & _UNFITTED) != 0:
                    count[k] = 0
                    continue
                used, _ = list_segments(good, jump, k, begins, ends)
                count[k] = used
                for s in range(used):
                    _fit_segment(
                        tile, i, first, k, s, begins[s], ends[s], state, settings, weights,
                        readnoise[k], gain[k], rate[k], sums, result,
                    )
            for k in range(LANES):
                state = status[i, k]
                now, late = integration_dq(state, ngroups)
                now |= base[k]
                s, vp, vr, err = combine_integration(
                    count[k], sums[0, k], sums[1, k], sums[2, k], sums[3, k], (now & _DS) != 0
                )
                if sums[1, k] > 0:
                    totals[1, k] += sums[1, k]
                if count[k] > 0:
                    totals[0, k] += sums[0, k]
                    totals[2, k] += sums[2, k]
                result.rateints[SLOPE, i, first + k] = s
                result.rateints[ERR, i, first + k] = err
                result.rateints[VAR_POISSON, i, first + k] = vp
                result.rateints[VAR_RNOISE, i, first + k] = vr
                read_weights[i, k] = 1.0 / vr if vr > 0 else 0.0
                result.rateints_dq[i, first + k] = now | late
                dq_any[k] |= now & _JP
                dq_all[k] &= now
                dq_late[k] |= late
                if want_segments:
                    usable = (now & _S) == 0
                    pedestal = np.float64(samples[0, first + k]) - s * settings.pedestal_groups
                    result.pedestal[i, first + k] = pedestal if usable and not np.isnan(pedestal) else 0.0
            if want_segments:
                _list_jumps(samples, flags, first, status[i], replaced_sample[i], replaced_flag[i], result.crmag[i])

        for k in range(LANES):
            now = dq_any[k] | dq_all[k]
            s, vp, vr, err = combine_exposure(totals[0, k], totals[1, k], totals[2, k], (now & _DS) != 0)
            result.rate[SLOPE, first + k] = s
            result.rate[ERR, first + k] = err
            result.rate[VAR_POISSON, first + k] = vp
            result.rate[VAR_RNOISE, first + k] = vr
            result.rate_dq[first + k] = now | dq_late[k]
        if charge_loss:
            _recompute_charge_loss(
                tile, first, settings, status, replaced_flag, readnoise, gain, read_weights, good, jump, begins, ends, result
            )


@jit
def count_tile(tile, settings):
    """Return the largest number of segments and of jumps that a ramp of this tile has, as fitopt needs it (section 8).

    The parameters are those of :func:`fit_tile`; pixels that are padding do not count as long as they are flagged.
    """
    nints, ngroups, npixels = tile.samples.shape
    status = np.empty(LANES, np.uint16)
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
            flag_non_finite(tile.bits[i], flags, first)
            ramp_status.ramp_status(flags, first, tile.zeroframe[i], tile.good_elsewhere[i], settings, status)
            jumps[:] = 0
            for g in range(1, ngroups):
                here = flags[g, first : first + LANES]
                for k in range(LANES):
                    jumps[k] += (here[k] & _J8) != 0
            group_masks(flags, first, good, jump)
            if settings.clear_first_jump:
                _clear_first_jump(flags, first, good, jump)
            for k in range(LANES):
                most_jumps = max(most_jumps, jumps[k])
                if (status[k] & _UNFITTED) != 0:
                    continue
                if (status[k] & _ZEROFRAME) != 0:
                    good[0, k] |= np.uint64(1)
                    jump[0, k] &= ~np.uint64(1)
                _, reported = list_segments(good, jump, k, begins, ends)
                most_segments = max(most_segments, reported)
    return most_segments, most_jumps


@jit
def _find_rates(tile, first, settings, network, differences, status, flagged, replaced_sample, replaced_flag, rate):
    """Find the status and the summed median rates of a block; put zeroframe samples in the place of their first groups."""
    nints, ngroups, _ = tile.samples.shape
    rate[:] = 0.0
    size = np.zeros(LANES, np.float64)
    for i in range(nints):
        samples, flags, zeroframe = tile.samples[i], tile.flags[i], tile.zeroframe[i]
        flagged[i] = flag_non_finite(tile.bits[i], flags, first) or ngroups == 1
        if not flagged[i]:
            status[i] = 0
            add_clean_rate(samples, first, settings, network, differences, rate, size)
            continue
        ramp_status.ramp_status(flags, first, zeroframe, tile.good_elsewhere[i], settings, status[i])
        add_flagged_rate(samples, flags, first, status[i], zeroframe, settings, network, differences, rate, size)
        for k in range(LANES):
            if (status[i, k] & _ZEROFRAME) != 0:
                replaced_sample[i, k] = samples[0, first + k]
                replaced_flag[i, k] = flags[0, first + k]
                samples[0, first + k] = zeroframe[first + k]
                flags[0, first + k] = 0
    for k in range(LANES):
        if cancels(rate[k], size[k]):
            rate[k] = exact_rate(tile, first + k, status[:, k], settings)


@jit
def _clean_sums(ngroups, settings, readnoise, gain, rate, clean):
    """Find what the unflagged ramps of a pixel share: 1/var_poisson, 1/var_rnoise, 1/var_err, and var_rnoise."""
    for k in range(LANES):
        var_poisson = poisson_variance(ngroups, settings.group_time, rate[k], gain[k])
        var_rnoise = read_variance(ngroups, settings.group_time, readnoise[k], gain[k])
        clean[0, k] = 1.0 / var_poisson if var_poisson > 0 else 0.0
        clean[1, k] = 1.0 / var_rnoise
        clean[2, k] = 1.0 / (var_poisson + var_rnoise)
        clean[3, k] = var_rnoise


@jit
def _clear_first_jump(flags, first, good, jump):
    """Void the JUMP_DET of group 0 in the masks of a block."""
    kept = np.uint8(0xFF ^ dq.JUMP_DET ^ dq.PERSISTENCE)
    for k in range(LANES):
        jump[0, k] &= ~np.uint64(1)
        good[0, k] |= np.uint64((flags[0, first + k] & kept) == 0)


@jit
def _fit_segment(
    tile, i, first, k, number, begin, end, state, settings, weights, readnoise, gain, rate, sums, result
):
    """Fit one segment of the ramp in lane `k`, add it to `sums`, and store it where segments are wanted."""
    samples = tile.samples[i]
    length = end - begin
    time = settings.group_time
    snr_class = 0
    per_group = 0.0
    if length == 1:
        if (state & _SOLE_FIRST) != 0:
            time = settings.one_group_time
        elif (state & _ZEROFRAME) != 0:
            time = settings.frame_time
        slope = np.float64(samples[begin, first + k]) / time
    else:
        if length > _FEW:
            step = np.float64(samples[end - 1, first + k]) - np.float64(samples[begin, first + k])
            snr_class = signal_class(step, readnoise, gain)
        per_group = segment_slope(samples, first + k, begin, end, snr_class, weights)
        slope = per_group / time
        if length > _FEW:
            slope += unfittable(readnoise)
    var_poisson = poisson_variance(length, time, rate, gain)
    var_rnoise = read_variance(length, time, readnoise, gain)
    sums[0, k] += slope / var_rnoise
    if var_poisson > 0:
        sums[1, k] += 1.0 / var_poisson
    sums[2, k] += 1.0 / var_rnoise
    sums[3, k] += 1.0 / (var_poisson + var_rnoise)
    if result.segments.shape[3] == 0:
        return
    out = result.segments[:, i, number, first + k]
    out[SEG_SLOPE] = slope
    out[SEG_VAR_POISSON] = var_poisson
    out[SEG_VAR_RNOISE] = var_rnoise
    out[SEG_WEIGHTS] = 1.0 / var_rnoise
    if length == _FEW:
        out[SEG_SIGSLOPE] = _SQRT2 * readnoise
        out[SEG_SIGYINT] = _SQRT2 * readnoise
    if length > 1:
        out[SEG_YINT] = segment_intercept(samples, first + k, begin, end, snr_class, weights, per_group)
    if length > _FEW:
        noise = np.abs(readnoise) + unfittable(readnoise)
        total, spread = weights.total[snr_class, length], weights.spread[snr_class, length]
        centre = begin + 0.5 * (length - 1)
        out[SEG_SIGSLOPE] = noise / np.sqrt(spread)
        out[SEG_SIGYINT] = noise * np.sqrt(1.0 / total + centre * centre / spread)
        out[SEG_YINT] += unfittable(readnoise)


@jit
def _list_jumps(samples, flags, first, status, replaced_sample, replaced_flag, crmag):
    """List the steps at the jumps of a block of ramps, in time order (section 2.12)."""
    for k in range(LANES):
        found = 0
        for g in range(1, samples.shape[0]):
            if (flags[g, first + k] & _J8) == 0:
                continue
            before = np.float64(samples[g - 1, first + k])
            before_flag = flags[g - 1, first + k]
            if g == 1 and (status[k] & _ZEROFRAME) != 0:
                before = np.float64(replaced_sample[k])
                before_flag = replaced_flag[k]
            saturated = ((flags[g, first + k] | before_flag) & _S8) != 0
            crmag[found, first + k] = np.nan if saturated else np.float64(samples[g, first + k]) - before
            found += 1


@jit
def _recompute_charge_loss(
    tile, first, settings, status, replaced_flag, readnoise, gain, read_weights, good, jump, begins, ends, result
):
    """Replace var_rnoise of pixels with CHARGELOSS by that of the ramps without charge loss (end of section 6)."""
    nints = tile.samples.shape[0]
    for k in range(LANES):
        affected = False
        for i in range(nints):
            affected |= (status[i, k] & _CHARGELOSS) != 0
        if not affected:
            continue
        total = 0.0
        for i in range(nints):
            if (status[i, k] & _CHARGELOSS) == 0:
                total += read_weights[i, k]
                continue
            flags = tile.flags[i]
            rescued = (status[i, k] & _ZEROFRAME) != 0
            if rescued:
                flags[0, first + k] = replaced_flag[i, k]
            charge_loss_masks(flags, first + k, good, jump)
            used, _ = list_segments(good, jump, 0, begins, ends)
            weight = 0.0
            for s in range(used):
                length = ends[s] - begins[s]
                time = settings.group_time
                if length == 1 and (status[i, k] & _SOLE_FIRST) != 0:
                    time = settings.one_group_time
                elif length == 1 and rescued:
                    time = settings.frame_time
                var_rnoise = read_variance(length, time, readnoise[k], gain[k])
                if var_rnoise > 0:
                    weight += 1.0 / var_rnoise
            var_rnoise = bounded(1.0 / weight) if weight > 0 else 0.0
            result.rateints[VAR_RNOISE, i, first + k] = var_rnoise
            total += weight
        if total > 0:
            result.rate[VAR_RNOISE, first + k] = bounded(1.0 / total)
