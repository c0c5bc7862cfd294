"""The ramps of chosen pixels, taken out of what was fitted, and the times of their samples."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rampfit_numba import dq
from rampfit_numba.algorithms.corrections import read_rules
from rampfit_numba.algorithms.ols.general import group_step, is_general
from rampfit_numba.algorithms.read_pattern import even_read_times, read_pattern
from rampfit_numba.algorithms.rows import as_single
from rampfit_numba.checks import to_array
from rampfit_numba.file_arrays import FileArray
from rampfit_numba.kernels.corrections import correct_reads
from rampfit_numba.mapped_arrays import as_file_array
from rampfit_numba.registry import ALGORITHMS
from rampfit_numba.result import RampFit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from rampfit_numba.exposure import Exposure
    from rampfit_numba.options import FitOptions
    from rampfit_numba.result import FitInputs


class PixelRamps(NamedTuple):
    """Everything that the fit of some pixels depends on.

    Attributes
    ----------
    rows, columns : ndarray of int64, shape (npixels,)
    samples : ndarray of float32, shape (npixels, nints, ngroups)
        In DN.
    flags : ndarray of uint8, shape (npixels, nints, ngroups)
        As the exposure has them.
    pixeldq : ndarray of uint32, shape (npixels,)
    readnoise, gain, dark : ndarray of float32, shape (npixels,)
        CDS noise in DN, e-/DN, DN/s.
    zeroframe : ndarray of float32, shape (npixels, nints), or None
        In DN.
    """

    rows: np.ndarray
    columns: np.ndarray
    samples: np.ndarray
    flags: np.ndarray
    pixeldq: np.ndarray
    readnoise: np.ndarray
    gain: np.ndarray
    dark: np.ndarray
    zeroframe: np.ndarray | None


def inputs_of(fit: RampFit) -> FitInputs:
    """Return what was fitted.

    Raises
    ------
    TypeError
        `fit` is no result of a fit.
    ValueError
        It does not know what was fitted.
    """
    if not isinstance(fit, RampFit):
        raise TypeError(f"fit: expected a RampFit; got {type(fit).__name__}")
    if fit.inputs is None:
        raise ValueError("fit: expected one that knows what was fitted; its inputs are None (fit the exposure again)")
    return fit.inputs


def is_ols(fit: RampFit) -> bool:
    """Tell whether the fit has a line for every segment; otherwise it has one rate an integration."""
    return ALGORITHMS[fit.options.algorithm].package == "ols"


def pixel_positions(exposure: Exposure, x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the pixels at column `x` and row `y`, each an array of shape (npixels,).

    Raises
    ------
    TypeError
        Positions are no integers.
    ValueError
        Positions are beyond the exposure, or `x` and `y` are of different lengths.
    """
    found = []
    for name, value, size in (("x", x, exposure.ncols), ("y", y, exposure.nrows)):
        position = to_array(name, value, "an integer, or several")
        if position.size == 0:
            position = np.zeros(position.shape, np.int64)
        if position.dtype.kind not in "iu":
            raise TypeError(f"{name}: expected an integer, or several; got {value!r}")
        bad = (position < 0) | (position >= size)
        if bad.any():
            axis = "column" if name == "x" else "row"
            raise ValueError(f"{name}: expected a {axis} from 0 to {size - 1}; got {position[bad].flat[0]}")
        found.append(position.astype(np.int64))
    try:
        columns, rows = np.broadcast_arrays(*found)
    except ValueError:
        shapes = f"shapes {found[0].shape} and {found[1].shape}"
        raise ValueError(f"x, y: expected as many columns as rows, or one of either; got {shapes}") from None
    return rows.ravel(), columns.ravel()


def take_ramps(inputs: FitInputs, rows: np.ndarray, columns: np.ndarray) -> PixelRamps:
    """Return copies of the ramps of some pixels; those in a file are read row by row.

    Raises
    ------
    RampFileError
        The exposure's file is gone, was replaced, or is shorter than it was.
    """
    exposure = inputs.exposure

    def plane(array: np.ndarray | None, missing: float, dtype: type) -> np.ndarray:
        if array is None:
            return np.full(rows.size, missing, dtype)
        taken = _take(array, rows, columns)
        return as_single(taken) if dtype is np.float32 else taken.astype(dtype)

    zeroframe = None
    if exposure.zeroframe is not None:
        zeroframe = as_single(np.moveaxis(_take(exposure.zeroframe, rows, columns), -1, 0))
    samples = as_single(_take(exposure.data, rows, columns))
    flags = _take(exposure.groupdq, rows, columns).astype(np.uint8)
    correct_samples(exposure, samples, flags, rows, columns)
    return PixelRamps(
        rows=rows,
        columns=columns,
        samples=np.moveaxis(samples, -1, 0),
        flags=np.moveaxis(flags, -1, 0),
        pixeldq=plane(exposure.pixeldq, 0, np.uint32),
        readnoise=plane(inputs.readnoise, 1, np.float32),
        gain=plane(inputs.gain, 1, np.float32),
        dark=plane(exposure.average_dark_current, 0, np.float32),
        zeroframe=zeroframe,
    )


def correct_samples(
    exposure: Exposure, samples: np.ndarray, flags: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> None:
    """Do with raw reads what the fit does with them; nothing where they are none.

    Parameters
    ----------
    exposure : Exposure
    samples, flags : ndarray of float32 and uint8, shape (nints, ngroups, npixels)
        Copies, modified in place.
    rows, columns : ndarray of int64, shape (npixels,)
    """
    corrections = exposure.corrections
    if corrections is None or rows.size == 0:
        return
    rules = read_rules(corrections)
    assert rules is not None  # noqa: S101  (for mypy)
    saturation, pedestal = (
        np.empty(0, np.float32) if plane is None else as_single(np.ascontiguousarray(plane[rows, columns]))
        for plane in (corrections.saturation, corrections.pedestal)
    )
    linearity = np.empty((0, 0), np.float32)
    if corrections.linearity is not None:
        linearity = as_single(np.ascontiguousarray(corrections.linearity[:, rows, columns]))
    offset = np.float32(rules.inverted_from)
    correct: Any = correct_reads
    correct(samples, flags, rows.size, saturation, pedestal, linearity, offset, rules.from_first)


def _take(array: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return ``array[..., rows, columns]``, without touching a map."""
    source = as_file_array(array)
    if not isinstance(source, FileArray):
        return np.asarray(array[..., rows, columns])
    taken = np.empty((*array.shape[:-2], rows.size), array.dtype)
    for row in np.unique(rows):
        here = rows == row
        taken[..., here] = source.rows(slice(int(row), int(row) + 1)).read()[..., 0, columns[here]]
    return taken


class SampleTimes(NamedTuple):
    """When the samples of a ramp were read, in s since the reset, each an array of shape (nsamples,).

    Attributes
    ----------
    reads : ndarray of int64
        Frames that each is the mean of.
    mean_t, tau : ndarray of float64
        Mean time of the frames, and their mean weighted by the variance that arrives with each (Brandt 2024a, eq. 4).
    begin : ndarray of float64
        Time of the first frame.
    """

    reads: np.ndarray
    mean_t: np.ndarray
    tau: np.ndarray
    begin: np.ndarray


def sample_times(exposure: Exposure, options: FitOptions, *, split_zeroframe: bool = False) -> SampleTimes:
    """Return when the groups were read, as the fit has it; with `split_zeroframe`, the zeroframe comes first.

    The pipeline's OLS goes by the group time: only where the frames stand within a group is taken from the frame time,
    or from explicit read times. With other weights or errors each group has its own frames, but evenly spaced groups
    still go by the time between them. Uneven ones, and the likelihood fits, go by the times of the frames.
    """
    frames: list[np.ndarray] = [
        np.atleast_1d(np.asarray(group, np.float64))
        for group in exposure.read_times
        or even_read_times(
            exposure.ngroups, exposure.frame_time, exposure.nframes, exposure.groupgap, exposure.drop_frames1
        )
    ]
    if ALGORITHMS[options.algorithm].package == "ols" and exposure.evenly_read:
        if is_general(exposure, options):
            mean_t = np.array([group.mean() for group in frames])
            late = mean_t - (mean_t[0] + group_step(exposure, mean_t) * np.arange(mean_t.size))
            frames = [group - late[g] for g, group in enumerate(frames)]
        else:
            group_time = float(np.float32(exposure.group_time))
            frames = [frames[0] + g * group_time for g in range(exposure.ngroups)]
    if split_zeroframe:
        frames[:1] = [frames[0][:1], frames[0][1:]]
    with np.errstate(divide="ignore", invalid="ignore"):
        pattern = read_pattern(frames)
    apart = all(after[0] > before[-1] for before, after in pairwise(frames))
    # Frames that overlap the next group, as a header that contradicts itself has them, cannot be: groups count as one
    # frame each then.
    tau = pattern.tau if apart else pattern.mean_t
    return SampleTimes(pattern.reads, pattern.mean_t, tau, np.array([group[0] for group in frames]))


def working_flags(ramps: PixelRamps, first_used: int, last_used: int) -> np.ndarray:
    """Return the flags with DO_NOT_USE for samples that are not finite (nor SATURATED) or outside the range used."""
    flags = ramps.flags.copy()
    flags[~np.isfinite(ramps.samples) & ((flags & dq.SATURATED) == 0)] |= dq.DO_NOT_USE
    groups = np.arange(flags.shape[-1])
    flags[..., (groups < first_used) | (groups > last_used)] |= dq.DO_NOT_USE
    return flags
