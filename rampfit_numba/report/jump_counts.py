"""The jumps of a fit in numbers that do not grow with them: a long series has tens of millions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rampfit_numba import dq
from rampfit_numba.jumps import jump_parts
from rampfit_numba.mapped_arrays import let_go

if TYPE_CHECKING:
    from rampfit_numba.result import RampFit

#: Samples that are looked at at once: a report is made beside what a fit has in memory.
_SAMPLES = 1 << 20
#: Sizes that percentiles and histograms are made of: more would change nothing that one could see.
_MOST = 1 << 20


class CrowdedRamp(NamedTuple):
    """A ramp with jumps, and how many; the order of these is that of the list."""

    fewer: int
    integration: int
    row: int
    column: int

    @property
    def jumps(self) -> int:
        """Return the number of jumps."""
        return -self.fewer


class LargeJump(NamedTuple):
    """A jump, and its size in electrons; the order of these is that of the list."""

    smaller: float
    integration: int
    group: int
    row: int
    column: int

    @property
    def size(self) -> float:
        """Return the size, electrons."""
        return -self.smaller


@dataclass(frozen=True)
class JumpCounts:
    """What a report says of jumps.

    Attributes
    ----------
    total, found, in_usable : int
        All jumps, those that the fit found itself, and those of pixels that are not DO_NOT_USE.
    of_pixels : ndarray of int32, shape (nrows, ncols)
        How many each pixel has.
    crowded : list of CrowdedRamp
        Ramps with the most jumps.
    largest : list of LargeJump
    sizes : ndarray of float64
        Electrons, NaN included: of all jumps, or of every `each`-th one.
    sizes_found : ndarray of bool
        Whether the fit found the jump itself.
    each : int
        How many jumps one of `sizes` stands for.
    """

    total: int
    found: int
    in_usable: int
    of_pixels: np.ndarray
    crowded: list[CrowdedRamp]
    largest: list[LargeJump]
    sizes: np.ndarray
    sizes_found: np.ndarray
    each: int


def count_jumps(fit: RampFit, most_listed: int) -> JumpCounts:
    """Look at all jumps of a fit, some rows and one integration at a time, and list so many of the notable ones."""
    usable = (fit.rate.dq & dq.DO_NOT_USE) == 0
    of_pixels = np.zeros(fit.rate.data.shape, np.int32)
    total = found = in_usable = 0
    crowded: list[CrowdedRamp] = []
    largest: list[LargeJump] = []
    sizes = _Thinned(_MOST)
    for part in jump_parts(fit, _SAMPLES):
        place = part["row"], part["column"]
        total += place[0].size
        found += int(np.count_nonzero(part["found"]))
        in_usable += int(np.count_nonzero(usable[place]))
        np.add.at(of_pixels, place, 1)
        # All groups of a ramp are in one part.
        crowded = sorted([*crowded, *_crowded(part, fit.rate.data.shape[1], most_listed)])[:most_listed]
        largest = sorted([*largest, *_largest(part, most_listed)])[:most_listed]
        sizes.add(np.asarray(part["size_e"], np.float64), part["found"])
        let_go(fit.rateints.data)
    values, which = sizes.values()
    return JumpCounts(total, found, in_usable, of_pixels, crowded, largest, values, which, sizes.each)


def _crowded(part: dict[str, np.ndarray], ncols: int, most: int) -> list[CrowdedRamp]:
    pixels, counts = np.unique(part["row"].astype(np.int64) * ncols + part["column"], return_counts=True)
    first = np.argsort(-counts, kind="stable")[:most]
    integration = int(part["integration"][0]) if first.size else 0
    return [CrowdedRamp(-int(counts[k]), integration, *divmod(int(pixels[k]), ncols)) for k in first]


def _largest(part: dict[str, np.ndarray], most: int) -> list[LargeJump]:
    sizes = part["size_e"]
    first = np.argsort(np.where(np.isfinite(sizes), -sizes, np.inf), kind="stable")[:most]
    names = ("integration", "group", "row", "column")
    return [
        LargeJump(-float(sizes[k]), *(int(part[name][k]) for name in names)) for k in first if np.isfinite(sizes[k])
    ]


class _Thinned:
    """Every so many of what comes, so many at most: all as long as they are few."""

    def __init__(self, most: int) -> None:
        self.each = 1
        self._most = most
        self._next = 0  # how many of those to come are left out before the next one that is kept
        self._held = 0
        self._parts: list[tuple[np.ndarray, ...]] = []

    def add(self, *columns: np.ndarray) -> None:
        """Take more, of which one in `each` is kept."""
        size = columns[0].size
        kept = tuple(column[self._next :: self.each].copy() for column in columns)
        more = kept[0].size
        self._next += more * self.each - size
        self._parts.append(kept)
        self._held += more
        while self._held > self._most:
            whole = self._joined()
            halved = tuple(column[::2].copy() for column in whole)
            self._next += self.each * (whole[0].size % 2)
            self.each *= 2
            self._parts, self._held = [halved], halved[0].size

    def values(self) -> tuple[np.ndarray, ...]:
        """Return the columns of what was kept."""
        return self._joined() if self._parts else (np.empty(0), np.empty(0, np.bool_))

    def _joined(self) -> tuple[np.ndarray, ...]:
        return tuple(np.concatenate(columns) for columns in zip(*self._parts, strict=True))
