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
#: Pixels that a kernel works on at a time; columns of a section go by them, where memory allows.
LANES = 256
#: Bytes of a pixel that a kernel works in: for a sample, and beside the samples of an integration; the latter also in
#: small blocks, which keep all results.
_SAMPLE, _INTEGRATION, _IN_SMALL_BLOCK = 6, 12, 52
#: Samples of a small block, and its fewest pixels.
_MOST_SAMPLES, _FEWEST = 1 << 24, 16
#: Samples of a pixel up to which kernels gather those that leave their block, in arrays that are as large again.
_MOST_GATHERED = 100_000
#: Segments and jumps of a ramp, where they are not counted yet.
USUAL_DEPTH = 2, 1
#: Rows that are read at a time of a long series.
_USUAL_ROWS = 4
#: Bytes that the arrays of sections take at most, if some rows stand in that: larger sections are not faster.
ENOUGH = 512 << 20
#: Rows of a section, from which on the next one is read, and the one before written, meanwhile.
_LEAST_ROWS = 2


def memory_needed(exposure: Exposure, options: FitOptions, workers: int) -> int:
    """Return the bytes that a fit in one piece takes with its results, and to write them; those of fitopt roughly."""
    nints, _, nrows, ncols = exposure.shape
    read = exposure.data.nbytes + exposure.groupdq.nbytes
    # To write a plane, a copy of it is made.
    copied = nrows * ncols * nints * _WORD
    # One of two chunks may be read while the other one is fitted.
    chunks = min(read, 2 * max(_USUAL_ROWS * read // nrows, CHUNK_BYTES))
    return result_size(exposure, options) + copied + chunks + workers * workspace_size(exposure, options)


def workspace_size(exposure: Exposure, options: FitOptions) -> int:
    """Return the bytes that a worker works in: a block of pixels with all its integrations, however few there are."""
    nints, ngroups, nrows, ncols = exposure.shape
    samples, pixels, beside = nints * ngroups, LANES, _INTEGRATION
    if ALGORITHMS[options.algorithm].small_blocks:
        beside = _IN_SMALL_BLOCK
        pixels = min(LANES, max(_MOST_SAMPLES // samples, _FEWEST), max(nrows * ncols, _FEWEST))
    gathered = samples <= _MOST_GATHERED
    return pixels * nints * (ngroups * _SAMPLE * (1 + gathered) + beside)


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


def workers_held(exposure: Exposure, options: FitOptions, given: int) -> int:
    """Return how many workers half of the memory holds, one at least."""
    return max(given // 2 // max(workspace_size(exposure, options), 1), 1)


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
    behind : bool
        Whether a section is written while the next one is fitted, and read while the one before is; else memory holds
        one only.
    """

    nrows: int
    ncols: int
    height: int
    width: int
    reading: int
    behind: bool

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
        How often inputs and results stand in memory, if one section is there.
    reads_ahead : bool
        Whether all of a section is read before it is fitted; else piece by piece, or by workers.
    """

    given: int
    workers: int
    read: int
    copies: int
    reads_ahead: bool

    def cut(self, exposure: Exposure, options: FitOptions, depth: tuple[int, int]) -> Cut:
        """Decide on the sections: as many rows as memory holds, or a part of a row."""
        nints, ngroups, nrows, ncols = exposure.shape
        results = _result_bytes(nints, ngroups, options, depth)
        free = max(self.given - self._workspaces(exposure, options), self.given // 4)
        # What is written of a plane is a copy, turned into what FITS stores.
        both = (self.copies + 1) * results + _WORD
        row = (self.read * (self.copies + self.reads_ahead) + both) * ncols
        free = min(free, max(ENOUGH, _LEAST_ROWS * row))
        height = free // row
        if height >= min(_LEAST_ROWS, nrows):
            height = min(height, nrows)
            return Cut(nrows, ncols, height, ncols, max(free - height * ncols * both, self.read * ncols), behind=True)
        # Many short pieces of a file would take longer than it takes to wait for them.
        pixels = free // ((self.read + results) * self.copies)
        if pixels < ncols:
            height, width = 1, max(pixels - pixels % LANES, min(pixels, LANES), 1)
        elif self.reads_ahead:
            # What is read of a section goes through memory piece by piece.
            height, width = max(free // 2 // (results * ncols), pixels // ncols), ncols
        else:
            height, width = pixels // ncols, ncols
        height = min(height, nrows)
        reading = max(free - height * width * results, self.read * width)
        return Cut(nrows, ncols, height, width, reading, behind=False)

    def say(self, cut: Cut, exposure: Exposure, options: FitOptions) -> None:
        """Log how the detector is cut, and a warning where the memory is too little for that."""
        given, count = size_text(self.given), sum(1 for _ in cut.sections())
        log.info("In %s of memory: %d sections of %d rows x %d columns", given, count, cut.height, cut.width)
        works_in = self._workspaces(exposure, options)
        least = works_in + cut.reading
        if least > self.given:
            log.warning(
                "max_memory: %s do not hold these, the fit will take %s or more: %d worker(s) work in %s for %d "
                "integrations of %d groups, however few pixels there are",
                *(given, size_text(least), self.workers, size_text(works_in), exposure.nints, exposure.ngroups),
            )

    def _workspaces(self, exposure: Exposure, options: FitOptions) -> int:
        return self.workers * workspace_size(exposure, options)
