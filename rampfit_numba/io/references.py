"""Gain and read noise: from a file, a number or an array, cut to the exposure's subarray."""

from __future__ import annotations

import logging
import os
import weakref
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rampfit_numba.checks import as_measured, scaled
from rampfit_numba.io import hdus
from rampfit_numba.io.reference_files import ReferenceFile
from rampfit_numba.io.reference_names import check_file, check_number, number_or_path
from rampfit_numba.io.roman import is_asdf, read_reference_image
from rampfit_numba.messages import RampFileError
from rampfit_numba.units import ELECTRON, gain_unit, is_known, signal_unit

if TYPE_CHECKING:
    from astropy.io import fits

    from rampfit_numba.exposure import Exposure
    from rampfit_numba.io.reference_files import ReferenceFiles

log = logging.getLogger(__name__)

_UNITS = {"readnoise": signal_unit, "gain": gain_unit}
_MEANT = {"readnoise": "DN", "gain": "e-/DN"}
# NIRSpec's IRS2 readout interleaves reference pixels: its arrays have 3200 rows where SUBSIZE2 says 2048.
_IRS2_ROWS = (2048, 3200)
_FULL_FRAME = (2048, 2048)
_MIRI_FULL_FRAME = (1024, 1032)
# Exposures whose wrong sizes have been warned about: both references look at the same keywords.
_warned: weakref.WeakSet[Exposure] = weakref.WeakSet()


@dataclass(frozen=True, eq=False)
class ReferenceImage:
    """A reference, ready for the fit.

    Attributes
    ----------
    data : ndarray of float32, shape (nrows, ncols), or float
        Read noise in DN (of two frames or of one, as the file has it; a Quantity where it is in electrons) or gain in
        e-/DN.
    source : str
        Base name of the file; what it was where there was none.
    gain_factor : float or None
        GAINFACT of the file, for a later calibration step to apply; None where it has none.
    """

    data: np.ndarray | float
    source: str
    gain_factor: float | None = None


class _Subarray(NamedTuple):
    """Where an array stands on the detector: SUBSTRT2, SUBSTRT1 (1-based), SUBSIZE2, SUBSIZE1."""

    first_row: int
    first_col: int
    nrows: int
    ncols: int


_SUBARRAY_KEYWORDS = ("SUBSTRT2", "SUBSTRT1", "SUBSIZE2", "SUBSIZE1")


def read_reference(reference: Any, exposure: Exposure, name: str) -> ReferenceImage:  # noqa: ANN401
    """Return read noise or gain for an exposure.

    Parameters
    ----------
    reference : path-like, number, or array_like of shape (nrows, ncols)
        A FITS file (extension SCI), cut to the exposure's subarray where the two differ; a number for all pixels, also
        as a string where no file has this name; or an array (or Quantity), which must fit as it is. Read noise may be
        in electrons, as BUNIT of the file's SCI or a Quantity says.
    exposure : Exposure
        Its shape, and SUBSTRT1, SUBSTRT2, SUBSIZE1, SUBSIZE2 of its primary header say what to cut.
    name : {"readnoise", "gain"}
        What it is: read noise in DN, which is passed on as it is (``readnoise_kind`` of the fit says whether it is that
        of the difference of two frames), or gain in e-/DN.

    Returns
    -------
    ReferenceImage
        Its `data` are what the fit takes, its `source` says where they come from.

    Raises
    ------
    RampFileError
        The file cannot be used or does not cover the exposure.
    TypeError, ValueError
        A number that is not positive, an array of the wrong shape or type, or an unknown `name`.

    Examples
    --------
    >>> import numpy as np
    >>> from rampfit_numba import Exposure
    >>> read_reference(5.5, Exposure(np.zeros((1, 5, 2, 2)), None, 2.775), "gain").source
    'value 5.5'
    """
    return reference_for(reference, exposure, name, None)


def reference_for(reference: Any, exposure: Exposure, name: str, files: ReferenceFiles | None) -> ReferenceImage:  # noqa: ANN401
    """Return what :func:`read_reference` does; what stands in a file is read once for all that share `files`."""
    known = resolve_reference(reference, name)
    if isinstance(known, Path):
        return _from_file(known, exposure, name, files)
    if isinstance(known, float):
        return ReferenceImage(known, f"value {known:g}")
    if not known.ndim:
        return ReferenceImage(known, f"value {known:g}")
    shape = (exposure.nrows, exposure.ncols)
    if known.shape != shape:
        raise ValueError(f"{name}: expected a number or an array of shape {shape}; got shape {known.shape}")
    return ReferenceImage(_in_unit(np.ascontiguousarray(known, np.float32), getattr(known, "unit", None)), "array")


def resolve_reference(reference: Any, name: str) -> Path | float | np.ndarray:  # noqa: ANN401
    """Return what a reference is, checked as far as that is possible without an exposure.

    Parameters
    ----------
    reference, name
        As for :func:`read_reference`.

    Returns
    -------
    Path, float or ndarray
        A file that exists, a number, or an array of at least one axis; read noise in electrons is a Quantity. Each
        comes back as it is when resolved again.

    Raises
    ------
    RampFileError
        There is no such file.
    TypeError, ValueError
        A number that is not positive, an array of the wrong type, or an unknown `name`.
    """
    if name not in _UNITS:
        raise ValueError(f"name: expected 'readnoise' or 'gain'; got {name!r}")
    if isinstance(reference, str):
        reference = number_or_path(reference)
    if isinstance(reference, os.PathLike):
        path = Path(reference)
        check_file(path)
        return path
    if not isinstance(reference, Real) or isinstance(reference, bool | np.bool_):
        reference, unit = as_measured(name, reference, _UNITS[name])
    else:
        unit = None
    if isinstance(reference, np.ndarray) and reference.ndim:
        array: np.ndarray = _in_unit(np.asarray(reference), unit)
        return array
    try:
        check_number(value := float(reference))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if unit != ELECTRON:
        return value
    number: np.ndarray = _in_unit(np.float64(value), unit)
    return number


def _in_unit(values: Any, unit: object) -> Any:  # noqa: ANN401
    """Return a Quantity where the unit is electron: the gain that converts it is another reference."""
    if str(unit) != ELECTRON:
        return values
    from astropy import units

    return np.asarray(values) << units.electron


def _from_file(path: Path, exposure: Exposure, name: str, files: ReferenceFiles | None) -> ReferenceImage:
    if is_asdf(path):
        return _from_asdf(path, exposure, name)
    file = ReferenceFile(path, name) if files is None else files.file(path, name)
    primary, sci = file.primary, file.science
    _compare_detectors(path, primary, exposure)
    values = file.part(*_cut(path, primary, sci.shape, exposure, name))
    if files is not None:
        values.flags.writeable = False
    if values.shape != (exposure.nrows, exposure.ncols):
        raise RampFileError(
            f"{_science_name(exposure)}: the part of {path} that its SUBSTRT and SUBSIZE keywords name has shape "
            f"{values.shape}, not {(exposure.nrows, exposure.ncols)}; correct them, or give a {name} reference file of "
            "the same detector and readout mode"
        )
    unit = hdus.text(sci.header, "BUNIT") or hdus.text(primary, "BUNIT")
    values = convert_reference(path, "extension SCI", unit, values, name)
    return ReferenceImage(values, path.name, _gain_factor(path, primary) if name == "gain" else None)


def _from_asdf(path: Path, exposure: Exposure, name: str) -> ReferenceImage:
    """Return a reference of Roman's, which is of the whole frame, as its exposures are."""
    values = read_reference_image(path, name)
    if values.shape != (exposure.nrows, exposure.ncols):
        raise RampFileError(
            f"{path}: has {values.shape[0]} rows x {values.shape[1]} columns; the exposure has {exposure.nrows} x "
            f"{exposure.ncols}; give a {name} reference file of the whole frame"
        )
    return ReferenceImage(values, path.name)


def convert_reference(  # noqa: PLR0917  (a reference, and what its file says)
    path: Path, place: str, unit: str, values: np.ndarray, name: str, meant: str = ""
) -> np.ndarray:
    """Return the values of a reference in the unit of the fit, as far as BUNIT tells theirs.

    Parameters
    ----------
    path : Path
    place : str
        Where in the file the values are, for messages.
    unit : str
        BUNIT, empty where there is none.
    values : ndarray
    name : {"readnoise", "gain"}
        What they are.
    meant : str
        Their unit where BUNIT tells none; empty: that of the pipeline's references.

    Returns
    -------
    ndarray
        Read noise in electrons is a Quantity.

    Raises
    ------
    RampFileError
        The unit is one of something else.
    """
    if not unit:
        return values
    try:
        found, factor = _UNITS[name](unit)
    except ValueError as error:
        if is_known(unit):
            raise RampFileError(f"{path}: BUNIT of {place}: {error}; give a {name} reference file") from None
        log.warning("%s: BUNIT = %r is no unit that is known; taken as %s", path, unit, meant or _MEANT[name])
        return values
    converted: np.ndarray = _in_unit(scaled(values, factor), found)
    return converted


def _compare_detectors(path: Path, primary: fits.Header, exposure: Exposure) -> None:
    """Warn where the detectors differ."""
    if exposure.header is None:
        return
    for keyword in ("INSTRUME", "DETECTOR"):
        ours, theirs = (hdus.text(header, keyword).upper() for header in (exposure.header.primary, primary))
        # "N/A" and "ANY" mark references for more than one detector.
        if ours and theirs and ours != theirs and theirs not in {"N/A", "ANY"}:
            log.warning("%s: %s is %s, the exposure's is %s", path, keyword, theirs, ours)


def _cut(
    path: Path, primary: fits.Header, shape: tuple[int, ...], exposure: Exposure, name: str
) -> tuple[slice, slice]:
    """Return the rows and columns of a reference array that the exposure covers.

    The rule is the pipeline's: the whole array where both subarrays are the same, with sizes that contradict the arrays
    put right first; else a slice as the science keywords have it, whatever the size of the science array.
    """
    reference = _reference_subarray(path, primary, shape, exposure)
    science_name = _science_name(exposure)
    stripes = "" if exposure.header is None else hdus.stripe_keywords(exposure.header.primary)
    if stripes:
        if shape == exposure.shape[2:]:
            return slice(None), slice(None)
        raise RampFileError(
            f"{science_name}: was read out in stripes ({stripes}), so its {exposure.nrows} rows x {exposure.ncols} "
            f"columns are no piece of {path}, {shape[0]} x {shape[1]}; give {name} as a number, or as an array or file "
            "of the exposure's shape"
        )
    science: _Subarray | list[str] = list(_SUBARRAY_KEYWORDS)
    if exposure.header is not None:
        science = _read_subarray(Path(science_name), exposure.header.primary)
    if isinstance(science, list):
        raise RampFileError(
            f"{science_name}: {', '.join(science)} missing in the primary header, so the part of {path} that it covers "
            f"is unknown; add the keyword(s), or give {name} as a number or an array"
        )
    _check_corner(science_name, science)
    true_science = _true_size(science_name, science, exposure.shape[2:], warn=exposure not in _warned)
    _warned.add(exposure)
    if reference == true_science:
        return slice(None), slice(None)
    log.info("Extracting %s subarray to match science data", name)
    row, col = science.first_row - reference.first_row, science.first_col - reference.first_col
    if row < 0 or col < 0 or row + science.nrows > shape[0] or col + science.ncols > shape[1]:
        raise RampFileError(
            f"{science_name}: begins at (SUBSTRT1, SUBSTRT2) = ({science.first_col}, {science.first_row}) and has "
            f"{science.ncols} columns x {science.nrows} rows, which {path} does not cover: it begins at "
            f"({reference.first_col}, {reference.first_row}) and has {shape[1]} columns x {shape[0]} rows; "
            f"give a {name} reference file of the full frame or of this subarray"
        )
    return slice(row, row + science.nrows), slice(col, col + science.ncols)


def _science_name(exposure: Exposure) -> str:
    return (exposure.header.filename if exposure.header is not None else "") or "the exposure"


def _reference_subarray(path: Path, primary: fits.Header, shape: tuple[int, ...], exposure: Exposure) -> _Subarray:
    found = _read_subarray(path, primary)
    if isinstance(found, list):
        instrument = (hdus.text(primary, "INSTRUME") or exposure.instrument).upper()
        full_frame = _MIRI_FULL_FRAME if instrument == "MIRI" else _FULL_FRAME
        if shape != full_frame:
            raise RampFileError(
                f"{path}: {', '.join(found)} missing in the primary header, and {shape[0]} rows x {shape[1]} columns "
                f"are no full frame ({full_frame[0]} x {full_frame[1]}): its place on the detector is unknown; add them"
            )
        log.warning("%s: SUBSTRT or SUBSIZE keywords missing; taken as the full frame", path)
        found = _Subarray(1, 1, *full_frame)
    _check_corner(str(path), found)
    return _true_size(str(path), found, shape)


def _read_subarray(path: Path, primary: fits.Header) -> _Subarray | list[str]:
    """Return the subarray that a header names, or the keywords that it lacks."""
    where = "the primary header"
    missing = [key for key in _SUBARRAY_KEYWORDS if hdus.keyword_value(path, primary, key, where) is None]
    return missing or _Subarray(*(hdus.keyword(path, primary, key, where) for key in _SUBARRAY_KEYWORDS))


def _check_corner(name: str, subarray: _Subarray) -> None:
    if subarray.first_row < 1 or subarray.first_col < 1:
        raise RampFileError(
            f"{name}: SUBSTRT1 = {subarray.first_col}, SUBSTRT2 = {subarray.first_row}: both count from 1; correct them"
        )


def _true_size(name: str, subarray: _Subarray, shape: tuple[int, ...], *, warn: bool = True) -> _Subarray:
    nrows, ncols = shape
    if warn and subarray.ncols != ncols:
        log.warning("%s: SUBSIZE1 = %d, but the array has %d columns; using the latter", name, subarray.ncols, ncols)
    if (subarray.nrows, nrows) == _IRS2_ROWS:
        nrows = subarray.nrows
    elif warn and subarray.nrows != nrows:
        log.warning("%s: SUBSIZE2 = %d, but the array has %d rows; using the latter", name, subarray.nrows, nrows)
    return subarray._replace(nrows=nrows, ncols=ncols)


def _gain_factor(path: Path, primary: fits.Header) -> float | None:
    value = hdus.keyword_value(path, primary, "GAINFACT", "the primary header")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RampFileError(f"{path}: keyword GAINFACT must be a number; it is {value!r}")
    if value != 1:
        log.warning("%s: GAINFACT = %g is passed on in the products' headers, for a later step to apply", path, value)
    return float(value)
