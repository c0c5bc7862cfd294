"""The masked fit: generalised least squares on the used differences of a vector of ramps.

Source: Brandt 2024a, section 4, in the form of pivots. The covariance is tridiagonal, and a difference that is not used
parts it into blocks; with C = L diag(1 / inverse) L', one division a difference is all that a fit needs. Nothing can
overflow, however long the ramp is and however uneven its times.
"""

from __future__ import annotations

import numpy as np

from rampfit_numba.kernels._jit import jit_inline
from rampfit_numba.kernels.likely.columns import ALPHA_PHOTON, ALPHA_READ, BETA_PHOTON, BETA_READ
from rampfit_numba.kernels.vectors import WIDTH, anywhere, load, select, spread, store

#: Rows of the array `work`, each of n * WIDTH values: 1 / pivot, 0 for differences that are not used; ones and
#: differences after the forward elimination; in a search, what remains for the look at pairs.
INVERSE, ONES, VALUES = range(3)
WORK_ROWS = 3

_REFERENCE_STEP = 10


@jit_inline
def degrees_of_freedom(used, variance):
    """Return the degrees of freedom of a chi-square: the differences used less the one rate fitted to them.

    Where nothing was fitted (`variance` of the rate, in (DN/s)^2, is NaN) there are none.

    Formula
    -------
    dof = n - 1

    Source
    ------
    Brandt 2024a (PASP 136, 045004), section 4: n differences, one rate; section 4 of ``docs/likelihood.md``.

    Units
    -----
    None; `variance` in (DN/s)^2.
    """
    return select((used > 1.0) & (variance == variance), used - 1.0, 0.0)  # noqa: PLR0124  (NaN is not)


@jit_inline
def number_used(used, count):
    """Return how many of a ramp's differences are used.

    Parameters
    ----------
    used : ndarray of float64, shape (count * WIDTH,)
        1 or 0.
    count : int

    Returns
    -------
    vector
    """
    number = spread(0.0)
    for k in range(count):
        number = number + load(used, k * WIDTH)
    return number


@jit_inline
def eliminate(difference, used, table, count, photon, read, shift, work):
    """Eliminate forwards.

    Parameters
    ----------
    difference, used : ndarray of float64, shape (count * WIDTH,)
        Rates in DN/s; 1 or 0.
    table : ndarray
        See :func:`difference_table`.
    count : int
        Number of differences.
    photon, read : vector
        Rate over gain, and variance of the read noise of a frame, in DN^2/s and DN^2.
    shift : vector
        Rate that is subtracted from all differences: near the fitted one, it saves `chisq` from cancellation.
    work : ndarray of float64, shape (WORK_ROWS, count * WIDTH)
        Results.

    Returns
    -------
    weight, weighted, squares : vector
        1' C^-1 1, 1' C^-1 d, and d' C^-1 d of the shifted differences d.

    Formula
    -------
    C_kk = p alpha_k + r^2 rho_k,  C_k-1,k = p beta_k + r^2 sigma_k,  C = L diag(delta) L'
    m       = C_k-1,k / delta_{k-1}             ratio
    delta_k = C_kk - m C_k-1,k                  pivot
    f_k     = 1 - m f_{k-1}                     one
    F_k     = d_k - h - m F_{k-1}               value
    1' C^-1 1             = sum f_k^2 / delta_k      weight
    1' C^-1 (d - h)       = sum f_k F_k / delta_k    weighted
    (d - h)' C^-1 (d - h) = sum F_k^2 / delta_k      squares
    rate = h + weighted / weight,  err = 1 / sqrt(weight),  chisq = squares - weighted^2 / weight

    Source
    ------
    Brandt 2024a (PASP 136, 045004), equations 28 and 29 for C, section 4 for the three sums, which are found there by
    determinants; sections 2 and 4 of ``docs/likelihood.md``.

    Units
    -----
    d and h (`shift`) in DN/s, L (lower triangular, 1 on its diagonal) without, C in (DN/s)^2, p (`photon`) in DN^2/s,
    r^2 (`read`) in DN^2; alpha and beta in 1/s, rho and sigma in 1/s^2.
    """
    inverses, ones, values = work[INVERSE], work[ONES], work[VALUES]
    weight, weighted, squares = spread(0.0), spread(0.0), spread(0.0)
    inverse, one, value = spread(0.0), spread(0.0), spread(0.0)
    for k in range(count):
        beta = photon * table[k, BETA_PHOTON] + read * table[k, BETA_READ]
        ratio = beta * inverse
        pivot = photon * table[k, ALPHA_PHOTON] + read * table[k, ALPHA_READ] - ratio * beta
        inverse = load(used, k * WIDTH) / pivot
        one = 1.0 - ratio * one
        value = (load(difference, k * WIDTH) - shift) - ratio * value
        store(inverses, k * WIDTH, inverse)
        store(ones, k * WIDTH, one)
        store(values, k * WIDTH, value)
        scaled = one * inverse
        weight = weight + one * scaled
        weighted = weighted + value * scaled
        squares = squares + value * (value * inverse)
    return weight, weighted, squares


@jit_inline
def spread_of_weights(table, count, photon, read, work):
    """Return what the two kinds of noise contribute to the variance of the rate, after :func:`eliminate`.

    Returns
    -------
    photon_part, read_part : vector
        x' C_photon x and x' C_read x with x = C^-1 1; times photon (read), over the square of the weight, they are the
        variances.

    Formula
    -------
    x_k = f_k / delta_k - m_{k+1} x_{k+1},  x = C^-1 1
    photon_part = sum alpha_k x_k^2 + 2 beta_{k+1} x_k x_{k+1}
    read_part   = sum rho_k x_k^2 + 2 sigma_{k+1} x_k x_{k+1}
    var_poisson = p photon_part / weight^2,  var_rnoise = r^2 read_part / weight^2

    Source
    ------
    w' C w with the weights w = x / weight of Brandt 2024a (PASP 136, 045004), section 4, for each part of C; letters as
    in :func:`eliminate`. Section 4 of ``docs/likelihood.md``.

    Units
    -----
    p = `photon` in DN^2/s, r^2 = `read` in DN^2, alpha and beta in 1/s, rho and sigma in 1/s^2, variances in (DN/s)^2.
    """
    inverses, ones = work[INVERSE], work[ONES]
    photon_part, read_part = spread(0.0), spread(0.0)
    after = spread(0.0)
    for step in range(count):
        k = count - 1 - step
        beta_photon, beta_read = table[k + 1, BETA_PHOTON], table[k + 1, BETA_READ]
        inverse = load(inverses, k * WIDTH)
        x = load(ones, k * WIDTH) * inverse - ((photon * beta_photon + read * beta_read) * inverse) * after
        photon_part = photon_part + x * (table[k, ALPHA_PHOTON] * x + (2.0 * beta_photon) * after)
        read_part = read_part + x * (table[k, ALPHA_READ] * x + (2.0 * beta_read) * after)
        after = x
    return photon_part, read_part


@jit_inline
def refuse_indefinite(photon, read, table, count):
    """Return `photon`, NaN where it is negative and the pipeline finds no scale for the covariance.

    A negative rate over gain (a negative dark current or gain) can leave the covariance without an inverse. The
    pipeline looks at the leading minors of the matrix of all differences, at every tenth and the last.

    Formula
    -------
    minor_n = delta_1 delta_2 ... delta_n > 0  for n = 10, 20, ... and all differences

    Source
    ------
    The pivots delta are those of :func:`eliminate`, of all differences; deviations in section 12 of
    ``docs/likelihood.md``.

    Units
    -----
    p (`photon`) in DN^2/s, `read` in DN^2.
    """
    if not anywhere(photon < 0.0):
        return photon
    good = spread(1.0)
    sign = spread(1.0)
    pivot, before = spread(1.0), spread(0.0)
    for k in range(count):
        beta = photon * table[k, BETA_PHOTON] + read * table[k, BETA_READ]
        pivot = photon * table[k, ALPHA_PHOTON] + read * table[k, ALPHA_READ] - beta * (beta * before)
        before = 1.0 / pivot
        sign = select(pivot < 0.0, 0.0 - sign, sign)
        if (k + 1) % _REFERENCE_STEP == 0 or k + 1 == count:
            # Only a finite pivot other than 0 has a finite inverse other than 0.
            good = select((sign > 0.0) & (pivot * before > 0.0), good, 0.0)
    return select(photon < 0.0, select(good > 0.0, photon, np.nan), photon)
