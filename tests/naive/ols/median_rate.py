"""Median rates, by sorting and in double precision."""

from __future__ import annotations

from itertools import pairwise
from statistics import median

import numpy as np

from rampfit_numba.kernels.ols.ramp_status import NO_USABLE_GROUP, SINGLE_FIRST_GROUP, ZEROFRAME

D, S, J = 1, 2, 4
LARGEST = np.finfo(np.float32).max


def add_clean_step(samples, network, differences, step, size, selection):
    for k in range(samples.shape[1]):
        steps = sorted(samples[1:, k].astype(float) - samples[:-1, k].astype(float))
        step[k] += median(steps)
        size[k] += (abs(steps[(len(steps) - 1) // 2]) + abs(steps[len(steps) // 2])) / 2


def add_flagged_step(
    samples,
    flags,
    status,
    lanes,
    number,
    zeroframe,
    settings,
    network,
    differences,
    step,
    size,
    work,
    usable_bits,
    filler,
    sums,
    selection,
):
    for k in range(samples.shape[1]):
        steps = usable_steps(samples[:, k], flags[:, k])
        known, rate = simple_rate(samples[:, k], int(status[k]), zeroframe[k] if zeroframe.size else 0.0, settings)
        if known:
            value = rate * settings.group_time
            magnitude = abs(value)
        elif steps:
            value = median(steps)
            magnitude = (abs(sorted(steps)[(len(steps) - 1) // 2]) + abs(sorted(steps)[len(steps) // 2])) / 2
        else:
            value = 0.0 if flags[0, k] & (D | S) else float(samples[0, k])
            magnitude = abs(value)
        step[k] += value
        size[k] += magnitude


def usable_steps(samples, flags):
    """Return the differences of neighbouring good groups of one ramp that no jump is in."""
    usable = [not (int(a) | int(b)) & (D | S) and not int(b) & J for a, b in pairwise(flags)]
    return [float(samples[g + 1]) - float(samples[g]) for g in range(len(usable)) if usable[g]]


def simple_rate(samples, status, zeroframe, settings):
    """Return whether the rate of a ramp is known without a median, and the rate."""
    if status & int(ZEROFRAME):
        return True, float(zeroframe) / (settings.one_group_time if len(samples) == 1 else settings.frame_time)
    if len(samples) == 1:
        return True, np.nan if status & S else float(samples[0]) / settings.one_group_time
    if status & int(NO_USABLE_GROUP):
        return True, 0.0
    if status & int(SINGLE_FIRST_GROUP):
        return True, float(samples[0]) / settings.one_group_time
    return False, 0.0


def find_cancelled(step, size, dark, cancelled):
    for k in range(step.size):
        left = min(abs(step[k]), abs(step[k] + dark[k]))
        cancelled[k] = left < size[k] / 24 or not size[k] < LARGEST
    return bool(cancelled.any())


def is_exact(ramps, lane, step, size, dark):
    """Single precision is enough where the differences are exact, and not all of them is lost in the sum."""
    if size >= LARGEST or min(abs(step), abs(step + dark)) < 1e-9 * size:
        return False
    before, after = ramps.samples[:, :-1, lane], ramps.samples[:, 1:, lane]
    return bool(np.all((after - before).astype(float) == after.astype(float) - before.astype(float)))


def exact_rate(ramps, lane, status, settings, differences):
    total = 0.0
    for i in range(len(status)):
        samples, flags = ramps.samples[i, :, lane], ramps.flags[i, :, lane]
        zeroframe = ramps.zeroframe[i, lane] if ramps.zeroframe.size else 0.0
        known, rate = simple_rate(samples, int(status[i]), zeroframe, settings)
        steps = usable_steps(samples, flags)
        if known:
            total += rate
        elif steps:
            total += median(steps) / settings.group_time
        elif not flags[0] & (D | S):
            total += float(samples[0]) / settings.group_time
    return total
