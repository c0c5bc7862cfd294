"""The segments of chosen pixels as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rampfit_numba.pixel_ramps import inputs_of, is_ols, pixel_positions, take_ramps
from rampfit_numba.segments.likelihood import likelihood_segments
from rampfit_numba.segments.ols import ols_segments

if TYPE_CHECKING:
    from astropy.table import QTable
    from numpy.typing import ArrayLike

    from rampfit_numba.result import FitInputs, RampFit
    from rampfit_numba.segments.columns import Segments

#: Samples that are worked on at once.
_MOST_SAMPLES = 1 << 21

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

    Examples
    --------
    >>> import numpy as np
    >>> from rampfit_numba import Exposure, fit_ramps
    >>> ramp = np.arange(10, dtype=np.float32).reshape(1, 10, 1, 1) * 30
    >>> flags = np.zeros(ramp.shape, np.uint8)
    >>> ramp[:, 6:] += 500  # a hit between the groups 5 and 6
    >>> flags[:, 6] = 4
    >>> fit = fit_ramps(Exposure(ramp, flags, group_time=3.0), readnoise=14.0, gain=5.5)
    >>> fit.segments(x=0, y=0)["first_group", "last_group", "slope", "weight"].pprint()
    first_group last_group slope  weight
                           DN / s
    ----------- ---------- ------ ------
              0          5   10.0  0.778
              6          9   10.0  0.222
    """
    from astropy import units
    from astropy.table import QTable

    inputs = inputs_of(fit)
    rows, columns = pixel_positions(inputs.exposure, x, y)
    nints, ngroups = inputs.exposure.shape[:2]
    step = max(_MOST_SAMPLES // (nints * (ngroups + 1)), 1)
    parts = [
        _segments(fit, inputs, rows[first : first + step], columns[first : first + step])
        for first in range(0, max(rows.size, 1), step)
    ]
    table = QTable(meta={"algorithm": fit.options.algorithm})
    for name, (unit, description) in _COLUMNS.items():
        values = np.concatenate([getattr(part, name) for part in parts])
        table[name] = units.Quantity(values, unit, copy=False) if unit else values
        table[name].info.description = description
        if values.dtype.kind == "f":
            table[name].info.format = ".6g" if name != "weight" else ".3g"
    return table


def _segments(fit: RampFit, inputs: FitInputs, rows: np.ndarray, columns: np.ndarray) -> Segments:
    ramps = take_ramps(inputs, rows, columns)
    return (ols_segments if is_ols(fit) else likelihood_segments)(fit, inputs, ramps)
