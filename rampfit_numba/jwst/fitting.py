"""Which fit, with how many workers, and what is said about it: behind the step and the functions of stcal's kind."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.api import fit_ramps, workers_for
from rampfit_numba.engine.cores import count_workers
from rampfit_numba.messages import RampFitWarning
from rampfit_numba.registry import ALGORITHMS, find_algorithm
from rampfit_numba.result import NO_VALID_FIT
from rampfit_numba.timing import evenly_read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rampfit_numba.exposure import Exposure
    from rampfit_numba.options import FitOptions
    from rampfit_numba.result import RampFit

log = logging.getLogger(f"stpipe.{__name__}")  # below "stpipe", whose messages the pipeline shows and keeps

#: With fewer groups the jump step has nothing to find, and skips itself.
_FEWEST_FOR_JUMPS = 3
#: The package's own logger, which the pipeline does not know.
LOGGER = "rampfit_numba"


def known_algorithm(name: Any) -> str:  # noqa: ANN401
    """Return what an algorithm is called here, from any name that it has.

    Raises
    ------
    ValueError
        There is no such algorithm.
    """
    known = find_algorithm(name) if isinstance(name, str) else None
    if known is None:
        *others, last = (
            f"{algorithm.pipeline_name!r} (or {algorithm.name!r})" if algorithm.pipeline_name else repr(algorithm.name)
            for algorithm in ALGORITHMS.values()
        )
        raise ValueError(f"algorithm: expected {', '.join(others)} or {last} (in any case); got {name!r}")
    return known.name


def shown_name(options: FitOptions) -> str:
    """Return what the pipeline calls an algorithm, or would."""
    return ALGORITHMS[options.algorithm].pipeline_name or options.algorithm.upper()


def pipeline_groups(firstgroup: int | None, lastgroup: int | None, ngroups: int) -> tuple[int | None, int | None, bool]:
    """Return the range of groups that the pipeline makes of its parameters, with a warning where it makes another.

    Returns
    -------
    firstgroup, lastgroup : int or None
        As :class:`rampfit_numba.FitOptions` takes them.
    nothing_left : bool
        No group is left: the pipeline does not notice a first group beyond the last one that there is.
    """
    first, last = firstgroup, lastgroup
    if first is not None and first < 0:
        log.warning("firstgroup %d is negative: 0 is used", first)
        first = 0
    if last is not None and last >= ngroups:
        log.warning("lastgroup %d is beyond the %d groups: it has no effect", last, ngroups)
    if (first, last) != (None, None) and (first or 0) >= (ngroups - 1 if last is None else last):
        log.warning(
            "No group range from %d to %d: firstgroup and lastgroup are ignored",
            first or 0,
            ngroups - 1 if last is None else last,
        )
        return None, None, False
    if first is not None and first >= ngroups:
        log.warning("firstgroup %d is beyond the %d groups: none is left", first, ngroups)
        return None, None, True
    return first, None if last is None or last >= ngroups else last, False


def warn_of_skipped(model: Any, options: FitOptions) -> None:  # noqa: ANN401
    """Log a warning where the flags that OLS relies on were not made, as the model's history of steps has it."""
    steps = getattr(model.meta, "cal_step", None)
    ngroups = model.data.shape[1]
    skipped = [
        step
        for step, fewest in (("jump", _FEWEST_FOR_JUMPS), ("saturation", 1))
        if getattr(steps, step, None) == "SKIPPED" and ngroups >= fewest
    ]
    if skipped and not is_likelihood(options):
        log.warning(
            "Skipped: the %s step; OLS takes hits and saturated groups without flags for signal; LIKELY searches for "
            "jumps itself",
            " and the ".join(skipped),
        )


def explicit_times(read_times: Any) -> list[list[float]] | None:  # noqa: ANN401
    """Return the times of the frames of each group, whatever kind of list they are; None where there are none."""
    if read_times is None or len(read_times) == 0:
        return None
    return [np.atleast_1d(np.asarray(group, float)).tolist() for group in read_times]


def is_likelihood(options: FitOptions) -> bool:
    """Tell whether this is a fit that finds jumps and goes by the times of the frames."""
    return ALGORITHMS[options.algorithm].finds_jumps


@contextmanager
def logged_warnings(*, but: str = "\0") -> Iterator[None]:
    """Make the package's warnings log lines, as a pipeline keeps them; those that begin with `but` are left out."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RampFitWarning)
        yield
    for warning in caught:
        if not issubclass(warning.category, RampFitWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        elif not str(warning.message).startswith(but):
            log.warning("%s", warning.message)


def usable_options(options: FitOptions, ngroups: int, read_times: Any = None) -> FitOptions:  # noqa: ANN401
    """Return the options with OLS instead of a likelihood fit where the ramps are too short, and evenly read."""
    usable = options.for_groups(ngroups, even=evenly_read(explicit_times(read_times)))
    if usable != options:
        log.info(
            "The ramp fitting algorithm is being changed to %s: %s needs at least %d groups, and there are %d",
            shown_name(usable),
            shown_name(options),
            ALGORITHMS[options.algorithm].fewest_groups,
            ngroups,
        )
    return usable


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
    readnoise: np.ndarray | float,
    gain: np.ndarray | float,
    options: FitOptions,
    *,
    maximum_cores: str | int,
    executor: str,
    progress: bool = False,
) -> RampFit | None:
    """Fit the ramps of an exposure.

    Parameters
    ----------
    exposure : Exposure
    readnoise, gain : float or ndarray, shape (nrows, ncols)
        CDS noise in DN, and e-/DN.
    options : FitOptions
        As :func:`usable_options` returns them.
    maximum_cores : str or int
        As :func:`known_cores` returns it.
    executor : str
        ``"processes"``, or ``"threads"``, of which there are no more than the exposure is worth.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    RampFit or None
        None: there is nothing to fit, as the pipeline sees it.
    """
    log.info("Number of groups per integration: %d", exposure.ngroups)
    log.info("Number of integrations: %d", exposure.nints)
    kind = None if executor == "threads" else executor  # no more threads than bring something
    log.info("Number of multiprocessing slices: %d", workers_for(exposure, maximum_cores, kind))
    if is_likelihood(options) and exposure.read_times is not None:
        log.debug("Using explicit read times")
    with logged_warnings(but="no ramp can be fitted"), _relayed():  # which is told below
        fit = fit_ramps(
            exposure,
            readnoise,
            gain,
            maximum_cores=maximum_cores,
            executor=kind,
            progress=progress,
            **asdict(options),
        )
    if fit.nothing_to_fit:
        log.warning("No ramp can be fitted: %s", fit.nothing_to_fit)
        if fit.nothing_to_fit != NO_VALID_FIT:  # of exposures whose ramps fail one by one, the pipeline has products
            return None
    return fit


class _Relay(logging.Handler):
    """Hands messages to the pipeline's logger."""

    def emit(self, record: logging.LogRecord) -> None:
        """Have the pipeline's handlers show and keep a message."""
        logging.getLogger("stpipe").handle(record)


@contextmanager
def _relayed() -> Iterator[None]:
    """Show and keep the engine's messages also in a pipeline whose loggers do not include the engine's."""
    engine, pipeline = logging.getLogger(LOGGER), logging.getLogger("stpipe")
    if not set(pipeline.handlers) - set(engine.handlers):  # no pipeline runs, or it knows the engine's logger
        yield
        return
    relay = _Relay()
    level, propagate = engine.level, engine.propagate
    engine.addHandler(relay)
    engine.propagate = False  # the pipeline's logger propagates each message to the root once already
    if engine.level == logging.NOTSET:
        engine.setLevel(pipeline.getEffectiveLevel())
    try:
        yield
    finally:
        engine.removeHandler(relay)
        engine.setLevel(level)
        engine.propagate = propagate
