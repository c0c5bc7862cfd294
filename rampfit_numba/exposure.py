"""The input of a fit: one exposure, whole and checked at construction."""

from __future__ import annotations

import math
import sys
from dataclasses import KW_ONLY, dataclass, field
from itertools import pairwise
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from astropy.io import fits


@dataclass(frozen=True, eq=False)
class ExposureHeader:
    """What the input file says beside its arrays, carried over to the products.

    Attributes
    ----------
    primary, sci : astropy.io.fits.Header
        Headers of the primary HDU and of the SCI extension.
    int_times : astropy.io.fits.FITS_rec or None
        Rows of the INT_TIMES table, None where the file has none.
    filename : str
        Base name of the file, empty where there is none.
    """

    primary: fits.Header
    sci: fits.Header
    int_times: fits.FITS_rec | None = None
    filename: str = ""


@dataclass(frozen=True, eq=False)
class Exposure:
    """One exposure: its ramps, flags and timing. Arrays are kept as given and never modified.

    Parameters
    ----------
    data : array_like, shape (nints, ngroups, nrows, ncols)
        Linearised, bias-subtracted ramps in DN: any float or integer type, byte order, strides, ``np.memmap`` or
        ``astropy.units.Quantity``. Fitted as float32.
    groupdq : array_like of integers, shape of `data`, or None
        Flags of the groups; only the low eight bits exist. None: all good.
    group_time : float
        Time from group to group in s.
    pixeldq : array_like of integers, shape (nrows, ncols), optional
        Flags of the pixels. None: all good.
    frame_time : float, optional
        Time from frame to frame in s; None: ``group_time / (nframes + groupgap)``.
    nframes, groupgap, drop_frames1 : int
        Frames averaged per group, skipped after each group, and dropped before the first group.
    read_times : sequence, optional
        Explicit read times of the groups, in s: a number or a sequence of numbers per group.
    average_dark_current : array_like, shape (nrows, ncols), optional
        Average dark current, used as the reference does: in DN/s. None: zero.
    zeroframe : array_like, shape (nints, nrows, ncols), optional
        First frame of each integration in DN; 0 and non-finite values are unusable.
    instrument : str
        Only ``"MIRI"`` makes a difference: its fully flagged edge groups are dropped.
    header : ExposureHeader or astropy.io.fits.Header, optional
        Carried over to the products; a plain header counts as the primary one.

    Raises
    ------
    TypeError, ValueError
        An argument is unusable; the message names it, what was expected and what came.

    Examples
    --------
    >>> import numpy as np
    >>> exposure = Exposure(np.zeros((2, 10, 4, 4), np.float32), None, 2.775)
    >>> exposure.nints, exposure.ngroups, exposure.shape
    (2, 10, (2, 10, 4, 4))
    """

    data: np.ndarray
    groupdq: np.ndarray
    group_time: float
    _: KW_ONLY
    pixeldq: np.ndarray | None = None
    frame_time: float | None = None
    nframes: int = 1
    groupgap: int = 0
    drop_frames1: int = 0
    read_times: tuple[Any, ...] | None = None
    average_dark_current: np.ndarray | None = None
    zeroframe: np.ndarray | None = None
    instrument: str = ""
    header: ExposureHeader | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {}
        data = checked["data"] = _check_data(self.data)
        image, cube = data.shape[2:], (data.shape[0], *data.shape[2:])
        groupdq = _check_flags("groupdq", self.groupdq, data.shape, "shape of data", np.uint8)
        # All good: a read-only view of one byte, whatever the shape.
        checked["groupdq"] = np.broadcast_to(np.uint8(0), data.shape) if groupdq is None else groupdq
        checked["pixeldq"] = _check_flags("pixeldq", self.pixeldq, image, "(nrows, ncols) of data", np.uint32)
        checked["average_dark_current"] = _check_plane(
            "average_dark_current", self.average_dark_current, image, "(nrows, ncols) of data"
        )
        checked["zeroframe"] = _check_plane("zeroframe", self.zeroframe, cube, "(nints, nrows, ncols) of data")
        checked["nframes"] = _check_count("nframes", self.nframes, 1)
        checked["groupgap"] = _check_count("groupgap", self.groupgap, 0)
        checked["drop_frames1"] = _check_count("drop_frames1", 0 if self.drop_frames1 is None else self.drop_frames1, 0)
        group_time = checked["group_time"] = _check_time("group_time", self.group_time)
        if self.frame_time is None:
            checked["frame_time"] = group_time / (checked["nframes"] + checked["groupgap"])
        else:
            checked["frame_time"] = _check_time("frame_time", self.frame_time)
        checked["read_times"] = _check_read_times(self.read_times, data.shape[1])
        if not isinstance(self.instrument, str):
            message = f"instrument: expected a string; got {self.instrument!r}"
            raise TypeError(message)
        checked["instrument"] = self.instrument.strip().upper()
        checked["header"] = _check_header(self.header)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(nints, ngroups, nrows, ncols)."""
        nints, ngroups, nrows, ncols = self.data.shape
        return nints, ngroups, nrows, ncols

    @property
    def nints(self) -> int:
        """Number of integrations."""
        return self.shape[0]

    @property
    def ngroups(self) -> int:
        """Number of groups per integration."""
        return self.shape[1]

    @property
    def nrows(self) -> int:
        """Number of detector rows."""
        return self.shape[2]

    @property
    def ncols(self) -> int:
        """Number of detector columns."""
        return self.shape[3]


def as_array(name: str, value: Any, unit: str = "DN") -> np.ndarray:  # noqa: ANN401  (anything array-like)
    """Return `value` as an array without copying it where it is one, a Quantity in `unit`.

    Raises
    ------
    TypeError
        `value` is no array of numbers, or masked.
    ValueError
        `value` is a Quantity in another unit.
    """
    # A Quantity can only come from a program that has imported astropy: there is no need to import it here.
    if "astropy.units" in sys.modules:
        from astropy import units

        if isinstance(value, units.Quantity):
            wanted = units.Unit(unit)
            if value.unit != wanted:
                message = f"{name}: expected a Quantity in {wanted}; got one in {value.unit}"
                raise ValueError(message)
            value = value.value
    if isinstance(value, np.ma.MaskedArray):
        message = f"{name}: expected an array without a mask; got a masked array (set DO_NOT_USE in groupdq instead)"
        raise TypeError(message)
    try:
        array: np.ndarray = np.asanyarray(value)
    except ValueError as error:
        message = f"{name}: expected an array of numbers; got {type(value).__name__} ({error})"
        raise TypeError(message) from error
    if array.dtype.kind not in "fiu":
        message = f"{name}: expected an array of real numbers; got dtype {array.dtype}"
        raise TypeError(message)
    return array


def _check_data(value: Any) -> np.ndarray:  # noqa: ANN401
    data = as_array("data", value)
    if data.ndim != 4:  # noqa: PLR2004
        message = f"data: expected 4 dimensions (nints, ngroups, nrows, ncols); got shape {data.shape}"
        raise ValueError(message)
    if 0 in data.shape:
        message = f"data: expected at least one integration, group, row and column; got shape {data.shape}"
        raise ValueError(message)
    return data


def _check_flags(
    name: str,
    value: Any,  # noqa: ANN401
    shape: tuple[int, ...],
    meaning: str,
    dtype: type[np.unsignedinteger[Any]],
) -> np.ndarray | None:
    if value is None:
        return None
    flags = as_array(name, value)
    if flags.dtype.kind == "f":
        message = f"{name}: expected an array of integers; got dtype {flags.dtype}"
        raise TypeError(message)
    if flags.shape != shape:
        message = f"{name}: expected shape {shape}, the {meaning}; got {flags.shape}"
        raise ValueError(message)
    if flags.dtype == dtype:
        return flags
    top = int(np.iinfo(dtype).max)
    if not np.can_cast(flags.dtype, dtype) and (int(flags.min()) < 0 or int(flags.max()) > top):
        message = f"{name}: expected flags between 0 and {top}; got {int(flags.min())} to {int(flags.max())}"
        raise ValueError(message)
    return np.asarray(flags.astype(dtype))


def _check_plane(name: str, value: Any, shape: tuple[int, ...], meaning: str) -> np.ndarray | None:  # noqa: ANN401
    if value is None:
        return None
    plane = as_array(name, value)
    if plane.shape != shape:
        message = f"{name}: expected shape {shape}, the {meaning}; got {plane.shape}"
        raise ValueError(message)
    return plane


def _check_count(name: str, value: Any, least: int) -> int:  # noqa: ANN401
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        message = f"{name}: expected an integer >= {least}; got {value!r}"
        raise TypeError(message)
    if value < least:
        message = f"{name}: expected an integer >= {least}; got {value}"
        raise ValueError(message)
    return int(value)


def _check_time(name: str, value: Any) -> float:  # noqa: ANN401
    if "astropy.units" in sys.modules:
        from astropy import units

        if isinstance(value, units.Quantity):
            try:
                value = float(value.to_value(units.s))
            except (units.UnitConversionError, TypeError) as error:
                message = f"{name}: expected a time; got {value!r}"
                raise ValueError(message) from error
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        message = f"{name}: expected a number of seconds > 0; got {value!r}"
        raise TypeError(message)
    # The reference keeps times in single precision: what that cannot hold would be 0 or infinite there.
    with np.errstate(over="ignore"):
        single = float(np.float32(value))
    if not (math.isfinite(single) and single > 0):
        message = f"{name}: expected a finite number of seconds > 0; got {value!r}"
        raise ValueError(message)
    return float(value)


def _check_read_times(value: Any, ngroups: int) -> tuple[Any, ...] | None:  # noqa: ANN401
    if value is None:
        return None
    try:
        groups = tuple(tuple(float(t) for t in np.atleast_1d(group)) for group in value)
    except (TypeError, ValueError) as error:
        message = f"read_times: expected a number or a sequence of numbers per group; got {value!r}"
        raise TypeError(message) from error
    if len(groups) != ngroups:
        message = f"read_times: expected {ngroups} entries, one per group; got {len(groups)}"
        raise ValueError(message)
    times = [t for group in groups for t in group]
    if not all(groups) or not all(math.isfinite(t) for t in times) or any(b <= a for a, b in pairwise(times)):
        message = f"read_times: expected finite, strictly rising times, at least one per group; got {groups!r}"
        raise ValueError(message)
    return groups


def _check_header(value: Any) -> ExposureHeader | None:  # noqa: ANN401
    if value is None or isinstance(value, ExposureHeader):
        return value
    from astropy.io import fits

    if isinstance(value, fits.Header):
        return ExposureHeader(primary=value, sci=fits.Header())
    message = f"header: expected an ExposureHeader or an astropy.io.fits.Header; got {type(value).__name__}"
    raise TypeError(message)
