"""One pixel as the pipeline's likelihood fits it, slow and obvious: every integration for itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tests.naive.likely.covariance import NAN, solve
from tests.naive.likely.ramps import Hinges, flag_found, freedom, limits_of, make_ramp, store_fit
from tests.naive.likely.search import search

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.likely_cases import LikelyCase, LikelyFit
    from tests.naive.likely.covariance import Times

    Matrix = NDArray[np.float64]


def fit_likely_tile(case: LikelyCase, row: int, col: int, times: Times, fit: LikelyFit, hinges: Hinges) -> None:
    gain, noise = float(case.gain[row, col]), float(case.readnoise[row, col])
    dark = 0.0 if case.dark is None else float(case.dark[row, col])
    read = noise**2 / 2 * times.read
    for i in range(case.shape[0]):
        ramp = make_ramp(case, i, row, col, times, joint=False)
        finite = ramp.d[~np.isnan(ramp.d)]
        guess = float(np.median(finite)) if finite.size else NAN
        guess = guess if math.isnan(guess) else max(guess, 0.0)
        covariance = _sound(np.float64(guess) / gain * times.photon + read)
        found = search(covariance, ramp.d, ramp.used, times.reads, limits_of(case.rejection_threshold))
        rate = found.rate if math.isnan(found.rate) else max(found.rate, 0.0)
        photon = np.float64(rate + dark) / gain * times.photon
        fitted = solve(_sound(photon + read), ramp.d, found.used)
        w = fitted.x / fitted.weight
        values = (fitted.rate, np.sqrt(1 / fitted.weight), w @ photon @ w, w @ read @ w, fitted.chisq)
        store_fit(fit.rateints, (i, row, col), (*values, freedom(found.used.sum(), values[0])))
        flag_found(case, fit, (i, row, col), ramp.used, found.used)
        hinges.used[i, row, col] = ramp.used.sum()
        hinges.margin[i, row, col] = found.margin
        hinges.coupling[i, row, col] = found.coupling
        # Without any noise a rate of 0 has no fit: then the first one says that it is rounding in the reference.
        smallest = np.fmin(np.abs(found.rate), np.abs(fitted.rate))
        hinges.cancelled[i, row, col] = smallest / np.max(np.abs(ramp.d[found.used]), initial=1e-300)
        terms = fitted.chisq + fitted.rate**2 * fitted.weight
        hinges.remains[i, row, col] = fitted.chisq / terms if terms > 0 else 1.0


def _sound(covariance: Matrix) -> Matrix:
    """Return a covariance, NaN where the reference's scaling of it fails: it wants some leading minors above 0."""
    size = covariance.shape[0]
    for i in {*range(10, size + 1, 10), size}:
        if not np.isfinite(covariance).all() or np.linalg.slogdet(covariance[:i, :i])[0] <= 0:
            return covariance * NAN
    return covariance
