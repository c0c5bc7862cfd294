"""Simulated ramps with known rates and hits, the fits that are compared on them, and what is measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
from shared import SEED, from_tests

from rampfit_numba import Exposure, fit_ramps

if TYPE_CHECKING:
    from collections.abc import Callable

DO_NOT_USE, SATURATED, JUMP_DET = 1, 2, 4
#: Errors that a rate is off by to count as wrong.
WRONG = 5.0
FRAME_TIME = 10.0
#: Groups are numbered from the reset; the signal that is there at time zero, in DN.
PEDESTAL = 500.0
_ROWS = 8


@dataclass(frozen=True)
class Scene:
    """What is simulated: many pixels that differ in their noise only.

    Attributes
    ----------
    nints, ngroups, nframes, groupgap : int
        Integrations, groups, frames averaged per group, and frames skipped between groups.
    rate : float
        DN/s; 0: found from `signal_to_noise`, that of the best possible fit of one integration.
    signal_to_noise : float
    gain, readnoise, dark : float
        e-/DN; CDS noise in DN; DN/s, in the noise but subtracted from the data.
    hit_rate : float
        Cosmic-ray hits per group and pixel.
    hit_sizes : (float, float)
        Range of the hits, log-uniform, in standard deviations of the difference of two groups.
    saturated_from : int
        First group that is saturated: flagged, and clipped at what the ramp had reached; 0: none.
    """

    nints: int
    ngroups: int = 12
    nframes: int = 1
    rate: float = 0.0
    signal_to_noise: float = 0.0
    gain: float = 2.0
    readnoise: float = 10.0
    dark: float = 0.0
    hit_rate: float = 0.0
    hit_sizes: tuple[float, float] = (6.0, 600.0)
    saturated_from: int = 0
    groupgap: int = 0

    def true_rate(self) -> float:
        """Return the rate in DN/s."""
        return self.rate or _rate_for(self)

    def difference_noise(self) -> float:
        """Return the standard deviation of the difference of two neighbouring groups, in DN."""
        covariance = _covariance(self, self.true_rate())
        return float(np.sqrt(covariance[1, 1]))


@dataclass(frozen=True)
class Ramps:
    """Simulated ramps, arrays of shape (nints, ngroups, rows, cols).

    Attributes
    ----------
    scene : Scene
    data, groupdq : ndarray
        DN; flags, of saturation only.
    hits : ndarray
        Hits, in standard deviations of a difference; 0: none. One before the first frame of a group is in its row.
    spoilt : ndarray of bool
        Groups that a perfect search would flag: those of the hits, and of a hit between the frames of a group also the
        next.
    """

    scene: Scene
    data: np.ndarray
    groupdq: np.ndarray
    hits: np.ndarray
    spoilt: np.ndarray


@dataclass(frozen=True)
class Fit:
    """What is looked at of a fit: rate image, its error, flags of the groups (None: no search), and DO_NOT_USE."""

    rate: np.ndarray
    err: np.ndarray
    groupdq: np.ndarray | None
    unusable: np.ndarray


def simulate(scene: Scene, npixels: int, seed: int) -> Ramps:
    """Return ramps of so many pixels: photons and hits arrive frame by frame, every frame is read with its noise."""
    rng = np.random.default_rng([SEED, seed])
    shape = (scene.nints, _ROWS, -(-npixels // _ROWS))
    electrons = np.zeros(shape)
    level = np.full(shape, PEDESTAL)
    data = np.empty((scene.nints, scene.ngroups, *shape[1:]), np.float32)
    hits = np.zeros(data.shape, np.float32)
    spoilt = np.zeros((scene.nints, scene.ngroups + 1, *shape[1:]), np.bool_)
    rate, noise = scene.true_rate(), scene.difference_noise()
    arrival = (rate + scene.dark) * scene.gain * FRAME_TIME
    for group in range(scene.ngroups):
        total = np.zeros(shape)
        hit = rng.random(shape) < scene.hit_rate * (group > 0)
        size = np.where(hit, np.exp(rng.uniform(*np.log(scene.hit_sizes), shape)), 0)
        # Those in skipped frames come before the first frame of the group.
        frame_of_hit = np.maximum(rng.integers(0, scene.nframes + scene.groupgap, shape) - scene.groupgap, 0)
        hits[:, group] = size
        spoilt[:, group] |= hit
        spoilt[:, group + 1] |= hit & (frame_of_hit > 0)
        if group > 0 and scene.groupgap > 0:
            electrons += rng.poisson(arrival * scene.groupgap, shape)
        for frame in range(scene.nframes):
            electrons += rng.poisson(arrival, shape)
            level += np.where(frame_of_hit == frame, size * noise, 0)
            reads = group * (scene.nframes + scene.groupgap) + frame + 1
            total += electrons / scene.gain - scene.dark * FRAME_TIME * reads + level
            total += rng.normal(0, scene.readnoise / np.sqrt(2), shape)
        data[:, group] = total / scene.nframes
    groupdq = np.zeros(data.shape, np.uint8)
    if scene.saturated_from:
        groupdq[:, scene.saturated_from :] = SATURATED
        data[:, scene.saturated_from :] = data[:, scene.saturated_from - 1 : scene.saturated_from]
    return Ramps(scene, data, groupdq, hits, spoilt[:, : scene.ngroups])


def _covariance(scene: Scene, rate: float) -> np.ndarray:
    """Return the covariance of the groups' differences in DN^2, from that of all frames."""
    step = scene.nframes + scene.groupgap
    times = (np.arange(scene.ngroups)[:, None] * step + np.arange(1, scene.nframes + 1)).ravel() * FRAME_TIME
    frames = (rate + scene.dark) / scene.gain * np.minimum(times[:, None], times) + scene.readnoise**2 / 2 * np.eye(
        times.size
    )
    groups = frames.reshape(scene.ngroups, scene.nframes, scene.ngroups, scene.nframes).mean(axis=(1, 3))
    return np.asarray(np.diff(np.diff(groups, axis=0), axis=1))


def ideal_error(scene: Scene, rate: float) -> float:
    """Return the error of the best possible fit of one integration, in DN/s."""
    times = np.full(scene.ngroups - 1, (scene.nframes + scene.groupgap) * FRAME_TIME)
    return float(1 / np.sqrt(times @ np.linalg.solve(_covariance(scene, rate), times)))


@cache
def _rate_for(scene: Scene) -> float:
    low, high = 1e-6, 1e6
    while high / low > 1 + 1e-9:
        middle = np.sqrt(low * high)
        low, high = (middle, high) if middle / ideal_error(scene, middle) < scene.signal_to_noise else (low, middle)
    return float(low)


def fit_with(algorithm: str, **options: str | float) -> Callable[[Ramps], Fit]:
    """Return this package's fit; ``"ols"``, which searches no jumps, is told of all hits, as by a perfect jump step."""

    def fit(ramps: Ramps) -> Fit:
        scene = ramps.scene
        dark = np.full(ramps.data.shape[2:], scene.dark, np.float32)
        flags = ramps.groupdq
        if algorithm == "ols":
            flags = flags | np.where(ramps.spoilt, JUMP_DET, 0).astype(np.uint8)
        exposure = Exposure(
            ramps.data,
            flags,
            (scene.nframes + scene.groupgap) * FRAME_TIME,
            nframes=scene.nframes,
            groupgap=scene.groupgap,
            average_dark_current=dark,
        )
        found = fit_ramps(exposure, scene.readnoise, scene.gain, algorithm=algorithm, **options)
        return Fit(found.rate.data, found.rate.err, found.groupdq, (found.rate.dq & DO_NOT_USE) != 0)

    return fit


def fit_with_reference(ramps: Ramps) -> Fit:
    """Fit with stcal's LIKELY."""
    from stcal.ramp_fitting.ramp_fit import ramp_fit

    reference, scene = from_tests("reference"), ramps.scene
    image = ramps.data.shape[2:]
    exposure = SimpleNamespace(
        frame_time=FRAME_TIME,
        group_time=(scene.nframes + scene.groupgap) * FRAME_TIME,
        groupgap=scene.groupgap,
        nframes=scene.nframes,
        drop_frames1=0,
        read_times=None,
    )
    model = reference.Model(
        data=ramps.data.copy(),
        groupdq=ramps.groupdq.copy(),
        pixeldq=np.zeros(image, np.uint32),
        average_dark_current=np.full(image, scene.dark, np.float32),
        zeroframe=None,
        meta=SimpleNamespace(exposure=exposure, instrument=SimpleNamespace(name="NIRCAM")),
    )
    planes = [np.full(image, value, np.float32) for value in (scene.readnoise, scene.gain)]
    with np.errstate(all="ignore"):
        rate, _, _ = ramp_fit(model, False, *planes, "LIKELY", "optimal", "none", reference.DQ_FLAGS)  # noqa: FBT003
    return Fit(rate["slope"], rate["err"], model.groupdq, (rate["dq"] & DO_NOT_USE) != 0)


#: The contenders by the names that tables and figure show.
CONTENDERS: dict[str, Callable[[Ramps], Fit]] = {
    "ols": fit_with("ols"),
    "stcal LIKELY": fit_with_reference,
    "likely": fit_with("likely"),
    "likely_joint": fit_with("likely_joint"),
}


#: Weightings of the least squares by the names that the table shows.
WEIGHTINGS: dict[str, Callable[[Ramps], Fit]] = {
    "optimal": fit_with("ols"),
    "optimal, own errors": fit_with("ols", errors="weights"),
    "interpolated": fit_with("ols", weighting="interpolated"),
    "uniform": fit_with("ols", weighting="uniform"),
    "1": fit_with("ols", weighting=1.0),
    "10": fit_with("ols", weighting=10.0),
}


@dataclass(frozen=True)
class Measured:
    """What a fit of a scene is worth.

    Attributes
    ----------
    bias : float
        Mean of (rate - true rate), in units of the scatter of the rates.
    pull : float
        Standard deviation of (rate - true rate) / err.
    scatter : float
        Standard deviation of the rates, in units of the best possible error.
    lost : float
        Fraction of the pixels without a rate.
    missed : float or None
        Fraction of the hits without a flag; None: no search, or no hits.
    false : float or None
        Fraction of the groups with neither flag nor hit before that were flagged.
    wrong, refused : float or None
        Fractions of the pixels with hits whose rate is off by more than WRONG errors without DO_NOT_USE, and of those
        with DO_NOT_USE; None: no hits.
    """

    bias: float
    pull: float
    scatter: float
    lost: float
    missed: float | None
    false: float | None
    wrong: float | None
    refused: float | None


@dataclass(frozen=True)
class Result:
    """What the contenders made of one scene."""

    title: str
    scene: Scene
    measured: dict[str, Measured]


def measure(ramps: Ramps, fit: Fit) -> Measured:
    """Compare a fit with the truth."""
    scene, true = ramps.scene, ramps.scene.true_rate()
    good = np.isfinite(fit.rate) & (fit.err > 0)
    off = fit.rate[good].astype(np.float64) - true
    best = ideal_error(scene, true) / np.sqrt(scene.nints)
    missed = false = wrong = refused = None
    if fit.groupdq is not None:
        found = find(ramps, fit.groupdq)
        missed = float(1 - found.noticed[found.hit].mean()) if found.hit.any() else None
        false = float(found.false.sum() / found.quiet.sum())
    hit = (ramps.hits > 0).any(axis=(0, 1))
    if hit.any():
        far = np.abs(fit.rate - true) > WRONG * fit.err
        wrong, refused = float((far & ~fit.unusable)[hit].mean()), float(fit.unusable[hit].mean())
    return Measured(
        bias=float(off.mean() / off.std()),
        pull=float((off / fit.err[good]).std()),
        scatter=float(off.std() / best),
        lost=float(1 - good.mean()),
        missed=missed,
        false=false,
        wrong=wrong,
        refused=refused,
    )


@dataclass(frozen=True)
class Finds:
    """What a search found, as boolean arrays of the data's shape.

    Attributes
    ----------
    hit : ndarray
        Hits in groups that are not saturated.
    noticed : ndarray
        A flag stands where a hit in this group would leave one: here or, with several frames a group, in the next.
    quiet : ndarray
        Groups that are not saturated, and that no hit could have flagged.
    false : ndarray
        Quiet groups with a flag.
    """

    hit: np.ndarray
    noticed: np.ndarray
    quiet: np.ndarray
    false: np.ndarray


def find(ramps: Ramps, groupdq: np.ndarray) -> Finds:
    """Compare the flags after a search with the hits."""
    flagged = (groupdq & JUMP_DET) != 0
    good = ramps.groupdq == 0
    hit = ramps.hits > 0
    noticed, near = flagged.copy(), hit | ramps.spoilt
    if ramps.scene.nframes > 1:
        noticed[:, :-1] |= flagged[:, 1:]
        near[:, 1:] |= hit[:, :-1]
    quiet = good & ~near
    quiet[:, 0] = False  # no difference ends there
    return Finds(good & hit, noticed, quiet, flagged & quiet)
