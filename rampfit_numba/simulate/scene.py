"""What falls on the detector, and what the detector's pixels are like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba import dq

if TYPE_CHECKING:
    from rampfit_numba.simulate.options import SimulationOptions

    Array = np.ndarray[Any, np.dtype[Any]]

_MOFFAT_EXPONENT = 2.5
#: What a hot pixel collects on its own, in electrons per frame.
_HOT_ELECTRONS = 2000.0


@dataclass(frozen=True, eq=False)
class Scene:
    """The pixels of the detector and what they collect, each image (nrows, ncols).

    Attributes
    ----------
    rate : float64
        What a pixel collects, in DN/s.
    gain, readnoise : float32
        True gain in e-/DN and CDS read noise in DN.
    known_gain : float32
        The gain as the reference file knows it: NaN where it is unknown.
    pixeldq : uint32
        Flags of the bad pixels.
    """

    rate: Array
    gain: Array
    known_gain: Array
    readnoise: Array
    pixeldq: Array


def make_scene(
    ngroups: int,
    shape: tuple[int, int],
    options: SimulationOptions,
    rng: np.random.Generator,
    rate: Array | None,
) -> Scene:
    """Return background and sources (or the given `rate`, DN/s, used as it is) on a detector with some bad pixels."""
    gain = np.maximum(rng.normal(options.gain, options.gain * options.gain_scatter, shape), 0.1 * options.gain)
    readnoise = options.readnoise * np.exp(options.readnoise_scatter * rng.standard_normal(shape))
    sky = _sky(shape, options, rng)
    _brighten(sky, ngroups, options, rng)

    lot = 3 * rng.random(shape) / options.bad_pixels if options.bad_pixels else np.full(shape, np.inf)
    dead, hot, gainless = lot < 1, (lot >= 1) & (lot < 2), (lot >= 2) & (lot < 3)  # noqa: PLR2004  (equally many each)
    sky[dead] = 0.0
    sky[hot] += _HOT_ELECTRONS / (gain[hot] * options.frame_time)
    pixeldq = np.zeros(shape, np.uint32)
    pixeldq[dead] = dq.DO_NOT_USE | dq.DEAD
    pixeldq[hot] = dq.DO_NOT_USE | dq.HOT
    known_gain = gain.astype(np.float32)
    known_gain[gainless] = np.nan  # and no flag: the fit has to set it
    collected = sky if rate is None else np.array(rate, np.float64)
    return Scene(collected, gain.astype(np.float32), known_gain, readnoise.astype(np.float32), pixeldq)


def _sky(shape: tuple[int, int], options: SimulationOptions, rng: np.random.Generator) -> Array:
    """Smooth background and point sources in DN/s."""
    rows, columns = np.linspace(-0.5, 0.5, shape[0]), np.linspace(-0.5, 0.5, shape[1])
    sky = options.background * (1 + 0.5 * options.background_gradient * (rows[:, None] + columns[None, :]))
    number = round(options.source_density * shape[0] * shape[1])
    faintest, brightest = options.source_flux
    centres = rng.random((number, 2)) * shape - 0.5
    fluxes = faintest * (brightest / faintest) ** rng.random(number)
    for (row, column), flux in zip(centres, fluxes, strict=True):
        _add_source(sky, row, column, flux, options)
    return sky


def _add_source(sky: Array, row: float, column: float, flux: float, options: SimulationOptions) -> None:
    """Add one point source of total rate `flux` around (row, column), out to where it is lost in the background."""
    gaussian = options.psf == "gaussian"
    sigma = options.fwhm / np.sqrt(8 * np.log(2))
    core = 0.5 * options.fwhm / np.sqrt(2 ** (1 / _MOFFAT_EXPONENT) - 1)
    radius = int(np.ceil(6 * sigma if gaussian else 12 * options.fwhm))
    row0, row1 = max(0, round(row) - radius), min(sky.shape[0], round(row) + radius + 1)
    column0, column1 = max(0, round(column) - radius), min(sky.shape[1], round(column) + radius + 1)
    distance2 = (np.arange(row0, row1)[:, None] - row) ** 2 + (np.arange(column0, column1)[None, :] - column) ** 2
    if gaussian:
        profile = np.exp(-0.5 * distance2 / sigma**2) / (2 * np.pi * sigma**2)
    else:
        profile = (1 + distance2 / core**2) ** -_MOFFAT_EXPONENT * (_MOFFAT_EXPONENT - 1) / (np.pi * core**2)
    sky[row0:row1, column0:column1] += flux * profile


def _brighten(sky: Array, ngroups: int, options: SimulationOptions, rng: np.random.Generator) -> None:
    """Raise a fraction of the pixels, scattered over the detector, so that they are full after about half a ramp."""
    chosen = rng.random(sky.shape) < options.saturated_fraction
    spread = rng.uniform(0.8, 1.25, sky.shape)
    half = options.frame_time * options.drop_frames1 + 0.5 * options.group_time * ngroups
    sky[chosen] = np.maximum(sky, (options.saturation - options.bias) / half * spread)[chosen]
