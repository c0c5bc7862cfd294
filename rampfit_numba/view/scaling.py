"""From an image's values to what a screen shows: part, size, limits and stretch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

#: Shades of a palette; the value after the last stands for pixels without a value.
SHADES = 255
NO_VALUE = SHADES

STRETCHES = ("linear", "square root", "logarithmic", "asinh")
#: How limits are found, and the share of the values, in per cent, that each lets through.
_PERCENTILES = {"99.9 %": 99.9, "99.5 %": 99.5, "99 %": 99.0, "95 %": 95.0}
LIMITS = ("99.5 %", "99.9 %", "99 %", "95 %", "zscale", "all values")
#: Values that limits are found from: more would take longer and change nothing that one could see.
_SAMPLE = 1 << 16


class Part(NamedTuple):
    """The part of an image that is in sight: pixels from `left` to before `right`, and from `bottom` to before `top`.

    Attributes
    ----------
    left, right, bottom, top : int
    step : int
        Pixels, along each axis, that are shown as one.
    """

    left: int
    right: int
    bottom: int
    top: int
    step: int


def visible_part(shape: tuple[int, int], x: tuple[float, float], y: tuple[float, float], screen: int) -> Part:
    """Return the part of an image of `shape` (nrows, ncols) between two x and two y, for so many pixels of a screen.

    Pixels have their centres at integers. What lies outside is left out; a part is at least one pixel wide and high,
    and no finer than the screen.
    """
    nrows, ncols = shape
    left, right = _whole_pixels(min(x), max(x), ncols)
    bottom, top = _whole_pixels(min(y), max(y), nrows)
    step = max(1, max(right - left, top - bottom) // max(screen, 1))
    # Blocks of several pixels begin at the same places whatever is in sight: nothing flickers while one moves.
    return Part(left - left % step, right, bottom - bottom % step, top, step)


def _whole_pixels(low: float, high: float, size: int) -> tuple[int, int]:
    first = min(max(int(np.floor(low + 0.5)), 0), size - 1)
    return first, max(min(int(np.ceil(high + 0.5)), size), first + 1)


def shrink(values: np.ndarray, step: int) -> np.ndarray:
    """Return means of blocks of `step` by `step` pixels; of integers, which are flags, all bits that any has.

    Values that are not finite do not count, but where a block has no other. Blocks at the edges may be smaller.
    """
    if step == 1:
        return values
    rows, columns = (np.arange(0, size, step) for size in values.shape)
    if values.dtype.kind in "iu":
        of_rows = np.bitwise_or.reduceat(values, rows, axis=0)
        return np.asarray(np.bitwise_or.reduceat(of_rows, columns, axis=1))
    finite = np.isfinite(values)
    sums = _block_sums(np.where(finite, values, 0).astype(np.float64), rows, columns)
    counts = _block_sums(finite.astype(np.int64), rows, columns)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((sums / counts).astype(values.dtype))


def _block_sums(values: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return np.asarray(np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1))


def find_limits(values: np.ndarray, kind: str) -> tuple[float, float]:
    """Return the values that are to be black and white.

    Parameters
    ----------
    values : ndarray
    kind : str
        One of `LIMITS`.

    Returns
    -------
    low, high : float
        Finite, and low < high.
    """
    from astropy.visualization import AsymmetricPercentileInterval, MinMaxInterval, ZScaleInterval

    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    if finite.size > _SAMPLE and kind != "all values":
        finite = finite[:: finite.size // _SAMPLE]
    if kind == "zscale":
        interval = ZScaleInterval()
    elif kind in _PERCENTILES:
        outside = (100 - _PERCENTILES[kind]) / 2
        interval = AsymmetricPercentileInterval(outside, 100 - outside)
    else:
        interval = MinMaxInterval()
    low, high = (float(limit) for limit in interval.get_limits(finite))
    return (low, high) if low < high else (low - 0.5, low + 0.5)


def _stretch(name: str) -> Callable[[np.ndarray], np.ndarray]:
    from astropy.visualization import AsinhStretch, LinearStretch, LogStretch, SqrtStretch

    kinds = {"linear": LinearStretch, "square root": SqrtStretch, "logarithmic": LogStretch, "asinh": AsinhStretch}
    return kinds[name]()  # type: ignore[no-any-return]


def shades(values: np.ndarray, limits: tuple[float, float], stretch: str) -> np.ndarray:
    """Return the place of each value in a palette, 0 to `SHADES` - 1, or `NO_VALUE`.

    Returns
    -------
    ndarray of uint8, shape of `values`
    """
    low, high = limits
    with np.errstate(invalid="ignore", over="ignore"):
        share = (values.astype(np.float64) - low) / (high - low)
    missing = np.isnan(share)
    share[missing] = 0
    places = _stretch(stretch)(np.clip(share, 0, 1)) * (SHADES - 1)
    return np.where(missing, NO_VALUE, np.rint(places)).astype(np.uint8)


def scale_marks(limits: tuple[float, float], stretch: str, count: int = 6) -> dict[float, str]:
    """Return marks for a colour bar: places in the palette, and the values there, about `count`."""
    low, high = limits
    shares = np.linspace(0, 1, count)
    values = low + _stretch(stretch).inverse(shares) * (high - low)  # type: ignore[attr-defined]
    # A digit more than it takes to tell neighbours apart.
    step = np.abs(np.diff(values)).min()
    digits = int(np.clip(np.ceil(1 - np.log10(step)) if step > 0 else 0, 0, 12))
    largest = np.abs(values).max()
    if largest >= 1e6 or (digits > 4 and largest < 1e-2):  # noqa: PLR2004  (what a narrow axis has room for)
        texts = [f"{value:.2e}" for value in values]
    else:
        texts = [f"{round(value, digits) + 0.0:.{digits}f}" for value in values]  # + 0: no -0
    return {float(share * (SHADES - 1)): text for share, text in zip(shares, texts, strict=True)}
