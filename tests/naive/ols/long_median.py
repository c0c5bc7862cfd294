"""Medians of many values, by sorting."""

from __future__ import annotations


def select_middle(values, selection):
    values.sort(axis=0)
