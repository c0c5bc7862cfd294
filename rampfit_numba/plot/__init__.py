"""Pictures of ramps and fits with matplotlib (extra ``plot``).

Every function takes what is to be drawn on (``figure`` or ``ax``) and returns it; none calls ``show``. What they draw
is a fit, or what can be fitted at once: an exposure, or a file, with its read noise and gain. The numbers are those of
``fit.segments``, ``fit.samples`` and ``fit.jumps``. Colours are those of Okabe and Ito, which colour-blind people tell
apart, and nothing is told by colour alone.
"""

from __future__ import annotations

from rampfit_numba.plot.images import plot_dq, plot_rate
from rampfit_numba.plot.ramp import plot_ramp
from rampfit_numba.plot.summaries import plot_jumps, plot_light_curve, plot_pulls

__all__ = ["plot_dq", "plot_jumps", "plot_light_curve", "plot_pulls", "plot_ramp", "plot_rate"]
