"""Medians by sorting."""

from __future__ import annotations


def bring_to_middle(values, network):
    values.sort(axis=0)


def middle_two(values, count):
    ordered = sorted(values[:count])
    return ordered[(count - 1) // 2], ordered[count // 2]
