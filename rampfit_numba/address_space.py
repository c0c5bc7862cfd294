"""Whether the process may have the address space that compiled code takes (``ulimit -v``, RLIMIT_AS).

Where it runs out, no error comes that could be caught: the compiler ends the process, and the BLAS of SciPy, which
Numba imports where it is installed, waits without end for threads that it could not start, or sends SIGINT.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

try:
    import resource
except ImportError:  # a system without such limits
    resource = None  # type: ignore[assignment]

# What was seen to be taken, and a tenth more (Linux, 64 bits, Python 3.11 to 3.13; MiB).
_NUMBA = 200  # with the compiler; 170 were
_BLAS = 110  # of SciPy with one thread; 95 were
_BLAS_THREAD = 45  # a stack and a buffer for each further one; 40 were
#: Machine code of one kind of kernels, loaded from disk; 10 to 30 were.
LOADING = 40
#: Kernels of one kind while they are compiled; 350 were taken by the largest.
COMPILING = 390


def check_for_numba() -> None:
    """Refuse to import Numba where the process would not survive it.

    Raises
    ------
    MemoryError
        The address space is limited, and too little of it is left.
    """
    check(LOADING, "to load Numba")


def check(needed: int, what: str) -> None:
    """Refuse to begin what the process would not survive.

    Parameters
    ----------
    needed : int
        Address space that it takes, MiB, beside that for modules that are not imported yet.
    what : str
        What is about to be done, for the message: "to ...".

    Raises
    ------
    MemoryError
        The address space is limited, and too little of it is left.
    """
    limit = _limit()
    if limit is None:
        return
    left = max(0, limit - _taken()) >> 20
    needed += _for_imports()
    if left < needed:
        raise MemoryError(
            f"too little address space {what}: that takes about {needed} MiB, and this process has {left} left of the "
            f"{limit >> 20} that it may use; raise its limit (ulimit -v unlimited, or ask the batch system for more)"
        )


def _for_imports() -> int:
    needed = 0
    if "numba" not in sys.modules:
        needed += _NUMBA
    if "scipy.linalg" not in sys.modules and find_spec("scipy") is not None:
        needed += _BLAS + _BLAS_THREAD * (_cores() - 1)
    return needed


def _limit() -> int | None:
    """Return the limit in bytes, if there is one that can be compared with what is taken."""
    if resource is None or not Path("/proc/self/statm").exists():
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _taken() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
