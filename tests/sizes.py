"""How much to look at: without the compiler everything takes a hundred times as long."""

from __future__ import annotations

import os


def switched_on(variable: str) -> bool:
    """Tell whether one of Numba's environment variables is set."""
    return os.environ.get(variable, "0") not in ("", "0")


INTERPRETED = switched_on("NUMBA_DISABLE_JIT")
CHECKED = switched_on("NUMBA_BOUNDSCHECK")


def fewer(compiled: int, interpreted: int) -> int:
    """Return the count to use: ``interpreted`` without the compiler, half with bounds checks, else ``compiled``."""
    if INTERPRETED:
        return interpreted
    return max(interpreted, compiled // 2) if CHECKED else compiled
