"""The one place that sets Numba's flags and the cache of machine code."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import llvmlite
import numba
import numpy as np
from numba.extending import intrinsic

from rampfit_numba import dq

if TYPE_CHECKING:
    from collections.abc import Callable

Function = TypeVar("Function", bound="Callable[..., Any]")

#: Pixels that a kernel treats side by side; a multiple of 16, the widest vector of float32. Every block has all of its
#: lanes (the last ones may be padding), so that a pixel goes through the same instructions wherever a slice begins.
#: Without compilation, blocks this long would make the tests crawl.
LANES = 8 if numba.config.DISABLE_JIT else 128


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


def jit_part(function: Function) -> Function:
    """Make `function` a part of the only one that calls it, before anything is compiled.

    For the parts of a long function: each level of compiled calls goes through the optimiser once more with all that it
    calls, and the longest of ours take seconds for that.
    """
    return _compiled(function, _nrt=False, inline="always")


def jit_intrinsic(plain: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function an intrinsic of the compiler; without compilation, `plain` takes its place."""
    return lambda function: plain if numba.config.DISABLE_JIT else intrinsic(function)


def _compiled(function: Function, **flags: bool | str) -> Function:
    before = numba.config.CACHE_DIR
    try:
        # The cache's folder is read when the decorator runs: other users of Numba in this process keep theirs.
        numba.config.CACHE_DIR = cache_folder()
        # Nobody calls these functions from C.
        flags |= {"no_cfunc_wrapper": True, "error_model": "numpy", "cache": bool(cache_folder())}
        compiled = numba.njit(nogil=True, **flags)(function)
    finally:
        numba.config.CACHE_DIR = before
    return cast("Function", compiled)


def is_cold(kernels: str) -> bool:
    """Tell whether `kernels`, a name for some that are compiled together, were never noted as compiled here."""
    if numba.config.DISABLE_JIT:
        return False
    return not cache_folder() or not _note(kernels).exists()


def note_warm(kernels: str) -> None:
    """Note beside the machine code that it is complete: some of its functions may be there without the others."""
    if cache_folder():
        with suppress(OSError):  # then the next process says once more that it compiles
            _note(kernels).touch()


def _note(kernels: str) -> Path:
    return Path(cache_folder()) / f"{kernels}.warm"


@cache
def cache_folder() -> str:
    """Return the folder for machine code, made if needed; empty where none can be written.

    Its name holds a hash of all sources that kernels are made of, the versions and flags: Numba itself notices a change
    of the file that a function stands in, but not of the functions that it calls in other files.
    """
    digest = hashlib.sha256()
    for source in [Path(dq.__file__), *sorted(Path(__file__).parent.rglob("*.py"))]:
        digest.update(str(source.relative_to(Path(dq.__file__).parent)).encode() + source.read_bytes())
    versions = (sys.version, platform.machine(), numba.__version__, llvmlite.__version__, np.__version__)
    flags = (numba.config.BOUNDSCHECK, numba.config.OPT, numba.config.CPU_NAME, numba.config.CPU_FEATURES)
    digest.update(repr((versions, flags)).encode())
    try:
        base = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(base) / "rampfit_numba" / digest.hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except (OSError, RuntimeError):
        return ""
    return str(folder)
