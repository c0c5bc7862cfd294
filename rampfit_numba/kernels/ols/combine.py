"""Combination of segments into integrations, and of integrations into the exposure.

Source: sections 6 and 7 of the rules in ``docs/algorithm.md``; Robberto 2008 (JWST-STScI-0001490). Segments and
integrations are weighted by their read-noise variances alone.
"""

from __future__ import annotations

import numpy as np
from numba import types

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES, jit, jit_apart, jit_inline
from rampfit_numba.kernels.ols.pixels import POISSON, READ
from rampfit_numba.kernels.ols.segment_fit import segment_variances
from rampfit_numba.kernels.vectors import WIDTH, load, load_unset, root, select, store

#: Rows of the float32 results of a pixel.
SLOPE, ERR, VAR_POISSON, VAR_RNOISE = range(4)

_TRUE = np.uint8(1)
_DS = np.uint32(dq.DO_NOT_USE | dq.SATURATED)


@jit_inline
def bounded(variance, largest):
    """Return `variance`, 0 where it is too large to mean anything; NaN stays. Of a scalar or a vector."""
    return select(variance >= largest, 0.0, variance)


@jit
def copy_values(values, plane):
    """Copy a block of float64 `values`, as float32 where `plane` holds such."""
    for k in range(LANES):
        plane[k] = values[k]


@jit_apart(types.none)
def combine_segments(sums, fitted, invalid, number, largest, combined):
    """Combine the segments of one integration, for the first pixels of a block.

    Parameters
    ----------
    sums : ndarray of float64, shape (4, LANES)
        N = sum slope / var_rnoise; I_p = sum 1 / var_poisson over positive ones; I_r = sum 1 / var_rnoise;
        I_e = sum 1 / (var_poisson + var_rnoise).
    fitted : ndarray of bool, shape (LANES,)
        There is a segment.
    invalid : ndarray of bool, shape (LANES,)
        The integration has DO_NOT_USE or SATURATED.
    number : int
        Of pixels; up to WIDTH - 1 more are combined.
    largest : float
        See :class:`Settings`.
    combined : ndarray of float64, shape (4, LANES)
        Results in DN/s and (DN/s)^2, rows SLOPE to VAR_RNOISE.

    Formula
    -------
    var_rnoise  = 1 / I_r      I_r = sum 1 / v_r
    var_poisson = 1 / I_p      I_p = sum 1 / v_p, over positive v_p
    err         = sqrt(1 / I_e)    I_e = sum 1 / (v_p + v_r)
    slope       = N var_rnoise     N = sum s / v_r

    Source
    ------
    Robberto 2008 (JWST-STScI-0001490): weights by the read noise alone; section 6 of ``docs/algorithm.md``. Slope s and
    variances v_p, v_r are those of a segment.

    Units
    -----
    DN/s and (DN/s)^2.
    """
    for k in range(0, number, WIDTH):
        left_out, valid = load_unset(fitted, k, _TRUE), load_unset(invalid, k, _TRUE)
        of_poisson, variance = load(sums[1], k), 1.0 / load(sums[3], k)
        poisson = select(of_poisson > 0.0, bounded(1.0 / of_poisson, largest), 0.0)
        read = bounded(1.0 / load(sums[2], k), largest)
        # The bound of err is exclusive, that of the variances inclusive.
        total = select(variance > largest, 0.0, root(variance))
        fit = select(left_out, 0.0, load(sums[0], k) * read)
        store(combined[SLOPE], k, select(valid, fit, np.nan))
        store(combined[ERR], k, select(valid, select(left_out, 0.0, total), 0.0))
        store(combined[VAR_POISSON], k, select(valid, select(left_out, 0.0, poisson), 0.0))
        store(combined[VAR_RNOISE], k, select(valid, select(left_out, 0.0, read), 0.0))


@jit_apart(types.none)
def combine_clean(ngroups, constants, invalid, largest, combined):
    """Do what :func:`combine_segments` does for ramps without flags, which are one segment each: all but the slopes.

    Parameters
    ----------
    ngroups : int
        Two or more.
    constants : ndarray of float64, shape (CONSTANTS, LANES)
        See :mod:`pixels`.
    invalid : ndarray of bool, shape (LANES,)
    largest : float
    combined : ndarray of float64, shape (4, LANES)
        Results: rows ERR to VAR_RNOISE.

    Formula
    -------
    var_rnoise = v_r,  var_poisson = v_p,  err = sqrt(v_p + v_r)

    Source
    ------
    Those of :func:`segment_variances`, of the only segment; section 6 of ``docs/algorithm.md``.

    Units
    -----
    DN/s and (DN/s)^2.
    """
    poisson, read = constants[POISSON], constants[READ]
    err, var_poisson, var_rnoise = combined[ERR], combined[VAR_POISSON], combined[VAR_RNOISE]
    for k in range(LANES):
        of_poisson, of_read = segment_variances(poisson[k], read[k], ngroups)
        variance = of_poisson + of_read
        # The bound of err is exclusive, that of the variances inclusive.
        total = 0.0 if variance > largest else np.sqrt(variance)
        err[k] = 0.0 if invalid[k] else total
        var_poisson[k] = bounded(of_poisson, largest) if of_poisson > 0 and not invalid[k] else 0.0
        var_rnoise[k] = 0.0 if invalid[k] else bounded(of_read, largest)


@jit_apart(types.none)
def combine_integrations(totals, flags, largest, combined):
    """Combine the integrations, for a block of pixels.

    Parameters
    ----------
    totals : ndarray of float64, shape (3, LANES)
        The first three sums of :func:`combine_segments`, over all integrations.
    flags : ndarray of uint32, shape (LANES,)
        Flags of the exposure before partial saturation.
    largest : float
    combined : ndarray of float64, shape (4, LANES)
        Results.

    Formula
    -------
    var_rnoise  = 1 / sum I_r
    var_poisson = 1 / sum I_p
    err         = sqrt(var_poisson + var_rnoise)
    slope       = var_rnoise sum N

    Source
    ------
    Robberto 2008 (JWST-STScI-0001490); section 6 of ``docs/algorithm.md``. The sums are over the integrations, of N,
    I_r and I_p of :func:`combine_segments`.

    Units
    -----
    DN/s and (DN/s)^2.
    """
    slope, err = combined[SLOPE], combined[ERR]
    var_poisson, var_rnoise = combined[VAR_POISSON], combined[VAR_RNOISE]
    for k in range(LANES):
        invalid = (flags[k] & _DS) != 0
        poisson = bounded(1.0 / totals[1, k], largest) if totals[1, k] > 0 else 0.0
        read = bounded(1.0 / totals[2, k] if totals[2, k] > 0 else totals[2, k], largest)
        slope[k] = np.nan if invalid else totals[0, k] * read
        err[k] = 0.0 if invalid else np.sqrt(poisson + read)
        var_poisson[k] = 0.0 if invalid else poisson
        var_rnoise[k] = 0.0 if invalid else read
