"""Plain FITS files of detector reads to exposures, whoever wrote them: by what they hold, not by an instrument's name.

Three layouts: one file with a cube; one file with an image HDU a read; one file a read.
"""

from __future__ import annotations

import fnmatch
import logging
import os
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from rampfit_numba.checks import is_quantity
from rampfit_numba.exposure import Exposure
from rampfit_numba.exposure_header import ExposureHeader
from rampfit_numba.io import hdu_data, hdus, tiles
from rampfit_numba.io.references import convert_reference
from rampfit_numba.messages import RampFileError
from rampfit_numba.units import ELECTRON, is_known

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

log = logging.getLogger(__name__)

#: Seconds of the units that a header's times may be in.
TIME_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0, "d": 86400.0}
#: Keywords that instruments use for the times of reads, for a hint where none was named.
_USUAL = ("FRMTIME", "FRAMTIME", "TFRAME", "ITIME", "INTTIME", "NDRITIME", "GRPTIME", "ACTEXP", "EXPTIME", "SAMPTIME")
_COUNTS = re.compile(r"|adu|dn|counts?|electrons?|e-?", re.IGNORECASE)
_ELECTRONS = re.compile(r"electrons?|e-?", re.IGNORECASE)
_IMAGE, _STACK, _RAMPS = 2, 3, 4
#: How far the times of two ramps of a stack may differ, as a part of the step between reads.
_SAME_TIMES = 1e-3
_NUMBERS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class _Image:
    """An image HDU, and the file that it is in."""

    path: Path
    hdu: hdus.Hdu
    primary: fits.Header

    @property
    def place(self) -> str:
        """The HDU, for messages."""
        return "the primary HDU" if self.hdu.name == "PRIMARY" else f"extension {self.hdu.name or '(no name)'}"

    def value(self, keyword: str) -> object:
        """Return a keyword of this HDU or, where it has none, of the primary one."""
        value = hdus.keyword_value(self.path, self.hdu.header, keyword, self.place)
        return hdus.keyword_value(self.path, self.primary, keyword, "the primary header") if value is None else value

    def number(self, keyword: str) -> float:
        """Return a keyword's number."""
        value = self.value(keyword)
        if value is None:
            usual = [f"{name} = {self.value(name)}" for name in _USUAL if self.value(name) is not None]
            hint = f"it has {', '.join(usual)}" if usual else "give frame_time or read_times instead"
            raise RampFileError(f"{self.path}: {self.place} has no keyword {keyword} for the time; {hint}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise RampFileError(f"{self.path}: keyword {keyword} must be a number (a time); it is {value!r}")
        return float(value)


def read_reads(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    read_times: Sequence[Any] | None = None,
    frame_time: float | None = None,
    time_keyword: str | None = None,
    time_unit: str = "s",
    extname: str | None = None,
    saturation: Any = None,  # noqa: ANN401  (number, array or path)
    pedestal: Any = None,  # noqa: ANN401
    linearity: Any = None,  # noqa: ANN401
    **options: Any,  # noqa: ANN401  (those of Exposure.from_reads)
) -> Exposure:
    """Return the exposure in plain FITS files of detector reads.

    What the files hold tells their layout: one file with an image of three axes (columns, rows, reads) or four (the
    last one integrations); one file with an image HDU a read, in their order; or one file a read, sorted by their names
    as people count (``_2`` before ``_10``).

    Parameters
    ----------
    paths : path-like or iterable of path-like
        The file or files of one exposure; may be compressed, by gzip or tile by tile.
    read_times : sequence of float, optional
        Time of each read in s, as for :meth:`Exposure.from_reads`.
    frame_time : float, optional
        Time from read to read in s.
    time_keyword : str, optional
        In place of these: keyword with the time. Of a file or an HDU for each read it is the time of that read, counted
        from the reset or anything else that is the same for a ramp; of a cube it is that from frame to frame.
    time_unit : str
        Unit of the keyword: ``"s"``, ``"ms"``, ``"us"``, ``"min"`` or ``"d"``.
    extname : str, optional
        The HDUs to take, by EXTNAME, in any case; may have wildcards: ``"IMAGE_*"``. None: all with images; of several
        cubes that called SCI, else the first.
    saturation, pedestal, linearity : number, array_like or path-like, optional
        As for :meth:`Exposure.from_reads`; of a FITS file the first image is taken.
    **options
        As for :meth:`Exposure.from_reads`: reads_per_ramp, skip, reverse, invert, nframes, groupgap, pixeldq,
        average_dark_current.

    Returns
    -------
    Exposure
        A cube stays in its file where that is neither compressed nor scaled; other reads are copied to memory.

    Raises
    ------
    RampFileError
        A file cannot be used; the message names it, says why, and what to do.
    TypeError, ValueError
        An argument is unusable.

    Examples
    --------
    >>> from rampfit_numba import read_reads
    >>> exposure = read_reads("demo_reads.fits", frame_time=10.65, saturation=45000)
    >>> exposure.shape
    (1, 8, 16, 16)
    """
    files = [Path(paths)] if isinstance(paths, str | os.PathLike) else [Path(path) for path in paths]
    if time_unit not in TIME_UNITS:
        raise ValueError(f"time_unit: expected one of {', '.join(TIME_UNITS)}; got {time_unit!r}")
    given = [
        name
        for name, value in {"read_times": read_times, "frame_time": frame_time, "time_keyword": time_keyword}.items()
        if value is not None
    ]
    if len(given) > 1:
        raise ValueError(
            f"{given[1]}: expected one of read_times, frame_time and time_keyword; got {' and '.join(given)}"
        )
    images = _find_images(files, extname)
    reads = _load(images)
    if not given:
        usual = [f"{name} = {images[0].value(name)}" for name in _USUAL if images[0].value(name) is not None]
        hint = f"; the header has {', '.join(usual)}" if usual else ""
        raise ValueError(
            f"frame_time: expected it, or read_times (--read-times), or time_keyword (--time-keyword); got none{hint}"
        )
    if time_keyword is not None:
        scale = TIME_UNITS[time_unit]
        if len(images) == 1:
            frame_time = images[0].number(time_keyword) * scale
        else:
            times = [image.number(time_keyword) * scale for image in images]
            read_times = _ramp_times(images, times, time_keyword, options)
    first = images[0]
    sci = fits.Header() if first.hdu.name == "PRIMARY" else first.hdu.header
    header = ExposureHeader(first.primary, sci, filename=first.path.name)
    shape = reads.shape[-2:]
    first_read = isinstance(pedestal, str) and pedestal == "first"
    return Exposure.from_reads(
        reads,
        read_times,
        frame_time,
        saturation=read_map(saturation, "saturation", shape),
        pedestal=pedestal if first_read else read_map(pedestal, "pedestal", shape),
        linearity=read_map(linearity, "linearity", shape, naxes=_STACK),
        header=header,
        **options,
    )


def in_electrons(exposure: Exposure) -> bool:
    """Tell whether the header of reads says that they are in electrons."""
    if exposure.header is None:
        return False
    unit = hdus.text(exposure.header.sci, "BUNIT") or hdus.text(exposure.header.primary, "BUNIT")
    return _ELECTRONS.fullmatch(unit) is not None


def read_map(value: Any, name: str, image: tuple[int, ...], *, naxes: int = _IMAGE) -> Any:  # noqa: ANN401
    """Return the first image of a file as an array; what is no path comes back as it is.

    Parameters
    ----------
    value : path-like, number, array_like or None
    name : str
        What it is, for messages.
    image : tuple of int
        (nrows, ncols) of the reads, which the image must have.
    naxes : int
        Axes that the image must have.

    Raises
    ------
    RampFileError
        The file cannot be used.
    """
    if not isinstance(value, str | os.PathLike):
        return value
    found = _first_image(Path(value), name, image, naxes)
    return np.asarray(hdu_data.physical_image(found.path, found.hdu))


def read_reference_map(value: Any, name: str, exposure: Exposure) -> Any:  # noqa: ANN401
    """Return read noise or gain for reads: what :func:`read_map` does, in the unit of the fit.

    Parameters
    ----------
    value : path-like, number or array_like
    name : {"readnoise", "gain"}
    exposure : Exposure
        Of reads; those in electrons have a read noise in electrons, and a gain of 1.

    Returns
    -------
    float, ndarray or Quantity
        Read noise in electrons, where a file says so, is a Quantity.

    Raises
    ------
    RampFileError
        The file cannot be used, or is in another unit.
    """
    if not isinstance(value, str | os.PathLike):
        return value
    found = _first_image(Path(value), name, exposure.shape[2:], _IMAGE)
    unit = str(found.value("BUNIT") or "").strip()
    values = np.asarray(hdu_data.physical_image(found.path, found.hdu))
    meant = ELECTRON if name == "readnoise" and in_electrons(exposure) else ""
    converted = convert_reference(found.path, found.place, unit, values, name, meant)
    if name == "readnoise" and in_electrons(exposure) and is_known(unit) and not is_quantity(converted):
        raise RampFileError(
            f"{found.path}: BUNIT of {found.place}: expected electron, as that of the reads; got {unit!r}"
        )
    return converted


def _first_image(path: Path, name: str, image: tuple[int, ...], naxes: int) -> _Image:
    found = tiles.scan(path, hdus.EVERYTHING)
    hdu = next((hdu for hdu in found if hdu_data.holds_image(hdu)), None)
    if hdu is None:
        raise RampFileError(f"{path}: holds no image; give a FITS file with the {name}")
    if len(hdu.shape) != naxes or hdu.shape[-2:] != image:
        wanted = f"{'ncoefficients x ' if naxes == _STACK else ''}{image[0]} rows x {image[1]} columns"
        raise RampFileError(
            f"{path}: the image with the {name} must have {wanted}, as the reads; it has shape {hdu.shape}"
        )
    return _Image(path, hdu, found[0].header)


def _find_images(files: Sequence[Path], extname: str | None) -> list[_Image]:
    """Return the images of the reads: one cube, or an image a read."""
    if not files:
        raise ValueError("paths: expected one file or more; got none")
    if len(files) == 1:
        return _images_of_one(files[0], extname)
    for one, other in pairwise(sorted(files)):
        if one == other:
            raise ValueError(f"paths: expected each file once; got {one} twice")
    images = []
    for path in sorted(files, key=_natural):
        found = _images_in(path, extname)
        if len(found) > 1:
            held, advice = f"{len(found)} images ({_names(found)})", "name the one that is the read (extname)"
        elif len(found[0].hdu.shape) != _IMAGE and found[0].hdu.shape[0] != 1:
            held, advice = f"an image of shape {found[0].hdu.shape}", "give files that hold a whole ramp one at a time"
        else:
            images.append(found[0])
            continue
        raise RampFileError(f"{path}: of several files each must hold one read; it holds {held}: {advice}")
    for image in images:
        if image.hdu.shape[-2:] != images[0].hdu.shape[-2:]:
            raise RampFileError(
                f"{image.path}: has a read of shape {image.hdu.shape[-2:]}, {images[0].path} one of "
                f"{images[0].hdu.shape[-2:]}; give files of one exposure"
            )
    log.info("%d files, one read each: %s to %s", len(images), images[0].path.name, images[-1].path.name)
    return images


def _images_of_one(path: Path, extname: str | None) -> list[_Image]:
    found = _images_in(path, extname)
    cubes = [image for image in found if len(image.hdu.shape) in (_STACK, _RAMPS)]
    planes = [image for image in found if len(image.hdu.shape) == _IMAGE]
    if cubes and not (planes and found[0] is planes[0]):
        cube = next((image for image in cubes if image.hdu.name == "SCI"), cubes[0])
        others = [image for image in found if image is not cube]
        log.info("%s: reads in %s, shape %s", path, cube.place, cube.hdu.shape)
        if others:
            log.info("%s: not used: %s", path, _names(others))
        return [cube]
    if cubes:
        raise RampFileError(
            f"{path}: holds images of two and of three axes ({_names(found)}); name those that are the reads (extname)"
        )
    if not planes:
        raise RampFileError(f"{path}: holds an image of {len(found[0].hdu.shape)} axes; expected two, three or four")
    if len(planes) == 1:
        raise RampFileError(f"{path}: holds one read alone, and a ramp needs several; give the files of all of them")
    for image in planes:
        if image.hdu.shape != planes[0].hdu.shape:
            raise RampFileError(
                f"{path}: {image.place} has shape {image.hdu.shape}, {planes[0].place} {planes[0].hdu.shape}; name the "
                "HDUs that are the reads (extname)"
            )
    log.info("%s: %d reads, an HDU each, shape %s", path, len(planes), planes[0].hdu.shape)
    return planes


def _images_in(path: Path, extname: str | None) -> list[_Image]:
    found = tiles.scan(path, hdus.EVERYTHING)
    images = [_Image(path, hdu, found[0].header) for hdu in found if hdu_data.holds_image(hdu)]
    wanted = images if extname is None else [im for im in images if fnmatch.fnmatch(im.hdu.name, extname.upper())]
    if wanted:
        return wanted
    if images:
        raise RampFileError(f"{path}: no image HDU is called {extname}; there are {_names(images)}")
    raise RampFileError(f"{path}: holds no image")


def _names(images: Sequence[_Image]) -> str:
    names = [image.hdu.name or "(no name)" for image in images]
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")  # noqa: PLR2004


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Return what sorts names as people count."""
    parts = _NUMBERS.split(str(path))
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]


def _load(images: Sequence[_Image]) -> np.ndarray:
    """Return the reads as one array: a cube where it is, images copied to memory one by one."""
    for image in images:
        unit = str(image.value("BUNIT") or "").strip()
        if _COUNTS.fullmatch(unit) is None:
            advice = "rates cannot be fitted" if "/" in unit or "s-1" in unit.lower() else "convert it"
            raise RampFileError(f"{image.path}: BUNIT is {unit!r}, expected counts (ADU, DN) or electrons; {advice}")
    if len(images) == 1:
        return hdu_data.physical_image(images[0].path, images[0].hdu)
    first = hdu_data.physical_image(images[0].path, images[0].hdu)
    dtype = np.result_type(*(hdu_data.physical_dtype(image.path, image.hdu) for image in images)).newbyteorder("=")
    stack = np.empty((len(images), *first.shape[-2:]), dtype)
    for read, image in zip(stack, images, strict=True):
        read[...] = hdu_data.physical_image(image.path, image.hdu).reshape(read.shape)
    return stack


def _ramp_times(images: Sequence[_Image], times: Sequence[float], keyword: str, options: dict[str, Any]) -> list[float]:
    """Return the times of the reads of a ramp, in their order, from those of all reads of the stack."""
    order = list(range(len(times)))
    if options.get("reverse"):
        order.reverse()
    given = options.get("reads_per_ramp")
    count = len(times) if given is None else given
    if not isinstance(count, int | np.integer) or count < 1 or len(times) % count:
        return [times[k] for k in order]  # Exposure.from_reads says what is wrong
    ramps = [order[start : start + int(count)] for start in range(0, len(order), int(count))]
    first = [times[k] for k in ramps[0]]
    for ramp in ramps:
        for before, after in pairwise(ramp):
            if times[after] > times[before]:
                continue
            falling = all(times[b] < times[a] for a, b in pairwise(ramp))
            hint = "the reads are stored in the other order (reverse)" if falling else "is that the right keyword?"
            if not falling and count == len(times) and times[after] < times[before]:
                hint = "of several ramps in one stack, say how many reads each has (reads_per_ramp)"
            raise RampFileError(
                f"{images[after].path}: {keyword} is {times[after]:g} s in {_which(images, after)}, not after the "
                f"{times[before]:g} s of {_which(images, before)}, the read before it; {hint}"
            )
        step = (first[-1] - first[0]) / max(len(first) - 1, 1)
        relative = [times[k] - times[ramp[0]] for k in ramp]
        for number, (mine, wanted) in enumerate(zip(relative, (t - first[0] for t in first), strict=True)):
            if abs(mine - wanted) > _SAME_TIMES * step:
                raise RampFileError(
                    f"{images[ramp[number]].path}: {keyword} of {_which(images, ramp[number])} is {mine:g} s after the "
                    f"first read of its ramp, in the first ramp it is {wanted:g} s; ramps of one exposure must be read "
                    "at the same times"
                )
    return first


def _which(images: Sequence[_Image], number: int) -> str:
    several = images[0].path != images[-1].path
    return images[number].path.name if several else f"image {number + 1} ({images[number].place})"
