"""Raw reads made fit for a fit, by passes over the whole array."""

from __future__ import annotations

import numpy as np

from rampfit_numba import dq


def correct_reads(ramps, saturation=None, pedestal=None, linearity=None, invert=None):
    """Return data and flags, made by passes over the whole array."""
    data = ramps.astype(np.float32)
    flags = np.zeros(data.shape, np.uint8)
    if invert is not None:
        data = np.float32(invert) - data
    if saturation is not None:
        over = np.logical_or.accumulate(data >= np.float32(saturation), axis=1)
        flags[over] |= dq.SATURATED
    if isinstance(pedestal, str):
        data = data - data[:, :1]
    elif pedestal is not None:
        data = data - np.float32(pedestal)
    if linearity is not None:
        # In double precision, as the coefficients of a polynomial come in single.
        coefficients = np.asarray(linearity, np.float32).astype(np.float64)
        total = np.zeros(data.shape) + coefficients[-1]
        for c in coefficients[-2::-1]:
            total = total * data + c
        data = total.astype(np.float32)
    return data, flags
