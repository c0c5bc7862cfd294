"""Straight-line fits with any weights, at any times: one pixel after the other.

Source: sections 2, 3 and 7 of the rules in ``docs/algorithm.md`` for what is fitted, ``docs/weighting.md`` for how;
Casertano 2022 (Roman-STScI-000394) for weights of groups of different numbers of frames, and for the variances.
"""

from __future__ import annotations

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES, jit, jit_entry_allocating
from rampfit_numba.kernels.blocks import load_block, pad_block
from rampfit_numba.kernels.samples import flag_non_finite
from rampfit_numba.kernels.selection import middle_two

#: Rows of the results of an integration or an exposure.
SLOPE, ERR, VAR_POISSON, VAR_RNOISE = range(4)
#: Rows of the sums over segments: those of the slopes and of the weights, and of the variances.
_SLOPES, _WEIGHTS, _OF_POISSON, _OF_READ, _INVERSE_POISSON, _INVERSE_TOTAL = range(6)
_SUMS = 6
#: Elements of what is kept of the last weights: see :func:`_weigh`.
_BEGIN, _LENGTH, _POWER, _READ, _PHOTON, _REFERENCE_READ, _REFERENCE_PHOTON = range(7)
_KEPT = 7

_D8, _S8, _J8 = (np.uint8(bit) for bit in (dq.DO_NOT_USE, dq.SATURATED, dq.JUMP_DET))
_NOT_P8, _NOT_J8 = np.uint8(0xFF ^ dq.PERSISTENCE), np.uint8(0xFF ^ dq.JUMP_DET)
_D, _S = np.uint32(dq.DO_NOT_USE), np.uint32(dq.SATURATED)
_JP = np.uint32(dq.JUMP_DET | dq.PERSISTENCE)
_NO_GAIN = np.uint32(dq.DO_NOT_USE | dq.NO_GAIN_VALUE)


@jit_entry_allocating
def fit_general_tile(pointers, ramps, times, settings, bounds, exponents, rate, rate_dq, rateints, rateints_dq):
    """Fit all ramps of a tile.

    Parameters
    ----------
    pointers : BlockPointers
    ramps : Ramps
        Overwritten.
    times : GeneralTimes
    settings : GeneralSettings
    bounds, exponents : ndarray of float64, shapes (n,), (n + 1,)
        Signal-to-noise ratios from which on the next exponent holds.
    rate, rate_dq : ndarray of float32 and uint32, shapes (4, npixels), (npixels,)
        Results in DN/s and (DN/s)^2, rows SLOPE to VAR_RNOISE; flags.
    rateints, rateints_dq : ndarray, shapes (4, nints, npixels), (nints, npixels)
        The same of each integration.

    Formula
    -------
    w_k = |(t_k - t_m) / h|^P (1 + P) N_k / (1 + P N_k)
    K_k = w_k (t_k - t_w) / sum w (t - t_w)^2,  t_w = sum w t / sum w
    slope       = sum K_k y_k
    var_rnoise  = r^2 sum K_k^2 / N_k
    var_poisson = p sum (K_k^2 tau_k + 2 K_k sum_{j<k} K_j t_j)

    Source
    ------
    Casertano 2022 (Roman-STScI-000394) for the weights and the variances; Fixsen et al. 2000 (PASP 112, 1350), table 1,
    for the exponent P; tau_k of Brandt 2024a (PASP 136, 045004), equation 4. ``docs/weighting.md``.

    Units
    -----
    y in DN; mean times t of groups of N frames, the middle t_m and the half h of a segment in s; read noise r of a
    frame in DN; p in DN^2/s.
    """
    nints, ngroups = pointers.samples.shape
    first_kept, stop = settings.first_kept, settings.stop_kept
    d, flags = np.empty((nints, ngroups), np.float64), np.empty((nints, ngroups), np.uint8)
    lone, ramp_dq, saturated = np.empty(nints, np.float64), np.empty(nints, np.uint32), np.empty(nints, np.uint32)
    segments, weights = np.empty((2, ngroups), np.int64), np.empty((2, ngroups), np.float64)
    here, total = np.empty(_SUMS, np.float64), np.empty(_SUMS, np.float64)
    kept = np.zeros(_KEPT, np.float64)
    for first in range(0, pointers.npixels, LANES):
        number_here = min(LANES, pointers.npixels - first)
        load_block(pointers, first, ramps)
        pad_block(ramps, number_here)
        for i in range(nints):
            flag_non_finite(ramps.bits[i], ramps.flags[i], np.int64(0))
        for k in range(number_here):
            pixel = first + k
            gain, noise = np.float64(ramps.gain[k]), np.float64(ramps.readnoise[k])
            base = ramps.pixeldq[k]
            if not gain > 0:
                base |= _NO_GAIN
            if not noise > 0:
                base |= _D
            read = noise * noise * 0.5  # of a single frame
            median, any_flags, all_flags = 0.0, base, _D | _S
            for i in range(nints):
                for g in range(ngroups):
                    d[i, g] = ramps.samples[i, g, k]
                    flags[i, g] = ramps.flags[i, g, k]
                zeroframe = ramps.zeroframe[i, k] if ramps.zeroframe.shape[1] > 0 else np.float32(0)
                ramp_dq[i], lone[i], saturated[i] = _take_stock(d[i], flags[i], zeroframe, times, settings)
                median += _median_rate(d[i], flags[i], lone[i], times, settings, weights[1])
                any_flags |= ramp_dq[i] & _JP
            dark = np.float64(ramps.dark[k])
            photon = (median / nints + dark if median > 0 else dark) / gain
            partly_saturated = np.uint32(0)
            total[:] = 0.0
            for i in range(nints):
                ramp_dq[i] |= base
                here[:] = 0.0
                number = 0
                if (flags[i, first_kept] & _S8) != 0:
                    ramp_dq[i] |= _D | _S
                else:
                    number = _find_segments(flags[i], first_kept, stop, segments)
                for s in range(number):
                    _add_segment(
                        d[i],
                        segments[0, s],
                        segments[1, s],
                        lone[i],
                        photon,
                        read,
                        gain,
                        times,
                        settings,
                        bounds,
                        exponents,
                        weights,
                        kept,
                        here,
                    )
                for row in range(_SUMS):
                    total[row] += here[row]
                invalid = (ramp_dq[i] & (_D | _S)) != 0
                _store(here, invalid, number > 0, settings, rateints[:, i], pixel)
                if settings.reference_errors and number > 0 and not invalid:
                    # The pipeline's error of an integration is not the root of its variances' sum.
                    rateints[ERR, i, pixel] = np.sqrt(1.0 / here[_INVERSE_TOTAL])
                all_flags &= ramp_dq[i]
                word = ramp_dq[i] | saturated[i]
                partly_saturated |= saturated[i]
                value = rateints[SLOPE, i, pixel]
                rateints_dq[i, pixel] = word | (np.uint32(0) if value - value == 0 else _D)
            word = any_flags | all_flags
            _store(total, (word & (_D | _S)) != 0, total[_WEIGHTS] > 0, settings, rate, pixel)
            value = rate[SLOPE, pixel]
            rate_dq[pixel] = word | partly_saturated | (np.uint32(0) if value - value == 0 else _D)


@jit
def _take_stock(d, flags, zeroframe, times, settings):
    """Apply what concerns a ramp as a whole to its samples and flags.

    Returns
    -------
    word : uint32
        JUMP_DET and PERSISTENCE where any group has them; DO_NOT_USE and SATURATED where all groups are lost.
    lone : float
        What its only group is divided by, in s: 0 for the rule of its place.
    saturated : uint32
        SATURATED where any group is, which the pipeline says at the very end.
    """
    first, stop = settings.first_kept, settings.stop_kept
    if settings.suppress_one_group:
        good = 0
        for g in range(flags.size):
            good += (flags[g] & _NOT_P8) == 0
        if good == 1:
            for g in range(flags.size):
                flags[g] |= _D8
    if settings.clear_first_jump:
        flags[first] &= _NOT_J8
    found = np.uint8(0)
    good, saturated, unusable = 0, 0, 0
    for g in range(first, stop):
        found |= flags[g]
        good += flags[g] == 0
        saturated += (flags[g] & _S8) != 0
        unusable += (flags[g] & (_D8 | _S8)) != 0
    lone = 0.0
    if not settings.suppress_one_group:
        if good == 1 and flags[first] == 0:
            lone = times.first
        elif good == 0 and zeroframe != 0 and zeroframe - zeroframe == 0:
            if (flags[first] & (_D8 | _S8)) != 0:
                unusable -= 1
            d[first], flags[first] = zeroframe, 0
            saturated -= saturated == stop - first
            lone = times.zeroframe
    word = np.uint32(found) & _JP
    if unusable >= stop - first:
        word |= _D
        if saturated == stop - first:
            word |= _S
    return word, lone, np.uint32(_S if saturated > 0 else 0)


@jit
def _median_rate(d, flags, lone, times, settings, values):
    """Return the median of a ramp's rates from group to group, in DN/s: 0 where there is none of several."""
    first, stop = settings.first_kept, settings.stop_kept
    if stop - first == 1:
        return d[first] / times.first if (flags[first] & _S8) == 0 else np.nan
    if lone > 0:
        return d[first] / lone
    number = 0
    for g in range(first + 1, stop):
        bad = ((flags[g] | flags[g - 1]) & (_D8 | _S8)) != 0 or (flags[g] & _J8) != 0
        step = (d[g] - d[g - 1]) / (times.mean[g] - times.mean[g - 1])
        if not bad and step - step == 0:
            values[number] = step
            number += 1
    if number > 0:
        lower, upper = middle_two(values, number)
        return (lower + upper) * 0.5
    alone = d[first] / times.lone[first]
    return alone if (flags[first] & (_D8 | _S8)) == 0 and alone - alone == 0 else 0.0


@jit
def _find_segments(flags, first, stop, segments):
    """List first group and length of the segments of a ramp, and return their number: rules in section 3."""
    number, several, g = 0, 0, first
    while g < stop:
        if (flags[g] & _NOT_P8) != 0:
            g += 1
            continue
        end = g
        while end < stop and (flags[end] & _NOT_P8) == 0:
            end += 1
        begin = g - 1 if g > first and (flags[g - 1] & _NOT_P8) == _J8 else g
        several += end - begin > 1
        segments[0, number], segments[1, number] = begin, end - begin
        number += 1
        g = end
    if several == 0:
        return min(number, 1)
    kept = 0
    for s in range(number):
        if segments[1, s] > 1:
            segments[0, kept], segments[1, kept] = segments[0, s], segments[1, s]
            kept += 1
    return kept


@jit
def _exponent(signal, interpolated, bounds, exponents):
    """Return the exponent of the weights at a signal-to-noise ratio; NaN counts as the largest."""
    n = bounds.size
    if n == 0 or signal < bounds[0]:
        return exponents[0]
    for b in range(1, n):
        if signal < bounds[b]:
            part = (signal - bounds[b - 1]) / (bounds[b] - bounds[b - 1]) if interpolated else 0.0
            return exponents[b] + part * (exponents[b + 1] - exponents[b])
    return exponents[n]


@jit
def _power(d, begin, n, read, gain, times, settings, bounds, exponents):
    """Return the exponent of the weights of a segment of two or more groups."""
    last = begin + n - 1
    step = (d[last] - d[begin]) * gain
    noise = read * (gain * gain) * 0.5 * (1.0 / times.reads[begin] + 1.0 / times.reads[last])
    variance = noise + step
    signal = step / np.sqrt(variance) if variance > 0 else 0.0
    return _exponent(signal, settings.interpolated, bounds, exponents)


@jit
def _weigh(begin, n, power, times, settings, weights, kept):
    """Find what each sample of a segment of two or more groups counts in the slope: row 0 of `weights`, in 1/s.

    Row by row of `kept`: what they are found for, so that the next ramp of the same need not find them again; and the
    variances that follow, for read and photon noise of 1, and the two of the pipeline.
    """
    last = begin + n - 1
    middle, half = 0.5 * (times.mean[begin] + times.mean[last]), 0.5 * (times.mean[last] - times.mean[begin])
    total, moment = 0.0, 0.0
    for k in range(n):
        distance = (times.mean[begin + k] - middle) / half
        reads = times.reads[begin + k]
        weight = 1.0
        if power == 1.0:
            weight = abs(distance)
        elif power > 0:
            weight = abs(distance) ** power
        # Groups of more frames are quieter, but not where the photons' noise dominates.
        weight *= (1.0 + power) * reads / (1.0 + power * reads)
        weights[0, k], weights[1, k] = weight, distance
        total += weight
        moment += weight * distance
    centre, spread = moment / total, 0.0
    for k in range(n):
        weights[1, k] -= centre
        spread += weights[0, k] * (weights[1, k] * weights[1, k])
    for k in range(n):
        weights[0, k] *= weights[1, k] / (spread * half)
    origin = times.mean[begin]
    of_read, of_photon, before = 0.0, 0.0, 0.0
    total, moment, square = 0.0, 0.0, 0.0
    for k in range(n):
        factor, g = weights[0, k], begin + k
        time, tau, number = times.mean[g] - origin, times.tau[g] - origin, times.reads[g]
        of_read += factor * factor / number
        of_photon += factor * (factor * tau + 2.0 * before)
        before += factor * time
        total += number
        moment += number * time
        square += number * time * time
    reference_read, reference_photon = 1.0 / (square - moment * moment / total), of_photon
    group_time = settings.group_time
    if group_time > 0:
        length = np.float64(n)
        cubic = length * length * length - length
        reference_read = 12.0 / (times.reads[begin] * group_time * group_time * cubic)
        reference_photon = 1.0 / (group_time * (length - 1.0))
    kept[_BEGIN], kept[_LENGTH], kept[_POWER] = begin, n, power
    kept[_READ], kept[_PHOTON] = of_read, of_photon
    kept[_REFERENCE_READ], kept[_REFERENCE_PHOTON] = reference_read, reference_photon


@jit
def _add_segment(d, begin, n, lone, photon, read, gain, times, settings, bounds, exponents, weights, kept, sums):
    """Fit a segment and add it to the sums of its integration.

    Segments are weighted as in the pipeline: by the read noise of an unweighted fit.
    """
    if n == 1:
        reads = times.reads[begin]
        time = lone if lone > 0 else times.lone[begin]
        # Group 0 of single frames is itself a zeroframe.
        single = lone > 0 and lone == times.zeroframe
        tau = time if single else times.tau[begin]
        slope = d[begin] / time
        of_photon, of_read = photon * tau / (time * time), read / ((1.0 if single else reads) * time * time)
        reference_read, reference_photon = 2.0 * read / (reads * time * time), photon / time
    else:
        power = _power(d, begin, n, read, gain, times, settings, bounds, exponents)
        if kept[_BEGIN] != begin or kept[_LENGTH] != n or kept[_POWER] != power:
            _weigh(begin, n, power, times, settings, weights, kept)
        slope, first = 0.0, d[begin]
        for k in range(n):
            slope += weights[0, k] * (d[begin + k] - first)
        of_read, of_photon = kept[_READ] * read, kept[_PHOTON] * photon
        reference_read, reference_photon = kept[_REFERENCE_READ] * read, kept[_REFERENCE_PHOTON] * photon
    weight = 1.0 / reference_read
    sums[_SLOPES] += slope * weight
    sums[_WEIGHTS] += weight
    if settings.reference_errors:
        sums[_INVERSE_POISSON] += 1.0 / reference_photon if reference_photon > 0 else 0.0
        sums[_INVERSE_TOTAL] += 1.0 / (reference_photon + reference_read)
    else:
        sums[_OF_POISSON] += of_photon * weight * weight
        sums[_OF_READ] += of_read * weight * weight


@jit
def _store(sums, invalid, fitted, settings, planes, pixel):
    """Store the results of an integration or an exposure in `planes`, shape (4, npixels)."""
    slope, of_photon, of_read = 0.0, 0.0, 0.0
    if fitted:
        share = 1.0 / sums[_WEIGHTS]
        slope = sums[_SLOPES] * share
        if settings.reference_errors:
            of_photon = 1.0 / sums[_INVERSE_POISSON] if sums[_INVERSE_POISSON] > 0 else 0.0
            of_read = share
        else:
            of_photon, of_read = sums[_OF_POISSON] * (share * share), sums[_OF_READ] * (share * share)
    planes[SLOPE, pixel] = np.nan if invalid else slope
    planes[ERR, pixel] = 0.0 if invalid else np.sqrt(of_photon + of_read)
    planes[VAR_POISSON, pixel] = 0.0 if invalid else of_photon
    planes[VAR_RNOISE, pixel] = 0.0 if invalid else of_read
