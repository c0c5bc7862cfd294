"""The likeliest explanation of a ramp that is not straight: which of few differences hits have changed.

Source: section 13 of the rules in ``docs/likelihood.md``. A search that drops one thing after another cannot take back
what it dropped first. Of a few differences all selections are tried instead: with as many as eight there are 255, most
of which end early, since chi-square and number of hits only grow from one difference to the next.
"""

from __future__ import annotations

import numpy as np

from rampfit_numba.kernels._jit import jit, jit_inline
from rampfit_numba.kernels.likely.columns import ALPHA_PHOTON, ALPHA_READ, BETA_PHOTON, BETA_READ, PAIR
from rampfit_numba.kernels.vectors import WIDTH

#: Most differences of which all selections are tried.
MOST_EXPLAINED = 8
#: Rows of `selections`: what is known of a selection before each of its differences.
_INVERSE, _ONE, _VALUE, _WEIGHT, _WEIGHTED, _SQUARES, _CHISQ, _COST, _HITS, _UNPAIRED, _PLACE = range(11)
EXPLAIN_ROWS = 11


@jit
def explain(difference, used, lane, table, count, photon, read, shift, limits, begin, dropped, selections):
    """Find the differences that are most likely spoilt by hits, at least one and not all.

    An explanation costs its chi-square, the threshold of a single difference or of a pair for each hit, and, since hits
    are positive, the threshold of a single difference for each that it leaves out although it is below the rate. The
    cheapest one wins.

    Parameters
    ----------
    difference, used : ndarray of float64, shape (count * WIDTH,)
        Rates in DN/s; 1 or 0.
    lane : int
        Which ramp of the vector.
    table, count
        See :func:`eliminate`.
    photon, read, shift : float
        Those of the lane: see :func:`eliminate`.
    limits : tuple of float
        The gains in chi-square that one difference and a pair must exceed.
    begin, dropped : int
        The first difference of those that a round of the search would drop, and their number: a good explanation to
        begin with ends most others early.
    selections : ndarray of float64, shape (EXPLAIN_ROWS, MOST_EXPLAINED + 1)
        Workspace.

    Returns
    -------
    selection : int
        What to leave out: the lowest bit stands for the first used difference.
    chisq, hits : float
        Chi-square of the differences that are left; hits of the explanation.

    Formula
    -------
    cost_B = chisq without B + limit of each hit + limit_1 (number of d_k < rate in B)

    Source
    ------
    Section 14 of ``docs/likelihood.md``; the chi-square by the recursion of :func:`eliminate`.

    Units
    -----
    Differences d and rates in DN/s; costs are chi-squares. B is what a selection leaves out.
    """
    cost_one, cost_two = limits
    size, selection = 0, 0
    for k in range(count):
        if used[k * WIDTH + lane] > 0:
            selections[_PLACE, size] = k
            selection = 2 * selection + (1 if begin <= k < begin + dropped else 0)
            size += 1
    for row in range(_PLACE):
        selections[row, 0] = 0.0
    # A selection is a number whose highest bit stands for the first difference, and is 1 if that is left out.
    chosen, chisq, hits, best = 0, np.nan, 0.0, np.inf
    level, following, everything = 0, 1, (1 << size) - 1
    while selection < everything:
        pruned = False
        while level < size and not pruned:
            out = (selection >> (size - 1 - level)) & 1 == 1
            _take(difference, lane, table, photon, read, shift, cost_one, cost_two, selections, level, out)
            level += 1
            pruned = selections[_CHISQ, level] + selections[_COST, level] >= best
        if pruned:
            following = ((selection >> (size - level)) + 1) << (size - level)
        else:
            rate = shift + selections[_WEIGHTED, size] / selections[_WEIGHT, size]
            cost = selections[_CHISQ, size] + selections[_COST, size]
            for i in range(size):
                left_out = (selection >> (size - 1 - i)) & 1 == 1
                if left_out and difference[int(selections[_PLACE, i]) * WIDTH + lane] < rate:
                    cost += cost_one
            if cost < best:
                chosen, chisq, hits, best = selection, selections[_CHISQ, size], selections[_HITS, size], cost
        # What is known up to the first difference that the next selection treats otherwise can stay.
        changed = selection ^ following
        level = size
        while changed > 0:
            changed >>= 1
            level -= 1
        level = max(level, 0)
        selection = following
        following = selection + 1
    selection = 0
    for i in range(size):
        selection |= ((chosen >> (size - 1 - i)) & 1) << i
    return selection, chisq, hits


@jit_inline
def _take(difference, lane, table, photon, read, shift, cost_one, cost_two, selections, level, out):
    """Add one difference to the sums of a selection, or what leaving it `out` costs; see :func:`eliminate`."""
    k = int(selections[_PLACE, level])
    neighbour = level > 0 and int(selections[_PLACE, level - 1]) == k - 1
    after = level + 1
    for row in range(_WEIGHT, _UNPAIRED):
        selections[row, after] = selections[row, level]
    selections[_UNPAIRED, after] = 0.0
    if out:
        selections[_INVERSE, after] = selections[_ONE, after] = selections[_VALUE, after] = 0.0
        if neighbour and selections[_UNPAIRED, level] > 0 and table[k - 1, PAIR] > 0:
            selections[_COST, after] += cost_two - cost_one
        else:
            selections[_COST, after] += cost_one
            selections[_HITS, after] += 1.0
            selections[_UNPAIRED, after] = 1.0
        return
    beta = photon * table[k, BETA_PHOTON] + read * table[k, BETA_READ]
    ratio = beta * selections[_INVERSE, level] if neighbour else 0.0
    inverse = 1.0 / (photon * table[k, ALPHA_PHOTON] + read * table[k, ALPHA_READ] - ratio * beta)
    one = 1.0 - ratio * selections[_ONE, level]
    value = (difference[k * WIDTH + lane] - shift) - ratio * selections[_VALUE, level]
    selections[_INVERSE, after], selections[_ONE, after], selections[_VALUE, after] = inverse, one, value
    weight = selections[_WEIGHT, level] + one * (one * inverse)
    weighted = selections[_WEIGHTED, level] + value * (one * inverse)
    squares = selections[_SQUARES, level] + value * (value * inverse)
    selections[_WEIGHT, after], selections[_WEIGHTED, after], selections[_SQUARES, after] = weight, weighted, squares
    # That of the rate which fits the differences up to here best, so it can only grow.
    selections[_CHISQ, after] = squares - weighted * (weighted / weight)
