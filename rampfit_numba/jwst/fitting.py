"""Which fit, and with how many workers: behind the step, and behind the functions with stcal's signatures."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from stcal.ramp_fitting.likely_fit import LIKELY_MIN_NGROUPS

from rampfit_numba.api import fit_ramps
from rampfit_numba.engine.cores import count_workers
from rampfit_numba.messages import RampFitWarning

if TYPE_CHECKING:
    import numpy as np

    from rampfit_numba.exposure import Exposure
    from rampfit_numba.result import FitOpt, Rate, RateInts

log = logging.getLogger(f"stpipe.{__name__}")  # below "stpipe", whose messages the pipeline shows and keeps

OLS, LIKELY = "OLS_C", "LIKELY"
#: Everything that the pipeline and older notebooks call the algorithms, in lower case.
_ALGORITHMS = {"ols_c": OLS, "ols": OLS, "likely": LIKELY}


class FitSettings(NamedTuple):
    """What the step's parameters say.

    Attributes
    ----------
    algorithm : str
        ``"OLS_C"`` or ``"LIKELY"``.
    save_opt, suppress_one_group : bool
    firstgroup, lastgroup : int or None
    maximum_cores : str or int
        As :func:`rampfit_numba.fit_ramps` takes it.
    executor : str
        ``"processes"`` or ``"threads"``.
    readnoise_kind : str
        ``"cds"`` or ``"single"``.
    progress : bool
        Whether a progress bar is shown.
    """

    algorithm: str
    save_opt: bool
    suppress_one_group: bool
    firstgroup: int | None
    lastgroup: int | None
    maximum_cores: str | int
    executor: str
    readnoise_kind: str = "cds"
    progress: bool = False


class Fitted(NamedTuple):
    """What either algorithm finds.

    Attributes
    ----------
    rate : Rate
    rateints : RateInts
    fitopt : FitOpt or None
        Of OLS, where it was asked for.
    chisq : ndarray of float32, shape (nrows, ncols), or None
        Of LIKELY.
    chisq_ints : ndarray of float32, shape (nints, nrows, ncols), or None
        The same by integration.
    """

    rate: Rate
    rateints: RateInts
    fitopt: FitOpt | None = None
    chisq: np.ndarray | None = None
    chisq_ints: np.ndarray | None = None


def known_algorithm(name: Any) -> str:  # noqa: ANN401
    """Return ``"OLS_C"`` or ``"LIKELY"``.

    Raises
    ------
    ValueError
        There is no such algorithm.
    """
    known = _ALGORITHMS.get(name.lower()) if isinstance(name, str) else None
    if known is None:
        raise ValueError(f"algorithm: expected 'OLS_C' (or 'ols') or 'LIKELY' (or 'likely'); got {name!r}")
    return known


def usable_algorithm(wanted: str, ngroups: int) -> str:
    """Return OLS_C instead of LIKELY where the ramps are too short for that."""
    if wanted == LIKELY and ngroups < LIKELY_MIN_NGROUPS:
        log.info(
            "LIKELY needs at least %d groups, and there are %d: the algorithm is changed to %s",
            LIKELY_MIN_NGROUPS,
            ngroups,
            OLS,
        )
        return OLS
    return wanted


def known_cores(value: Any) -> str | int:  # noqa: ANN401
    """Return ``maximum_cores`` as :func:`rampfit_numba.fit_ramps` takes it; also the pipeline's ``"one"`` and None.

    Raises
    ------
    TypeError, ValueError
        It is no number of workers.
    """
    if value is None or (isinstance(value, str) and value.strip().lower() in {"one", ""}):
        return "none"
    count_workers(value, 1)
    cores: str | int = value
    return cores


def fit_exposure(
    exposure: Exposure,
    readnoise: np.ndarray,
    gain: np.ndarray,
    settings: FitSettings,
    rejection_threshold: float | None = None,
) -> Fitted | None:
    """Fit the ramps of an exposure.

    Parameters
    ----------
    exposure : Exposure
    readnoise, gain : ndarray, shape (nrows, ncols)
        Noise in DN, of the kind that `settings` names, and e-/DN.
    settings : FitSettings
    rejection_threshold : float, optional
        Of LIKELY's jump detection, in standard deviations; None: its default.

    Returns
    -------
    Fitted or None
        None: there is nothing to fit, as the pipeline sees it.
    """
    likely = settings.algorithm == LIKELY
    log.info("Number of multiprocessing slices: %d", count_workers(settings.maximum_cores, exposure.nrows))
    with warnings.catch_warnings():
        # The caller is told below.
        warnings.simplefilter("ignore", RampFitWarning)
        fit = fit_ramps(
            exposure,
            readnoise,
            gain,
            algorithm="likely" if likely else "ols",
            suppress_one_group=settings.suppress_one_group,
            firstgroup=settings.firstgroup,
            lastgroup=settings.lastgroup,
            save_opt=settings.save_opt,
            readnoise_kind=settings.readnoise_kind,
            rejection_threshold=rejection_threshold if likely else None,
            maximum_cores=settings.maximum_cores,
            executor=settings.executor,
            progress=settings.progress,
        )
    if fit.nothing_to_fit:
        log.warning("No ramp can be fitted: %s", fit.nothing_to_fit)
        if not likely:  # the pipeline has products of LIKELY, all NaN
            return None
    return Fitted(fit.rate, fit.rateints, fit.fitopt, fit.rate.chisq, fit.rateints.chisq)
