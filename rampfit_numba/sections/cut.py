"""How a detector is cut into sections, for the memory that what is read of one and its results may take."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rampfit_numba.engine.chunks import CHUNK_BYTES
from rampfit_numba.engine.memory import size_text
from rampfit_numba.registry import ALGORITHMS
from rampfit_numba.result import plane_types

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rampfit_numba.exposure import Exposure
    from rampfit_numba.options import FitOptions

log = logging.getLogger(__name__)

_WORD = 4
#: Bytes that a worker works in for each integration, whatever the number of pixels: a block of them with its results.
WORKSPACE = 16 << 10
#: Segments and jumps of a ramp, where they are not counted yet.
USUAL_DEPTH = 2, 1
#: Rows that are read at a time of a long series.
_USUAL_ROWS = 4
#: Columns of a section go by whole blocks of the kernels, where memory allows.
_BLOCK = 192
#: Sections that have results at once: one is fitted while the one before is written.
_FITTED_AND_WRITTEN = 2


def memory_needed(exposure: Exposure, options: FitOptions) -> int:
    """Return the bytes that a fit in one piece takes with its results, and to write them; those of fitopt roughly."""
    nints, _, nrows, ncols = exposure.shape
    read = exposure.data.nbytes + exposure.groupdq.nbytes
    # To write a plane, a copy of it is made.
    copied = nrows * ncols * nints * _WORD
    return result_size(exposure, options) + copied + min(read, max(_USUAL_ROWS * read // nrows, CHUNK_BYTES))


def result_size(exposure: Exposure, options: FitOptions) -> int:
    """Return the bytes of the results of a fit; those of fitopt roughly."""
    nints, ngroups, nrows, ncols = exposure.shape
    return nrows * ncols * _result_bytes(nints, ngroups, options, USUAL_DEPTH)


def _result_bytes(nints: int, ngroups: int, options: FitOptions, depth: tuple[int, int]) -> int:
    """Return the bytes of the results of one pixel; `depth` are the largest numbers of segments and jumps of a ramp."""
    nbytes = (nints + 1) * len(plane_types(options.own_planes)) * _WORD
    if ALGORITHMS[options.algorithm].finds_jumps:
        nbytes += nints * ngroups
    elif options.save_opt:
        nsegments, njumps = depth
        nbytes += nints * (7 * nsegments + njumps + 1) * _WORD
    return nbytes


@dataclass(frozen=True)
class Cut:
    """How a detector is cut into sections.

    Attributes
    ----------
    nrows, ncols : int
        Of the detector.
    height, width : int
        Of the sections.
    reading : int
        Bytes that may be read at once.
    """

    nrows: int
    ncols: int
    height: int
    width: int
    reading: int

    @property
    def across(self) -> int:
        """Number of sections beside each other."""
        return math.ceil(self.ncols / self.width)

    def sections(self) -> Iterator[tuple[slice, slice]]:
        """Yield rows and columns of the sections, in memory order."""
        for top in range(0, self.nrows, self.height):
            rows = slice(top, min(top + self.height, self.nrows))
            for left in range(0, self.ncols, self.width):
                yield rows, slice(left, min(left + self.width, self.ncols))


@dataclass(frozen=True)
class Memory:
    """The memory that a fit may take.

    Attributes
    ----------
    given : int
        Bytes of the budget.
    workers : int
        How many work in it; none where they are on other machines.
    read : int
        Bytes of a pixel that are read from files.
    copies : int
        How often what is read stands in memory at once.
    results : int
        How often results do, beside those that are fitted and those that are written.
    """

    given: int
    workers: int
    read: int
    copies: int
    results: int

    def cut(self, exposure: Exposure, options: FitOptions, depth: tuple[int, int]) -> Cut:
        """Decide on the sections: as many rows as memory holds, or a part of a row."""
        nints, ngroups, nrows, ncols = exposure.shape
        # What is written of a plane is a copy, turned into what FITS stores.
        results = (self.results + _FITTED_AND_WRITTEN) * _result_bytes(nints, ngroups, options, depth) + _WORD
        free = max(self.given - self._workspaces(nints), self.given // 4)
        pixels = free // (self.read * self.copies + results)
        if pixels < ncols:
            height, width = 1, max(pixels - pixels % _BLOCK, min(pixels, _BLOCK), 1)
        else:
            height, width = min(pixels // ncols, nrows), ncols
        return Cut(nrows, ncols, height, width, max(free - height * width * results, self.read * width))

    def say(self, cut: Cut, nints: int) -> None:
        """Log how the detector is cut, and a warning where the memory is too little for that."""
        given, count = size_text(self.given), sum(1 for _ in cut.sections())
        log.info("In %s of memory: %d sections of %d rows x %d columns", given, count, cut.height, cut.width)
        least = self._workspaces(nints) + cut.reading
        if least > self.given:
            log.warning("max_memory: %s do not hold these, the fit will take %s or more", given, size_text(least))

    def _workspaces(self, nints: int) -> int:
        return self.workers * nints * WORKSPACE
