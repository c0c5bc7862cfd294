"""Stacks of plain detector reads: how they are put into ramps, and what is to be done with them before a fit."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.checks import as_array, check_count, check_read_times, check_time

if TYPE_CHECKING:
    from collections.abc import Sequence

_IMAGE, _STACK, _RAMPS = 2, 3, 4
_FEWEST_COEFFICIENTS = 2
_FIRST = "first"


@dataclass(frozen=True, eq=False)
class ReadCorrections:
    """What is to be done with raw reads; the fit does it block by block on its own copies.

    Attributes
    ----------
    saturation : ndarray, shape (nrows, ncols), or None
        Level of the raw, rising counts from which on a read and all after it are SATURATED, in DN; NaN for none.
    pedestal : ndarray, shape (nrows, ncols), or None
        Subtracted before the linearity correction, in DN.
    linearity : ndarray, shape (ncoefficients, nrows, ncols), or None
        Coefficients of the polynomial that turns counts into linear ones, from the constant on.
    inverted_from : float or None
        Falling counts are subtracted from this.
    from_first : bool
        Subtract the first read of each ramp.
    """

    saturation: np.ndarray | None = None
    pedestal: np.ndarray | None = None
    linearity: np.ndarray | None = None
    inverted_from: float | None = None
    from_first: bool = False

    def rows(self, rows: slice, columns: slice = slice(None)) -> ReadCorrections:
        """Return the corrections of some detector rows, or of some columns of them."""
        planes = (self.saturation, self.pedestal, self.linearity)
        saturation, pedestal, linearity = (None if plane is None else plane[..., rows, columns] for plane in planes)
        return replace(self, saturation=saturation, pedestal=pedestal, linearity=linearity)


def check_corrections(
    image: tuple[int, int],
    saturation: Any,  # noqa: ANN401  (anything array-like, as for all of these)
    pedestal: Any,  # noqa: ANN401
    linearity: Any,  # noqa: ANN401
    invert: Any,  # noqa: ANN401
) -> ReadCorrections | None:
    """Return the corrections that arguments of :meth:`Exposure.from_reads` ask for; None where there is nothing to do.

    Raises
    ------
    TypeError, ValueError
        An argument is unusable; the message names it, what was expected and what came.
    """
    if saturation is pedestal is linearity is invert is None:
        return None
    from_first = isinstance(pedestal, str)
    if from_first and pedestal != _FIRST:
        raise ValueError(f"pedestal: expected 'first', a number or an image; got {pedestal!r}")
    if invert is not None:
        if isinstance(invert, bool) or not isinstance(invert, Real):
            raise TypeError(f"invert: expected the number that falling counts are subtracted from; got {invert!r}")
        invert = float(invert)
        if not (math.isfinite(invert) and invert > 0):
            raise ValueError(f"invert: expected a finite number above 0; got {invert!r}")
    level = _plane("saturation", saturation, image)
    if level is not None and np.ndim(saturation) == 0 and not level.flat[0] > 0:
        raise ValueError(f"saturation: expected a level above 0; got {saturation!r}")
    base = None if from_first else _plane("pedestal", pedestal, image)
    return ReadCorrections(level, base, _polynomial(linearity, image), invert, from_first)


def _plane(name: str, value: Any, image: tuple[int, int]) -> np.ndarray | None:  # noqa: ANN401
    if value is None:
        return None
    plane = as_array(name, value)
    if plane.shape not in ((), image):
        raise ValueError(f"{name}: expected a number or shape {image}, that of a read; got shape {plane.shape}")
    if not plane.ndim and not np.isfinite(plane):
        raise ValueError(f"{name}: expected a finite number; got {value!r}")
    return np.broadcast_to(plane, image)


def _polynomial(value: Any, image: tuple[int, int]) -> np.ndarray | None:  # noqa: ANN401
    if value is None:
        return None
    coefficients = as_array("linearity", value, "")
    if coefficients.ndim == 1:
        coefficients = coefficients[:, None, None]
    if coefficients.ndim != _STACK or coefficients.shape[1:] not in ((1, 1), image):
        raise ValueError(
            f"linearity: expected coefficients, from the constant on, of shape (n,) or (n, {image[0]}, {image[1]}); "
            f"got shape {coefficients.shape}"
        )
    if len(coefficients) < _FEWEST_COEFFICIENTS:
        raise ValueError(f"linearity: expected two coefficients or more, from the constant on; got {len(coefficients)}")
    return np.broadcast_to(coefficients, (len(coefficients), *image))


def arrange_reads(reads: Any, reads_per_ramp: Any, skip: Any, *, reverse: Any) -> np.ndarray:  # noqa: ANN401
    """Return reads as ramps, shape (nints, nreads, nrows, ncols), in the order of time: a view of an array.

    The arguments are those of :meth:`Exposure.from_reads`.

    Raises
    ------
    TypeError, ValueError
        An argument is unusable; the message names it, what was expected and what came.
    """
    if isinstance(reads, list | tuple):
        reads = _stacked(reads)
    stack = as_array("reads", reads)
    if stack.ndim not in (_STACK, _RAMPS):
        raise ValueError(
            "reads: expected shape (nreads, nrows, ncols), (nints, nreads, nrows, ncols) or a list of images; "
            f"got shape {stack.shape}"
        )
    if 0 in stack.shape:
        raise ValueError(f"reads: expected one read, row and column or more; got shape {stack.shape}")
    if not isinstance(reverse, bool | np.bool_):
        raise TypeError(f"reverse: expected True or False; got {reverse!r}")
    if reverse:
        stack = stack[::-1] if stack.ndim == _STACK else stack[:, ::-1]
    per_ramp = None if reads_per_ramp is None else check_count("reads_per_ramp", reads_per_ramp, 1)
    if stack.ndim == _RAMPS:
        if per_ramp not in (None, stack.shape[1]):
            raise ValueError(
                f"reads_per_ramp: expected {stack.shape[1]}, as reads of shape {stack.shape} have it; got {per_ramp}"
            )
        ramps = stack
    else:
        per_ramp = per_ramp or len(stack)
        if len(stack) % per_ramp:
            raise ValueError(
                f"reads_per_ramp: expected a divisor of {len(stack)}, the number of reads; got {per_ramp} "
                f"({len(stack) % per_ramp} left over)"
            )
        ramps = stack.reshape(-1, per_ramp, *stack.shape[1:])
    skipped = check_count("skip", skip, 0)
    if skipped >= ramps.shape[1]:
        raise ValueError(f"skip: expected fewer than {ramps.shape[1]}, the reads of a ramp; got {skipped}")
    return ramps[:, skipped:]


def _stacked(reads: Sequence[Any]) -> np.ndarray:
    images = [as_array(f"reads[{number}]", read) for number, read in enumerate(reads)]
    if not images:
        raise ValueError("reads: expected one read or more; got an empty list")
    for number, image in enumerate(images):
        if image.shape != images[0].shape or image.ndim not in (_IMAGE, _STACK):
            raise ValueError(
                f"reads[{number}]: expected an image, of the shape of the others, {images[0].shape}; "
                f"got shape {image.shape}"
            )
    return np.stack(images)


def arrange_times(
    read_times: Any,  # noqa: ANN401
    frame_time: Any,  # noqa: ANN401
    nreads: int,
    skip: int,
    frames: int,
) -> tuple[float, tuple[tuple[float, ...], ...] | None]:
    """Return the time from read to read, and the times of the reads where they were given, without the skipped ones.

    Parameters
    ----------
    read_times, frame_time
        As for :meth:`Exposure.from_reads`.
    nreads, skip : int
        Reads of a ramp that are left, and skipped before.
    frames : int
        Frames from read to read.

    Raises
    ------
    TypeError, ValueError
        An argument is unusable; the message names it, what was expected and what came.
    """
    if (read_times is None) == (frame_time is None):
        what = "neither" if read_times is None else "both"
        raise ValueError(f"frame_time: expected either it, the time from read to read in s, or read_times; got {what}")
    if read_times is None:
        return check_time("frame_time", frame_time) * frames, None
    if frames != 1:
        raise ValueError(
            "read_times: expected them without nframes and groupgap, which they replace (give a sequence of times a "
            "read that is the mean of several frames); got both"
        )
    times = check_read_times(read_times, nreads + skip)
    assert times is not None  # noqa: S101  (for mypy)
    times = times[skip:]
    means = [sum(group) / len(group) for group in times]
    step = (means[-1] - means[0]) / (nreads - 1) if nreads > 1 else abs(means[0]) or 1.0
    return step, times
