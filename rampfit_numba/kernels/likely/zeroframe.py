"""The first group of a ramp, split into its zeroframe and the mean of its other frames.

Source: sections 2 and 13 of the rules in ``docs/likelihood.md``.
"""

from __future__ import annotations

import numpy as np

from rampfit_numba import dq
from rampfit_numba.kernels._jit import jit

_D, _NOT_S = np.uint8(dq.DO_NOT_USE), np.uint8(0xFF ^ dq.SATURATED)
_NONE, _ONE = np.uint8(0), np.float32(1)


@jit
def split_first_group(loaded, nframes, joint, ramps):
    """Split group 0 of a block that has zeroframes, in single precision as the pipeline does.

    Both inherit the flags of group 0. With `joint`, the zeroframe has flags of its own: it is not saturated because the
    frames after it are, and 0 means that it cannot be used, so the others' mean is not known either.

    Parameters
    ----------
    loaded : Ramps
    nframes : float32
        N.
    joint : bool
    ramps : Ramps
        Results, with a group more: samples and flags. Where `loaded` has no zeroframes, nothing is done.

    Formula
    -------
    others = (N s_0 - z) / (N - 1)

    Source
    ------
    Section 2 of ``docs/likelihood.md``: s_0 is the mean of N frames, and z the first of them; flags: section 13.

    Units
    -----
    DN.
    """
    if loaded.zeroframe.size == 0:
        return
    nints, ngroups, lanes = loaded.samples.shape
    for i in range(nints):
        zeroframe, first, first_flags = loaded.zeroframe[i], loaded.samples[i, 0], loaded.flags[i, 0]
        alone, others = ramps.samples[i, 0], ramps.samples[i, 1]
        flags_alone, flags_others = ramps.flags[i, 0], ramps.flags[i, 1]
        for k in range(lanes):
            alone[k] = zeroframe[k]
            others[k] = (first[k] * nframes - zeroframe[k]) / (nframes - _ONE)
        for k in range(lanes):
            flag = first_flags[k]
            if joint:
                bad = _NONE if np.isfinite(zeroframe[k]) and zeroframe[k] != 0 else _D
                flags_alone[k], flags_others[k] = (flag & _NOT_S) | bad, flag | bad
            else:
                flags_alone[k] = flags_others[k] = flag
        for g in range(1, ngroups):
            samples, flags = loaded.samples[i, g], loaded.flags[i, g]
            samples_to, flags_to = ramps.samples[i, g + 1], ramps.flags[i, g + 1]
            for k in range(lanes):
                samples_to[k] = samples[k]
            for k in range(lanes):
                flags_to[k] = flags[k]
