"""Rates that are no numbers."""

from __future__ import annotations

import numpy as np

D = 1


def flag_unfitted(slope, flags):
    for k, value in enumerate(slope):
        if not np.isfinite(value):
            flags[k] |= D
