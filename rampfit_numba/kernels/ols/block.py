"""Fit of one block: LANES pixels with all their integrations and groups.

The group index runs outside and the pixel index inside, so that the compiler can use vectors. Most ramps have no flag
and take a short path; the others are cut into segments. Both take the same steps in the same order, so that a ramp's
neighbours and the slicing do not change a bit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import types

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES, jit_apart, jit_part
from rampfit_numba.kernels.bits import BITS
from rampfit_numba.kernels.lists import SPARE
from rampfit_numba.kernels.ols import ramp_status
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
from rampfit_numba.kernels.ols.long_median import Selection, empty_selection
from rampfit_numba.kernels.ols.median_rate import (
    add_clean_step,
    add_flagged_step,
    exact_rate,
    find_cancelled,
    is_exact,
)
from rampfit_numba.kernels.ols.pixels import CONSTANTS, find_constants, load_pixels
from rampfit_numba.kernels.ols.segment_fit import sum_clean, sum_segments, sum_single_group, weigh_clean
from rampfit_numba.kernels.ols.segments import MOST_IN_BYTES, find_runs, find_single_group, list_segments
from rampfit_numba.kernels.ols.slopes import fit_clean, fit_segments
from rampfit_numba.kernels.rates import flag_unfitted
from rampfit_numba.kernels.vectors import WIDTH, load, load_unset, select, store, store_single

_TRUE = np.uint8(1)
_DS, _JP = np.uint8(dq.DO_NOT_USE | dq.SATURATED), np.uint8(dq.JUMP_DET | dq.PERSISTENCE)
_UNFITTED = ramp_status.NO_USABLE_GROUP | ramp_status.FIRST_SATURATED
_ZEROFRAME = ramp_status.ZEROFRAME
#: Up to so many ramps without flags in a block are not worth the path of their own.
_FEW_CLEAN = LANES // 8


#: Rows of `doubles`, of `words` and of `masks` in :class:`BlockWorkspace`; some quantities have several.
(
    RATE,
    _SIZE,
    _CLASSES,
    _SLOPE,
    _TOTALS,
    _WORK,
    _CLEAN,
    _CLEAN_COMBINED,
    _SUMS,
    _COMBINED,
    _SOME,
    _CONSTANTS,
    _DOUBLES,
) = (int(row) for row in np.cumsum([0, 1, 1, 1, 1, 3, 2, 3, 4, 4, 4, 8, CONSTANTS]))
_BASE, _RATE_DQ, _WORDS = range(3)
#: ... and of `bytes`, the lowest bits of flags; before them stands what is overwritten anywhere.
_BASE_BITS, _BITS_NOW, _BITS_JOINED, _BITS_ANY, _BITS_ALL, _BITS_PARTLY_SATURATED, _BYTES = range(5, 12)
_UNFLAGGED, _LEFT_OUT, _FITTED, _INVALID, _SOME_MASKS, _MASKS = 0, 1, 2, 3, 4, 6
_ADDED, _PARTLY_SATURATED, _REPLACED_FLAG, _FLAGS = range(4)


class BlockWorkspace(NamedTuple):
    """State of a block while it is fitted: one value a lane, or a lane and integration.

    Many quantities stand in few arrays: at every use of an attribute, the compiler takes all of them apart, which took
    it a second and a half when each had an array.

    Attributes
    ----------
    has_flags : ndarray of bool, shape (nints,)
        To be set before a block is fitted: whether any ramp of the integration has a flag that counts. The other arrays
        are overwritten.
    nflagged, flagged : ndarray of int64, shape (nints,), and of uint32, shape (nints, LANES + SPARE)
        The ramps that have flags, and their number.
    status, flags : ndarray of uint16, shape (nints, LANES), and of uint8, shape (3, nints, LANES)
        See :mod:`ramp_status`; the bits that integrations get, those of partial saturation, and the flags of group 0 as
        they were where a zeroframe took its place.
    replaced_sample, read_variances : ndarray of float32 and float64, shape (nints, LANES)
        Group 0 as it was where a zeroframe took its place, in DN; var_rnoise in (DN/s)^2, where a ramp has lost charge:
        else that memory stays untouched, which counts with many integrations.
    differences, values : ndarray of float32, shape (ngroups - 1, LANES), and of float64, shape (ngroups,)
        See :mod:`median_rate`.
    doubles, words, masks, bytes, singles, stored : ndarray of float64, uint32, bool, uint8, float32 and int32
        Shape (rows, LANES) or (LANES,).
    listed : ndarray of uint32, shape (LANES + SPARE,)
    usable_bits : ndarray of uint64, shape (LANES / BITS, ngroups - 1)
        See :func:`rampfit_numba.kernels.ols.short_median.middle_of_usable_steps`.
    selection : Selection or None
        Finds medians where there are too many groups for a network.
    """

    has_flags: np.ndarray
    nflagged: np.ndarray
    flagged: np.ndarray
    status: np.ndarray
    flags: np.ndarray
    replaced_sample: np.ndarray
    read_variances: np.ndarray
    differences: np.ndarray
    values: np.ndarray
    doubles: np.ndarray
    words: np.ndarray
    masks: np.ndarray
    bytes: np.ndarray
    singles: np.ndarray
    stored: np.ndarray
    listed: np.ndarray
    usable_bits: np.ndarray
    selection: Selection | None


def block_workspace(nints: int, ngroups: int) -> BlockWorkspace:
    """Return :class:`BlockWorkspace` for blocks of exposures with so many integrations and groups."""
    return BlockWorkspace(
        has_flags=np.empty(nints, np.bool_),
        nflagged=np.empty(nints, np.int64),
        flagged=np.empty((nints, LANES + SPARE), np.uint32),
        status=np.empty((nints, LANES), np.uint16),
        flags=np.empty((_FLAGS, nints, LANES), np.uint8),
        replaced_sample=np.empty((nints, LANES), np.float32),
        read_variances=np.empty((nints, LANES), np.float64),
        differences=np.empty((max(ngroups - 1, 1), LANES), np.float32),
        values=np.empty(ngroups, np.float64),
        doubles=np.zeros((_DOUBLES, LANES), np.float64),
        words=np.empty((_WORDS, LANES), np.uint32),
        masks=np.empty((_MASKS, LANES), np.bool_),
        bytes=np.empty((_BYTES, LANES), np.uint8),
        singles=np.empty(LANES, np.float32),
        stored=np.empty(LANES, np.int32),
        listed=np.empty(LANES + SPARE, np.uint32),
        usable_bits=np.empty((max(LANES // BITS, 1), max(ngroups - 1, 1)), np.uint64),
        selection=empty_selection(ngroups - 1) if ngroups > MOST_IN_BYTES else None,
    )


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
        block_flags[_ADDED],
        block_flags[_PARTLY_SATURATED],
        block_flags[_REPLACED_FLAG],
    )
    rate, classes, slope = doubles[RATE], doubles[_CLASSES], doubles[_SLOPE]
    constants, totals = doubles[_CONSTANTS : _CONSTANTS + CONSTANTS], doubles[_TOTALS : _TOTALS + 3]
    clean, clean_combined = doubles[_CLEAN : _CLEAN + 3], doubles[_CLEAN_COMBINED : _CLEAN_COMBINED + 4]
    sums, combined = doubles[_SUMS : _SUMS + 4], doubles[_COMBINED : _COMBINED + 4]
    some, some_masks = doubles[_SOME : _SOME + 8], masks[_SOME_MASKS:_MASKS]
    # Flags are put together as bytes, of which a vector holds four times as many as of whole flags.
    base, rate_dq, bits = words[_BASE], words[_RATE_DQ], workspace.bytes
    base_bits, bits_now, bits_joined, bits_any = bits[_BASE_BITS], bits[_BITS_NOW], bits[_BITS_JOINED], bits[_BITS_ANY]
    bits_all, bits_partly_saturated = bits[_BITS_ALL], bits[_BITS_PARTLY_SATURATED]
    unflagged, left_out, fitted, invalid = masks[_UNFLAGGED], masks[_LEFT_OUT], masks[_FITTED], masks[_INVALID]

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
            doubles[_WORK],
        )
        store_read_variances(status, read_variances, workspace.singles, result, place)


@jit_apart(types.none)
def find_rates(ramps, settings, network, workspace):
    """Find a block's statuses and median rates, and put zeroframe samples in the place of group 0."""
    nints = ramps.samples.shape[0]
    has_flags, status, flagged, nflagged = workspace.has_flags, workspace.status, workspace.flagged, workspace.nflagged
    differences, doubles, work, singles = workspace.differences, workspace.doubles, workspace.bytes, workspace.singles
    block_flags, replaced_sample = workspace.flags, workspace.replaced_sample
    added, partly_saturated, replaced_flag = (
        block_flags[_ADDED],
        block_flags[_PARTLY_SATURATED],
        block_flags[_REPLACED_FLAG],
    )
    step, size = doubles[RATE], doubles[_SIZE]  # both are sums, until the sum of the steps becomes a rate
    for k in range(LANES):
        step[k] = size[k] = 0.0
    for i in range(nints):
        samples, flags, zeroframe = ramps.samples[i], ramps.flags[i], ramps.zeroframe[i]
        if not has_flags[i]:
            nflagged[i] = 0
            status[i] = 0
            added[i] = 0
            partly_saturated[i] = 0
            add_clean_step(samples, network, differences, step, size, workspace.selection)
            continue
        lanes = flagged[i]
        number = ramp_status.ramp_status(
            flags, zeroframe, ramps.suppressed[i], settings, status[i], added[i], partly_saturated[i], lanes, work
        )
        nflagged[i] = number
        add_flagged_step(
            samples,
            flags,
            status[i],
            lanes,
            number,
            zeroframe,
            settings,
            network,
            differences,
            step,
            size,
            work,
            workspace.usable_bits,
            singles,
            doubles[_WORK : _WORK + 2],
            workspace.selection,
        )
        for a in range(number):
            k = lanes[a]
            if (status[i, k] & _ZEROFRAME) != 0:
                replaced_sample[i, k] = samples[0, k]
                replaced_flag[i, k] = flags[0, k]
                samples[0, k] = zeroframe[k]
                flags[0, k] = 0
    rate, cancelled, total_time = step, doubles[_WORK + 1], nints * settings.group_time
    dark, dark_step = ramps.dark, doubles[_WORK]
    for k in range(LANES):
        dark_step[k] = dark[k] * total_time
    if find_cancelled(step, size, dark_step, cancelled):
        for k in range(LANES):
            if cancelled[k] > 0 and not is_exact(ramps, k, step[k], size[k], dark_step[k]):
                step[k] = exact_rate(ramps, k, status[:, k], settings, workspace.values) * settings.group_time
    to_mean = 1.0 / total_time
    for k in range(LANES):
        rate[k] = step[k] * to_mean
    for k in range(LANES):
        rate[k] = rate[k] + dark[k] if rate[k] > 0 else np.float64(dark[k])


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
