"""The one place that sets Numba's flags and the cache of machine code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba
from numba.extending import intrinsic

from rampfit_numba.machine_code import KeptCode, OwnCodeCompiler, cache_folder, compile_apart

if TYPE_CHECKING:
    from collections.abc import Callable

    from numba import types

__all__ = [
    "LANES",
    "cache_folder",
    "jit",
    "jit_allocating",
    "jit_apart",
    "jit_entry",
    "jit_entry_allocating",
    "jit_inline",
    "jit_intrinsic",
    "jit_part",
]

Function = TypeVar("Function", bound="Callable[..., Any]")

#: Pixels that a kernel treats side by side; a multiple of 64, the bits of a mask of segments. Every block of OLS has
#: all its lanes (the last ones may be padding), so that a pixel goes through the same instructions wherever a slice
#: begins; likelihood fits go through vectors of a block, which may have fewer, whole ones.
#: Calls hand over arrays as eight words or more each, and rows are copied one by one: of 128 pixels, fits take up to a
#: fifth longer. Without compilation, blocks this long would make the tests crawl.
LANES = 8 if numba.config.DISABLE_JIT else 256
_KERNELS = __name__.rpartition(".")[0] + "."


def jit_entry(function: Function) -> Function:
    """Compile `function`, which Python calls, at its first call, without the GIL and with machine code kept on disk.

    Arithmetic is IEEE (no fastmath): then a result cannot depend on the place of a pixel in a vector or a slice, and
    the signal-to-noise classes, whose lower bounds are inclusive, fall as in the reference.

    Arrays are not reference-counted: each row that a loop takes from an array costs two atomic additions otherwise, a
    quarter of the whole time. So these functions cannot make arrays, and work in those that they are given.
    """
    return _compiled(function, _nrt=False)


def jit_entry_allocating(function: Function) -> Function:
    """Like :func:`jit_entry`, for functions that make arrays, and count references to them."""
    return _compiled(function, _nrt=True)


def jit(function: Function) -> Function:
    """Like :func:`jit_entry`, for functions that other kernels call, and Python never.

    The code that would translate Python's objects takes a tenth of the time of compiling. Without it, a call from
    Python ends the process: tests call :func:`tests.compiled.from_python`.
    """
    return _compiled(function, _nrt=False, no_cpython_wrapper=True)


def jit_allocating(function: Function) -> Function:
    """Like :func:`jit`, for functions that make arrays: not for the innermost loops."""
    return _compiled(function, _nrt=True, no_cpython_wrapper=True)


def jit_inline(function: Function) -> Function:
    """Like :func:`jit`, for small functions that are called for every pixel or segment.

    Arrays are handed over as eight or more words each: without inlining, a call costs more than the function does (a
    segment of ten groups 180 ns instead of 30).
    """
    return _compiled(function, _nrt=False, no_cpython_wrapper=True, forceinline=True)


def jit_apart(returns: types.Type, *, allocating: bool = False) -> Callable[[Function], Function]:
    """Like :func:`jit`, for functions called once a block or tile: compiled beside each other, on all cores at once.

    Callers call its code, and have no copy of it, which would be compiled again with each of them.

    Parameters
    ----------
    returns : numba.types.Type
        What the function returns, which its callers must know before it is compiled.
    allocating : bool
        It makes arrays, as those of :func:`jit_allocating`.
    """

    def decorate(function: Function) -> Function:
        compiled = _compiled(function, _nrt=allocating, no_cpython_wrapper=True, pipeline_class=OwnCodeCompiler)
        if not numba.config.DISABLE_JIT:
            compile_apart(compiled, returns)
        return compiled

    return decorate


def jit_part(function: Function) -> Function:
    """Make `function` a part of the only one that calls it, before anything is compiled.

    For the parts of a long function: each level of compiled calls goes through the optimiser once more with all that it
    calls, and the longest of ours take seconds for that.
    """
    return _compiled(function, _nrt=False, inline="always")


def jit_intrinsic(plain: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function an intrinsic of the compiler; without compilation, `plain` takes its place."""
    return lambda function: plain if numba.config.DISABLE_JIT else intrinsic(function)


def _compiled(function: Function, **flags: Any) -> Function:  # noqa: ANN401  (Numba's own)
    # Nobody calls these functions from C.
    flags |= {"no_cfunc_wrapper": True, "error_model": "numpy"}
    compiled = numba.njit(nogil=True, **flags)(function)
    if not numba.config.DISABLE_JIT and function.__module__.startswith(_KERNELS):  # whose sources the cache knows
        compiled._cache = KeptCode(function)  # noqa: SLF001  (Numba's own checks nothing; see machine_code)
    return cast("Function", compiled)
