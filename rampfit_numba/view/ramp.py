"""One ramp of one pixel, ready to be drawn: samples and what they are, lines, residuals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rampfit_numba import dq
from rampfit_numba.pixel_ramps import inputs_of, is_ols, sample_times, take_ramps
from rampfit_numba.segments import find_segments

if TYPE_CHECKING:
    from rampfit_numba.result import RampFit

#: What a sample can be.
USED, JUMP, UNUSED, SATURATED, BAD = "used", "after a jump", "not used", "saturated", "do not use"


@dataclass(frozen=True)
class Line:
    """The fitted line of one segment.

    Attributes
    ----------
    first_group, last_group, nsamples : int
    start, stop : float
        Times of its first and last sample in s.
    slope, slope_err, intercept : float
        In DN/s and DN.
    weight : float
        Share in the rate of the integration.
    chisq, dof : float
        Of the samples around the line.
    """

    first_group: int
    last_group: int
    nsamples: int
    start: float
    stop: float
    slope: float
    slope_err: float
    intercept: float
    weight: float
    chisq: float
    dof: float


@dataclass(frozen=True)
class Ramp:
    """One ramp of one pixel.

    Attributes
    ----------
    time, sample : ndarray of float64, shape (ngroups,)
        In s since the reset and in DN.
    flags : ndarray of uint8, shape (ngroups,)
        With the jumps that a likelihood fit found.
    kind : ndarray of object, shape (ngroups,)
        What each sample is.
    residual : ndarray of float64, shape (ngroups,)
        Distance from the line in units of the noise; NaN for samples of no segment.
    lines : list of Line
    """

    time: np.ndarray
    sample: np.ndarray
    flags: np.ndarray
    kind: np.ndarray
    residual: np.ndarray
    lines: list[Line]


class Ramps:
    """All ramps of one pixel, read once.

    Parameters
    ----------
    fit : RampFit
        With its `inputs`.
    x, y : int
        Column and row.

    Raises
    ------
    RampFileError
        The exposure's file is gone, was replaced, or is shorter than it was.
    """

    def __init__(self, fit: RampFit, x: int, y: int) -> None:
        inputs = inputs_of(fit)
        self._taken = take_ramps(inputs, np.array([y]), np.array([x]))
        self._times = sample_times(inputs.exposure, ols=is_ols(fit))
        table = find_segments(fit, x, y)
        self._segments = {name: np.asarray(getattr(table[name], "value", table[name])) for name in table.colnames}
        self._flags = self._taken.flags[0] if fit.groupdq is None else fit.groupdq[:, :, y, x]

    def __getitem__(self, integration: int) -> Ramp:
        """Return the ramp of an integration.

        Noise is that of a sample around a line through the segment's first: read noise, and the photon noise of the
        line's slope since then.
        """
        taken, times, flags = self._taken, self._times, self._flags[integration]
        rows = np.flatnonzero(self._segments["integration"] == integration)
        sample, time = taken.samples[0, integration].astype(np.float64), times.mean_t.copy()
        if rows.size and self._segments["zeroframe"][rows[0]] and taken.zeroframe is not None:
            sample[0], time[0] = taken.zeroframe[0, integration], self._segments["start_time"][rows[0]]
        bad = ((flags & dq.DO_NOT_USE) != 0) | ~np.isfinite(sample)
        kind = np.where(bad, BAD, np.where(flags & dq.SATURATED, SATURATED, UNUSED)).astype(object)
        residual = np.full(sample.shape, np.nan)
        readnoise, gain, dark = (float(plane[0]) for plane in (taken.readnoise, taken.gain, taken.dark))
        lines = [self._line(int(row)) for row in rows]
        for line in lines:
            part = slice(line.first_group, line.last_group + 1)
            kind[part] = USED
            if line.first_group and flags[line.first_group] & dq.JUMP_DET:
                kind[line.first_group] = JUMP
            photon = (max(line.slope, 0.0) + dark) / gain if gain > 0 else 0.0
            with np.errstate(divide="ignore", invalid="ignore"):
                noise = np.sqrt(readnoise**2 / 2 / times.reads[part] + photon * (time[part] - line.start))
                residual[part] = (sample[part] - line.intercept - line.slope * time[part]) / noise
        return Ramp(time, sample, flags, kind, residual, lines)

    def _line(self, row: int) -> Line:
        column = {name: values[row].item() for name, values in self._segments.items()}
        names = ("first_group", "last_group", "nsamples", "slope", "slope_err", "intercept", "weight", "chisq", "dof")
        return Line(start=column["start_time"], stop=column["stop_time"], **{name: column[name] for name in names})
