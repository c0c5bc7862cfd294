"""Options of a fit, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

import numpy as np

#: Accepted spellings of ``algorithm`` and what they mean.
ALGORITHMS = {"ols": "ols", "ols_c": "ols"}
_KNOWN = "one of 'ols' and 'OLS_C' (its name in the pipeline)"


@dataclass(frozen=True)
class FitOptions:
    """What is fitted, as opposed to where and how fast.

    Parameters
    ----------
    algorithm : str
        ``"ols"`` (the pipeline's name ``"OLS_C"`` is accepted too, in any case).
    suppress_one_group : bool
        Treat a ramp with exactly one good group as having none. Exposures of one group are never suppressed.
    firstgroup, lastgroup : int, optional
        First and last group to use, 0-based and inclusive; groups outside count as DO_NOT_USE.
    save_opt : bool
        Also return the fit of every segment (fitopt).

    Raises
    ------
    TypeError
        An option has the wrong type.
    ValueError
        ``algorithm`` is unknown.

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
