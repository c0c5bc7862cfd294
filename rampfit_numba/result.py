"""What a fit returns: rate, rateints and, on request, fitopt."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from rampfit_numba.summary import brief, flags_text, median_text, shape_text, table

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from astropy.io.fits import HDUList
    from astropy.nddata import CCDData, NDDataArray
    from astropy.table import QTable
    from astropy.units import Quantity
    from numpy.typing import ArrayLike

    from rampfit_numba.exposure import Exposure
    from rampfit_numba.exposure_header import ExposureHeader
    from rampfit_numba.options import FitOptions

#: Why nothing could be fitted, where no rule for the whole exposure says so: each ramp has its reason in its flags.
NO_VALID_FIT = "no ramp has a valid fit"


@dataclass(frozen=True, eq=False, repr=False)
class Rate:
    """Count rate of an exposure, all integrations together.

    Attributes
    ----------
    data : ndarray of float32, shape (nrows, ncols)
        Slope in DN/s; NaN where nothing can be used.
    err : ndarray of float32, shape (nrows, ncols)
        Standard deviation in DN/s.
    dq : ndarray of uint32, shape (nrows, ncols)
        Data-quality flags, see :mod:`rampfit_numba.dq`.
    var_poisson, var_rnoise : ndarray of float32, shape (nrows, ncols)
        Variance due to photon statistics and to read noise, in (DN/s)^2.
    chisq : ndarray of float32, shape (nrows, ncols), or None
        Chi-square of the fit; of ``"ols"`` the sum of the segments' that :func:`rampfit_numba.find_segments` lists, or
        None where ``chisq`` did not ask for it. NaN where the noise is not finite.
    dof : ndarray of int32, shape (nrows, ncols), or None
        Degrees of freedom of `chisq`: differences of neighbouring groups that the fit used, less the rates fitted to
        them, which are one for each integration, but one for all of them with ``"likely_joint"``, and one for each
        segment with ``"ols"``; 0 where nothing was fitted. None where `chisq` is.
    header : ExposureHeader or None
        The exposure's header.
    """

    data: np.ndarray
    err: np.ndarray
    dq: np.ndarray
    var_poisson: np.ndarray
    var_rnoise: np.ndarray
    chisq: np.ndarray | None = None
    dof: np.ndarray | None = None
    header: ExposureHeader | None = None

    # The methods that give astropy's objects are shorthand for functions of higher layers; see RampFit.

    @property
    def quantity(self) -> Quantity:
        """`data` in DN/s, as an astropy Quantity that shares its memory."""
        from astropy import units

        return units.Quantity(self.data, "DN / s", copy=False)

    @property
    def err_quantity(self) -> Quantity:
        """`err` in DN/s, as an astropy Quantity that shares its memory."""
        from astropy import units

        return units.Quantity(self.err, "DN / s", copy=False)

    def to_ccddata(self) -> CCDData:
        """Return the rate as a CCDData; shorthand for :func:`rampfit_numba.to_ccddata`."""
        import rampfit_numba

        return rampfit_numba.to_ccddata(self)

    def to_nddata(self) -> NDDataArray:
        """Return the rate as an NDDataArray; shorthand for :func:`rampfit_numba.to_nddata`."""
        import rampfit_numba

        return rampfit_numba.to_nddata(self)

    def __repr__(self) -> str:
        return brief(type(self).__name__, {"": shape_text(self.data.shape), **self.facts()})

    def _repr_html_(self) -> str:
        return table(type(self).__name__, {"size": shape_text(self.data.shape), **self.facts()})

    def facts(self) -> dict[str, str]:
        """Return what its short description tells."""
        return {
            "median": f"{median_text(self.data)} DN/s",
            "median err": f"{median_text(self.err)} DN/s",
            "flagged:": flags_text(self.dq),
        }

    @classmethod
    def allocate(
        cls, *shape: int, own_planes: Collection[str] = (), empty: Callable[..., np.ndarray] = np.empty
    ) -> Self:
        """Return arrays of `shape` whose values are not set yet, made by `empty` (that of NumPy, or one like it).

        `own_planes` are those of the algorithm, beside the ones that all algorithms return.
        """
        planes: dict[str, Any] = {name: empty(shape, dtype) for name, dtype in plane_types(own_planes).items()}
        return cls(**planes)


def plane_types(own_planes: Collection[str]) -> dict[str, np.dtype[Any]]:
    """Return the planes of a :class:`Rate` that all algorithms return, and `own_planes`, and their elements' types."""
    special = {"dq": np.dtype(np.uint32), "dof": np.dtype(np.int32)}
    names = [plane.name for plane in fields(Rate) if plane.default is MISSING or plane.name in own_planes]
    return {name: special.get(name, np.dtype(np.float32)) for name in names}


@dataclass(frozen=True, eq=False, repr=False)
class RateInts(Rate):
    """Count rate of each integration: the arrays of :class:`Rate` with a leading axis of nints."""


@dataclass(frozen=True, eq=False)
class FitOpt:
    """Fits of the single segments, in time order and filled up with zeros.

    All arrays are float32. nsegments is the largest number of segments and njumps the largest number of flagged jumps
    that any ramp of the exposure has; either may be 0.

    Attributes
    ----------
    slope : ndarray, shape (nints, nsegments, nrows, ncols)
        Slope in DN/s.
    sigslope, sigyint : ndarray, shape (nints, nsegments, nrows, ncols)
        Standard deviations of slope and intercept from read noise alone, in e-/group and e- (sic: as the pipeline has
        them).
    var_poisson, var_rnoise : ndarray, shape (nints, nsegments, nrows, ncols)
        Variances of the slope in (DN/s)^2.
    yint : ndarray, shape (nints, nsegments, nrows, ncols)
        The fitted line at the first fitted group of the exposure, in DN.
    pedestal : ndarray, shape (nints, nrows, ncols)
        Signal extrapolated towards the reset as the pipeline has it, in DN.
    weights : ndarray, shape (nints, nsegments, nrows, ncols)
        Weights of the segments in the combination, 1/var_rnoise, in (s/DN)^2.
    crmag : ndarray, shape (nints, njumps, nrows, ncols)
        Steps at the flagged jumps, in DN.
    """

    slope: np.ndarray
    sigslope: np.ndarray
    var_poisson: np.ndarray
    var_rnoise: np.ndarray
    yint: np.ndarray
    sigyint: np.ndarray
    pedestal: np.ndarray
    weights: np.ndarray
    crmag: np.ndarray

    @classmethod
    def allocate(  # noqa: PLR0917  (a shape)
        cls,
        nints: int,
        nsegments: int,
        njumps: int,
        nrows: int,
        ncols: int,
        empty: Callable[..., np.ndarray] = np.empty,
    ) -> Self:
        """Return arrays whose values are not set yet, made by `empty`."""
        depth = {"pedestal": (), "crmag": (njumps,)}
        shapes = {field.name: (nints, *depth.get(field.name, (nsegments,)), nrows, ncols) for field in fields(cls)}
        return cls(**{name: empty(shape, np.float32) for name, shape in shapes.items()})


@dataclass(frozen=True, eq=False)
class FitInputs:
    """What was fitted: the caller's own arrays, not copies of them; read-only where mapped or shared with other fits.

    Attributes
    ----------
    exposure : Exposure
    readnoise : ndarray, shape (nrows, ncols)
        Noise of the difference of two frames (CDS) in DN.
    gain : ndarray, shape (nrows, ncols)
        In e-/DN.
    """

    exposure: Exposure
    readnoise: np.ndarray = field(repr=False)
    gain: np.ndarray = field(repr=False)


@dataclass(frozen=True, eq=False, repr=False)
class RampFit:
    """Result of :func:`rampfit_numba.fit_ramps`.

    Attributes
    ----------
    rate : Rate
        The exposure, shape (nrows, ncols).
    rateints : RateInts
        Its integrations, shape (nints, nrows, ncols).
    fitopt : FitOpt or None
        Its segments, where ``save_opt`` asked for them.
    header : ExposureHeader or None
        The exposure's header.
    options : FitOptions
        What was done: what was asked for, but for likelihood fits of too few groups, for which ``"ols"`` stepped in.
    nothing_to_fit : str
        Empty, or the reason why no pixel of the exposure could be fitted; then all rates are NaN and the flags are set.
        (With ``"ols"`` a ramp that is left without a segment by flags other than DO_NOT_USE and SATURATED has the
        rate 0 and the error 0, as in the pipeline.)
    groupdq : ndarray of uint8, shape (nints, ngroups, nrows, ncols), or None
        Flags of the groups with the jumps that a likelihood fit found; None for ``"ols"``, which finds none.
    inputs : FitInputs or None
        What was fitted, which :meth:`segments` and :meth:`jumps` look at. It keeps the exposure in memory (one in a
        file stays there); ``dataclasses.replace(fit, inputs=None)`` lets go of it.
    """

    rate: Rate
    rateints: RateInts
    fitopt: FitOpt | None
    header: ExposureHeader | None
    options: FitOptions
    nothing_to_fit: str = ""
    groupdq: np.ndarray | None = None
    inputs: FitInputs | None = None

    def __repr__(self) -> str:
        return brief("RampFit", {"": shape_text(self.rateints.data.shape), **self._facts()})

    def _repr_html_(self) -> str:
        return table("RampFit", {"size": shape_text(self.rateints.data.shape), **self._facts()})

    def _facts(self) -> dict[str, str]:
        facts = {"algorithm": repr(self.options.algorithm), **self.rate.facts()}
        if self.fitopt is not None:
            facts["with"] = f"fitopt of {self.fitopt.slope.shape[1]} segments"
        if self.nothing_to_fit:
            facts["nothing fitted:"] = self.nothing_to_fit
        return facts

    # The methods are shorthand for public functions of higher layers, which are reached through the package's door.

    def segments(self, x: ArrayLike, y: ArrayLike) -> QTable:
        """Return the line of every segment of chosen pixels; shorthand for :func:`rampfit_numba.find_segments`."""
        import rampfit_numba

        return rampfit_numba.find_segments(self, x, y)

    def samples(self, x: ArrayLike, y: ArrayLike) -> QTable:
        """Return the samples of chosen pixels beside their lines; shorthand for :func:`rampfit_numba.find_samples`."""
        import rampfit_numba

        return rampfit_numba.find_samples(self, x, y)

    def to_hdulists(self) -> dict[str, HDUList]:
        """Return the products as HDU lists, by kind; shorthand for :func:`rampfit_numba.to_hdulists`."""
        import rampfit_numba

        return rampfit_numba.to_hdulists(self)

    def jumps(self) -> QTable:
        """Return the jumps of the exposure with their sizes; shorthand for :func:`rampfit_numba.find_jumps`."""
        import rampfit_numba

        return rampfit_numba.find_jumps(self)
