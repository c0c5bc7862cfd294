"""Arrays that kernels know by their addresses: what stands beside them is neither read nor written."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np
import pytest

from rampfit_numba.algorithms.blocks import InputPointers
from rampfit_numba.algorithms.ols.pointers import OutputPointers
from rampfit_numba.algorithms.ols.rows import count_rows, fit_rows
from rampfit_numba.algorithms.ols.rules import OlsOutputs, OlsRules
from rampfit_numba.algorithms.rows import BUFFER_BYTES, MOST_SAMPLES, RowInputs
from rampfit_numba.kernels._jit import LANES
from rampfit_numba.kernels.memory import CHECKED, addresses, copy_in, copy_out, put, spans_of
from rampfit_numba.kernels.ols.ramp_status import gather_flags
from rampfit_numba.kernels.ols.settings import Settings
from tests.bulk_exposures import bulk_case
from tests.compiled import from_python
from tests.sizes import fewer

pytestmark = pytest.mark.kernel

SETTINGS = Settings(3.0, 3.0, 3.0, 2.0, 1.0, suppress_one_group=False, clear_first_jump=True)
GUARD = 77
SHAPES = [
    (2, 7, 3, fewer(301, 19)),
    (1, 5, 1, fewer(260, 17)),
    (2, 4, fewer(260, 17), 1),
    (1, 5, 2, fewer(33_000, 21)),
]


def guarded(shape, dtype, at_end):
    """Return an array flush with memory that nobody may touch: to read or write one byte too many ends the process."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    pages = -(-max(size, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, pages + 2 * mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for page in (start, start + mmap.PAGESIZE + pages):
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(page), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    return np.ndarray(shape, dtype, memory, mmap.PAGESIZE + (pages - size if at_end else 0))


def formed(shape, dtype, form):  # noqa: PLR0911  (a form each)
    """Return an array of GUARD everywhere in its memory, some of it not its own, and all of that memory."""
    if form in ("flush with the end", "flush with the start"):
        array = guarded(shape, dtype, at_end=form.endswith("end"))
        array[...] = GUARD
        return array, array
    if form == "columns":  # cut out of wider rows
        memory = np.full((*shape[:-1], shape[-1] + 5), GUARD, dtype)
        return memory[..., 2:-3], memory
    if form == "rows":  # whole rows, but not all of them
        memory = np.full((*shape[:-2], shape[-2] + 3, shape[-1]), GUARD, dtype)
        return memory[..., 1:-2, :], memory
    if form in ("swapped", "wide"):
        other = np.float64 if np.dtype(dtype).kind == "f" else np.uint64
        memory = np.full(shape, GUARD, other if form == "wide" else np.dtype(dtype).newbyteorder())
        return memory, memory
    if form == "unaligned":
        memory = np.frombuffer(bytearray(int(np.prod(shape)) * np.dtype(dtype).itemsize + 8), np.uint8)
        array = np.ndarray(shape, dtype, memory.data, 1)
        array[...] = GUARD
        return array, array
    if form == "planes backwards":
        memory = np.full(shape, GUARD, dtype)
        return np.flip(memory, tuple(range(len(shape) - 2))), memory
    memory = np.full(shape[::-1], GUARD, dtype)
    return memory.T, memory


FORMS = [
    *("flush with the end", "flush with the start", "columns", "rows", "swapped", "wide", "unaligned"),
    *("planes backwards", "fortran"),
]
PLAIN = FORMS[0]


def some_inputs(form, case):
    def like(array):
        copy, _ = formed(array.shape, array.dtype, form)
        copy[...] = array
        return copy

    planes = (case.data, case.groupdq, case.readnoise, case.gain, case.pixeldq, case.average_dark_current)
    return RowInputs(*(None if plane is None else like(plane) for plane in (*planes, case.zeroframe)))


def some_outputs(shape, form, depth):
    nints, _, *image = shape
    shapes = [*[tuple(image)] * 5, *[(nints, *image)] * 5]
    types = [*[np.float32] * 4, np.uint32] * 2
    if depth is not None:
        segments, jumps = depth
        shapes += [*[(nints, segments, *image)] * 7, (nints, *image), (nints, jumps, *image)]
        types += [np.float32] * 9
    arrays = [formed(array_shape, dtype, form) for array_shape, dtype in zip(shapes, types, strict=True)]
    return OlsOutputs(*(array for array, _ in arrays)), arrays


@pytest.mark.skipif(not hasattr(mmap, "PROT_READ"), reason="memory is protected as POSIX has it")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_any_layout_of_inputs_and_outputs(form, shape):
    """With a first group that was dropped and held the only good sample of some ramps, and a zeroframe."""
    case = bulk_case("everything", shape=shape)
    assert case.zeroframe is not None
    rules = OlsRules(SETTINGS, 1, shape[1], 0, shape[1] - 1, dropped_good=False)
    for changed in (rules, rules._replace(settings=SETTINGS._replace(suppress_one_group=True), dropped_good=True)):
        plain = some_inputs(PLAIN, case)
        depth = count_rows(plain, None, changed)
        wanted, _ = some_outputs(shape, PLAIN, depth)
        fit_rows(plain, wanted, changed)
        inputs = some_inputs(form, case)
        before = [None if array is None else array.tobytes() for array in inputs]
        assert count_rows(inputs, None, changed) == depth
        for outputs_form in (PLAIN, form):
            outputs, arrays = some_outputs(shape, outputs_form, depth)
            fit_rows(inputs, outputs, changed)
            for name, expected, (found, memory) in zip(OlsOutputs._fields, wanted, arrays, strict=False):
                np.testing.assert_array_equal(found, expected, err_msg=name)
                found[...] = GUARD
                assert (memory == GUARD).all(), f"{name}: something beside it was written"
        assert [None if array is None else array.tobytes() for array in inputs] == before


def test_tiles_that_need_memory_for_all_integrations_are_small():
    """Whether it is the zeroframe alone that cannot be read in place, or ramps were dropped with their only sample."""
    shape = (400, 2, 8, 4096)
    data, flags = np.zeros((1, *shape[1:]), np.float32), np.zeros((1, *shape[1:]), np.uint8)
    data, flags = np.broadcast_to(data, shape), np.broadcast_to(flags, shape)
    plane = np.ones(shape[2:], np.float32)
    zeroframe = np.broadcast_to(np.zeros((1, *shape[2:]), np.float64), (400, *shape[2:]))
    rules = OlsRules(SETTINGS, 0, 2, 0, 1, dropped_good=False)
    pixels = [
        InputPointers(RowInputs(data, flags, plane, plane, None, None, frame), changed).tiles.pixels
        for frame, changed in ((None, rules), (zeroframe, rules), (None, rules._replace(dropped_good=True)))
    ]
    assert pixels[0] * 400 * 2 <= MOST_SAMPLES
    assert max(pixels[1:]) * 400 * 3 * 5 <= BUFFER_BYTES
    assert min(pixels) > 0


@pytest.mark.parametrize("form", FORMS)
def test_addresses_are_those_of_numpy(form):
    """Of the first pixel of every plane; and a tile's pixels follow each other from there."""
    shape = nints, ngroups, *image = SHAPES[0]
    data, _ = formed(shape, np.float32, form)
    data[...] = np.arange(data.size).reshape(shape)
    plane = np.ones(image, np.float32)
    rules = OlsRules(SETTINGS, 2, ngroups - 1, 0, ngroups - 1, dropped_good=False)
    finder = InputPointers(RowInputs(data, np.zeros(shape, np.uint8), plane, plane, None, None, None), rules)
    for tile in finder.tiles:
        pointers = finder.at(tile)
        assert pointers.samples.shape == (nints, ngroups - 3)
        assert pointers.planes[0] == pointers.planes[3] == 0
        row = np.empty(pointers.npixels, np.float32)
        for i, g in np.ndindex(pointers.samples.shape):
            from_python(copy_in)(
                row=row, address=int(pointers.samples[i, g]), count=pointers.npixels, spans=pointers.spans
            )
            values = row.byteswap() if pointers.swapped else row
            expected = data[i, g + 2, tile.rows, tile.columns]
            np.testing.assert_array_equal(values.reshape(expected.shape), expected)


def test_copies_stay_within_their_count():
    row, memory = np.arange(8, dtype=np.float32), np.full(12, GUARD, np.float32)
    part = memory[np.newaxis, 2:]
    start, spans = int(addresses(part)[()]), spans_of(part)
    from_python(copy_out)(address=start, row=row, count=5, spans=spans)
    from_python(put)(address=start, element=7, row=row, k=3, spans=spans)
    np.testing.assert_array_equal(memory, [GUARD, GUARD, 0, 1, 2, 3, 4, GUARD, GUARD, 3, GUARD, GUARD])
    back = np.full(8, -1, np.float32)
    from_python(copy_in)(row=back, address=start, count=5, spans=spans)
    np.testing.assert_array_equal(back, [0, 1, 2, 3, 4, -1, -1, -1])


@pytest.mark.skipif(not CHECKED, reason="copies are checked with NUMBA_BOUNDSCHECK=1 and in plain Python only")
def test_copies_beyond_an_array_are_refused_where_bounds_are_checked():
    """Also those that run over from one plane of an array into the next."""
    row, memory = np.arange(8, dtype=np.float32), np.full((2, 1, 6), GUARD, np.float32)
    (start, after), spans = addresses(memory), spans_of(memory)
    start, after = int(start), int(after)
    for address, count in ((start, 7), (start + 4, 6), (after - 4, 2), (after, 7), (start - 4, 1), (after + 24, 1)):
        with pytest.raises(IndexError, match="a copy by address reaches beyond the arrays"):
            from_python(copy_out)(address=address, row=row, count=count, spans=spans)
        with pytest.raises(IndexError, match="a copy by address reaches beyond the arrays"):
            from_python(copy_in)(row=row, address=address, count=count, spans=spans)
    for begin, element in ((start, -1), (after, 6)):
        with pytest.raises(IndexError, match="a copy by address reaches beyond the arrays"):
            from_python(put)(address=begin, element=element, row=row, k=3, spans=spans)
    assert (memory == GUARD).all()


@pytest.mark.skipif(not CHECKED, reason="copies are checked with NUMBA_BOUNDSCHECK=1 and in plain Python only")
def test_copies_into_outputs_that_are_too_short_are_refused_where_bounds_are_checked(monkeypatch):
    """As a wrong address or count in a kernel would: every copy of a fit goes through the check."""
    case = bulk_case("everything", shape=(1, 5, 2, 33))
    rules = OlsRules(SETTINGS, 0, 5, 0, 4, dropped_good=False)
    inputs = some_inputs("flush with the end", case)
    outputs, _ = some_outputs((1, 5, 2, 33), "flush with the end", None)
    at = OutputPointers.at

    def shifted(self, tile):
        results, fitopt = at(self, tile)
        return results._replace(rows=results.rows + 4), fitopt

    monkeypatch.setattr(OutputPointers, "at", shifted)
    with pytest.raises(IndexError, match="a copy by address reaches beyond the arrays"):
        fit_rows(inputs, outputs, rules)


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
        assert from_python(gather_flags)(samples=block, bits=block.view(np.int32), flags=flags, found=found, sums=sums)
    np.testing.assert_array_equal(flags[:, 1], flagged)
    np.testing.assert_array_equal(flags[:, 2], [2, 2, 2])
    assert not np.delete(flags, [1, 2], axis=1).any()
    assert found[1] == max(flagged)
    assert found[2] == 2
