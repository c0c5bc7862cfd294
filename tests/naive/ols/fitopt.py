"""Optional results, segment by segment."""

from __future__ import annotations

import numpy as np

from rampfit_numba.kernels.ols.fitopt import SIGSLOPE, SIGYINT, SLOPE, VAR_POISSON, VAR_RNOISE, WEIGHTS, YINT
from rampfit_numba.kernels.ols.pixels import POISSON, READ, READ_LONG, READNOISE, UNFITTABLE
from rampfit_numba.kernels.ols.ramp_status import ZEROFRAME
from tests.naive.ols.segment_fit import line, segment_variances, single_group_time, single_group_variances
from tests.naive.ols.weighting import shape_of_long

S, J = 2, 4


def intercept_noise(shape, centre):
    """That of the intercept, from the inverse of the normal matrix."""
    total = 1 / shape.per_total
    inverse = np.linalg.inv([[total, total * centre], [total * centre, shape.spread + total * centre**2]])
    return np.sqrt(inverse[0, 0])


def store_segment(place, k, begin, length, slope, mean, shape, settings, constants):
    centre, noise = begin + (length - 1) / 2, constants[READNOISE, k]
    per_group = slope / (length**3 - length)
    if length == 2:
        place[SIGSLOPE, k] = place[SIGYINT, k] = 1.41421356 * noise
    else:
        per_group += constants[UNFITTABLE, k]
        noise = abs(noise) + constants[UNFITTABLE, k]
        place[SIGSLOPE, k] = noise / np.sqrt(shape.spread)
        place[SIGYINT, k] = noise * intercept_noise(shape, centre)
    read = constants[READ_LONG if length > 2 else READ, k]
    place[VAR_POISSON, k], place[VAR_RNOISE, k] = segment_variances(constants[POISSON, k], read, length)
    place[SLOPE, k] = per_group / settings.group_time
    place[YINT, k] = mean - per_group * centre
    place[WEIGHTS, k] = np.float64(length**3 - length) / read


def store_clean(fitopt, samples, classes, slope, settings, constants, weights, wanted):
    fitopt.segments[:, 0] = 0
    fitopt.depth[0] = wanted
    for k in range(samples.shape[1]):
        if wanted and classes[k] >= 0:
            mean, *sums = line(samples[:, k].astype(float), int(classes[k]))[1:]
            shape = shape_of_long(len(samples), *sums)
            store_segment(fitopt.segments[:, 0], k, 0, len(samples), slope[k], mean, shape, settings, constants)


def store_segments(fitopt, samples, segments, number, settings, constants, weights, stored):
    stored[...] = 0
    for s in range(number):
        k, n = int(segments.lane[s]), int(segments.length[s])
        begin = int(segments.last[s]) + 1 - n
        if stored[k] < fitopt.segments.shape[1]:
            snr_class = int(segments.row[s]) // (weights.factors.size // 6)
            mean, *sums = line(samples[begin : begin + n, k].astype(float), snr_class)[1:]
            place, shape = fitopt.segments[:, stored[k]], shape_of_long(n, *sums)
            store_segment(place, k, begin, n, segments.slope[s], mean, shape, settings, constants)
        stored[k] += 1
    fitopt.depth[0] = max(fitopt.depth[0], stored.max())


def store_single_group(fitopt, sample, k, status, settings, constants):
    time = single_group_time(int(status), settings)
    variances = single_group_variances(time, constants[POISSON, k], constants[READ, k], settings)
    place = fitopt.segments[:, 0]
    fitopt.depth[0] = max(fitopt.depth[0], 1)
    place[SLOPE, k] = float(sample) / time
    place[VAR_POISSON, k], place[VAR_RNOISE, k] = variances
    place[WEIGHTS, k] = 1 / variances[1]


def store_pedestals(fitopt, samples, settings, flags, slope):
    for k in range(samples.shape[1]):
        value = float(samples[0, k]) - slope[k] * settings.pedestal_groups
        fitopt.pedestal[k] = 0 if flags[k] & S or np.isnan(value) else value


def store_jumps(fitopt, samples, flags, status, replaced_sample, replaced_flag, stored, listed):
    for k in range(samples.shape[1]):
        ramp, marks = [float(value) for value in samples[:, k]], [int(flag) for flag in flags[:, k]]
        if int(status[k]) & int(ZEROFRAME):
            ramp[0], marks[0] = float(replaced_sample[k]), int(replaced_flag[k])
        found = [g for g in range(1, len(ramp)) if marks[g] & J]
        jumps = [np.nan if (marks[g] | marks[g - 1]) & S else ramp[g] - ramp[g - 1] for g in found]
        room = len(fitopt.crmag)
        fitopt.crmag[: len(jumps), k] = jumps[:room]
        stored[k] = len(jumps)
    fitopt.depth[1] = stored.max()
