"""Which pixel is looked at next: neighbours, jumps, the worst chi-squares."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from rampfit_numba import dq

if TYPE_CHECKING:
    from rampfit_numba.result import RampFit

#: Pixels that are listed by their chi-square.
_WORST = 1000


class Picks:
    """Finds pixels, as (x, y), from the one that is looked at.

    Parameters
    ----------
    fit : RampFit
    """

    def __init__(self, fit: RampFit) -> None:
        self._rate, self._rateints = fit.rate, fit.rateints
        self.shape = fit.rate.data.shape

    @property
    def start(self) -> tuple[int, int]:
        """A pixel to begin with: one with a jump, next to the middle; or the middle."""
        nrows, ncols = self.shape
        middle = ncols // 2, nrows // 2
        if not self._jumps.size:
            return middle
        rows, columns = np.divmod(self._jumps, ncols)
        usable = (self._rate.dq[rows, columns] & (dq.DO_NOT_USE | dq.SATURATED)) == 0
        distance = (columns - middle[0]) ** 2 + (rows - middle[1]) ** 2 + np.where(usable, 0, nrows**2 + ncols**2)
        nearest = int(distance.argmin())
        return int(columns[nearest]), int(rows[nearest])

    def neighbour(self, x: int, y: int, right: int, up: int) -> tuple[int, int]:
        """Return the pixel so many columns to the right and rows up, or the last one at the edge."""
        nrows, ncols = self.shape
        return int(np.clip(x + right, 0, ncols - 1)), int(np.clip(y + up, 0, nrows - 1))

    @cached_property
    def _jumps(self) -> np.ndarray:
        return np.flatnonzero(self._rate.dq & np.uint32(dq.JUMP_DET))

    def jump(self, x: int, y: int, by: int = 1) -> tuple[int, int] | None:
        """Return the next pixel with a jump (or the one before), row by row and round again; None: there is none."""
        if not self._jumps.size:
            return None
        here = y * self.shape[1] + x
        if by > 0:
            place = np.searchsorted(self._jumps, here, side="right")
        else:
            place = np.searchsorted(self._jumps, here, side="left") - 1
        return self._pixel(self._jumps[int(place) % self._jumps.size])

    def integrations_with_jump(self, x: int, y: int) -> list[int]:
        """Return the integrations in which a pixel has a jump."""
        return [int(i) for i in np.flatnonzero(self._rateints.dq[:, y, x] & np.uint32(dq.JUMP_DET))]

    @property
    def has_chisq(self) -> bool:
        """Whether the fit has a chi-square."""
        return self._rate.chisq is not None

    @cached_property
    def _worst(self) -> np.ndarray:
        """The pixels whose chi-square is the least likely, the worst first."""
        chisq, dof = self._rate.chisq, self._rate.dof
        if chisq is None:
            return np.empty(0, np.int64)
        with np.errstate(invalid="ignore", divide="ignore"):
            # (chi-square - its mean) / its width: pixels with few and with many samples can be compared.
            excess = chisq if dof is None else np.where(dof > 0, (chisq - dof) / np.sqrt(2.0 * dof), np.nan)
        excess = np.where(np.isfinite(excess) & ((self._rate.dq & dq.DO_NOT_USE) == 0), excess, -np.inf).ravel()
        count = min(_WORST, int(np.isfinite(excess).sum()))
        if not count:
            return np.empty(0, np.int64)
        worst = np.argpartition(excess, -count)[-count:]
        return worst[np.argsort(-excess[worst], kind="stable")]

    def worst(self, rank: int) -> tuple[int, int] | None:
        """Return the pixel with the worst chi-square (`rank` 0), the next worst (1), and so on; None: there is none."""
        return self._pixel(self._worst[rank % self._worst.size]) if self._worst.size else None

    def _pixel(self, number: int) -> tuple[int, int]:
        y, x = divmod(int(number), self.shape[1])
        return x, y
