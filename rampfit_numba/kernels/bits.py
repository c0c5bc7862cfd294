"""Bit arithmetic on 64-bit words."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload


def trailing_zeros(word: Any) -> int:  # noqa: ANN401  (uint64, compiled or not)
    """Return the index of the lowest set bit of a uint64 that is not 0."""
    value = int(word)
    return (value & -value).bit_length() - 1


@intrinsic
def _cttz(_context: Any, _word: Any) -> Any:  # noqa: ANN401
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@overload(trailing_zeros, inline="always")
def _trailing_zeros_compiled(word):
    # Without annotations: Numba compares the two signatures to the letter.
    def compiled(word):
        return _cttz(word)

    return compiled if isinstance(word, types.Integer) else None
