"""Intermediate files of HST's WFC3/IR (_ima.fits) to exposures, and fits to calibrated images (_flt.fits).

An IMA holds the non-destructive reads after calwf3's calibration, newest first, each in five extensions (SCI, ERR, DQ,
SAMP, TIME) whose planes may be constant. What its headers mean is documented in the WFC3 Data Handbook (STScI, version
5, sections 2.2.3 and 3.3) and in calwf3's source; rules that calwf3 has by itself are named where they are used.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba import dq
from rampfit_numba.checks import as_array
from rampfit_numba.exposure import Exposure
from rampfit_numba.exposure_header import ExposureHeader
from rampfit_numba.io import hdu_data, hdus, tiles, wfc3_hdus
from rampfit_numba.messages import RampFileError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.io import fits

    from rampfit_numba.io.hdus import Hdu

log = logging.getLogger(__name__)

#: Reference pixels on each side of the detector, which an FLT does not have.
BORDER = 5
#: calwf3's noise of the difference of two reads, in e- (its table CRREJTAB is not read: cridcalc.c has it fixed).
READNOISE_CDS = 21.0
#: calwf3's dark current in e-/s: its photons are noise in an exposure whose dark was subtracted.
DARK_CURRENT = 0.036

# Bits of WFC3's DQ (Data Handbook, table 3.3) by what they mean for a single read.
SATURATED = 256
_UNUSABLE = 1 | 2 | 4 | 8 | 32 | 512
COSMIC_RAY = 8192

#: Kinds of values: whether they are electrons, and whether they are divided by the time since the zeroth read.
_UNITS = {
    "COUNTS": (False, False),
    "COUNTS/S": (False, True),
    "ELECTRONS": (True, False),
    "ELECTRONS/S": (True, True),
}
#: Planes of a read that are looked at; it also has ERR, SAMP and TIME.
_READ = frozenset({"SCI", "DQ"})
_FEWEST_READS = 2
_AXES = 2


@dataclass(frozen=True)
class _Ima:
    """What of an IMA is used, reads in the order of time.

    Attributes
    ----------
    path : Path
    primary, sci : Header
        Of the primary HDU, and of the SCI extension of the last read.
    data : ndarray of float32, shape (nreads, nrows, ncols)
        As the file has them.
    bits : ndarray of uint16, shape (nreads, nrows, ncols)
        WFC3's flags.
    times : tuple of float
        Since the zeroth read, in s.
    unit : str
    gain : float
        Mean of the four amplifiers, in e-/DN.
    """

    path: Path
    primary: fits.Header
    sci: fits.Header
    data: np.ndarray
    bits: np.ndarray
    times: tuple[float, ...]
    unit: str
    gain: float


def is_ima(primary: fits.Header) -> bool:
    """Tell whether a primary header is that of a WFC3/IR file with several reads (IMA or RAW)."""
    instrument, detector = (hdus.text(primary, key).upper() for key in ("INSTRUME", "DETECTOR"))
    return (instrument, detector) == ("WFC3", "IR") and "NSAMP" in primary


def read_ima(
    path: str | os.PathLike[str],
    *,
    flat: Any = None,  # noqa: ANN401  (path or array)
    exclude_reads: Sequence[int] = (),
    flatten: bool | tuple[slice, slice] = False,
    good_bits: int = 0,
) -> Exposure:
    """Return the exposure in a WFC3/IR intermediate file (_ima.fits), in DN, its reads in the order of time.

    Parameters
    ----------
    path : path-like
        File that calwf3 made, with ZOFFCORR and NLINCORR complete; values in COUNTS, ELECTRONS, or either per second.
    flat : path-like or array_like, shape (nrows, ncols) or without the border of 5 pixels, optional
        Flat field (reference file PFLTFILE) that calwf3 has divided by. With it the photon noise is that of the
        photons that arrived; give it to :func:`write_flt`, too. None: errors are off by the flat's deviation from 1.
    exclude_reads : sequence of int
        Numbers of reads to leave out, 0 being the zeroth; the others keep their times.
    flatten : bool or (slice, slice)
        Remove a background that changes with time: the median rate of every read is brought to that of the last one,
        over all usable pixels or over some rows and columns.
    good_bits : int
        Bits of WFC3's DQ that are no reason to leave a read out, beside those that never are (16, 64: hot and warm;
        2048: signal in the zeroth read; 8192, which calwf3 sets in all reads after a hit).

    Returns
    -------
    Exposure
        One integration, `data` float32 of shape (1, nreads, nrows, ncols) in DN. DQ 256 is SATURATED, 1, 2, 4, 8, 32
        and 512 are DO_NOT_USE; the border of reference pixels is DO_NOT_USE. The photons of the dark, where it was
        subtracted, are in `average_dark_current`. Read times are those of SAMPTIME, uneven as they are.

    Raises
    ------
    RampFileError
        The file is no such file, or not at the right stage; the message says what is expected and what is there.
    TypeError, ValueError
        An argument is unusable.

    Examples
    --------
    >>> from rampfit_numba import read_ima
    >>> exposure = read_ima("demo_ima.fits", exclude_reads=[3])
    >>> exposure.shape
    (1, 7, 24, 24)
    """
    region = _region(flatten)
    ima = _read(Path(path))
    log.info(
        "%s: WFC3/IR, %d reads in %s, gain %.3f e-/DN, exposed for %.1f s",
        path, len(ima.times), ima.unit, ima.gain, ima.times[-1],
    )  # fmt: skip
    kept = _kept_reads(exclude_reads, len(ima.times))
    data = _in_counts(ima)
    groupdq = _group_flags(ima.bits, good_bits)
    pixeldq = _border_flags(data.shape[1:])
    response = read_flat(flat, data.shape[1:])
    if response is not None:
        with np.errstate(invalid="ignore"):
            data *= response
        pixeldq[~(response > 0)] |= dq.DO_NOT_USE | dq.NO_FLAT_FIELD
    if region is not None:
        usable = ((groupdq == 0) & np.isfinite(data)).all(axis=0) & (pixeldq == 0)
        _flatten(data, ima.times, usable, region)
    dark = None
    if _is_complete(ima.path, ima.primary, "DARKCORR"):
        dark = np.full(data.shape[1:], DARK_CURRENT / ima.gain, np.float32)
    return Exposure(
        data[kept][None],
        groupdq[kept][None],
        group_time=(ima.times[kept[-1]] - ima.times[kept[0]]) / (len(kept) - 1),
        read_times=[[ima.times[read]] for read in kept],
        pixeldq=pixeldq,
        average_dark_current=dark,
        dark_current_unit=None if dark is None else "DN/s",
        instrument="WFC3",
        header=ExposureHeader(ima.primary, ima.sci, None, ima.path.name),
    )


def read_ima_bits(path: Path) -> tuple[fits.Header, fits.Header, np.ndarray]:
    """Return the primary header, the SCI header of the last read, and WFC3's flags of all reads (uint16)."""
    ima = _read(path)
    return ima.primary, ima.sci, ima.bits


def read_flat(flat: Any, shape: tuple[int, int]) -> np.ndarray | None:  # noqa: ANN401  (path or array)
    """Return a flat field of `shape`, 1 in the border where it has none; None for None.

    Raises
    ------
    RampFileError
        The file cannot be read.
    TypeError, ValueError
        It is no array of numbers, or its shape fits neither the detector nor the detector without its border.
    """
    if flat is None:
        return None
    if isinstance(flat, str | os.PathLike):
        flat = _flat_in(Path(flat), shape)
    values = np.asarray(as_array("flat", flat, ""), np.float32)
    inner = tuple(size - 2 * BORDER for size in shape)
    if values.shape == inner:
        return np.pad(values, BORDER, constant_values=1.0)
    if values.shape != shape:
        raise ValueError(f"flat: expected shape {shape}, or {inner} without the border; got {values.shape}")
    return values


def _flat_in(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Return the first image of a file."""
    found = tiles.scan(path, hdus.EVERYTHING)
    image = next((hdu for hdu in found if hdu_data.holds_image(hdu) and len(hdu.shape) == len(shape)), None)
    if image is None:
        raise RampFileError(f"{path}: holds no image; expected a flat field of shape {shape}")
    return hdu_data.physical_image(path, image, mapped=False)


def _read(path: Path) -> _Ima:
    hdulist = tiles.scan(path, _READ)
    primary = hdulist[0].header
    _refuse_other_files(path, primary, hdulist)
    _is_complete(path, primary, "DARKCORR")  # looked up again later: a card that makes no sense is refused here
    found = {(hdu.name, wfc3_hdus.version(path, hdu)): hdu for hdu in hdulist[1:] if hdu.name in _READ}
    versions = sorted((ver for name, ver in found if name == "SCI"), reverse=True)
    nsamp = hdus.keyword(path, primary, "NSAMP", "the primary header")
    if versions != list(range(len(versions), 0, -1)) or len(versions) != nsamp:
        raise RampFileError(
            f"{path}: expected one SCI extension for each of the {nsamp} reads (keyword NSAMP), EXTVER "
            f"1 the last of them; got EXTVER {', '.join(map(str, sorted(versions)))}"
        )
    science = [found["SCI", version] for version in versions]
    times = tuple(wfc3_hdus.number(path, hdu, "SAMPTIME") for hdu in science)
    if any(after <= before for before, after in pairwise(times)):
        raise RampFileError(
            f"{path}: expected SAMPTIME to rise from the zeroth read (EXTVER {versions[0]}) to the last (EXTVER 1)"
            f"; got {', '.join(f'{time:g}' for time in times)}"
        )
    units = {hdus.text(hdu.header, "BUNIT").upper() for hdu in science}
    if len(units) != 1 or not units <= set(_UNITS):
        raise RampFileError(
            f"{path}: BUNIT of SCI: expected one of {', '.join(_UNITS)} in all reads; got {', '.join(sorted(units))}"
        )
    nrows, ncols = shape = wfc3_hdus.shape_of_reads(path, science)
    if min(shape) <= 2 * BORDER:
        raise RampFileError(f"{path}: expected images with {BORDER} reference pixels on each side; got {shape}")
    data = np.empty((len(science), nrows, ncols), np.float32)
    bits = np.zeros(data.shape, np.uint16)
    for number, (version, hdu) in enumerate(zip(versions, science, strict=True)):
        data[number] = wfc3_hdus.plane(path, hdu, shape)
        if ("DQ", version) in found:
            bits[number] = wfc3_hdus.flags(path, found["DQ", version], shape)
    (unit,) = units
    return _Ima(path, primary, science[-1].header, data, bits, times, unit, mean_gain(path, primary))


def _refuse_other_files(path: Path, primary: fits.Header, hdulist: Sequence[Hdu]) -> None:
    if not is_ima(primary):
        got = "/".join(hdus.text(primary, key) or "?" for key in ("INSTRUME", "DETECTOR"))
        raise RampFileError(f"{path}: expected a WFC3/IR file with NSAMP reads; got one of {got}")
    if sum(hdu.name == "SCI" for hdu in hdulist) < _FEWEST_READS:
        raise RampFileError(f"{path}: holds one image, its reads are gone; give the _ima.fits file")
    for switch, what in (("ZOFFCORR", "the zeroth read is subtracted"), ("NLINCORR", "linear")):
        if not _is_complete(path, primary, switch):
            raise RampFileError(
                f"{path}: {switch}: expected COMPLETE ({what}); got "
                f"{hdus.text(primary, switch) or 'no such keyword'}; run calwf3 with {switch} = PERFORM, and give its "
                "_ima.fits"
            )


def _is_complete(path: Path, primary: fits.Header, switch: str) -> bool:
    value = hdus.keyword_value(path, primary, switch, "the primary header")
    return str(value).strip().upper() == "COMPLETE"


def mean_gain(path: Path, primary: fits.Header) -> float:
    """Return the gain in e-/DN: the mean of the four amplifiers, which calwf3 multiplies by.

    Raises
    ------
    RampFileError
        A keyword of ATODGNA to ATODGND is missing, or no positive number.
    """
    gains = [hdus.keyword_value(path, primary, f"ATODGN{amplifier}", "the primary header") for amplifier in "ABCD"]
    numbers = [float(gain) for gain in gains if isinstance(gain, int | float) and np.isfinite(gain) and gain > 0]
    if len(numbers) < len(gains):
        raise RampFileError(f"{path}: keywords ATODGNA to ATODGND: expected four gains in e-/DN; got {gains}")
    return float(np.mean(numbers))


def _kept_reads(excluded: Any, nreads: int) -> list[int]:  # noqa: ANN401
    if isinstance(excluded, str | bytes) or not isinstance(excluded, Iterable):
        raise TypeError(f"exclude_reads: expected a sequence of numbers of reads; got {excluded!r}")
    out = set()
    for read in excluded:
        if isinstance(read, bool) or not isinstance(read, int | np.integer):
            raise TypeError(f"exclude_reads: expected a sequence of numbers of reads; got {read!r} among them")
        if not 0 <= read < nreads:
            raise ValueError(f"exclude_reads: expected numbers from 0 to {nreads - 1}; got {read}")
        out.add(int(read))
    if nreads - len(out) < _FEWEST_READS:
        raise ValueError(f"exclude_reads: expected to leave {_FEWEST_READS} of {nreads} reads; got {sorted(out)}")
    return [read for read in range(nreads) if read not in out]


def _in_counts(ima: _Ima) -> np.ndarray:
    """Return the accumulated signal in DN: a rate is the mean since the zeroth read, not that of the interval."""
    electrons, per_second = _UNITS[ima.unit]
    factor = np.ones(len(ima.times)) / (ima.gain if electrons else 1.0)
    if per_second:
        factor *= np.asarray(ima.times)
    with np.errstate(invalid="ignore", over="ignore"):  # samples that are no numbers stay such
        return np.asarray(ima.data * factor[:, None, None].astype(np.float32), np.float32)


def _group_flags(bits: np.ndarray, good_bits: int) -> np.ndarray:
    flags = np.where(bits & (_UNUSABLE & ~good_bits), dq.DO_NOT_USE, 0).astype(np.uint8)
    flags[(bits & SATURATED) > 0] |= dq.SATURATED
    return flags


def _border_flags(shape: tuple[int, int]) -> np.ndarray:
    pixeldq = np.full(shape, dq.DO_NOT_USE | dq.REFERENCE_PIXEL, np.uint32)
    pixeldq[BORDER:-BORDER, BORDER:-BORDER] = 0
    return pixeldq


def _region(flatten: Any) -> tuple[slice, slice] | None:  # noqa: ANN401
    """Return the rows and columns whose background is to be flattened; None for no flattening."""
    if isinstance(flatten, bool | np.bool_):
        return (slice(None), slice(None)) if flatten else None
    if isinstance(flatten, tuple) and len(flatten) == _AXES and all(map(_is_slice, flatten)):
        rows, columns = flatten
        return rows, columns
    raise TypeError(f"flatten: expected True, False, or two slices, of rows and of columns; got {flatten!r}")


def _is_slice(part: object) -> bool:
    if not isinstance(part, slice) or part.step == 0:
        return False
    return all(bound is None or isinstance(bound, int | np.integer) for bound in (part.start, part.stop, part.step))


def _flatten(data: np.ndarray, times: Sequence[float], usable: np.ndarray, region: tuple[slice, slice]) -> None:
    """Bring the median rate since the zeroth read of every read to that of the last one, in place."""
    inside = np.zeros_like(usable)
    inside[region] = True
    usable &= inside
    if not usable.any():
        raise ValueError("flatten: expected a region with pixels that are usable in all reads; got none")
    level = [
        float(np.median(plane[usable])) / time if time > 0 else 0.0 for plane, time in zip(data, times, strict=True)
    ]
    for number, time in enumerate(times):
        if time > 0:
            data[number] += np.float32((level[-1] - level[number]) * time)
