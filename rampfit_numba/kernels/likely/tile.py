"""Likelihood fit of one tile as the pipeline has it: every integration for itself."""

from __future__ import annotations

import numpy as np

from rampfit_numba.kernels._jit import jit_entry_allocating, jit_inline
from rampfit_numba.kernels.blocks import load_block, pad_block
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
from rampfit_numba.kernels.likely.zeroframe import split_first_group
from rampfit_numba.kernels.rates import flag_unfitted
from rampfit_numba.kernels.samples import flag_non_finite
from rampfit_numba.kernels.vectors import WIDTH, load_single, root, select, store_single


@jit_entry_allocating
def fit_likely_tile(pointers, loaded, ramps, nframes, table, limits, network, integrations_network, result):
    """Fit all ramps of a tile (sections 3 to 8 of the rules in ``docs/likelihood.md``).

    Parameters
    ----------
    pointers : BlockPointers
    loaded, ramps : Ramps
        Overwritten: a block as it is loaded, and as it is fitted. The same, unless the first group is split.
    nframes : float32
        See :func:`split_first_group`.
    table : ndarray
        See :func:`difference_table`.
    limits : tuple of float
        See :func:`search`.
    network, integrations_network : ndarray of int64, shape (exchanges, 3)
        Those of :func:`middle_network` for the differences of a ramp and for the integrations; the latter is empty for
        a great many.
    result : LikelyResult

    Formula
    -------
    guess  = max(0, median of d)
    search : C of guess / G
    fit    : C of (max(0, R of the search) + dark) / G
    rate   = h + weighted / weight,  var_poisson = p photon_part / weight^2,  var_rnoise = r^2 read_part / weight^2

    Source
    ------
    Brandt 2024a (PASP 136, 045004), section 4, and 2024b (PASP 136, 045005), section 3; sections 3 to 8 of
    ``docs/likelihood.md``. The letters are those of :func:`eliminate`.

    Units
    -----
    Rates R and differences d in DN/s, their covariance C and variances in (DN/s)^2, gain G in e-/DN; r = CDS / sqrt(2)
    in DN.
    """
    nints, ngroups, lanes = ramps.samples.shape
    count = ngroups - 1
    difference = np.empty(count * WIDTH, np.float64)
    used = np.empty(count * WIDTH, np.float64)
    values = np.empty(count * WIDTH, np.float64)
    work = np.empty((WORK_ROWS, count * WIDTH), np.float64)
    choice = np.empty((CHOICE_ROWS, WIDTH), np.float64)
    for first in range(0, pointers.npixels, lanes):
        load_block(pointers, first, loaded)
        pad_block(loaded, min(lanes, pointers.npixels - first))
        split_first_group(loaded, nframes, False, ramps)  # noqa: FBT003
        for i in range(nints):
            flag_non_finite(ramps.bits[i], ramps.flags[i], np.int64(0))
            for lane in range(0, lanes, WIDTH):
                load_differences(ramps.samples[i], ramps.flags[i], lane, table, False, difference, used)  # noqa: FBT003
                _fit_vector(
                    ramps,
                    i,
                    lane,
                    first + lane,
                    table,
                    limits,
                    network,
                    difference,
                    used,
                    values,
                    work,
                    choice,
                    result,
                )
            integration_flags(ramps.flags[i], result.jumps[i], ramps.pixeldq, CARRIED, first, result.rateints_dq[i])
        combine_integrations(result.rateints, first, lanes, integrations_network, result.rate)
        if nints == 1:
            for k in range(first, first + lanes):  # for whole rows, code for shapes that differ would be compiled
                result.rate_dq[k] = result.rateints_dq[0, k]
        else:
            combine_flags(result.rateints_dq, first, lanes, result.rate_dq)
        # What the pipeline does not say: a rate that is missing must not be used.
        for i in range(nints):
            flag_unfitted(
                result.rateints[SLOPE, i, first : first + lanes], result.rateints_dq[i, first : first + lanes]
            )
        flag_unfitted(result.rate[SLOPE, first : first + lanes], result.rate_dq[first : first + lanes])


@jit_inline
def _fit_vector(ramps, i, lane, pixel, table, limits, network, difference, used, values, work, choice, result):
    """Search and fit a vector of ramps of integration `i` whose differences are loaded: `pixel` of the results."""
    count = ramps.samples.shape[1] - 1
    filler = list_finite(difference, count, values)
    guess = middle(values, count, network, filler)
    gain, noise = load_single(ramps.gain, lane), load_single(ramps.readnoise, lane)
    read = noise * noise * 0.5
    # Times 0, NaN stays NaN.
    photon = refuse_indefinite(select(guess > 0.0, guess, guess * 0.0) / gain, read, table, count)
    rate, left = search(
        difference, used, table, count, photon, read, guess, limits, work, choice, result.jumps[i], pixel
    )

    final_guess = select(rate > 0.0, rate, rate * 0.0) + load_single(ramps.dark, lane)
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
