"""The input of a fit: one exposure, whole and checked at construction."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.messages import RampFitWarning
from rampfit_numba.timing import check_count, evenly_read, settle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.io import fits
    from numpy.typing import ArrayLike


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


@dataclass(frozen=True, eq=False, init=False)  # its own __init__: what it takes is wider than what it holds
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
        Time from group to group in s. It may be left out beside `read_times` only.
    pixeldq : array_like of integers, shape (nrows, ncols), optional
        Flags of the pixels. None: all good.
    frame_time : float, optional
        Time from frame to frame in s; None: ``group_time / (nframes + groupgap)``.
    nframes, groupgap, drop_frames1 : int
        Frames averaged per group (None: 1, or what `read_times` says), skipped after each group, and dropped before the
        first group.
    read_times : sequence, optional
        Explicit times of the frames since the reset, in s: a number or a sequence of numbers per group, rising from
        group to group. They are what every algorithm goes by: where they are even, `group_time`, `frame_time`,
        `nframes` and `groupgap` become what follows from them. OLS takes evenly spaced groups only.
    average_dark_current : array_like, shape (nrows, ncols), optional
        Average dark current, used as the reference does: in DN/s. None: zero.
    zeroframe : array_like, shape (nints, nrows, ncols), optional
        First frame of each integration in DN; 0 and non-finite values are unusable.
    instrument : str
        Only exactly ``"MIRI"`` makes a difference: its fully flagged edge groups are dropped.
    header : ExposureHeader or astropy.io.fits.Header, optional
        Carried over to the products; a plain header counts as the primary one.

    Raises
    ------
    TypeError, ValueError
        An argument is unusable; the message names it, what was expected and what came.

    Warns
    -----
    RampFitWarning
        Times contradict each other; the message says which are used. Or frames of neighbouring groups were read in
        turns.

    Examples
    --------
    >>> import numpy as np
    >>> exposure = Exposure(np.zeros((2, 10, 4, 4), np.float32), None, 2.775)
    >>> exposure.nints, exposure.ngroups, exposure.shape
    (2, 10, (2, 10, 4, 4))
    >>> Exposure(np.zeros((1, 3, 4, 4)), None, read_times=[1.5, 3.0, 4.5]).group_time
    1.5
    """

    data: np.ndarray
    groupdq: np.ndarray
    group_time: float
    pixeldq: np.ndarray | None
    frame_time: float
    nframes: int
    groupgap: int
    drop_frames1: int
    read_times: tuple[tuple[float, ...], ...] | None
    average_dark_current: np.ndarray | None
    zeroframe: np.ndarray | None
    instrument: str
    header: ExposureHeader | None = field(repr=False)

    def __init__(
        self,
        data: ArrayLike,
        groupdq: ArrayLike | None,
        group_time: float | None = None,
        *,
        pixeldq: ArrayLike | None = None,
        frame_time: float | None = None,
        nframes: int | None = None,
        groupgap: int = 0,
        drop_frames1: int | None = 0,
        read_times: Sequence[Any] | None = None,
        average_dark_current: ArrayLike | None = None,
        zeroframe: ArrayLike | None = None,
        instrument: str = "",
        header: ExposureHeader | fits.Header | None = None,
    ) -> None:
        samples = _check_data(data)
        image, cube = samples.shape[2:], (samples.shape[0], *samples.shape[2:])
        flags = _check_flags("groupdq", groupdq, samples.shape, "shape of data", np.uint8)
        timing, complaints = settle(group_time, frame_time, nframes, groupgap, read_times, samples.shape[1])
        if not isinstance(instrument, str):
            raise TypeError(f"instrument: expected a string; got {instrument!r}")
        checked = {
            "data": samples,
            # All good: a read-only view of one byte, whatever the shape.
            "groupdq": np.broadcast_to(np.uint8(0), samples.shape) if flags is None else flags,
            **timing._asdict(),
            "pixeldq": _check_flags("pixeldq", pixeldq, image, "(nrows, ncols) of data", np.uint32),
            "drop_frames1": check_count("drop_frames1", 0 if drop_frames1 is None else drop_frames1, 0),
            "average_dark_current": _check_plane(
                "average_dark_current", average_dark_current, image, "(nrows, ncols) of data", "DN / s"
            ),
            "zeroframe": _check_plane("zeroframe", zeroframe, cube, "(nints, nrows, ncols) of data", "DN"),
            "instrument": instrument.strip(),
            "header": _check_header(header),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        for complaint in complaints:
            where = f"{self.header.filename}: " if self.header is not None and self.header.filename else ""
            warnings.warn(where + complaint, RampFitWarning, stacklevel=2)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(nints, ngroups, nrows, ncols)."""
        nints, ngroups, nrows, ncols = self.data.shape
        return nints, ngroups, nrows, ncols

    @property
    def evenly_read(self) -> bool:
        """Whether every group has as many reads as the others, and the same time between their means."""
        return evenly_read(self.read_times)

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
                raise ValueError(f"{name}: expected a Quantity in {wanted}; got one in {value.unit}")
            value = value.value
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name}: expected an array without a mask; got a masked array (set DO_NOT_USE in groupdq instead)"
        )
    try:
        array: np.ndarray = np.asanyarray(value)
    except ValueError as error:
        raise TypeError(f"{name}: expected an array of numbers; got {type(value).__name__} ({error})") from error
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name}: expected an array of real numbers; got dtype {array.dtype}")
    return array


def _check_data(value: Any) -> np.ndarray:  # noqa: ANN401
    data = as_array("data", value)
    if data.ndim != 4:  # noqa: PLR2004
        raise ValueError(f"data: expected 4 dimensions (nints, ngroups, nrows, ncols); got shape {data.shape}")
    if 0 in data.shape:
        raise ValueError(f"data: expected at least one integration, group, row and column; got shape {data.shape}")
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
    flags = as_array(name, value, "")
    if flags.dtype.kind == "f":
        raise TypeError(f"{name}: expected an array of integers; got dtype {flags.dtype}")
    if flags.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, the {meaning}; got {flags.shape}")
    if flags.dtype == dtype:
        return flags
    top = int(np.iinfo(dtype).max)
    if not np.can_cast(flags.dtype, dtype) and (int(flags.min()) < 0 or int(flags.max()) > top):
        raise ValueError(f"{name}: expected flags between 0 and {top}; got {int(flags.min())} to {int(flags.max())}")
    return np.asarray(flags.astype(dtype))


def _check_plane(
    name: str,
    value: Any,  # noqa: ANN401
    shape: tuple[int, ...],
    meaning: str,
    unit: str,
) -> np.ndarray | None:
    if value is None:
        return None
    plane = as_array(name, value, unit)
    if plane.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, the {meaning}; got {plane.shape}")
    return plane


def _check_header(value: Any) -> ExposureHeader | None:  # noqa: ANN401
    if value is None or isinstance(value, ExposureHeader):
        return value
    from astropy.io import fits

    if isinstance(value, fits.Header):
        return ExposureHeader(primary=value, sci=fits.Header())
    raise TypeError(f"header: expected an ExposureHeader or an astropy.io.fits.Header; got {type(value).__name__}")
