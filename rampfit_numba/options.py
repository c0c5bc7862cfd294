"""Options of a fit, checked once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

import numpy as np

#: Accepted spellings of ``algorithm`` (in any case) and what they mean.
ALGORITHMS = {"ols": "ols", "ols_c": "ols", "likely": "likely", "likely_joint": "likely_joint"}
#: The likelihood fits need that many groups, good or not.
LIKELIHOOD_GROUPS = 4
#: What a read noise can be that of: the difference of two frames (correlated double sampling), or a single frame.
READNOISE_KINDS = ("cds", "single")
_KNOWN = "one of 'ols', 'likely' (in the pipeline 'OLS_C' and 'LIKELY') and 'likely_joint'"


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
        First and last group to use, 0-based and inclusive; groups outside count as DO_NOT_USE.
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
    rejection_threshold: float | None = None
    pedestal: tuple[float, float] | None = None
    readnoise_kind: str = "cds"

    def __post_init__(self) -> None:
        if not isinstance(self.algorithm, str):
            raise TypeError(f"algorithm: expected {_KNOWN}; got {self.algorithm!r}")
        if self.algorithm.lower() not in ALGORITHMS:
            raise ValueError(f"algorithm: expected {_KNOWN}; got {self.algorithm!r}")
        object.__setattr__(self, "algorithm", ALGORITHMS[self.algorithm.lower()])
        for name in ("suppress_one_group", "save_opt"):
            value = getattr(self, name)
            if not isinstance(value, bool | np.bool_):
                raise TypeError(f"{name}: expected True or False; got {value!r}")
            object.__setattr__(self, name, bool(value))
        for name in ("firstgroup", "lastgroup"):
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, Integral):
                raise TypeError(f"{name}: expected an integer or None; got {value!r}")
            object.__setattr__(self, name, int(value))
        object.__setattr__(self, "rejection_threshold", self._checked_threshold())
        object.__setattr__(self, "pedestal", self._checked_pedestal())
        if not isinstance(self.readnoise_kind, str):
            raise TypeError(f"readnoise_kind: expected 'cds' or 'single'; got {self.readnoise_kind!r}")
        if self.readnoise_kind not in READNOISE_KINDS:
            raise ValueError(f"readnoise_kind: expected 'cds' or 'single'; got {self.readnoise_kind!r}")

    @property
    def is_likelihood(self) -> bool:
        """Whether this is one of the likelihood fits."""
        return self.algorithm != "ols"

    def for_groups(self, ngroups: int) -> FitOptions:
        """Return the options that an exposure of `ngroups` groups is fitted with.

        They are these, but for a likelihood fit of fewer groups than its search for jumps needs: ``"ols"`` steps in.
        """
        if not self.is_likelihood or ngroups >= LIKELIHOOD_GROUPS:
            return self
        return replace(self, algorithm="ols", rejection_threshold=None, pedestal=None)

    def _checked_threshold(self) -> float | None:
        value: Any = self.rejection_threshold
        if value is None:
            return None
        if not _is_number(value):
            raise TypeError(f"rejection_threshold: expected a number of standard deviations or None; got {value!r}")
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"rejection_threshold: expected a finite number above 0; got {value!r}")
        if not self.is_likelihood:
            raise ValueError(
                "rejection_threshold: only 'likely' and 'likely_joint' search for jumps; the algorithm is 'ols'"
            )
        return float(value)

    def _checked_pedestal(self) -> tuple[float, float] | None:
        value: Any = self.pedestal
        if value is None:
            return None
        if isinstance(value, str) or not isinstance(value, Sequence) or not all(map(_is_number, value)):
            raise TypeError(
                f"pedestal: expected two numbers, mean and standard deviation in DN, or None; got {value!r}"
            )
        if len(value) != len(("mean", "sigma")) or not all(map(math.isfinite, value)) or value[1] <= 0:
            raise ValueError(
                f"pedestal: expected a finite mean and a finite standard deviation above 0, in DN; got {value!r}"
            )
        if self.algorithm != "likely_joint":
            raise ValueError(f"pedestal: only 'likely_joint' has a prior for it; the algorithm is {self.algorithm!r}")
        return float(value[0]), float(value[1])


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)
