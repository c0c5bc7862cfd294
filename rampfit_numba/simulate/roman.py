"""A simulated exposure as Roman's pipeline has it after the linearity step, with its references, in ASDF."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba import dq
from rampfit_numba.checks import check_path
from rampfit_numba.messages import RampFileError
from rampfit_numba.simulate.ramps import simulate_exposure
from rampfit_numba.simulate.roman_headers import RAMP_TAG, REFERENCE_TAGS, ramp_meta, reference_meta

if TYPE_CHECKING:
    import os
    from pathlib import Path
    from typing import BinaryIO

#: Time of a read in s.
FRAME_TIME = 3.16247
_BORDER = 4
_AMPLIFIER_COLS = 128
_REFERENCE_PIXEL = 2**31
_MOST_READS = 8


@dataclass(frozen=True, eq=False)
class RomanSimulation:
    """A simulated Roman exposure and the truth about it.

    Attributes
    ----------
    data : ndarray of float32, shape (nresultants, nrows, ncols)
        Resultants in DN.
    groupdq : ndarray of uint8, shape of `data`
        SATURATED where a read of the resultant is.
    pixeldq : ndarray of uint32, shape (nrows, ncols)
        DO_NOT_USE of bad pixels; the border of reference pixels.
    readnoise : ndarray of float32, shape (nrows, ncols)
        Of a single read, in DN.
    gain : ndarray of float32, shape (nrows, ncols)
        e-/DN.
    true_rate : ndarray of float32, shape (nrows, ncols)
        In DN/s.
    read_pattern : list of list of int
        The reads of each resultant.
    frame_time : float
        Time of a read in s.
    seed : int
    """

    data: np.ndarray
    groupdq: np.ndarray
    pixeldq: np.ndarray
    readnoise: np.ndarray
    gain: np.ndarray
    true_rate: np.ndarray
    read_pattern: list[list[int]]
    frame_time: float
    seed: int


def imaging_pattern(nresultants: int) -> list[list[int]]:
    """Return a pattern like those of imaging: short resultants first, longer ones later, and reads left out between.

    Examples
    --------
    >>> imaging_pattern(5)
    [[1], [2, 3], [5, 6, 7, 8], [10, 11, 12, 13, 14, 15, 16, 17], [19, 20, 21, 22, 23, 24, 25, 26]]
    """
    pattern: list[list[int]] = []
    for number in range(nresultants):
        first = pattern[-1][-1] + (1 if number == 1 else 2) if pattern else 1
        pattern.append(list(range(first, first + min(2**number, _MOST_READS))))
    return pattern


def simulate_roman(
    nresultants: int = 8,
    nrows: int = 256,
    ncols: int = 256,
    *,
    seed: int = 0,
    read_pattern: list[list[int]] | None = None,
    **options: Any,  # noqa: ANN401  (checked by SimulationOptions)
) -> RomanSimulation:
    """Simulate an exposure read by read, and average the reads into resultants.

    Parameters
    ----------
    nresultants, nrows, ncols : int
        Shape of the exposure, the border of four reference pixels on each side included.
    seed : int
    read_pattern : list of list of int, optional
        The reads of each resultant, counted from 1; None: :func:`imaging_pattern`.
    **options
        Fields of `SimulationOptions`; a frame takes 3.16247 s unless they say otherwise.

    Returns
    -------
    RomanSimulation

    Examples
    --------
    >>> simulate_roman(5, 20, 24, seed=1).data.shape
    (5, 20, 24)
    """
    pattern = imaging_pattern(nresultants) if read_pattern is None else read_pattern
    options.setdefault("frame_time", FRAME_TIME)
    reads = simulate_exposure(1, pattern[-1][-1], nrows, ncols, seed=seed, **options)
    frames, flags = reads.exposure.data[0], reads.exposure.groupdq[0]
    data, groupdq = (np.zeros((len(pattern), nrows, ncols), kind) for kind in (np.float32, np.uint8))
    for number, numbers in enumerate(pattern):
        chosen = slice(numbers[0] - 1, numbers[-1])
        data[number] = frames[chosen].mean(axis=0, dtype=np.float64)
        groupdq[number] = (flags[chosen] & np.uint8(dq.SATURATED)).max(axis=0)
    gain = np.where(np.isfinite(reads.gain), reads.gain, np.nanmedian(reads.gain)).astype(np.float32)
    pixeldq = np.zeros((nrows, ncols), np.uint32) if reads.exposure.pixeldq is None else reads.exposure.pixeldq.copy()
    pixeldq[~np.isfinite(reads.gain)] |= np.uint32(dq.DO_NOT_USE)
    border = np.ones((nrows, ncols), np.bool_)
    border[_BORDER:-_BORDER, _BORDER:-_BORDER] = False
    data[:, border] -= data[:1, border]
    pixeldq[border] |= np.uint32(_REFERENCE_PIXEL)
    readnoise = (reads.readnoise / math.sqrt(2)).astype(np.float32)
    return RomanSimulation(
        data, groupdq, pixeldq, readnoise, gain, reads.true_rate, pattern, reads.options.frame_time, seed
    )


def roman_paths(path: str | os.PathLike[str], *, overwrite: bool = True) -> tuple[Path, ...]:
    """Return the paths of the ramps, the gain and the readnoise file that belong to `path`.

    Raises
    ------
    RampFileError
        The name does not end in .asdf, or a file cannot be written or exists and may not.

    Examples
    --------
    >>> [path.name for path in roman_paths("demo_linearity.asdf")]
    ['demo_linearity.asdf', 'demo_gain.asdf', 'demo_readnoise.asdf']
    """
    from rampfit_numba.io.outputs import check_outputs

    path = check_path("path", path)
    base = path.name.removesuffix(".asdf").removesuffix("_linearity")
    if path.suffix != ".asdf" or not base:
        raise RampFileError(f"{path}: expected a name like demo_linearity.asdf")
    if not path.parent.is_dir():
        raise RampFileError(f"{path}: the folder {path.parent} does not exist; make it first")
    paths = path, *(path.with_name(f"{base}_{kind}.asdf") for kind in ("gain", "readnoise"))
    check_outputs(paths, overwrite=overwrite)
    return paths


def write_roman_simulation(
    simulation: RomanSimulation, path: str | os.PathLike[str], *, overwrite: bool = False
) -> tuple[Path, ...]:
    """Write the ramps to `path`, and gain and readnoise beside them: all of them, whole, or none.

    Parameters
    ----------
    simulation : RomanSimulation
    path : path-like
        ``<base>_linearity.asdf``; the others become ``<base>_gain.asdf`` and ``<base>_readnoise.asdf``.
    overwrite : bool
        Replace files that exist.

    Returns
    -------
    tuple of pathlib.Path

    Raises
    ------
    RampFileError
        A file cannot be written.
    """
    from rampfit_numba.io.whole_files import write_all

    paths = roman_paths(path, overwrite=overwrite)
    trees = [
        _Tree(_ramp(simulation, paths[0].name), RAMP_TAG),
        *(
            _Tree({"meta": reference_meta(kind), "data": getattr(simulation, kind)}, REFERENCE_TAGS[kind])
            for kind in ("gain", "readnoise")
        ),
    ]
    write_all(list(zip(paths, trees, strict=True)), overwrite=overwrite)
    return paths


def _ramp(simulation: RomanSimulation, filename: str) -> dict[str, Any]:
    """Return the tree of a file of ramps, below "roman"."""
    data, whole = simulation.data, slice(None)
    sides = {"left": (whole, slice(_BORDER)), "right": (whole, slice(-_BORDER, None))}
    sides |= {"top": (slice(-_BORDER, None), whole), "bottom": (slice(_BORDER), whole)}
    tree: dict[str, Any] = {
        "meta": ramp_meta(filename, simulation.read_pattern, simulation.frame_time, simulation.seed),
        "data": data,
        "groupdq": simulation.groupdq,
        "pixeldq": simulation.pixeldq,
        "amp33": np.zeros((len(data), data.shape[1], _AMPLIFIER_COLS), np.uint16),
    }
    for side, (row, col) in sides.items():
        tree[f"border_ref_pix_{side}"] = data[:, row, col].copy()
        tree[f"dq_border_ref_pix_{side}"] = simulation.pixeldq[row, col].copy()
    return tree


@dataclass(frozen=True)
class _Tree:
    """A file on its way."""

    tree: dict[str, Any]
    tag: str

    def write_to(self, file: BinaryIO) -> None:
        """Write it whole, compressed as Roman's files are."""
        from rampfit_numba.io.roman import plain_asdf

        with plain_asdf() as asdf:
            node = asdf.tagged.TaggedDict(self.tree, self.tag)
            asdf.AsdfFile({"roman": node}).write_to(file, all_array_compression="lz4")
