"""One ramp of one pixel, ready to be drawn: samples and what they are, lines, residuals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rampfit_numba import dq
from rampfit_numba.segments import find_samples, find_segments

if TYPE_CHECKING:
    from astropy.table import QTable

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
    group : ndarray of int, shape (nsamples,)
    time, sample : ndarray of float64, shape (nsamples,)
        In s since the reset and in DN.
    flags : ndarray of uint8, shape (nsamples,)
        With the jumps that a likelihood fit found.
    kind : ndarray of object, shape (nsamples,)
        What each sample is.
    residual : ndarray of float64, shape (nsamples,)
        Distance from the line in units of the noise; NaN for samples of no segment.
    lines : list of Line
    """

    group: np.ndarray
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
        self._segments, self._samples = (_columns(find(fit, x, y)) for find in (find_segments, find_samples))

    def __getitem__(self, integration: int) -> Ramp:
        """Return the ramp of an integration."""
        samples = {name: values[self._samples["integration"] == integration] for name, values in self._samples.items()}
        flags, value = samples["dq"], samples["value"]
        used = samples["segment"] >= 0
        jump = used & ((flags & dq.JUMP_DET) != 0)
        bad = ((flags & dq.DO_NOT_USE) != 0) | ~np.isfinite(value)
        kind = np.select(
            [jump, used, bad, (flags & dq.SATURATED) != 0],
            np.array([JUMP, USED, BAD, SATURATED], object)[:, np.newaxis],
            UNUSED,
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            residual = samples["residual"] / samples["noise"]
        rows = np.flatnonzero(self._segments["integration"] == integration)
        lines = [self._line(int(row)) for row in rows]
        return Ramp(samples["group"], samples["time"], value, flags, kind, residual, lines)

    def _line(self, row: int) -> Line:
        column = {name: values[row].item() for name, values in self._segments.items()}
        names = ("first_group", "last_group", "nsamples", "slope", "slope_err", "intercept", "weight", "chisq", "dof")
        return Line(start=column["start_time"], stop=column["stop_time"], **{name: column[name] for name in names})


def _columns(table: QTable) -> dict[str, np.ndarray]:
    return {name: np.asarray(getattr(table[name], "value", table[name])) for name in table.colnames}
