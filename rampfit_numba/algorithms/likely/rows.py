"""The engine's only entry to the likelihood algorithm: fit the ramps of some rows, tile by tile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rampfit_numba import dq
from rampfit_numba.algorithms.blocks import AllGroups, InputPointers
from rampfit_numba.algorithms.likely.tables import difference_table, single_group_table
from rampfit_numba.algorithms.likely.thresholds import most_chisq
from rampfit_numba.algorithms.median_network import middle_network
from rampfit_numba.algorithms.rows import MOST_SAMPLES, fitting_pixels
from rampfit_numba.kernels._jit import LANES
from rampfit_numba.kernels.blocks import Ramps, empty_ramps
from rampfit_numba.kernels.likely.arrays import LikelyResult
from rampfit_numba.kernels.likely.combine import RESULTS
from rampfit_numba.kernels.likely.joint import fit_joint_tile
from rampfit_numba.kernels.likely.tile import fit_likely_tile
from rampfit_numba.kernels.vectors import WIDTH

if TYPE_CHECKING:
    from rampfit_numba.algorithms.likely.rules import LikelyOutputs, LikelyRules
    from rampfit_numba.algorithms.rows import RowInputs, Tile

#: Above so many values, be it the differences of all integrations or their rates, a median is found pixel by pixel.
LONGEST_NETWORK = 4096


def fit_likely_rows(inputs: RowInputs, outputs: LikelyOutputs, rules: LikelyRules) -> int:
    """Fit all ramps of `inputs`, which have four or more groups, into `outputs`.

    Parameters
    ----------
    inputs : RowInputs
        Not modified.
    outputs : LikelyOutputs
        Written whole.
    rules : LikelyRules

    Returns
    -------
    int
        The number of jumps found.
    """
    nints, ngroups = inputs.data.shape[:2]
    # The flags are read from the exposure once, and from here on from the output, in the cache.
    copied = inputs._replace(groupdq=outputs.groupdq)
    groups = AllGroups(ngroups, rules.first_used, rules.last_used, rules.reads)
    lanes = _lanes(nints, ngroups, copied.readnoise.size)
    input_pointers = InputPointers(copied, groups, fitting_pixels(nints, ngroups, in_place=False), lanes)
    loaded = ramps = None
    table = difference_table(rules.pattern)
    count = table.shape[0] - 1
    limits = rules.threshold_one, rules.threshold_two
    buffers = _ResultBuffers(nints, count + 1, _whole(input_pointers.tiles.pixels, lanes))
    if rules.joint:
        network = _network(nints * count)
        largest = most_chisq(count, rules.threshold_two)
        single_group = single_group_table(
            rules.pattern, rules.pedestal_mean, rules.pedestal_sigma, zeroframe=rules.split_zeroframe
        )
    else:
        network, integrations_network = middle_network(count), _network(nints)
    jumps = 0
    for tile in input_pointers.tiles:
        flags = outputs.groupdq[:, :, tile.rows, tile.columns]
        flags[...] = inputs.groupdq[:, :, tile.rows, tile.columns]
        pointers = input_pointers.at(tile)
        if loaded is None or ramps is None:
            loaded = empty_ramps(pointers, lanes)
            ramps = _with_split_group(loaded) if rules.split_zeroframe else loaded
        result = buffers.of(_whole(pointers.npixels, lanes))
        block = pointers, loaded, ramps, np.float32(rules.nframes), table
        if rules.joint:
            fit_joint_tile(*block, single_group, limits, largest, network, result)
        else:
            fit_likely_tile(*block, limits, network, integrations_network, result)
        corrected = None if rules.reads is None else input_pointers.corrected_flags(pointers.npixels)
        jumps += _store(result, outputs, tile, corrected)
    return jumps


def _network(length: int) -> np.ndarray:
    """Return the network for a median of so many values, an empty one for a great many: 70,000 take 5 s to make one."""
    return middle_network(length if length <= LONGEST_NETWORK else 1)


def _lanes(nints: int, ngroups: int, npixels: int) -> int:
    """Return the pixels of a block: LANES, but no more than there are, and few of tens of thousands of integrations.

    A block and its results take memory for all integrations: 70,000 of 6 groups 6 MB a pixel.
    """
    most = MOST_SAMPLES // (nints * ngroups)
    return min(LANES, max(most - most % WIDTH, WIDTH), _whole(npixels, WIDTH))


def _whole(npixels: int, size: int) -> int:
    """Return the number of pixels of the blocks of `size` that `npixels` are in."""
    return -(-npixels // size) * size


def _with_split_group(loaded: Ramps) -> Ramps:
    """Return arrays for the same ramps with a group more."""
    nints, ngroups, lanes = loaded.samples.shape
    samples = np.zeros((nints, ngroups + 1, lanes), np.float32)
    return loaded._replace(samples=samples, bits=samples.view(np.int32), flags=np.zeros(samples.shape, np.uint8))


class _ResultBuffers:
    """Buffers for the results of one tile, allocated once."""

    def __init__(self, nints: int, ngroups: int, most_pixels: int) -> None:
        self._nints = nints
        self._ngroups = ngroups
        self._floats = np.empty(RESULTS * (nints + 1) * most_pixels, np.float32)
        self._dq = np.empty((nints + 1) * most_pixels, np.uint32)
        self._jumps = np.empty(nints * ngroups * most_pixels, np.uint8)

    def of(self, npixels: int) -> LikelyResult:
        """Return those of `npixels` pixels."""
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


def _store(result: LikelyResult, outputs: LikelyOutputs, tile: Tile, found: np.ndarray | None) -> int:
    """Copy the results to their place in the outputs, whose groupdq holds the flags of the input already.

    Of the flags `found` in raw reads, those of saturation are added, too. The number of new jumps is returned.
    """
    npixels = tile.shape[0] * tile.shape[1]
    slope, err, var_poisson, var_rnoise, chisq, dof = result.rate
    slopes, errs, var_poissons, var_rnoises, chisqs, dofs = result.rateints
    planes = (
        *(slope, err, var_poisson, var_rnoise, result.rate_dq),
        *(slopes, errs, var_poissons, var_rnoises, result.rateints_dq),
        *(chisq, chisqs, dof, dofs),
    )
    for output, plane in zip(outputs[:-1], planes, strict=True):
        output[..., tile.rows, tile.columns] = plane[..., :npixels].reshape(*plane.shape[:-1], *tile.shape)
    flags = outputs.groupdq[:, :, tile.rows, tile.columns]
    jumps = result.jumps[:, result.jumps.shape[1] - flags.shape[1] :, :npixels].reshape(flags.shape)
    number = int(np.count_nonzero(jumps & ~flags))
    flags |= jumps
    if found is not None:
        flags |= (found & np.uint8(dq.SATURATED)).reshape(flags.shape)
    return number
