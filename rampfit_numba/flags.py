"""From boolean masks to data-quality flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba import dq

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def make_groupdq(
    *,
    saturated: ArrayLike | None = None,
    jump: ArrayLike | None = None,
    do_not_use: ArrayLike | None = None,
) -> np.ndarray:
    """Return the flags of the groups that boolean masks stand for, to be given to :class:`Exposure`.

    Parameters
    ----------
    saturated, jump, do_not_use : array_like of bool, optional
        Masks of one shape, that of the data, (nints, ngroups, nrows, ncols) or (ngroups, nrows, ncols); True sets
        SATURATED, JUMP_DET or DO_NOT_USE.

    Returns
    -------
    ndarray of uint8
        Flags of the masks' shape.

    Raises
    ------
    TypeError, ValueError
        There is no mask, one is not boolean, or their shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> from rampfit_numba import make_groupdq
    >>> ramp = np.array([0, 30_000, 60_000, 65_535]).reshape(4, 1, 1)
    >>> make_groupdq(saturated=ramp >= 65_535).ravel()
    array([0, 0, 0, 2], dtype=uint8)
    """
    given = {
        "saturated": (saturated, dq.SATURATED),
        "jump": (jump, dq.JUMP_DET),
        "do_not_use": (do_not_use, dq.DO_NOT_USE),
    }
    flags: np.ndarray | None = None
    first = ""
    for name, (value, flag) in given.items():
        if value is None:
            continue
        mask = _as_mask(name, value)
        if flags is None:
            flags, first = np.zeros(mask.shape, np.uint8), name
        elif mask.shape != flags.shape:
            raise ValueError(f"{name}: expected shape {flags.shape}, that of {first}; got {mask.shape}")
        flags[mask] |= np.uint8(flag)
    if flags is None:
        raise TypeError(f"expected one of {', '.join(given)} or more; got none")
    return flags


def mask_to_flags(mask: np.ndarray, dtype: type[np.unsignedinteger[Any]]) -> np.ndarray:
    """Return DO_NOT_USE where a mask is True, as masks of NumPy and astropy have it."""
    return np.asarray(np.multiply(mask, dtype(dq.DO_NOT_USE), dtype=dtype))


def _as_mask(name: str, value: Any) -> np.ndarray:  # noqa: ANN401  (anything array-like)
    try:
        mask = np.asarray(value)
    except Exception as error:  # whatever an object says that cannot be an array
        raise TypeError(f"{name}: expected an array of booleans; got {type(value).__name__} ({error})") from error
    if mask.dtype != np.dtype(bool):
        raise TypeError(f"{name}: expected an array of booleans; got dtype {mask.dtype} (write, say, {name}=array > 0)")
    return mask
