"""What a user may hand in as an array: of every type, layout and kind of object, with every number; for hypothesis."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import SearchStrategy

_NUMBERS = ["f2", "f4", "f8", ">f4", ">f8", "g", "i1", "u1", "i2", ">u2", "i4", ">i4", "u4", "i8", "u8", ">i8", "?"]
_OTHERS = ["c8", "O", "U3", "S3", "M8[s]", "m8[s]", "V4", [("x", "f4")]]
_SPECIAL = [np.nan, np.inf, -np.inf, -0.0, 1e-45, 3.4e38, -3.4e38, 1e300, 1e-300, 65535.0, 2.0**31, 2.0**63, -(2.0**63)]
#: Numbers, and what is none, where one is asked for.
SCALARS = st.one_of(
    st.sampled_from([0, 1, 2, 3, -1, 10**9, 10**400, -(10**400), True, None, "", "x", b"x", 1j, [], {}, object()]),
    st.sampled_from([*_SPECIAL, 1.5, np.float32(2.0), np.float16(1.0), np.int64(3), np.bool_(True), np.array(2.0)]),
    st.sampled_from([np.array([1.0, 2.0]), np.array([[1]]), [1.0, 2.0], (3.0, 1.0), (1.0,), ("a", "b"), range(2)]),
    st.floats(0.01, 100.0),
)


class Subclass(np.ndarray):
    """An array of a class of its own."""


class Tensor:
    """An object that becomes an array when NumPy asks it to, or says why it does not."""

    def __init__(self, array: np.ndarray, error: Exception | None = None) -> None:
        self.array, self.error = array, error
        self.shape, self.dtype = array.shape, array.dtype

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        """Return the array."""
        if self.error is not None:
            raise self.error
        return np.array(self.array, dtype) if copy else np.asarray(self.array, dtype)

    def __len__(self) -> int:
        """As an array has it."""
        return len(self.array)


@st.composite
def arrays(draw: Callable[[SearchStrategy[Any]], Any], shape: tuple[int, ...], *, likely: bool = False) -> Any:
    """Draw something like an array of that shape, or of another one; `likely`: more often one that is right."""
    if not likely and draw(st.integers(0, 9)) == 0:
        return draw(SCALARS)
    wrong = not likely and draw(st.integers(0, 5)) == 0
    size = draw(st.sampled_from([shape[1:], (*shape, 2), (0, *shape[1:]), (), (1,), shape[::-1]])) if wrong else shape
    kinds = _NUMBERS if likely or draw(st.integers(0, 4)) else _OTHERS
    array = _filled(draw, size, np.dtype(draw(st.sampled_from(kinds))))
    array = _laid_out(draw, array)
    if likely:
        return array
    return draw(st.sampled_from(_WRAPPERS + [_plain] * len(_WRAPPERS)))(array)


def _filled(draw: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = np.cumsum(chance.integers(0, 60, shape), axis=0) if shape else np.asarray(float(chance.integers(60)))
    values = np.asarray(values, float)
    for value in draw(st.lists(st.sampled_from(_SPECIAL), max_size=4)):
        if values.size:
            values.flat[chance.integers(values.size, size=max(values.size // 9, 1))] = value
    with np.errstate(all="ignore"):
        if dtype.kind in "MmV":
            return np.zeros(shape, dtype)
        if dtype.kind in "iu":
            values = np.nan_to_num(values, nan=0.0, posinf=1e300, neginf=-1e300)
            limits = np.iinfo(dtype)
            return np.asarray(values.clip(limits.min / 2, limits.max / 2).astype(dtype))
        return np.asarray(values.astype(dtype))


def _laid_out(draw: Any, array: np.ndarray) -> np.ndarray:
    kind = draw(st.sampled_from(["C", "F", "reversed", "every other", "unaligned", "read-only", "broadcast"]))
    if kind == "F":
        return np.asfortranarray(array) if array.ndim else array
    if kind == "reversed":
        return array[(slice(None, None, -1),) * array.ndim + (...,)]
    if kind == "every other" and array.ndim:
        wide = np.repeat(array, 2, axis=-1)
        return wide[..., ::2]
    if kind == "unaligned" and array.dtype.kind != "O":
        content = np.frombuffer(b"\0" + array.tobytes(), np.uint8)[1:]
        return content.view(array.dtype).reshape(array.shape) if array.size else array
    if kind == "read-only":
        array.flags.writeable = False
    if kind == "broadcast" and array.ndim and array.shape[0]:
        return np.broadcast_to(array[:1], array.shape)
    return array


def _plain(array: np.ndarray) -> Any:
    return array


_WRAPPERS: list[Any] = [
    lambda array: array.view(Subclass),
    lambda array: array.tolist(),
    lambda array: tuple(array.tolist()) if array.ndim else array.tolist(),
    lambda array: np.ma.masked_array(array, np.zeros(array.shape, bool)),
    Tensor,
    lambda array: Tensor(array, RuntimeError("Can't call numpy() on Tensor that requires grad.")),
    lambda array: Tensor(array, TypeError("can't convert cuda:0 device type tensor to numpy.")),
    lambda array: list(array) if array.ndim else [array],
    lambda array: itertools.chain(array.ravel().tolist()),
    lambda array: memoryview(np.ascontiguousarray(array)) if array.dtype.char in "fdbhilqBHILQ" else array,
]


def snapshot(value: Any) -> Any:
    """Return what an argument is now, to be compared with what it is later."""
    if isinstance(value, Tensor):
        return snapshot(value.array)
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.strides, value.tobytes() if value.dtype.kind != "O" else str(value)
    if isinstance(value, list | tuple):
        return [snapshot(one) for one in value[:100]]
    return repr(value)
