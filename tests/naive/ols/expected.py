"""How many segments and jumps ramps have as far as their flags tell."""

from __future__ import annotations

from tests.naive.ols.block import D, J, P, S, find_segments


def count_flags(groupdq, settings, first_used, last_used):
    most_segments = most_jumps = 0
    ngroups = groupdq.shape[1]
    for ramp in groupdq.transpose(0, 2, 3, 1).reshape(-1, ngroups).tolist():
        flags = [f if first_used <= g <= last_used else f | D for g, f in enumerate(ramp)]
        most_jumps = max(most_jumps, sum(bool(f & J) for f in flags[1:]))
        alone = settings.suppress_one_group and sum(not f & ~P for f in flags) == 1
        if alone or flags[0] & S or all(f & (D | S) for f in flags):
            continue
        if settings.clear_first_jump:
            flags[0] &= ~J
        most_segments = max(most_segments, find_segments(flags)[1])
    return most_segments, most_jumps
