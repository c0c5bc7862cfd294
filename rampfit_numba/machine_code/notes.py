"""Notes beside the machine code: which kernels are complete there, and how long it took to compile them."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import numba

from rampfit_numba.machine_code.places import Place, usable_places

if TYPE_CHECKING:
    from pathlib import Path


def is_warm(kernels: str) -> bool:
    """Tell whether `kernels`, a name for some that are compiled together, were noted as compiled.

    Some of the functions may be there without the others.
    """
    if numba.config.DISABLE_JIT:
        return True
    return any(_note(place, kernels).exists() for place in usable_places())


def note_warm(kernels: str, seconds: float | None = None) -> None:
    """Note beside the machine code that it is complete, and what it took, in s, if it was compiled now."""
    for place in usable_places():
        if place.writable:
            # Without a note, the next process says once more that it compiles.
            with suppress(OSError):
                _write(_note(place, kernels), "")
                if seconds is not None:
                    _write(_duration(place, kernels), f"{seconds:.1f}\n")


def last_seconds(kernels: str) -> float | None:
    """Return how long it took to compile `kernels` last time, in s, in any version; None where nothing tells."""
    for place in usable_places():
        with suppress(OSError, ValueError):
            seconds = float(_duration(place, kernels).read_text(encoding="ascii")[:20])
            if 0 < seconds < float("inf"):
                return seconds
    return None


def _note(place: Place, kernels: str) -> Path:
    return place.folder / f"{kernels}.warm"


def _duration(place: Place, kernels: str) -> Path:
    return place.folder.parent / f"{kernels}.seconds"  # beside all versions: it outlives them


def _write(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        new.write_text(text, encoding="ascii")
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
