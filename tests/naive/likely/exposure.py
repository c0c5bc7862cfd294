"""The likelihood fits, slow and obvious: dense covariances made frame by frame, and every omission tried out.

Independent of the package and of the reference's recursions. It also tells how close its decisions were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.cases import flag_missing_rates
from tests.likely_cases import LikelyFit
from tests.naive.likely.combine import combine_integrations
from tests.naive.likely.covariance import Times
from tests.naive.likely.joint import fit_joint_tile
from tests.naive.likely.ramps import NO_GAIN, D, Hinges, J, P, S, make_ramp
from tests.naive.likely.tile import fit_likely_tile

if TYPE_CHECKING:
    from tests.likely_cases import LikelyCase


def naive_likely(case: LikelyCase, *, joint: bool = False) -> tuple[LikelyFit, Hinges]:
    """Fit all pixels, and tell how close the decisions were."""
    nints, _, nrows, ncols = case.shape
    times = case.times
    if case.splits:
        times = [times[0][:1], times[0][1:], *times[1:]]
    names = ("data", "err", "var_poisson", "var_rnoise", "chisq", "dof", "dq")
    rate = {n: np.zeros((nrows, ncols), np.uint32 if n == "dq" else np.float64) for n in names}
    rateints = {n: np.zeros((nints, nrows, ncols), np.uint32 if n == "dq" else np.float64) for n in names}
    fit = LikelyFit(rate, rateints, case.groupdq.copy())
    hinges = Hinges(*(np.zeros((nints, nrows, ncols), t) for t in (np.int64, *[np.float64] * 4)))
    made = Times(times)
    for row in range(nrows):
        for col in range(ncols):
            with np.errstate(all="ignore"):
                (fit_joint_tile if joint else fit_likely_tile)(case, row, col, made, fit, hinges)
            for i in range(nints):
                flags = make_ramp(case, i, row, col, made, joint=joint).flags
                q = int(case.pixeldq[row, col]) | (D if ((flags & (D | S)) != 0).all() else 0)
                q |= int(np.bitwise_or.reduce(flags) & (S | J | (P if joint else 0)))
                q |= int(np.bitwise_or.reduce(fit.groupdq[i, :, row, col] & ~case.groupdq[i, :, row, col]) & J)
                if joint:
                    gain = case.gain[row, col]
                    q |= 0 if gain > 0 and np.isfinite(gain) else D | NO_GAIN
                    q |= D if np.isnan(rateints["data"][i, row, col]) else 0
                rateints["dq"][i, row, col] = q
    everywhere = np.bitwise_and.reduce(rateints["dq"], axis=0) & D
    rate["dq"][...] = (np.bitwise_or.reduce(rateints["dq"], axis=0) & ~np.uint32(D)) | everywhere
    if not joint:
        combine_integrations(rateints, rate)
        flag_missing_rates(rate, rateints)
    return fit, hinges
