"""Segments combined into integrations, and integrations into the exposure, pixel by pixel."""

from __future__ import annotations

import numpy as np

from rampfit_numba.kernels.ols.combine import ERR, SLOPE, VAR_POISSON, VAR_RNOISE
from rampfit_numba.kernels.ols.pixels import POISSON, READ
from tests.naive.ols.segment_fit import segment_variances

D, S = 1, 2


def bounded(variance, largest):
    return 0.0 if variance >= largest else variance


def copy_values(values, plane):
    for k, value in enumerate(values):
        plane[k] = value


def combine_segments(sums, fitted, invalid, number, largest, combined):
    for k in range(number):
        weighted, poisson, read, total = sums[:, k]
        combined[:, k] = 0
        if fitted[k]:
            combined[SLOPE, k] = weighted * bounded(1 / read, largest)
            combined[ERR, k] = 0 if 1 / total > largest else np.sqrt(1 / total)
            combined[VAR_POISSON, k] = bounded(1 / poisson, largest) if poisson > 0 else 0
            combined[VAR_RNOISE, k] = bounded(1 / read, largest)
        if invalid[k]:
            combined[:, k] = np.nan, 0, 0, 0


def combine_clean(ngroups, constants, invalid, largest, combined):
    for k in range(len(invalid)):
        poisson, read = segment_variances(constants[POISSON, k], constants[READ, k], ngroups)
        combined[ERR, k] = 0 if invalid[k] or poisson + read > largest else np.sqrt(poisson + read)
        combined[VAR_POISSON, k] = bounded(poisson, largest) if poisson > 0 and not invalid[k] else 0
        combined[VAR_RNOISE, k] = 0 if invalid[k] else bounded(read, largest)


def combine_integrations(totals, flags, largest, combined):
    for k, flag in enumerate(flags):
        weighted, poisson, read = totals[:, k]
        var_poisson = bounded(1 / poisson, largest) if poisson > 0 else 0
        var_rnoise = bounded(1 / read, largest) if read > 0 else 0
        combined[:, k] = weighted * var_rnoise, np.sqrt(var_poisson + var_rnoise), var_poisson, var_rnoise
        if flag & (D | S):
            combined[:, k] = np.nan, 0, 0, 0
