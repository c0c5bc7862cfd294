"""The option ``max_memory``: how much memory the arrays of a fit may take at once."""

from __future__ import annotations

import os
import re
import sys
from numbers import Integral
from pathlib import Path
from typing import Any

from rampfit_numba.address_space import address_space_limit

#: What a budget is if nothing is said: this share of what the process may use.
_SHARE = 4
_UNITS = {"": 1, "B": 1} | {
    letter + ending: base**power
    for power, letter in enumerate("KMGT", 1)
    for ending, base in (("B", 1000), ("iB", 1024), ("", 1024))
}
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([A-Za-z]*)\s*")
_BY_NAME = {name.upper(): size for name, size in _UNITS.items()}
#: Where Linux tells the limit of a control group: in version 2, and in version 1.
_GROUPS = Path("/sys/fs/cgroup")


def memory_budget(max_memory: str | int | None) -> int:
    """Return the bytes that the arrays of a fit may take at once.

    Parameters
    ----------
    max_memory : int, str or None
        Bytes; or a number with a unit, like ``"512 MiB"``, ``"2GB"``, ``"1.5 GiB"`` (``"2G"`` are GiB); None: a quarter
        of what this process may use.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    TypeError, ValueError
        `max_memory` is none of these.

    Examples
    --------
    >>> memory_budget("512 MiB")
    536870912
    >>> memory_budget("2GB")
    2000000000
    """
    if max_memory is None:
        return max(usable_memory() // _SHARE, 1)
    expected = "max_memory: expected a number of bytes above 0, or one with a unit like '512 MiB' or '2GB'"
    value: Any = max_memory
    if isinstance(value, str):
        match = _SIZE.fullmatch(value)
        unit = None if match is None else _BY_NAME.get(match[2].upper())
        if match is None or unit is None:
            raise ValueError(f"{expected}; got {max_memory!r}")
        value = int(float(match[1]) * unit)
    elif isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{expected}; got {max_memory!r}")
    if value <= 0:
        raise ValueError(f"{expected}; got {max_memory!r}")
    return int(value)


def usable_memory() -> int:
    """Return the bytes that this process may use: of the machine, of its control group, of its address space."""
    limits = [_physical(), *_group_limits(), address_space_limit()]
    return min(limit for limit in limits if limit is not None)


def size_text(nbytes: float) -> str:
    """Return a number of bytes for people to read.

    Examples
    --------
    >>> size_text(3 << 29)
    '1.5 GiB'
    """
    for unit in ("B", "KiB", "MiB"):
        if nbytes < 1024:  # noqa: PLR2004
            return f"{nbytes:.3g} {unit}"
        nbytes /= 1024
    return f"{nbytes:.3g} GiB"


def _physical() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # the system does not tell (Windows): as for a small machine
        return min(8 << 30, sys.maxsize)


def _group_limits() -> list[int]:
    """Return the limits of this process's control group and of those around it."""
    found = []
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, file = (_GROUPS / "memory", "memory.limit_in_bytes") if controllers else (_GROUPS, "memory.max")
        place = root / name.lstrip("/")
        for folder in (place, *place.parents):
            try:
                text = (folder / file).read_text(encoding="ascii").strip()
            except (OSError, UnicodeDecodeError):
                text = ""
            if text.isdigit():  # not "max"
                found.append(int(text))
            if folder == root:
                break
    return found
