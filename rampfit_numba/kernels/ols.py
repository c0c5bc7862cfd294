"""Weighted straight-line fits of segments.

Source: section 5 of the rules in ``docs/algorithm.md``; Fixsen et al. 2000 (PASP 112, 1350) for the weights, Robberto
2008 (JWST-STScI-0001490) and Regan 2007 (JWST-STScI-001212) for the variances.
"""

from __future__ import annotations

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels import ramp_status
from rampfit_numba.kernels._jit import LANES, jit, jit_inline
from rampfit_numba.kernels.pixels import POISSON, POISSON_WEIGHT, READ, READ_WEIGHT, UNFITTABLE
from rampfit_numba.kernels.weights import BOUNDS

_CLASSES = len(BOUNDS) + 1
_B1, _B2, _B3, _B4, _B5 = BOUNDS
_SOLE_FIRST = ramp_status.SOLE_FIRST
_ZEROFRAME = ramp_status.ZEROFRAME
_FEW = 2
_J = np.uint8(dq.JUMP_DET)
_NOT_P = np.uint8(0xFF ^ dq.PERSISTENCE)
_NOT_PJ = np.uint8(0xFF ^ dq.PERSISTENCE ^ dq.JUMP_DET)


@jit_inline
def signal_class(step, readnoise, gain):
    """Return the signal-to-noise class of a segment, 0 to 5 (table of section 5).

    Parameters
    ----------
    step : float
        Last sample minus first, in DN.
    readnoise : float
        Noise R of a group in e-.
    gain : float
        G in e-/DN.

    Returns
    -------
    int
        Class of step G / sqrt(R^2 + step G); NaN has the highest, no positive variance the lowest.
    """
    signal = step * gain
    variance = readnoise * readnoise + signal
    # Squares instead of a quotient and a root, which take longer than all the rest of a short segment. Equality with a
    # bound needs a perfect square, for which both ways are exact.
    square = signal * signal if signal > 0 and variance > 0 else 0.0
    found = (
        int(square >= _B1 * _B1 * variance)
        + int(square >= _B2 * _B2 * variance)
        + int(square >= _B3 * _B3 * variance)
        + int(square >= _B4 * _B4 * variance)
        + int(square >= _B5 * _B5 * variance)
    )
    found = found if square > 0 else 0
    return _CLASSES - 1 if np.isnan(variance) else found


@jit_inline
def single_group_time(status, settings):
    """Return the time in s that a segment of a single group stands for."""
    if (status & _SOLE_FIRST) != 0:
        return settings.one_group_time
    if (status & _ZEROFRAME) != 0:
        return settings.frame_time
    return settings.group_time


@jit
def find_reach(flags, first, clear_jump, reach):
    """Find the segments of a block of ramps: how many groups each has up to and including every group.

    A run of groups that are good but for PERSISTENCE is extended back over a pure JUMP_DET just before it (section 3).

    Parameters
    ----------
    flags : ndarray of uint8, shape (ngroups, npixels)
    first : int
        First pixel of the block.
    clear_jump : bool
        Void the JUMP_DET of group 0.
    reach : ndarray of uint8 or uint16, shape (ngroups + 1, LANES)
        Result: 1 at the first group of a segment, its length at the last; 0 outside of segments, and behind the last
        group.
    """
    ngroups = flags.shape[0]
    for g in range(ngroups):
        kept = _NOT_PJ if g == 0 and clear_jump else _NOT_P
        here = flags[g, first : first + LANES]
        # The last group is its own follower: a jump there is not followed by a good group.
        following = flags[min(g + 1, ngroups - 1), first : first + LANES]
        # Row ngroups is 0 and stands for what is before the first group as well.
        before = reach[g - 1 if g > 0 else ngroups]
        now = reach[g]
        if g == 0:
            for k in range(LANES):
                before[k] = 0
        for k in range(LANES):
            bits = here[k] & kept
            opens = bits == _J and (following[k] & _NOT_P) == 0
            now[k] = before[k] + 1 if bits == 0 else opens


@jit
def sum_segments(
    samples, first, settings, readnoise, gain, constants, weights, reach, active, nactive, lanes, rows, sums, count
):
    """Fit the segments of two or more groups of some ramps of a block, and add up what their combination needs.

    The groups are gone through from last to first. Where segments end, their lanes are listed without a branch, since a
    processor cannot guess where that is; then every sample is added with the factor that its segment gives it.

    Parameters
    ----------
    samples : ndarray of float32, shape (ngroups, npixels)
        In DN.
    first : int
        First pixel of the block.
    settings : Settings
    readnoise, gain : ndarray of float64, shape (LANES,)
        In e- and e-/DN.
    constants : ndarray of float64, shape (CONSTANTS, LANES)
        See :mod:`pixels`.
    weights : Weights
    reach : ndarray of uint8 or uint16, shape (ngroups + 1, LANES)
        See :func:`find_reach`.
    active : ndarray of uint32, or None
        The lanes to fit, `nactive` of them; None: all of them, in order, which is compiled apart and twice as quick a
        lane.
    lanes, rows : ndarray of uint32 and int64, shape (LANES + 1,), (LANES,)
        Room to work in.
    sums : ndarray of float64, shape (4, LANES)
        Results: sum slope / var_rnoise, sum 1 / var_poisson (positive ones), sum 1 / var_rnoise, sum 1 / var_err.
    count : ndarray of int32, shape (LANES,)
        Result: number of these segments.
    """
    ngroups = samples.shape[0]
    factors = weights.factors
    entries = factors.size // _CLASSES
    poisson, read, unfittable = constants[POISSON], constants[READ], constants[UNFITTABLE]
    slope_sum, steps, cubics, total = sums[0], sums[1], sums[2], sums[3]
    for a in range(nactive):
        k = a if active is None else active[a]
        slope_sum[k] = steps[k] = cubics[k] = total[k] = 0.0
        count[k] = 0
    for g in range(ngroups - 1, -1, -1):
        here = reach[g]
        after = reach[g + 1]
        ending = 0
        for a in range(nactive):
            k = a if active is None else active[a]
            lanes[ending] = k
            ending += (here[k] > 1) & (after[k] < 2)
        for e in range(ending):
            k = lanes[e]
            length = np.int64(here[k])
            begin = g + 1 - length
            step = np.float64(samples[g, first + k]) - np.float64(samples[begin, first + k])
            # Segments of two groups have the same slope in every class.
            rows[k] = signal_class(step, readnoise[k], gain[k]) * entries + length * (length - 1) // 2 - begin
            n = np.float64(length)
            cubic = n * n * n - n
            count[k] += 1
            steps[k] += n - 1.0
            cubics[k] += cubic
            # 1 / (POISSON / (n - 1) + READ / (n^3 - n)) with a single division
            total[k] += cubic * (n - 1.0) / (poisson[k] * cubic + read[k] * (n - 1.0))
            if length > _FEW:
                slope_sum[k] += unfittable[k]
        sample = samples[g, first : first + LANES]
        for a in range(nactive):
            k = a if active is None else active[a]
            inside = (here[k] > 1) | ((here[k] == 1) & (after[k] == _FEW))
            factor = factors[rows[k] + g if inside else 0]
            slope_sum[k] += factor * np.float64(sample[k]) if inside else 0.0
    for a in range(nactive):
        k = a if active is None else active[a]
        slope_sum[k] = slope_sum[k] * (constants[READ_WEIGHT, k] / settings.group_time)
        steps[k] = steps[k] * constants[POISSON_WEIGHT, k] if count[k] > 0 else 0.0
        cubics[k] = cubics[k] * constants[READ_WEIGHT, k] if count[k] > 0 else 0.0


@jit
def sum_single_group(samples, first, k, status, settings, constants, reach, sums, count):
    """Do what :func:`sum_segments` does for the ramp in lane `k`, which has no segment of two or more groups.

    Then the first good group is the only segment, if there is one (section 3).
    """
    ngroups = samples.shape[0]
    for g in range(ngroups):
        if reach[g, k] > 0:
            time = single_group_time(status, settings)
            ratio = settings.group_time / time
            var_rnoise = constants[READ, k] * (ratio * ratio / 6.0)
            sums[0, k] = np.float64(samples[g, first + k]) / time / var_rnoise
            sums[1, k] = constants[POISSON_WEIGHT, k] / ratio
            sums[2, k] = 1.0 / var_rnoise
            sums[3, k] = 1.0 / (constants[POISSON, k] * ratio + var_rnoise)
            count[k] = 1
            return


@jit
def sum_clean(samples, first, status, settings, readnoise, gain, constants, weights, sums):
    """Do what :func:`sum_segments` does for the ramps without flags (status 0) of a block: only row 0 of `sums`.

    The steps are the same in the same order: whether a neighbour in the block has flags must not change a bit.
    """
    ngroups = samples.shape[0]
    entries = weights.factors.size // _CLASSES
    classes = np.empty(LANES, np.int64)
    total = np.empty(LANES, np.float64)
    slope_sum, read_weight, unfittable = sums[0], constants[READ_WEIGHT], constants[UNFITTABLE]
    last = samples[ngroups - 1, first : first + LANES]
    opening = samples[0, first : first + LANES]
    for k in range(LANES):
        classes[k] = signal_class(np.float64(last[k]) - np.float64(opening[k]), readnoise[k], gain[k])
    present = np.int64(0)
    for k in range(LANES):
        present |= np.int64(status[k] == 0) << classes[k]
    for c in range(_CLASSES):
        if (present >> c) & 1 == 0:
            continue
        row = c * entries + ngroups * (ngroups - 1) // 2
        for k in range(LANES):
            total[k] = 0.0
        for g in range(ngroups - 1, -1, -1):
            sample = samples[g, first : first + LANES]
            factor = weights.factors[row + g]
            for k in range(LANES):
                total[k] += factor * np.float64(sample[k])
        for k in range(LANES):
            slope_sum[k] = total[k] if classes[k] == c else slope_sum[k]
    for k in range(LANES):
        lost = unfittable[k] if ngroups > _FEW else 0.0
        slope_sum[k] = (slope_sum[k] + lost) * (read_weight[k] / settings.group_time)


@jit
def clean_weights(ngroups, constants, sums):
    """Find what the unflagged ramps of a pixel share: rows 1 to 3 of `sums` as in :func:`sum_segments`."""
    n = np.float64(ngroups)
    steps, cubic = n - 1.0, n * n * n - n
    poisson, poisson_weight = constants[POISSON], constants[POISSON_WEIGHT]
    read, read_weight = constants[READ], constants[READ_WEIGHT]
    for k in range(LANES):
        sums[1, k] = poisson_weight[k] * steps
        sums[2, k] = read_weight[k] * cubic
        sums[3, k] = cubic * steps / (poisson[k] * cubic + read[k] * steps)
