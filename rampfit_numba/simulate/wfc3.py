"""Synthetic intermediate files of WFC3/IR, by the rules that :mod:`rampfit_numba.io.wfc3` reads them with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.checks import check_path
from rampfit_numba.io.wfc3 import BORDER, COSMIC_RAY, DARK_CURRENT, READNOISE_CDS, SATURATED

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from astropy.io import fits

#: Time of the first read after the zeroth, in s (full frame).
_FIRST = 2.932
_UNITS = ("COUNTS", "COUNTS/S", "ELECTRONS", "ELECTRONS/S")
#: Full well in e-.
_FULL = 78000.0


@dataclass(frozen=True, eq=False)
class SimulatedIma:
    """A synthetic WFC3/IR exposure and the truth about it.

    Attributes
    ----------
    hdulist : HDUList
        The intermediate file.
    true_rate : ndarray of float64, shape (nrows, ncols)
        Rate of the sky in e-/s, as a flat-fielded image has it; without the background that `variable` adds.
    hits : ndarray of bool, shape (nsamp, nrows, ncols)
        Where a cosmic ray hit between the read before and this one, in the order of time.
    times : tuple of float
        Times of the reads since the zeroth, in s.
    """

    hdulist: fits.HDUList
    true_rate: np.ndarray
    hits: np.ndarray
    times: tuple[float, ...]


def simulate_ima(
    nsamp: int = 16,
    shape: tuple[int, int] = (74, 74),
    *,
    seed: int = 0,
    step: float = 50.0,
    times: Sequence[float] | None = None,
    true_rate: Any = None,  # noqa: ANN401  (array-like)
    unit: str = "ELECTRONS/S",
    gain: float = 2.35,
    hit_rate: float = 2e-3,
    variable: Sequence[float] | None = None,
    flat: np.ndarray | None = None,
    dark_subtracted: bool = True,
) -> SimulatedIma:
    """Simulate what calwf3 writes as _ima.fits: zeroth read subtracted, linear, newest read first.

    Parameters
    ----------
    nsamp : int
        Reads, the zeroth included (2 to 16).
    shape : (int, int)
        Rows and columns with the border of 5 reference pixels.
    seed : int
        Seed of all random numbers.
    step : float
        Time between reads in s, as in SPARS50; the first comes 2.932 s after the zeroth.
    times : sequence of float, optional
        Times of the reads since the zeroth in s, in place of `step`; the first is 0.
    true_rate : float or array_like, optional
        Rate in e-/s; None: a background of 1 e-/s with sources.
    unit : {"COUNTS", "COUNTS/S", "ELECTRONS", "ELECTRONS/S"}
        BUNIT.
    gain : float
        Mean of the four amplifiers' gains in e-/DN.
    hit_rate : float
        Probability of a cosmic ray per pixel and 50 s.
    variable : sequence of float, optional
        Background in e-/s that each interval has in addition; nsamp - 1 of them.
    flat : ndarray, shape (nrows, ncols), optional
        Sensitivity: the detector collects rate times flat, and the file is divided by it (FLATCORR COMPLETE).
    dark_subtracted : bool
        The detector has a dark current, and it was subtracted (DARKCORR COMPLETE).

    Returns
    -------
    SimulatedIma
        File and truth.

    Raises
    ------
    ValueError
        The unit is unknown, or `times` or `variable` have another length than the reads ask for.

    Examples
    --------
    >>> from rampfit_numba.simulate.wfc3 import simulate_ima
    >>> simulated = simulate_ima(nsamp=6, seed=1)
    >>> len(simulated.hdulist), simulated.times[:3]
    (31, (0.0, 2.932, 52.932))
    """
    if unit not in _UNITS:
        raise ValueError(f"unit: expected one of {', '.join(_UNITS)}; got {unit!r}")
    times = tuple(map(float, times)) if times is not None else (0.0, *(_FIRST + step * i for i in range(nsamp - 1)))
    extra = np.zeros(nsamp - 1) if variable is None else np.asarray(variable, float)
    if len(times) != nsamp or len(extra) != nsamp - 1:
        raise ValueError(
            f"times, variable: expected {nsamp} times and {nsamp - 1} levels; got {len(times)}, {len(extra)}"
        )
    rng = np.random.default_rng(seed)
    sky = _sky(shape, rng) if true_rate is None else np.broadcast_to(np.asarray(true_rate, float), shape).copy()
    response = np.ones(shape) if flat is None else np.asarray(flat, float)
    dark = DARK_CURRENT if dark_subtracted else 0.0
    waits = np.diff(times)

    inner = np.zeros(shape, bool)
    inner[BORDER:-BORDER, BORDER:-BORDER] = True
    hits = np.zeros((nsamp, *shape), bool)
    hits[1:] = (rng.random((nsamp - 1, *shape)) < hit_rate * waits[:, None, None] / 50) & inner
    expected = ((sky + extra[:, None, None]) * response + dark) * inner * waits[:, None, None]
    collected = rng.poisson(expected) + np.where(hits[1:], rng.lognormal(np.log(2500), 0.8, hits[1:].shape), 0)
    electrons = np.concatenate([np.zeros((1, *shape)), np.cumsum(collected, axis=0)])
    full = np.maximum.accumulate(electrons >= _FULL, axis=0)
    electrons = np.minimum(electrons, _FULL)
    reads = electrons + rng.normal(0, READNOISE_CDS / np.sqrt(2), electrons.shape)
    signal = (reads - reads[0] - dark * inner * np.asarray(times)[:, None, None]) / response

    bits = np.where(full, SATURATED, 0) | np.where(np.maximum.accumulate(hits, axis=0), COSMIC_RAY, 0)
    hdulist = _hdulist(signal, bits, times, unit, gain, dark_subtracted=dark_subtracted, flat=flat is not None)
    return SimulatedIma(hdulist, sky, hits, times)


def write_ima(simulated: SimulatedIma, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a synthetic exposure: whole, or not at all.

    Parameters
    ----------
    simulated : SimulatedIma
        What to write.
    path : path-like
        Name of the file, ``<base>_ima.fits``.
    overwrite : bool
        Whether an existing file is replaced.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    RampFileError
        The file exists, or cannot be written.

    Examples
    --------
    >>> from rampfit_numba.simulate.wfc3 import simulate_ima, write_ima
    >>> write_ima(simulate_ima(4), "i_ima.fits", overwrite=True).name
    'i_ima.fits'
    """
    from rampfit_numba.io.outputs import check_outputs
    from rampfit_numba.io.whole_files import write_all

    path = check_path("path", path)
    check_outputs([path], overwrite=overwrite)
    simulated.hdulist[0].header["FILENAME"] = path.name
    simulated.hdulist[0].header["ROOTNAME"] = path.name.partition("_ima")[0]
    write_all([(path, simulated.hdulist)], overwrite=overwrite)
    return path


def _sky(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    from rampfit_numba.simulate.options import SimulationOptions
    from rampfit_numba.simulate.scene import make_scene

    options = SimulationOptions(background=1.0, source_density=4e-3, source_flux=(2.0, 2e3), bad_pixels=0.0, fwhm=1.5)
    return np.asarray(make_scene(2, shape, options, rng, None).rate)


def _hdulist(
    signal: np.ndarray,
    bits: np.ndarray,
    times: Sequence[float],
    unit: str,
    gain: float,
    *,
    dark_subtracted: bool,
    flat: bool,
) -> fits.HDUList:
    from astropy.io import fits

    from rampfit_numba.io.product_parts import image_hdu

    nsamp, shape = len(times), signal.shape[1:]
    gains = {"A": 0.98 * gain, "B": 1.01 * gain, "C": 1.02 * gain, "D": 0.99 * gain}
    primary = fits.Header([
        ("TELESCOP", "HST"), ("INSTRUME", "WFC3"), ("DETECTOR", "IR"), ("FILTER", "F160W"), ("OBSTYPE", "IMAGING"),
        ("SAMP_SEQ", "SPARS50"), ("NSAMP", nsamp), ("EXPTIME", times[-1]), ("FILETYPE", "SCI"), ("NEXTEND", 5 * nsamp),
        *((f"ATODGN{amplifier}", value) for amplifier, value in gains.items()),
        *((f"READNSE{amplifier}", READNOISE_CDS) for amplifier in gains),
        ("ZOFFCORR", "COMPLETE"), ("NLINCORR", "COMPLETE"), ("DARKCORR", "COMPLETE" if dark_subtracted else "OMIT"),
        ("FLATCORR", "COMPLETE" if flat else "OMIT"), ("UNITCORR", "COMPLETE"), ("CRCORR", "OMIT"),
    ])  # fmt: skip
    hdus: list[Any] = [fits.PrimaryHDU(header=primary)]
    for version, read in enumerate(reversed(range(nsamp)), 1):
        values = signal[read] / (gain if unit.startswith("COUNTS") else 1.0)
        if unit.endswith("/S"):
            values = values / times[read] if times[read] else np.zeros(shape)
        science = fits.Header([("SAMPNUM", read), ("SAMPTIME", times[read]), ("BUNIT", unit),
                               ("CRPIX1", shape[1] / 2), ("CRPIX2", shape[0] / 2), ("CRVAL1", 10.0), ("CRVAL2", -5.0),
                               ("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("CD1_1", -3.6e-5), ("CD1_2", 0.0),
                               ("CD2_1", 0.0), ("CD2_2", 3.6e-5), ("LTV1", 5.0), ("LTV2", 5.0)])  # fmt: skip
        planes = [
            image_hdu("SCI", values.astype(np.float32), science),
            _constant("ERR", 0.0, shape),
            image_hdu("DQ", bits[read].astype(np.int16)) if bits[read].any() else _constant("DQ", 0, shape),
            _constant("SAMP", read + 1, shape),
            _constant("TIME", times[read], shape),
        ]
        for hdu in planes:
            hdu.ver = version
        hdus += planes
    return fits.HDUList(hdus)


def _constant(name: str, value: float, shape: tuple[int, int]) -> fits.ImageHDU:
    """Return a plane of one value, as HST stores it: without data."""
    from astropy.io import fits

    hdu = fits.ImageHDU(name=name)
    hdu.header["PIXVALUE"], hdu.header["NPIX1"], hdu.header["NPIX2"] = value, shape[1], shape[0]
    return hdu
