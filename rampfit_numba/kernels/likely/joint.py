"""Likelihood fit of one tile with one covariance and one rate for all integrations of a pixel.

Source: section 13 of the rules in ``docs/likelihood.md``. The pipeline weights each integration with the covariance of
its own noisy rate, and finds that from masked differences, too; here all integrations share both.
"""

from __future__ import annotations

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels._jit import jit, jit_entry_allocating, jit_inline
from rampfit_numba.kernels.blocks import load_block, pad_block
from rampfit_numba.kernels.likely.columns import (
    SINGLE_GROUP_LEVEL,
    SINGLE_GROUP_PEDESTAL,
    SINGLE_GROUP_PHOTON,
    SINGLE_GROUP_READ,
    SINGLE_GROUP_TIME,
)
from rampfit_numba.kernels.likely.combine import CHISQ, DOF, ERR, SLOPE, VAR_POISSON, VAR_RNOISE
from rampfit_numba.kernels.likely.differences import list_used, load_differences, middle
from rampfit_numba.kernels.likely.explain import EXPLAIN_ROWS, MOST_EXPLAINED
from rampfit_numba.kernels.likely.fit import WORK_ROWS, degrees_of_freedom, eliminate, number_used, spread_of_weights
from rampfit_numba.kernels.likely.flags import CARRIED_JOINT, combine_flags, flag_unfitted_joint, integration_flags
from rampfit_numba.kernels.likely.joint_search import CHOICE_ROWS, search_hits
from rampfit_numba.kernels.likely.zeroframe import split_first_group
from rampfit_numba.kernels.samples import flag_non_finite
from rampfit_numba.kernels.selection import middle_two
from rampfit_numba.kernels.vectors import (
    WIDTH,
    anywhere,
    load,
    load_single,
    root,
    select,
    spread,
    store,
    store_single,
)

#: Read noise of a difference of two frames is at least this, in DN: without any, a rate of 0 would have no variance.
SMALLEST_NOISE = 1e-3

#: Rows of `single`, what the only good group of a ramp says: 1 or 0, rate, factors of the noises, pedestal variance.
_IS_SINGLE, _RATE, _PHOTON, _READ, _PEDESTAL = range(5)
_SINGLE_ROWS = 5
#: Rows of `refused`: see :func:`_refuse`.
_REFUSED_CHISQ, _REFUSED_LEFT = range(2)
_REFUSED_ROWS = 2
_J8, _NOT_P8 = np.uint8(dq.JUMP_DET), np.uint8(0xFF ^ dq.PERSISTENCE)
_NO_JUMPS = (0, 0)


@jit_entry_allocating
def fit_joint_tile(pointers, loaded, ramps, nframes, table, single_table, limits, most_chisq, network, result):
    """Fit all ramps of a tile.

    Parameters
    ----------
    pointers : BlockPointers
    loaded, ramps : Ramps
        Overwritten: a block as it is loaded, and as it is fitted. The same, unless the first group is split.
    nframes : float32
        See :func:`split_first_group`.
    table, single_table : ndarray
        See :func:`difference_table` and :func:`single_group_table`.
    limits : tuple of float
        See :func:`search_hits`.
    most_chisq : ndarray of float64, shape (n + 1,)
        See :func:`most_chisq`.
    network : ndarray of int64, shape (exchanges, 3)
        That of :func:`middle_network` for the differences of all integrations of a pixel; empty for a great many.
    result : LikelyResult

    Formula
    -------
    p      = max(0, max(0, R) + dark) / G       one for all integrations i of a pixel
    R      = sum_i x_i' d_i / sum_i S_i
    err    = 1 / sqrt(sum_i S_i)
    chisq  = sum_i squares_i - (sum_i weighted_i)^2 / sum_i S_i

    Source
    ------
    Brandt 2024a (PASP 136, 045004), section 4, for each integration, and section 6 for ramps whose level at the reset
    is known; sections 9, 13 and 14 of ``docs/likelihood.md``.

    Units
    -----
    R in DN/s, variances in (DN/s)^2, gain G in e-/DN. S_i = weight and x_i = C^-1 1 of integration i, d_i its
    differences in DN/s: see :func:`eliminate`.
    """
    nints, ngroups, lanes = ramps.samples.shape
    count = ngroups - 1
    difference = np.empty((nints, count * WIDTH), np.float64)
    used = np.empty((nints, count * WIDTH), np.float64)
    kept = np.empty((nints, count * WIDTH), np.float64)
    values = np.empty(nints * count * WIDTH, np.float64)
    listed = np.empty(0 if network.shape[0] > 0 else nints * count + 1, np.float64)
    single = np.zeros((nints, _SINGLE_ROWS, WIDTH), np.float64)
    has_single = np.empty(nints, np.bool_)
    refused = np.empty((nints, _REFUSED_ROWS, WIDTH), np.float64)
    no_jumps = np.empty(_NO_JUMPS, np.uint8)
    work = np.empty((WORK_ROWS, count * WIDTH), np.float64)
    choice = np.empty((CHOICE_ROWS, WIDTH), np.float64)
    selections = np.empty((EXPLAIN_ROWS, MOST_EXPLAINED + 1), np.float64)
    for first in range(0, pointers.npixels, lanes):
        load_block(pointers, first, loaded)
        pad_block(loaded, min(lanes, pointers.npixels - first))
        split_first_group(loaded, nframes, True, ramps)  # noqa: FBT003
        for i in range(nints):
            flag_non_finite(ramps.bits[i], ramps.flags[i], np.int64(0))
        for lane in range(0, lanes, WIDTH):
            for i in range(nints):
                load_differences(ramps.samples[i], ramps.flags[i], lane, table, True, difference[i], used[i])  # noqa: FBT003
                has_single[i] = _find_single(
                    ramps.samples[i], ramps.flags[i], lane, single_table, used[i], choice[0], single[i]
                )
            guess = _start(difference, used, has_single, single, values, network, listed, choice[0])
            _fit_vector(
                ramps,
                lane,
                first + lane,
                table,
                limits,
                most_chisq,
                guess,
                difference,
                used,
                kept,
                has_single,
                single,
                work,
                choice,
                selections,
                no_jumps,
                refused,
                result,
            )
        for i in range(nints):
            integration_flags(
                ramps.flags[i], result.jumps[i], ramps.pixeldq, CARRIED_JOINT, first, result.rateints_dq[i]
            )
            flag_unfitted_joint(ramps.gain, result.rateints[SLOPE, i], first, result.rateints_dq[i])
        combine_flags(result.rateints_dq, first, lanes, result.rate_dq)


@jit_inline
def _find_single(samples, flags, pixel, single_table, used, left, single):
    """Find the ramps of a vector that have no difference, and one good group whose level at the reset is known.

    Returns whether there is any.
    """
    total = number_used(used, samples.shape[0] - 1)
    found = False
    for row in range(_SINGLE_ROWS):
        store(single[row], 0, spread(0.0))
    if not anywhere(total == 0.0):
        return found
    store(left, 0, total)
    for lane in range(WIDTH):
        if left[lane] > 0:
            continue
        good, group, jumped = 0, 0, False
        for g in range(samples.shape[0]):
            if (flags[g, pixel + lane] & _NOT_P8) == 0:
                good += 1
                group = g
            # A hit before the only good group would have raised it.
            jumped |= good == 0 and (flags[g, pixel + lane] & _J8) != 0
        time = single_table[group, SINGLE_GROUP_TIME]
        if good == 1 and not jumped and time > 0:
            found = True
            single[_IS_SINGLE, lane] = 1.0
            single[_RATE, lane] = (
                np.float64(samples[group, pixel + lane]) - single_table[group, SINGLE_GROUP_LEVEL]
            ) / time
            single[_PHOTON, lane] = single_table[group, SINGLE_GROUP_PHOTON]
            single[_READ, lane] = single_table[group, SINGLE_GROUP_READ]
            single[_PEDESTAL, lane] = single_table[group, SINGLE_GROUP_PEDESTAL]
    return found


@jit_inline
def _start(difference, used, has_single, single, values, network, listed, median):
    """Return the median of all used differences of all integrations, those from the reset included.

    Where there is no network for so many, each pixel's values are listed in `listed`; `median` has WIDTH values.
    """
    nints, size = difference.shape
    count = size // WIDTH
    filler = spread(np.inf)
    for i in range(nints):
        if has_single[i]:
            # They stand in for difference 0, which such a ramp does not have.
            is_single = load(single[i, _IS_SINGLE], 0) > 0.0
            store(difference[i], 0, select(is_single, load(single[i, _RATE], 0), load(difference[i], 0)))
            store(used[i], 0, select(is_single, 1.0, load(used[i], 0)))
        filler = list_used(difference[i], used[i], count, values, i * count, filler)
        if has_single[i]:
            store(used[i], 0, select(load(single[i, _IS_SINGLE], 0) > 0.0, 0.0, load(used[i], 0)))
    if network.shape[0] > 0 or nints * count == 1:
        return middle(values, nints * count, network, filler)
    for lane in range(WIDTH):
        found = 0
        for k in range(nints * count):
            listed[found] = values[k * WIDTH + lane]
            found += abs(listed[found]) < np.inf  # not the fillers
        median[lane] = np.nan
        if found > 0:
            lower, upper = middle_two(listed, found)
            median[lane] = (lower + upper) * 0.5
    return load(median, 0)


@jit_inline
def _photon(rate, gain, dark):
    """Return the rate over gain that the covariance is made of, in DN^2/s: never negative, NaN for a useless gain."""
    expected = select(rate > 0.0, rate, rate * 0.0) + dark
    photon = select(expected > 0.0, expected, expected * 0.0) / gain
    return select((gain > 0.0) & (gain < np.inf), photon, np.nan)


@jit_inline
def _eliminate_all(i, difference, used, table, photon, read, shift, has_single, single, work):
    """Eliminate the differences of integration `i` and add what its only good group says: see :func:`eliminate`."""
    count = table.shape[0] - 1
    weight, weighted, squares = eliminate(difference[i], used[i], table, count, photon, read, shift, work)
    if has_single[i]:
        variance = (
            photon * load(single[i, _PHOTON], 0) + read * load(single[i, _READ], 0) + load(single[i, _PEDESTAL], 0)
        )
        is_single = load(single[i, _IS_SINGLE], 0) > 0.0
        more = select(is_single, 1.0 / variance, 0.0)
        # A ramp without differences has nothing else.
        residual = select(is_single, load(single[i, _RATE], 0) - shift, 0.0)
        weight = weight + more
        weighted = weighted + more * residual
        squares = squares + more * residual * residual
    return weight, weighted, squares


@jit_inline
def _pooled_rate(difference, used, table, photon, read, shift, has_single, single, work):
    """Return the rate of all integrations together, in DN/s."""
    weight, weighted = spread(0.0), spread(0.0)
    for i in range(difference.shape[0]):
        w, b, _ = _eliminate_all(i, difference, used, table, photon, read, shift, has_single, single, work)
        # Without any difference, a weight is 0; NaN of one integration would be that of the pixel.
        weight = weight + w
        weighted = weighted + b
    return shift + weighted / weight


@jit_inline
def _fit_vector(
    ramps,
    lane,
    pixel,
    table,
    limits,
    most_chisq,
    guess,
    difference,
    used,
    kept,
    has_single,
    single,
    work,
    choice,
    selections,
    no_jumps,
    refused,
    result,
):
    """Search twice and fit three times all integrations of a vector of pixels whose differences are loaded.

    It begins at `lane` of the block and at `pixel` of the results.
    """
    nints = difference.shape[0]
    count = table.shape[0] - 1
    gain, dark = load_single(ramps.gain, lane), load_single(ramps.dark, lane)
    noise = load_single(ramps.readnoise, lane)
    noise = select(noise < SMALLEST_NOISE, SMALLEST_NOISE, noise)
    read = noise * noise * 0.5

    # The first search is for the rate alone: with a covariance that follows from it, the second one begins anew.
    photon = _photon(guess, gain, dark)
    any_refused = False
    for i in range(nints):
        for k in range(used.shape[1]):
            kept[i, k] = used[i, k]
        search_hits(
            difference[i], kept[i], table, count, photon, read, guess, limits, work, choice, selections, no_jumps, pixel
        )
    rate = _pooled_rate(difference, kept, table, photon, read, guess, has_single, single, work)
    photon = _photon(rate, gain, dark)
    for i in range(nints):
        jumps = result.jumps[i]
        chisq, left, hits = search_hits(
            difference[i], used[i], table, count, photon, read, rate, limits, work, choice, selections, jumps, pixel
        )
        any_refused |= _refuse(used[i], count, chisq, left, hits, most_chisq, choice, refused[i])
    rate = _pooled_rate(difference, used, table, photon, read, rate, has_single, single, work)
    photon = _photon(rate, gain, dark)

    weights, weighteds, squares_sum = spread(0.0), spread(0.0), spread(0.0)
    photon_sum, read_sum, used_sum = spread(0.0), spread(0.0), spread(0.0)
    for i in range(nints):
        planes = result.rateints[:, i]
        weight, weighted, squares = _eliminate_all(
            i, difference, used, table, photon, read, rate, has_single, single, work
        )
        photon_part, read_part = spread_of_weights(table, count, photon, read, work)
        left = number_used(used[i], count)
        photon_part, read_part = photon * photon_part, read * read_part
        if has_single[i]:
            is_single = load(single[i, _IS_SINGLE], 0) > 0.0
            of_photon = photon * load(single[i, _PHOTON], 0)
            of_read = read * load(single[i, _READ], 0) + load(single[i, _PEDESTAL], 0)
            photon_part = select(is_single, of_photon * (weight * weight), photon_part)
            read_part = select(is_single, of_read * (weight * weight), read_part)
            left = select(is_single, 1.0, left)
        _store_fit(planes, pixel, rate, weight, weighted, squares, photon_part, read_part, left)
        weights, weighteds, squares_sum = weights + weight, weighteds + weighted, squares_sum + squares
        photon_sum, read_sum, used_sum = photon_sum + photon_part, read_sum + read_part, used_sum + left
    _store_fit(result.rate, pixel, rate, weights, weighteds, squares_sum, photon_sum, read_sum, used_sum)
    if any_refused:
        _store_refused(refused, pixel, result)


@jit_inline
def _refuse(used, count, chisq, left, hits, most_chisq, choice, refused):
    """Take all differences from ramps that are not what the model says, and tell whether there is any.

    Parameters
    ----------
    used : ndarray of float64, shape (count * WIDTH,)
        Modified.
    count : int
    chisq, left, hits : vector
        See :func:`search_hits`.
    most_chisq : ndarray of float64, shape (count + 1,)
        See :func:`most_chisq`.
    choice : ndarray of float64, shape (CHOICE_ROWS, WIDTH)
        Workspace.
    refused : ndarray of float64, shape (_REFUSED_ROWS, WIDTH)
        Result: chi-square and number of the differences that are taken; 0 of other ramps.
    """
    store(refused[_REFUSED_CHISQ], 0, spread(0.0))
    store(refused[_REFUSED_LEFT], 0, spread(0.0))
    # The limits rise with the number of differences, and from nothing but one difference no chi-square follows.
    if not (anywhere(chisq > most_chisq[2]) or anywhere((hits > 1.0) & (left < 2.0))):
        return False
    found = False
    store(choice[0], 0, chisq)
    store(choice[1], 0, left)
    store(choice[2], 0, hits)
    for lane in range(WIDTH):
        number = int(choice[1, lane])
        if choice[0, lane] > most_chisq[number] or (choice[2, lane] > 1 and number == 1):
            refused[_REFUSED_CHISQ, lane], refused[_REFUSED_LEFT, lane] = choice[0, lane], number
            found = True
            for k in range(count):
                used[k * WIDTH + lane] = 0.0
    return found


@jit
def _store_refused(refused, pixel, result):
    """Store chi-square and degrees of freedom of refused ramps, and of pixels without any other."""
    for lane in range(WIDTH):
        chisq, dof, found = 0.0, 0.0, False
        for i in range(refused.shape[0]):
            if refused[i, _REFUSED_LEFT, lane] > 0:
                result.rateints[CHISQ, i, pixel + lane] = refused[i, _REFUSED_CHISQ, lane]
                freedom = max(refused[i, _REFUSED_LEFT, lane] - 1.0, 0.0)  # each had a rate of its own
                result.rateints[DOF, i, pixel + lane] = freedom
                chisq += refused[i, _REFUSED_CHISQ, lane]
                dof += freedom
                found = True
        if found and np.isnan(result.rate[SLOPE, pixel + lane]):
            result.rate[CHISQ, pixel + lane] = chisq
            result.rate[DOF, pixel + lane] = dof


@jit_inline
def _store_fit(planes, pixel, shift, weight, weighted, squares, photon_part, read_part, used):
    """Store what follows from the sums of one integration, or of all, in `planes` of shape (RESULTS, npixels)."""
    variance = select(weight > 0.0, 1.0 / weight, np.nan)
    change = weighted * variance
    store_single(planes[SLOPE], pixel, shift + change)
    store_single(planes[ERR], pixel, root(variance))
    store_single(planes[VAR_POISSON], pixel, photon_part * (variance * variance))
    store_single(planes[VAR_RNOISE], pixel, read_part * (variance * variance))
    store_single(planes[CHISQ], pixel, squares - weighted * change)
    store_single(planes[DOF], pixel, degrees_of_freedom(used, variance))
