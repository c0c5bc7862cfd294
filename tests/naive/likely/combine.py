"""Integrations combined as in the pipeline, in plain NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAN = float("nan")


def combine_integrations(rateints: dict[str, Any], rate: dict[str, Any]) -> None:
    """Combine integrations as the pipeline does, which works in single precision."""
    names = ("data", "err", "var_poisson", "var_rnoise", "chisq", "dof")
    r, _, p, n, chisq, dof = (rateints[name].astype(np.float32) for name in names)
    if len(r) == 1:
        for name in names:
            rate[name][...] = rateints[name][0]
        return
    with np.errstate(all="ignore"):
        finite = np.where(np.isnan(r), np.inf, r)
        order, count = np.sort(finite, axis=0), (~np.isnan(r)).sum(axis=0)
        take = [np.take_along_axis(order, np.maximum(k, 0)[None], 0)[0] for k in ((count - 1) // 2, count // 2)]
        middle = np.where(count > 0, (take[0] + take[1]) / 2, np.nan)
        for _ in range(2):
            ratio = middle / r
            v = p * np.where(np.isfinite(ratio) & (ratio >= 0), ratio, np.float32(0))
            w = 1 / (v + n)
            w /= _sum(w, empty=0)
            middle = _sum(w * r)
        rate["data"][...], rate["var_poisson"][...], rate["var_rnoise"][...] = middle, _sum(v * w * w), _sum(n * w * w)
        rate["err"][...] = np.sqrt(rate["var_poisson"] + rate["var_rnoise"])
        rate["chisq"][...], rate["dof"][...] = chisq.sum(axis=0), dof.sum(axis=0)


def _sum(values: NDArray[Any], empty: float = NAN) -> NDArray[Any]:
    return np.where(np.isnan(values).all(axis=0), np.float32(empty), np.where(np.isnan(values), 0, values).sum(axis=0))
