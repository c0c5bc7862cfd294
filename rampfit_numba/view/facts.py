"""What is said about an exposure above its pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rampfit_numba.messages import printable

if TYPE_CHECKING:
    from rampfit_numba.exposure import Exposure
    from rampfit_numba.result import RampFit

_KEYWORDS = (
    ("Target", ("TARGNAME", "TARGPROP")),
    ("Instrument", ("INSTRUME",)),
    ("Detector", ("DETECTOR",)),
    ("Filter", ("FILTER",)),
    ("Program", ("PROGRAM",)),
    ("Observed", ("DATE-OBS",)),
)
#: Characters of a header's value that are shown.
_LONGEST = 60


def describe(exposure: Exposure, fit: RampFit) -> list[tuple[str, str]]:
    """Return names and values: what the header says, sizes, times, and how it was fitted. All of it is plain text."""
    found = []
    if exposure.header is not None:
        for name, keywords in _KEYWORDS:
            values = [_text(exposure.header.primary, keyword) for keyword in keywords]
            value = next(filter(None, values), "")
            if value:
                found.append((name, value))
    nints, ngroups, nrows, ncols = exposure.shape
    times = exposure.read_times
    if times is None or exposure.evenly_read:
        groups = f"{ngroups} of {exposure.group_time:.6g} s"
    else:
        groups = f"{ngroups}, from {np.mean(times[0]):.6g} to {np.mean(times[-1]):.6g} s"
    found += [
        ("Integrations", str(nints)),
        ("Groups", groups),
        ("Pixels", f"{ncols} by {nrows}"),
        ("Algorithm", fit.options.algorithm),
    ]
    return found


def _text(header: object, keyword: str) -> str:
    try:
        value = printable(str(header.get(keyword, "")).strip())  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001  (a card that breaks the standard says nothing)
        return ""
    return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
