"""What the fit of one segment brings: its class, its variances, and what it adds to the sums of its ramp.

Source: sections 5 and 6 of the rules in ``docs/algorithm.md``; Fixsen et al. 2000 (PASP 112, 1350) for the classes,
Robberto 2008 (JWST-STScI-0001490) and Regan 2007 (JWST-STScI-001212) for the variances. The slopes are found in
:mod:`slopes`.
"""

from __future__ import annotations

import numpy as np
from numba import types

from rampfit_numba.kernels._jit import LANES, jit, jit_apart, jit_inline
from rampfit_numba.kernels.ols import ramp_status
from rampfit_numba.kernels.ols.pixels import (
    POISSON,
    POISSON_WEIGHT,
    READ,
    READ_WEIGHT,
    SLOPE_WEIGHT,
    UNFITTABLE,
)
from rampfit_numba.kernels.ols.weighting import BOUNDS
from rampfit_numba.kernels.vectors import select

_CLASSES = len(BOUNDS) + 1
_B1, _B2, _B3, _B4, _B5 = BOUNDS
_SINGLE_FIRST_GROUP = ramp_status.SINGLE_FIRST_GROUP
_ZEROFRAME = ramp_status.ZEROFRAME
_FEW = 2


@jit_inline
def signal_class(step, readnoise, gain):
    """Return the signal-to-noise class of a segment, 0 to 5; of scalars or vectors.

    Parameters
    ----------
    step : float or vector
        Last sample minus first, in DN.
    readnoise : float or vector
        Noise R of a group in e-.
    gain : float or vector
        G in e-/DN.

    Returns
    -------
    float or vector
        A whole number. Where S is NaN it is the highest class, and where there is no positive variance the lowest.

    Formula
    -------
    S     = D / sqrt(R^2 + D),  D = step G
    class = number of BOUNDS that S reaches

    Source
    ------
    Fixsen et al. 2000 (PASP 112, 1350), table 1; section 5 of ``docs/algorithm.md``.

    Units
    -----
    step in DN, G in e-/DN, D and R in e-.
    """
    signal = step * gain
    variance = readnoise * readnoise + signal
    # Squares instead of a quotient and a root, which take longer than all the rest of a short segment. Equality with a
    # bound needs a perfect square, for which both ways are exact.
    square = select((signal > 0.0) & (variance > 0.0), signal * signal, 0.0)
    found = (
        select(square >= variance * (_B1 * _B1), 1.0, 0.0)
        + select(square >= variance * (_B2 * _B2), 1.0, 0.0)
        + select(square >= variance * (_B3 * _B3), 1.0, 0.0)
        + select(square >= variance * (_B4 * _B4), 1.0, 0.0)
        + select(square >= variance * (_B5 * _B5), 1.0, 0.0)
    )
    return select(variance == variance, select(square > 0.0, found, 0.0), _CLASSES - 1.0)  # noqa: PLR0124  (NaN is not)


@jit_inline
def single_group_time(status, settings):
    """Return the time in s that a segment of a single group stands for.

    Formula
    -------
    T = t_1 for group 0 alone, t_f for a zeroframe, t_g for any other

    Source
    ------
    Section 5 of ``docs/algorithm.md``.

    Units
    -----
    All times t in s.
    """
    if (status & _SINGLE_FIRST_GROUP) != 0:
        return settings.one_group_time
    if (status & _ZEROFRAME) != 0:
        return settings.frame_time
    return settings.group_time


@jit_inline
def segment_variances(poisson, read, number):
    """Return var_poisson and var_rnoise of the slope of a segment of `number` groups n; of scalars or vectors.

    Formula
    -------
    var_poisson = p / (t_g G (n - 1))
    var_rnoise  = 12 (R / (t_g G))^2 / (n^3 - n)

    Source
    ------
    Robberto 2008 (JWST-STScI-0001490), Regan 2007 (JWST-STScI-001212); section 5 of ``docs/algorithm.md``. All but the
    n comes from :func:`find_constants`.

    Units
    -----
    (DN/s)^2; p in DN/s, t_g in s, G in e-/DN, R in e-.
    """
    n = np.float64(number)
    return poisson * (1.0 / (n - 1.0)), read * (1.0 / (n * n * n - n))


@jit_inline
def relative_weight(poisson, read, n):
    """Return 1 / (var_poisson + var_rnoise) of the slope of a segment of `n` groups, a float; of scalars or vectors.

    Formula
    -------
    w = 1 / (p / (t_g G (n - 1)) + 12 (R / (t_g G))^2 / (n^3 - n))

    Source
    ------
    Those of :func:`segment_variances`, with a single division; section 6 of ``docs/algorithm.md``.

    Units
    -----
    w in (s/DN)^2; p in DN/s, t_g in s, G in e-/DN, R in e-.
    """
    steps, cubic = n - 1.0, n * n * n - n
    return cubic * steps / (poisson * cubic + read * steps)


@jit_inline
def single_group_variances(time, poisson, read, settings):
    """Return var_poisson and var_rnoise of the slope of one group.

    Formula
    -------
    var_poisson = p / (T G)
    var_rnoise  = 2 (R / (T G))^2

    Source
    ------
    Those of two groups, with the time T in the place of the group time: section 5 of ``docs/algorithm.md``.

    Units
    -----
    (DN/s)^2; p in DN/s, T (`time`) in s, G in e-/DN, R in e-.
    """
    ratio = settings.group_time / time
    return poisson * ratio, read * (ratio * ratio / 6.0)


@jit_apart(types.none)
def sum_segments(segments, number, runs, constants, sums):
    """Add up what the combination of the segments of two or more groups of a block needs.

    Parameters
    ----------
    segments : Segments
        As :func:`fit_segments` leaves them.
    number : int
        How many there are.
    runs : RunLengths
        As :func:`list_segments` leaves it; `sum_cubes` is a result.
    constants : ndarray of float64, shape (CONSTANTS, LANES)
    sums : ndarray of float64, shape (4, LANES)
        Results: sum slope / var_rnoise, sum 1 / var_poisson (positive ones), sum 1 / var_rnoise, sum 1 / var_err.

    Formula
    -------
    N = sum s / v_r,  I_p = sum 1 / v_p over positive v_p,  I_r = sum 1 / v_r,  I_e = sum 1 / (v_p + v_r)

    Source
    ------
    Robberto 2008 (JWST-STScI-0001490); section 6 of ``docs/algorithm.md``. v_p and v_r are those of
    :func:`segment_variances`; what does not depend on n is taken out of the sums.

    Units
    -----
    s in DN/s, v in (DN/s)^2.
    """
    lane, length, slope, weight = segments.lane, segments.length, segments.slope, segments.weight
    slope_sum, poisson_sum, read_sum, total_sum = sums[0], sums[1], sums[2], sums[3]
    count, steps, cubics = runs.nsegments, runs.sum_steps, runs.sum_cubes
    for k in range(LANES):
        slope_sum[k] = total_sum[k] = 0.0
    for k in range(LANES):
        cubics[k] = 0
    for s in range(number):
        k, n = lane[s], np.uint64(length[s])
        slope_sum[k] += slope[s]
        total_sum[k] += weight[s]
        cubics[k] += n * n * n - n
    read_weight, poisson_weight, unfittable = constants[READ_WEIGHT], constants[POISSON_WEIGHT], constants[UNFITTABLE]
    slope_weight = constants[SLOPE_WEIGHT]
    for k in range(LANES):
        # A segment of two groups has n^3 - n = 6.
        lost = unfittable[k] if cubics[k] > 6 * np.uint64(count[k]) else 0.0
        slope_sum[k] = (slope_sum[k] + lost) * slope_weight[k]
    for k in range(LANES):
        poisson_sum[k] = poisson_weight[k] * np.float64(steps[k])
    for k in range(LANES):
        read_sum[k] = read_weight[k] * np.float64(cubics[k]) if cubics[k] > 0 else 0.0


@jit
def sum_single_group(sample, k, status, settings, constants, sums):
    """Do what :func:`sum_segments` does for lane `k`, whose only segment is one `sample` in DN.

    Formula
    -------
    N = s / v_r,  I_p = 1 / v_p,  I_r = 1 / v_r,  I_e = 1 / (v_p + v_r),  s = y / T

    Source
    ------
    Sections 5 and 6 of ``docs/algorithm.md``: :func:`single_group_variances`.

    Units
    -----
    y in DN, T in s, v in (DN/s)^2.
    """
    time = single_group_time(status, settings)
    var_poisson, var_rnoise = single_group_variances(time, constants[POISSON, k], constants[READ, k], settings)
    sums[0, k] = np.float64(sample) / time / var_rnoise
    sums[1, k] = constants[POISSON_WEIGHT, k] / (settings.group_time / time)
    sums[2, k] = 1.0 / var_rnoise
    sums[3, k] = 1.0 / (var_poisson + var_rnoise)


@jit
def sum_clean(slope, ngroups, constants, sums):
    """Do what :func:`sum_segments` does for ramps without flags: only row 0 of `sums`.

    Formula
    -------
    N = s / v_r

    Source
    ------
    As :func:`sum_segments`; section 6 of ``docs/algorithm.md``.

    Units
    -----
    s in DN/s, v_r in (DN/s)^2.
    """
    slope_weight, unfittable, slope_sum = constants[SLOPE_WEIGHT], constants[UNFITTABLE], sums[0]
    for k in range(LANES):
        lost = unfittable[k] if ngroups > _FEW else 0.0
        slope_sum[k] = (slope[k] + lost) * slope_weight[k]


@jit
def weigh_clean(ngroups, constants, sums):
    """Find what the unflagged ramps of a pixel share: rows 1 and 2 of `sums` as in :func:`sum_segments`.

    Formula
    -------
    I_p = 1 / v_p where that is positive,  I_r = 1 / v_r

    Source
    ------
    As :func:`sum_segments`; section 6 of ``docs/algorithm.md``.

    Units
    -----
    (s/DN)^2.
    """
    n = np.float64(ngroups)
    steps, cubic = n - 1.0, n * n * n - n
    poisson_weight, read_weight = constants[POISSON_WEIGHT], constants[READ_WEIGHT]
    poisson_sum, read_sum = sums[1], sums[2]
    for k in range(LANES):
        poisson_sum[k] = poisson_weight[k] * steps
        read_sum[k] = read_weight[k] * cubic
