"""WFC3/IR's intermediate files as a kind of exposure files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rampfit_numba.io.histories import read_history
from rampfit_numba.io.references import ReferenceImage
from rampfit_numba.io.wfc3 import READNOISE_CDS, mean_gain, read_ima
from rampfit_numba.io.wfc3_flt import write_flt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rampfit_numba.exposure import Exposure
    from rampfit_numba.io.formats import Destination
    from rampfit_numba.options import FitOptions
    from rampfit_numba.result import RampFit

_BASE = re.compile(r"(?P<base>.+?)(?:_(?:ima|raw))?(?:\.fits?)?(?:\.[gf]z)?", re.IGNORECASE)


def is_kind(start: bytes) -> bool:
    """Tell whether a file that begins so is one of WFC3/IR with several reads."""
    if b"'WFC3" not in start:  # nearly always: the cards take as long as reading the file
        return False
    cards = {start[place : place + 8].rstrip(): start[place + 8 : place + 80] for place in range(0, len(start), 80)}
    return (
        start.startswith(b"SIMPLE")
        and b"'WFC3" in cards.get(b"INSTRUME", b"")
        and b"'IR" in cards.get(b"DETECTOR", b"")
        and b"NSAMP" in cards
    )


def read(path: Path, **options: Any) -> Exposure:  # noqa: ANN401  (those of read_ima)
    """Return the exposure in a file."""
    return read_ima(path, **options)


def default_reference(exposure: Exposure, name: str) -> ReferenceImage:
    """Return the mean gain of the header, or calwf3's read noise, in DN of the difference of two reads."""
    assert exposure.header is not None  # noqa: S101  (read_ima gives one)
    gain = mean_gain(Path(exposure.header.filename), exposure.header.primary)
    if name == "gain":
        return ReferenceImage(gain, f"mean of ATODGNA to ATODGND, {gain:g} e-/DN")
    return ReferenceImage(READNOISE_CDS / gain, f"calwf3's {READNOISE_CDS:g} e- for the difference of two reads")


def paths(path: Path, destination: Destination, _: FitOptions) -> dict[str, Path]:
    """Return where the calibrated image goes."""
    match = _BASE.fullmatch(path.name)
    base = match["base"] if match else path.name
    return {"flt": destination.folder / f"{base}_flt.fits"}


def write(
    fit: RampFit,
    path: Path,
    destination: Destination,
    references: dict[str, ReferenceImage],
    *,
    flat: Any = None,  # noqa: ANN401  (path or array)
    **_: Any,  # noqa: ANN401  (options of reading)
) -> Sequence[Path]:
    """Write the calibrated image."""
    (target,) = paths(path, destination, fit.options).values()
    written = write_flt(
        fit,
        target,
        ima=path,
        gain=references["gain"].data,
        flat=flat,
        overwrite=destination.overwrite,
        history=destination.history,
        inputs=destination.inputs,
    )
    return [written]


def history(product: Path) -> list[str]:
    """Return the lines of the history of a calibrated image, which must be whole."""
    return read_history(product)
