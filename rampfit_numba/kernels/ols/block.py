"""Fit of one block: LANES pixels with all their integrations and groups.

The group index runs outside and the pixel index inside, so that the compiler can use vectors. Most ramps have no flag
and take a short path; the others are cut into segments. Both take the same steps in the same order, so that a ramp's
neighbours and the slicing do not change a bit.
"""

from __future__ import annotations

import numpy as np
from numba import types

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES, jit_apart, jit_part
from rampfit_numba.kernels.ols import ramp_status
from rampfit_numba.kernels.ols import workspace as rows
from rampfit_numba.kernels.ols.block_rates import find_rates
from rampfit_numba.kernels.ols.charge_loss import has_charge_loss, recompute_read_variances
from rampfit_numba.kernels.ols.combine import combine_clean, combine_integrations, combine_segments, copy_values
from rampfit_numba.kernels.ols.copying import store_fitopt, store_integrations, store_read_variances
from rampfit_numba.kernels.ols.fitopt import (
    store_clean,
    store_jumps,
    store_pedestals,
    store_segments,
    store_single_group,
)
from rampfit_numba.kernels.ols.pixels import CONSTANTS, find_constants, load_pixels
from rampfit_numba.kernels.ols.segment_fit import sum_clean, sum_segments, sum_single_group, weigh_clean
from rampfit_numba.kernels.ols.segments import find_runs, find_single_group, list_segments
from rampfit_numba.kernels.ols.slopes import fit_clean, fit_segments
from rampfit_numba.kernels.rates import flag_unfitted
from rampfit_numba.kernels.vectors import WIDTH, load, load_unset, select, store, store_single

_TRUE = np.uint8(1)
_DS, _JP = np.uint8(dq.DO_NOT_USE | dq.SATURATED), np.uint8(dq.JUMP_DET | dq.PERSISTENCE)
_UNFITTED = ramp_status.NO_USABLE_GROUP | ramp_status.FIRST_SATURATED
#: Up to so many ramps without flags in a block are not worth the path of their own.
_FEW_CLEAN = LANES // 8


@jit_part
def fit_block(ramps, settings, weights, network, runs, segments, workspace, result, fitopt, place):
    """Fit the ramps of one block.

    Parameters
    ----------
    ramps : Ramps
    settings : Settings
    weights : Weights
    network : ndarray of int64, shape (exchanges, 3)
        See :func:`middle_network`.
    runs, segments : RunLengths, Segments
        Workspace to work in.
    workspace : BlockWorkspace
    result : BlockResult
    fitopt : BlockFitOpt or None
        With None, the code for the optional results is not even compiled.
    place : BlockPlace
        Where integrations are copied to while others are fitted, if `result` does not keep all of them.
    """
    nints, ngroups, _ = ramps.samples.shape
    most_kept = result.rateints.shape[1]
    status, flagged, nflagged = workspace.status, workspace.flagged, workspace.nflagged
    stored, listed = workspace.stored, workspace.listed
    replaced_sample, read_variances = workspace.replaced_sample, workspace.read_variances
    block_flags, doubles, words, masks = workspace.flags, workspace.doubles, workspace.words, workspace.masks
    added, partly_saturated, replaced_flag = (
        block_flags[rows.ADDED],
        block_flags[rows.PARTLY_SATURATED],
        block_flags[rows.REPLACED_FLAG],
    )
    rate, classes, slope = doubles[rows.RATE], doubles[rows.CLASSES], doubles[rows.SLOPE]
    constants = doubles[rows.PIXEL_CONSTANTS : rows.PIXEL_CONSTANTS + CONSTANTS]
    totals = doubles[rows.TOTALS : rows.TOTALS + 3]
    clean, clean_combined = doubles[rows.CLEAN : rows.CLEAN + 3], doubles[rows.CLEAN_COMBINED : rows.CLEAN_COMBINED + 4]
    sums, combined = doubles[rows.SUMS : rows.SUMS + 4], doubles[rows.COMBINED : rows.COMBINED + 4]
    some, some_masks = doubles[rows.SOME : rows.SOME + 8], masks[rows.SOME_MASKS : rows.MASKS]
    # Flags are put together as bytes, of which a vector holds four times as many as of whole flags.
    base, rate_dq, bits = words[rows.BASE], words[rows.RATE_DQ], workspace.bytes
    base_bits, bits_now, bits_joined = bits[rows.BASE_BITS], bits[rows.BITS_NOW], bits[rows.BITS_JOINED]
    bits_any, bits_all = bits[rows.BITS_ANY], bits[rows.BITS_ALL]
    bits_partly_saturated = bits[rows.BITS_PARTLY_SATURATED]
    unflagged, left_out = masks[rows.UNFLAGGED], masks[rows.LEFT_OUT]
    fitted, invalid = masks[rows.FITTED], masks[rows.INVALID]

    load_pixels(ramps, settings, constants, base)
    find_rates(ramps, settings, network, workspace)
    lost_charge = has_charge_loss(status)
    find_constants(settings, rate, constants)
    for j in range(3):
        totals[j] = 0.0
    for k in range(LANES):
        base_bits[k] = base[k]
    for k in range(LANES):
        bits_any[k] = bits_partly_saturated[k] = 0
        bits_all[k] = _DS
    if ngroups > 1:
        weigh_clean(ngroups, constants, clean)
        for k in range(LANES):
            invalid[k] = (base_bits[k] & _DS) != 0
        combine_clean(ngroups, constants, invalid, settings.largest_variance, clean_combined)

    for i in range(nints):
        samples, flags, status_now = ramps.samples[i], ramps.flags[i], status[i]
        kept = i % most_kept
        # A few ramps without flags among many that have some are fitted like those, with the same result.
        with_clean = LANES - nflagged[i] > _FEW_CLEAN
        for k in range(LANES):
            unflagged[k] = status_now[k] == 0 and ngroups > 1
        if with_clean:
            fit_clean(samples, constants, weights, unflagged, classes, slope)
            sum_clean(slope, ngroups, constants, clean)
        store_clean(fitopt, samples, classes, slope, settings, constants, weights, with_clean)
        if nflagged[i] == 0:
            _store_clean(clean, clean_combined, base, kept, totals, combined, result)
            for k in range(LANES):
                bits_all[k] &= base_bits[k]
            if most_kept < nints and (kept == most_kept - 1 or i == nints - 1):
                store_integrations(result, i - kept, i + 1, nints, place)
            if lost_charge:
                copy_values(clean_combined[3], read_variances[i])
            store_pedestals(fitopt, samples, settings, base_bits, combined[0])
            store_fitopt(fitopt, i, place)
            continue

        for k in range(LANES):
            left_out[k] = (unflagged[k] and with_clean) or (status_now[k] & _UNFITTED) != 0
        find_runs(flags, settings.clear_first_jump, left_out, runs)
        number = list_segments(runs, segments)
        fit_segments(samples, constants, weights, segments, number)
        sum_segments(segments, number, runs, constants, sums)
        segment_count = runs.nsegments
        for k in range(LANES):
            fitted[k] = unflagged[k] or segment_count[k] > 0
        store_segments(fitopt, samples, segments, number, settings, constants, weights, stored)
        for a in range(nflagged[i]):
            k = flagged[i, a]
            if not fitted[k] and not left_out[k]:
                g = find_single_group(runs, k)
                if g >= 0:
                    fitted[k] = True
                    sample = samples[g, k]
                    sum_single_group(sample, k, status[i, k], settings, constants, sums)
                    store_single_group(fitopt, sample, k, status[i, k], settings, constants)
        added_now, partly_saturated_now = added[i], partly_saturated[i]
        for k in range(LANES):
            bits_now[k] = base_bits[k] | added_now[k]
        for k in range(LANES):
            invalid[k] = (bits_now[k] & _DS) != 0
        if with_clean:
            _combine_flagged(
                flagged[i], nflagged[i], sums, fitted, invalid, settings.largest_variance, some, some_masks, combined
            )
        else:
            combine_segments(sums, fitted, invalid, LANES, settings.largest_variance, combined)
        shared = clean if with_clean else sums
        _join_clean(unflagged, invalid, sums, shared, clean_combined, totals, combined, result, kept)
        if lost_charge:
            for k in range(LANES):
                read_variances[i, k] = clean_combined[3, k] if unflagged[k] else combined[3, k]
        for k in range(LANES):
            bits_any[k] |= bits_now[k] & _JP
        for k in range(LANES):
            bits_all[k] &= bits_now[k]
        for k in range(LANES):
            bits_partly_saturated[k] |= partly_saturated_now[k]
        for k in range(LANES):
            bits_joined[k] = bits_now[k] | partly_saturated_now[k]
        dq_here = result.rateints_dq[kept]
        for k in range(LANES):
            dq_here[k] = base[k] | bits_joined[k]
        flag_unfitted(result.rateints[0, kept], dq_here)
        if most_kept < nints and (kept == most_kept - 1 or i == nints - 1):
            store_integrations(result, i - kept, i + 1, nints, place)
        store_pedestals(fitopt, samples, settings, bits_now, combined[0])
        store_jumps(fitopt, samples, flags, status_now, replaced_sample[i], replaced_flag[i], stored, listed)
        store_fitopt(fitopt, i, place)

    for k in range(LANES):
        bits_any[k] |= bits_all[k]
    for k in range(LANES):
        rate_dq[k] = base[k] | bits_any[k]
    combine_integrations(totals, rate_dq, settings.largest_variance, combined)
    for j in range(4):
        copy_values(combined[j], result.rate[j])
    for k in range(LANES):
        result.rate_dq[k] = rate_dq[k] | bits_partly_saturated[k]
    flag_unfitted(result.rate[0], result.rate_dq)
    if lost_charge:
        recompute_read_variances(
            ramps.flags,
            settings,
            status,
            replaced_flag,
            constants,
            read_variances,
            runs,
            result.rate,
            fitted,
            left_out,
            doubles[rows.WORK],
        )
        store_read_variances(status, read_variances, workspace.singles, result, place)


@jit_apart(types.none)
def _combine_flagged(lanes, number, sums, fitted, invalid, largest, some, some_masks, combined):
    """Do what :func:`combine_segments` does, for some lanes: they are set side by side meanwhile.

    Divisions and roots take a fifteenth of the time of a fit with hits, if they are done for all lanes.
    """
    for j in range(4):
        here, side_by_side = sums[j], some[j]
        for a in range(number):
            side_by_side[a] = here[lanes[a]]
    some_fitted, some_invalid = some_masks[0], some_masks[1]
    for a in range(number):
        some_fitted[a] = fitted[lanes[a]]
    for a in range(number):
        some_invalid[a] = invalid[lanes[a]]
    combine_segments(some, some_fitted, some_invalid, number, largest, some[4:])
    for j in range(4):
        here, side_by_side = combined[j], some[4 + j]
        for a in range(number):
            here[lanes[a]] = side_by_side[a]


@jit_apart(types.none)
def _join_clean(unflagged, invalid, sums, clean, clean_combined, totals, combined, result, i):
    """Take what is known of the ramps without flags, store the integration as row `i`, and add it to the totals."""
    for lane in range(0, LANES, WIDTH):
        flagged, valid = load_unset(unflagged, lane, _TRUE), load_unset(invalid, lane, _TRUE)
        for j in range(3):
            here = select(flagged, load(sums[j], lane), load(clean[j], lane))
            store(totals[j], lane, load(totals[j], lane) + here)
        slope = select(valid, load(clean[0], lane) * load(clean_combined[3], lane), np.nan)
        slope = select(flagged, load(combined[0], lane), slope)
        store(combined[0], lane, slope)
        store_single(result.rateints[0, i], lane, slope)
        for j in range(1, 4):
            store_single(
                result.rateints[j, i], lane, select(flagged, load(combined[j], lane), load(clean_combined[j], lane))
            )


@jit_apart(types.none)
def _store_clean(clean, clean_combined, base, i, totals, combined, result):
    """Store one integration of a block in which no ramp has flags, as row `i`, and add it to the totals."""
    slope = combined[0]
    slope_sum, read_variance = clean[0], clean_combined[3]
    flags = result.rateints_dq[i]
    for j in range(3):
        total, here = totals[j], clean[j]
        for k in range(LANES):
            total[k] += here[k]
    for k in range(LANES):
        slope[k] = np.nan if (base[k] & _DS) != 0 else slope_sum[k] * read_variance[k]
    for k in range(LANES):
        flags[k] = base[k]
    copy_values(slope, result.rateints[0, i])
    flag_unfitted(result.rateints[0, i], flags)
    for j in range(1, 4):
        copy_values(clean_combined[j], result.rateints[j, i])
