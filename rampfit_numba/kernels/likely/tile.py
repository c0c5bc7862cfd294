"""Likelihood fit of one tile as the pipeline has it: every integration for itself."""

from __future__ import annotations

import numpy as np

from rampfit_numba.kernels._jit import LANES, jit_entry_allocating, jit_inline
from rampfit_numba.kernels.likely.combine import (
    CHISQ,
    DOF,
    ERR,
    SLOPE,
    VAR_POISSON,
    VAR_RNOISE,
    combine_integrations,
)
from rampfit_numba.kernels.likely.differences import list_finite, load_differences, middle
from rampfit_numba.kernels.likely.fit import (
    WORK_ROWS,
    degrees_of_freedom,
    eliminate,
    refuse_indefinite,
    spread_of_weights,
)
from rampfit_numba.kernels.likely.flags import CARRIED, combine_flags, integration_flags
from rampfit_numba.kernels.likely.search import CHOICE_ROWS, search
from rampfit_numba.kernels.rates import flag_unfitted
from rampfit_numba.kernels.samples import flag_non_finite
from rampfit_numba.kernels.vectors import WIDTH, load_single, root, select, store_single


@jit_entry_allocating
def fit_likely_tile(tile, table, limits, network, integrations_network, result):
    """Fit all ramps of a tile (sections 3 to 8 of the rules in ``docs/likelihood.md``).

    Parameters
    ----------
    tile : TileInputs
    table : ndarray
        See :func:`difference_table`.
    limits : tuple of float
        See :func:`search`.
    network, integrations_network : ndarray of int64, shape (exchanges, 3)
        Those of :func:`middle_network` for the differences of a ramp and for the integrations; the latter is empty for
        a great many.
    result : LikelyResult
    """
    nints, ngroups, npixels = tile.samples.shape
    count = ngroups - 1
    difference = np.empty(count * WIDTH, np.float64)
    used = np.empty(count * WIDTH, np.float64)
    values = np.empty(count * WIDTH, np.float64)
    work = np.empty((WORK_ROWS, count * WIDTH), np.float64)
    choice = np.empty((CHOICE_ROWS, WIDTH), np.float64)
    for first in range(0, npixels, LANES):
        for i in range(nints):
            flag_non_finite(tile.bits[i], tile.flags[i], first)
            for pixel in range(first, first + LANES, WIDTH):
                load_differences(tile.samples[i], tile.flags[i], pixel, table, False, difference, used)  # noqa: FBT003
                _fit_vector(tile, i, pixel, table, limits, network, difference, used, values, work, choice, result)
            integration_flags(tile.flags[i], result.jumps[i], tile.pixeldq, CARRIED, first, result.rateints_dq[i])
        combine_integrations(result.rateints, first, integrations_network, result.rate)
        if nints == 1:
            result.rate_dq[first : first + LANES] = result.rateints_dq[0, first : first + LANES]
        else:
            combine_flags(result.rateints_dq, first, result.rate_dq)
        # What the pipeline does not say: a rate that is missing must not be used.
        for i in range(nints):
            flag_unfitted(
                result.rateints[SLOPE, i, first : first + LANES], result.rateints_dq[i, first : first + LANES]
            )
        flag_unfitted(result.rate[SLOPE, first : first + LANES], result.rate_dq[first : first + LANES])


@jit_inline
def _fit_vector(tile, i, pixel, table, limits, network, difference, used, values, work, choice, result):
    """Search and fit a vector of ramps of integration `i` whose differences are loaded."""
    count = tile.samples.shape[1] - 1
    filler = list_finite(difference, count, values)
    guess = middle(values, count, network, filler)
    gain, noise = load_single(tile.gain, pixel), load_single(tile.readnoise, pixel)
    read = noise * noise * 0.5
    # Times 0, NaN stays NaN.
    photon = refuse_indefinite(select(guess > 0.0, guess, guess * 0.0) / gain, read, table, count)
    rate, left = search(
        difference, used, table, count, photon, read, guess, limits, work, choice, result.jumps[i], pixel
    )

    final_guess = select(rate > 0.0, rate, rate * 0.0) + load_single(tile.dark, pixel)
    photon = refuse_indefinite(final_guess / gain, read, table, count)
    weight, weighted, squares = eliminate(difference, used, table, count, photon, read, rate, work)
    photon_part, read_part = spread_of_weights(table, count, photon, read, work)
    variance = select(weight == 0.0, np.nan, 1.0 / weight)
    change = weighted * variance
    planes = result.rateints
    store_single(planes[SLOPE, i], pixel, rate + change)
    store_single(planes[ERR, i], pixel, root(variance))
    store_single(planes[VAR_POISSON, i], pixel, photon * photon_part * (variance * variance))
    store_single(planes[VAR_RNOISE, i], pixel, read * read_part * (variance * variance))
    store_single(planes[CHISQ, i], pixel, squares - weighted * change)
    store_single(planes[DOF, i], pixel, degrees_of_freedom(left, variance))
