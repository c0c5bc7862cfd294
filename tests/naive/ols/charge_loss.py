"""Read-noise variances as if charge loss had not been flagged, pixel by pixel."""

from __future__ import annotations

from rampfit_numba.kernels.ols.combine import VAR_RNOISE
from rampfit_numba.kernels.ols.pixels import READ, READ_LONG
from rampfit_numba.kernels.ols.ramp_status import ZEROFRAME
from tests.naive.ols.block import find_segments
from tests.naive.ols.combine import bounded
from tests.naive.ols.segment_fit import segment_variances, single_group_time, single_group_variances

D, CHARGELOSS = 1, 128


def has_charge_loss(status):
    return any(int(value) & CHARGELOSS for value in status.ravel())


def recompute_read_variances(
    flags,
    settings,
    status,
    replaced_flag,
    constants,
    read_variances,
    runs,
    rate,
    affected,
    left_out,
    total,
):
    for k in range(flags.shape[2]):
        weights, lossy = 0.0, False
        for i in range(flags.shape[0]):
            if not int(status[i, k]) & CHARGELOSS:
                weights += 1 / read_variances[i, k] if read_variances[i, k] > 0 else 0
                continue
            lossy = True
            ramp = [int(flag) for flag in flags[i, :, k]]
            if int(status[i, k]) & int(ZEROFRAME):
                ramp[0] = int(replaced_flag[i, k])
            ramp = [flag ^ (CHARGELOSS | D) if flag & CHARGELOSS else flag for flag in ramp]
            here = 0.0
            for _, n in find_segments(ramp)[0]:
                if n == 1:
                    time = single_group_time(int(status[i, k]), settings)
                    variance = single_group_variances(time, 0.0, constants[READ, k], settings)[1]
                else:
                    variance = segment_variances(0.0, constants[READ_LONG if n > 2 else READ, k], n)[1]
                here += 1 / variance if variance > 0 else 0
            read_variances[i, k] = bounded(1 / here, settings.largest_variance) if here > 0 else 0
            weights += here
        if lossy and weights > 0:
            rate[VAR_RNOISE, k] = bounded(1 / weights, settings.largest_variance)
