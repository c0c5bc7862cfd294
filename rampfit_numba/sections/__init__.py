"""Fits whose results take more memory than they may: section by section, each written while the next one is fitted.

The row functions, the workers and the numbers are those of :func:`rampfit_numba.fit_ramps`, and the products have the
same bytes as those of a fit in one piece; only where the detector is cut is another matter, which no result depends on.
"""

from rampfit_numba.sections.cut import memory_needed, result_size
from rampfit_numba.sections.fitting import FittedSections, fit_by_sections

__all__ = ["FittedSections", "fit_by_sections", "memory_needed", "result_size"]
