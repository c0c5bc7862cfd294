"""The segments of chosen pixels as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rampfit_numba import dq as dq_bits
from rampfit_numba.pixel_ramps import inputs_of, is_ols, pixel_positions, sample_times, take_ramps
from rampfit_numba.segments.likelihood import likelihood_segments
from rampfit_numba.segments.ols import ols_segments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from astropy.table import QTable
    from numpy.typing import ArrayLike

    from rampfit_numba.pixel_ramps import PixelRamps
    from rampfit_numba.result import FitInputs, RampFit
    from rampfit_numba.segments.columns import FittedLines

#: Samples that are worked on at once.
_MOST_SAMPLES = 1 << 21
_SAMPLES_OF_A_LINE = 2
_J = np.uint8(dq_bits.JUMP_DET)

_COLUMNS = {
    "integration": ("", "integration, from 0"),
    "row": ("", "detector row y, from 0"),
    "column": ("", "detector column x, from 0"),
    "segment": ("", "segment within the ramp, from 0"),
    "first_group": ("", "first group, from 0, dropped groups counted"),
    "last_group": ("", "last group, inclusive"),
    "nsamples": ("", "samples fitted"),
    "zeroframe": ("", "whether the first sample is the zeroframe"),
    "start_time": ("s", "time of the first sample since the reset"),
    "stop_time": ("s", "time of the last sample"),
    "slope": ("DN / s", "slope of the line"),
    "slope_err": ("DN / s", "standard deviation of the slope, photon and read noise"),
    "intercept": ("DN", "the line at time 0"),
    "intercept_err": ("DN", "standard deviation of the intercept, photon noise since the first sample and read noise"),
    "weight": ("", "share of the segment in the rate of its integration"),
    "chisq": ("", "chi-square of the samples around the line, with their full covariance"),
    "dof": ("", "its degrees of freedom"),
}


_SAMPLE_COLUMNS = {
    "integration": ("", "integration, from 0"),
    "row": ("", "detector row y, from 0"),
    "column": ("", "detector column x, from 0"),
    "group": ("", "group, from 0, dropped groups counted"),
    "zeroframe": ("", "whether this is the zeroframe"),
    "time": ("s", "time since the reset"),
    "value": ("DN", "the sample"),
    "dq": ("", "flags of the group, with the jumps that the fit found"),
    "found": ("", "whether the fit found a jump here that the exposure's flags do not have"),
    "segment": ("", "segment within the ramp, from 0; -1: none"),
    "line": ("DN", "the line of the segment"),
    "residual": ("DN", "value - line"),
    "noise": ("DN", "standard deviation of the residual, photon and read noise"),
}


def find_segments(fit: RampFit, x: ArrayLike, y: ArrayLike) -> QTable:
    """Return the fitted line of every segment of chosen pixels, in plain units.

    Also as ``fit.segments(x, y)``. A segment is what was fitted with one line: a run of good groups between jumps,
    saturation and bad samples. For the likelihood fits these are the runs between the jumps, flagged or found, and all
    segments of an integration have its one rate.

    Parameters
    ----------
    fit : RampFit
        Result of a fit that still has its `inputs`.
    x, y : int or array_like of int
        Column and row of the pixel, or of several, both from 0.

    Returns
    -------
    astropy.table.QTable
        One row a segment, in the order of the pixels as given, integrations and time; columns:

        - ``integration``, ``row``, ``column``, ``segment``: where it is; all count from 0;
        - ``first_group``, ``last_group`` (inclusive), ``nsamples``: its groups, in the exposure's own count, whatever
          was dropped; ``zeroframe``: whether its first sample is the zeroframe, in the place of group 0;
        - ``start_time``, ``stop_time`` (s): of its first and last sample, since the reset: the mean of the frames;
        - ``slope``, ``slope_err`` (DN/s), ``intercept``, ``intercept_err`` (DN): the line is intercept + slope x time;
        - ``weight``: share in the rate of the integration; they sum to 1, or are 0 where it has no rate;
        - ``chisq``, ``dof``: chi-square of the samples around the line, and its degrees of freedom.

        Ramps without a segment have no row.

    Raises
    ------
    TypeError, ValueError
        Positions are no integers or beyond the exposure; the fit does not know what was fitted.
    RampFileError
        The exposure's file is gone, was replaced, or is shorter than it was.

    Notes
    -----
    The chi-square is r' V+ r for the residuals r of the samples and their covariance V under the fit's noise model,
    with the photon noise of the same rate as the fit's ``var_poisson``. V takes into account that the line was fitted,
    whatever weights that was done with; so the mean is dof = nsamples - 2 and the value the smallest that any line
    reaches in generalised least squares. For the likelihood fits, the line's slope comes from the whole integration:
    dof is nsamples - 1 - weight, and sums up to that of the integration.

    With ``algorithm="ols"``, lines, errors and weights are those of the fit's `weighting` and `errors`, at the times
    that it goes by. The rate of an integration is the sum of weight x slope. Errors that follow the weights add up to
    sqrt(sum (weight x slope_err)^2), the pipeline's to 1 / sqrt(sum 1 / slope_err^2). A variance below 0, as a negative
    dark current can make it, has a ``slope_err`` of NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from rampfit_numba import Exposure, fit_ramps
    >>> ramp = np.arange(10, dtype=np.float32).reshape(1, 10, 1, 1) * 30
    >>> flags = np.zeros(ramp.shape, np.uint8)
    >>> ramp[:, 6:] += 500  # a hit between the groups 5 and 6
    >>> flags[:, 6] = 4
    >>> fit = fit_ramps(Exposure(ramp, flags, group_time=3.0), readnoise=14.0, gain=5.5)
    >>> for row in fit.segments(x=0, y=0).iterrows("first_group", "last_group", "slope", "weight"):
    ...     print(*row[:2], f"{row[2]:.3f}", f"{row[3]:.3f}")
    0 5 10.000 DN / s 0.778
    6 9 10.000 DN / s 0.222
    """
    inputs = inputs_of(fit)
    rows, columns = pixel_positions(inputs.exposure, x, y)
    parts = [lines.segments for _, lines in _fitted(fit, inputs, rows, columns)]
    found = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
    return _table(fit, found, _COLUMNS)


def find_samples(fit: RampFit, x: ArrayLike, y: ArrayLike) -> QTable:
    """Return the samples of chosen pixels beside the lines fitted to them, in plain units.

    Also as ``fit.samples(x, y)``.

    Parameters
    ----------
    fit : RampFit
        Result of a fit that still has its `inputs`.
    x, y : int or array_like of int
        Column and row of the pixel, or of several, both from 0.

    Returns
    -------
    astropy.table.QTable
        One row a sample, all groups of the exposure, in the order of the pixels as given, integrations and time:

        - ``integration``, ``row``, ``column``, ``group``: where it is; all count from 0;
        - ``zeroframe``: whether it is the zeroframe, which is listed, as group 0, where it was fitted;
        - ``time`` (s): since the reset; ``value`` (DN);
        - ``dq``: the exposure's flags, with JUMP_DET where the fit found a jump;
        - ``found``: whether the fit found that jump itself;
        - ``segment``: number of the segment that it is part of, as :func:`find_segments` has it; -1: of none;
        - ``line``, ``residual``, ``noise`` (DN): the line there, value - line, and the standard deviation of that under
          the fit's noise model; NaN where there is no line.

    Raises
    ------
    TypeError, ValueError
        Positions are no integers or beyond the exposure; the fit does not know what was fitted.
    RampFileError
        The exposure's file is gone, was replaced, or is shorter than it was.

    Examples
    --------
    >>> import numpy as np
    >>> from rampfit_numba import Exposure, fit_ramps
    >>> ramp = np.array([100, 130, 160, 690, 720], np.float32).reshape(1, 5, 1, 1)
    >>> flags = np.array([0, 0, 0, 4, 0], np.uint8).reshape(ramp.shape)
    >>> fit = fit_ramps(Exposure(ramp, flags, group_time=3.0), readnoise=14.0, gain=5.5)
    >>> for row in fit.samples(x=0, y=0).iterrows("group", "time", "value", "dq", "segment"):
    ...     print(*row)
    0 3.0 s 100.0 DN 0 0
    1 6.0 s 130.0 DN 0 0
    2 9.0 s 160.0 DN 0 0
    3 12.0 s 690.0 DN 4 1
    4 15.0 s 720.0 DN 0 1
    """
    inputs = inputs_of(fit)
    rows, columns = pixel_positions(inputs.exposure, x, y)
    parts = [_samples(fit, inputs, ramps, lines) for ramps, lines in _fitted(fit, inputs, rows, columns)]
    found = {name: np.concatenate([part[name] for part in parts]) for name in _SAMPLE_COLUMNS}
    return _table(fit, found, _SAMPLE_COLUMNS)


def _fitted(
    fit: RampFit, inputs: FitInputs, rows: np.ndarray, columns: np.ndarray
) -> Iterator[tuple[PixelRamps, FittedLines]]:
    """Fit the pixels, some at a time; at least once."""
    nints, ngroups = inputs.exposure.shape[:2]
    step = max(_MOST_SAMPLES // (nints * (ngroups + 1)), 1)
    find = ols_segments if is_ols(fit) else likelihood_segments
    for first in range(0, max(rows.size, 1), step):
        ramps = take_ramps(inputs, rows[first : first + step], columns[first : first + step])
        yield ramps, find(fit, inputs, ramps)


def _samples(fit: RampFit, inputs: FitInputs, ramps: PixelRamps, lines: FittedLines) -> dict[str, np.ndarray]:
    """Return the columns of :func:`find_samples`."""
    npixels, nints, ngroups = ramps.samples.shape
    nramps, size = npixels * nints, ngroups + 1
    # Sample 0 is the zeroframe, and is left out where it was not fitted; sample g + 1 is group g.
    values = np.full((nramps, size), np.nan)
    values[:, 1:] = ramps.samples.reshape(nramps, ngroups)
    of_groups = sample_times(inputs.exposure, fit.options)
    times = np.broadcast_to(np.append(of_groups.begin[0], of_groups.mean_t), values.shape).copy()
    segment = np.full(values.shape, -1)
    line, noise = np.full(values.shape, np.nan), np.full(values.shape, np.nan)

    segments, fitted = lines.segments, lines.samples
    which, k = np.nonzero(fitted.inside)
    ramp = lines.ramp[which]
    place = fitted.first[which] + k
    zeroframe = segments.zeroframe[which] & (k == 0)
    column = np.where(zeroframe, 0, place + 1 - lines.shift + lines.first_kept)
    values[ramp, column] = fitted.values[which, k]
    lone_zeroframe = zeroframe & (segments.nsamples[which] == 1)
    at = np.where(lone_zeroframe, segments.start_time[which], fitted.times.mean_t[place])
    times[ramp, column] = at
    segment[ramp, column] = segments.segment[which]
    line[ramp, column] = segments.intercept[which] + segments.slope[which] * at
    # A line through all of its samples leaves no residual.
    exact = segments.nsamples[which] <= (_SAMPLES_OF_A_LINE if is_ols(fit) else 1)
    noise[ramp, column] = np.where(exact, np.nan, lines.noise()[which, k])

    dq, found = np.zeros(values.shape, np.uint8), np.zeros(values.shape, np.bool_)
    dq[:, 1:] = ramps.flags.reshape(nramps, ngroups)
    if fit.groupdq is not None:
        with_found = np.moveaxis(fit.groupdq[:, :, ramps.rows, ramps.columns], -1, 0).reshape(nramps, ngroups)
        found[:, 1:] = (with_found & ~dq[:, 1:] & _J) != 0
        dq[:, 1:] |= with_found
    listed = np.ones(values.shape, np.bool_)
    listed[:, 0] = segment[:, 0] >= 0
    ramp, column = np.nonzero(listed)
    pixel, integration = np.divmod(ramp, nints)
    return {
        "integration": integration,
        "row": ramps.rows[pixel],
        "column": ramps.columns[pixel],
        "group": np.maximum(column - 1, 0),
        "zeroframe": column == 0,
        "time": times[listed],
        "value": values[listed],
        "dq": dq[listed],
        "found": found[listed],
        "segment": segment[listed],
        "line": line[listed],
        "residual": (values - line)[listed],
        "noise": noise[listed],
    }


def _table(fit: RampFit, found: dict[str, np.ndarray], columns: dict[str, tuple[str, str]]) -> QTable:
    from astropy import units
    from astropy.table import QTable

    table = QTable(meta={"algorithm": fit.options.algorithm})
    for name, (unit, description) in columns.items():
        values = found[name]
        table[name] = units.Quantity(values, unit, copy=False) if unit else values
        table[name].info.description = description
        if values.dtype.kind == "f":
            table[name].info.format = ".6g" if unit else ".3g"
    return table
