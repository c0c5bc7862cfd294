"""Median rate of a lane, which stands for its signal in the Poisson variance.

Source: section 4 of the rules in ``docs/algorithm.md``. The median is that of the differences of neighbouring groups,
and is found for many pixels side by side: with a sorting network, or of many differences as :mod:`long_median` has it.
Differences that must not count become +inf and -inf in turn, so that the middle stays the middle.

The differences are taken in single precision, of which a vector holds twice as many (2x20: a tenth less time); rounding
keeps their order, so a median is good to 6e-8. Where medians cancel in the sum over the integrations, that is not
enough: such pixels are done again in double precision and in the reference's order of operations.
"""

from __future__ import annotations

import numpy as np
from numba import types

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES, jit, jit_apart, jit_inline
from rampfit_numba.kernels.bits import BITS, bits_equal, put_bits
from rampfit_numba.kernels.ols import ramp_status
from rampfit_numba.kernels.ols.long_median import select_middle
from rampfit_numba.kernels.ols.short_median import LONGEST, middle_of_steps, middle_of_usable_steps
from rampfit_numba.kernels.selection import bring_to_middle, middle_two
from rampfit_numba.kernels.vectors import (
    WIDTH,
    anywhere,
    load,
    load_single,
    load_unset,
    select,
    store,
)

_DS = np.uint8(dq.DO_NOT_USE | dq.SATURATED)
_S = np.uint8(dq.SATURATED)
_J = np.uint8(dq.JUMP_DET)
_NOT_FITTED = ramp_status.NO_USABLE_GROUP
_SINGLE_FIRST_GROUP = ramp_status.SINGLE_FIRST_GROUP
_ZEROFRAME = ramp_status.ZEROFRAME
_SPECIAL = _ZEROFRAME | _SINGLE_FIRST_GROUP | _NOT_FITTED
_INF = np.float32(np.inf)
_NONE, _ONE, _NO_BITS = np.uint8(0), np.uint8(1), np.uint64(0)
_LARGEST = np.float64(np.finfo(np.float32).max)
#: With less than this left of it, a sum of medians in single precision may be off by more than 1.5e-6 (of 2e-6 that
#: variances may be), ...
_CANCELLATION = 1.0 / 24.0
#: ... and with less than this, the reference's own rounding errors show: nine digits of sixteen are lost.
_LOST = 1e-9


@jit_inline
def _magnitude(values):
    return select(values < 0.0, 0.0 - values, values)


@jit
def _find_middle(differences, network, selection):
    """Bring the middle ranks of each column of many differences to the middle rows; `selection` is None or does it."""
    if selection is None:
        bring_to_middle(differences, network)
    else:
        select_middle(differences, selection)


@jit
def add_clean_step(samples, network, differences, step, size, selection=None):
    """Add the median step of one integration to `step`, for a block of ramps of two or more groups without any flag.

    Parameters
    ----------
    samples : ndarray of float32, shape (ngroups, LANES)
        Ramps of one integration in DN.
    network : ndarray of int64, shape (exchanges, 3)
        That of :func:`middle_network` for ngroups - 1 differences.
    differences : ndarray of float32, shape (ngroups - 1, LANES)
        Workspace to work in.
    step, size : ndarray of float64, shape (LANES,)
        Sums over the integrations of the median rates times the group time, and of the sizes of what these are made
        of, in DN, modified. They are divided only once, since a division takes as long as a dozen exchanges.
    selection : Selection or None
        Finds the medians in the network's place. With None, the code for it is not even compiled.

    Formula
    -------
    step = sum over integrations: median of y_{g+1} - y_g

    Source
    ------
    Section 4 of ``docs/algorithm.md``: the median rate is this over integrations and group time.

    Units
    -----
    Samples y and their steps in DN.
    """
    length = samples.shape[0] - 1
    if length <= LONGEST:
        middle_of_steps(samples, differences)
    else:
        for g in range(length):
            before = samples[g]
            after = samples[g + 1]
            difference = differences[g]
            for k in range(LANES):
                difference[k] = after[k] - before[k]
        _find_middle(differences, network, selection)
    upper = differences[length // 2]
    lower = differences[length // 2 if length % 2 else length // 2 - 1]
    for k in range(LANES):
        step[k] += 0.5 * (np.float64(lower[k]) + np.float64(upper[k]))
    for k in range(LANES):
        size[k] += 0.5 * (abs(np.float64(lower[k])) + abs(np.float64(upper[k])))


@jit_apart(types.none)
def add_flagged_step(
    samples,
    flags,
    status,
    lanes,
    number,
    zeroframe,
    settings,
    network,
    differences,
    step,
    size,
    work,
    usable_bits,
    filler,
    sums,
    selection=None,
):
    """Add the median step of one integration to `step`, for a block of ramps of which many have flags.

    Parameters beside those of :func:`add_clean_step` are those of :func:`ramp_status.ramp_status`, which returns
    `number`; `work`, of uint8 and shape (3, LANES), `usable_bits`, of uint64 and shape (LANES / BITS, ngroups - 1) or
    longer, `filler`, of float32 and shape (LANES,), and `sums`, of float64 and shape (2, LANES), are workspaces.

    Formula
    -------
    step = sum over integrations: t_g m_i

    Source
    ------
    Section 4 of ``docs/algorithm.md``, with m_i as there.

    Units
    -----
    m_i in DN/s, step in DN, the group time t_g in s.
    """
    ngroups = samples.shape[0]
    length = ngroups - 1
    usable, some, odd = work[0], work[1], work[2]
    for k in range(LANES):
        some[k] = odd[k] = 0
    for start in range(0, LANES, BITS):
        any_step = odd_number = _NO_BITS
        before_good = bits_equal(flags[0], start, _DS, _NONE)
        for g in range(length):
            good = bits_equal(flags[g + 1], start, _DS, _NONE)
            counts = before_good & good & bits_equal(flags[g + 1], start, _J, _NONE)
            usable_bits[start // BITS, g] = counts
            any_step |= counts
            odd_number ^= counts
            before_good = good
        put_bits(some, start, any_step, _ONE)
        put_bits(odd, start, odd_number, _ONE)
    if 0 < length <= LONGEST:
        middle_of_usable_steps(samples, usable_bits, differences)
    elif length > 0:
        for k in range(LANES):
            filler[k] = _INF
        for g in range(length):
            before, after, difference = samples[g], samples[g + 1], differences[g]
            for k in range(LANES):
                usable[k] = 0
            for start in range(0, LANES, BITS):
                put_bits(usable, start, usable_bits[start // BITS, g], _ONE)
            for k in range(LANES):
                here, value = filler[k], after[k] - before[k]
                difference[k] = value if usable[k] != 0 else here
                filler[k] = here if usable[k] != 0 else -here
        _find_middle(differences, network, selection)
    lower, upper = differences[max(length // 2 - 1, 0)], differences[length // 2 if length > 0 else 0]
    # With a filler to spare, it stands above: in an even number of rows the median is the lower middle one.
    single = upper if length % 2 == 1 else lower
    first_flags, first_sample = flags[0], samples[0]
    value, magnitude = sums[0], sums[1]
    for lane in range(0, LANES, WIDTH):
        even, none = load_unset(odd, lane, _ONE), load_unset(some, lane, _ONE)
        middle = load_single(single, lane)
        low, high = select(even, load_single(lower, lane), middle), select(even, load_single(upper, lane), middle)
        alone = select(load_unset(first_flags, lane, _DS), load_single(first_sample, lane), 0.0)
        store(value, lane, select(none, alone, (low + high) * 0.5))
        store(magnitude, lane, select(none, _magnitude(alone), (_magnitude(low) + _magnitude(high)) * 0.5))
    for a in range(number):
        k = lanes[a]
        if (status[k] & _SPECIAL) != 0 or ngroups == 1:
            known, simple = _simple_rate(samples, k, status[k], zeroframe, settings)
            if known:
                value[k] = simple * settings.group_time
                magnitude[k] = abs(value[k])
    for k in range(LANES):
        step[k] += value[k]
    for k in range(LANES):
        size[k] += magnitude[k]


@jit
def find_cancelled(step, size, dark, cancelled):
    """Tell which sums of median steps lost so much of their size that rounding errors may show, or overflowed.

    Parameters
    ----------
    step, size : ndarray of float64, shape (LANES,)
        See :func:`add_clean_step`.
    dark : ndarray of float64, shape (LANES,)
        What the dark current will add to the steps, in DN: a negative one can cancel them.
    cancelled : ndarray of float64, shape (LANES,)
        Result: 1 where they did, 0 elsewhere.

    Returns
    -------
    bool
        Whether there is any.
    """
    some = False
    for lane in range(0, LANES, WIDTH):
        total, sizes = load(step, lane), load(size, lane)
        left, with_dark = _magnitude(total), _magnitude(total + load(dark, lane))
        left = select(with_dark < left, with_dark, left)
        lost = select(left < sizes * _CANCELLATION, 1.0, select(sizes < _LARGEST, 0.0, 1.0))
        store(cancelled, lane, lost)
        some |= anywhere(lost > 0.0)
    return some


@jit
def is_exact(ramps, lane, step, size, dark):
    """Tell whether a lane's sum of median steps is good to double precision although it cancelled.

    Neighbouring samples differ by less than a factor of two nearly always, and then their difference in single
    precision is exact (Sterbenz). To look takes a fifth of the time of finding the medians again.
    """
    nints, ngroups, _ = ramps.samples.shape
    if not (min(abs(step), abs(step + dark)) >= _LOST * size and size < _LARGEST):
        return False
    exact = True
    for i in range(nints):
        samples = ramps.samples[i]
        for g in range(ngroups - 1):
            before, after = samples[g, lane], samples[g + 1, lane]
            exact &= np.float64(after - before) == np.float64(after) - np.float64(before)
    return exact


@jit_apart(types.float64)
def exact_rate(ramps, lane, status, settings, differences):
    """Return the summed median rate of one lane, found in the reference's order of operations.

    Parameters
    ----------
    ramps : Ramps
    lane : int
    status : ndarray of uint16, shape (nints,)
    settings : Settings
    differences : ndarray of float64, shape (ngroups - 1,) or longer
        Workspace to work in.

    Formula
    -------
    rate = sum over integrations: m_i

    Source
    ------
    Section 4 of ``docs/algorithm.md``.

    Units
    -----
    m_i and the rate in DN/s.
    """
    nints, ngroups, _ = ramps.samples.shape
    total = 0.0
    for i in range(nints):
        samples, flags = ramps.samples[i], ramps.flags[i]
        known, value = _simple_rate(samples, lane, status[i], ramps.zeroframe[i], settings)
        if known:
            total += value
            continue
        valid = 0
        for g in range(ngroups - 1):
            before = np.float64(samples[g, lane]) / settings.group_time
            differences[valid] = np.float64(samples[g + 1, lane]) / settings.group_time - before
            valid += _usable(flags, g, lane)
        if valid > 0:
            lower, upper = middle_two(differences, valid)
            total += lower if valid % 2 == 1 else (lower + upper) / 2.0
        elif (flags[0, lane] & _DS) == 0:
            total += np.float64(samples[0, lane]) / settings.group_time
    return total


@jit_inline
def _usable(flags, g, lane):
    """Tell whether the difference of groups g and g + 1 counts."""
    return ((flags[g, lane] | flags[g + 1, lane]) & _DS) == 0 and (flags[g + 1, lane] & _J) == 0


@jit_inline
def _simple_rate(samples, lane, status, zeroframe, settings):
    """Return whether one ramp's rate is known without a median, and that rate in DN/s."""
    ngroups = samples.shape[0]
    first_sample = np.float64(samples[0, lane])
    if (status & _ZEROFRAME) != 0:
        time = settings.one_group_time if ngroups == 1 else settings.frame_time
        return True, np.float64(zeroframe[lane]) / time
    if ngroups == 1:
        # No sample is left out here, also none that is DO_NOT_USE; a saturated one makes the mean NaN.
        return True, np.nan if (status & _S) != 0 else first_sample / settings.one_group_time
    if (status & _NOT_FITTED) != 0:
        return True, 0.0
    if (status & _SINGLE_FIRST_GROUP) != 0:
        return True, first_sample / settings.one_group_time
    return False, 0.0
