"""Series of more integrations than a sorting network is made for: the same rates, found another way."""

from __future__ import annotations

import numpy as np
import pytest

from rampfit_numba import Exposure, fit_ramps
from rampfit_numba.algorithms.likely import rows
from rampfit_numba.kernels.ols import tile


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


@pytest.mark.parametrize("save_opt", [False, True])
@pytest.mark.parametrize("nints", [1, 3, 9])
def test_pixels_may_stay_in_their_blocks(monkeypatch, nints, save_opt):
    """Of tens of thousands of integrations none is gathered into another block, which took a quarter of the memory."""
    rng = np.random.default_rng(nints)
    exposure = series(nints, ncols=300)
    flags = np.where(rng.random((1, 1, 1, 300)) < 0.1, exposure.groupdq, 0)  # so few that they are gathered otherwise
    exposure = Exposure(exposure.data, flags, group_time=3.0)
    gathered = fit_ramps(exposure, 10.0, 2.0, save_opt=save_opt)
    sizes = []
    monkeypatch.setattr(tile, "_MOST_GATHERED", 0)
    made = tile._empty_pending
    monkeypatch.setattr(tile, "_empty_pending", lambda pointers: sizes.append(made(pointers)) or sizes[-1])
    stayed = fit_ramps(exposure, 10.0, 2.0, save_opt=save_opt)
    assert sizes[0].samples.size == 0
    for kind in ("rate", "rateints", *(["fitopt"] if save_opt else [])):
        for name, plane in vars(getattr(gathered, kind)).items():
            if isinstance(plane, np.ndarray):
                np.testing.assert_array_equal(getattr(getattr(stayed, kind), name), plane, f"{kind}.{name}")
