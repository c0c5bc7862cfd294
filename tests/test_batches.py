"""Many files: what becomes of each, and of a batch that is cut short."""

from __future__ import annotations

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from rampfit_numba import dq, fit_file
from rampfit_numba.files import Job, fit_one
from rampfit_numba.files.job import make_destination
from tests.make_files import ramp_hdulist, save


@pytest.fixture
def files(tmp_path):
    """Return three ramp files of different sizes."""
    shapes = {"a": (1, 5, 4, 6), "b": (2, 5, 6, 5), "c": (1, 6, 3, 4)}
    return [save(ramp_hdulist(shape), tmp_path / f"{name}_jump.fits") for name, shape in shapes.items()]


def test_a_file_can_be_fitted_by_another_process(files, tmp_path):
    destination = make_destination(tmp_path / "out", overwrite=False, save_jumps=False, names=("", ""))
    job = Job.checked(files, 10.0, 2.0, destination, {"progress": True, "maximum_cores": 2})
    part = pickle.loads(pickle.dumps(job.for_file(files[1])))  # noqa: S301
    assert list(part.formats) == [files[1]]
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        result = executor.submit(fit_one, files[1], part).result()
    assert [product.name for product in result.products] == ["b_rate.fits", "b_rateints.fits"]
    assert (result.status, result.pixels, result.groups) == ("fitted", 30, 5)


def test_a_result_says_what_was_fitted(tmp_path):
    hdulist = ramp_hdulist((2, 5, 4, 6))
    hdulist["GROUPDQ"].data[:] = 0
    hdulist["GROUPDQ"].data[0, 2, 1, :3] = dq.JUMP_DET
    hdulist["GROUPDQ"].data[1, 2, 1, :2] = dq.JUMP_DET
    result = fit_file(save(hdulist, tmp_path / "x_jump.fits"), 10.0, 2.0, output_dir=tmp_path)
    assert (result.pixels, result.groups, result.hits) == (24, 5, 3)
    assert result.seconds > 0
    assert result.status == "fitted"
