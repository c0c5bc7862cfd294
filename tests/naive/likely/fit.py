"""Fits of differences with dense matrices, one ramp after the other."""

from __future__ import annotations

import numpy as np

from rampfit_numba.kernels.likely.columns import ALPHA_PHOTON, ALPHA_READ, BETA_PHOTON, BETA_READ
from rampfit_numba.kernels.likely.fit import INVERSE
from rampfit_numba.kernels.vectors import WIDTH
from tests.naive.likely.ramps import freedom


def parts_of(table, count):
    """Return the covariances for a photon rate of 1, and for a read noise of 1."""

    def tridiagonal(diagonal, beside):
        return np.diag(table[:count, diagonal]) + sum(np.diag(table[1:count, beside], k) for k in (-1, 1))

    return tridiagonal(ALPHA_PHOTON, BETA_PHOTON), tridiagonal(ALPHA_READ, BETA_READ)


def covariances(table, count, photon, read):
    """Yield the covariance of each lane."""
    of_photon, of_read = parts_of(table, count)
    for k in range(WIDTH):
        yield photon[k] * of_photon + read[k] * of_read


def degrees_of_freedom(used, variance):
    return np.array([freedom(one, other) for one, other in zip(used, variance, strict=True)])


def number_used(used, count):
    return np.array([sum(used[k::WIDTH]) for k in range(WIDTH)])


def eliminate(difference, used, table, count, photon, read, shift, work):
    found = np.zeros((3, WIDTH))
    for k, covariance in enumerate(covariances(table, count, photon, read)):
        here = used[k::WIDTH] > 0
        inverse = np.linalg.inv(covariance[np.ix_(here, here)])
        d = difference[k::WIDTH][here] - shift[k]
        found[:, k] = inverse.sum(), inverse.sum(axis=0) @ d, d @ inverse @ d
    return tuple(found)


def spread_of_weights(table, count, photon, read, work):
    """The two parts of x' C x with x = C^-1 1."""
    found = np.zeros((2, WIDTH))
    of_photon, of_read = parts_of(table, count)
    for k, covariance in enumerate(covariances(table, count, photon, read)):
        here = np.ix_(*[work[INVERSE, k::WIDTH] > 0] * 2)
        x = np.linalg.inv(covariance[here]).sum(axis=0)
        found[:, k] = x @ of_photon[here] @ x, x @ of_read[here] @ x
    return tuple(found)


def refuse_indefinite(photon, read, table, count):
    """Where a rate is negative, the leading minors of every tenth size, and the determinant, must be positive."""
    found = photon.copy()
    for k, covariance in enumerate(covariances(table, count, photon, read)):
        sizes = {*range(10, count + 1, 10), count}
        if photon[k] < 0 and any(np.linalg.slogdet(covariance[:n, :n])[0] <= 0 for n in sizes):
            found[k] = np.nan
    return found
