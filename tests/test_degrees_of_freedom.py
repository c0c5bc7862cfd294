"""``dof`` is the mean of ``chisq``, as the name says."""

from __future__ import annotations

import numpy as np
import pytest

from rampfit_numba import Exposure, fit_ramps

NOISE, GAIN = 12.0, 2.0


@pytest.mark.parametrize("algorithm", ["likely", "likely_joint"])
@pytest.mark.parametrize("nints", [1, 3])
def test_mean_of_the_chi_squares(algorithm, nints):
    """Of clean ramps, with some groups left out, of the exposure and of its integrations."""
    rng = np.random.default_rng(11)
    shape, rate = (nints, 14, 60, 100), 100.0
    # The noise of one frame, of which the read noise that is given is that of two.
    photons = rng.poisson(rate * GAIN, shape)
    data = np.cumsum(photons, axis=1) / GAIN + rng.normal(0, NOISE / np.sqrt(2), shape)
    flags = np.zeros(shape, np.uint8)
    flags[:, 4, :30] = 1
    # No search for jumps: it leaves out what is unlikely, and so makes the chi-squares smaller.
    fit = fit_ramps(Exposure(data, flags, 1.0), NOISE, GAIN, algorithm=algorithm, rejection_threshold=30.0)
    for planes in (fit.rate, fit.rateints):
        for rows in (slice(0, 30), slice(30, 60)):
            dof, chisq = planes.dof[..., rows, :], planes.chisq[..., rows, :]
            assert np.ptp(dof) == 0
            mean, scatter = dof.mean(), np.sqrt(2 * dof.mean() / chisq.size)
            assert chisq.mean() == pytest.approx(mean, abs=5 * scatter + 0.01 * mean)
    assert fit.rateints.dof[0, 0, 0] == 13 - 2 - 1
    assert fit.rateints.dof[0, -1, 0] == 13 - 1


@pytest.mark.parametrize("algorithm", ["likely", "likely_joint"])
def test_nothing_is_left_without_a_rate(algorithm):
    """Also where differences could be used, but the gain could not."""
    data = np.cumsum(np.full((2, 6, 2, 3), 20.0), axis=1)
    gain, flags = np.full((2, 3), GAIN), np.zeros(data.shape, np.uint8)
    gain[0, 0] = np.nan
    flags[:, :, 1, 1] = 1
    fit = fit_ramps(Exposure(data, flags, 1.0), NOISE, gain, algorithm=algorithm)
    for planes in (fit.rate, fit.rateints):
        missing = np.isnan(planes.data)
        assert missing.sum() == 2 * (planes.data.size // 6)
        assert not planes.dof[missing].any()
        assert (planes.dof[~missing] > 0).all()
