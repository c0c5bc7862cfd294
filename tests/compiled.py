"""Kernels that only other kernels can call, made callable for the tests, by the names of their parameters."""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any

import numba

if TYPE_CHECKING:
    from collections.abc import Callable


@cache
def from_python(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls a compiled kernel, which itself has no code that takes Python's objects.

    It takes keywords, which compiled functions do not: a test says what it hands over, not in which order.
    """
    if numba.config.DISABLE_JIT:
        return kernel
    signature = inspect.signature(kernel.py_func) if hasattr(kernel, "py_func") else None  # intrinsics have none

    @numba.njit(error_model="numpy")
    def compiled(*arguments):
        return kernel(*arguments)

    def call(*arguments: Any, **named: Any) -> Any:
        if signature is None:
            return compiled(*arguments)
        if arguments:
            raise TypeError(f"{kernel.__name__}: tests name the arguments of a kernel; got {len(arguments)} without")
        return compiled(*signature.bind(**named).args)

    return call
