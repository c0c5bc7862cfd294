"""Likelihood fit and search for jumps on differences that somebody else made, in double precision throughout.

Source: Brandt 2024a and 2024b, with the rules of the author's own program, ``fitramp``: rates and read noise in one
unit (a gain of 1), the read noise that of a single read, and the covariance of a rate that is given or guessed.
"""

from __future__ import annotations

import numpy as np

from rampfit_numba.kernels._jit import jit_entry_allocating, jit_inline
from rampfit_numba.kernels.likely.columns import ALPHA_PHOTON, ALPHA_READ, BETA_PHOTON, BETA_READ
from rampfit_numba.kernels.likely.differences import list_finite, middle
from rampfit_numba.kernels.likely.fit import INVERSE, ONES, WORK_ROWS, eliminate
from rampfit_numba.kernels.likely.search import CHOICE_ROWS, search
from rampfit_numba.kernels.vectors import WIDTH, anywhere, load, load_unset, root, select, spread, store

_ANY = np.uint8(0xFF)


@jit_entry_allocating
def search_given(differences, wanted, sigma, table, limits, network, rate):
    """Find the differences that jumps have spoilt, and the rate without them.

    The covariance is that of the median of all finite differences, masked ones included, and 0 where that is negative.

    Parameters
    ----------
    differences : ndarray of float64, shape (n, npixels)
        Rates in e-/s. The number of pixels is a multiple of WIDTH.
    wanted : ndarray of uint8, shape (n, npixels)
        Nonzero for the differences to use. Modified: 0 where one was dropped or is not finite, else 1 or 0 as it was.
    sigma : ndarray of float64, shape (npixels,)
        Read noise of a single read, in e-.
    table : ndarray
        See :func:`difference_table`.
    limits : tuple of float
        See :func:`search`.
    network : ndarray of int64, shape (exchanges, 3)
        That of :func:`middle_network` for n values.
    rate : ndarray of float64, shape (npixels,)
        Result, in e-/s.

    Formula
    -------
    guess = max(0, median of d),  C = guess alpha + sigma^2 rho

    Source
    ------
    Brandt 2024b (PASP 136, 045005), section 3: see :func:`search`; ``docs/fitramp.md``.

    Units
    -----
    e- and e-/s; sigma is the read noise of a single read. Of `table`: alpha in 1/s, rho in 1/s^2.
    """
    count, npixels = differences.shape
    difference = np.empty(count * WIDTH, np.float64)
    used = np.empty(count * WIDTH, np.float64)
    values = np.empty(count * WIDTH, np.float64)
    work = np.empty((WORK_ROWS, count * WIDTH), np.float64)
    choice = np.empty((CHOICE_ROWS, WIDTH), np.float64)
    no_jumps = np.empty((0, 0), np.uint8)
    for pixel in range(0, npixels, WIDTH):
        for k in range(count):
            value = load(differences[k], pixel)
            finite = value - value == 0.0
            store(difference, k * WIDTH, select(finite, value, np.inf))
            left_out = load_unset(wanted[k], pixel, _ANY)
            store(used, k * WIDTH, select(finite, select(left_out, 0.0, spread(1.0)), 0.0))
        guess = middle(values, count, network, list_finite(difference, count, values))
        noise = load(sigma, pixel)
        # Times 0, NaN stays NaN.
        photon = select(guess > 0.0, guess, guess * 0.0)
        found, _ = search(
            difference, used, table, count, photon, noise * noise, guess, limits, work, choice, no_jumps, 0
        )
        store(rate, pixel, found)
        for k in range(count):
            for lane in range(WIDTH):
                wanted[k, pixel + lane] = used[k * WIDTH + lane] > 0


@jit_entry_allocating
def fit_given(differences, wanted, sigma, guess, table, rate, err, chisq, assumed):
    """Fit one rate to the differences that are to be used.

    Parameters
    ----------
    differences, sigma, table
        As for :func:`search_given`.
    wanted : ndarray of uint8, shape (n, npixels)
        Nonzero for the differences to use; the others may be anything.
    guess : ndarray of float64, shape (npixels,) or (0,)
        Rate that the covariance is made of, in e-/s; where there is none, the mean of the used differences, or 0.
    rate, err, chisq, assumed : ndarray of float64, shape (npixels,)
        Results, in e-/s; the last one is the rate that the covariance was made of.

    Formula
    -------
    C     = guess alpha + sigma^2 rho
    rate  = 1' C^-1 d / 1' C^-1 1,  err = 1 / sqrt(1' C^-1 1),  chisq = (d - rate)' C^-1 (d - rate)

    Source
    ------
    Brandt 2024a (PASP 136, 045004), section 4, by the recursion of :func:`eliminate`; ``docs/fitramp.md``.

    Units
    -----
    e- and e-/s; C in (e-/s)^2. Of `table`: alpha in 1/s, rho in 1/s^2.
    """
    count, npixels = differences.shape
    difference = np.empty(count * WIDTH, np.float64)
    used = np.empty(count * WIDTH, np.float64)
    work = np.empty((WORK_ROWS, count * WIDTH), np.float64)
    for pixel in range(0, npixels, WIDTH):
        total, left = spread(0.0), spread(0.0)
        for k in range(count):
            left_out = load_unset(wanted[k], pixel, _ANY)
            value = select(left_out, 0.0, load(differences[k], pixel))
            use = select(left_out, 0.0, spread(1.0))
            store(difference, k * WIDTH, value)
            store(used, k * WIDTH, use)
            total = total + value
            left = left + use
        mean = total / left
        photon = load(guess, pixel) if guess.size > 0 else select(mean > 0.0, mean, mean * 0.0)
        store(assumed, pixel, photon)
        noise = load(sigma, pixel)
        read = noise * noise
        photon = _refuse_negative_variance(photon, read, table, count)
        weight, weighted, squares = eliminate(difference, used, table, count, photon, read, mean, work)
        variance = 1.0 / weight
        change = weighted * variance
        store(rate, pixel, mean + change)
        store(err, pixel, root(variance))
        store(chisq, pixel, squares - weighted * change)


@jit_entry_allocating
def weigh_given(wanted, sigma, assumed, table, weights):
    """Find what each difference counts in the rate: C^-1 1 / (1' C^-1 1).

    Parameters
    ----------
    wanted, sigma, table
        As for :func:`fit_given`.
    assumed : ndarray of float64, shape (npixels,)
        As :func:`fit_given` returned it.
    weights : ndarray of float64, shape (n, npixels)
        Result; the sum is 1.

    Formula
    -------
    weights = C^-1 1 / (1' C^-1 1)

    Source
    ------
    Brandt 2024a (PASP 136, 045004), section 4; ``docs/fitramp.md``.

    Units
    -----
    `sigma` in e-, `assumed` in e-/s; weights have none.
    """
    count, npixels = wanted.shape
    difference = np.zeros(count * WIDTH, np.float64)
    used = np.empty(count * WIDTH, np.float64)
    work = np.empty((WORK_ROWS, count * WIDTH), np.float64)
    inverses, ones = work[INVERSE], work[ONES]
    for pixel in range(0, npixels, WIDTH):
        for k in range(count):
            store(used, k * WIDTH, select(load_unset(wanted[k], pixel, _ANY), 0.0, spread(1.0)))
        noise = load(sigma, pixel)
        read = noise * noise
        photon = _refuse_negative_variance(load(assumed, pixel), read, table, count)
        weight, _, _ = eliminate(difference, used, table, count, photon, read, spread(0.0), work)
        after = spread(0.0)
        for step in range(count):
            k = count - 1 - step
            inverse = load(inverses, k * WIDTH)
            beta = photon * table[k + 1, BETA_PHOTON] + read * table[k + 1, BETA_READ]
            after = load(ones, k * WIDTH) * inverse - (beta * inverse) * after
            store(weights[k], pixel, after / weight)


@jit_inline
def _refuse_negative_variance(photon, read, table, count):
    """Return `photon`, NaN where it is so negative that a difference has no variance."""
    if not anywhere(photon < 0.0):
        return photon
    sound = photon
    for k in range(count):
        variance = photon * table[k, ALPHA_PHOTON] + read * table[k, ALPHA_READ]
        sound = select(variance > 0.0, sound, np.nan)
    return sound
