"""Functions with the signatures and results of ``stcal.ramp_fitting.ramp_fit``, for code that calls stcal directly.

Unlike the originals they leave every input as it was. Here, and only here, "nothing to fit" is three times None.
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
    LIKELY,
    FitSettings,
    Fitted,
    fit_exposure,
    known_algorithm,
    known_cores,
    logged_warnings,
    usable_algorithm,
)
from rampfit_numba.jwst.models import exposure_of, with_own_metadata
from rampfit_numba.timing import evenly_read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rampfit_numba.result import Rate

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
        ``"OLS_C"`` or ``"LIKELY"``, in any case.
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
    """
    for name in _FLAGS:
        if name in dqflags and dqflags[name] != getattr(dq, name):
            raise ValueError(f"dqflags[{name!r}]: expected {getattr(dq, name)}; got {dqflags[name]}")
    known = known_algorithm(algorithm)
    if isinstance(model, DataModel):
        model = with_own_metadata(model)
    with logged_warnings():
        exposure = exposure_of(model)
    wanted = usable_algorithm(known, exposure.ngroups, even=exposure.evenly_read)
    settings = _settings(wanted, weighting, max_cores, save_opt=save_opt, suppress_one_group=suppress_one_group)
    return _infos(fit_exposure(exposure, readnoise_2d, gain_2d, settings))


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
        Not modified.
    save_opt, readnoise_2d, gain_2d, algorithm, weighting, max_cores
        As for :func:`ramp_fit`.

    Returns
    -------
    image_info, integ_info, opt_info : dict or None
        As for :func:`ramp_fit`.

    Raises
    ------
    TypeError, ValueError
        An argument is unusable; the message names it, what was expected and what came.
    """
    pattern = ramp_data.read_pattern
    read_times = None if pattern is None or len(pattern) == 0 else [np.atleast_1d(group).tolist() for group in pattern]
    ngroups = ramp_data.data.shape[1]
    wanted = usable_algorithm(known_algorithm(algorithm), ngroups, even=evenly_read(read_times))
    settings = _settings(
        wanted,
        weighting,
        max_cores,
        save_opt=save_opt,
        suppress_one_group=bool(ramp_data.suppress_one_group_ramps),
    )
    with logged_warnings():
        exposure = Exposure(
            ramp_data.data,
            _flags_of(ramp_data) if wanted != LIKELY else ramp_data.groupdq,
            ramp_data.group_time,
            pixeldq=ramp_data.pixeldq,
            frame_time=ramp_data.frame_time,
            nframes=ramp_data.nframes,
            groupgap=ramp_data.groupgap,
            drop_frames1=ramp_data.drop_frames1,
            read_times=read_times,
            average_dark_current=ramp_data.average_dark_current,
            zeroframe=ramp_data.zeroframe,
            instrument=ramp_data.instrument_name or "",
        )
    return _infos(fit_exposure(exposure, readnoise_2d, gain_2d, settings, ramp_data.rejection_threshold))


def _settings(
    algorithm: str, weighting: str, max_cores: str | int | None, *, save_opt: bool, suppress_one_group: bool
) -> FitSettings:
    if weighting != "optimal":
        raise ValueError(f"weighting: expected 'optimal'; got {weighting!r}")
    cores = known_cores(max_cores)
    return FitSettings(algorithm, bool(save_opt), bool(suppress_one_group), None, None, cores, _EXECUTOR)


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


def _infos(fitted: Fitted | None) -> _Infos:
    if fitted is None:
        return None, None, None
    fitopt = fitted.fitopt
    optional = None if fitopt is None else {plane.name: getattr(fitopt, plane.name) for plane in fields(fitopt)}
    return _info(fitted.rate, fitted.chisq), _info(fitted.rateints, fitted.chisq_ints), optional


def _info(rate: Rate, chisq: np.ndarray | None) -> _Info:
    planes = {
        "slope": rate.data,
        "dq": rate.dq,
        "var_poisson": rate.var_poisson,
        "var_rnoise": rate.var_rnoise,
        "err": rate.err,
    }
    return planes if chisq is None else planes | {"chisq": chisq}
