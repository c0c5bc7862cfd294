"""The jumps of an exposure, with their sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rampfit_numba import dq
from rampfit_numba.algorithms.groups import usable_groups
from rampfit_numba.algorithms.rows import as_single
from rampfit_numba.file_arrays import FileArray
from rampfit_numba.mapped_arrays import as_file_array
from rampfit_numba.pixel_ramps import correct_samples, inputs_of, sample_times
from rampfit_numba.segments import kept_groups

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from astropy.table import QTable

    from rampfit_numba.exposure import Exposure
    from rampfit_numba.pixel_ramps import SampleTimes
    from rampfit_numba.result import FitInputs, RampFit

#: Samples that are looked at at once.
_MOST_SAMPLES = 1 << 23
_J = np.uint8(dq.JUMP_DET)
_DS = np.uint8(dq.DO_NOT_USE | dq.SATURATED)

_COLUMNS = {
    "integration": ("", np.int32, "integration, from 0"),
    "group": ("", np.int32, "group, from 0: the jump is between the group before and this one"),
    "row": ("", np.int32, "detector row y, from 0"),
    "column": ("", np.int32, "detector column x, from 0"),
    "size": ("DN", np.float32, "rise of the signal beyond that of the rate"),
    "size_e": ("electron", np.float32, "the same in electrons"),
    "significance": ("", np.float32, "size in standard deviations of what noise alone would give"),
    "found": ("", np.bool_, "whether the fit found it; otherwise the exposure's flags have it"),
}


class JumpKinds(NamedTuple):
    """How many jumps there are: rises that flags have, rises that the fit found, falls, and those without a size."""

    flagged: int
    found: int
    falls: int
    unsized: int


def count_kinds(size: np.ndarray, found: np.ndarray) -> JumpKinds:
    """Count jumps of each kind by their sizes, and by whether the fit found them."""
    rises = size > 0
    by_fit, falls = int(np.count_nonzero(rises & found)), int(np.count_nonzero(size < 0))
    flagged = int(np.count_nonzero(rises)) - by_fit
    return JumpKinds(flagged, by_fit, falls, size.size - flagged - by_fit - falls)


def find_jumps(fit: RampFit) -> QTable:
    """Return the jumps of a whole exposure: those that its flags have, and those that a likelihood fit found.

    Also as ``fit.jumps()``.

    Parameters
    ----------
    fit : RampFit
        Result of a fit that still has its `inputs`.

    Returns
    -------
    astropy.table.QTable
        One row a group with JUMP_DET, in the order of integration, group, row and column; all count from 0:

        - ``integration``, ``group``, ``row``, ``column``: the jump is between the group before and this one;
        - ``size`` (DN), ``size_e`` (electron): rise since the last usable sample before, less what the rate adds
          meanwhile; NaN where one of the two samples is missing, saturated or unusable, or there is no rate;
        - ``significance``: size over its standard deviation, photon and read noise;
        - ``found``: whether the fit found the jump itself.

        Groups that MIRI drops leave no trace here either.

    Raises
    ------
    TypeError, ValueError
        The fit does not know what was fitted.
    RampFileError
        The exposure's file is gone, was replaced, or is shorter than it was.

    Notes
    -----
    The rate is that of the integration, or of the exposure where that has none. With photon noise p = rate / gain and
    read noise r of one frame, the rise between the groups h and g has the variance p (tau_g + tau_h - 2 t_h) + r^2
    (1/N_g + 1/N_h) (Brandt 2024a, PASP 136, 045004, equations 28 and 29). As in the two-point difference method
    (Anderson & Gordon 2011, PASP 123, 1237), neither the photon noise of the hit nor the error of the rate is part of
    it: the latter lets significances of mere noise scatter by some percent more than 1 in short ramps.

    Examples
    --------
    >>> import numpy as np
    >>> from rampfit_numba import Exposure, fit_ramps
    >>> ramp = np.arange(10, dtype=np.float32).reshape(1, 10, 1, 1) * 30
    >>> flags = np.zeros(ramp.shape, np.uint8)
    >>> ramp[:, 6:] += 500  # a hit between the groups 5 and 6
    >>> flags[:, 6] = 4
    >>> fit = fit_ramps(Exposure(ramp, flags, group_time=3.0), readnoise=14.0, gain=5.5)
    >>> for row in fit.jumps().iterrows("integration", "group", "row", "column", "size", "size_e"):
    ...     print(*row)
    0 6 0 0 500.0 DN 2750.0 electron
    """
    inputs = inputs_of(fit)
    return table_of_jumps([jump_columns(fit, kept_groups(fit, inputs))], fit.options.algorithm)


def table_of_jumps(parts: Sequence[dict[str, np.ndarray]], algorithm: str) -> QTable:
    """Return the table of :func:`find_jumps` from what :func:`jump_columns` returned, at least once."""
    from astropy import units
    from astropy.table import QTable

    columns = {name: np.concatenate([part[name] for part in parts]) for name in _COLUMNS}
    order = np.lexsort([columns[name] for name in ("column", "row", "group", "integration")])
    table = QTable(meta={"algorithm": algorithm})
    for name, (unit, _, description) in _COLUMNS.items():
        values = columns[name][order]
        table[name] = units.Quantity(values, unit, dtype=values.dtype, copy=False) if unit else values
        table[name].info.description = description
        if values.dtype.kind == "f":
            table[name].info.format = ".5g"
    return table


def jump_columns(fit: RampFit, kept: tuple[int, int, bool], top: int = 0, left: int = 0) -> dict[str, np.ndarray]:
    """Return the columns of the table of jumps, in some order.

    Parameters
    ----------
    fit : RampFit
        That of an exposure, or of a section of its detector.
    kept : tuple
        What :func:`rampfit_numba.segments.kept_groups` says of the whole exposure.
    top, left : int
        Row and column of the section's first pixel.
    """
    parts = list(_parts(fit, inputs_of(fit), kept, _MOST_SAMPLES))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in _COLUMNS}
    columns["row"] += np.int32(top)
    columns["column"] += np.int32(left)
    return columns


def jump_parts(fit: RampFit, most_samples: int) -> Iterator[dict[str, np.ndarray]]:
    """Yield the columns of the table of jumps, all groups of some rows and one integration at a time.

    Parameters
    ----------
    fit : RampFit
    most_samples : int
        That are looked at at once; one row of an integration in any case.
    """
    inputs = inputs_of(fit)
    return _parts(fit, inputs, kept_groups(fit, inputs), most_samples)


def _parts(
    fit: RampFit, inputs: FitInputs, kept: tuple[int, int, bool], most_samples: int
) -> Iterator[dict[str, np.ndarray]]:
    """Yield the columns, some rows of the detector and one integration at a time; at least once."""
    exposure = inputs.exposure
    nints, ngroups, nrows, ncols = exposure.shape
    first, stop, clear_first = kept
    first_used, last_used = usable_groups(fit.options, ngroups)
    times = sample_times(exposure, fit.options)
    data, flags = as_file_array(exposure.data), as_file_array(exposure.groupdq)
    height = max(most_samples // (ngroups * ncols), 1)
    for top in range(0, nrows, height):
        rows = slice(top, min(top + height, nrows))
        for i in range(nints):
            samples, given = _integration(data, i, rows), _integration(flags, i, rows)
            if exposure.corrections is not None:
                samples, given = _corrected(exposure, samples, given, top)
            marked = given if fit.groupdq is None else fit.groupdq[i, :, rows]
            jumps = (marked & _J) != 0
            jumps[:first] = jumps[stop:] = False
            if clear_first:
                jumps[first] = False
            where = np.nonzero(jumps)
            usable = (given & _DS) == 0
            usable[:first_used] = usable[last_used + 1 :] = usable[:first] = False
            columns = _measure(
                fit, inputs, (i, where[0], top + where[1], where[2]), times, _rises(samples, usable, where)
            )
            columns["found"] = (given[where] & _J) == 0
            yield columns


def _integration(source: np.ndarray | FileArray, i: int, rows: slice) -> np.ndarray:
    """Return some rows of all groups of one integration."""
    if isinstance(source, FileArray):
        ngroups = source.whole[1]
        return np.stack([source.plane(i, g).rows(rows).read() for g in range(ngroups)])
    return np.asarray(source[i, :, rows])


def _corrected(exposure: Exposure, samples: np.ndarray, flags: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what the fit makes of raw reads and their flags, both of shape (ngroups, rows, ncols)."""
    shape = samples.shape
    rows, columns = (axis.ravel() for axis in np.mgrid[top : top + shape[1], : shape[2]])
    reads = as_single(samples).reshape(1, shape[0], -1).copy()
    given = flags.astype(np.uint8).reshape(reads.shape).copy()
    correct_samples(exposure, reads, given, rows, columns)
    return reads.reshape(shape), given.reshape(shape)


def _measure(
    fit: RampFit,
    inputs: FitInputs,
    place: tuple[int, np.ndarray, np.ndarray, np.ndarray],
    times: SampleTimes,
    rises: tuple[np.ndarray, np.ndarray],
) -> dict[str, np.ndarray]:
    """Return the columns for the jumps at `place`, integration, group, row and column, from their `rises`."""
    i, group, row, column = place
    rise, before = rises
    low = np.maximum(before, 0)

    def of_pixels(plane: np.ndarray) -> np.ndarray:
        return as_single(plane[row, column]).astype(np.float64)

    with np.errstate(all="ignore"):
        rate, overall = of_pixels(fit.rateints.data[i]), of_pixels(fit.rate.data)
        rate = np.where(np.isfinite(rate), rate, overall)
        t, tau, reads = times.mean_t, times.tau, times.reads
        size = rise - rate * (t[group] - t[low])
        gain, noise = of_pixels(inputs.gain), of_pixels(inputs.readnoise)
        dark = inputs.exposure.average_dark_current
        expected = np.maximum(rate, 0) + (0 if dark is None else of_pixels(dark))
        variance = np.maximum(expected, 0) / gain * (tau[group] + tau[low] - 2 * t[low])
        variance += noise**2 / 2 * (1 / reads[group] + 1 / reads[low])
        values = {
            "integration": np.full(group.size, i),
            "group": group,
            "row": row,
            "column": column,
            "size": size,
            "size_e": size * gain,
            "significance": size / np.sqrt(variance),
        }
        return {name: value.astype(_COLUMNS[name][1]) for name, value in values.items()}


def _rises(samples: np.ndarray, usable: np.ndarray, where: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the rise at each jump since the last usable sample, in DN or NaN, and the group of that sample."""
    group, row, column = where
    before = _last_usable(samples, usable, where)
    with np.errstate(all="ignore"):
        now, then = (as_single(samples[g, row, column]).astype(np.float64) for g in (group, np.maximum(before, 0)))
        rise = now - then
    rise[(before < 0) | ~usable[where] | ~np.isfinite(rise)] = np.nan
    return rise, before


def _last_usable(samples: np.ndarray, usable: np.ndarray, where: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return the last group before each jump whose sample can be used, or -1; nearly always it is the one before."""
    group, row, column = where
    before = group - 1
    open_jumps = np.arange(group.size)
    while open_jumps.size:
        g = before[open_jumps]
        place = g, row[open_jumps], column[open_jumps]
        bad = (g >= 0) & ~(usable[place] & np.isfinite(samples[place]))
        open_jumps = open_jumps[bad]
        before[open_jumps] -= 1
    return before
