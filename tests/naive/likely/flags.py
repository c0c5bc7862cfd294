"""Flags of integrations and of the exposure, pixel by pixel."""

from __future__ import annotations

import numpy as np

D, S, NO_GAIN = 1, 2, 1 << 19


def integration_flags(flags, jumps, pixeldq, carried, first, result):
    for k in range(first, first + len(pixeldq)):
        result[k] = pixeldq[k - first]
        for flag in [*flags[:, k - first], *jumps[:, k]]:
            result[k] |= int(flag) & int(carried)
        if all(int(flag) & (D | S) for flag in flags[:, k - first]):
            result[k] |= D


def combine_flags(rateints_dq, first, lanes, rate_dq):
    for k in range(first, first + lanes):
        words = [int(word) for word in rateints_dq[:, k]]
        rate_dq[k] = 0
        for word in words:
            rate_dq[k] |= word & ~D
        if all(word & D for word in words):
            rate_dq[k] |= D


def flag_unfitted_joint(gain, slope, first, result):
    for k, value in enumerate(gain):
        if not (np.isfinite(value) and value > 0):
            result[first + k] |= D | NO_GAIN
        elif not np.isfinite(slope[first + k]):
            result[first + k] |= D
