"""Search for jumps that knows what hits are: positive, and, inside a group of several frames, seen twice.

Source: section 13 of the rules in ``docs/likelihood.md``.
"""

from __future__ import annotations

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels._jit import jit, jit_inline
from rampfit_numba.kernels.likely.explain import MOST_EXPLAINED, explain
from rampfit_numba.kernels.likely.fit import number_used
from rampfit_numba.kernels.likely.search import choose_omission, search_round
from rampfit_numba.kernels.vectors import WIDTH, anywhere, load, select, spread, store

#: Rows of the small array `choice`: number of differences that a lane drops in a round, and the first of them; number
#: of used differences, hits found, chi-square; whether one hit explains all, and the chi-square then; and what the
#: covariance is made of.
_DROP, _PLACE, _LEFT, _HITS, _CHISQ, _SURE, _AFTER, _PHOTON, _READ, _SHIFT = range(10)
CHOICE_ROWS = 10

_JUMP = np.uint8(dq.JUMP_DET)
_LEAST = 2.0


@jit_inline
def search_hits(difference, used, table, count, photon, read, shift, limits, work, choice, selections, jumps, first):
    """Leave out the differences that hits have changed.

    Rounds like the pipeline's drop one difference or pair after another. As soon as no more than MOST_EXPLAINED are
    left, all selections of them are tried instead.

    Parameters
    ----------
    difference, used, table, count, photon, read, shift, work
        See :func:`eliminate`; `used` is modified.
    limits : tuple of float
        The gains in chi-square that one difference and a pair must exceed.
    choice : ndarray of float64, shape (CHOICE_ROWS, WIDTH)
        Workspace.
    selections : ndarray of float64
        See :func:`explain`.
    jumps : ndarray of uint8, shape (count + 1, npixels)
        JUMP_DET is set where a dropped difference ends. Nothing is written where its shape is (0, 0).
    first : int
        First pixel of the vector.

    Returns
    -------
    chisq, left, hits : vector
        Chi-square and number of the differences that are left; number of hits found.

    Formula
    -------
    used = used without argmax_B (gain_B - limit_B),  while that is > 0 and more than MOST_EXPLAINED are left

    Source
    ------
    Brandt 2024b (PASP 136, 045005), section 3, with rules of our own: section 14 of ``docs/likelihood.md``. The gains
    are those of :func:`search_round`.

    Units
    -----
    Limits, gains and chi-squares have none.
    """
    threshold_one, threshold_two = limits
    left = number_used(used, count)
    chisq, hits = spread(0.0), spread(0.0)
    searched = left >= _LEAST
    for _ in range(count):
        _, gain_one, place_one, _, gain_two, place_two, _, check, chisq_here, height_one, height_two = search_round(
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
            True,  # noqa: FBT003
        )
        chisq = select(searched, chisq_here, chisq)
        drop = select(searched, choose_omission(gain_one, gain_two, check, limits), 0.0)
        if not anywhere(drop > 0.0):
            break
        one = drop == 1.0
        # Any other explanation needs two hits: where one leaves less than that costs, it is the best of all.
        after = chisq_here - select(one, gain_one, gain_two)
        spare = 2.0 * threshold_one - select(one, threshold_one, spread(threshold_two))
        sure = (select(one, height_one, height_two) >= 0.0) & (spare >= after)
        store(choice[_SURE], 0, select(sure, 1.0, 0.0))
        store(choice[_AFTER], 0, after)
        store(choice[_DROP], 0, drop)
        store(choice[_PLACE], 0, select(one, place_one, place_two))
        store(choice[_LEFT], 0, left)
        store(choice[_HITS], 0, hits)
        store(choice[_CHISQ], 0, chisq)
        store(choice[_PHOTON], 0, photon)
        store(choice[_READ], 0, read)
        store(choice[_SHIFT], 0, shift)
        for lane in range(WIDTH):
            if choice[_DROP, lane] > 0:
                _drop(difference, used, lane, table, count, limits, choice, selections, jumps, first)
        left = load(choice[_LEFT], 0)
        hits = load(choice[_HITS], 0)
        chisq = load(choice[_CHISQ], 0)
        searched = load(choice[_DROP], 0) > 0.0
        if not anywhere(searched):
            break
    return chisq, left, hits


@jit
def _drop(difference, used, lane, table, count, limits, choice, selections, jumps, first):
    """Drop what a round has chosen for a lane, or what explains it best; DROP is 0 for a lane that is done."""
    begin, dropped = int(choice[_PLACE, lane]), int(choice[_DROP, lane])
    selection = 0
    if choice[_SURE, lane] > 0:
        choice[_CHISQ, lane] = choice[_AFTER, lane]
        choice[_HITS, lane] += 1.0
        choice[_DROP, lane] = 0.0
    elif choice[_LEFT, lane] <= MOST_EXPLAINED:
        selection, chisq, hits = explain(
            difference,
            used,
            lane,
            table,
            count,
            choice[_PHOTON, lane],
            choice[_READ, lane],
            choice[_SHIFT, lane],
            limits,
            begin,
            dropped,
            selections,
        )
        choice[_CHISQ, lane] = chisq
        choice[_HITS, lane] += hits
        choice[_DROP, lane] = 0.0
        begin, dropped = 0, 0
    else:
        choice[_HITS, lane] += 1.0
    place = 0
    for k in range(count):
        if used[k * WIDTH + lane] > 0:
            # Explained or not: a pair may have lost one already.
            if (selection >> place) & 1 == 1 or begin <= k < begin + dropped:
                used[k * WIDTH + lane] = 0.0
                choice[_LEFT, lane] -= 1.0
                if jumps.size > 0:
                    jumps[k + 1, first + lane] = _JUMP
            place += 1
