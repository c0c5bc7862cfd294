"""Masks of 64 ramps as the bits of a number, lists of them, and places, beside NumPy."""

from __future__ import annotations

from pathlib import Path

import numba
import numpy as np
import pytest

from rampfit_numba.kernels import lists
from rampfit_numba.kernels._jit import jit_entry
from rampfit_numba.kernels.bits import (
    BITS,
    bits_above,
    bits_equal,
    bits_of,
    count_bits,
    lowest_bit,
    number_of_bits,
    put_bits,
)
from rampfit_numba.kernels.vectors import (
    WIDTH,
    as_numbers,
    as_places,
    gather,
    load_places,
    load_unset,
    select,
    store,
    store_places,
)
from tests.compiled import from_python

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_bits_above(dtype):
    values = np.random.default_rng(3).integers(0, 4, 3 * BITS).astype(dtype)
    for first in (0, BITS, BITS + 7):
        found = int(from_python(bits_above)(values, first, 1))
        assert found == sum(1 << k for k in range(BITS) if values[first + k] > 1)


def bits_where(holds):
    return np.uint64(sum(1 << k for k, value in enumerate(holds) if value))


def test_bits_equal():
    values = np.random.default_rng(4).integers(0, 256, 3 * BITS).astype(np.uint8)
    for first in (0, BITS, BITS + 7):
        for kept, value in ((255, 0), (3, 0), (4, 4), (223, 4), (3, 2)):
            found = from_python(bits_equal)(values, first, np.uint8(kept), np.uint8(value))
            assert found == bits_where((values[first : first + BITS] & kept) == value)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_bits_are_put_and_counted(dtype):
    rng = np.random.default_rng(5)
    for first in (0, BITS, BITS + 7):
        values = rng.integers(0, 4, 3 * BITS).astype(dtype)
        chosen = np.zeros(values.size, bool)
        chosen[first : first + BITS] = rng.random(BITS) < 0.4
        bits = bits_where(chosen[first : first + BITS])
        put, counted = values.copy(), values.copy()
        from_python(put_bits)(put, first, bits, 9)
        from_python(count_bits)(counted, first, bits)
        np.testing.assert_array_equal(put, np.where(chosen, 9, values))
        np.testing.assert_array_equal(counted, values + chosen)


#: The ways to make lists that this processor has: it takes the last one.
WAYS = [False, True] if lists.COMPRESSES else [False]


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("side_by_side", WAYS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_bits_are_listed(share, side_by_side, dtype):
    rng = np.random.default_rng(6)
    one = lists._list_side_by_side if side_by_side else lists._list_one_by_one
    everything = lists._list_all_side_by_side if side_by_side else lists._list_all_one_by_one

    @jit_entry
    def list_here(bits, first, listed, number):
        return one(bits, first, listed, number)

    @jit_entry
    def list_all_here(bits, first, values, three, number):
        return everything(bits, first, values, first + 1, three, number)

    values = rng.integers(0, np.iinfo(dtype).max, 6 * BITS).astype(dtype)
    listed, places, found, marks = (np.zeros(3 * BITS + lists.SPARE, np.uint32) for _ in range(4))
    number, number_of_all, expected = np.uint64(0), np.uint64(0), []
    for first in (0, BITS, 5 * BITS):
        chosen = rng.random(BITS) < share
        bits = bits_where(chosen)
        assert from_python(number_of_bits)(bits) == chosen.sum()
        assert from_python(lowest_bit)(bits) == (np.flatnonzero(chosen)[0] if chosen.any() else BITS)
        number = list_here(bits, first, listed, number)
        number_of_all = list_all_here(bits, first, values, (places, found, marks), number_of_all)
        expected += [first + k for k in np.flatnonzero(chosen)]
    assert listed[:number].tolist() == places[:number_of_all].tolist() == expected
    assert found[:number_of_all].tolist() == values[expected].tolist()
    assert marks[:number_of_all].tolist() == [k // BITS * BITS + 1 for k in expected]


@pytest.mark.parametrize("side_by_side", WAYS)
def test_lists_stay_in_their_room(side_by_side):
    """Nothing before what is appended is touched, nor anything more than SPARE behind."""
    everything = lists._list_all_side_by_side if side_by_side else lists._list_all_one_by_one

    @jit_entry
    def list_here(bits, values, three, number):
        return everything(bits, 0, values, 5, three, number)

    rng, untouched = np.random.default_rng(9), np.uint32(0xFFFFFFFF)
    values = rng.integers(0, 200, BITS).astype(np.uint8)
    for share in (0.0, 0.05, 0.25, 0.27, 0.5, 0.8, 1.0):
        for number in (0, 1, 7, 40):
            three = tuple(np.full(40 + BITS + 64, untouched) for _ in range(3))
            end = int(list_here(bits_where(rng.random(BITS) < share), values, three, np.uint64(number)))
            for one in three:
                assert (one[:number] == untouched).all()
                assert (one[number:end] != untouched).all()
                assert (one[end + lists.SPARE :] == untouched).all()


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="the system does not say what its processor can do")
@pytest.mark.skipif(bool(numba.config.CPU_FEATURES), reason="code is made for another processor")
def test_the_quicker_way_is_taken():
    can = "avx512_vbmi2" in Path("/proc/cpuinfo").read_text(encoding="utf-8") and not numba.config.DISABLE_JIT
    assert (lists._list_bits is lists._list_side_by_side) is can
    assert (lists._list_all is lists._list_all_side_by_side) is can


@jit_entry
def work_on_places(counts, table, numbers, out, floats):
    """Do what can be done with places; `out` and `floats` are results."""
    a, b = load_places(counts, 0), load_places(counts, WIDTH)
    more = a > b
    store_places(out[0], 0, a + b)
    store_places(out[1], 0, select(more, a - b, b - a))
    store_places(out[2], 0, a * np.int32(3) - b * 0)
    store_places(out[3], 0, select(a <= b, a, np.int32(7)))
    store_places(out[4], 0, as_places(as_numbers(b) * 2.0))
    store_places(out[5], 0, gather(table, a))
    store(floats[0], 0, gather(numbers, a))
    store(floats[1], 0, select(more, as_numbers(a), 0.5))


def test_places():
    rng = np.random.default_rng(8)
    counts, table = rng.integers(0, 20, 2 * WIDTH).astype(np.uint32), rng.integers(0, 2**31, 20).astype(np.uint32)
    numbers = rng.normal(0, 1, 20)
    out, floats = np.zeros((6, WIDTH), np.uint32), np.zeros((2, WIDTH))
    work_on_places(counts, table, numbers, out, floats)
    a, b = counts[:WIDTH].astype(int), counts[WIDTH:].astype(int)
    expected = [a + b, abs(a - b), 3 * a, np.where(a <= b, a, 7), 2 * b, table[a]]
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(floats, [numbers[a], np.where(a > b, a, 0.5)])


@jit_entry
def bits_of_unset(values):
    return bits_of(load_unset(values, 0, np.uint8(5)))


def test_bits_of_a_mask():
    values = np.random.default_rng(7).integers(0, 8, WIDTH).astype(np.uint8)
    assert bits_of_unset(values) == bits_where((values & 5) == 0)
