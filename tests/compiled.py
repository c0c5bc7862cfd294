"""Kernels that only other kernels can call, made callable for the tests."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numba

if TYPE_CHECKING:
    from collections.abc import Callable


@cache
def from_python(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls a compiled kernel, which itself has no code that takes Python's objects."""
    if numba.config.DISABLE_JIT:
        return kernel

    @numba.njit(error_model="numpy")
    def call(*arguments):
        return kernel(*arguments)

    return call
