"""How many reads of one ramp a fit used."""

from __future__ import annotations


def count_used(flags):
    """Return how many reads of a ramp belong to a usable difference."""
    usable = [flags[k] & ~4 == 0 and flags[k + 1] == 0 for k in range(len(flags) - 1)]
    return sum(any(usable[max(k - 1, 0) : k + 1]) for k in range(len(flags)))
