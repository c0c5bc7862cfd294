"""The short texts by which exposures and results introduce themselves."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

import numpy as np

from rampfit_numba import dq
from rampfit_numba.messages import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Larger arrays are looked at in part, evenly spread: a prompt must not wait.
_MOST: Final = 1 << 20
#: What a share is told of, in this order.
_TOLD: Final = ("DO_NOT_USE", "SATURATED", "JUMP_DET")
_AXES: Final = ("integrations", "groups", "rows", "columns")


def shape_text(shape: tuple[int, ...]) -> str:
    """Return, say, "2 integrations x 10 groups x 64 rows x 32 columns"."""
    axes = {4: _AXES, 3: (_AXES[0], *_AXES[2:]), 2: _AXES[2:]}[len(shape)]
    return " x ".join(f"{size} {name if size != 1 else name[:-1]}" for size, name in zip(shape, axes, strict=True))


def median_text(values: np.ndarray) -> str:
    """Return the median of the finite values, about, for large arrays."""
    sample = _sample(values)
    finite = sample[np.isfinite(sample)]
    return f"{np.median(finite.astype(np.float64)):.4g}" if finite.size else "none"


def flags_text(flags: np.ndarray) -> str:
    """Return the shares of the elements that have a flag, of the flags that a user looks for."""
    # One byte for all of them, as where no flags were given, is not looked at as often as there are elements.
    sample = _sample(flags) if any(flags.strides) else flags.reshape(-1)[:1]
    shares = {name: np.count_nonzero(sample & getattr(dq, name)) / sample.size for name in _TOLD}
    told = [f"{name} {_percent(share)}" for name, share in shares.items() if share]
    return ", ".join(told) or "none"


def brief(kind: str, facts: Mapping[str, str]) -> str:
    """Return one line: what it is, and the facts."""
    return printable(f"<{kind}: {'; '.join(f'{name} {value}'.strip() for name, value in facts.items())}>")


def table(kind: str, facts: Mapping[str, str]) -> str:
    """Return the same as a small table of HTML; what is told is data, whatever it looks like."""
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(printable(value))}</td></tr>" for name, value in facts.items()
    )
    return f"<table><caption>{escape(kind)}</caption>{rows}</table>"


def _sample(values: np.ndarray) -> np.ndarray:
    """Return all values, or rows, and where these do not suffice integrations, evenly spread over an array."""
    step = -(-values.size // _MOST)
    rows = min(step, values.shape[-2])
    thinned = values[..., ::rows, :]
    return thinned[:: step // rows] if values.ndim > 2 else thinned  # noqa: PLR2004  (there are integrations)


def _percent(share: float) -> str:
    text = f"{100 * share:.1f} %"
    return "< 0.1 %" if text.startswith("0.0") else text
