"""Large exposures of a given structure: each kind drives the engine down another path, for many blocks on end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.cases import Case

if TYPE_CHECKING:
    from numpy.typing import NDArray

D, S, J, P, C = 1, 2, 4, 32, 128
KINDS = ("clean", "hits", "half_saturated", "edges", "persistence", "chargeloss", "blotches", "dead", "everything")


def bulk_case(
    kind: str,
    *,
    shape: tuple[int, int, int, int] = (2, 20, 256, 260),
    seed: int = 0,
    save_opt: bool = False,
) -> Case:
    """Return an exposure of ``shape`` (nints, ngroups, nrows, ncols).

    ``clean``: no flag at all; ``hits``: a jump in a fifth of the ramps; ``half_saturated``: half the ramps saturate,
    some at once; ``edges``: MIRI with unusable first and last group; ``persistence``; ``chargeloss``; ``blotches``:
    flagged patches in clean surroundings, so that neighbouring blocks differ; ``dead``: whole rows unusable;
    ``everything``: all of these, with zeroframe and dark.
    """
    rng = np.random.default_rng([77, KINDS.index(kind), seed])
    nrows, ncols = shape[2:]
    readnoise = rng.normal(12, 1, (nrows, ncols)).astype(np.float32)
    gain = rng.normal(1.8, 0.05, (nrows, ncols)).astype(np.float32)
    groupdq = np.zeros(shape, np.uint8)
    pixeldq = np.zeros((nrows, ncols), np.uint32)
    signal = (10 ** rng.uniform(-1, 3.3, (nrows, ncols))).astype(np.float32)
    data = _ramps(rng, shape, signal, readnoise, gain)
    zeroframe = dark = None
    every = kind == "everything"
    if kind in ("hits", "everything"):
        _hit(rng, data, groupdq, share=0.2)
    if kind == "blotches":
        _blotches(rng, data, groupdq)
    if kind in ("chargeloss", "everything"):
        _late_groups(rng, groupdq, C | D, share=0.05)
    if kind in ("half_saturated", "everything"):
        _late_groups(rng, groupdq, S, share=0.5)
    if kind in ("persistence", "everything"):
        groupdq[rng.random(shape, np.float32) < 0.1] |= P
    if kind in ("dead", "everything"):
        pixeldq[:: max(2, nrows // 8)] |= D
        groupdq[0, :, 1 :: max(2, nrows // 6)] |= D
        gain[:, 3 % ncols] = np.nan
    if kind in ("edges", "everything"):
        groupdq[:, :2] |= D
        groupdq[:, -1] |= D
    if every:
        zeroframe = data[:, 0] * np.float32(0.5)
        dark = np.full((nrows, ncols), 0.02, np.float32)
        data[rng.random(shape, np.float32) < 0.001] = np.nan
    return Case(
        data=data,
        groupdq=groupdq,
        pixeldq=pixeldq,
        readnoise=readnoise,
        gain=gain,
        group_time=2.77504,
        frame_time=2.77504,
        average_dark_current=dark,
        zeroframe=zeroframe,
        instrument="MIRI" if kind in ("edges", "everything") else "NIRCAM",
        suppress_one_group=not every,
        save_opt=save_opt,
        label=f"bulk_case({kind!r}, shape={shape}, seed={seed})",
    )


def _ramps(
    rng: np.random.Generator,
    shape: tuple[int, int, int, int],
    signal: NDArray[np.float32],
    readnoise: NDArray[np.float32],
    gain: NDArray[np.float32],
) -> NDArray[np.float32]:
    steps = rng.standard_normal(shape, np.float32) * np.sqrt(signal / gain) + signal
    data = np.cumsum(steps, axis=1, dtype=np.float32)
    data += rng.standard_normal(shape, np.float32) * (readnoise / np.float32(np.sqrt(2)))
    return data


def _hit(rng: np.random.Generator, data: NDArray[np.float32], groupdq: NDArray[np.uint8], *, share: float) -> None:
    """Add a cosmic ray to a share of the ramps, flagged in its group, sometimes in the next one too."""
    nints, ngroups, nrows, ncols = data.shape
    where = np.nonzero(rng.random((nints, nrows, ncols)) < share)
    group = rng.integers(0, ngroups, len(where[0]))
    groupdq[where[0], group, where[1], where[2]] |= J
    again = np.minimum(group + rng.integers(0, 3, group.size), ngroups - 1)
    groupdq[where[0], again, where[1], where[2]] |= J
    jump = np.zeros(data.shape, np.float32)
    jump[where[0], group, where[1], where[2]] = rng.exponential(3000, group.size)
    data += np.cumsum(jump, axis=1)


def _late_groups(rng: np.random.Generator, groupdq: NDArray[np.uint8], bits: int, *, share: float) -> None:
    """Flag a share of the ramps from a random group to the end."""
    nints, ngroups, nrows, ncols = groupdq.shape
    begin = rng.integers(0, ngroups, (nints, 1, nrows, ncols))
    begin[rng.random(begin.shape) >= share] = ngroups
    groupdq[np.arange(ngroups)[None, :, None, None] >= begin] |= bits


def _blotches(rng: np.random.Generator, data: NDArray[np.float32], groupdq: NDArray[np.uint8]) -> None:
    """Flag round patches, as showers and snowballs leave them."""
    nints, ngroups, nrows, ncols = data.shape
    y, x = np.mgrid[:nrows, :ncols]
    for _ in range(6):
        i, g = int(rng.integers(nints)), int(rng.integers(1, ngroups))
        inside = (y - rng.integers(nrows)) ** 2 + (x - rng.integers(ncols)) ** 2 < (nrows * ncols) / 60
        data[i, g:, inside] += 500
        groupdq[i, g, inside] |= J
        groupdq[i, g : g + 2, inside] |= D if rng.random() < 0.3 else J
