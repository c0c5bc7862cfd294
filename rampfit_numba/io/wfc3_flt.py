"""A fit of WFC3/IR reads as a calibrated image (_flt.fits), as calwf3 writes it and AstroDrizzle takes it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba import dq
from rampfit_numba.algorithms.groups import usable_groups
from rampfit_numba.checks import as_array
from rampfit_numba.io.outputs import check_outputs
from rampfit_numba.io.product_headers import carried_cards, history_lines
from rampfit_numba.io.product_parts import image_hdu
from rampfit_numba.io.wfc3 import BORDER, COSMIC_RAY, SATURATED, read_flat, read_ima_bits
from rampfit_numba.io.whole_files import write_all

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from astropy.io import fits

    from rampfit_numba.result import RampFit

#: What marks a pixel without a rate for which no read has a flag of its own.
_BAD_PIXEL = 4
_INNER = (slice(BORDER, -BORDER), slice(BORDER, -BORDER))


def write_flt(
    fit: RampFit,
    path: str | os.PathLike[str],
    *,
    ima: str | os.PathLike[str],
    gain: Any,  # noqa: ANN401  (number or array)
    flat: Any = None,  # noqa: ANN401  (path or array)
    overwrite: bool = False,
    history: Sequence[str] = (),
    inputs: Iterable[str | os.PathLike[str]] = (),
) -> Path:
    """Write the fit of an exposure of :func:`~rampfit_numba.io.wfc3.read_ima` as a calibrated image.

    SCI and ERR are in ELECTRONS/S without the reference pixels. DQ has the flags of all reads but 256 and 8192; 8192
    where a cosmic ray was found, 256 where every read was saturated. SAMP is the number of reads used, TIME the seconds
    between those that are used. Pixels without a rate are 0 in SCI and ERR, and have a flag.

    Parameters
    ----------
    fit : RampFit
        Result of a fit, in DN/s.
    path : path-like
        Name of the file to write, ``<base>_flt.fits``.
    ima : path-like
        The intermediate file that the exposure was read from: headers and flags are copied.
    gain : float or array_like, shape (nrows, ncols)
        The gain of the fit, in e-/DN.
    flat : path-like or array_like, optional
        The flat that :func:`~rampfit_numba.io.wfc3.read_ima` was given: rates are divided by it again.
    overwrite : bool
        Whether an existing file is replaced.
    history : sequence of str
        Lines for HISTORY, after the software's own.
    inputs : iterable of path-like
        Files that must not be overwritten in any case.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    RampFileError
        The file exists, or cannot be written; `ima` cannot be read.
    TypeError, ValueError
        An argument is unusable; the fit has another shape than the file, or more than one integration.

    Examples
    --------
    >>> from rampfit_numba import fit_ramps, read_ima, write_flt
    >>> fit = fit_ramps(read_ima("demo_ima.fits"), readnoise=9.0, gain=2.35, algorithm="likely")
    >>> write_flt(fit, "demo_flt.fits", ima="demo_ima.fits", gain=2.35).name
    'demo_flt.fits'
    """
    path, ima = Path(path), Path(ima)
    check_outputs([path], overwrite=overwrite, inputs=[*inputs, ima])
    primary, science, bits = read_ima_bits(ima)
    shape = fit.rate.data.shape
    if fit.rateints.data.shape[0] != 1 or shape != bits.shape[1:]:
        raise ValueError(f"fit: expected one integration of shape {bits.shape[1:]}, as {ima} has; got {shape}")
    response = read_flat(flat, (shape[0], shape[1]))
    factor = _image("gain", gain, (shape[0], shape[1]))
    if response is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = factor / response
    samples, seconds = _used(fit)
    quality = _quality(fit, bits)
    with np.errstate(invalid="ignore"):
        rate, err = fit.rate.data * factor, fit.rate.err * factor
    lost = ~np.isfinite(rate) | ~np.isfinite(err)
    quality[lost & (quality == 0)] = _BAD_PIXEL
    planes: dict[str, np.ndarray] = {
        "SCI": np.where(lost, 0, rate).astype(np.float32),
        "ERR": np.where(lost, 0, err).astype(np.float32),
        "DQ": quality.astype(np.int16),
        "SAMP": np.where(lost, 0, samples).astype(np.int16),
        "TIME": np.where(lost, 0, seconds).astype(np.float32),
    }
    write_all([(path, _hdulist(fit, path.name, (primary, science), planes, history))], overwrite=overwrite)
    return path


def _image(name: str, value: Any, shape: tuple[int, int]) -> np.ndarray:  # noqa: ANN401
    """Return a number or an image as an image."""
    values = as_array(name, value, "electron / DN")
    if values.shape not in ((), shape):
        raise ValueError(f"{name}: expected a number or an array of shape {shape}; got shape {values.shape}")
    return np.broadcast_to(values.astype(np.float64), shape)


def _used(fit: RampFit) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of reads used and the seconds between them, per pixel.

    A jump costs the difference that ends with its read; an unusable read costs those on either side. So does one that
    the options leave out.
    """
    if fit.inputs is None:
        raise ValueError("fit: expected one that keeps its inputs; got one without")
    exposure = fit.inputs.exposure
    times = np.array([group[0] for group in exposure.read_times or ()])
    flags = exposure.groupdq[0] if fit.groupdq is None else fit.groupdq[0]
    bad = ((flags & (dq.DO_NOT_USE | dq.SATURATED)) > 0) | ~np.isfinite(exposure.data[0])
    first, last = usable_groups(fit.options, exposure.ngroups)
    bad[:first], bad[last + 1 :] = True, True
    usable = ~(bad[1:] | bad[:-1] | ((flags[1:] & dq.JUMP_DET) > 0))
    seconds = np.tensordot(np.diff(times), usable, axes=1)
    count = usable.sum(axis=0)
    return np.where(count > 0, count + 1, 0), seconds


def _quality(fit: RampFit, bits: np.ndarray) -> np.ndarray:
    """Return DQ as an FLT has it (uint16, whole frame)."""
    quality = np.bitwise_or.reduce(bits, axis=0) & ~np.uint16(SATURATED | COSMIC_RAY)
    quality[((bits & SATURATED) > 0).all(axis=0) | ((bits[1:] & SATURATED) > 0).all(axis=0)] |= SATURATED
    if fit.groupdq is not None:
        quality[((fit.groupdq[0] & dq.JUMP_DET) > 0).any(axis=0)] |= COSMIC_RAY
    return np.asarray(quality)


def _hdulist(
    fit: RampFit,
    filename: str,
    headers: tuple[fits.Header, fits.Header],
    planes: dict[str, np.ndarray],
    history: Sequence[str],
) -> fits.HDUList:
    from astropy.io import fits

    primary, science = headers
    header = carried_cards(primary)
    now = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    header["DATE"] = (now, "date this file was written")
    header["FILENAME"] = (filename, "name of file")
    header["NEXTEND"] = (len(planes), "Number of standard extensions")
    header["CRCORR"] = ("COMPLETE", "combine observations, reject cosmic rays")
    header["UNITCORR"] = ("COMPLETE", "convert to count rates")
    for line in history_lines(fit, history):
        header.add_history(line)
    cards = _trimmed(carried_cards(science))
    hdus = [fits.PrimaryHDU(header=header)]
    for name, plane in planes.items():
        hdu = image_hdu(name, plane[_INNER], cards if name == "SCI" else None)
        if name in ("SCI", "ERR"):
            hdu.header["BUNIT"] = ("ELECTRONS/S", "brightness units")
        elif name == "TIME":
            hdu.header["BUNIT"] = ("SECONDS", "units of exposure time")
        else:
            hdu.header["BUNIT"] = ("UNITLESS", "units of flags or counts")
        hdus.append(hdu)
    return fits.HDUList(hdus)


def _trimmed(cards: fits.Header) -> fits.Header:
    """Return the cards of an image without its border: what counts pixels begins later."""
    for key in ("CRPIX1", "CRPIX2", "LTV1", "LTV2"):
        if key in cards:
            cards[key] -= BORDER
    for key in ("SIZAXIS1", "SIZAXIS2"):
        if key in cards:
            cards[key] -= 2 * BORDER
    return cards
