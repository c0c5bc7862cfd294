"""Median rate of a pixel, which stands for its signal in the Poisson variance.

Source: section 4 of the rules in ``docs/algorithm.md``. The median is that of the differences of neighbouring groups,
and is found for many pixels side by side with a sorting network. Differences that must not count become +inf and -inf
in turn, so that the middle stays the middle.

Where medians cancel almost wholly, what is left is the rounding error of the reference's quotients. Such pixels, about
one in a million, are done again in the reference's order of operations.
"""

from __future__ import annotations

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels import ramp_status
from rampfit_numba.kernels._jit import LANES, jit, jit_inline
from rampfit_numba.kernels.selection import middle_two

_DS = np.uint8(dq.DO_NOT_USE | dq.SATURATED)
_S = np.uint8(dq.SATURATED)
_J = np.uint8(dq.JUMP_DET)
_NOT_FITTED = ramp_status.NO_USABLE_GROUP
_SOLE_FIRST = ramp_status.SOLE_FIRST
_ZEROFRAME = ramp_status.ZEROFRAME
_INF = np.float64(np.inf)
_BOTH, _SMALLER = 0, 1
#: A loss of nine digits of sixteen.
_CANCELLATION = 1e-9


@jit
def bring_to_middle(values, network):
    """Exchange rows of `values`, shape (length, LANES), until each column has its middle ranks in the middle rows."""
    for e in range(network.shape[0]):
        low = values[network[e, 0]]
        high = values[network[e, 1]]
        if network[e, 2] == _BOTH:
            for k in range(LANES):
                a = low[k]
                b = high[k]
                low[k] = a if a < b else b  # noqa: FURB136  (min() also asks for NaN)
                high[k] = b if a < b else a  # noqa: FURB136  (the same)
        elif network[e, 2] == _SMALLER:
            for k in range(LANES):
                a = low[k]
                b = high[k]
                low[k] = a if a < b else b  # noqa: FURB136  (min() also asks for NaN)
        else:
            for k in range(LANES):
                a = low[k]
                b = high[k]
                high[k] = b if a < b else a  # noqa: FURB136  (the same)


@jit
def add_clean_rate(samples, first, settings, network, differences, rate, size):
    """Add the median rate of one integration to `rate`, for a block of ramps of two or more groups without any flag.

    Parameters
    ----------
    samples : ndarray of float32, shape (ngroups, npixels)
        Ramps of one integration in DN.
    first : int
        First pixel of the block.
    settings : Settings
    network : ndarray of int64, shape (exchanges, 3)
        That of :func:`middle_network` for ngroups - 1 differences.
    differences : ndarray of float64, shape (ngroups - 1, LANES)
        Room to work in.
    rate, size : ndarray of float64, shape (LANES,)
        Sums over the integrations of the median rates and of the sizes of what they are made of, in DN/s, modified.
    """
    length = samples.shape[0] - 1
    for g in range(length):
        before = samples[g, first : first + LANES]
        after = samples[g + 1, first : first + LANES]
        difference = differences[g]
        for k in range(LANES):
            difference[k] = np.float64(after[k]) - np.float64(before[k])
    bring_to_middle(differences, network)
    upper = differences[length // 2]
    lower = differences[length // 2 if length % 2 else length // 2 - 1]
    for k in range(LANES):
        rate[k] += 0.5 * (lower[k] + upper[k]) / settings.group_time
        size[k] += 0.5 * (abs(lower[k]) + abs(upper[k])) / settings.group_time


@jit
def add_flagged_rate(
    samples, flags, first, status, zeroframe, settings, network, differences, rate, size, work, filler
):
    """Add the median rate of one integration to `rate`, for a block of ramps of which many have flags.

    Parameters beside those of :func:`add_clean_rate` are those of :func:`ramp_status.ramp_status`; `work`, of uint8
    and shape (3, LANES), and `filler`, of float64 and shape (LANES,), are room to work in.
    """
    ngroups = samples.shape[0]
    length = ngroups - 1
    usable, some, odd = work[0], work[1], work[2]
    for k in range(LANES):
        some[k] = odd[k] = 0
        filler[k] = _INF
    for g in range(length):
        before = samples[g, first : first + LANES]
        after = samples[g + 1, first : first + LANES]
        before_flags = flags[g, first : first + LANES]
        after_flags = flags[g + 1, first : first + LANES]
        difference = differences[g]
        # Bytes and doubles apart: of bytes, a vector holds eight times as many.
        for k in range(LANES):
            usable[k] = (((before_flags[k] | after_flags[k]) & _DS) | (after_flags[k] & _J)) == 0
        for k in range(LANES):
            some[k] |= usable[k]
            odd[k] ^= usable[k]
        for k in range(LANES):
            here, value = filler[k], np.float64(after[k]) - np.float64(before[k])
            difference[k] = value if usable[k] != 0 else here
            filler[k] = here if usable[k] != 0 else -here
    if length > 0:
        bring_to_middle(differences, network)
    middle = length // 2
    for k in range(LANES):
        known, value = _simple_rate(samples, first + k, status[k], zeroframe, settings)
        if known:
            rate[k] += value
            size[k] += abs(value)
        elif some[k] != 0:
            lower = differences[middle - 1 if middle > 0 else 0, k]
            upper = differences[middle, k]
            if odd[k] != 0:
                # With a filler to spare, it stands above: in an even number of rows the median is the lower middle one.
                lower = upper = upper if length % 2 == 1 else lower
            rate[k] += 0.5 * (lower + upper) / settings.group_time
            size[k] += 0.5 * (abs(lower) + abs(upper)) / settings.group_time
        elif (flags[0, first + k] & _DS) == 0:
            rate[k] += np.float64(samples[0, first + k]) / settings.group_time
            size[k] += abs(np.float64(samples[0, first + k])) / settings.group_time


@jit
def add_sparse_rate(  # many arrays, none of which belong together
    samples, flags, first, status, zeroframe, settings, network, differences, rate, size, lanes, number, before
):
    """Do what :func:`add_flagged_rate` does, to the bit, where only the `number` ramps in `lanes` have flags.

    `before`, of float64 and shape (2, LANES), is room to work in.
    """
    for a in range(number):
        k = lanes[a]
        before[0, a], before[1, a] = rate[k], size[k]
    add_clean_rate(samples, first, settings, network, differences, rate, size)
    values = differences.reshape(-1)
    for a in range(number):
        k = lanes[a]
        known, value = _simple_rate(samples, first + k, status[k], zeroframe, settings)
        magnitude = abs(value)
        if not known:
            valid = 0
            for g in range(samples.shape[0] - 1):
                values[valid] = np.float64(samples[g + 1, first + k]) - np.float64(samples[g, first + k])
                valid += _usable(flags, g, first + k)
            if valid > 0:
                lower, upper = middle_two(values, valid)
                value = 0.5 * (lower + upper) / settings.group_time
                magnitude = 0.5 * (abs(lower) + abs(upper)) / settings.group_time
            elif (flags[0, first + k] & _DS) == 0:
                value = np.float64(samples[0, first + k]) / settings.group_time
                magnitude = abs(value)
        rate[k], size[k] = before[0, a] + value, before[1, a] + magnitude


@jit_inline
def cancels(rate, size):
    """Tell whether a sum of median rates lost so much of its size that the reference's rounding errors show."""
    return abs(rate) < _CANCELLATION * size


@jit
def exact_rate(tile, pixel, status, settings, differences):
    """Return the summed median rate of one pixel, found in the reference's order of operations.

    Parameters
    ----------
    tile : Tile
    pixel : int
    status : ndarray of uint16, shape (nints,)
    settings : Settings
    differences : ndarray of float64, shape (ngroups - 1,) or longer
        Room to work in.
    """
    nints, ngroups, _ = tile.samples.shape
    total = 0.0
    for i in range(nints):
        samples, flags = tile.samples[i], tile.flags[i]
        known, value = _simple_rate(samples, pixel, status[i], tile.zeroframe[i], settings)
        if known:
            total += value
            continue
        valid = 0
        for g in range(ngroups - 1):
            before = np.float64(samples[g, pixel]) / settings.group_time
            differences[valid] = np.float64(samples[g + 1, pixel]) / settings.group_time - before
            valid += _usable(flags, g, pixel)
        if valid > 0:
            lower, upper = middle_two(differences, valid)
            total += lower if valid % 2 == 1 else (lower + upper) / 2.0
        elif (flags[0, pixel] & _DS) == 0:
            total += np.float64(samples[0, pixel]) / settings.group_time
    return total


@jit_inline
def _usable(flags, g, pixel):
    """Tell whether the difference of groups g and g + 1 counts."""
    return ((flags[g, pixel] | flags[g + 1, pixel]) & _DS) == 0 and (flags[g + 1, pixel] & _J) == 0


@jit_inline
def _simple_rate(samples, pixel, status, zeroframe, settings):
    """Return whether one ramp's rate is known without a median, and that rate in DN/s."""
    ngroups = samples.shape[0]
    first_sample = np.float64(samples[0, pixel])
    if (status & _ZEROFRAME) != 0:
        time = settings.one_group_time if ngroups == 1 else settings.frame_time
        return True, np.float64(zeroframe[pixel]) / time
    if ngroups == 1:
        # No sample is left out here, also none that is DO_NOT_USE; a saturated one makes the mean NaN.
        return True, np.nan if (status & _S) != 0 else first_sample / settings.one_group_time
    if (status & _NOT_FITTED) != 0:
        return True, 0.0
    if (status & _SOLE_FIRST) != 0:
        return True, first_sample / settings.one_group_time
    return False, 0.0
