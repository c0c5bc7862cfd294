"""Masks of 64 ramps as the bits of a number, beside NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from rampfit_numba.kernels._jit import jit_entry
from rampfit_numba.kernels.bits import (
    BITS,
    SPARE,
    bits_above,
    bits_equal,
    bits_of,
    count_bits,
    list_bits,
    lowest_bit,
    number_of_bits,
    put_bits,
)
from rampfit_numba.kernels.vectors import WIDTH, load_unset
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


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
def test_bits_are_listed(share):
    rng = np.random.default_rng(6)
    listed, number, expected = np.zeros(3 * BITS + 2, np.uint32), np.uint64(0), []
    for first in (0, BITS, 5 * BITS):
        chosen = rng.random(BITS) < share
        bits = bits_where(chosen)
        assert from_python(number_of_bits)(bits) == chosen.sum()
        assert from_python(lowest_bit)(bits) == (np.flatnonzero(chosen)[0] if chosen.any() else BITS)
        number = from_python(list_bits)(bits=bits, first=first, listed=listed, number=number)
        expected += [first + k for k in np.flatnonzero(chosen)]
    assert listed[:number].tolist() == expected


@jit_entry
def bits_of_unset(values):
    return bits_of(load_unset(values, 0, np.uint8(5)))


def test_bits_of_a_mask():
    values = np.random.default_rng(7).integers(0, 8, WIDTH).astype(np.uint8)
    assert bits_of_unset(values) == bits_where((values & 5) == 0)
