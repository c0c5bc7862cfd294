"""What concerns the exposure as a whole: the times of its frames, which groups count, and the thresholds."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from rampfit_numba.algorithms.corrections import read_rules
from rampfit_numba.algorithms.groups import usable_groups
from rampfit_numba.algorithms.likely.rules import LikelyRules
from rampfit_numba.algorithms.likely.thresholds import thresholds
from rampfit_numba.algorithms.read_pattern import even_read_times, read_pattern

if TYPE_CHECKING:
    from rampfit_numba.exposure import Exposure
    from rampfit_numba.options import FitOptions

log = logging.getLogger(__name__)

#: Of an exposure: a thousand groups of a thousand frames take 8 MB, and no detector reads more.
_MOST_FRAMES = 10_000_000


def make_likely_rules(exposure: Exposure, options: FitOptions, *, joint: bool) -> LikelyRules:
    """Return the rules of a likelihood fit, for which every group stays: it needs their times.

    Parameters
    ----------
    exposure : Exposure
    options : FitOptions
    joint : bool
        One covariance and one rate for all integrations of a pixel.
    """
    first_used, last_used = usable_groups(options, exposure.ngroups)
    if exposure.read_times is None and exposure.nframes * exposure.ngroups > _MOST_FRAMES:
        raise ValueError(
            "nframes: expected groups of fewer frames, since a likelihood fit lists their times; got "
            f"{exposure.nframes} in each of {exposure.ngroups} groups, more than {_MOST_FRAMES}"
        )
    times = exposure.read_times or even_read_times(
        exposure.ngroups, exposure.frame_time, exposure.nframes, exposure.groupgap, exposure.drop_frames1
    )
    reads = len(times[0])
    split = exposure.zeroframe is not None and reads > 1
    if exposure.zeroframe is not None and not split:
        log.warning("Zero frame is present, but the first group has < 2 reads: the zero frame is ignored")
    threshold_one, threshold_two = thresholds(options.rejection_threshold)
    pedestal_mean, pedestal_sigma = options.pedestal or (math.nan, math.nan)
    return LikelyRules(
        pattern=read_pattern(times, split_first=split),
        threshold_one=threshold_one,
        threshold_two=threshold_two,
        joint=joint,
        split_zeroframe=split,
        nframes=reads,
        first_used=first_used,
        last_used=last_used,
        pedestal_mean=pedestal_mean,
        pedestal_sigma=pedestal_sigma,
        reads=read_rules(exposure.corrections),
    )
