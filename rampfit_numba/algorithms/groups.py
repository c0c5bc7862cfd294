"""Which groups of an exposure may be used at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rampfit_numba.options import FitOptions


def usable_groups(options: FitOptions, ngroups: int) -> tuple[int, int]:
    """Return the first and last group that may be used (section 10, "set groups")."""
    first = 0 if options.firstgroup is None else options.firstgroup
    last = ngroups - 1 if options.lastgroup is None else options.lastgroup
    return first, last
