"""Which groups of an exposure may be used at all."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rampfit_numba.options import FitOptions

log = logging.getLogger(__name__)


def usable_groups(options: FitOptions, ngroups: int) -> tuple[int, int]:
    """Return the first and last group that may be used (section 10, "set groups")."""
    first = 0 if options.firstgroup is None else options.firstgroup
    last = ngroups - 1 if options.lastgroup is None else options.lastgroup
    if first < 0:
        log.warning("firstgroup %d is negative: 0 is used", first)
        first = 0
    if options.lastgroup is not None and last >= ngroups:
        log.warning("lastgroup %d is beyond the %d groups: it has no effect", last, ngroups)
    if (options.firstgroup, options.lastgroup) != (None, None) and first >= last:
        log.warning("No group range from %d to %d: firstgroup and lastgroup are ignored", first, last)
        return 0, ngroups - 1
    return first, last
