"""Chi-square of the samples around the lines of the segments, block by block.

Source: Brandt 2024a (PASP 136, 045004), equations 4, 11, 28 and 29: read noise is independent from group to group, and
photon noise adds up along the ramp, so differences of neighbouring groups have a tridiagonal covariance. It is
eliminated by pivots, from the first difference of a segment on, and the best slope is brought up to date with every
difference: a sum of squares alone, of which none is small because two large ones cancel.

Groups are evenly spaced: what depends on the place of a difference in its segment is found once for all segments of a
pixel.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rampfit_numba.kernels._jit import LANES, jit, jit_entry
from rampfit_numba.kernels.blocks import load_block, pad_block
from rampfit_numba.kernels.ols import ramp_status
from rampfit_numba.kernels.ols.block_rates import find_rates
from rampfit_numba.kernels.ols.segments import find_runs
from rampfit_numba.kernels.ols.workspace import RATE

_UNFITTED = ramp_status.NO_USABLE_GROUP | ramp_status.FIRST_SATURATED
_PAIR, _FEW = 2, 3
#: Rows of `sums`.
_RESIDUAL, _ERROR, _SLOPE, _CHISQ, _TOTAL, _SUMS = range(6)


class ChisqWorkspace(NamedTuple):
    """What :func:`find_chisq` works in.

    Attributes
    ----------
    factor, time, weight, gain : ndarray of float64, shape (ngroups, LANES)
        Row j is for the difference of groups j and j + 1 of a segment: the share of the difference before that is taken
        from it; the time, in s, that is left of it; the weight of its squared distance from the line so far, in DN^-2;
        and what moves the slope by that distance, in 1/s.
    sums : ndarray of float64, shape (5, LANES)
    usable, left_out : ndarray of bool, shape (LANES,)
        Pixels with finite noise; ramps without segments.
    degrees : ndarray of int32, shape (LANES,)
    """

    factor: np.ndarray
    time: np.ndarray
    weight: np.ndarray
    gain: np.ndarray
    sums: np.ndarray
    usable: np.ndarray
    left_out: np.ndarray
    degrees: np.ndarray


def chisq_workspace(ngroups: int) -> ChisqWorkspace:
    """Return :class:`ChisqWorkspace` for ramps of `ngroups` groups."""
    factor, time, weight, gain = np.zeros((4, ngroups, LANES), np.float64)
    return ChisqWorkspace(
        factor=factor,
        time=time,
        weight=weight,
        gain=gain,
        sums=np.zeros((_SUMS, LANES), np.float64),
        usable=np.empty(LANES, np.bool_),
        left_out=np.empty(LANES, np.bool_),
        degrees=np.empty(LANES, np.int32),
    )


@jit_entry
def find_chisq(pointers, settings, early, network, ramps, runs, block, workspace, chisq, dof):
    """Find the chi-squares of all ramps of a tile, and their degrees of freedom.

    Parameters
    ----------
    pointers : BlockPointers
    settings : Settings
    early : float
        By how much the mean time of a group's frames is later than the time up to which its photon noise counts, in s.
    network : ndarray of int64, shape (exchanges, 3)
        See :func:`middle_network`.
    ramps : Ramps
        Overwritten, as are `runs`, `block` and `workspace`.
    runs : RunLengths
    block : BlockWorkspace
    workspace : ChisqWorkspace
    chisq, dof : ndarray of float32 and int32, shape (1 + nints, npixels) or longer
        Results: of the exposure, and of each integration. Ramps without segments have 0 and 0; those with segments have
        a chi-square of NaN where the noise is not finite.

    Formula
    -------
    chisq = sum over segments, min over b: (D - b t_g)' C^-1 (D - b t_g)
    C_jj    = p (t_g - 2 e) + 2 r^2
    C_j,j+1 = p e - r^2
    dof     = sum over segments: n - 2

    Source
    ------
    Brandt 2024a (PASP 136, 045004), equations 28 and 29, for evenly spaced groups: the times of equations 4 and 11
    differ by e, and all differences D are multiplied with the group time t_g. Section 2 of ``docs/likelihood.md``.

    Units
    -----
    D (differences of n groups) in DN, the slope b in DN/s, C in DN^2, p = rate / gain in DN^2/s, r^2 (read noise of a
    group) in DN^2, times in s.
    """
    nints, ngroups = pointers.samples.shape
    sums, degrees, left_out = workspace.sums, workspace.degrees, workspace.left_out
    chi, total = sums[_CHISQ], sums[_TOTAL]
    for first in range(0, pointers.npixels, LANES):
        number = min(LANES, pointers.npixels - first)
        load_block(pointers, first, ramps)
        pad_block(ramps, number)
        for i in range(nints):
            some = ramp_status.gather_flags(
                ramps.samples[i], ramps.bits[i], ramps.flags[i], block.bytes[0], block.singles
            )
            block.has_flags[i] = some or ngroups == 1
        find_rates(ramps, settings, network, block)
        _find_tables(ramps, settings, block.doubles[RATE], early, workspace)
        for k in range(LANES):
            total[k] = 0.0
            degrees[k] = 0
        for i in range(nints):
            samples, flagged = ramps.samples[i], block.nflagged[i]
            if flagged < LANES:
                _sum_clean(samples, workspace)
            of_clean = max(ngroups - _PAIR, 0)
            chisq_now, dof_now = chisq[1 + i], dof[1 + i]
            for k in range(number):
                dof_now[first + k] = of_clean
            if flagged > 0:
                status = block.status[i]
                for k in range(LANES):
                    left_out[k] = (status[k] & _UNFITTED) != 0
                find_runs(ramps.flags[i], settings.clear_first_jump, left_out, runs)
                for a in range(flagged):
                    lane = np.int64(block.flagged[i, a])
                    if lane < number:
                        dof_now[first + lane] = _sum_segments(samples, runs.length, lane, workspace)
            for k in range(number):
                total[k] += chi[k]
                degrees[k] += dof_now[first + k]
                chisq_now[first + k] = chi[k]
        for k in range(number):
            chisq[0, first + k] = total[k]
            dof[0, first + k] = degrees[k]


@jit
def _find_tables(ramps, settings, rate, early, workspace):
    """Eliminate the covariance of the differences of each pixel's segments; `rate` in DN/s."""
    usable, step, information = workspace.usable, settings.group_time, workspace.sums[_SLOPE]
    variance, shared = workspace.sums[_RESIDUAL], workspace.sums[_ERROR]
    pivot = workspace.sums[_CHISQ]
    for k in range(LANES):
        photon = rate[k] / np.float64(ramps.gain[k])
        noise = np.float64(ramps.readnoise[k]) / settings.readnoise_scale
        read = noise * noise
        usable[k] = np.isfinite(photon) and np.isfinite(read)
        photon = photon if photon > 0 else 0.0
        variance[k] = photon * (step - 2.0 * early) + 2.0 * read
        shared[k] = photon * early - read
    for j in range(workspace.factor.shape[0] - 1):
        factor, time, weight, gain = workspace.factor[j], workspace.time[j], workspace.weight[j], workspace.gain[j]
        if j == 0:
            for k in range(LANES):
                factor[k] = weight[k] = 0.0
                time[k] = step
                gain[k] = 1.0 / step
                pivot[k] = variance[k]
                information[k] = step * step / variance[k]
            continue
        before = workspace.time[j - 1]
        for k in range(LANES):
            factor[k] = shared[k] / pivot[k]
            pivot[k] = variance[k] - factor[k] * shared[k]
        for k in range(LANES):
            time[k] = step - factor[k] * before[k]
        for k in range(LANES):
            per_pivot = 1.0 / pivot[k]
            known = information[k]
            information[k] = known + time[k] * time[k] * per_pivot
            per_known = per_pivot / information[k]
            weight[k] = known * per_known
            gain[k] = time[k] * per_known


@jit
def _sum_clean(samples, workspace):
    """Sum up a block of ramps that are one segment each; its first two groups leave nothing."""
    residual, error, slope = workspace.sums[_RESIDUAL], workspace.sums[_ERROR], workspace.sums[_SLOPE]
    chi, usable = workspace.sums[_CHISQ], workspace.usable
    for k in range(LANES):
        residual[k] = slope[k] = chi[k] = 0.0
    # Loops over few arrays each: with more, the compiler does not check that they are apart, and uses no vectors.
    for g in range(1, samples.shape[0]):
        before, here = samples[g - 1], samples[g]
        factor, time, weight, gain = (
            workspace.factor[g - 1],
            workspace.time[g - 1],
            workspace.weight[g - 1],
            workspace.gain[g - 1],
        )
        for k in range(LANES):
            residual[k] = np.float64(here[k]) - np.float64(before[k]) - factor[k] * residual[k]
        for k in range(LANES):
            error[k] = residual[k] - time[k] * slope[k]
        for k in range(LANES):
            chi[k] += weight[k] * error[k] * error[k]
        for k in range(LANES):
            slope[k] += gain[k] * error[k]
    for k in range(LANES):
        chi[k] = chi[k] if usable[k] else np.nan


@jit
def _sum_segments(samples, length, k, workspace):
    """Sum up the segments of lane `k`, as :class:`RunLengths` has them, and return their degrees of freedom."""
    residual = slope = chi = 0.0
    degrees, found = np.int64(0), False
    for g in range(samples.shape[0]):
        n = np.int64(length[g, k])
        if n > 0:
            found = True
        if n < _PAIR:
            continue
        j = n - _PAIR
        if j == 0:
            residual = slope = 0.0
        step = np.float64(samples[g, k]) - np.float64(samples[g - 1, k])
        residual = step - workspace.factor[j, k] * residual
        error = residual - workspace.time[j, k] * slope
        chi += workspace.weight[j, k] * error * error
        slope += workspace.gain[j, k] * error
        if n >= _FEW:
            degrees += np.int64(1)
    workspace.sums[_CHISQ, k] = np.nan if found and not workspace.usable[k] else chi
    return degrees
