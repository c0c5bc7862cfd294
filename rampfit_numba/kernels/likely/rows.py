"""The engine's only entry to the likelihood algorithm: fit the ramps of some rows, tile by tile."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels.likely.combine import RESULTS
from rampfit_numba.kernels.likely.joint import fit_joint_tile
from rampfit_numba.kernels.likely.loading import TileLoader
from rampfit_numba.kernels.likely.table import difference_table, sole_table
from rampfit_numba.kernels.likely.thresholds import most_chisq
from rampfit_numba.kernels.likely.tile import LikelyResult, fit_likely_tile
from rampfit_numba.kernels.median_network import middle_network

if TYPE_CHECKING:
    from rampfit_numba.kernels.likely.loading import Tile
    from rampfit_numba.kernels.likely.read_pattern import ReadPattern
    from rampfit_numba.kernels.loading import RowInputs, Window

#: Above so many differences of all integrations, their median is found pixel by pixel.
LONGEST_NETWORK = 4096


class LikelyRules(NamedTuple):
    """What holds for every pixel of an exposure.

    Attributes
    ----------
    pattern : ReadPattern
        With one group more than the exposure where the first one is split.
    threshold_one, threshold_two : float
        See :func:`thresholds.thresholds`.
    joint : bool
        One covariance and one rate for all integrations of a pixel, instead of the pipeline's rules.
    split_zeroframe : bool
        Group 0 is split into the zeroframe and the mean of its other frames; the inputs then have a zeroframe.
    nframes : int
        Frames of group 0 before it is split.
    first_used, last_used : int
        Groups outside this inclusive range count as DO_NOT_USE; none is ever dropped.
    pedestal_mean, pedestal_sigma : float
        What is known of the level that the ramps start from, in DN, with `joint`; NaN for nothing.
    """

    pattern: ReadPattern
    threshold_one: float
    threshold_two: float
    joint: bool
    split_zeroframe: bool
    nframes: int
    first_used: int
    last_used: int
    pedestal_mean: float = float("nan")
    pedestal_sigma: float = float("nan")


class LikelyOutputs(NamedTuple):
    """Outputs of some rows, which are the last axis but one of every array.

    Attributes
    ----------
    slope, err, var_poisson, var_rnoise, chisq : ndarray of float32, shape (nrows, ncols)
        In DN/s and (DN/s)^2.
    dq : ndarray of uint32, shape (nrows, ncols)
    dof : ndarray of int32, shape (nrows, ncols)
        Differences that were used; one more than the degrees of freedom of `chisq` in each fit.
    slope_ints, err_ints, var_poisson_ints, var_rnoise_ints, chisq_ints, dq_ints, dof_ints
        The same of each integration, shape (nints, nrows, ncols).
    groupdq : ndarray of uint8, shape (nints, ngroups, nrows, ncols)
        The flags of the input, and JUMP_DET where a jump was found.
    """

    slope: np.ndarray
    err: np.ndarray
    var_poisson: np.ndarray
    var_rnoise: np.ndarray
    dq: np.ndarray
    slope_ints: np.ndarray
    err_ints: np.ndarray
    var_poisson_ints: np.ndarray
    var_rnoise_ints: np.ndarray
    dq_ints: np.ndarray
    chisq: np.ndarray
    chisq_ints: np.ndarray
    dof: np.ndarray
    dof_ints: np.ndarray
    groupdq: np.ndarray


def fit_likely_rows(inputs: RowInputs, outputs: LikelyOutputs, rules: LikelyRules) -> None:
    """Fit all ramps of `inputs`, which have four or more groups, into `outputs`.

    Parameters
    ----------
    inputs : RowInputs
        Not modified.
    outputs : LikelyOutputs
        Written whole.
    rules : LikelyRules
    """
    loader = TileLoader(inputs, rules)
    nints = inputs.data.shape[0]
    table = difference_table(rules.pattern)
    count = table.shape[0] - 1
    limits = rules.threshold_one, rules.threshold_two
    room = _ResultRoom(nints, count + 1, loader.most_pixels)
    if rules.joint:
        # The network for 100 000 takes 5 s and 1.5 GB to make.
        network = middle_network(nints * count if nints * count <= LONGEST_NETWORK else 1)
        largest = most_chisq(count, rules.threshold_two)
        sole = sole_table(rules.pattern, rules.pedestal_mean, rules.pedestal_sigma, zeroframe=rules.split_zeroframe)
    else:
        network, integrations_network = middle_network(count), middle_network(nints)
    for window in loader.windows:
        tile = loader.load(window)
        if rules.split_zeroframe:
            tile = _split(tile, rules)
        result = room.of(tile.pixeldq.size)
        if rules.joint:
            fit_joint_tile(tile, table, sole, limits, largest, network, result)
        else:
            fit_likely_tile(tile, table, limits, network, integrations_network, result)
        _store(result, inputs, outputs, window)


def _split(tile: Tile, rules: LikelyRules) -> Tile:
    """Split group 0 into the zeroframe and the mean of its other frames, in single precision as the pipeline does.

    Both inherit the flags of group 0. With `joint`, the zeroframe has flags of its own: it is not saturated because the
    frames after it are, and 0 means that it cannot be used, so the others' mean is not known either.
    """
    first, flags = tile.samples[:, 0], tile.flags[:, 0]
    zeroframe, nframes = tile.zeroframe, np.float32(rules.nframes)
    with np.errstate(all="ignore"):
        others = (first * nframes - zeroframe) / (nframes - np.float32(1))
    zeroframe_flags = flags
    if rules.joint:
        bad = np.where(np.isfinite(zeroframe) & (zeroframe != 0), np.uint8(0), np.uint8(dq.DO_NOT_USE))
        zeroframe_flags = (flags & ~np.uint8(dq.SATURATED)) | bad
        flags = flags | bad
    samples = np.concatenate([zeroframe[:, None], others[:, None], tile.samples[:, 1:]], axis=1)
    flags = np.concatenate([zeroframe_flags[:, None], flags[:, None], tile.flags[:, 1:]], axis=1)
    return tile._replace(samples=samples, bits=samples.view(np.int32), flags=flags)


class _ResultRoom:
    """Buffers for the results of one tile, allocated once."""

    def __init__(self, nints: int, ngroups: int, most_pixels: int) -> None:
        self._nints = nints
        self._ngroups = ngroups
        self._floats = np.empty(RESULTS * (nints + 1) * most_pixels, np.float32)
        self._dq = np.empty((nints + 1) * most_pixels, np.uint32)
        self._jumps = np.empty(nints * ngroups * most_pixels, np.uint8)

    def of(self, npixels: int) -> LikelyResult:
        """Return room for `npixels` pixels."""
        nints, ngroups = self._nints, self._ngroups
        rate, rateints = RESULTS * npixels, RESULTS * nints * npixels
        jumps = self._jumps[: nints * ngroups * npixels].reshape(nints, ngroups, npixels)
        jumps[...] = 0
        return LikelyResult(
            rate=self._floats[:rate].reshape(RESULTS, npixels),
            rate_dq=self._dq[:npixels],
            rateints=self._floats[rate : rate + rateints].reshape(RESULTS, nints, npixels),
            rateints_dq=self._dq[npixels : npixels * (nints + 1)].reshape(nints, npixels),
            jumps=jumps,
        )


def _store(result: LikelyResult, inputs: RowInputs, outputs: LikelyOutputs, window: Window) -> None:
    """Copy the results to their place in the outputs."""
    npixels = window.shape[0] * window.shape[1]
    slope, err, var_poisson, var_rnoise, chisq, used = result.rate
    slopes, errs, var_poissons, var_rnoises, chisqs, useds = result.rateints
    planes = (
        *(slope, err, var_poisson, var_rnoise, result.rate_dq),
        *(slopes, errs, var_poissons, var_rnoises, result.rateints_dq),
        *(chisq, chisqs, used, useds),
    )
    for output, plane in zip(outputs[:-1], planes, strict=True):
        output[..., window.rows, window.columns] = plane[..., :npixels].reshape(*plane.shape[:-1], *window.shape)
    ngroups = inputs.groupdq.shape[1]
    found = result.jumps[:, result.jumps.shape[1] - ngroups :, :npixels]
    flags = inputs.groupdq[:, :, window.rows, window.columns].astype(np.uint8, copy=False)
    np.bitwise_or(flags, found.reshape(flags.shape), out=outputs.groupdq[:, :, window.rows, window.columns])
