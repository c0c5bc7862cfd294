"""Simulated exposures as plain detector reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from astropy.io import fits

    from rampfit_numba.simulate.ramps import Simulation

#: Bias of simulated reads in DN, so that noise does not take them below 0.
READS_BIAS = 1000.0
_LARGEST = 65535


def reads_hdulist(simulation: Simulation) -> fits.HDUList:
    """Return a file of raw reads: a cube of uint16 in the primary HDU, of several integrations with a fourth axis."""
    from astropy.io import fits

    options = simulation.options
    reads = np.clip(np.rint(simulation.exposure.data), 0, _LARGEST).astype(np.uint16)
    header = fits.Header()
    header["BUNIT"] = ("ADU", "raw counts")
    header["FRMTIME"] = (options.frame_time, "[s] time from frame to frame")
    header["NFRAMES"] = (options.nframes, "frames averaged in each read")
    header["GROUPGAP"] = (options.groupgap, "frames skipped after each read")
    header["GAIN"] = (options.gain, "[e-/ADU] mean gain")
    header["RDNOISE"] = (options.readnoise / np.sqrt(2), "[ADU] median noise of a single frame")
    header["SATURATE"] = (options.saturation, "[ADU] level at which pixels are full")
    header["HISTORY"] = f"Simulated by rampfit_numba with seed {simulation.seed}: no telescope has seen this."
    values = reads if len(reads) > 1 else reads[0]
    values.flags.writeable = False  # or astropy would swap its bytes in place
    return fits.HDUList([fits.PrimaryHDU(values, header)])
