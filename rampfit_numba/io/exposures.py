"""Ramp files to exposures."""

from __future__ import annotations

import io
import logging
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.checks import check_path
from rampfit_numba.engine.memory import size_text
from rampfit_numba.exposure import Exposure
from rampfit_numba.exposure_header import CarriedTable, ExposureHeader
from rampfit_numba.io import hdu_data, hdus, tiles
from rampfit_numba.io.asdf_trees import asdf_alone, check_asdf
from rampfit_numba.messages import RampFileError, how_to_install

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from astropy.io import fits

    from rampfit_numba.io.scratch import Scratch

log = logging.getLogger(__name__)

_KEPT = frozenset({"SCI", "GROUPDQ", "PIXELDQ", "ZEROFRAME", "AVDRKCUR", "INT_TIMES", "ASDF"})

# Tables about the groups, which are gone after the fit.
_OF_THE_RAMPS = frozenset({"GROUP"})
# Which keyword or extension an argument of Exposure comes from: its complaints are passed on under these names.
ORIGINS = {
    "data": "extension SCI",
    "groupdq": "extension GROUPDQ",
    "pixeldq": "extension PIXELDQ",
    "zeroframe": "extension ZEROFRAME",
    "average_dark_current": "extension AVDRKCUR",
    "group_time": "keyword TGROUP",
    "frame_time": "keyword TFRAME",
    "nframes": "keyword NFRAMES",
    "groupgap": "keyword GROUPGAP",
    "drop_frames1": "keyword DRPFRMS1",
    "instrument": "keyword INSTRUME",
    "data_unit": "BUNIT of extension SCI",
    "dark_current_unit": "BUNIT of extension AVDRKCUR",
    "read_times": "meta.exposure.read_times in extension ASDF",
}

_RATE_MODELS = frozenset({"ImageModel", "CubeModel", "IFUImageModel", "RampFitOutputModel"})
#: Far more frames than any detector averages; the likelihood fits list their times.
_MOST_FRAMES = 65_536
_NDIM = 4

# Data models write an empty list where there are no explicit read times: that is as good as none.
_READ_TIMES = re.compile(rb"\bread_times['\"]?\s*:\s*(\[\s*\]|null\b|~)?")


def read_exposure(path: str | os.PathLike[str], *, dark_current_unit: str | None = None) -> Exposure:
    """Return the exposure in a jump-step (or ramp) file; its ramps stay in the file and are mapped.

    Parameters
    ----------
    path : path-like
        FITS file, may be compressed by gzip, or tile by tile (``.fits.fz``). SCI (nints, ngroups, nrows, ncols) in DN,
        GROUPDQ, and the primary header's TGROUP, TFRAME (both in s) and NFRAMES are required (these three not where the
        ASDF extension has explicit read times); PIXELDQ, ZEROFRAME, AVDRKCUR, INT_TIMES, GROUPGAP, DRPFRMS1 and
        INSTRUME are used where present. NINTS and NGROUPS are not: a segment of a time series holds fewer integrations
        than its exposure. BUNIT of SCI may be DN (also called ADU or counts) or electron.
    dark_current_unit : str, optional
        Unit of AVDRKCUR, see :class:`rampfit_numba.Exposure`. None: its BUNIT, if it has one.

    Returns
    -------
    Exposure
        `data` is a read-only big-endian ``np.memmap`` where the file is neither compressed nor scaled; it holds the
        file's map, and the file itself is closed.

    Raises
    ------
    RampFileError
        The file cannot be used; the message says which part of it, why, and what to do.

    Examples
    --------
    >>> exposure = read_exposure("demo_jump.fits")
    >>> exposure.shape
    (2, 8, 16, 16)
    """
    return exposure_in(check_path("path", path), dark_current_unit)


def exposure_in(path: Path, dark_current_unit: str | None, scratch: Scratch | None = None) -> Exposure:
    """Return what :func:`read_exposure` does; arrays that are compressed or scaled stand where `scratch` decides."""
    found = tiles.scan(path, _KEPT, scratch)
    if unpacked := sum(hdu.nbytes for hdu in found if hdu.content is not None):
        log.info("%s: is compressed; %s of it are unpacked", path, size_text(unpacked))
    return assemble(_PartsOfFile(path, path.name, found, scratch), dark_current_unit)


@dataclass(frozen=True, eq=False)
class Parts(ABC):
    """What an exposure is made of: HDUs of a file or of a list in memory, and how their data are had.

    Attributes
    ----------
    path : Path
        For messages.
    filename : str
        For the exposure's header.
    found : sequence of Hdu
    """

    path: Path
    filename: str
    found: Sequence[hdus.Hdu]

    @abstractmethod
    def image(self, hdu: hdus.Hdu, *, flags: bool = False, large: bool = False) -> np.ndarray:
        """Return the physical values of an image, which may be `large`; those of `flags` are integers."""

    @abstractmethod
    def table(self, hdu: hdus.Hdu) -> fits.FITS_rec:
        """Return the rows of a table."""

    @abstractmethod
    def content(self, hdu: hdus.Hdu) -> bytes | bytearray:
        """Return the data of a table as they are stored."""


@dataclass(frozen=True, eq=False)
class _PartsOfFile(Parts):
    """Those of a file: where a large array that is compressed or scaled stands, `scratch` decides."""

    scratch: Scratch | None

    def image(self, hdu: hdus.Hdu, *, flags: bool = False, large: bool = False) -> np.ndarray:
        return hdu_data.physical_image(self.path, hdu, flags=flags, scratch=self.scratch if large else None)

    def table(self, hdu: hdus.Hdu) -> fits.FITS_rec:
        return hdu_data.table(self.path, hdu)

    def content(self, hdu: hdus.Hdu) -> bytes | bytearray:
        return hdu_data.data_bytes(self.path, hdu)


def assemble(parts: Parts, dark_current_unit: str | None = None) -> Exposure:
    """Return the exposure that HDUs hold, by the rules that :func:`read_exposure` describes; raises as it does."""
    path, found = parts.path, parts.found
    primary = found[0].header
    _refuse_superstripes(path, primary)
    sci, groupdq = _required(path, found, "SCI"), _required(path, found, "GROUPDQ")
    hdu_data.check_image(path, sci)
    _check_shapes(path, found, sci.shape)

    keywords, read_times = Keywords(path, primary), _read_times(parts)
    implied = read_times is not None  # and needs no keyword
    try:
        return Exposure(
            parts.image(sci, large=True),
            parts.image(groupdq, flags=True, large=True),
            keywords.number("TGROUP", "the time from group to group in s", optional=implied),
            pixeldq=_optional(parts, "PIXELDQ", flags=True),
            frame_time=keywords.number("TFRAME", "the time from frame to frame in s", optional=implied),
            nframes=keywords.frames("NFRAMES", optional=implied),
            groupgap=keywords.integer("GROUPGAP", 0),
            drop_frames1=keywords.integer("DRPFRMS1", 0),
            read_times=read_times,
            average_dark_current=_optional(parts, "AVDRKCUR"),
            zeroframe=_optional(parts, "ZEROFRAME", large=True),
            instrument=keywords.text("INSTRUME"),
            data_unit=hdus.text(sci.header, "BUNIT") or hdus.text(primary, "BUNIT") or None,
            dark_current_unit=_dark_current_unit(found, dark_current_unit),
            header=ExposureHeader(
                primary, sci.header, _int_times(parts), parts.filename, _tables(parts), _left_out(found)
            ),
        )
    except RampFileError:
        raise
    except (TypeError, ValueError) as error:
        argument, _, complaint = str(error).partition(": ")
        if argument == "dark_current_unit" and dark_current_unit is not None:
            raise
        raise RampFileError(f"{path}: {ORIGINS.get(argument, argument)}: {complaint}") from error


def check_exposure(path: Path) -> None:
    """Refuse a FITS file that holds no exposure of JWST's, from its headers alone; raises as :func:`read_exposure`."""
    found = tiles.scan(path, ())
    for name in ("SCI", "GROUPDQ"):
        _required(path, found, name)


def _required(path: Path, found: Sequence[hdus.Hdu], name: str) -> hdus.Hdu:
    model = hdus.text(found[0].header, "DATAMODL")
    hdu = hdus.find(found, name)
    if model in _RATE_MODELS or (hdus.find(found, "VAR_RNOISE") is not None and hdus.find(found, "GROUPDQ") is None):
        kind = f"a product of ramp fitting ({model})" if model else "a product of ramp fitting"
        raise RampFileError(f"{path}: is {kind}, its ramps are gone; give the jump-step or ramp file it was made from")
    if hdu is not None:
        return hdu
    if name == "GROUPDQ" and model == "Level1bModel":
        advice = "it is an uncalibrated file: run the pipeline up to and with the jump step first"
    elif kind := hdus.text(found[0].header, "REFTYPE"):
        raise RampFileError(
            f"{path}: is a reference file ({kind.lower()}), no exposure; leave it out of the files to fit, as "
            "*_jump.fits does instead of *.fits"
        )
    else:
        names = ", ".join(hdu.name or "(no name)" for hdu in found)
        advice = f"it has {names}; give a jump-step or ramp file, or fit plain detector reads: rampfit reads, fit_reads"
    raise RampFileError(f"{path}: extension {name} is missing; {advice}")


def _refuse_superstripes(path: Path, primary: fits.Header) -> None:
    """Refuse superstripes that are not put together yet: their integrations show different parts of the detector."""
    several = hdus.keyword(path, primary, "SSTR_NST", "the primary header", 0) > 0
    if several or hdus.text(primary, "DATAMODL") == "SuperstripeRampModel":
        raise RampFileError(
            f"{path}: holds superstripes one by one, as they were read ({hdus.stripe_keywords(primary)}; DATAMODL = "
            f"{hdus.text(primary, 'DATAMODL') or 'none'}): its integrations show different parts of the detector; the "
            "pipeline's refpix step puts them together: run Detector1 up to and with the jump step first"
        )


def _check_shapes(path: Path, found: Sequence[hdus.Hdu], shape: tuple[int, ...]) -> None:
    if len(shape) != _NDIM:
        raise RampFileError(
            f"{path}: extension SCI must have 4 axes (columns, rows, groups, integrations); it has {len(shape)}; "
            "give a jump-step or ramp file"
        )
    nints, _, nrows, ncols = shape
    expected = {
        "GROUPDQ": shape,
        "PIXELDQ": (nrows, ncols),
        "ZEROFRAME": (nints, nrows, ncols),
        "AVDRKCUR": (nrows, ncols),
    }
    for name, wanted in expected.items():
        hdu = hdus.find(found, name)
        if hdu is not None and hdu.shape and hdu.shape != wanted:
            raise RampFileError(
                f"{path}: extension {name} must have shape {wanted} to go with SCI {shape}; it has {hdu.shape}; "
                "the file contradicts itself, make it anew"
            )


def _optional(parts: Parts, name: str, *, flags: bool = False, large: bool = False) -> np.ndarray | None:
    hdu = hdus.find(parts.found, name)
    # An extension without data is as good as none.
    return parts.image(hdu, flags=flags, large=large) if hdu is not None and hdu.shape else None


def _dark_current_unit(found: Sequence[hdus.Hdu], stated: str | None) -> str | None:
    hdu = hdus.find(found, "AVDRKCUR")
    return stated if stated is not None or hdu is None else hdus.text(hdu.header, "BUNIT") or None


def _tables(parts: Parts) -> tuple[CarriedTable, ...]:
    """Return the tables that go on into the products, beside INT_TIMES."""
    return tuple(CarriedTable(hdu.name, hdu.header, parts.table(hdu)) for hdu in parts.found if _goes_on(hdu))


def _goes_on(hdu: hdus.Hdu) -> bool:
    if hdus.text(hdu.header, "XTENSION") != "BINTABLE" or not hdu.nbytes or hdus.text(hdu.header, "ZIMAGE") == "True":
        return False
    return hdu.name not in _KEPT and hdu.name not in _OF_THE_RAMPS


def _left_out(found: Sequence[hdus.Hdu]) -> tuple[str, ...]:
    return tuple(hdu.name or "(no name)" for hdu in found[1:] if hdu.name not in _KEPT and not _goes_on(hdu))


def _int_times(parts: Parts) -> fits.FITS_rec | None:
    hdu = hdus.find(parts.found, "INT_TIMES")
    return parts.table(hdu) if hdu is not None and hdu.nbytes else None


class Keywords:
    """The primary header's keywords, checked for their types."""

    def __init__(self, path: Path, primary: fits.Header) -> None:
        self._path = path
        self._primary = primary

    def number(self, name: str, meaning: str, *, optional: bool = False) -> float | None:
        """Return a keyword's number, which must be there unless it is `optional`; `meaning` says what it is."""
        value = self._value(name)
        if value is None and optional:
            return None
        if value is None:
            raise RampFileError(f"{self._path}: the primary header has no keyword {name}; add it ({meaning})")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RampFileError(f"{self._path}: keyword {name} must be a number ({meaning}); it is {value!r}")
        return float(value)

    def integer(self, name: str, default: int | None = None) -> int:
        """Return a keyword's integer; it must be there if there is no default."""
        return hdus.keyword(self._path, self._primary, name, "the primary header", default)

    def frames(self, name: str, *, optional: bool) -> int | None:
        """Return a keyword's number of frames in a group, or None where there is none and it is `optional`."""
        if optional and self._value(name) is None:
            return None
        value = self.integer(name)
        if value > _MOST_FRAMES:
            raise RampFileError(f"{self._path}: keyword {name} = {value}: no group is the mean of so many; correct it")
        return value

    def text(self, name: str) -> str:
        """Return a keyword's string, empty where there is none."""
        value = self._value(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise RampFileError(f"{self._path}: keyword {name} must be a string; it is {value!r}")
        return value

    def _value(self, name: str) -> object:
        return hdus.keyword_value(self._path, self._primary, name, "the primary header")


def _read_times(parts: Parts) -> Any:  # noqa: ANN401  (what the file holds; Exposure checks it)
    """Return the explicit read times, which no FITS keyword holds, or None.

    The package asdf is asked only where the extension's text mentions some: most installations need not have it.
    """
    path, hdu = parts.path, hdus.find(parts.found, "ASDF")
    if hdu is None:
        return None
    content = parts.content(hdu)
    if all(match.group(1) for match in _READ_TIMES.finditer(content)):
        return None
    try:
        import asdf
    except ImportError as error:
        raise RampFileError(
            f"{path}: extension ASDF holds explicit read times, and reading them needs the package asdf; "
            f"install it ({how_to_install('asdf')})"
        ) from error
    try:
        check_asdf(io.BytesIO(content))
        with (
            asdf_alone() as asdf,
            asdf.open(io.BytesIO(content), ignore_unrecognized_tag=True, ignore_missing_extensions=True) as file,
        ):
            times = file.tree.get("meta", {}).get("exposure", {}).get("read_times")
            return None if times is None else [_floats(group) for group in _listed(times)] or None
    except Exception as error:  # asdf and yaml have their own classes
        raise RampFileError(
            f"{path}: extension ASDF mentions read times but cannot be understood ({hdus.one_line(error)})"
        ) from error


def _floats(group: object) -> list[float]:
    return np.asarray(_listed(group), float).ravel().tolist()


def _listed(values: Any) -> Any:  # noqa: ANN401  (of a tree)
    """Return what can be a list of numbers; text and mappings are lists of characters and of keys for Python."""
    if isinstance(values, str | bytes | dict | set):
        raise TypeError(f"expected numbers of seconds; got {values!r:.60}")
    return values
