"""Functions with the signatures and results of ``stcal.ramp_fitting.ramp_fit``, for code that calls stcal directly.

Unlike the originals they leave every input as it was, with one exception, since calling code relies on it: the jumps
that LIKELY finds are set in the flags of the RampData that :func:`ramp_fit_data` is given. Here, and only here,
"nothing to fit" is three times None.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
from stdatamodels import DataModel
from stdatamodels.jwst.datamodels import dqflags as pipeline_flags

from rampfit_numba import dq
from rampfit_numba.exposure import Exposure
from rampfit_numba.jwst.fitting import (
    explicit_times,
    fit_exposure,
    is_likelihood,
    known_algorithm,
    known_cores,
    logged_warnings,
    usable_options,
)
from rampfit_numba.jwst.models import exposure_of, timing, with_own_metadata
from rampfit_numba.options import FitOptions
from rampfit_numba.registry import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rampfit_numba.result import RampFit, Rate

_Info = dict[str, np.ndarray]
_Infos = tuple[_Info, _Info, _Info | None] | tuple[None, None, None]
_EXECUTOR = "threads"
_FLAGS = ("DO_NOT_USE", "SATURATED", "JUMP_DET", "PERSISTENCE", "CHARGELOSS", "NO_GAIN_VALUE")
#: A bit of GROUPDQ without a meaning: it breaks a ramp as CHARGELOSS does, but variances are not computed anew.
_UNUSED = 16


def ramp_fit(  # noqa: PLR0917  (stcal's signature)
    model: Any,  # noqa: ANN401
    save_opt: bool,  # noqa: FBT001  (stcal's signature)
    readnoise_2d: np.ndarray,
    gain_2d: np.ndarray,
    algorithm: str,
    weighting: str,
    max_cores: str | int | None,
    dqflags: Mapping[str, int],
    suppress_one_group: bool = False,  # noqa: FBT001, FBT002  (stcal's signature)
) -> _Infos:
    """Fit the ramps of a model.

    Parameters
    ----------
    model : RampModel
        Or whatever has its arrays and metadata. Not modified.
    save_opt : bool
        Also return the fits of the segments.
    readnoise_2d, gain_2d : ndarray, shape (nrows, ncols)
        CDS noise in DN, and e-/DN. Not modified.
    algorithm : str
        ``"OLS_C"``, ``"LIKELY"`` or ``"likely_joint"``, in any case.
    weighting : str
        ``"optimal"``; there is no other.
    max_cores : str or int
        ``"none"``, ``"quarter"``, ``"half"``, ``"all"`` or a number.
    dqflags : mapping
        The bits of the flags, by name; they must be the pipeline's.
    suppress_one_group : bool
        Treat a ramp with exactly one good group as having none.

    Returns
    -------
    image_info, integ_info, opt_info : dict or None
        Arrays by name: slope, dq, var_poisson, var_rnoise and err of the exposure and of its integrations (LIKELY: also
        chisq); the optional planes, or None where they were not asked for. All None where there is nothing to fit.

    Raises
    ------
    TypeError, ValueError
        An argument is unusable; the message names it, what was expected and what came.

    Examples
    --------
    >>> from stdatamodels.jwst.datamodels import GainModel, RampModel, dqflags
    >>> with RampModel("demo_jump.fits") as ramps, GainModel("demo_gain.fits") as gain:
    ...     noise = 14.0 + 0 * gain.data
    ...     image, integrations, _ = ramp_fit(ramps, False, noise, gain.data, "OLS_C", "optimal", "none", dqflags.pixel)
    >>> image["slope"].shape, integrations["slope"].shape
    ((16, 16), (2, 16, 16))
    """
    for name in _FLAGS:
        if name in dqflags and dqflags[name] != getattr(dq, name):
            raise ValueError(f"dqflags[{name!r}]: expected {getattr(dq, name)}; got {dqflags[name]}")
    _check_weighting(weighting)
    wanted = FitOptions(known_algorithm(algorithm), bool(suppress_one_group), save_opt=bool(save_opt))
    cores = known_cores(max_cores)
    if isinstance(model, DataModel):
        model = with_own_metadata(model)
    options = usable_options(wanted, model.data.shape[1], getattr(model.meta.exposure, "read_times", None))
    with logged_warnings():
        exposure = exposure_of(model, likelihood=is_likelihood(options))
    return _infos(fit_exposure(exposure, readnoise_2d, gain_2d, options, maximum_cores=cores, executor=_EXECUTOR))


def ramp_fit_data(  # noqa: PLR0917  (stcal's signature)
    ramp_data: Any,  # noqa: ANN401
    save_opt: bool,  # noqa: FBT001  (stcal's signature)
    readnoise_2d: np.ndarray,
    gain_2d: np.ndarray,
    algorithm: str,
    weighting: str,
    max_cores: str | int | None,
) -> _Infos:
    """Fit the ramps of stcal's ``RampData``.

    Parameters
    ----------
    ramp_data : stcal.ramp_fitting.ramp_fit_class.RampData
        Its ``groupdq`` gets JUMP_DET where LIKELY finds a jump; nothing else is modified.
    save_opt : bool
        Also return the fits of the segments.
    readnoise_2d, gain_2d : ndarray, shape (nrows, ncols)
        CDS noise in DN, and e-/DN. Not modified.
    algorithm : str
        ``"OLS_C"``, ``"LIKELY"`` or ``"likely_joint"``, in any case.
    weighting : str
        ``"optimal"``; there is no other.
    max_cores : str or int
        ``"none"``, ``"quarter"``, ``"half"``, ``"all"`` or a number.

    Returns
    -------
    image_info, integ_info, opt_info : dict or None
        As for :func:`ramp_fit`.

    Raises
    ------
    TypeError, ValueError
        An argument is unusable; the message names it, what was expected and what came.

    Examples
    --------
    >>> import numpy as np
    >>> from stcal.ramp_fitting.ramp_fit_class import RampData
    >>> ramps, flags = np.ones((1, 5, 2, 2), np.float32), np.zeros((1, 5, 2, 2), np.uint8)
    >>> data = RampData()
    >>> data.set_arrays(ramps * np.arange(5)[:, None, None], flags, np.zeros((2, 2), np.uint32), np.zeros((2, 2)))
    >>> data.set_meta("NIRCAM", frame_time=2.0, group_time=2.0, groupgap=0, nframes=1, drop_frames1=0)
    >>> image, _, _ = ramp_fit_data(data, False, np.full((2, 2), 9.0), np.ones((2, 2)), "OLS_C", "optimal", "none")
    >>> float(image["slope"][0, 0])
    0.5
    """
    _check_weighting(weighting)
    known = ALGORITHMS[known_algorithm(algorithm)]
    wanted = FitOptions(
        known.name,
        bool(ramp_data.suppress_one_group_ramps),
        save_opt=bool(save_opt),
        rejection_threshold=ramp_data.rejection_threshold if "rejection_threshold" in known.own_options else None,
    )
    options = usable_options(wanted, ramp_data.data.shape[1], ramp_data.read_pattern)
    cores = known_cores(max_cores)
    likelihood = is_likelihood(options)
    if likelihood and not ramp_data.groupdq.flags.writeable:
        raise ValueError("ramp_data.groupdq: expected a writeable array, for the jumps that are found; it is read-only")
    names = ("group_time", "frame_time", "nframes", "groupgap")
    with logged_warnings():
        exposure = Exposure(
            ramp_data.data,
            ramp_data.groupdq if likelihood else _flags_of(ramp_data),
            pixeldq=ramp_data.pixeldq,
            drop_frames1=ramp_data.drop_frames1,
            average_dark_current=ramp_data.average_dark_current,
            zeroframe=ramp_data.zeroframe,
            instrument=ramp_data.instrument_name or "",
            **timing(
                {name: getattr(ramp_data, name) for name in names},
                {name: f"ramp_data.{name}" for name in names},
                explicit_times(ramp_data.read_pattern),
                likelihood=likelihood,
            ),
        )
    fit = fit_exposure(exposure, readnoise_2d, gain_2d, options, maximum_cores=cores, executor=_EXECUTOR)
    if fit is not None and fit.groupdq is not None:
        jumps = (fit.groupdq & dq.JUMP_DET).astype(ramp_data.groupdq.dtype, copy=False)
        np.bitwise_or(ramp_data.groupdq, jumps, out=ramp_data.groupdq)
    return _infos(fit)


def _check_weighting(weighting: str) -> None:
    if weighting != "optimal":
        raise ValueError(f"weighting: expected 'optimal'; got {weighting!r}")


def _flags_of(ramp_data: Any) -> np.ndarray:  # noqa: ANN401
    """Return the groups' flags, those of CHARGELOSS such that the engine treats them as stcal does.

    stcal computes the variances of ramps with CHARGELOSS anew from ``orig_gdq``, and not at all without it.
    """
    groupdq: np.ndarray = ramp_data.groupdq
    original = ramp_data.orig_gdq
    if original is None:
        lost = groupdq & pipeline_flags.group["CHARGELOSS"]
        if not lost.any():
            return groupdq
        return np.where(lost, (groupdq & ~lost) | groupdq.dtype.type(_UNUSED), groupdq)
    if original is not groupdq and not np.array_equal(original, groupdq):
        raise ValueError("ramp_data.orig_gdq: expected None or the flags of ramp_data.groupdq; got others")
    return groupdq


def _infos(fit: RampFit | None) -> _Infos:
    if fit is None:
        return None, None, None
    fitopt = fit.fitopt
    optional = None if fitopt is None else {plane.name: getattr(fitopt, plane.name) for plane in fields(fitopt)}
    return _info(fit.rate), _info(fit.rateints), optional


def _info(rate: Rate) -> _Info:
    planes = {
        "slope": rate.data,
        "dq": rate.dq,
        "var_poisson": rate.var_poisson,
        "var_rnoise": rate.var_rnoise,
        "err": rate.err,
    }
    return planes if rate.chisq is None else planes | {"chisq": rate.chisq}
