"""The Roman pipeline's ramp fit with this package's engine, as a step by the name of the pipeline's own.

It needs romancal (1.1 or newer); see ``docs/roman.md``. Files are read and written without it.
"""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("romancal") is None:
    raise ImportError("rampfit_numba.roman needs the Roman pipeline; install it with: pip install 'romancal>=1.1'")

from rampfit_numba.roman.step import RampFitStep

__all__ = ["RampFitStep"]

RampFitStep.__module__ = __name__  # as parameter files name the class
