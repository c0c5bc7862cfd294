"""Search for jumps: which differences to leave out, by how much the chi-square falls without them.

Source: Brandt 2024b, section 3, in the score form: with residuals r = C^-1 (d - rate), the gain of leaving out a set of
differences is r' V^-1 r, where V is the block of C^-1 - x x' / (1'x) that belongs to it. Unlike the pipeline's form it
divides by nothing that can vanish while the fit is sound.
"""

from __future__ import annotations

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels._jit import jit_inline
from rampfit_numba.kernels.likely.columns import BETA_PHOTON, BETA_READ, PAIR
from rampfit_numba.kernels.likely.fit import INVERSE, ONES, VALUES, eliminate, number_used
from rampfit_numba.kernels.vectors import WIDTH, anywhere, load, select, spread, store

#: Rows of the small array `choice`: number of differences that a lane drops in a round, and the first of them.
DROP, PLACE = range(2)
CHOICE_ROWS = 2

_JUMP = np.uint8(dq.JUMP_DET)
_LEAST_FOR_ONE = 3.0
_LEAST_AFTER_DROP = 4.0
_LEAST_FOR_TWO = 3.0
_MOST_TAKEN = 0.875


@jit_inline
def search_round(difference, used, table, count, photon, read, shift, work, limits, left, positive):
    """Fit, and find the best single difference and the best pair to leave out.

    Parameters
    ----------
    difference, used, table, count, photon, read, shift, work
        See :func:`eliminate`.
    limits : tuple of float
        See :func:`search`.
    left : vector
        Number of used differences.
    positive : bool
        Hits are positive: of two gains above their threshold, that of a difference below the rate (or of a pair with
        one) counts less, by up to the threshold of a single difference. Pairs of fewer than three do not count.

    Returns
    -------
    rate : vector
        With all used differences, in DN/s.
    gain_one, place_one, rate_one : vector
        Largest gain in chi-square, its difference (the first of several) and the rate without it.
    gain_two, place_two, rate_two : vector
        The same of pairs that a jump inside a group would touch; the gain is 0 where there is none.
    check : vector
        Finite if all gains are.
    chisq : vector
        With all used differences.
    height_one, height_two : vector
        How far the best difference, and the lower one of the best pair, are above the rate, in DN/s.

    Formula
    -------
    D_k     = (C^-1)_kk   = 1 / delta_k + m_{k+1} o_k
    o_k     = -(C^-1)_k,k+1 = m_{k+1} D_{k+1}
    x_k     = (C^-1 1)_k  = f_k / delta_k - m_{k+1} x_{k+1}
    r_k     = (C^-1 (d - R))_k = (F_k - (R - h) f_k) / delta_k - m_{k+1} r_{k+1}
    V       = C^-1 - x x' / S
    V_kk    = D_k - x_k^2 / S
    V_k,k+1 = -o_k - x_k x_{k+1} / S
    u_B     = V_BB^-1 r_B
    gain_B  = r_B' u_B
    R_B     = R - x_B' u_B / S

    Where
    -----
    In the code d, o, x and r are D_k, o_k, x_k and r_k, s is V_kk, q is V_k,k+1, and y is x_k / S; `_after` means k +
    1. The height u is t for a single difference, and b and c for a pair; R is `rate` plus `shift`.

    Source
    ------
    Brandt 2024b (PASP 136, 045005), section 3, in a form of our own: to leave out B is to give each of its differences
    a height u above the rate that is fitted with it, and u is found as in any least squares. R = rate, S = weight; m,
    delta, f, F and h as in :func:`eliminate`. Section 5 of ``docs/likelihood.md``; `positive`: section 14.

    Units
    -----
    d, R, h and u in DN/s; C in (DN/s)^2; gains and chi-square have none.
    """
    threshold_one, threshold_two = limits[0], limits[1]
    weight, weighted, squares = eliminate(difference, used, table, count, photon, read, shift, work)
    inverses, ones, values = work[INVERSE], work[ONES], work[VALUES]
    variance = 1.0 / weight
    rate = weighted * variance
    r_after, x_after, d_after, s_after = spread(0.0), spread(0.0), spread(0.0), spread(1.0)
    gain_one, place_one, change_one, height_one = spread(-np.inf), spread(0.0), spread(0.0), spread(0.0)
    gain_two, place_two, change_two, height_two = spread(0.0), spread(0.0), spread(0.0), spread(0.0)
    check = spread(0.0)
    for step in range(count):
        k = count - 1 - step
        # Rows of C^-1 from the last to the first: the diagonal d, the neighbour o, residuals r, and x = C^-1 1.
        inverse, one = load(inverses, k * WIDTH), load(ones, k * WIDTH)
        ratio = (photon * table[k + 1, BETA_PHOTON] + read * table[k + 1, BETA_READ]) * inverse
        r = (load(values, k * WIDTH) - rate * one) * inverse - ratio * r_after
        x = one * inverse - ratio * x_after
        o = ratio * d_after
        d = inverse + ratio * o
        y = x * variance
        # All of this is 0 where a difference is not used; 1 for s makes its gain 0.
        s = d - x * y + (1.0 - load(used, k * WIDTH))
        t = r / s
        gain = r * t
        check = check + gain
        if positive:
            gain = select(t < 0.0, _less(gain, threshold_one, threshold_one), gain)
        better = gain >= gain_one
        gain_one = select(better, gain, gain_one)
        place_one = select(better, float(k), place_one)
        change_one = select(better, t * x, change_one)
        height_one = select(better, t, height_one)
        if table[k, PAIR] > 0:
            q = -1.0 * (o + y * x_after)
            determinant = 1.0 / (s * s_after - q * q)
            b = (s_after * r - q * r_after) * determinant
            c = (s * r_after - q * r) * determinant
            gain = b * r + c * r_after
            lower = select(b < c, b, c)
            if positive:
                gain = select(left >= _LEAST_FOR_TWO, gain, 0.0)
            check = check + gain
            if positive:
                gain = select(lower < 0.0, _less(gain, threshold_two, threshold_one), gain)
            better = gain >= gain_two
            gain_two = select(better, gain, gain_two)
            place_two = select(better, float(k), place_two)
            change_two = select(better, b * x + c * x_after, change_two)
            height_two = select(better, lower, height_two)
        r_after, x_after, d_after, s_after = r, x, d, s
    return (
        rate + shift,
        gain_one,
        place_one,
        rate + shift - change_one * variance,
        gain_two,
        place_two,
        rate + shift - change_two * variance,
        check,
        squares - weighted * rate,
        height_one,
        height_two,
    )


@jit_inline
def _less(gain, threshold, handicap):
    """Return gains above `threshold` less `handicap`, but so that they stay above it, and in their order."""
    excess = gain - threshold
    taken = excess * _MOST_TAKEN
    taken = select(taken < handicap, taken, handicap)
    return select(excess > 0.0, gain - taken, gain)


@jit_inline
def choose_omission(gain_one, gain_two, check, limits):
    """Return what a round leaves out: 1 for the best difference, 2 for the best pair, and 0 for nothing.

    Parameters
    ----------
    gain_one, gain_two, check : vector
        See :func:`search_round`. Nothing is left out where `check` is not finite.
    limits : tuple of float
        See :func:`search`.

    Formula
    -------
    choice = argmax_B (gain_B - limit_B),  where that is > 0; of equal ones the pair

    Source
    ------
    Brandt 2024b (PASP 136, 045005), section 3; section 5 of ``docs/likelihood.md``. B is the difference or the pair.

    Units
    -----
    None: gains and limits are differences of chi-squares.
    """
    excess_one, excess_two = gain_one - limits[0], gain_two - limits[1]
    sound = check - check == 0.0
    one = sound & (excess_one > excess_two) & (excess_one > 0.0)
    two = sound & (excess_two >= excess_one) & (excess_two > 0.0)
    return select(one, 1.0, select(two, 2.0, 0.0))


@jit_inline
def search(difference, used, table, count, photon, read, shift, limits, work, choice, jumps, first):
    """Leave out differences as long as the chi-square falls by more than the thresholds, as the pipeline does.

    Parameters
    ----------
    difference, table, count, photon, read, shift, work
        See :func:`eliminate`.
    used : ndarray of float64, shape (count * WIDTH,)
        Modified.
    limits : tuple of float
        The gains in chi-square that one difference and a pair must exceed.
    choice : ndarray of float64, shape (CHOICE_ROWS, WIDTH)
        Workspace.
    jumps : ndarray of uint8, shape (count + 1, npixels)
        JUMP_DET is set where a dropped difference ends. Nothing is written where its shape is (0, 0).
    first : int
        First pixel of the vector.

    Returns
    -------
    rate, left : vector
        Rate without the dropped differences and with the first covariance, in DN/s; number of used differences.

    Formula
    -------
    used = used without argmax_B (gain_B - limit_B),  while that is > 0

    Source
    ------
    Brandt 2024b (PASP 136, 045005), section 3, with the rules of the pipeline: section 5 of ``docs/likelihood.md``. The
    gains are those of :func:`search_round`.

    Units
    -----
    Rates in DN/s; limits and gains are differences of chi-squares.
    """
    left = number_used(used, count)
    rate = spread(0.0)
    searched = left >= _LEAST_FOR_ONE
    for turn in range(count):
        found, gain_one, place_one, rate_one, gain_two, place_two, rate_two, check, _, _, _ = search_round(
            difference,
            used,
            table,
            count,
            photon,
            read,
            shift,
            work,
            limits,
            left,
            False,  # noqa: FBT003
        )
        if turn == 0:
            rate = found
        gain_two = select(left >= _LEAST_FOR_TWO, gain_two, 0.0)
        drop = select(searched, choose_omission(gain_one, gain_two, check, limits), 0.0)
        if not anywhere(drop > 0.0):
            break
        one = drop == 1.0
        rate = select(one, rate_one, select(drop == 2.0, rate_two, rate))
        store(choice[DROP], 0, drop)
        store(choice[PLACE], 0, select(one, place_one, place_two))
        for lane in range(WIDTH):
            dropped, place = int(choice[DROP, lane]), int(choice[PLACE, lane])
            for k in range(place, place + dropped):
                # A pair may have lost one already.
                if used[k * WIDTH + lane] > 0 and jumps.size > 0:
                    jumps[k + 1, first + lane] = _JUMP
                used[k * WIDTH + lane] = 0.0
        left = number_used(used, count)
        searched = (drop > 0.0) & (left >= _LEAST_AFTER_DROP)
        if not anywhere(searched):
            break
    return rate, left
