"""Scans of an exposure for groups that cannot be used at all.

They look at a few rows, at flags before data, and stop where these decide: only groups that are flagged everywhere are
read whole. Of an exposure that no process has as a whole, each part is surveyed, and what was found stands in for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rampfit_numba import dq
from rampfit_numba.algorithms.rows import as_single
from rampfit_numba.file_arrays import take_plane

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rampfit_numba.file_arrays import FileArray

    Source = np.ndarray | FileArray

_ROWS = 16


class Scan:
    """Looks for pixels that keep a group from being dropped."""

    def __init__(
        self,
        shape: tuple[int, int, int, int],
        data: Source,
        groupdq: Source,
        first_used: int,
        last_used: int,
        *,
        suppress: bool,
    ) -> None:
        self._nints, self._ngroups, nrows, _ = shape
        # A few rows decide nearly always; what they leave open is read at once.
        self._parts = (slice(0, _ROWS), slice(_ROWS, nrows)) if nrows > _ROWS else (slice(0, nrows),)
        self._data = data
        self._groupdq = groupdq
        self._range = (first_used, last_used)
        self._suppress = suppress
        #: A group was found without usable samples only because ramps with one good group are suppressed.
        self.dropped_good = False

    def nothing_usable(self, group: int) -> bool:
        """Tell whether `group` is DO_NOT_USE everywhere: by flag, value, the range of groups, or suppression."""
        first_used, last_used = self._range
        if not first_used <= group <= last_used:
            return True
        only_suppressed = False
        for i in range(self._nints):
            for rows in self._parts:
                usable = self._usable(i, group, rows)
                if not usable.any():
                    continue
                if not self._suppress:
                    return False
                good = sum(
                    self._good(i, g, rows).astype(np.int32)
                    for g in range(first_used, min(last_used + 1, self._ngroups))
                )
                if (usable & (good != 1)).any():
                    return False
                only_suppressed = True
        self.dropped_good |= only_suppressed
        return True

    def all_saturated(self, group: int) -> bool:
        """Tell whether every sample of `group` is SATURATED."""
        if group >= self._ngroups:
            return False
        for i in range(self._nints):
            for rows in self._parts:
                flags = take_plane(self._groupdq, i, group, rows=rows)
                if not (flags & dq.SATURATED).all():
                    return False
        return True

    def _usable(self, i: int, group: int, rows: slice) -> np.ndarray:
        """Find the samples without DO_NOT_USE: those that are not finite have it, unless they are SATURATED."""
        flags = take_plane(self._groupdq, i, group, rows=rows)
        usable: np.ndarray = (flags & dq.DO_NOT_USE) == 0
        saturated = (flags & dq.SATURATED) != 0
        if (usable & ~saturated).any():  # only then the data matter
            usable &= saturated | np.isfinite(as_single(take_plane(self._data, i, group, rows=rows)))
        return usable

    def _good(self, i: int, group: int, rows: slice) -> np.ndarray:
        """Find the samples that count as good for the suppression: no flag but PERSISTENCE."""
        flags = take_plane(self._groupdq, i, group, rows=rows)
        good: np.ndarray = (flags & ~np.uint8(dq.PERSISTENCE)) == 0
        if good.any():
            good &= np.isfinite(as_single(take_plane(self._data, i, group, rows=rows)))
        return good

    def survey(self, *, edges: bool) -> Survey:
        """Return what a plan can ask for: of the groups up to the first usable one, and the last, if `edges`."""
        unusable, suppressed = [False] * self._ngroups, [False] * self._ngroups
        first = 0
        if edges:
            while first < self._ngroups:
                unusable[first], suppressed[first] = self._look_at(first)
                if not unusable[first]:
                    break
                first += 1
            unusable[-1], suppressed[-1] = self._look_at(self._ngroups - 1)
        saturated = tuple(group > first or self.all_saturated(group) for group in range(self._ngroups))
        return Survey(tuple(unusable), tuple(suppressed), saturated)

    def _look_at(self, group: int) -> tuple[bool, bool]:
        self.dropped_good = False
        return self.nothing_usable(group), self.dropped_good


class Survey(NamedTuple):
    """What was found in a part of an exposure, a value for each group.

    Attributes
    ----------
    unusable : tuple of bool
        The group is DO_NOT_USE everywhere.
    only_suppressed : tuple of bool
        It is so only because ramps with one good group are suppressed.
    saturated : tuple of bool
        It is SATURATED everywhere; True for groups behind the first usable one, which do not matter.
    """

    unusable: tuple[bool, ...]
    only_suppressed: tuple[bool, ...]
    saturated: tuple[bool, ...]


def merge_surveys(surveys: Iterable[Survey]) -> Survey:
    """Return the survey of an exposure from those of its parts."""
    unusable, only_suppressed, saturated = zip(*surveys, strict=True)
    return Survey(
        tuple(map(all, zip(*unusable, strict=True))),
        tuple(map(any, zip(*only_suppressed, strict=True))),
        tuple(map(all, zip(*saturated, strict=True))),
    )


class Replay:
    """Answers as :class:`Scan` does, from a survey."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self.dropped_good = False

    def nothing_usable(self, group: int) -> bool:
        """Tell whether `group` is DO_NOT_USE everywhere."""
        self.dropped_good |= self._survey.unusable[group] and self._survey.only_suppressed[group]
        return self._survey.unusable[group]

    def all_saturated(self, group: int) -> bool:
        """Tell whether every sample of `group` is SATURATED."""
        return group < len(self._survey.saturated) and self._survey.saturated[group]
