"""Images of random exposures against romancal's own, and the step by its name."""

from __future__ import annotations

import importlib
import os

import numpy as np
import pytest
from asdf.exceptions import ValidationError

if os.environ.get("RAMPFIT_REQUIRE_ROMAN") == "1":
    importlib.import_module("romancal")
else:
    pytest.importorskip("romancal", reason="needs romancal, which has an environment of its own (.ci/run roman)")

from roman_datamodels import datamodels
from romancal.ramp_fitting import ramp_fit_step as theirs

from rampfit_numba import fit_file
from rampfit_numba.simulate.roman import RomanSimulation, imaging_pattern, write_roman_simulation

pytestmark = [pytest.mark.roman, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*:UserWarning")]

PATTERNS = [
    imaging_pattern(10),
    [[k + 1] for k in range(12)],
    [[4 * k + 1, 4 * k + 2, 4 * k + 3] for k in range(7)],
    [[1], [2], [5, 6, 7, 8], [10, 11], [20], [23, 24, 25]],
]


def random_simulation(seed):
    """Return ramps with everything: hits, saturation, flags of all kinds, bad pixels; and the differences left."""
    rng = np.random.default_rng(seed)
    pattern = PATTERNS[seed % len(PATTERNS)]
    shape = (len(pattern), 80, 92)
    frame_time = 3.16247
    rate = 10 ** rng.uniform(-1, 3, shape[1:])
    gain, noise = rng.uniform(1.5, 2.0, shape[1:]).astype("f4"), rng.uniform(4, 7, shape[1:]).astype("f4")
    reads = np.cumsum(rng.poisson(rate * frame_time, (pattern[-1][-1], *shape[1:])), axis=0).astype(float)
    reads += np.cumsum((rng.random(reads.shape) < 0.002) * rng.exponential(3000, reads.shape), axis=0)
    reads = reads / gain + rng.normal(0, 1, reads.shape) * noise
    data = np.array([reads[np.array(group) - 1].mean(axis=0) for group in pattern]).astype("f4")
    groupdq = np.where(np.maximum.accumulate(data > 9000, axis=0), np.uint8(2), np.uint8(0))
    for bit, share in ((1, 0.02), (8, 0.004), (64, 0.004), (128, 0.004), (4, 0.01)):
        groupdq[rng.random(shape) < share] |= np.uint8(bit)
    groupdq[:, rng.random(shape[1:]) < 0.01] |= np.uint8(1)
    pixeldq = np.where(rng.random(shape[1:]) < 0.05, rng.integers(0, 2**20, shape[1:]), 0).astype("u4")
    return RomanSimulation(data, groupdq, pixeldq, noise, gain, rate.astype("f4"), pattern, frame_time, seed)


def romancals_image(folder):
    """Run romancal's function on the files in a folder."""
    noise, gain = (datamodels.open(folder / f"r_{name}.asdf") for name in ("readnoise", "gain"))
    with np.errstate(all="ignore"):
        return theirs.likely(datamodels.open(folder / "r_linearity.asdf"), noise, gain, include_var_rnoise=True)


def check_images(expected, got, groupdq):
    """Compare all planes.

    Left out are ramps with fewer than four good differences, which romancal leaves to rounding, and at most two ramps
    in five thousand whose jumps it misses: where its search meets a NaN, it gives the pixel up.
    """
    flags = groupdq[:, 4:-4, 4:-4]
    differences = ((flags[1:] == 0) & (flags[:-1] == 0)).sum(axis=0)
    sure = (differences == 0) | (differences >= 4)
    found = [np.zeros((len(flags), *sure.shape), np.bool_) for _ in range(2)]
    for image, jumps in zip((expected, got), found, strict=True):
        jumps[tuple(np.asarray(image["jump_indices"]).T)] = True
    other_jumps = (found[0] != found[1]).any(axis=0)
    assert (other_jumps & sure).sum() <= 2
    sure &= ~other_jumps
    one, other = np.asarray(expected.data), np.asarray(got.data)
    np.testing.assert_array_equal(np.isnan(one)[sure], np.isnan(other)[sure])
    err = np.asarray(expected.err).astype(float)
    good = sure & ~np.isnan(one)
    assert good.mean() > 0.5
    assert (np.abs(one - other)[good] <= (1e-6 * np.abs(one) + 1e-3 * err)[good]).all()
    for name in ("err", "var_poisson", "chisq", "dumo"):
        one, other = np.asarray(expected[name]), np.asarray(got[name])
        assert one.dtype == other.dtype == np.float16
        # Half precision rounds neighbours apart: one unit of its last place.
        np.testing.assert_allclose(other[good].astype(float), one[good].astype(float), rtol=1.1e-3, atol=2e-3)
        assert (one[good] == other[good]).mean() > 0.99
    no_rate = np.isnan(np.asarray(expected.data))
    np.testing.assert_array_equal(
        np.asarray(got.dq)[sure], (np.asarray(expected.dq) | np.where(no_rate, np.uint32(1), np.uint32(0)))[sure]
    )
    for name in ("amp33", "border_ref_pix_left", "dq_border_ref_pix_bottom"):
        np.testing.assert_array_equal(np.asarray(got[name]), np.asarray(expected[name]))


@pytest.mark.parametrize("seed", range(12))
def test_images_are_romancals(tmp_path, seed):
    simulation = random_simulation(seed)
    path, gain, noise = write_roman_simulation(simulation, tmp_path / "r_linearity.asdf")
    (product,) = fit_file(path, noise, gain, output_dir=tmp_path)
    with datamodels.open(path) as ramps:
        ramps.validate()
    with datamodels.open(product) as image:
        assert type(image) is datamodels.ImageModel
        image.validate()
        image.save(tmp_path / "again.asdf")
        check_images(romancals_image(tmp_path), image, simulation.groupdq)


def test_a_wrong_type_would_be_noticed(tmp_path):
    """The validation is a real one."""
    path, gain, noise = write_roman_simulation(random_simulation(0), tmp_path / "r_linearity.asdf")
    (product,) = fit_file(path, noise, gain, output_dir=tmp_path)
    image = datamodels.open(product)
    image["err"] = np.asarray(image.err).astype(np.float32)
    with pytest.raises(ValidationError):
        image.validate()


@pytest.mark.parametrize("as_model", [True, False])
def test_the_step(tmp_path, monkeypatch, as_model):
    from rampfit_numba.roman import RampFitStep

    monkeypatch.setenv("STPIPE_DISABLE_CRDS_STEPPARS", "true")
    simulation = random_simulation(4)
    path, gain, noise = write_roman_simulation(simulation, tmp_path / "r_linearity.asdf")
    given = datamodels.open(path) if as_model else str(path)
    step = RampFitStep(override_gain=str(gain), override_readnoise=str(noise), include_var_rnoise=True)
    image = step.process(given)
    assert issubclass(RampFitStep, theirs.RampFitStep)
    assert RampFitStep.get_config_reftype() == theirs.RampFitStep.get_config_reftype()
    check_images(romancals_image(tmp_path), image, simulation.groupdq)
    assert image.meta.cal_step.ramp_fit == "COMPLETE"
    assert np.asarray(image.var_rnoise).dtype == np.float16
    if as_model:
        assert np.asarray(given.data).shape == simulation.data.shape
        np.testing.assert_array_equal(np.asarray(given.groupdq), simulation.groupdq)


def test_the_steps_threshold_is_used(tmp_path):
    from rampfit_numba.roman import RampFitStep

    path, gain, noise = write_roman_simulation(random_simulation(0), tmp_path / "r_linearity.asdf")
    references = {"override_gain": str(gain), "override_readnoise": str(noise)}
    few, many = (
        len(RampFitStep(rejection_threshold=value, **references).process(str(path))["jump_indices"])
        for value in (50.0, 4.5)
    )
    assert few < many
    with pytest.raises(ValueError, match=r"^expand_large_events: expected False"):
        RampFitStep(expand_large_events=True, **references).process(str(path))
