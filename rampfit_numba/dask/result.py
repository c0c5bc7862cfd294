"""The lazy result."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import dask
import numpy as np

from rampfit_numba.api import anything_fitted
from rampfit_numba.messages import RampFitWarning
from rampfit_numba.result import NO_VALID_FIT, FitOpt, RampFit, Rate, RateInts
from rampfit_numba.summary import brief, shape_text

if TYPE_CHECKING:
    from dask.delayed import Delayed

    from rampfit_numba.exposure_header import ExposureHeader
    from rampfit_numba.options import FitOptions


@dataclass(frozen=True, eq=False, repr=False)
class LazyRate(Rate):
    """The planes of a :class:`rampfit_numba.Rate` or :class:`rampfit_numba.RateInts` as dask arrays."""

    def facts(self) -> dict[str, str]:
        """Return what its short description tells, without computing anything."""
        return {"lazy, in": f"{self.data.npartitions} blocks"}  # type: ignore[attr-defined]  # a dask array

    def __repr__(self) -> str:
        return brief("LazyRate", {"": shape_text(self.data.shape), **self.facts()})


@dataclass(frozen=True, eq=False, repr=False)
class LazyRampFit:
    """Lazy result of :func:`rampfit_numba.dask.fit_ramps`: a :class:`rampfit_numba.RampFit` of dask arrays.

    Attributes
    ----------
    rate, rateints : LazyRate
        Their planes are dask arrays with the names, shapes and dtypes that :class:`rampfit_numba.Rate` has.
    fitopt : FitOpt or None
        Of dask arrays whose numbers of segments and jumps are not known before they are computed (nan in their shapes;
        their ``compute_chunk_sizes()``, after :meth:`persist`, makes them known, which ``to_zarr`` needs).
    header : ExposureHeader or None
    options : FitOptions
        What is done.
    nothing_to_fit : dask.delayed.Delayed
        Why no pixel can be fitted, where a rule for the whole exposure says so; else an empty text.
    groupdq : dask.array.Array of uint8, shape (nints, ngroups, nrows, ncols), or None
        Flags of the groups with the jumps that a likelihood fit found.
    """

    rate: LazyRate
    rateints: LazyRate
    fitopt: FitOpt | None
    header: ExposureHeader | None
    options: FitOptions
    nothing_to_fit: Delayed
    groupdq: Any = None

    def __repr__(self) -> str:
        facts = {"": shape_text(self.rateints.data.shape), "algorithm": repr(self.options.algorithm)}
        return brief("LazyRampFit", facts | self.rate.facts())

    def compute(self, **keywords: Any) -> RampFit:  # noqa: ANN401  (those of dask.compute)
        """Fit, and return the result in memory; every block is fitted once.

        Parameters
        ----------
        **keywords
            For :func:`dask.compute`: ``scheduler="processes"``, say. None: the client that was made last, or threads.

        Returns
        -------
        RampFit
            Equal in every bit to that of :func:`rampfit_numba.fit_ramps`; without `inputs`.

        Warns
        -----
        RampFitWarning
            No ramp of the exposure can be fitted.
        """
        planes = (vars(self.rate), vars(self.rateints), None if self.fitopt is None else vars(self.fitopt))
        lazy = [{} if kind is None else _arrays(kind) for kind in planes]
        rate, rateints, fitopt, groupdq, nothing = dask.compute(*lazy, self.groupdq, self.nothing_to_fit, **keywords)
        made, cube = Rate(**rate, header=self.header), RateInts(**rateints, header=self.header)
        nothing = nothing or ("" if anything_fitted(made) else NO_VALID_FIT)
        if nothing:
            left = "NaN" if np.isnan(made.data).all() else "NaN or 0"
            warnings.warn(f"no ramp can be fitted: {nothing}; all rates are {left}", RampFitWarning, stacklevel=2)
        return RampFit(made, cube, FitOpt(**fitopt) if fitopt else None, self.header, self.options, nothing, groupdq)

    def persist(self, **keywords: Any) -> LazyRampFit:  # noqa: ANN401  (those of dask.persist)
        """Begin the fit, and return the same result, whose planes the workers keep (or this process).

        Parameters
        ----------
        **keywords
            For :func:`dask.persist`.

        Returns
        -------
        LazyRampFit
        """
        kinds = {kind: getattr(self, kind) for kind in ("rate", "rateints", "fitopt")}
        lazy = {kind: _arrays(vars(planes)) for kind, planes in kinds.items() if planes is not None}
        kept, groupdq, nothing = dask.persist(lazy, self.groupdq, self.nothing_to_fit, **keywords)
        made = {kind: replace(kinds[kind], **planes) for kind, planes in kept.items()}
        return replace(self, **made, groupdq=groupdq, nothing_to_fit=nothing)


def _arrays(planes: dict[str, Any]) -> dict[str, Any]:
    """Return the dask arrays among the fields of a result."""
    return {name: plane for name, plane in planes.items() if dask.is_dask_collection(plane)}
