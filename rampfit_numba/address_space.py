"""Whether the process may have the address space that compiled code takes (``ulimit -v``, RLIMIT_AS).

Where it runs out, no error comes that could be caught: the compiler ends the process, and the BLAS of SciPy, which
Numba imports before it compiles where it is installed, waits without end for threads that it could not start, or sends
SIGINT.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

try:
    import resource
except ImportError:  # a system without such limits
    resource = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable

# What was seen to be taken, and a tenth more (Linux, 64 bits, Python 3.11 to 3.13; MiB).
_NUMBA = 200  # with the compiler; 187 were
_BLAS = 110  # of SciPy with one thread; 95 were
_BLAS_THREAD = 45  # a stack and a buffer for each further one; 40 were
_LOADING = 40  # machine code of one kind of kernels, from disk; 10 to 30 were
_COMPILING = 390  # kernels of one kind; 350 were by the largest


def check_for_loading(what: str) -> None:
    """Refuse to import Numba, or to load machine code, where the process would not survive it.

    Parameters
    ----------
    what : str
        What is about to be loaded, for the message.

    Raises
    ------
    MemoryError
        The address space is limited, and too little of it is left.
    """
    _check(f"to load {what}", lambda: _LOADING + _numba())


def check_for_compiling(what: str) -> None:
    """Refuse to compile kernels where the process would not survive it.

    Parameters
    ----------
    what : str
        Their name, for the message.

    Raises
    ------
    MemoryError
        The address space is limited, and too little of it is left.
    """
    _check(f"to compile {what}", lambda: _COMPILING + _numba() + _blas())


def address_space_limit() -> int | None:
    """Return the bytes of address space that the process may have; None: as many as there are, or nobody says."""
    if resource is None:
        return None
    limit: int = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _check(what: str, count_needed: Callable[[], int]) -> None:
    limit = address_space_limit()
    if limit is None or not Path("/proc/self/statm").exists():  # nothing to compare it with
        return
    left, needed = max(0, limit - _taken()) >> 20, count_needed()
    if left < needed:
        raise MemoryError(
            f"too little address space {what}: that takes about {needed} MiB, and this process has {left} left of the "
            f"{limit >> 20} that it may use; raise its limit (ulimit -v unlimited, or ask the batch system for more)"
        )


def _numba() -> int:
    return 0 if "numba" in sys.modules else _NUMBA


def _blas() -> int:
    if "scipy.linalg" in sys.modules or find_spec("scipy") is None:
        return 0
    return _BLAS + _BLAS_THREAD * (_cores() - 1)


def _taken() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
