"""Series of more integrations than a sorting network is made for: the same rates, found another way."""

from __future__ import annotations

import numpy as np
import pytest

from rampfit_numba import Exposure, fit_ramps
from rampfit_numba.algorithms.likely import rows


def series(nints, ncols=5):
    """Return integrations of some pixels, with hits, and pixels that have no rate in some or all of them."""
    rng = np.random.default_rng(nints)
    ramps = 80 * np.arange(6.0)[:, None, None] + rng.normal(0, 12, (nints, 6, 1, ncols))
    flags = np.zeros(ramps.shape, np.uint8)
    flags[rng.random(ramps.shape) < 0.02] = 4
    flags[rng.random(nints) < 0.3, :, 0, 1] = 1
    flags[:, :, 0, 2] = 1
    flags[1:, :, 0, 3] = 2
    return Exposure(ramps.astype(np.float32), flags, group_time=3.0)


@pytest.mark.parametrize("algorithm", ["likely", "likely_joint"])
@pytest.mark.parametrize("nints", [2, 3, 8, 31])
def test_the_median_of_a_great_many_is_that_of_the_network(monkeypatch, algorithm, nints):
    exposure = series(nints)
    by_network = fit_ramps(exposure, 10.0, 2.0, algorithm=algorithm)
    monkeypatch.setattr(rows, "LONGEST_NETWORK", 1)
    one_by_one = fit_ramps(exposure, 10.0, 2.0, algorithm=algorithm)
    for kind in ("rate", "rateints"):
        for name, plane in vars(getattr(by_network, kind)).items():
            if name != "header":
                np.testing.assert_array_equal(getattr(getattr(one_by_one, kind), name), plane, f"{kind}.{name}")


def test_no_network_is_made_for_tens_of_thousands_of_integrations(monkeypatch):
    """To make it took 7 s, and 150 MB."""
    lengths = []
    made = rows.middle_network
    monkeypatch.setattr(rows, "middle_network", lambda length: lengths.append(length) or made(length))
    fit = fit_ramps(series(9000), 10.0, 2.0, algorithm="likely")
    assert max(lengths) <= rows.LONGEST_NETWORK
    assert fit.rate.data[0, 0] == pytest.approx(80 / 3, rel=0.01)
