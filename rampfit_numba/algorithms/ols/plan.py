"""What concerns the exposure as a whole: which groups count, times, and whether anything can be fitted.

Source: sections 2.1 to 2.8 of the rules in ``docs/algorithm.md``. Only scalars come out.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rampfit_numba.algorithms.corrections import read_rules
from rampfit_numba.algorithms.groups import usable_groups
from rampfit_numba.algorithms.ols.rules import OlsRules
from rampfit_numba.algorithms.ols.scan import Replay, Scan
from rampfit_numba.kernels.ols.settings import LARGEST_VARIANCE, Settings

if TYPE_CHECKING:
    from rampfit_numba.algorithms.ols.scan import Source, Survey
    from rampfit_numba.exposure import Exposure
    from rampfit_numba.options import FitOptions

log = logging.getLogger(__name__)

_LEAST_GROUPS = 2


class OlsPlan(NamedTuple):
    """How to fit an exposure.

    Attributes
    ----------
    rules : OlsRules
    use_zeroframe : bool
    nothing_to_fit : str
        Empty, or the reason why no ramp can be fitted.
    """

    rules: OlsRules
    use_zeroframe: bool
    nothing_to_fit: str


def make_plan(
    exposure: Exposure,
    options: FitOptions,
    data: Source,
    groupdq: Source,
    survey: Survey | None = None,
    *,
    quiet: bool = False,
) -> OlsPlan:
    """Decide which groups count.

    Parameters
    ----------
    exposure : Exposure
    options : FitOptions
    data, groupdq : ndarray or FileArray
        The exposure's arrays, or where they stand.
    survey : Survey, optional
        What was found in all its parts, where none of them is here.
    quiet : bool
        Log nothing: the fit has said it.

    Returns
    -------
    OlsPlan
    """
    ngroups = exposure.ngroups
    suppress = options.suppress_one_group and ngroups > 1
    first_used, last_used = usable_groups(options, ngroups)
    whole = (exposure.shape, data, groupdq, first_used, last_used)
    scan = Replay(survey) if survey is not None else Scan(*whole, suppress=suppress)
    first, stop = 0, ngroups
    reason = ""
    if drops_edges(exposure):
        while first < stop and scan.nothing_usable(first):
            first += 1
        if first < stop and scan.nothing_usable(stop - 1):
            stop -= 1
        if first < stop and not quiet:  # in the pipeline's words, which other software looks for
            log.info("Number of leading groups that are flagged as DO_NOT_USE: %d", first)
        if first < ngroups and stop < ngroups and not quiet:
            log.info("MIRI dataset has all pixels in the final group flagged as DO_NOT_USE.")
        if (left := max(stop - first, 0)) < _LEAST_GROUPS:
            reason = (
                "without the edge groups that are DO_NOT_USE everywhere, as samples that are not finite are, "
                f"{left} of {ngroups} groups are left"
            )
    if not reason and scan.all_saturated(first):
        reason = "every ramp is saturated in its first group"
    dropped_good = scan.dropped_good
    if reason and stop - first < _LEAST_GROUPS and ngroups > 1:
        # All groups stay, and none of them may be used.
        first, stop, first_used, last_used, dropped_good = 0, ngroups, ngroups, ngroups, False

    # The reference keeps times in single precision.
    group_time, frame_time = (float(np.float32(time)) for time in (exposure.group_time, exposure.frame_time))
    one_group_time = (exposure.nframes + 1) * frame_time / 2
    pedestal_groups = ((exposure.nframes + 1) / 2 + exposure.drop_frames1) / (exposure.nframes + exposure.groupgap)
    if exposure.read_times is not None and exposure.read_times[0][0] > 0:
        # Explicit times count from the reset, and say when the frame of the zeroframe was read.
        times = exposure.read_times[0]
        frame_time, one_group_time = (float(np.float32(time)) for time in (times[0], sum(times) / len(times)))
        pedestal_groups = one_group_time / group_time
    # Samples within a frame are milliseconds apart: their noise over that time is beyond the reference's bound, which
    # would make every rate 0.
    largest = LARGEST_VARIANCE if exposure.read_times is None else float(np.finfo(np.float32).max)
    settings = Settings(
        group_time=group_time,
        frame_time=frame_time,
        one_group_time=one_group_time,
        readnoise_scale=math.sqrt(2 * exposure.nframes),
        pedestal_groups=pedestal_groups,
        suppress_one_group=suppress,
        clear_first_jump=first > 0,
        largest_variance=largest,
    )
    early = photon_lead(exposure, group_time) if options.chisq else 0.0
    rules = OlsRules(
        settings, first, stop, first_used, last_used, dropped_good, read_rules(exposure.corrections), early
    )
    return OlsPlan(rules, use_zeroframe=exposure.zeroframe is not None and not reason, nothing_to_fit=reason)


def drops_edges(exposure: Exposure) -> bool:
    """Tell whether edge groups that are DO_NOT_USE everywhere are left out."""
    return exposure.instrument == "MIRI" and exposure.ngroups > 1


def make_survey(exposure: Exposure, options: FitOptions) -> Survey:
    """Find in a part of an exposure, some of its pixels, what :func:`make_plan` needs to know of all of them."""
    ngroups = exposure.ngroups
    suppress = options.suppress_one_group and ngroups > 1
    scan = Scan(exposure.shape, exposure.data, exposure.groupdq, *usable_groups(options, ngroups), suppress=suppress)
    return scan.survey(edges=drops_edges(exposure))


def photon_lead(exposure: Exposure, group_time: float) -> float:
    """Return by how much the mean time of a group's frames is later than the time that its photon noise counts to.

    That time is tau of Brandt 2024a, equation 4. Frames that overlap the next group, as a header that contradicts
    itself has them, cannot be: groups count as one frame each then.
    """
    if exposure.read_times is not None:
        times: np.ndarray = np.asarray(exposure.read_times[0], np.float64)
    else:
        times = (np.arange(1, exposure.nframes + 1) + exposure.drop_frames1) * float(exposure.frame_time)
    if any(times[0] + (g + 1) * group_time <= times[-1] + g * group_time for g in range(exposure.ngroups - 1)):
        return 0.0
    shares = np.arange(2 * times.size - 1, 0, -2) / times.size**2
    return float(times.mean() - np.sum(shares * times))
