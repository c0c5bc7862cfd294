"""First part of the fit of a block: the status of each ramp, and the median rate of each pixel, which weights go by."""

from __future__ import annotations

import numpy as np
from numba import types

from rampfit_numba.kernels._jit import LANES, jit_apart
from rampfit_numba.kernels.ols import ramp_status
from rampfit_numba.kernels.ols import workspace as rows
from rampfit_numba.kernels.ols.median_rate import (
    add_clean_step,
    add_flagged_step,
    exact_rate,
    find_cancelled,
    is_exact,
)

_ZEROFRAME = ramp_status.ZEROFRAME


@jit_apart(types.none)
def find_rates(ramps, settings, network, workspace):
    """Find a block's statuses and median rates, and put zeroframe samples in the place of group 0."""
    nints = ramps.samples.shape[0]
    has_flags, status, flagged, nflagged = workspace.has_flags, workspace.status, workspace.flagged, workspace.nflagged
    differences, doubles, work, singles = workspace.differences, workspace.doubles, workspace.bytes, workspace.singles
    block_flags, replaced_sample = workspace.flags, workspace.replaced_sample
    added, partly_saturated, replaced_flag = (
        block_flags[rows.ADDED],
        block_flags[rows.PARTLY_SATURATED],
        block_flags[rows.REPLACED_FLAG],
    )
    step, size = doubles[rows.RATE], doubles[rows.SIZE]  # both are sums, until the sum of the steps becomes a rate
    for k in range(LANES):
        step[k] = size[k] = 0.0
    for i in range(nints):
        samples, flags, zeroframe = ramps.samples[i], ramps.flags[i], ramps.zeroframe[i]
        if not has_flags[i]:
            nflagged[i] = 0
            status[i] = 0
            added[i] = 0
            partly_saturated[i] = 0
            add_clean_step(samples, network, differences, step, size, workspace.selection)
            continue
        lanes = flagged[i]
        number = ramp_status.ramp_status(
            flags, zeroframe, ramps.suppressed[i], settings, status[i], added[i], partly_saturated[i], lanes, work
        )
        nflagged[i] = number
        add_flagged_step(
            samples,
            flags,
            status[i],
            lanes,
            number,
            zeroframe,
            settings,
            network,
            differences,
            step,
            size,
            work,
            workspace.usable_bits,
            singles,
            doubles[rows.WORK : rows.WORK + 2],
            workspace.selection,
        )
        for a in range(number):
            k = lanes[a]
            if (status[i, k] & _ZEROFRAME) != 0:
                replaced_sample[i, k] = samples[0, k]
                replaced_flag[i, k] = flags[0, k]
                samples[0, k] = zeroframe[k]
                flags[0, k] = 0
    rate, cancelled, total_time = step, doubles[rows.WORK + 1], nints * settings.group_time
    dark, dark_step = ramps.dark, doubles[rows.WORK]
    for k in range(LANES):
        dark_step[k] = dark[k] * total_time
    if find_cancelled(step, size, dark_step, cancelled):
        for k in range(LANES):
            if cancelled[k] > 0 and not is_exact(ramps, k, step[k], size[k], dark_step[k]):
                step[k] = exact_rate(ramps, k, status[:, k], settings, workspace.values) * settings.group_time
    to_mean = 1.0 / total_time
    for k in range(LANES):
        rate[k] = step[k] * to_mean
    for k in range(LANES):
        rate[k] = rate[k] + dark[k] if rate[k] > 0 else np.float64(dark[k])
