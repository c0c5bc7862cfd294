"""OLS ramp fitting written as slowly and obviously as possible: one pixel, one number at a time, float64.

It follows the description of the reference algorithm rule by rule and shares no code with the package, so that the two
can only agree by both being right. ``as_reference=True`` leaves out the package's deliberate deviations.

Written without vectors on purpose. This file holds what concerns the exposure, `block` what concerns one pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tests.cases import (
    FITOPT_PLANES,
    RATE_PLANES,
    SEGMENT_PLANES,
    Case,
    PlainFit,
    bad_readnoise,
    bad_samples,
    flag_missing_rates,
)
from tests.naive.ols.block import C, D, Detector, J, P, Pixel, Ramp, S, fit_block

if TYPE_CHECKING:
    from numpy.typing import NDArray


def fit_tile(case: Case, *, as_reference: bool = False) -> PlainFit | None:
    """Fit an exposure; None where the reference finds nothing to fit."""
    with np.errstate(all="ignore"):
        fit = _fit(case.copy(), as_reference)
    if fit is not None and not as_reference:
        flag_missing_rates(fit.rate, fit.rateints)
    return fit


def _fit(case: Case, as_reference: bool) -> PlainFit | None:
    data, flags, pixeldq, zeroframe = case.data, case.groupdq, case.pixeldq, case.zeroframe
    if not as_reference:
        flags[bad_samples(case)] |= D
        pixeldq[bad_readnoise(case)] |= D
        if zeroframe is not None:
            zeroframe[~np.isfinite(zeroframe)] = 0
    select_groups(flags, case.firstgroup, case.lastgroup)
    ngroups = data.shape[1]
    suppress = case.suppress_one_group and ngroups > 1
    before = flags.copy() if np.any(flags & C) else None
    noise = scaled_readnoise(case.readnoise, case.gain, case.nframes)
    if suppress:
        for i, row, col in np.ndindex(flags.shape[0], *flags.shape[2:]):
            if sum(not int(f) & ~P for f in flags[i, :, row, col]) == 1:
                flags[i, :, row, col] |= D
    if case.instrument == "MIRI" and ngroups > 1:
        first, last = trim_edge_groups(flags)
        if last - first < 2:
            return None
        data, flags = data[:, first:last], flags[:, first:last]
        before = None if before is None else before[:, first:last]
    if np.all(flags[:, 0] & S):
        return None

    frame = np.float64(np.float32(case.frame_time))
    group = np.float64(np.float32(case.group_time))
    lead = ((case.nframes + 1) / 2 + case.drop_frames1) / (case.nframes + case.groupgap)
    pixels: dict[tuple[int, int], Pixel] = {}
    for row, col in np.ndindex(*data.shape[2:]):
        ramps = [
            Ramp(
                [np.float64(v) for v in data[i, :, row, col]],
                [int(f) for f in flags[i, :, row, col]],
                None if before is None else [int(f) for f in before[i, :, row, col]],
            )
            for i in range(data.shape[0])
        ]
        zero = None if zeroframe is None else [np.float64(z) for z in zeroframe[:, row, col]]
        dark = 0.0 if case.average_dark_current is None else case.average_dark_current[row, col]
        detector = Detector(
            gain=np.float64(case.gain[row, col]),
            noise=np.float64(noise[row, col]),
            dark=np.float64(dark),
            group_time=group,
            frame_time=frame,
            one_group_time=(case.nframes + 1) * frame / 2,
            lead=lead,
        )
        pixels[row, col] = fit_block(ramps, int(pixeldq[row, col]), detector, zero, suppress=suppress)
    return collect(pixels, case.save_opt)


def select_groups(flags: NDArray[np.uint8], first: int | None, last: int | None) -> None:
    """Flag the groups outside first..last DO_NOT_USE, in place."""
    final = flags.shape[1] - 1
    first = max(0, 0 if first is None else first)
    last = final if last is None else last
    if first < last:
        for g in range(flags.shape[1]):
            if g < first or g > last:
                flags[:, g] |= D


def scaled_readnoise(readnoise: NDArray[np.float32], gain: NDArray[np.float32], nframes: int) -> NDArray[np.float32]:
    """Return the noise of one group in e-, rounded to float32."""
    scaled = readnoise.astype(np.float64) * (gain.astype(np.float64) / np.sqrt(2.0 * nframes))
    return scaled.astype(np.float32)


def trim_edge_groups(flags: NDArray[np.uint8]) -> tuple[int, int]:
    """Return the bounds of the groups that MIRI keeps; jumps in a new first group are cleared in place."""
    first, last = 0, flags.shape[1]
    while first < last and np.all(flags[:, first] & D):
        first += 1
        if first < last:
            flags[:, first] &= ~np.uint8(J)
    if first < last and np.all(flags[:, last - 1] & D):
        last -= 1
    return first, last


def collect(pixels: dict[tuple[int, int], Pixel], save_opt: bool) -> PlainFit:
    """Round the results to float32 arrays."""
    nrows, ncols = (1 + max(place[axis] for place in pixels) for axis in (0, 1))
    nints = len(pixels[0, 0].ramps)
    rate = {name: np.zeros((nrows, ncols), np.uint32 if name == "dq" else np.float32) for name in RATE_PLANES}
    ints = {name: np.zeros((nints, nrows, ncols), plane.dtype) for name, plane in rate.items()}
    for place, pixel in pixels.items():
        store_rate(rate, place, pixel)
        for i, ramp in enumerate(pixel.ramps):
            store_rate(ints, (i, *place), ramp)
    if not save_opt:
        return PlainFit(rate, ints, None)

    nsegments, njumps = count_tile(pixels)
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(FITOPT_PLANES, (nints, nsegments, nrows, ncols))
    shapes |= {"pedestal": (nints, nrows, ncols), "crmag": (nints, njumps, nrows, ncols)}
    fitopt = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    for (row, col), pixel in pixels.items():
        for i, ramp in enumerate(pixel.ramps):
            for k, segment in enumerate(ramp.segments):
                for name in SEGMENT_PLANES:
                    fitopt[name][i, k, row, col] = getattr(segment, name)
            fitopt["pedestal"][i, row, col] = ramp.pedestal
            for k, jump in enumerate(ramp.jumps):
                fitopt["crmag"][i, k, row, col] = jump
    return PlainFit(rate, ints, fitopt)


def count_tile(pixels: dict[tuple[int, int], Pixel]) -> tuple[int, int]:
    """Return the largest number of segments and of jumps of any ramp."""
    ramps = [ramp for pixel in pixels.values() for ramp in pixel.ramps]
    return max(ramp.reported for ramp in ramps), max(len(ramp.jumps) for ramp in ramps)


def store_rate(planes: dict[str, NDArray[Any]], place: tuple[int, ...], found: Pixel | Ramp) -> None:
    values = (found.slope, found.err, found.dq, found.var_p, found.var_r)
    for name, value in zip(RATE_PLANES, values, strict=True):
        planes[name][place] = value
