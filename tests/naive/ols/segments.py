"""Segments of ramps, one ramp after the other."""

from __future__ import annotations

from rampfit_numba.kernels.vectors import WIDTH

J, P = 4, 32


def find_runs(flags, clear_jump, left_out, runs):
    """Runs of good groups, each with the jump before it."""
    ngroups = len(flags)
    runs.length[...] = 0
    for k in range(flags.shape[1]):
        ramp = [int(flag) & ~P for flag in flags[:, k]]
        if clear_jump:
            ramp[0] &= ~J
        g = 0
        while g < ngroups and not left_out[k]:
            end = g
            while end < ngroups and not ramp[end]:
                end += 1
            begin = g - 1 if g > 0 and ramp[g - 1] == J else g
            if end > g:
                runs.length[begin:end, k] = range(1, end - begin + 1)
            g = end + 1


def segments_of(runs, k):
    """Return last group and length of all segments of a ramp."""
    length = [int(n) for n in runs.length[:, k]]
    return [(g, length[g]) for g in range(len(length) - 1) if length[g] > 0 and length[g + 1] <= 1]


def list_segments(runs, segments):
    found = [(last, k, n) for k in range(runs.length.shape[1]) for last, n in segments_of(runs, k) if n > 1]
    for s, (last, k, n) in enumerate([*sorted(found), *[(1, 0, 2)] * WIDTH]):
        segments.lane[s], segments.last[s], segments.length[s] = k, last, n
    for k in range(runs.length.shape[1]):
        lengths = [n for _, lane, n in found if lane == k]
        runs.nsegments[k] = len(lengths)
        runs.sum_steps[k] = sum(n - 1 for n in lengths)
    return len(found)


def count_segments(runs, several, single):
    for k in range(runs.length.shape[1]):
        lengths = [n for _, n in segments_of(runs, k)]
        several[k], single[k] = sum(n > 1 for n in lengths), sum(n == 1 for n in lengths)


def find_single_group(runs, k):
    good = [g for g in range(len(runs.length) - 1) if runs.length[g, k]]
    return good[0] if good else -1
