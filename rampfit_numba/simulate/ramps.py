"""From count rates to ramps: electrons, cosmic rays, saturation, frames averaged into groups, read noise, flags."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba import dq
from rampfit_numba.exposure import Exposure
from rampfit_numba.simulate.headers import exposure_header
from rampfit_numba.simulate.options import MAX_RATE, SimulationOptions, check_number
from rampfit_numba.simulate.scene import Scene, make_scene
from rampfit_numba.summary import brief, median_text, shape_text, table

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

# First words of the keys of the random streams: one for the scene, one for each block of rows of each integration.
_SCENE, _ROWS = 0, 1
#: Frames times pixels of a block of rows: it fits into a core's cache, and NumPy's overhead is small beside it.
_BLOCK_SAMPLES = 32768
#: MIRI's pipeline flags the edge groups only where more than this many are there.
_MIRI_KEEPS_EDGES = 3


@dataclass(frozen=True, eq=False, repr=False)
class Simulation:
    """A simulated exposure and the truth about it.

    Attributes
    ----------
    exposure : Exposure
        Data as float32 in DN, GROUPDQ, PIXELDQ, times, header; a zeroframe on request.
    readnoise : ndarray of float32, shape (nrows, ncols)
        CDS read noise in DN, as a reference file has it.
    gain : ndarray of float32, shape (nrows, ncols)
        Gain in e-/DN, as a reference file has it: NaN where it is unknown.
    true_rate : ndarray of float32, shape (nrows, ncols)
        True count rate in DN/s, cosmic rays not counted.
    hits : ndarray of bool, shape (nints, ngroups, nrows, ncols)
        Where a cosmic ray hit after the group before ended and no later than this group did, flagged or not.
    options : SimulationOptions
        What was chosen.
    seed : int
        Seed of all random numbers.
    """

    exposure: Exposure
    readnoise: Array
    gain: Array
    true_rate: Array
    hits: Array
    options: SimulationOptions
    seed: int

    def __repr__(self) -> str:
        return brief("Simulation", {"": shape_text(self.exposure.shape), **self._facts()})

    def _repr_html_(self) -> str:
        return table("Simulation", {"size": shape_text(self.exposure.shape), **self._facts()})

    def _facts(self) -> dict[str, str]:
        return {
            "hits": str(np.count_nonzero(self.hits)),
            "median true rate": f"{median_text(self.true_rate)} DN/s",
            "seed": str(self.seed),
        }


def simulate_exposure(
    nints: int = 2,
    ngroups: int = 20,
    nrows: int = 256,
    ncols: int = 256,
    *,
    seed: int = 0,
    true_rate: Any = None,  # noqa: ANN401  (array-like)
    **options: Any,  # noqa: ANN401  (checked by SimulationOptions)
) -> Simulation:
    """Simulate an exposure as the jump step would hand it to the ramp fit, with the truth.

    Electrons arrive as a Poisson process and stay; a cosmic ray adds its charge at once; a pixel that is full stays
    full; every frame adds read noise; frames are averaged into groups. Groups that end saturated are flagged SATURATED.
    A hit gets JUMP_DET where it shows first, and also in the group after where it fell between the averaged frames of
    a group; hits before the first frame cannot be seen. Every block of rows of every integration has its own random
    stream, and the shape alone decides about the blocks: the same seed, shape and options give the same numbers,
    whatever the number of threads.

    Parameters
    ----------
    nints, ngroups, nrows, ncols : int
        Shape of the exposure.
    seed : int
        Seed of all random numbers, >= 0.
    true_rate : array_like, shape (nrows, ncols), or float, optional
        Count rate in DN/s, in place of background and sources. None: simulated.
    **options
        Fields of `SimulationOptions`.

    Returns
    -------
    Simulation
        The exposure, its references, and the truth.

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong type or value; the message names it.

    Examples
    --------
    >>> simulation = simulate_exposure(1, 8, 4, 5, seed=3, hit_rate=0.1)
    >>> simulation.exposure.shape, simulation.exposure.data.dtype
    ((1, 8, 4, 5), dtype('float32'))
    """
    for name, size in (("nints", nints), ("ngroups", ngroups), ("nrows", nrows), ("ncols", ncols)):
        check_number(name, size, Integral, 1)
    check_number("seed", seed, Integral, 0)
    # NumPy's own integers would overflow in the arithmetic with sizes.
    nints, ngroups, nrows, ncols = shape = int(nints), int(ngroups), int(nrows), int(ncols)
    seed = int(seed)
    chosen = SimulationOptions(**options)
    scene = make_scene(ngroups, (nrows, ncols), chosen, _stream(seed, _SCENE), _check_rate(true_rate, (nrows, ncols)))

    data = np.empty(shape, np.float32)
    groupdq = np.empty(shape, np.uint8)
    hits = np.empty(shape, np.bool_)
    arrays: tuple[Array, ...] = (data, groupdq, hits)
    zeroframe = np.empty((nints, nrows, ncols), np.float32) if chosen.zeroframe else None
    readout = _Readout(ngroups, chosen)

    step = max(1, _BLOCK_SAMPLES // (ngroups * chosen.nframes * ncols))

    def fill(place: tuple[int, int]) -> None:
        integration, start = place
        rows = slice(start, start + step)
        made = _expose(readout, _Pixels.of_rows(scene, rows), _stream(seed, _ROWS, integration, start))
        for whole, part in zip(arrays, made[:3], strict=True):
            whole[integration, :, rows] = part.reshape(ngroups, -1, ncols)
        if zeroframe is not None:
            zeroframe[integration, rows] = made[3].reshape(-1, ncols)

    # NumPy's random generators release the GIL.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        for _ in threads.map(fill, product(range(nints), range(0, nrows, step))):
            pass

    if chosen.instrument == "MIRI" and ngroups > _MIRI_KEEPS_EDGES:
        groupdq[:, [0, -1]] |= dq.DO_NOT_USE
    exposure = Exposure(
        data,
        groupdq,
        chosen.group_time,
        pixeldq=scene.pixeldq,
        frame_time=chosen.frame_time,
        nframes=chosen.nframes,
        groupgap=chosen.groupgap,
        drop_frames1=chosen.drop_frames1,
        zeroframe=zeroframe,
        instrument=chosen.instrument,
        header=exposure_header(shape, chosen, seed),
    )
    return Simulation(exposure, scene.readnoise, scene.known_gain, scene.rate.astype(np.float32), hits, chosen, seed)


@dataclass(frozen=True)
class _Pixels:
    """Some rows of the scene: electrons per second, gain in e-/DN, noise of one frame in DN, each (npixels,)."""

    electrons_per_second: Array
    gain: Array
    frame_noise: Array

    @classmethod
    def of_rows(cls, scene: Scene, rows: slice) -> _Pixels:
        gain = scene.gain[rows].astype(np.float64).ravel()
        return cls(scene.rate[rows].ravel() * gain, gain, scene.readnoise[rows].ravel() / np.float32(np.sqrt(2.0)))


class _Readout:
    """When the frames are read: ``waits[g, k]`` is the time, in frames, that averaged frame k of group g adds."""

    def __init__(self, ngroups: int, options: SimulationOptions) -> None:
        self.options = options
        self.waits = np.ones((ngroups, options.nframes))
        self.waits[1:, 0] += options.groupgap
        self.waits[0, 0] += options.drop_frames1


def _expose(readout: _Readout, pixels: _Pixels, rng: np.random.Generator) -> tuple[Array, ...]:
    """Return data in DN, flags and hits, each (ngroups, npixels), and the zeroframe (npixels,) where asked for."""
    options = readout.options
    ngroups, nframes = readout.waits.shape
    npixels = pixels.gain.size
    electrons = rng.poisson(
        (options.frame_time * readout.waits)[:, :, None] * pixels.electrons_per_second, size=(ngroups, nframes, npixels)
    )
    quiet = electrons[0, 0].copy()
    hits, jumps, early = _add_hits(electrons, readout, rng)

    bias = options.bias + options.bias_scatter * rng.standard_normal(npixels)
    signal = electrons.reshape(ngroups * nframes, npixels).cumsum(axis=0) / pixels.gain + bias
    frames = np.minimum(signal, options.saturation).reshape(ngroups, nframes, npixels)
    # A group is flagged when one of its frames is full, hence when its last one is: charge does not leave a pixel.
    full = signal.reshape(ngroups, nframes, npixels)[:, -1] >= options.saturation
    noise = rng.standard_normal((ngroups, npixels), dtype=np.float32) * (
        pixels.frame_noise / np.float32(np.sqrt(nframes))
    )
    data = frames.mean(axis=1) + noise
    flags = np.where(full, dq.SATURATED, np.where(jumps, dq.JUMP_DET, 0)).astype(np.uint8)
    if not options.zeroframe:
        return data, flags, hits

    # Drawn last, given what is already there: data are the same with and without a zeroframe.
    if options.drop_frames1:
        charge = rng.binomial(quiet, 1.0 / readout.waits[0, 0]) + early
        frame = charge / pixels.gain + bias
        read = pixels.frame_noise * rng.standard_normal(npixels)
    else:
        frame = signal[0]
        # One frame's noise, given the mean of all frames of its group.
        read = noise[0] + pixels.frame_noise * np.sqrt(1 - 1 / nframes) * rng.standard_normal(npixels)
    return data, flags, hits, np.where(frame >= options.saturation, 0.0, frame + read)


def _add_hits(electrons: Array, readout: _Readout, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Add cosmic rays to `electrons` (ngroups, nframes, npixels), in place.

    Returns
    -------
    hits, jumps : ndarray of bool, shape (ngroups, npixels)
        Groups whose charge a hit raised, and groups to flag.
    early : ndarray of float, shape (npixels,)
        Charge of the hits that came before the zeroframe ended, in e-.
    """
    options = readout.options
    ngroups, _, npixels = electrons.shape
    hits = rng.random((ngroups, npixels), dtype=np.float32) < options.hit_rate
    group, column = np.nonzero(hits)
    when = rng.random(group.size)
    charge = np.rint(options.hit_charge * np.exp(options.hit_charge_scatter * rng.standard_normal(group.size)))
    missed = rng.random(group.size) < options.missed_hits

    ends = readout.waits.cumsum(axis=1)
    frame = (when[:, None] * ends[group, -1:] >= ends[group, :-1]).sum(axis=1)
    electrons[group, frame, column] += charge.astype(electrons.dtype)  # at most one hit per pixel and group

    jumps = np.zeros_like(hits)
    seen = (group > 0) & ~missed  # the first group has nothing to be compared with
    jumps[group[seen], column[seen]] = True
    # Between the averaged frames of a group, part of the step falls into this group and the rest into the next.
    later = (frame > 0) & (group + 1 < ngroups) & ~missed
    jumps[group[later] + 1, column[later]] = True

    early = np.zeros(npixels)
    first = (group == 0) & (when * ends[group, -1] < 1.0)
    early[column[first]] = charge[first]
    return hits, jumps, early


def _stream(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _check_rate(value: Any, shape: tuple[int, int]) -> Array | None:  # noqa: ANN401
    if value is None:
        return None
    rate = np.asarray(value)
    if rate.dtype.kind not in "fiu":
        raise TypeError(f"true_rate: expected a number or an array of numbers; got dtype {rate.dtype}")
    if rate.shape not in ((), shape):
        raise ValueError(f"true_rate: expected a number or shape {shape}; got {rate.shape}")
    if not ((rate >= 0) & (rate <= MAX_RATE)).all():
        raise ValueError(f"true_rate: expected values between 0 and {MAX_RATE:g}; got {rate.min():g} to {rate.max():g}")
    return np.broadcast_to(rate.astype(np.float64), shape)
