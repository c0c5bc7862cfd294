"""The jumps of a fit in numbers that do not grow with them: a long series has tens of millions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from rampfit_numba import dq
from rampfit_numba.jumps import JumpKinds, count_kinds, jump_parts
from rampfit_numba.mapped_arrays import let_go

if TYPE_CHECKING:
    from rampfit_numba.result import RampFit

_Notable = TypeVar("_Notable", "CrowdedRamp", "LargeJump")

#: Samples that are looked at at once: a report is made beside what a fit has in memory.
_SAMPLES = 1 << 20
#: Sizes that percentiles and histograms are made of: a percentile of half as many is right within 0.07 percent of them.
_MOST = 1 << 20
#: Of the random numbers that choose them: the same fit has the same report.
_SEED = 1


class CrowdedRamp(NamedTuple):
    """A ramp with jumps, and how many."""

    jumps: int
    integration: int
    row: int
    column: int


class LargeJump(NamedTuple):
    """A jump, and its size in electrons."""

    size: float
    integration: int
    group: int
    row: int
    column: int


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
        Ramps with the most jumps, these first; then in the order of integration, row and column.
    largest : list of LargeJump
        The largest first; then in the order of integration, group, row and column.
    kinds : JumpKinds
        All jumps by the sign of their size, and by who found them.
    sizes : ndarray of float64
        Electrons, NaN included: of all jumps, or of a random sample.
    sizes_found : ndarray of bool
        Whether the fit found the jump itself.
    """

    total: int
    found: int
    in_usable: int
    of_pixels: np.ndarray
    crowded: list[CrowdedRamp]
    largest: list[LargeJump]
    kinds: JumpKinds
    sizes: np.ndarray
    sizes_found: np.ndarray

    @property
    def sampled(self) -> bool:
        """Whether `sizes` has but some of the jumps."""
        return self.sizes.size < self.total


def count_jumps(fit: RampFit, most_listed: int) -> JumpCounts:
    """Look at all jumps of a fit, some rows and one integration at a time, and list so many of the notable ones."""
    usable = (fit.rate.dq & dq.DO_NOT_USE) == 0
    of_pixels = np.zeros(fit.rate.data.shape, np.int32)
    total = found = in_usable = 0
    crowded: list[CrowdedRamp] = []
    largest: list[LargeJump] = []
    kinds = JumpKinds(0, 0, 0, 0)
    sample = _Sample(_MOST)
    for part in jump_parts(fit, _SAMPLES):
        place = part["row"], part["column"]
        total += place[0].size
        found += int(np.count_nonzero(part["found"]))
        in_usable += int(np.count_nonzero(usable[place]))
        np.add.at(of_pixels, place, 1)
        # All groups of a ramp are in one part.
        crowded = _first([*crowded, *_crowded(part, fit.rate.data.shape[1], most_listed)], most_listed)
        largest = _first([*largest, *_largest(part, most_listed)], most_listed)
        kinds = JumpKinds(*map(sum, zip(kinds, count_kinds(part["size_e"], part["found"]), strict=True)))
        sample.add(part["size_e"], part["found"])
        let_go(fit.rateints.data)
    sizes, sizes_found = sample.values()
    return JumpCounts(
        total, found, in_usable, of_pixels, crowded, largest, kinds, sizes.astype(np.float64), sizes_found
    )


def _first(notable: list[_Notable], most: int) -> list[_Notable]:
    """Return the most notable ones: the number comes first, and the place decides among equals."""
    return sorted(notable, key=lambda one: (-one[0], *one[1:]))[:most]


def _crowded(part: dict[str, np.ndarray], ncols: int, most: int) -> list[CrowdedRamp]:
    pixels, counts = np.unique(part["row"].astype(np.int64) * ncols + part["column"], return_counts=True)
    first = np.argsort(-counts, kind="stable")[:most]
    integration = int(part["integration"][0]) if first.size else 0
    return [CrowdedRamp(int(counts[k]), integration, *divmod(int(pixels[k]), ncols)) for k in first]


def _largest(part: dict[str, np.ndarray], most: int) -> list[LargeJump]:
    sizes = part["size_e"]
    first = np.argsort(np.where(np.isfinite(sizes), -sizes, np.inf), kind="stable")[:most]
    names = ("integration", "group", "row", "column")
    return [LargeJump(float(sizes[k]), *(int(part[name][k]) for name in names)) for k in first if np.isfinite(sizes[k])]


class _Sample:
    """A random sample of what comes, so many at most: all as long as they are few.

    Each has a random number, and those with a small one are kept. Every so many in the order of the detector would be
    of some columns only.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._random = np.random.Generator(np.random.PCG64(_SEED))
        self._limit = 1.0
        self._held = 0
        self._parts: list[tuple[np.ndarray, ...]] = []

    def add(self, *columns: np.ndarray) -> None:
        """Take more, of which those with a number below the limit are kept."""
        self._keep((self._random.random(columns[0].size, np.float32), *columns))
        while self._held > self._most:
            self._limit /= 2
            whole = self._joined()
            self._parts, self._held = [], 0
            self._keep(whole)

    def values(self) -> tuple[np.ndarray, ...]:
        """Return the columns of what was kept."""
        return self._joined()[1:] if self._parts else (np.empty(0), np.empty(0, np.bool_))

    def _keep(self, columns: tuple[np.ndarray, ...]) -> None:
        kept = columns[0] < self._limit
        self._parts.append(tuple(column[kept] for column in columns))
        self._held += int(np.count_nonzero(kept))

    def _joined(self) -> tuple[np.ndarray, ...]:
        return tuple(np.concatenate(columns) for columns in zip(*self._parts, strict=True))
