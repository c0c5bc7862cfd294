"""Options of a fit, checked once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from numbers import Integral, Real
from typing import Any

import numpy as np

from rampfit_numba.registry import ALGORITHMS, ERRORS, SHORT_RAMPS, describe_names, find_algorithm, join_names

#: What a read noise can be that of: the difference of two frames (correlated double sampling), or a single frame.
READNOISE_KINDS = ("cds", "single")
#: Weightings that have a name.
WEIGHTINGS = ("optimal", "uniform", "interpolated")

#: A name, an exponent, or pairs of a signal-to-noise ratio and the exponent from there on.
Weighting = str | float | tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class FitOptions:
    """What is fitted, as opposed to where and how fast.

    Parameters
    ----------
    algorithm : str
        ``"ols"``, ``"likely"`` (the pipeline's names ``"OLS_C"`` and ``"LIKELY"`` are accepted too, in any case) or
        ``"likely_joint"``.
    suppress_one_group : bool
        Treat a ramp with exactly one good group as having none. Exposures of one group are never suppressed. The
        likelihood fits need two neighbouring good groups anyway: there it has no effect.
    firstgroup, lastgroup : int, optional
        First and last group to use, 0-based and inclusive; groups outside count as DO_NOT_USE. Both must be groups that
        the exposure has.
    save_opt : bool
        Also return the fit of every segment (fitopt). The likelihood fits have no segments; for a file it then asks for
        the product with the chi-square, as in the pipeline.
    rejection_threshold : float, optional
        Likelihood fits only: significance, in standard deviations, from which a jump is flagged. None: the thresholds
        of the pipeline, 20.25 (4.5 squared) and 23.8 in chi-square.
    pedestal : (float, float), optional
        ``"likely_joint"`` only: mean and standard deviation, in DN, of the signal that a ramp has at time zero. It
        gives a rate to ramps with one good group.
    readnoise_kind : {"cds", "single"}
        What the read noise is that of: the difference of two frames (CDS), as JWST's reference files have it, or a
        single frame, which is smaller by the square root of two.
    weighting : {"optimal", "uniform", "interpolated"}, float, or sequence of (float, float)
        ``"ols"`` only: how the groups of a segment are weighted, by the distance from its middle to the power of an
        exponent. ``"optimal"``: the pipeline's, whose exponent rises in steps with the signal-to-noise ratio of the
        segment; ``"interpolated"``: the same without steps; ``"uniform"``: 0; a number: that; pairs: 0 below the first
        signal-to-noise ratio, then the exponent of each.
    errors : {"weights", "reference"}, optional
        ``"ols"`` only: errors that follow from the weights that were used, or those of the pipeline's formulas. None:
        the pipeline's for the pipeline's weighting of evenly spaced groups, and what follows from the weights for all
        else, one group with read times among it.
    chisq : bool
        Also return the chi-square of the samples around the lines of the segments, and its degrees of freedom. The
        likelihood fits always do. Not with another `weighting` or other `errors` than the pipeline's.

    Raises
    ------
    TypeError
        An option has the wrong type.
    ValueError
        ``algorithm`` is unknown, or an option is out of range or not one of this algorithm.

    Examples
    --------
    >>> FitOptions(algorithm="OLS_C").algorithm
    'ols'
    """

    algorithm: str = "ols"
    suppress_one_group: bool = True
    firstgroup: int | None = None
    lastgroup: int | None = None
    save_opt: bool = False
    rejection_threshold: float | None = field(default=None, metadata={"who": "search for jumps"})
    pedestal: tuple[float, float] | None = field(default=None, metadata={"who": "has a prior for it"})
    readnoise_kind: str = "cds"
    weighting: Weighting = field(default="optimal", metadata={"who": "weights groups"})
    errors: str | None = field(default=None, metadata={"who": "knows several"})
    chisq: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.algorithm, str):
            raise TypeError(f"algorithm: expected {describe_names()}; got {self.algorithm!r}")
        algorithm = find_algorithm(self.algorithm)
        if algorithm is None:
            raise ValueError(f"algorithm: expected {describe_names()}; got {self.algorithm!r}")
        object.__setattr__(self, "algorithm", algorithm.name)
        for name in ("suppress_one_group", "save_opt", "chisq"):
            value = getattr(self, name)
            if not isinstance(value, bool | np.bool_):
                raise TypeError(f"{name}: expected True or False; got {value!r}")
            object.__setattr__(self, name, bool(value))
        self._check_range()
        object.__setattr__(self, "rejection_threshold", self._checked_threshold())
        object.__setattr__(self, "pedestal", self._checked_pedestal())
        object.__setattr__(self, "weighting", checked_weighting(self.weighting))
        self._check_errors()
        self._refuse_unknown()
        self._check_readnoise_kind()

    def _check_range(self) -> None:
        for name in ("firstgroup", "lastgroup"):
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, Integral):
                raise TypeError(f"{name}: expected an integer or None; got {value!r}")
            if value < 0:
                raise ValueError(f"{name}: expected a group, counted from 0; got {value}")
            object.__setattr__(self, name, int(value))
        if None not in (self.firstgroup, self.lastgroup) and self.firstgroup > self.lastgroup:  # type: ignore[operator]
            raise ValueError(f"firstgroup: expected a group up to lastgroup, {self.lastgroup}; got {self.firstgroup}")

    @property
    def own_planes(self) -> tuple[str, ...]:
        """Planes of the rate beside those that every fit returns."""
        algorithm = ALGORITHMS[self.algorithm]
        return algorithm.own_planes or (algorithm.chisq_planes if self.chisq else ())

    def check_groups(self, ngroups: int) -> None:
        """Refuse a first or last group that an exposure of `ngroups` groups does not have; raises ValueError."""
        for name in ("firstgroup", "lastgroup"):
            value = getattr(self, name)
            if value is not None and value >= ngroups:
                raise ValueError(f"{name}: expected a group of the exposure, 0 to {ngroups - 1}; got {value}")

    def for_groups(self, ngroups: int, *, even: bool = True) -> FitOptions:
        """Return the options that an exposure of `ngroups` groups is fitted with.

        They are these, unless the algorithm needs more groups: then ``"ols"`` steps in, without what it does not know.
        Where the groups are not `even` in time it does not: there is no search for jumps in so few groups, but a fit.
        """
        asked, short = ALGORITHMS[self.algorithm], ALGORITHMS[SHORT_RAMPS]
        if ngroups >= asked.fewest_groups or not even:
            return self
        unknown = set(asked.own_options) - set(short.own_options)
        defaults: dict[str, Any] = {option.name: option.default for option in fields(self) if option.name in unknown}
        return replace(self, algorithm=short.name, **defaults)

    def _check_errors(self) -> None:
        if self.errors is None:
            return
        if not isinstance(self.errors, str):
            raise TypeError(f"errors: expected {join_names(ERRORS)} or None; got {self.errors!r}")
        if self.errors not in ERRORS:
            raise ValueError(f"errors: expected {join_names(ERRORS)} or None; got {self.errors!r}")

    def _check_readnoise_kind(self) -> None:
        if not isinstance(self.readnoise_kind, str):
            raise TypeError(f"readnoise_kind: expected 'cds' or 'single'; got {self.readnoise_kind!r}")
        if self.readnoise_kind not in READNOISE_KINDS:
            raise ValueError(f"readnoise_kind: expected 'cds' or 'single'; got {self.readnoise_kind!r}")

    def _refuse_unknown(self) -> None:
        """Refuse options of other algorithms than the one that was chosen."""
        for option in fields(self):
            owners = [algorithm.name for algorithm in ALGORITHMS.values() if option.name in algorithm.own_options]
            if owners and self.algorithm not in owners and getattr(self, option.name) != option.default:
                raise ValueError(
                    f"{option.name}: only {join_names(owners)} {option.metadata['who']}; "
                    f"the algorithm is {self.algorithm!r}"
                )

    def _checked_threshold(self) -> float | None:
        value: Any = self.rejection_threshold
        if value is None:
            return None
        if not _is_number(value):
            raise TypeError(f"rejection_threshold: expected a number of standard deviations or None; got {value!r}")
        if not (_is_finite(value) and value > 0):
            raise ValueError(f"rejection_threshold: expected a finite number above 0; got {value!r}")
        return float(value)

    def _checked_pedestal(self) -> tuple[float, float] | None:
        value: Any = self.pedestal
        if value is None:
            return None
        if isinstance(value, str) or not isinstance(value, Sequence) or not all(map(_is_number, value)):
            raise TypeError(
                f"pedestal: expected two numbers, mean and standard deviation in DN, or None; got {value!r}"
            )
        if len(value) != len(("mean", "sigma")) or not all(map(_is_finite, value)) or value[1] <= 0:
            raise ValueError(
                f"pedestal: expected a finite mean and a finite standard deviation above 0, in DN; got {value!r}"
            )
        return float(value[0]), float(value[1])


def checked_weighting(value: Any) -> Weighting:  # noqa: ANN401
    """Return a weighting as :class:`FitOptions` keeps it: a name, a float, or pairs of floats.

    Raises
    ------
    TypeError, ValueError
        It is none of these.

    Examples
    --------
    >>> checked_weighting([(5, 0.4), (10, 1)])
    ((5.0, 0.4), (10.0, 1.0))
    """
    wanted = f"weighting: expected {join_names(WEIGHTINGS)}, an exponent, or pairs (signal-to-noise ratio, exponent)"
    if isinstance(value, str):
        if value.lower() not in WEIGHTINGS:
            raise ValueError(f"{wanted}; got {value!r}")
        return value.lower()
    if _is_number(value):
        if not (_is_finite(value) and value >= 0):
            raise ValueError(f"weighting: expected a finite exponent of 0 or more; got {value!r}")
        return float(value)
    if not isinstance(value, Sequence) or not value:
        raise TypeError(f"{wanted}; got {value!r}")
    for pair in value:
        two = isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == len(("bound", "exponent"))
        if not two or not all(map(_is_number, pair)):
            raise TypeError(f"{wanted}; got {value!r}")
    numbers = [number for pair in value for number in pair]
    rising = all(before[0] < after[0] for before, after in pairwise(value))
    if not (rising and all(map(_is_finite, numbers)) and min(numbers) >= 0):
        raise ValueError(
            f"weighting: expected rising signal-to-noise ratios and exponents of 0 or more, all finite; got {value!r}"
        )
    return tuple((float(bound), float(exponent)) for bound, exponent in value)


def parse_weighting(text: str) -> Weighting:
    """Return the weighting that a text says: a name, a number, or pairs like ``5:0.4,10:1``.

    Raises
    ------
    ValueError
        It says none.

    Examples
    --------
    >>> parse_weighting("5:0.4,10:1")
    ((5.0, 0.4), (10.0, 1.0))
    """
    value: Any = text.strip()
    try:
        if ":" in value:
            value = [tuple(map(float, pair.split(":"))) for pair in value.split(",")]
        elif value.lower() not in WEIGHTINGS:
            value = float(value)
        return checked_weighting(value)
    except (TypeError, ValueError):
        raise ValueError(
            f"expected {join_names(WEIGHTINGS)}, an exponent of 0 or more, or pairs that rise, as 5:0.4,10:1; "
            f"got {text!r}"
        ) from None


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def _is_finite(number: Any) -> bool:  # noqa: ANN401  (a real number of any kind)
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer beyond all floats
        return False
