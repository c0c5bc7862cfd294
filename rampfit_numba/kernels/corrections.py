"""Raw reads made fit for a fit: counts that rise, saturation flags, the pedestal taken off, linearity.

It is done on the copies that the fits work on, while these are in the cache: passes over a whole exposure would take
several times as long as the fit.
"""

from __future__ import annotations

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels._jit import LANES, jit_entry_allocating

_D, _S = np.uint8(dq.DO_NOT_USE), np.uint8(dq.SATURATED)


@jit_entry_allocating
def correct_reads(samples, flags, npixels, saturation, pedestal, linearity, inverted_from, from_first):
    """Correct the ramps of some pixels.

    In this order: falling counts become ``inverted_from - x``; a read at or above the saturation level gets SATURATED,
    and so do all reads of the ramp after it; the pedestal is subtracted; ``y = sum(c_p x^p)``.

    Parameters
    ----------
    samples : ndarray of float32, shape (nints, nreads, most_pixels)
        In DN, in the order of time. Modified, as `flags`, in the first `npixels` of each row.
    flags : ndarray of uint8, shape of `samples`
        Reads with DO_NOT_USE are not asked whether they are saturated.
    npixels : int
    saturation : ndarray of float32, shape (most_pixels,) or (0,)
        In DN; NaN where it is not known.
    pedestal : ndarray of float32, shape (most_pixels,) or (0,)
        In DN.
    linearity : ndarray of float32, shape (ncoefficients, most_pixels) or (0, 0)
        From the constant on.
    inverted_from : float32
        NaN for counts that rise.
    from_first : bool
        Subtract the first read of each ramp.

    Formula
    -------
    x = i - x                       (falling counts)
    x = x - b                       (pedestal)
    y = c_0 + c_1 x + c_2 x^2 + ...

    Source
    ------
    The order and the polynomial of ``docs/reads.md``, which names where the coefficients come from.

    Units
    -----
    x and y, the pedestal b and `inverted_from` i in DN; c_p in DN^(1 - p).
    """
    nints, nreads, _ = samples.shape
    over = np.empty(LANES, np.uint8)
    first_read = np.empty(LANES, np.float32)
    values = np.empty(LANES, np.float64)
    inverted = not np.isnan(inverted_from)
    ncoefficients = linearity.shape[0]
    for first in range(0, npixels, LANES):
        number = min(LANES, npixels - first)
        for i in range(nints):
            over[:] = 0
            for g in range(nreads):
                x, here = samples[i, g, first : first + number], flags[i, g, first : first + number]
                if inverted:
                    for k in range(number):
                        x[k] = inverted_from - x[k]
                if saturation.size > 0:
                    level = saturation[first : first + number]
                    for k in range(number):
                        # A branch would keep the compiler from vectors.
                        above = np.uint8(x[k] >= level[k]) * _S
                        over[k] |= above & ((here[k] & _D) * _S ^ _S)
                    for k in range(number):
                        here[k] |= over[k]
                if pedestal.size > 0:
                    base = pedestal[first : first + number]
                    for k in range(number):
                        x[k] -= base[k]
                if from_first:
                    if g == 0:
                        for k in range(number):
                            first_read[k] = x[k]
                    for k in range(number):
                        x[k] -= first_read[k]
                if ncoefficients > 0:
                    highest = linearity[ncoefficients - 1, first : first + number]
                    for k in range(number):
                        values[k] = highest[k]
                    for step in range(1, ncoefficients):
                        factor = linearity[ncoefficients - 1 - step, first : first + number]
                        for k in range(number):
                            values[k] = values[k] * x[k] + factor[k]
                    for k in range(number):
                        x[k] = values[k]
