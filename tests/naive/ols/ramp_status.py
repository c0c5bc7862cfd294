"""What a ramp's flags say as a whole."""

from __future__ import annotations

import numpy as np

from rampfit_numba.kernels.ols.ramp_status import (
    ALL_SATURATED,
    FIRST_SATURATED,
    NO_USABLE_GROUP,
    SINGLE_FIRST_GROUP,
    ZEROFRAME,
)
from tests.naive.samples import flag_non_finite

D, S, J, P = 1, 2, 4, 32


def gather_flags(samples, bits, flags, found, sums):
    flag_non_finite(bits, flags, 0)
    found[:] = np.bitwise_or.reduce(flags, axis=0)
    return bool(found.any())


def added_bits(value):
    """Return the flags that an integration gets from a ramp with this status."""
    bits = value & (J | P)
    if value & int(NO_USABLE_GROUP):
        bits |= D | S if value & int(ALL_SATURATED) else D
    return bits | D | S if value & int(FIRST_SATURATED) else bits


def ramp_status(  # noqa: C901
    flags,
    zeroframe,
    suppressed,
    settings,
    status,
    added,
    partly_saturated,
    lanes,
    work,
):
    number = 0
    for k in range(flags.shape[1]):
        raw = [int(flag) for flag in flags[:, k]]
        ramp = [raw[0] & ~J, *raw[1:]] if settings.clear_first_jump else raw
        if settings.suppress_one_group:
            good = sum(not flag & ~P for flag in raw) + bool(suppressed.size and suppressed[k])
        else:
            good = sum(not flag for flag in ramp)
        value = 0
        for flag in ramp:
            value |= flag
        saturated = value & S
        if all(flag & S for flag in raw):
            value |= int(ALL_SATURATED)
        if all(flag & (D | S) for flag in raw) or (settings.suppress_one_group and good == 1):
            value |= int(NO_USABLE_GROUP)
        if not settings.suppress_one_group and good == 1 and ramp[0] == 0:
            value |= int(SINGLE_FIRST_GROUP)
        if raw[0] & S:
            value |= int(FIRST_SATURATED)
        bits = added_bits(value)
        rescued = zeroframe.size and np.isfinite(zeroframe[k]) and zeroframe[k] != 0
        if good == 0 and rescued and not settings.suppress_one_group:
            value = value & ~int(NO_USABLE_GROUP | FIRST_SATURATED) | int(ZEROFRAME)
            bits = value & (J | P)
            if len(raw) == 1:
                saturated = 0
        status[k], added[k], partly_saturated[k] = value, bits, saturated
        if value or len(raw) == 1:
            lanes[number] = k
            number += 1
    return number
