"""The pipeline's data models open the products as their own."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest

from rampfit_numba import FitOpt, read_exposure, write_products
from tests.cases import RATE_PLANES
from tests.make_files import pipeline_datamodels, ramp_hdulist, save, some_fit

pytestmark = pytest.mark.jwst


@pytest.fixture
def folder(tmp_path):
    """Return an empty folder."""
    path = tmp_path / "out"
    path.mkdir()
    return path


# What says something about the product itself.
POINTING = ("meta.wcsinfo", "meta.velocity_aberration.scale_factor")
SET_ANEW = {"meta.model_type", "meta.filename", "meta.date", "meta.bunit_data"}


MODELS = ("ImageModel", "CubeModel", "RampFitOutputModel")


def compare(source, folder, fit, models=MODELS):
    datamodels = pipeline_datamodels()
    paths = write_products(fit, folder, source.name, readnoise_name="rn.fits", gain_name="g.fits", gain_factor=1.5)
    for path, kind in zip(paths, models, strict=True):
        # What a pipeline step hands on to its product.
        with datamodels.RampModel(source) as ramp, getattr(datamodels, kind)() as expected:
            expected.update(ramp)
            metadata = expected.to_flat_dict(include_arrays=False)
        with datamodels.open(path) as model:
            assert type(model).__name__ == kind
            model.validate()
            assert (model.meta.model_type, model.meta.filename) == (kind, path.name)
            assert model.meta.exposure.gain_factor == 1.5
            assert (model.meta.ref_file.gain.name, model.meta.ref_file.readnoise.name) == ("g.fits", "rn.fits")
            got = model.to_flat_dict(include_arrays=False)
            # Steps that are called with a file's name look at it in this way.
            assert datamodels.read_metadata(path)["meta.filename"] == path.name
            for key, value in metadata.items():
                # The model of fitopt does not know the pointing; its cards are there all the same.
                unknown = kind == "RampFitOutputModel" and key.startswith(POINTING)
                if key.startswith("meta.") and key not in SET_ANEW and not unknown:
                    assert got[key] == value, key
            if kind == "RampFitOutputModel":
                for plane in dataclasses.fields(FitOpt):
                    np.testing.assert_array_equal(getattr(model, plane.name), getattr(fit.fitopt, plane.name))
                assert model.meta.cal_step.ramp_fit is None
                continue
            rate = fit.rateints if kind == "CubeModel" else fit.rate
            for name in RATE_PLANES:
                np.testing.assert_array_equal(getattr(model, name), getattr(rate, name))
            assert model.dq.dtype == np.uint32
            assert model.meta.cal_step.ramp_fit == "COMPLETE"
            assert model.meta.bunit_data == model.meta.bunit_err == "DN/s"
            if kind == "CubeModel" and fit.header.int_times is not None:
                assert list(model.int_times["integration_number"]) == [1, 2]


def test_missing_data_models_fail_where_they_are_promised(monkeypatch):
    monkeypatch.setitem(sys.modules, "stdatamodels", None)
    for name in [name for name in sys.modules if name.startswith("stdatamodels.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delenv("RAMPFIT_REQUIRE_JWST", raising=False)
    with pytest.raises(pytest.skip.Exception):
        pipeline_datamodels()
    monkeypatch.setenv("RAMPFIT_REQUIRE_JWST", "1")
    with pytest.raises(ImportError):
        pipeline_datamodels()


@pytest.mark.parametrize("segments", [0, 2])
def test_synthetic(tmp_path, folder, segments):
    source = save(ramp_hdulist(optional=True), tmp_path / "jw01_jump.fits")
    compare(source, folder, some_fit(read_exposure(source).header, segments=segments, jumps=segments))


def test_integral_field_unit(tmp_path, folder):
    source = save(ramp_hdulist(keywords={"INSTRUME": "MIRI", "EXP_TYPE": "MIR_MRS"}), tmp_path / "jw01_jump.fits")
    fit = some_fit(read_exposure(source).header, segments=1)
    compare(source, folder, fit, ("IFUImageModel", *MODELS[1:]))


@pytest.mark.data
def test_real(real_data, folder):
    for source in sorted(real_data.glob("*_jump.fits")):
        exposure = read_exposure(source)
        compare(source, folder, some_fit(exposure.header, exposure.shape, segments=1))
