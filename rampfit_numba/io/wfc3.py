"""Intermediate files of HST's WFC3/IR (_ima.fits) to exposures, and fits to calibrated images (_flt.fits).

An IMA holds the non-destructive reads after calwf3's calibration, newest first, each in five extensions (SCI, ERR, DQ,
SAMP, TIME) whose planes may be constant. What its headers mean is documented in the WFC3 Data Handbook (STScI, version
5, sections 2.2.3 and 3.3) and in calwf3's source; rules that calwf3 has by itself are named where they are used.
"""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba import dq
from rampfit_numba.exposure import Exposure
from rampfit_numba.exposure_header import ExposureHeader
from rampfit_numba.io.hdus import one_line, scan
from rampfit_numba.messages import RampFileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from astropy.io import fits

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
_PLANES = ("SCI", "ERR", "DQ", "SAMP", "TIME")
_FEWEST_READS = 2


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
    instrument, detector = (str(primary.get(key, "")).strip().upper() for key in ("INSTRUME", "DETECTOR"))
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
    if flatten is not False:
        _flatten(data, ima.times, (groupdq == 0).all(axis=0) & (pixeldq == 0), flatten)
    dark = None
    if _is_complete(ima.primary, "DARKCORR"):
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
    ValueError
        The shape fits neither the detector nor the detector without its border.
    """
    if flat is None:
        return None
    if isinstance(flat, str | Path):
        with _opened(Path(flat)) as hdulist:
            flat = next((hdu.data for hdu in hdulist if hdu.data is not None and hdu.data.ndim == len(shape)), None)
        if flat is None:
            raise RampFileError(f"flat: expected a file with an image of shape {shape}")
    values = np.asarray(flat, np.float32)
    inner = tuple(size - 2 * BORDER for size in shape)
    if values.shape == inner:
        return np.pad(values, BORDER, constant_values=1.0)
    if values.shape != shape:
        raise ValueError(f"flat: expected shape {shape}, or {inner} without the border; got {values.shape}")
    return values


def _read(path: Path) -> _Ima:
    with _opened(path) as hdulist:
        primary = hdulist[0].header.copy()
        _refuse_other_files(path, primary, hdulist)
        _is_complete(primary, "DARKCORR")  # looked up again later: a card that makes no sense is refused here
        found = {(hdu.name, hdu.ver): hdu for hdu in hdulist[1:]}
        versions = sorted((ver for name, ver in found if name == "SCI"), reverse=True)
        if versions != list(range(len(versions), 0, -1)) or len(versions) != primary["NSAMP"]:
            raise RampFileError(
                f"{path}: expected one SCI extension for each of the {primary['NSAMP']} reads (keyword NSAMP), EXTVER "
                f"1 the last of them; got EXTVER {', '.join(map(str, sorted(versions)))}"
            )
        science = [found["SCI", version] for version in versions]
        times = tuple(_number(path, hdu, "SAMPTIME") for hdu in science)
        if any(after <= before for before, after in pairwise(times)):
            raise RampFileError(
                f"{path}: expected SAMPTIME to rise from the zeroth read (EXTVER {versions[0]}) to the last (EXTVER 1)"
                f"; got {', '.join(f'{time:g}' for time in times)}"
            )
        units = {str(hdu.header.get("BUNIT", "")).strip().upper() for hdu in science}
        if len(units) != 1 or not units <= set(_UNITS):
            raise RampFileError(
                f"{path}: BUNIT of SCI: expected one of {', '.join(_UNITS)} in all reads; got "
                f"{', '.join(sorted(units))}"
            )
        shape = next((hdu.data.shape for hdu in science if hdu.data is not None), None)
        shape = shape or (int(science[0].header.get("NPIX2", 0)), int(science[0].header.get("NPIX1", 0)))
        if min(shape) <= 2 * BORDER:
            raise RampFileError(f"{path}: expected images with {BORDER} reference pixels on each side; got {shape}")
        data = np.stack([_plane(path, hdu, shape).astype(np.float32) for hdu in science])
        bits = np.zeros(data.shape, np.uint16)
        for number, version in enumerate(versions):
            if ("DQ", version) in found:
                bits[number] = _plane(path, found["DQ", version], shape).astype(np.int64).astype(np.uint16)
        (unit,) = units
        return _Ima(path, primary, science[-1].header.copy(), data, bits, times, unit, mean_gain(path, primary))


@contextmanager
def _opened(path: Path) -> Iterator[fits.HDUList]:
    """Open a FITS file; whatever astropy complains about, also as a warning, is a damaged file."""
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyWarning

    if not os.path.isfile(path):  # noqa: PTH113  (of a name that no file can have, too)
        what = "is a directory" if os.path.isdir(path) else "no such file"  # noqa: PTH112  (the same)
        raise RampFileError(f"{path}: {what}")
    # Headers that claim more than the file holds are refused here: astropy asks for two billion axes one by one.
    scan(path, ())
    with warnings.catch_warnings():
        warnings.simplefilter("error", AstropyWarning)
        try:
            # Opened here: astropy leaves a file open that it complains about.
            with path.open("rb") as file, fits.open(file, memmap=False, lazy_load_hdus=False) as hdulist:
                yield hdulist
        except RampFileError:
            raise
        except Exception as error:  # astropy raises classes of all kinds where headers make no sense
            raise RampFileError(
                f"{path}: cannot be read as FITS, or is damaged ({type(error).__name__}: {one_line(error)})"
            ) from error


def _refuse_other_files(path: Path, primary: fits.Header, hdulist: fits.HDUList) -> None:
    if not is_ima(primary):
        got = "/".join(str(primary.get(key, "?")) for key in ("INSTRUME", "DETECTOR"))
        raise RampFileError(f"{path}: expected a WFC3/IR file with NSAMP reads; got one of {got}")
    if sum(hdu.name == "SCI" for hdu in hdulist) < _FEWEST_READS:
        raise RampFileError(f"{path}: holds one image, its reads are gone; give the _ima.fits file")
    for switch, what in (("ZOFFCORR", "the zeroth read is subtracted"), ("NLINCORR", "linear")):
        if not _is_complete(primary, switch):
            raise RampFileError(
                f"{path}: {switch}: expected COMPLETE ({what}); got {primary.get(switch, 'no such keyword')}; run "
                f"calwf3 with {switch} = PERFORM, and give its _ima.fits"
            )


def _is_complete(primary: fits.Header, switch: str) -> bool:
    return str(primary.get(switch, "")).strip().upper() == "COMPLETE"


def _number(path: Path, hdu: fits.ImageHDU, key: str) -> float:
    value = hdu.header.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise RampFileError(f"{path}: keyword {key} of SCI, EXTVER {hdu.ver}: expected a number; got {value!r}")
    return float(value)


def mean_gain(path: Path, primary: fits.Header) -> float:
    """Return the gain in e-/DN: the mean of the four amplifiers, which calwf3 multiplies by.

    Raises
    ------
    RampFileError
        A keyword of ATODGNA to ATODGND is missing, or no positive number.
    """
    gains = [primary.get(f"ATODGN{amplifier}") for amplifier in "ABCD"]
    if not all(isinstance(gain, int | float) and np.isfinite(gain) and gain > 0 for gain in gains):
        raise RampFileError(f"{path}: keywords ATODGNA to ATODGND: expected four gains in e-/DN; got {gains}")
    return float(np.mean(gains))


def _plane(path: Path, hdu: fits.ImageHDU, shape: tuple[int, int]) -> np.ndarray:
    """Return a plane, which is stored as one value (PIXVALUE) where it is constant."""
    if hdu.data is not None:
        if hdu.data.shape != shape:
            raise RampFileError(f"{path}: {hdu.name}, EXTVER {hdu.ver}: expected shape {shape}; got {hdu.data.shape}")
        return np.asarray(hdu.data)
    size = (hdu.header.get("NPIX2", shape[0]), hdu.header.get("NPIX1", shape[1]))
    if size != shape or "PIXVALUE" not in hdu.header:
        raise RampFileError(
            f"{path}: {hdu.name}, EXTVER {hdu.ver}: expected an image of shape {shape}, or PIXVALUE with NPIX1 and "
            f"NPIX2; got PIXVALUE {hdu.header.get('PIXVALUE')} for shape {size}"
        )
    return np.full(shape, hdu.header["PIXVALUE"])


def _kept_reads(excluded: Sequence[int], nreads: int) -> list[int]:
    out = set()
    for read in excluded:
        if isinstance(read, bool) or not isinstance(read, int | np.integer):
            raise TypeError(f"exclude_reads: expected numbers of reads; got {read!r}")
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
    return np.asarray(ima.data * factor[:, None, None].astype(np.float32), np.float32)


def _group_flags(bits: np.ndarray, good_bits: int) -> np.ndarray:
    flags = np.where(bits & (_UNUSABLE & ~good_bits), dq.DO_NOT_USE, 0).astype(np.uint8)
    flags[(bits & SATURATED) > 0] |= dq.SATURATED
    return flags


def _border_flags(shape: tuple[int, int]) -> np.ndarray:
    pixeldq = np.full(shape, dq.DO_NOT_USE | dq.REFERENCE_PIXEL, np.uint32)
    pixeldq[BORDER:-BORDER, BORDER:-BORDER] = 0
    return pixeldq


def _flatten(data: np.ndarray, times: Sequence[float], usable: np.ndarray, region: Any) -> None:  # noqa: ANN401  (True or two slices)
    """Bring the median rate since the zeroth read of every read to that of the last one, in place."""
    if region is not True:
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
