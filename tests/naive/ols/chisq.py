"""Chi-squares of OLS in plain Python, from dense matrices: slow, and nothing of it is the package's."""

from __future__ import annotations

import numpy as np


def samples_covariance(frame_times, photon, noise):
    """Return the covariance of groups that are means of frames read at these times, one list a group, in s.

    `photon` in DN^2/s; `noise` is the variance of one frame in DN^2.
    """
    times = np.concatenate(frame_times)
    of_frames = photon * (np.minimum.outer(times, times) - times[0]) + noise * np.eye(times.size)
    mean = np.zeros((len(frame_times), times.size))
    place = 0
    for g, frames in enumerate(frame_times):
        mean[g, place : place + len(frames)] = 1 / len(frames)
        place += len(frames)
    return mean @ of_frames @ mean.T


def smallest_chisq(values, frame_times, photon, noise):
    """Return the smallest generalised chi-square of samples around a straight line."""
    matrix = samples_covariance(frame_times, photon, noise)
    design = np.array([[1.0, np.mean(frames)] for frames in frame_times])
    inverse = np.linalg.inv(matrix)
    line = np.linalg.solve(design.T @ inverse @ design, design.T @ inverse @ (values - values[0]))
    residual = values - values[0] - design @ line
    return residual @ inverse @ residual


def find_chisq(samples, segments, frame_times, photon, noise):
    """Return chi-square and degrees of freedom of one ramp, whose segments are pairs of first and last group."""
    chisq, dof = 0.0, 0
    for first, last in segments:
        if last - first >= 2:
            here = slice(first, last + 1)
            chisq += smallest_chisq(np.float64(samples[here]), frame_times[here], photon, noise)
            dof += last - first - 1
    return chisq, dof
