"""Units: what can be converted to what the fit works with, DN, e-/DN and s; and why the rest cannot.

A unit is a text, as a FITS header has it, or one of astropy's. Digital counts have many names (DN, ADU, counts); they
are one thing here.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

DN: Final = "DN"
ELECTRON: Final = "electron"
#: Of a dark current.
DN_PER_S: Final = "DN/s"
ELECTRON_PER_S: Final = "electron/s"

#: What astropy, and people, call them.
_SAME = {"adu": DN, "ct": DN, "DN": DN, "electron": ELECTRON}
_WORDS = (
    (r"\be-(?![a-z0-9])|\b(electrons?|e|el|elec)(?![a-z0-9])", " electron "),
    (r"\b(adus?|dns?|counts?|cts?|data[ _]numbers?)(?![a-z])", " DN "),
    (r"\b(seconds?|secs?)(?![a-z])", " s "),
    (r"\bper\b", "/"),
)
_SIGNAL = {DN: {DN: 1}, ELECTRON: {ELECTRON: 1}}
_RATE = {DN_PER_S: {DN: 1, "s": -1}, ELECTRON_PER_S: {ELECTRON: 1, "s": -1}}
_GAIN = {"electron/DN": {ELECTRON: 1, DN: -1}}


class Scaled(NamedTuple):
    """A unit as a multiple of one that the package knows.

    Attributes
    ----------
    unit : str
        ``"DN"``, ``"electron"``, ``"DN/s"``, ``"electron/s"`` or ``"electron/DN"``.
    factor : float
        Values are multiplied by this.
    """

    unit: str
    factor: float


def signal_unit(unit: Any) -> Scaled:  # noqa: ANN401  (a text or an astropy unit)
    """Return DN or electron, and the factor to it.

    Parameters
    ----------
    unit : str or astropy.units.UnitBase

    Raises
    ------
    ValueError
        It is neither; the message says why it cannot be converted.

    Examples
    --------
    >>> signal_unit("ELECTRONS")
    Scaled(unit='electron', factor=1.0)
    """
    powers, scale = _powers(unit)
    if powers and dict(powers).get("s", 0) == -1 and _match(Counter(powers) + Counter({"s": 1}), _SIGNAL):
        raise ValueError(
            f"expected DN (ADU, counts) or electron; got {_shown(unit)}, a rate: give the ramps that it was made from"
        )
    return _one_of(unit, powers, scale, _SIGNAL, "DN (ADU, counts) or electron")


def rate_unit(unit: Any) -> Scaled:  # noqa: ANN401
    """Return DN/s or electron/s, and the factor to it; parameters and errors as of :func:`signal_unit`.

    Examples
    --------
    >>> rate_unit("e-/s").unit
    'electron/s'
    """
    powers, scale = _powers(unit)
    return _one_of(unit, powers, scale, _RATE, "DN/s or electron/s")


def gain_unit(unit: Any) -> Scaled:  # noqa: ANN401
    """Return electron/DN, and the factor to it; parameters and errors as of :func:`signal_unit`.

    Examples
    --------
    >>> gain_unit("e-/ADU").factor
    1.0
    """
    powers, scale = _powers(unit)
    return _one_of(unit, powers, scale, _GAIN, "electron/DN")


def is_known(unit: str) -> bool:
    """Tell whether `unit` is a unit at all, of whatever."""
    return _powers(unit)[0] is not None


def _one_of(
    unit: Any,  # noqa: ANN401
    powers: Mapping[str, float] | None,
    scale: float,
    known: Mapping[str, Mapping[str, float]],
    expected: str,
) -> Scaled:
    name = _match(powers, known) if powers is not None else ""
    if not name or not scale > 0:
        why = ", which is no known unit" if powers is None else ", which cannot be converted"
        raise ValueError(f"expected {expected}; got {_shown(unit)}{why}")
    return Scaled(name, scale)


def _match(powers: Mapping[str, float], known: Mapping[str, Mapping[str, float]]) -> str:
    return next((name for name, wanted in known.items() if dict(powers) == dict(wanted)), "")


def _powers(unit: Any) -> tuple[dict[str, float] | None, float]:  # noqa: ANN401
    """Return the powers of the base units and the scale; None instead where nothing is known of that name."""
    from astropy import units

    if isinstance(unit, str):
        parsed = _parsed(unit)
        if parsed is None:
            return None, 1.0
        unit = parsed
    bare = units.Unit(unit).decompose()
    powers: Counter[str] = Counter()
    for base, power in zip(bare.bases, bare.powers, strict=True):
        powers[_SAME.get(base.name, base.name)] += power
    return {name: float(power) for name, power in powers.items() if power}, float(bare.scale)


def _parsed(text: str) -> Any:  # noqa: ANN401  (astropy's unit, or None)
    from astropy import units

    plain = text.strip().lower()
    for pattern, word in _WORDS:
        plain = re.sub(pattern, word, plain)
    for each in (plain.strip(), text.strip()):
        try:
            return units.Unit(each)
        except (ValueError, TypeError):
            continue
    return None


def _shown(unit: Any) -> str:  # noqa: ANN401
    return repr(unit) if isinstance(unit, str) else str(unit) or "no unit"
