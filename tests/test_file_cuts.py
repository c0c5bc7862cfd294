"""Parts of a mapped exposure are read from the file, not through the map, whose truncation would end the process."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from rampfit_numba import Exposure, fit_ramps, mapped_arrays
from rampfit_numba.file_arrays import FileArray
from rampfit_numba.mapped_arrays import as_file_array
from tests.scripts import LINUX, TWO_WORKERS

pytestmark = LINUX

SHAPE = (2, 6, 24, 16)
CUTS = {
    "whole": np.s_[:],
    "rows": np.s_[..., 4:13, :],
    "last rows": np.s_[..., 20:, :],
    "rows of one integration": np.s_[1:, :, 4:13, :],
    "groups": np.s_[:, 1:5],
    "rows of some groups": np.s_[:1, 1:5, 3:9],
    "columns": np.s_[..., 3:9],
    "every second row": np.s_[..., ::2, :],
    "upside down": np.s_[..., ::-1, :],
    "mirrored": np.s_[..., ::-1],
    "some groups and columns": np.s_[:, ::2, 2:20:3, 5:1:-1],
}
#: Those that stay in the file until they are fitted.
ROWS = {"whole", "rows", "last rows", "rows of one integration", "rows of some groups"}


@pytest.fixture
def mapped_ramps(tmp_path):
    rng = np.random.default_rng(5)
    path = tmp_path / "ramps.dat"
    ramps = np.cumsum(rng.normal(20, 3, SHAPE), axis=1).astype(">f4")
    path.write_bytes(b"header" * 7 + ramps.tobytes())
    return np.memmap(path, ">f4", "r", 42, SHAPE), ramps


@pytest.mark.parametrize("span", [1 << 24, 300, 1], ids=["at once", "in parts", "one by one"])
@pytest.mark.parametrize("cut", CUTS)
def test_any_part_is_what_it_was(mapped_ramps, cut, span, monkeypatch):
    monkeypatch.setattr(mapped_arrays, "SPAN", span)
    mapping, ramps = mapped_ramps
    found = as_file_array(mapping[CUTS[cut]])
    assert isinstance(found, FileArray) == (cut in ROWS)
    values = found.read() if isinstance(found, FileArray) else found
    assert type(values) is np.ndarray
    assert not np.shares_memory(values, mapping)
    np.testing.assert_array_equal(values, ramps[CUTS[cut]])


@pytest.mark.parametrize("turn", [np.s_[:, 0], np.s_[1, :, 3:5, :4]])
def test_turned_and_repeated_arrays(mapped_ramps, turn):
    mapping, ramps = mapped_ramps
    for view in (lambda a: a[turn].T, lambda a: np.broadcast_to(a[turn], (3, *a[turn].shape))):
        found = as_file_array(view(mapping))
        values = found.read() if isinstance(found, FileArray) else found
        assert not np.shares_memory(values, mapping)
        np.testing.assert_array_equal(values, view(ramps))


def test_columns_of_a_table(tmp_path):
    table = np.zeros((2, 3, 4, 5), [("flag", "u1"), ("sample", "f4")])
    table["sample"] = np.arange(120).reshape(table.shape)
    table.tofile(tmp_path / "table.dat")
    mapping = np.memmap(tmp_path / "table.dat", table.dtype, "r", 0, table.shape)
    found = as_file_array(mapping["sample"])
    assert not np.shares_memory(found, mapping)
    np.testing.assert_array_equal(found, table["sample"])


@pytest.mark.parametrize("workers", [{}, *TWO_WORKERS], ids=str)
@pytest.mark.parametrize("cut", CUTS)
def test_parts_are_fitted_as_their_copies(mapped_ramps, cut, workers):
    mapping, ramps = mapped_ramps
    if ramps[CUTS[cut]].shape[1] < 2:
        pytest.fail("the fit needs groups")
    fit, expected = (
        fit_ramps(Exposure(array[CUTS[cut]], None, 2.5), 14.0, 5.5, **workers) for array in (mapping, ramps)
    )
    for name, plane in vars(expected.rateints).items():
        np.testing.assert_array_equal(getattr(fit.rateints, name), plane)


@pytest.mark.parametrize("unit", ["DN", "electron"])
@pytest.mark.parametrize("cut", ["whole", "rows", "columns", "every second row", "some groups and columns"])
def test_file_that_is_truncated_is_an_error_not_the_end(tmp_path, cut, unit):
    code = f"""
import os
import numpy as np
from rampfit_numba import Exposure, RampFileError, fit_ramps
shape = (1, 20, 256, 256)
np.ones(shape, ">f4").tofile("ramps.dat")
mapping = np.memmap("ramps.dat", ">f4", "r", 0, shape)
exposure = Exposure(mapping[np.s_[{str(CUTS[cut]).replace("Ellipsis", "...")}]], None, 2.5, data_unit="{unit}")
os.truncate("ramps.dat", 4096)
for workers in ({{}}, *{TWO_WORKERS}):
    try:
        fit_ramps(exposure, 14.0, 5.5, **workers)
    except RampFileError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("ramps.dat: ended early: it was truncated while it was read") == 3


def test_file_that_was_replaced_is_not_read(mapped_ramps, tmp_path):
    """The map still shows the old file; nothing can truncate that one under its name."""
    mapping, ramps = mapped_ramps
    os.replace(tmp_path / "ramps.dat", tmp_path / "elsewhere.dat")  # noqa: PTH105
    (tmp_path / "ramps.dat").write_bytes(b"another" * 10_000)
    found = as_file_array(mapping[..., 3:9])
    np.testing.assert_array_equal(found, ramps[..., 3:9])
