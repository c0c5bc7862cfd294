"""The line of every segment of chosen pixels, in plain units.

The fitopt product has the pipeline's conventions: uncertainties in electrons per group, intercepts at the first group
that was not dropped, no word on which groups a segment has. Here every number has the unit that its column says, times
count from the reset, and groups are those of the exposure.
"""

from __future__ import annotations

from rampfit_numba.segments.ols import kept_groups
from rampfit_numba.segments.table import find_samples, find_segments

__all__ = ["find_samples", "find_segments", "kept_groups"]
