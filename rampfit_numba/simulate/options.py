"""What a simulated exposure is like: every choice, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, Final

#: Instruments with a header that JWST data models accept.
INSTRUMENTS: Final = ("MIRI", "NIRCAM")
PSFS: Final = ("gaussian", "moffat")

#: Largest count rate in DN/s. With the ranges below a ramp's electrons stay within int64.
MAX_RATE: Final = 1e6

# Closed ranges.
_RANGES: Final = {
    "frame_time": (1e-6, 1e4),
    "nframes": (1, 1000),
    "groupgap": (0, 1000),
    "drop_frames1": (0, 1000),
    "background": (0.0, MAX_RATE),
    "background_gradient": (0.0, 1.0),
    "source_density": (0.0, 1.0),
    "fwhm": (0.5, 100.0),
    "gain": (1e-3, 1e3),
    "gain_scatter": (0.0, 0.3),
    "readnoise": (1e-3, 1e6),
    "readnoise_scatter": (0.0, 1.0),
    "bias": (-1e6, 1e6),
    "bias_scatter": (0.0, 1e6),
    "hit_rate": (0.0, 1.0),
    "hit_charge": (1.0, 1e9),
    "hit_charge_scatter": (0.0, 3.0),
    "missed_hits": (0.0, 1.0),
    "saturation": (1.0, 1e9),
    "saturated_fraction": (0.0, 1.0),
    "bad_pixels": (0.0, 1.0),
}


@dataclass(frozen=True, kw_only=True)
class SimulationOptions:
    """How a simulated exposure is read out, what it sees, and how the detector is.

    Parameters
    ----------
    frame_time : float
        Time from frame to frame in s; a group takes ``(nframes + groupgap) * frame_time``.
    nframes, groupgap, drop_frames1 : int
        Frames averaged per group, skipped after each group, and dropped before the first group.
    background : float
        Mean rate of the smooth background in DN/s.
    background_gradient : float
        Fraction by which the background falls from one corner to the opposite one.
    source_density : float
        Point sources per pixel.
    source_flux : tuple of float
        Faintest and brightest total rate of a source in DN/s; equally many sources in every decade between.
    psf : str
        ``"gaussian"`` or ``"moffat"`` (exponent 2.5).
    fwhm : float
        Full width of the sources at half of their maximum, in pixels.
    gain, gain_scatter : float
        Mean gain in e-/DN and its relative scatter from pixel to pixel.
    readnoise, readnoise_scatter : float
        Median CDS read noise (of the difference of two frames, sqrt(2) times that of one) in DN, and the width of its
        log-normal scatter from pixel to pixel.
    bias, bias_scatter : float
        What is left of the bias in DN, and its scatter from reset to reset (kTC noise).
    hit_rate : float
        Probability that a cosmic ray hits a pixel between one group and the next.
    hit_charge, hit_charge_scatter : float
        Median charge of a hit in e-, and the width of its log-normal distribution (in ln).
    missed_hits : float
        Fraction of the hits that get no JUMP_DET flag.
    saturation : float
        Level in DN (bias included) at which a pixel is full.
    saturated_fraction : float
        Fraction of the pixels that are made so bright that they are full after about half of the ramp.
    bad_pixels : float
        Fraction of bad pixels: dead, hot (both DO_NOT_USE), without a known gain.
    zeroframe : bool
        Also return the first frame of each integration.
    instrument : str
        ``"NIRCAM"`` or ``"MIRI"``; the header follows, and MIRI's first and last group are flagged DO_NOT_USE as
        its pipeline does (where there are more than three).

    Raises
    ------
    TypeError, ValueError
        An option has the wrong type or lies outside its range.
    """

    frame_time: float = 10.73677
    nframes: int = 1
    groupgap: int = 0
    drop_frames1: int = 0
    background: float = 2.0
    background_gradient: float = 0.3
    source_density: float = 1e-3
    source_flux: tuple[float, float] = (20.0, 20000.0)
    psf: str = "gaussian"
    fwhm: float = 2.5
    gain: float = 1.8
    gain_scatter: float = 0.02
    readnoise: float = 10.0
    readnoise_scatter: float = 0.1
    bias: float = 0.0
    bias_scatter: float = 10.0
    hit_rate: float = 5e-4
    hit_charge: float = 1500.0
    hit_charge_scatter: float = 0.7
    missed_hits: float = 0.0
    saturation: float = 50000.0
    saturated_fraction: float = 0.0
    bad_pixels: float = 0.004
    zeroframe: bool = False
    instrument: str = "NIRCAM"

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            kind = Integral if isinstance(least, int) else Real
            check_number(name, getattr(self, name), kind, least, most)
        _check_flux(self.source_flux)
        if self.bias >= self.saturation:
            raise ValueError(f"bias: expected less than saturation ({self.saturation}); got {self.bias}")
        if not isinstance(self.zeroframe, bool):
            raise TypeError(f"zeroframe: expected True or False; got {self.zeroframe!r}")
        for name, choices in (("psf", PSFS), ("instrument", INSTRUMENTS)):
            value = getattr(self, name)
            if value not in choices:
                raise ValueError(f"{name}: expected one of {', '.join(choices)}; got {value!r}")

    @property
    def group_time(self) -> float:
        """Time from group to group in s."""
        return self.frame_time * (self.nframes + self.groupgap)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of all options."""
        return tuple(field.name for field in fields(cls))


def check_number(name: str, value: Any, kind: Any, least: float, most: float = math.inf) -> None:  # noqa: ANN401
    """Refuse what is not of this kind (``Integral`` or ``Real``; never a bool) or lies outside the closed range."""
    what = "an integer" if kind is Integral else "a number"
    what += f" >= {least:g}" if most == math.inf else f" between {least:g} and {most:g}"
    if isinstance(value, bool) or not isinstance(value, kind):
        raise TypeError(f"{name}: expected {what}; got {value!r}")
    if not least <= value <= most:  # also refuses NaN
        raise ValueError(f"{name}: expected {what}; got {value!r}")


def _check_flux(value: Any) -> None:  # noqa: ANN401
    wanted = f"source_flux: expected two numbers, 0 < faintest <= brightest <= {MAX_RATE:g}"
    try:
        faintest, brightest = (float(flux) for flux in value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{wanted}; got {value!r}") from error
    if not 0 < faintest <= brightest <= MAX_RATE:
        raise ValueError(f"{wanted}; got {value!r}")
