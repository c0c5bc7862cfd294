"""Small physical simulator of up-the-ramp exposures, for demonstrations, tests and benchmarks.

Files
-----
options.py  what can be chosen, and its defaults
scene.py    what falls on the detector: count rates, gains, read noise, bad pixels
ramps.py    what the detector makes of it: electrons, hits, saturation, frames, groups, flags
headers.py  what a jump-step file says about itself
files.py    a simulation as FITS files, the truth among them on request
raw_files.py  a simulation as plain reads
roman.py    the same as Roman's pipeline has it: reads averaged into resultants, ASDF (and roman_headers.py)
pulls.py    how far fitted rates are from the truth, in units of their errors
"""

from __future__ import annotations

from rampfit_numba.simulate.files import simulation_paths, write_simulation
from rampfit_numba.simulate.options import SimulationOptions
from rampfit_numba.simulate.pulls import Pulls, measure_pulls
from rampfit_numba.simulate.ramps import Simulation, simulate_exposure
from rampfit_numba.simulate.raw_files import READS_BIAS

__all__ = [
    "READS_BIAS",
    "Pulls",
    "Simulation",
    "SimulationOptions",
    "measure_pulls",
    "simulate_exposure",
    "simulation_paths",
    "write_simulation",
]
