"""What an algorithm's code offers: how it plans an exposure, fits rows, and where its results go.

Each folder beside this module has a ``method.py`` whose ``METHOD`` is such an object; :mod:`rampfit_numba.registry`
lists the algorithms.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from rampfit_numba.registry import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from rampfit_numba.algorithms.rows import RowInputs
    from rampfit_numba.exposure import Exposure
    from rampfit_numba.options import FitOptions
    from rampfit_numba.result import FitOpt, Rate, RateInts


class Kernels(NamedTuple):
    """Kernels that are compiled together: those of one kind of fit.

    Attributes
    ----------
    algorithm : str
        As :class:`FitOptions` has it.
    variant : tuple of str
        What tells them from others of the same algorithm.
    """

    algorithm: str
    variant: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """A name for files."""
        return "-".join((self.algorithm, *self.variant))

    @property
    def label(self) -> str:
        """What messages call them."""
        return repr(self.algorithm) + f" ({', '.join(self.variant)})" * bool(self.variant)


class Plan(NamedTuple):
    """How to fit an exposure.

    Attributes
    ----------
    inputs : RowInputs
        The arrays that are read, those of the whole exposure.
    fit_rows : callable
        Called as ``fit_rows(inputs, outputs)`` with some rows of `inputs` and of :meth:`Method.outputs`, which it
        writes whole. Can be pickled.
    kernels : Kernels
        What it needs compiled.
    count_rows : callable or None
        Called as ``count_rows(inputs, None)`` with some rows: the largest number of segments and of jumps of any ramp.
        None: no optional results were asked for.
    nothing_to_fit : str
        Empty, or the reason why no ramp of the exposure can be fitted.
    expect_rows : callable or None
        As `count_rows`, from `groupdq` alone and in less time: right if every sample is finite, which what `fit_rows`
        returns tells as `finite`. None: it would not be.
    """

    inputs: RowInputs
    fit_rows: Callable[[RowInputs, Any], Any]
    kernels: Kernels
    count_rows: Callable[[RowInputs, None], tuple[int, int]] | None = None
    nothing_to_fit: str = ""
    expect_rows: Callable[[RowInputs, None], tuple[int, int]] | None = None


class Results(NamedTuple):
    """The arrays that a fit fills.

    Attributes
    ----------
    rate, rateints : Rate, RateInts
    fitopt : FitOpt or None
        Zeros; None where it was not asked for.
    groupdq : ndarray of uint8, shape (nints, ngroups, nrows, ncols), or None
        None for algorithms that find no jumps.
    """

    rate: Rate
    rateints: RateInts
    fitopt: FitOpt | None
    groupdq: np.ndarray | None


class Method(Protocol):
    """The code of an algorithm, or of several that share it."""

    def plan(self, exposure: Exposure, options: FitOptions, inputs: RowInputs, surveys: Sequence[Any] = ()) -> Plan:
        """Decide how to fit an exposure; `inputs` are all its arrays, or where they stand.

        Where no process has the whole exposure, it is one of the same times and groups, and `surveys` are of all parts.
        """

    def survey(self, exposure: Exposure, options: FitOptions) -> Any:  # noqa: ANN401  (its own)
        """Find in a part of an exposure, some of its pixels, what its plan depends on."""

    def surveyed(self, exposure: Exposure) -> tuple[str, ...]:
        """Return the names of the arrays that a survey looks at: none where the plan depends on no array."""

    def outputs(self, results: Results) -> Any:  # noqa: ANN401  (a named tuple of arrays)
        """Return the arrays of `results` as the row function takes them; rows are the last axis but one of each."""

    def finish(self, plan: Plan, returned: list[Any], results: Results) -> str:
        """Do what is left when rows are fitted, all or some; return why nothing could be fitted, or an empty text.

        `returned` is what the row function returned, in the order of rows, and `results` are theirs.
        """

    def tell(self, returned: list[Any]) -> None:
        """Log what the row function found in all rows."""

    def kernels(self, algorithm: str) -> list[Kernels]:
        """Return all kernels that fits with this algorithm can need."""

    def fit_smallest(self, kernels: Kernels) -> None:
        """Fit the least that there is with `kernels`, so that they are compiled or loaded."""


def load_method(algorithm: str) -> Method:
    """Import and return the code of an algorithm."""
    package = ALGORITHMS[algorithm].package
    return cast("Method", import_module(f"{__package__}.{package}.method").METHOD)
