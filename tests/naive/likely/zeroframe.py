"""The first group of a ramp, split into its zeroframe and the mean of its other frames."""

from __future__ import annotations

import numpy as np

D, S = 1, 2


def split_first_group(loaded, nframes, joint, ramps):
    if not loaded.zeroframe.size:
        return
    ramps.samples[:, 2:], ramps.flags[:, 2:] = loaded.samples[:, 1:], loaded.flags[:, 1:]
    for i, k in np.ndindex(loaded.zeroframe.shape):
        zeroframe, mean, flag = loaded.zeroframe[i, k], loaded.samples[i, 0, k], int(loaded.flags[i, 0, k])
        ramps.samples[i, :2, k] = zeroframe, (mean * nframes - zeroframe) / (nframes - np.float32(1))
        bad = D if joint and (zeroframe == 0 or not np.isfinite(zeroframe)) else 0
        ramps.flags[i, 0, k] = (flag & ~S if joint else flag) | bad
        ramps.flags[i, 1, k] = flag | bad
