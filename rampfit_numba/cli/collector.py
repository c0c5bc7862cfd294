"""The collector of garbage, which imports give nothing to do."""

from __future__ import annotations

import atexit
import gc
from typing import Any

#: New objects until the first collection; Numba and astropy make 150,000 while they are imported.
_AT_FIRST = 200_000
_usual: list[tuple[int, int, int]] = []


def wait_for_imports() -> None:
    """Put off the first collection: to look at what imports make, which stays, is a tenth of a short run.

    Nor is all of it looked at once more when the process ends. Only for a process that is this command's own.
    """
    if not _usual:
        _usual.append(gc.get_threshold())
        gc.set_threshold(_AT_FIRST)
        gc.callbacks.append(_after_first)
        atexit.register(gc.freeze)


def imports_are_done() -> None:
    """Collect as usual from now on, what is there by now looked at last: arrays that are garbage must not pile up."""
    if _usual:
        gc.callbacks.remove(_after_first)
        gc.freeze()
        gc.unfreeze()  # to the oldest generation
        gc.set_threshold(*_usual.pop())


def _after_first(phase: str, _: dict[str, Any]) -> None:
    if phase == "stop":
        imports_are_done()
