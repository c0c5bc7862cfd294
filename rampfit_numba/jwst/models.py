"""Between the pipeline's data models and this package's own objects. Arrays are handed over, not copied."""

from __future__ import annotations

import logging
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
from jwst.lib import reffile_utils
from stdatamodels import DataModel
from stdatamodels.jwst import datamodels

from rampfit_numba.exposure import Exposure

if TYPE_CHECKING:
    from rampfit_numba.result import FitOpt, Rate

log = logging.getLogger(f"stpipe.{__name__}")  # below "stpipe", whose messages the pipeline shows and keeps

_IFU_TYPES = frozenset({"NRS_IFU", "MIR_MRS"})
_IFU_LAMP_TYPES = frozenset({"NRS_AUTOWAVE", "NRS_LAMP"})
_RATE_UNIT = "DN/s"
_TIMING = {"group_time": "TGROUP", "nframes": "NFRAMES", "groupgap": "GROUPGAP"}


def with_own_metadata(model: Any) -> Any:  # noqa: ANN401
    """Return a copy of a data model that shares its images: to change, or even to ask for, metadata leaves no trace.

    Asking a data model for metadata that it does not have creates an empty entry.
    """
    images = {id(array): array for array in model.instance.values() if type(array) is np.ndarray}
    return model.copy(memo=images)


def exposure_of(model: Any, dark_current_unit: str | None = None) -> Exposure:  # noqa: ANN401
    """Return the exposure that a ramp model holds.

    Parameters
    ----------
    model : RampModel
        Or whatever has the same attributes. Not modified. Its data are in the unit that ``meta.bunit_data`` says, if it
        says any: DN or electron.
    dark_current_unit : str, optional
        As for :class:`rampfit_numba.Exposure`.

    Raises
    ------
    TypeError, ValueError
        Something is missing or does not fit; the message says what.
    """
    meta = model.meta.exposure
    read_times = getattr(meta, "read_times", None)
    read_times = None if read_times is None or len(read_times) == 0 else read_times
    for name, keyword in _TIMING.items():
        if getattr(meta, name, None) is None and read_times is None:
            raise ValueError(f"meta.exposure.{name} (keyword {keyword}): expected a number; the exposure has none")
    return Exposure(
        model.data,
        model.groupdq,
        getattr(meta, "group_time", None),
        pixeldq=model.pixeldq,
        frame_time=getattr(meta, "frame_time", None),
        nframes=getattr(meta, "nframes", None),
        groupgap=getattr(meta, "groupgap", None) or 0,
        drop_frames1=getattr(meta, "drop_frames1", None),
        read_times=read_times,
        average_dark_current=_optional(model, "average_dark_current"),
        zeroframe=_optional(model, "zeroframe"),
        instrument=model.meta.instrument.name or "",
        data_unit=getattr(model.meta, "bunit_data", None) or None,
        dark_current_unit=dark_current_unit,
    )


def _optional(model: Any, name: str) -> Any:  # noqa: ANN401
    return getattr(model, name) if model.hasattr(name) else None


def read_references(model: Any, readnoise: Any, gain: Any) -> tuple[np.ndarray, np.ndarray, float | None]:  # noqa: ANN401
    """Return read noise and gain of the exposure's pixels, and GAINFACT of the gain reference.

    Parameters
    ----------
    model : RampModel
    readnoise, gain : str or data model
        What the step's ``get_reference_file`` returns.

    Raises
    ------
    ValueError
        A reference does not cover the exposure.
    """
    gain_model, readnoise_model = _opened(gain, datamodels.GainModel), _opened(readnoise, datamodels.ReadnoiseModel)
    electrons = _cut(model, gain_model, gain, "gain")
    noise = _cut(model, readnoise_model, readnoise, "readnoise")
    return noise, electrons, gain_model.meta.exposure.gain_factor


def _opened(reference: Any, kind: Any) -> Any:  # noqa: ANN401
    if isinstance(reference, DataModel):
        return with_own_metadata(kind(reference))
    with kind(reference) as opened:
        return opened


def _cut(model: Any, reference: Any, source: Any, name: str) -> np.ndarray:  # noqa: ANN401
    """Return the part of a reference that the exposure covers, by the pipeline's own rules (multistripe included)."""
    label = f"{name} reference" + (f" {source}" if isinstance(source, str) else "")
    if reference.data is None:
        raise ValueError(f"{label}: expected an image; it has none")
    try:
        if reffile_utils.ref_matches_sci(model, reference):
            values = reference.data
        else:
            log.info("Extracting %s subarray to match science data", name)
            values = reffile_utils.get_subarray_model(model, reference).data
    except ValueError as error:
        raise ValueError(f"{label} and the exposure: {error}; see SUBSTRT1/2 and SUBSIZE1/2 of both") from error
    shape = model.data.shape[-2:]
    if values.shape != shape:
        raise ValueError(
            f"{label}: the part that the exposure's SUBSTRT1/2 and SUBSIZE1/2 name has shape {values.shape}; expected "
            f"{shape}, that of the exposure's images"
        )
    found: np.ndarray = values
    return found


def rate_model(model: Any, rate: Rate) -> Any:  # noqa: ANN401
    """Return the rate product: an ImageModel, or an IFUImageModel where the exposure is one of an integral field."""
    product = _fitted(datamodels.ImageModel(rate.data.shape), model, rate)
    kind = model.meta.exposure.type
    if kind in _IFU_TYPES or (kind in _IFU_LAMP_TYPES and model.meta.instrument.lamp_mode == "IFU"):
        return datamodels.IFUImageModel(product)
    return product


def rateints_model(model: Any, rateints: Rate) -> Any:  # noqa: ANN401
    """Return the rateints product: a CubeModel with the times of the integrations."""
    product = _fitted(datamodels.CubeModel(rateints.data.shape), model, rateints)
    product.int_times = model.int_times
    stripes = getattr(model, "int_times_stripe", None)
    if stripes is not None and len(stripes) > 0:
        product.int_times_stripe = stripes
    return product


def _fitted(product: Any, model: Any, rate: Rate) -> Any:  # noqa: ANN401
    product.update(model)
    for plane in ("data", "dq", "var_poisson", "var_rnoise", "err"):
        setattr(product, plane, getattr(rate, plane))
    product.meta.bunit_data = _RATE_UNIT
    product.meta.bunit_err = _RATE_UNIT
    product.meta.cal_step.ramp_fit = "COMPLETE"
    return product


def fitopt_model(model: Any, fitopt: FitOpt) -> Any:  # noqa: ANN401
    """Return the optional product."""
    product = datamodels.RampFitOutputModel(**{plane.name: getattr(fitopt, plane.name) for plane in fields(fitopt)})
    product.meta.filename = model.meta.filename
    product.update(model)
    return product


def chisq_model(model: Any, chisq: np.ndarray) -> Any:  # noqa: ANN401
    """Return LIKELY's optional product: the chi-square of every pixel."""
    product = datamodels.ImageModel(chisq.shape)
    product.update(model)
    product.data = chisq
    return product
