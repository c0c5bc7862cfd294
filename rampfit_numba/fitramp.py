"""The interface of T. Brandt's package ``fitramp``, on the compiled kernels.

Pipelines that fit differences of reads row by row with ``fitramp`` need one other import::

    from rampfit_numba import fitramp

Names, arguments, defaults and units are the original's: differences of reads (or of means of reads) divided by the time
between them, in electrons per unit time, and the noise of a single read in electrons. Whole images can be fitted at
once, too. ``docs/fitramp.md`` says what differs.

References: Brandt 2024a (PASP 136, 045004), the fit; Brandt 2024b (PASP 136, 045005), the search for jumps.
"""

from __future__ import annotations

from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from rampfit_numba.algorithms.likely.given_rows import (
    GivenFound,
    GivenInputs,
    GivenRates,
    GivenWeights,
    fit_given_rows,
    search_given_rows,
    weigh_given_rows,
)
from rampfit_numba.algorithms.likely.tables import difference_table
from rampfit_numba.algorithms.read_pattern import read_pattern
from rampfit_numba.checks import as_array, check_read_times, to_array
from rampfit_numba.engine.cores import count_workers
from rampfit_numba.engine.executors import run_rows
from rampfit_numba.first_run import compile_or_load
from rampfit_numba.mapped_arrays import as_file_array

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike

__all__ = ["Covar", "Ramp_Result", "fit_ramps", "mask_jumps"]

_FEWEST_READS = 2
#: Dimensions of the differences of a row and of an image.
_ROW, _IMAGE = 2, 3


class Covar:
    """What the times of the reads say about the covariance of the differences.

    Parameters
    ----------
    read_times : sequence of float or of sequences of float
        The time of each read; or of each of the reads that a group is the mean of. In any unit, rising.
    pedestal : bool
        Only False: a fit of the level at the reset is not offered.

    Attributes
    ----------
    pedestal : bool
    delta_t : ndarray of float64, shape (ndiffs,)
        Time between the means of neighbouring groups, by which differences are to be divided.
    mean_t, tau : ndarray of float64, shape (ndiffs + 1,)
        Mean time of the reads of a group, and their mean weighted by variance (Brandt 2024a, equations 4 and 11).
    Nreads : ndarray of int64, shape (ndiffs + 1,)
    alpha_readnoise, alpha_phnoise : ndarray of float64, shape (ndiffs,)
        The variance of the differences is countrate alpha_phnoise + sig^2 alpha_readnoise (equations 28 and 29).
    beta_readnoise, beta_phnoise : ndarray of float64, shape (ndiffs - 1,)
        The same for the covariance of neighbours.

    Raises
    ------
    NotImplementedError
        `pedestal` is asked for.
    TypeError, ValueError
        `read_times` are no rising numbers, or fewer than two.

    Examples
    --------
    >>> from rampfit_numba import fitramp
    >>> fitramp.Covar([1.0, 2.0, 4.0]).delta_t
    array([1., 2.])
    """

    def __init__(self, read_times: Sequence[float | Sequence[float]] | np.ndarray, pedestal: bool = False) -> None:  # noqa: FBT001, FBT002  (the original's signature)
        if pedestal:
            raise NotImplementedError(
                "pedestal: expected False; got True (a fit of the level at the reset is not offered; "
                "rampfit_numba.fit_ramps(algorithm='likely_joint', pedestal=(mean, sigma)) uses a known one)"
            )
        if (
            isinstance(read_times, str)
            or not hasattr(read_times, "__len__")
            or getattr(read_times, "shape", None) == ()
        ):
            raise TypeError(f"read_times: expected numbers, or a sequence of numbers a group; got {read_times!r}")
        if len(read_times) < _FEWEST_READS:
            raise ValueError(f"read_times: expected two groups or more; got {len(read_times)}")
        groups = check_read_times(read_times, len(read_times))
        pattern = read_pattern(groups or ())
        self.pedestal = False
        self.delta_t, self.mean_t, self.tau, self.Nreads = pattern.delta_t, pattern.mean_t, pattern.tau, pattern.reads
        self.alpha_readnoise, self.beta_readnoise = pattern.alpha_read, pattern.beta_read
        self.alpha_phnoise, self.beta_phnoise = pattern.alpha_photon, pattern.beta_photon
        self._table = difference_table(pattern)

    def calc_bias(self, *_: object, **__: object) -> NoReturn:
        """Refuse: the bias of a first guess is not computed.

        Raises
        ------
        NotImplementedError
            Always.
        """
        raise NotImplementedError(
            "calc_bias: not offered; a second fit with the first one's rate as countrateguess removes that bias"
        )


class Ramp_Result:  # noqa: N801  (the original's name)
    """Result of :func:`fit_ramps`; what it does not offer is None, as in the original where it was not asked for.

    Attributes
    ----------
    countrate, uncert, chisq : ndarray of float64, shape (npix,) or (nrows, ncols)
        Rate in electrons per unit time, its standard deviation, and the chi-square of the fit.
    weights : ndarray of float64, shape (ndiffs, npix) or (ndiffs, nrows, ncols)
        What each difference counts in the rate. Found when it is first asked for.
    """

    pedestal = uncert_pedestal = covar_countrate_pedestal = None
    countrate_twoomit = chisq_twoomit = uncert_twoomit = None
    countrate_oneomit = chisq_oneomit = uncert_oneomit = jumpval_oneomit = jumpsig_oneomit = None

    def __init__(self, countrate: np.ndarray, uncert: np.ndarray, chisq: np.ndarray, weigh: _Weigh) -> None:
        self.countrate, self.uncert, self.chisq = countrate, uncert, chisq
        self._weigh = weigh

    @cached_property
    def weights(self) -> np.ndarray:
        """What each difference counts in the rate, together 1."""
        return self._weigh()


def fit_ramps(  # noqa: PLR0917  (the original's signature)
    diffs: ArrayLike,
    Cov: Covar,  # noqa: N803
    sig: ArrayLike,
    countrateguess: ArrayLike | None = None,
    diffs2use: ArrayLike | None = None,
    detect_jumps: bool = False,  # noqa: FBT001, FBT002
    resetval: ArrayLike = 0,  # noqa: ARG001  (counts with a pedestal only, which is not offered)
    resetsig: ArrayLike = np.inf,  # noqa: ARG001
    rescale: bool = True,  # noqa: ARG001, FBT001, FBT002  (nothing here can overflow)
    *,
    maximum_cores: str | int = "none",
) -> Ramp_Result:
    """Fit one rate to the differences of each pixel, with the covariance of a rate that is given or guessed.

    Parameters
    ----------
    diffs : array_like, shape (ndiffs, npix) or (ndiffs, nrows, ncols)
        Differences of reads or groups, divided by ``Cov.delta_t``. Not modified, as no other argument is.
    Cov : Covar
        From as many times as there are reads.
    sig : float or array_like, shape (npix,) or (nrows, ncols)
        Noise of a single read in electrons.
    countrateguess : array_like, same shape as `sig`, optional
        Rate that the covariance is made of. None: the mean of the used differences, 0 where that is negative.
    diffs2use : array_like, shape of `diffs`, optional
        0 (or False) for the differences to leave out, which then may be anything, NaN included.
    detect_jumps : bool
        Only False: :func:`mask_jumps` finds jumps.
    resetval, resetsig : float or array_like
        Accepted and without effect: they belong to the pedestal.
    rescale : bool
        Accepted and without effect: nothing here can overflow.
    maximum_cores : str or int
        Threads that share the rows of an image: ``"none"`` (one), ``"quarter"``, ``"half"``, ``"all"``, or a number.

    Returns
    -------
    Ramp_Result
        Rate, its error and the chi-square, of the shape of `sig`.

    Raises
    ------
    NotImplementedError
        `detect_jumps` is asked for.
    TypeError, ValueError
        An argument is unusable; the message names it, what was expected and what came.

    Notes
    -----
    Generalised least squares, Brandt 2024a, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from rampfit_numba import fitramp
    >>> C = fitramp.Covar(np.arange(1.0, 11.0))
    >>> reads = 100 + 20 * np.arange(10.0)[:, None]
    >>> diffs = np.diff(reads, axis=0) / C.delta_t[:, None]
    >>> diffs2use, countrates = fitramp.mask_jumps(diffs, C, np.array([6.0]))
    >>> result = fitramp.fit_ramps(diffs, C, np.array([6.0]), diffs2use=diffs2use, countrateguess=countrates)
    >>> float(result.countrate[0]), round(float(result.uncert[0]), 3)
    (20.0, 1.674)
    """
    if detect_jumps:
        raise NotImplementedError(
            "detect_jumps: expected False; got True (the fits without each difference are not offered; "
            "mask_jumps finds the differences to leave out)"
        )
    return _Fit(diffs, Cov, sig, diffs2use, countrateguess, maximum_cores).fit()


def mask_jumps(  # noqa: PLR0917  (the original's signature)
    diffs: ArrayLike,
    Cov: Covar,  # noqa: N803
    sig: ArrayLike,
    threshold_oneomit: float = 20.25,
    threshold_twoomit: float = 23.8,
    diffs2use: ArrayLike | None = None,
    *,
    maximum_cores: str | int = "none",
) -> tuple[np.ndarray, np.ndarray]:
    """Find the differences that jumps have spoilt.

    Parameters
    ----------
    diffs : array_like, shape (ndiffs, npix) or (ndiffs, nrows, ncols)
        As for :func:`fit_ramps`. Differences that are not finite are left out.
    Cov : Covar
        From as many times as there are reads.
    sig : float or array_like, shape (npix,) or (nrows, ncols)
        Noise of a single read in electrons.
    threshold_oneomit, threshold_twoomit : float
        By how much the chi-square must fall for one difference, and for two neighbouring ones, to be left out. Two only
        where the group between them is the mean of several reads.
    diffs2use : array_like, shape of `diffs`, optional
        0 (or False) for the differences that are known to be bad. Not modified, other than in the original.
    maximum_cores : str or int
        Threads that share the rows of an image, as for :func:`fit_ramps`.

    Returns
    -------
    diffs2use : ndarray of uint8, shape of `diffs`
        1 for the differences to use, else 0.
    countrates : ndarray of float64, shape (npix,) or (nrows, ncols)
        Rate without the others, with the covariance of the median: the guess that :func:`fit_ramps` should be given.

    Raises
    ------
    TypeError, ValueError
        An argument is unusable; the message names it, what was expected and what came.

    Notes
    -----
    Brandt 2024b, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from rampfit_numba import fitramp
    >>> reads = 20 * np.arange(10.0)[:, None]
    >>> reads[6:] += 500
    >>> diffs2use, countrates = fitramp.mask_jumps(np.diff(reads, axis=0), fitramp.Covar(range(1, 11)), 6.0)
    >>> diffs2use[:, 0]
    array([1, 1, 1, 1, 1, 0, 1, 1, 1], dtype=uint8)
    """
    limits = _threshold("threshold_oneomit", threshold_oneomit), _threshold("threshold_twoomit", threshold_twoomit)
    return _Fit(diffs, Cov, sig, diffs2use, None, maximum_cores).search(limits)


@cache
def _make_ready() -> None:
    """Compile the kernels, and say so, or load them from the cache."""
    compile_or_load("fitramp", "fitramp", _fit_smallest)


def _fit_smallest() -> None:
    table = Covar([0.0, 1.0])._table  # noqa: SLF001  (of this module)
    cube, plane, flags = np.zeros((1, 1, 1)), np.ones((1, 1)), np.ones((1, 1, 1), np.uint8)
    inputs = GivenInputs(cube, flags, plane, plane)
    search_given_rows(inputs, GivenFound(plane.copy(), flags.copy()), table, (1.0, 1.0))
    fit_given_rows(inputs, GivenRates(*(plane.copy() for _ in range(4))), table)
    weigh_given_rows(inputs, GivenWeights(cube.copy()), table)


class _Weigh(NamedTuple):
    """What the weights of a fit follow from."""

    run: Callable[..., Any]
    inputs: GivenInputs
    table: np.ndarray
    shape: tuple[int, ...]

    def __call__(self) -> np.ndarray:
        """Return the weights of the differences."""
        weights = np.empty((self.shape[0], *self.inputs.sigma.shape))
        self.run(partial(weigh_given_rows, table=self.table), self.inputs, GivenWeights(weights))
        return weights.reshape(self.shape)


class _Fit:
    """Arguments that were checked, as arrays of three dimensions, and what can be done with them."""

    def __init__(  # noqa: PLR0917
        self,
        diffs: Any,  # noqa: ANN401  (anything array-like, as for all of these)
        covar: Any,  # noqa: ANN401
        sig: Any,  # noqa: ANN401
        wanted: Any,  # noqa: ANN401
        guess: Any,  # noqa: ANN401
        maximum_cores: str | int,
    ) -> None:
        if not isinstance(covar, Covar):
            raise TypeError(f"Cov: expected a rampfit_numba.fitramp.Covar; got {type(covar).__name__}")
        differences = as_array("diffs", diffs, "electron / s")
        if differences.ndim not in (_ROW, _IMAGE) or 0 in differences.shape:
            raise ValueError(
                f"diffs: expected shape (ndiffs, npix) or (ndiffs, nrows, ncols); got shape {differences.shape}"
            )
        self._shape = differences.shape
        if self._shape[0] != covar.delta_t.size:
            raise ValueError(
                f"diffs: expected {covar.delta_t.size} differences, one fewer than the times that Cov was made of; "
                f"got shape {self._shape}"
            )
        self._table = covar._table  # noqa: SLF001  (of this module)
        _make_ready()
        sigma = _per_pixel("sig", sig, self._shape[1:], "electron")
        if guess is not None:
            guess = _per_pixel("countrateguess", guess, self._shape[1:], "electron / s")
        if wanted is not None:
            wanted = to_array("diffs2use", wanted, "0 and 1")
            if wanted.dtype.kind not in "biuf" or wanted.shape != self._shape:
                raise ValueError(
                    f"diffs2use: expected 0 and 1, the shape of diffs, {self._shape}; "
                    f"got {wanted.dtype}, shape {wanted.shape}"
                )
            wanted = wanted.reshape(self._rows(wanted.shape))
        self._inputs = GivenInputs(as_file_array(differences.reshape(self._rows(self._shape))), wanted, sigma, guess)
        nrows = self._rows(self._shape)[-2]
        self._run = partial(
            run_rows, nrows=nrows, workers=count_workers(maximum_cores, nrows), executor="threads", progress=False
        )

    @staticmethod
    def _rows(shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape with an axis of one row where there is none."""
        return shape if len(shape) == _IMAGE else (*shape[:-1], 1, shape[-1])

    def _empty(self, *, cube: bool = False, dtype: type = np.float64) -> np.ndarray:
        shape = self._rows(self._shape)
        return np.empty(shape if cube else shape[1:], dtype)

    def fit(self) -> Ramp_Result:
        """Return rate, standard deviation and chi-square, and the means to find the weights."""
        outputs = GivenRates(self._empty(), self._empty(), self._empty(), self._empty())
        self._run(partial(fit_given_rows, table=self._table), self._inputs, outputs)
        rate, err, chisq, assumed = outputs
        # Copies: the caller may fill the arrays with the next row before the weights are asked for.
        wanted = None if self._inputs.wanted is None else (self._inputs.wanted != 0).view(np.uint8)
        inputs = GivenInputs(None, wanted, self._inputs.sigma.copy(), assumed)
        image = self._shape[1:]
        weigh = _Weigh(self._run, inputs, self._table, self._shape)
        return Ramp_Result(rate.reshape(image), err.reshape(image), chisq.reshape(image), weigh)

    def search(self, limits: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
        """Return the differences to use, and the rate of those."""
        outputs = GivenFound(self._empty(), self._empty(cube=True, dtype=np.uint8))
        self._run(partial(search_given_rows, table=self._table, limits=limits), self._inputs, outputs)
        return outputs.wanted.reshape(self._shape), outputs.rate.reshape(self._shape[1:])


def _per_pixel(name: str, value: Any, image: tuple[int, ...], unit: str) -> np.ndarray:  # noqa: ANN401
    """Return a number or one value a pixel as an array of rows and columns."""
    array = as_array(name, value, unit)
    # The original's own search hands over guesses with an axis in front.
    if array.shape not in ((), image, (1, *image)):
        raise ValueError(f"{name}: expected a number or shape {image}, that of one of diffs; got shape {array.shape}")
    return np.broadcast_to(array.reshape(array.shape[-len(image) :] if array.ndim else ()), image).reshape(
        image if len(image) > 1 else (1, *image)
    )


def _threshold(name: str, value: Any) -> float:  # noqa: ANN401
    try:
        number = float(value)
    except Exception as error:  # whatever an object says that is none
        raise TypeError(f"{name}: expected a number; got {value!r}") from error
    if np.isnan(number):
        raise ValueError(f"{name}: expected a number; got {value!r}")
    return number


def __getattr__(name: str) -> NoReturn:
    if name == "getramps":
        raise AttributeError("fitramp.getramps is not offered; rampfit_numba.simulate_exposure makes ramps")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
