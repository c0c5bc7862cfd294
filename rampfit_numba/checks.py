"""Checks of arguments at the door: each returns its value in one form, or says what was expected and what came."""

from __future__ import annotations

import math
import os
import sys
from itertools import pairwise
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.flags import mask_to_flags
from rampfit_numba.units import gain_unit, rate_unit, signal_unit

if TYPE_CHECKING:
    from collections.abc import Callable

    from rampfit_numba.units import Scaled

#: Larger counts of frames are mistakes, and too large for arithmetic with times.
_LARGEST_COUNT = 2**31 - 1
#: Characters of a value that a message shows.
_LONGEST = 60
#: Beyond these the squares of times, which the noise of explicit read times is made of, overflow or vanish.
_LARGEST_TIME, _SMALLEST_STEP = (float(limit) for limit in (np.finfo(np.float32).max, np.finfo(np.float32).tiny))


#: Units that others are converted to, by what may be asked of :func:`as_array`.
_CONVERTED: dict[str, Callable[[Any], Scaled]] = {"DN": signal_unit, "DN / s": rate_unit, "electron / DN": gain_unit}


def as_array(
    name: str,
    value: Any,  # noqa: ANN401  (anything array-like)
    unit: str = "DN",
    kinds: str = "fiu",
) -> np.ndarray:
    """Return `value` as an array without copying it where it is one, a Quantity in `unit` or another name of that.

    `kinds` are NumPy's letters for the kinds of numbers that are taken.

    Raises
    ------
    TypeError
        `value` is no array of numbers, or masked.
    ValueError
        `value` is a Quantity in another unit.
    """
    if not is_quantity(value):
        return _plain_array(name, value, kinds)
    from astropy import units

    if unit not in _CONVERTED:
        wanted = units.Unit(unit)
        if value.unit != wanted:
            raise ValueError(f"{name}: expected a Quantity in {wanted}; got one in {value.unit}")
        return _plain_array(name, value.value, kinds)
    array, found = as_measured(name, value, _CONVERTED[unit])
    if found != unit.replace(" ", ""):
        raise ValueError(f"{name}: expected a Quantity in {unit}; got one in {value.unit}")
    return array


def as_measured(name: str, value: Any, kind: Callable[[Any], Scaled]) -> tuple[np.ndarray, str | None]:  # noqa: ANN401
    """Return `value` as :func:`as_array` does, and what `kind` makes of its unit; None where it has none.

    Raises
    ------
    TypeError, ValueError
        `value` is no array of numbers, or in a unit that cannot be converted.
    """
    if not is_quantity(value):
        return _plain_array(name, value), None
    try:
        unit, factor = kind(value.unit)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return scaled(_plain_array(name, value.value), factor), unit


def check_unit(name: str, stated: Any, kind: Callable[[Any], Scaled]) -> Scaled | None:  # noqa: ANN401
    """Return what `kind` makes of a unit that is stated as a text; None stays None."""
    if stated is None:
        return None
    if not isinstance(stated, str):
        raise TypeError(f"{name}: expected a string or None; got {stated!r}")
    try:
        return kind(stated)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def is_quantity(value: Any) -> bool:  # noqa: ANN401
    """Tell whether `value` is an astropy Quantity."""
    # It can only come from a program that has imported astropy: there is no need to import it here.
    if "astropy.units" not in sys.modules:
        return False
    from astropy import units

    return isinstance(value, units.Quantity)


def scaled(array: np.ndarray, factor: float) -> np.ndarray:
    """Return `array` times `factor`, itself where that is 1."""
    if factor == 1:
        return array
    with np.errstate(over="ignore"):
        return np.asarray(array * np.float64(factor), np.float32)


def _plain_array(name: str, value: Any, kinds: str = "fiu") -> np.ndarray:  # noqa: ANN401
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name}: expected an array without a mask; got a masked array (give its .data, and set "
            "DO_NOT_USE in groupdq instead, which takes a mask as it is)"
        )
    if value is None:
        raise TypeError(f"{name}: expected a number or an array of numbers; got None")
    array = to_array(name, value, "an array of numbers")
    if array.dtype.kind not in kinds:
        raise TypeError(f"{name}: expected an array of real numbers; got dtype {array.dtype}")
    return array


def to_array(name: str, value: Any, wanted: str) -> np.ndarray:  # noqa: ANN401
    """Return `value` as an array of whatever type; raises a TypeError where it cannot be one."""
    try:
        return np.asanyarray(value)
    except MemoryError:
        raise
    except Exception as error:  # whatever an object says that cannot be an array: a tensor with gradients, say
        raise TypeError(f"{name}: expected {wanted}; got {type(value).__name__} ({error})") from error


def check_data(data: np.ndarray) -> np.ndarray:
    """Return `data` as an array of four dimensions, none of which is empty; one of three is one integration."""
    if data.ndim == 3:  # noqa: PLR2004
        data = data[np.newaxis]
    if data.ndim != 4:  # noqa: PLR2004
        raise ValueError(
            "data: expected 4 dimensions (nints, ngroups, nrows, ncols), or 3 for one integration; got shape "
            f"{data.shape}"
        )
    if 0 in data.shape:
        raise ValueError(f"data: expected at least one integration, group, row and column; got shape {data.shape}")
    return data


def check_flags(
    name: str,
    value: Any,  # noqa: ANN401
    shape: tuple[int, ...],
    meaning: str,
    dtype: type[np.unsignedinteger[Any]],
) -> np.ndarray | None:
    """Return flags as an array of `dtype` and `shape`, which is that of what `meaning` says; None stays None."""
    if value is None:
        return None
    flags = _with_integration(as_array(name, value, "", kinds="fiub"), shape)
    if flags.dtype.kind == "f":
        raise TypeError(f"{name}: expected an array of integers or booleans; got dtype {flags.dtype}")
    if flags.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, the {meaning}; got {flags.shape}")
    if flags.dtype == dtype:
        return flags
    if flags.dtype.kind == "b":
        return mask_to_flags(flags, dtype)
    top = int(np.iinfo(dtype).max)
    if not np.can_cast(flags.dtype, dtype) and (int(flags.min()) < 0 or int(flags.max()) > top):
        raise ValueError(f"{name}: expected flags between 0 and {top}; got {int(flags.min())} to {int(flags.max())}")
    return np.asarray(flags.astype(dtype))


def _with_integration(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array with the axis that exposures of one integration may be given without."""
    if len(shape) > 2 and shape[0] == 1 and array.shape == shape[1:]:  # noqa: PLR2004  (more than an image)
        return array[np.newaxis]
    return array


def check_plane(name: str, plane: np.ndarray | None, shape: tuple[int, ...], meaning: str) -> np.ndarray | None:
    """Return a plane of `shape`, which is that of what `meaning` says; None stays None."""
    if plane is None:
        return None
    plane = _with_integration(plane, shape)
    if plane.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, the {meaning}; got {plane.shape}")
    return plane


def check_path(name: str, value: Any) -> Path:  # noqa: ANN401
    """Return a path, whether it is a text or anything path-like."""
    try:
        path = os.fspath(value)
    except TypeError:
        path = None
    if not isinstance(path, str):
        raise TypeError(f"{name}: expected a path; got {value!r}")
    return Path(path)


def check_count(name: str, value: Any, least: int) -> int:  # noqa: ANN401
    """Return an integer from `least` on."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        raise TypeError(f"{name}: expected an integer >= {least}; got {value!r}")
    if not least <= int(value) <= _LARGEST_COUNT:
        raise ValueError(f"{name}: expected an integer from {least} to {_LARGEST_COUNT}; got {value}")
    return int(value)


def check_time(name: str, value: Any) -> float:  # noqa: ANN401
    """Return a number of seconds above 0, also from a Quantity."""
    if is_quantity(value):
        from astropy import units

        try:
            value = float(value.to_value(units.s))
        except (units.UnitConversionError, TypeError) as error:
            raise ValueError(f"{name}: expected a time; got {value!r}") from error
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{name}: expected a number of seconds > 0; got {value!r}")
    # The reference keeps times in single precision: what that cannot hold would be 0 or infinite there.
    try:
        with np.errstate(over="ignore"):
            single = float(np.float32(value))
    except OverflowError:  # an integer beyond all floats
        single = math.inf
    if not (math.isfinite(single) and single > 0):
        raise ValueError(f"{name}: expected a finite number of seconds > 0; got {_short(value)}")
    return float(value)


def check_read_times(value: Any, ngroups: int) -> tuple[Any, ...] | None:  # noqa: ANN401
    """Return the times of the frames of `ngroups` groups, a tuple for each; None stays None."""
    if value is None:
        return None
    try:
        groups = tuple(tuple(_seconds(time) for time in np.atleast_1d(group)) for group in value)
    except Exception as error:  # whatever an object says that is none
        raise TypeError(
            f"read_times: expected a number or a sequence of numbers per group; got {_short(value)}"
        ) from error
    if len(groups) != ngroups:
        raise ValueError(f"read_times: expected {ngroups} entries, one per group; got {len(groups)}")
    for number, group in enumerate(groups):
        where = f"read_times: group {number}: expected finite, strictly rising times, at least one"
        if not group or not all(map(math.isfinite, group)) or not all(_rises(*pair) for pair in pairwise(group)):
            raise ValueError(f"{where}; got {_short(group)}")
        if any(abs(t) > _LARGEST_TIME for t in group):
            raise ValueError(f"{where}, that single precision can hold; got {_short(group)}")
        if number and not _rises(*(sum(times) / len(times) for times in groups[number - 1 : number + 1])):
            raise ValueError(
                f"read_times: group {number}: expected times rising, on average, beyond those of the group before it; "
                f"got {_short(group)} after {_short(groups[number - 1])}"
            )
    return groups


def _seconds(time: Any) -> float:  # noqa: ANN401
    if is_quantity(time):
        from astropy import units

        return float(time.to_value(units.s))
    return float(time)


def _rises(earlier: float, later: float) -> bool:
    return later - earlier >= _SMALLEST_STEP


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
