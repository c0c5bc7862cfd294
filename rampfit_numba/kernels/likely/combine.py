"""Combination of integrations as the pipeline has it, in single precision as there.

Source: section 8 of the rules in ``docs/likelihood.md``. Each integration is weighted by its variances, the photon part
as if it had the rate of all.
"""

from __future__ import annotations

import numpy as np
from numba import types

from rampfit_numba.kernels._jit import LANES, jit_allocating, jit_apart
from rampfit_numba.kernels.selection import bring_to_middle, middle_two

#: Rows of the float32 results of a pixel.
SLOPE, ERR, VAR_POISSON, VAR_RNOISE, CHISQ, DOF = range(6)
RESULTS = 6

_INF = np.float64(np.inf)
_ROUNDS = 2


@jit_apart(types.none, allocating=True)
def combine_integrations(rateints, first, lanes, network, rate):
    """Combine the integrations of a block of pixels.

    Parameters
    ----------
    rateints : ndarray of float32, shape (RESULTS, nints, npixels)
    first, lanes : int
        First pixel of the block, and how many it has.
    network : ndarray of int64, shape (exchanges, 3)
        That of :func:`middle_network` for nints values; empty for a great many.
    rate : ndarray of float32, shape (RESULTS, npixels)
        Result, from `first` on.

    Formula
    -------
    w_i  = 1 / (v_p,i R / R_i + v_r,i),  divided by their sum
    R    = sum w_i R_i                          (twice, from the median on)
    var_poisson = sum w_i^2 v_p,i R / R_i
    var_rnoise  = sum w_i^2 v_r,i
    err  = sqrt(var_poisson + var_rnoise),  chisq = sum chisq_i

    Source
    ------
    The rules of the pipeline: section 8 of ``docs/likelihood.md``. Rates R_i and variances v of integrations.

    Units
    -----
    DN/s and (DN/s)^2.
    """
    nints = rateints.shape[1]
    if nints == 1:
        for j in range(RESULTS):
            alone, out = rateints[j, 0, first : first + lanes], rate[j, first : first + lanes]
            for k in range(lanes):
                out[k] = alone[k]
        return
    slope = rate[SLOPE, first : first + lanes]
    _median(rateints[SLOPE], first, network, slope)
    poisson = np.empty((nints, lanes), np.float32)
    weights = np.empty((nints, lanes), np.float32)
    total = np.empty(lanes, np.float32)
    sums = np.empty((3, lanes), np.float32)
    zero, one, nan = np.float32(0), np.float32(1), np.float32(np.nan)
    for _ in range(_ROUNDS):
        total[:] = 0
        for i in range(nints):
            rates = rateints[SLOPE, i, first : first + lanes]
            photon, read = (
                rateints[VAR_POISSON, i, first : first + lanes],
                rateints[VAR_RNOISE, i, first : first + lanes],
            )
            for k in range(lanes):
                ratio = slope[k] / rates[k]
                # Neither negative, nor infinite, nor NaN.
                usable = ratio >= zero and ratio - ratio == zero
                poisson[i, k] = photon[k] * (ratio if usable else zero)
                weights[i, k] = one / (poisson[i, k] + read[k])
                total[k] += zero if np.isnan(weights[i, k]) else weights[i, k]
        _weigh(rateints[SLOPE], first, weights, total, sums[0])
        for k in range(lanes):
            slope[k] = sums[0, k]
    read = rateints[VAR_RNOISE, :, first : first + lanes]
    var_poisson, var_rnoise = rate[VAR_POISSON, first : first + lanes], rate[VAR_RNOISE, first : first + lanes]
    chisq, dof = rate[CHISQ, first : first + lanes], rate[DOF, first : first + lanes]
    for k in range(lanes):
        var_poisson[k] = var_rnoise[k] = chisq[k] = dof[k] = total[k] = zero
        sums[1, k] = sums[2, k] = zero
    for i in range(nints):
        for k in range(lanes):
            square = weights[i, k] * weights[i, k]
            of_photon, of_read = poisson[i, k] * square, read[i, k] * square
            var_poisson[k] += zero if np.isnan(of_photon) else of_photon
            var_rnoise[k] += zero if np.isnan(of_read) else of_read
            sums[1, k] += zero if np.isnan(of_photon) else one
            sums[2, k] += zero if np.isnan(of_read) else one
            chisq[k] += rateints[CHISQ, i, first + k]
            dof[k] += rateints[DOF, i, first + k]
    err = rate[ERR, first : first + lanes]
    for k in range(lanes):
        var_poisson[k] = var_poisson[k] if sums[1, k] > zero else nan
        var_rnoise[k] = var_rnoise[k] if sums[2, k] > zero else nan
        err[k] = np.sqrt(var_poisson[k] + var_rnoise[k])


@jit_allocating
def _median(rates, first, network, result):
    """Find the median of the integrations' rates, NaNs left out."""
    nints, lanes = rates.shape[0], result.size
    if network.shape[0] == 0:
        listed = np.empty(nints, np.float64)
        for k in range(lanes):
            found = 0
            for i in range(nints):
                value = rates[i, first + k]
                listed[found] = value
                found += not np.isnan(value)
            result[k] = np.nan
            if found > 0:
                lower, upper = middle_two(listed, found)
                result[k] = 0.5 * (lower + upper)
        return
    values = np.zeros((nints, LANES), np.float64)  # of which a network brings all to the middle
    filler = np.full(lanes, _INF)
    for i in range(nints):
        here = rates[i, first : first + lanes]
        for k in range(lanes):
            counts = here[k] == here[k]
            values[i, k] = np.float64(here[k]) if counts else filler[k]
            filler[k] = filler[k] if counts else -filler[k]
    bring_to_middle(values, network)
    lower, upper = values[max(nints // 2 - 1, 0)], values[nints // 2]
    for k in range(lanes):
        mean = 0.5 * (lower[k] + upper[k])
        even_fillers = filler[k] > 0
        if nints % 2 == 1:
            result[k] = upper[k] if even_fillers else mean
        else:
            result[k] = mean if even_fillers else lower[k]


@jit_allocating
def _weigh(rates, first, weights, total, result):
    """Divide the weights by their sum, and find the weighted mean of the rates, NaN where all products are."""
    zero, one, nan = np.float32(0), np.float32(1), np.float32(np.nan)
    lanes = result.size
    valid = np.zeros(lanes, np.float32)
    result[:] = 0
    for i in range(rates.shape[0]):
        here = rates[i, first : first + lanes]
        for k in range(lanes):
            weights[i, k] /= total[k]
            product = here[k] * weights[i, k]
            result[k] += zero if np.isnan(product) else product
            valid[k] += zero if np.isnan(product) else one
    for k in range(lanes):
        result[k] = result[k] if valid[k] > zero else nan
