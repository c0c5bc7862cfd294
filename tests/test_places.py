"""Arrays that kernels know by their addresses: what stands beside them is neither read nor written."""

from __future__ import annotations

import numpy as np
import pytest

from rampfit_numba.kernels._jit import LANES
from rampfit_numba.kernels.memory import copy_in, copy_out, put
from rampfit_numba.kernels.places import InputFinder, addresses
from rampfit_numba.kernels.ramp_status import gather_flags
from rampfit_numba.kernels.rows import RowInputs, RowOutputs, Rules, count_rows, fit_rows
from rampfit_numba.kernels.settings import Settings
from rampfit_numba.kernels.vectors import BITS, bits_above
from tests.bulk_exposures import bulk_case
from tests.compiled import from_python
from tests.sizes import fewer

pytestmark = pytest.mark.kernel

SETTINGS = Settings(3.0, 3.0, 3.0, 2.0, 1.0, suppress_one_group=True, clear_first_jump=False)
GUARD = 77
SHAPE = (2, 7, 3, fewer(301, 19))


def bounded(shape, dtype, form):
    """Return an array of GUARD everywhere in its memory, some of it not its own, and all of that memory."""
    if form == "plain":
        memory = np.full(int(np.prod(shape)) + 2 * LANES, GUARD, dtype)
        return memory[LANES : len(memory) - LANES].reshape(shape), memory
    if form == "columns":  # cut out of wider rows
        memory = np.full((*shape[:-1], shape[-1] + 5), GUARD, dtype)
        return memory[..., 2:-3], memory
    if form == "rows":  # whole rows, but not all of them
        memory = np.full((*shape[:-2], shape[-2] + 3, shape[-1]), GUARD, dtype)
        return memory[..., 1:-2, :], memory
    if form == "swapped":
        memory = np.full(shape, GUARD, np.dtype(dtype).newbyteorder())
        return memory, memory
    if form == "wide":
        memory = np.full(shape, GUARD, np.float64 if np.dtype(dtype).kind == "f" else np.uint64)
        return memory, memory
    memory = np.full(shape[::-1], GUARD, dtype)
    return memory.T, memory


FORMS = ["plain", "columns", "rows", "swapped", "wide", "fortran"]


def some_inputs(form, case):
    def like(array):
        copy, _ = bounded(array.shape, array.dtype, form)
        copy[...] = array
        return copy

    planes = (case.data, case.groupdq, case.readnoise, case.gain, case.pixeldq, case.average_dark_current)
    return RowInputs(*(None if plane is None else like(plane) for plane in planes), None)


def some_outputs(form, depth):
    nints, _, *image = SHAPE
    shapes = [*[tuple(image)] * 5, *[(nints, *image)] * 5]
    types = [*[np.float32] * 4, np.uint32] * 2
    if depth is not None:
        segments, jumps = depth
        shapes += [*[(nints, segments, *image)] * 7, (nints, *image), (nints, jumps, *image)]
        types += [np.float32] * 9
    arrays = [bounded(shape, dtype, form) for shape, dtype in zip(shapes, types, strict=True)]
    for array, _ in arrays[10:]:
        array[...] = 0
    return RowOutputs(*(array for array, _ in arrays)), arrays


@pytest.mark.parametrize("save_opt", [False, True])
@pytest.mark.parametrize("outputs_form", FORMS)
@pytest.mark.parametrize("inputs_form", FORMS)
def test_any_layout_of_inputs_and_outputs(inputs_form, outputs_form, save_opt):
    case = bulk_case("everything", shape=SHAPE)
    rules = Rules(SETTINGS, 0, SHAPE[1], 0, SHAPE[1] - 1, dropped_good=False)
    plain = some_inputs("plain", case)
    depth = count_rows(plain, None, rules) if save_opt else None
    wanted, _ = some_outputs("plain", depth)
    fit_rows(plain, wanted, rules)
    inputs = some_inputs(inputs_form, case)
    before = [None if array is None else array.tobytes() for array in inputs]
    if save_opt:
        assert count_rows(inputs, None, rules) == depth
    outputs, arrays = some_outputs(outputs_form, depth)
    fit_rows(inputs, outputs, rules)
    for name, expected, (found, memory) in zip(RowOutputs._fields, wanted, arrays, strict=False):
        np.testing.assert_array_equal(found, expected, err_msg=name)
        found[...] = GUARD
        assert (memory == GUARD).all(), f"{name}: something beside it was written"
    assert [None if array is None else array.tobytes() for array in inputs] == before


@pytest.mark.parametrize("form", FORMS)
def test_addresses_are_those_of_numpy(form):
    """Of the first pixel of every plane; and a window's pixels follow each other from there."""
    nints, ngroups, nrows, ncols = SHAPE
    data, _ = bounded(SHAPE, np.float32, form)
    data[...] = np.arange(data.size).reshape(SHAPE)
    plane = np.ones(SHAPE[2:], np.float32)
    rules = Rules(SETTINGS, 2, ngroups - 1, 0, ngroups - 1, dropped_good=False)
    finder = InputFinder(RowInputs(data, np.zeros(SHAPE, np.uint8), plane, plane, None, None, None), rules)
    for window in finder.windows:
        places = finder.find(window)
        assert places.samples.shape == (nints, ngroups - 3)
        assert places.planes[0] == places.planes[3] == 0
        row = np.empty(places.npixels, np.float32)
        for i, g in np.ndindex(places.samples.shape):
            from_python(copy_in)(row, int(places.samples[i, g]), places.npixels)
            values = row.byteswap() if places.swapped else row
            expected = data[i, g + 2, window.rows, window.columns]
            np.testing.assert_array_equal(values.reshape(expected.shape), expected)
    assert nrows * ncols == plane.size


def test_copies_stay_within_their_count():
    row, memory = np.arange(8, dtype=np.float32), np.full(12, GUARD, np.float32)
    start = int(addresses(memory[np.newaxis, 2:])[()])
    from_python(copy_out)(start, row, 5)
    from_python(put)(start, 7, row, 3)
    np.testing.assert_array_equal(memory, [GUARD, GUARD, 0, 1, 2, 3, 4, GUARD, GUARD, 3, GUARD, GUARD])
    back = np.full(8, -1, np.float32)
    from_python(copy_in)(back, start, 5)
    np.testing.assert_array_equal(back, [0, 1, 2, 3, 4, -1, -1, -1])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_bits_above(dtype):
    values = np.random.default_rng(3).integers(0, 4, 3 * BITS).astype(dtype)
    for first in (0, BITS, BITS + 7):
        found = int(from_python(bits_above)(values, first, 1))
        assert found == sum(1 << k for k in range(BITS) if values[first + k] > 1)


@pytest.mark.parametrize(
    ("samples", "flagged"),
    [
        ([1, np.nan, 3], [0, 1, 0]),
        ([np.inf, -np.inf, 3], [1, 1, 0]),
        ([3e38, 3e38, 3e38], [0, 0, 0]),  # the sum overflows
        ([-3e38, np.nan, -3e38], [0, 1, 0]),
        ([0, 0, 0], [0, 0, 0]),
    ],
)
def test_samples_that_are_not_finite_are_found(samples, flagged):
    """Only where they are: the ramps beside them stay as they were, and so does a saturated group."""
    block = np.ones((3, LANES), np.float32)
    block[:, 1] = block[:, 2] = samples
    flags = np.zeros((3, LANES), np.uint8)
    flags[:, 2] = 2
    found, sums = np.empty(LANES, np.uint8), np.empty(LANES, np.float32)
    with np.errstate(all="ignore"):
        assert from_python(gather_flags)(block, block.view(np.int32), flags, found, sums)
    np.testing.assert_array_equal(flags[:, 1], flagged)
    np.testing.assert_array_equal(flags[:, 2], [2, 2, 2])
    assert not np.delete(flags, [1, 2], axis=1).any()
    assert found[1] == max(flagged)
    assert found[2] == 2
