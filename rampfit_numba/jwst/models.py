"""Between the pipeline's data models and this package's own objects. Arrays are handed over, not copied."""

from __future__ import annotations

import logging
import warnings
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
from asdf.tags.core import HistoryEntry
from jwst.lib import reffile_utils
from stdatamodels import DataModel
from stdatamodels.jwst import datamodels
from stdatamodels.validate import value_change

from rampfit_numba import dq
from rampfit_numba._version import __version__
from rampfit_numba.exposure import Exposure
from rampfit_numba.io.product_headers import history_lines
from rampfit_numba.jwst.files import reference_named
from rampfit_numba.jwst.fitting import explicit_times

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rampfit_numba.result import RampFit, Rate

log = logging.getLogger(f"stpipe.{__name__}")  # below "stpipe", whose messages the pipeline shows and keeps

_REFERENCE_MODELS = {"readnoise": datamodels.ReadnoiseModel, "gain": datamodels.GainModel}
_IFU_TYPES = frozenset({"NRS_IFU", "MIR_MRS"})
_IFU_LAMP_TYPES = frozenset({"NRS_AUTOWAVE", "NRS_LAMP"})
_RATE_UNIT = "DN/s"
_PLANES = ("data", "dq", "var_poisson", "var_rnoise", "err")
_KEYWORDS = {"group_time": "TGROUP", "frame_time": "TFRAME", "nframes": "NFRAMES", "groupgap": "GROUPGAP"}
_ORIGIN = "meta.exposure.{} (keyword {})"


def with_own_metadata(model: Any) -> Any:  # noqa: ANN401
    """Return a copy of a data model that shares its images: to change, or even to ask for, metadata leaves no trace.

    Asking a data model for metadata that it does not have creates an empty entry.
    """
    images = {id(array): array for array in model.instance.values() if type(array) is np.ndarray}
    return model.copy(memo=images)


def exposure_of(
    model: Any,  # noqa: ANN401
    *,
    likelihood: bool = False,
    dark_current_unit: str | None = None,
    nothing_left: bool = False,
) -> Exposure:
    """Return the exposure that a ramp model holds.

    Parameters
    ----------
    model : RampModel
        Or whatever has the same attributes. Not modified. Its data are in the unit that ``meta.bunit_data`` says, if it
        says any: DN or electron.
    likelihood : bool
        It is for a likelihood fit, which goes by the times of the frames; OLS needs only the group time.
    dark_current_unit : str, optional
        As for :class:`rampfit_numba.Exposure`.
    nothing_left : bool
        No group is to be used.

    Raises
    ------
    TypeError, ValueError
        Something is missing or does not fit; the message says what.
    """
    meta = model.meta.exposure
    read_times = explicit_times(getattr(meta, "read_times", None))
    given = {name: getattr(meta, name, None) for name in _KEYWORDS}
    labels = {name: _ORIGIN.format(name, keyword) for name, keyword in _KEYWORDS.items()}
    return Exposure(
        model.data,
        model.groupdq | np.uint8(dq.DO_NOT_USE) if nothing_left else model.groupdq,
        pixeldq=model.pixeldq,
        drop_frames1=getattr(meta, "drop_frames1", None),
        average_dark_current=_optional(model, "average_dark_current"),
        zeroframe=_optional(model, "zeroframe"),
        instrument=model.meta.instrument.name or "",
        data_unit=getattr(model.meta, "bunit_data", None) or None,
        dark_current_unit=dark_current_unit,
        **timing(given, labels, read_times, likelihood=likelihood),
    )


def exposure_from_datamodel(model: Any) -> Exposure:  # noqa: ANN401
    """Return the exposure that a data model of the pipeline holds, for :func:`rampfit_numba.fit_ramps`.

    Parameters
    ----------
    model : stdatamodels.jwst.datamodels.RampModel
        Not modified; the exposure has its arrays, not copies.

    Returns
    -------
    Exposure
        With the explicit read times, where the model has some. It has no header: the products' metadata come from the
        model, as :class:`RampFitStep` carries them over.

    Raises
    ------
    TypeError, ValueError
        `model` is no ramp model, or something is missing or does not fit; the message says what.

    Examples
    --------
    >>> from stdatamodels.jwst import datamodels
    >>> with datamodels.open("jw01_nrca1_jump.fits") as model:  # doctest: +SKIP
    ...     fit = fit_ramps(exposure_from_datamodel(model), readnoise=14.0, gain=5.5)
    """
    for name in ("data", "groupdq", "pixeldq", "meta"):
        if not hasattr(model, name):
            raise TypeError(f"model: expected a RampModel; got {type(model).__name__}, which has no {name}")
    return exposure_of(model, likelihood=True)


def timing(
    given: Mapping[str, Any],
    labels: Mapping[str, str],
    read_times: list[list[float]] | None,
    *,
    likelihood: bool,
) -> dict[str, Any]:
    """Return the times of an exposure, as an Exposure takes them.

    Needed are those that the pipeline needs for a right result: the frame time always, the group time by OLS, the
    number of skipped frames by a likelihood fit; explicit read times replace them all. What is missing beyond that
    follows from the rest: a group lasts as long as the frames that it averages and skips.

    Parameters
    ----------
    given : mapping
        ``group_time``, ``frame_time``, ``nframes`` and ``groupgap``; None where there is none.
    labels : mapping
        What messages call them.
    read_times : list of lists of float, or None
    likelihood : bool

    Raises
    ------
    ValueError
        One that is needed is missing.
    """
    if read_times is not None:
        return {**given, "groupgap": given["groupgap"] or 0, "read_times": read_times}
    group_time, frame_time, nframes, groupgap = (given[name] for name in _KEYWORDS)
    for name in ("frame_time", "nframes", "groupgap" if likelihood else "group_time"):
        if given[name] is None:
            raise ValueError(f"{labels[name]}: expected a number; the exposure has none")
    if groupgap is None:
        groupgap = max(0, round(group_time / frame_time) - nframes)
    return {
        "group_time": (nframes + groupgap) * frame_time if group_time is None else group_time,
        "frame_time": frame_time,
        "nframes": nframes,
        "groupgap": groupgap,
    }


def _optional(model: Any, name: str) -> Any:  # noqa: ANN401
    return getattr(model, name) if model.hasattr(name) else None


def read_references(
    model: Any,  # noqa: ANN401
    readnoise: Any,  # noqa: ANN401
    gain: Any,  # noqa: ANN401
) -> tuple[np.ndarray | float, np.ndarray | float, float | None]:
    """Return read noise and gain of the exposure's pixels, and GAINFACT of the gain reference.

    Parameters
    ----------
    model : RampModel
    readnoise, gain : str, data model or float
        What the step's ``get_reference_file`` returns.

    Raises
    ------
    ValueError
        A file is no reference of its kind, or does not cover the exposure.
    """
    electrons, gain_factor = _read_reference(model, gain, "gain")
    noise, _ = _read_reference(model, readnoise, "readnoise")
    return noise, electrons, gain_factor


def _read_reference(model: Any, reference: Any, name: str) -> tuple[np.ndarray | float, float | None]:  # noqa: ANN401
    if isinstance(reference, float):
        return reference, None
    with reference_named(reference, name):
        opened = _opened(reference, _REFERENCE_MODELS[name])
        kind = (opened.meta.reftype or "").lower()
        if kind in _REFERENCE_MODELS and kind != name:
            raise ValueError(f"{name} reference: is a {kind} reference (REFTYPE); were the two swapped?")
        return _cut(model, opened, reference, name), opened.meta.exposure.gain_factor if name == "gain" else None


def _opened(reference: Any, kind: Any) -> Any:  # noqa: ANN401
    if isinstance(reference, DataModel):
        return with_own_metadata(kind(reference))
    # Most of the time goes into checking the image by its schema, of which nothing comes: only the rest is checked.
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        with kind(reference, validate_on_assignment=False) as opened:
            value_change("meta", opened.instance["meta"], opened.schema["properties"]["meta"], opened)
    if not complaints:
        return opened
    with kind(reference) as opened:  # which says what is wrong, and leaves it out
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


def rate_model(model: Any, fit: RampFit) -> Any:  # noqa: ANN401
    """Return the rate product: an ImageModel, or an IFUImageModel where the exposure is one of an integral field."""
    # Signed first: what is added to the history of a converted model is lost.
    product = _signed(_fitted(datamodels.ImageModel(), model, fit.rate), fit)
    kind = model.meta.exposure.type
    if kind in _IFU_TYPES or (kind in _IFU_LAMP_TYPES and model.meta.instrument.lamp_mode == "IFU"):
        return datamodels.IFUImageModel(product)
    return product


def rateints_model(model: Any, fit: RampFit) -> Any:  # noqa: ANN401
    """Return the rateints product: a CubeModel with the times of the integrations."""
    product = _fitted(datamodels.CubeModel(), model, fit.rateints)
    product.int_times = model.int_times
    stripes = getattr(model, "int_times_stripe", None)
    if stripes is not None and len(stripes) > 0:
        product.int_times_stripe = stripes
    return _signed(product, fit)


def _fitted(product: Any, model: Any, rate: Rate) -> Any:  # noqa: ANN401
    product.update(model)
    # Not as attributes, and the product is made without a shape: models read their schemas for each plane, and make
    # planes of their own for a shape, which takes as long as the fit. Ours are as they want them.
    product.instance.update({plane: getattr(rate, plane) for plane in _PLANES})
    product.meta.bunit_data = _RATE_UNIT
    product.meta.bunit_err = _RATE_UNIT
    product.meta.cal_step.ramp_fit = "COMPLETE"
    return product


def fitopt_model(model: Any, fit: RampFit) -> Any:  # noqa: ANN401
    """Return the optional product of OLS."""
    fitopt = fit.fitopt
    assert fitopt is not None  # noqa: S101  (for mypy)
    product = datamodels.RampFitOutputModel(**{plane.name: getattr(fitopt, plane.name) for plane in fields(fitopt)})
    product.meta.filename = model.meta.filename
    product.update(model)
    return _signed(product, fit)


def chisq_model(model: Any, fit: RampFit) -> Any:  # noqa: ANN401
    """Return the optional product of the likelihood fits: the chi-square of every pixel."""
    chisq = fit.rate.chisq
    assert chisq is not None  # noqa: S101  (for mypy)
    product = datamodels.ImageModel(chisq.shape)
    product.update(model)
    product.data = chisq
    return _signed(product, fit)


def _signed(product: Any, fit: RampFit) -> Any:  # noqa: ANN401
    """Return the product with a history that says which software made it, and how: in FITS files, cards HISTORY."""
    first, *others = history_lines(fit)
    product.add_history_entry(first, {"name": "rampfit_numba", "version": __version__})
    entries = product.instance["history"]["entries"]
    # Not by add_history_entry, which checks each by a schema: that took a fortieth of the step.
    entries.extend(HistoryEntry({"description": line, "time": entries[-1]["time"]}) for line in others)
    return product
