"""What a segment's class and length alone decide."""

from __future__ import annotations

import numpy as np

from rampfit_numba.kernels.ols.weighting import SegmentShape
from tests.naive.ols.segment_fit import relative_weights


def shape_in_tables(weights, snr_class, column):
    n = len(weights.per_step) - 1 if column < 0 else int(column)
    w, x = relative_weights(int(snr_class), n), np.arange(n) - (n - 1) / 2
    return shape_of_long(n, np.sum(w), np.sum(w * x * x))


def shape_of_long(length, total, spread):
    n = int(length)
    return SegmentShape(1 / (n - 1), 1 / (n**3 - n), 1 / total, spread, 1 / np.sqrt(spread))
