"""Straight lines with any weights at any times: one segment, with a design matrix."""

from __future__ import annotations

import numpy as np

#: The pipeline's weighting as pairs, which takes the general path.
OPTIMAL = ((5.0, 0.4), (10.0, 1.0), (20.0, 3.0), (50.0, 6.0), (100.0, 10.0))


def exponent(weighting, signal):
    """Return the power of the weights."""
    if isinstance(weighting, float):
        return weighting
    if weighting == "uniform":
        return 0.0
    if weighting == "interpolated":
        if signal < 5:
            return 0.0
        return float(np.interp(signal, [5, 10, 20, 50, 100], [0.4, 1, 3, 6, 10]))
    pairs = OPTIMAL if weighting == "optimal" else weighting
    return ([0.0] + [p for bound, p in pairs if signal >= bound])[-1]


def fit_general_tile(samples, times, weighting, photon, noise, gain):
    """Fit one segment with a design matrix, and find its variances from the covariance of all frames."""
    mean, reads = np.array([np.mean(group) for group in times]), np.array([len(group) for group in times])
    step = (samples[-1] - samples[0]) * gain
    variance = (noise * gain) ** 2 / 2 * (1 / reads[0] + 1 / reads[-1]) / 2
    signal = step / np.sqrt(variance + step) if variance + step > 0 and step > 0 else 0.0
    power = exponent(weighting, signal)
    distance = np.abs(mean - (mean[0] + mean[-1]) / 2) / ((mean[-1] - mean[0]) / 2)
    w = distance**power * (1 + power) * reads / (1 + power * reads)
    design = np.column_stack([np.ones(mean.size), mean - mean[0]])
    factors = np.linalg.solve(design.T @ (w[:, None] * design), design.T * w)[1]
    frames = np.concatenate(times)
    average = np.zeros((mean.size, frames.size))
    for g, begin in enumerate(np.cumsum([0, *reads[:-1]])):
        average[g, begin : begin + reads[g]] = 1 / reads[g]
    k = factors @ average
    since = frames - frames[0]
    return factors @ samples, photon * k @ np.minimum.outer(since, since) @ k, noise**2 / 2 * k @ k
