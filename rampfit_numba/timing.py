"""The times of an exposure: checked, and told apart where they contradict each other.

Explicit read times are the truth for every algorithm. Where there are none, the time from group to group is what OLS
goes by, and the times of the frames are what the likelihood fits go by, as in the pipeline.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from rampfit_numba.checks import check_count, check_read_times, check_time

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Relative differences between time steps that still count as even: files hold rounded times.
_EVEN = 1e-4
#: The same between times that should be one: keywords are rounded more.
_SAME = 1e-3
_INTERLEAVED = (
    "read_times: frames of different groups were read in turns; the photon noise that groups share then is considered "
    "for neighbours only, and errors are approximate"
)

ReadTimes = tuple[tuple[float, ...], ...]


class Timing(NamedTuple):
    """Times of an exposure, in s, that agree with each other.

    Attributes
    ----------
    group_time, frame_time : float
        From group to group (uneven ones: on average), and from frame to frame.
    nframes, groupgap : int
        Frames averaged per group, and skipped after each.
    read_times : tuple of tuples of float, or None
        Of the frames of each group.
    """

    group_time: float
    frame_time: float
    nframes: int
    groupgap: int
    read_times: ReadTimes | None


def settle(  # noqa: PLR0917  (those of Exposure)
    group_time: Any,  # noqa: ANN401
    frame_time: Any,  # noqa: ANN401
    nframes: Any,  # noqa: ANN401
    groupgap: Any,  # noqa: ANN401
    read_times: Any,  # noqa: ANN401
    ngroups: int,
) -> tuple[Timing, tuple[str, ...]]:
    """Return the times that an exposure has, and what contradicts them; None stands for what is not known.

    Parameters
    ----------
    group_time, frame_time, nframes, groupgap, read_times
        As for :class:`rampfit_numba.Exposure`.
    ngroups : int
        Groups of the exposure.

    Returns
    -------
    Timing
    tuple of str
        Complaints: which of the times are used where they contradict each other, and what cannot be right about them.

    Raises
    ------
    TypeError, ValueError
        One of them is unusable, or no time is given at all.
    """
    times = check_read_times(read_times, ngroups)
    step = None if group_time is None else check_time("group_time", group_time)
    frame = None if frame_time is None else check_time("frame_time", frame_time)
    frames = None if nframes is None else check_count("nframes", nframes, 1)
    gap = check_count("groupgap", groupgap, 0)
    if times is not None:
        timing, complaint = _from_read_times(times, step, frame, frames, gap)
        return timing, tuple(filter(None, (complaint, _INTERLEAVED if interleaved(times) else "")))
    if step is None:
        raise TypeError("group_time: expected a number of seconds > 0; got None (only read_times can stand in for it)")
    frames = 1 if frames is None else frames
    per_group = frames + gap
    if frame is None:
        return Timing(step, step / per_group, frames, gap, None), ()
    timing = Timing(step, frame, frames, gap, None)
    if math.isclose(step, frame * per_group, rel_tol=_SAME):
        return timing, ()
    complaint = (
        f"group_time (TGROUP) is {step:g} s, and frame_time (TFRAME) x [nframes (NFRAMES) + groupgap (GROUPGAP)] is "
        f"{frame:g} s x {per_group} = {frame * per_group:g} s; 'ols' goes by the former, 'likely' and 'likely_joint' "
        "by the latter"
    )
    return timing, (complaint,)


def _from_read_times(
    times: ReadTimes, step: float | None, frame: float | None, frames: int | None, gap: int
) -> tuple[Timing, str]:
    """Do what :func:`settle` does for an exposure with explicit times."""
    true_step = _mean_step(times)
    if true_step is None:  # a single group: how long after the reset it was read is all that its times say
        true_step = _mean(times[0]) if step is None else step
        if not true_step > 0:
            raise TypeError("group_time: expected a number of seconds > 0, for the only group has none; got None")
    reads = len(times[0])
    if not evenly_read(times):
        # No frames are averaged or skipped in one way: what is given is kept, and nothing goes by it.
        frames = reads if frames is None else frames
        return Timing(step or true_step, frame or (step or true_step) / (frames + gap), frames, gap, times), ""
    true_frame = (times[0][-1] - times[0][0]) / (reads - 1) if reads > 1 else None
    wrong = [
        f"{name} is {given:g}{unit} and not {true:g}{unit}"
        for name, given, true, unit in (
            ("group_time (TGROUP)", step, true_step, " s"),
            ("nframes (NFRAMES)", frames, reads, ""),
            ("frame_time (TFRAME)", frame, true_frame, " s"),
        )
        if given is not None and true is not None and not math.isclose(given, true, rel_tol=_SAME)
    ]
    complaint = f"read_times are what is used, and contradict other times: {'; '.join(wrong)}" if wrong else ""
    if true_frame is not None:
        return Timing(true_step, true_frame, reads, max(round(true_step / true_frame) - reads, 0), times), complaint
    # Frames that were skipped between single reads leave no trace in their times.
    if frame is not None and math.isclose(frame * (1 + gap), true_step, rel_tol=_SAME):
        return Timing(true_step, frame, reads, gap, times), complaint
    return Timing(true_step, true_step, reads, 0, times), complaint


def evenly_read(times: Sequence[Sequence[float]] | None) -> bool:
    """Tell whether every group has as many reads as the others, and the same time between their means."""
    if times is None:
        return True
    steps = [after - before for before, after in pairwise(map(_mean, times))]
    return len(set(map(len, times))) == 1 and all(math.isclose(step, steps[0], rel_tol=_EVEN) for step in steps)


def interleaved(times: ReadTimes | None) -> bool:
    """Tell whether a group has frames that were read before the last one of the group before it."""
    return times is not None and any(after[0] <= before[-1] for before, after in pairwise(times))


def _mean(group: Sequence[float]) -> float:
    return sum(group) / len(group)


def _mean_step(times: ReadTimes) -> float | None:
    return (_mean(times[-1]) - _mean(times[0])) / (len(times) - 1) if len(times) > 1 else None
