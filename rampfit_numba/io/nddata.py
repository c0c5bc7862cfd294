"""Rates as objects of :mod:`astropy.nddata`."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba import dq
from rampfit_numba.io.product_headers import carried_cards

if TYPE_CHECKING:
    from astropy.nddata import CCDData, NDDataArray

    from rampfit_numba.exposure_header import ExposureHeader
    from rampfit_numba.result import Rate

log = logging.getLogger(__name__)

_UNIT = "DN / s"


def to_ccddata(rate: Rate) -> CCDData:
    """Return a rate as a CCDData, whose arrays are those of the rate, not copies.

    Also as ``fit.rate.to_ccddata()``.

    Parameters
    ----------
    rate : Rate
        `rate` or `rateints` of a fit.

    Returns
    -------
    astropy.nddata.CCDData
        In DN/s, with a StdDevUncertainty, a mask (True: DO_NOT_USE, or no rate), the flags, the cards of the exposure's
        headers, and the celestial coordinates where these have some and the rate is an image.

    Raises
    ------
    TypeError
        `rate` is no Rate.

    Examples
    --------
    >>> import numpy as np
    >>> from rampfit_numba import Exposure, fit_ramps
    >>> ramp = np.arange(10, dtype=np.float32).reshape(1, 10, 1, 1) * 30
    >>> fit = fit_ramps(Exposure(ramp, None, group_time=3.0), readnoise=14.0, gain=5.5)
    >>> print(fit.rate.to_ccddata().unit)
    DN / s
    """
    from astropy.nddata import CCDData

    return _converted(CCDData, rate)


def to_nddata(rate: Rate) -> NDDataArray:
    """Return a rate as an NDDataArray, whose arrays are those of the rate, not copies.

    Also as ``fit.rateints.to_nddata()``.

    Parameters
    ----------
    rate : Rate
        `rate` or `rateints` of a fit.

    Returns
    -------
    astropy.nddata.NDDataArray
        What :func:`to_ccddata` returns, in another class.

    Raises
    ------
    TypeError
        `rate` is no Rate.

    Examples
    --------
    >>> import numpy as np
    >>> from rampfit_numba import Exposure, fit_ramps
    >>> ramp = np.arange(10, dtype=np.float32).reshape(1, 10, 1, 1) * 30
    >>> fit = fit_ramps(Exposure(ramp, None, group_time=3.0), readnoise=14.0, gain=5.5)
    >>> fit.rateints.to_nddata().data.shape
    (1, 1, 1)
    """
    from astropy.nddata import NDDataArray

    return _converted(NDDataArray, rate)


def _converted(kind: Any, rate: Rate) -> Any:  # noqa: ANN401  (a class, and one of its objects)
    from astropy.io import fits
    from astropy.nddata import StdDevUncertainty

    from rampfit_numba.result import Rate

    if not isinstance(rate, Rate):
        raise TypeError(f"rate: expected the rate or rateints of a fit; got {type(rate).__name__}")
    header = fits.Header()
    if rate.header is not None:
        header.extend(carried_cards(rate.header.primary), update=True)
        header.extend(carried_cards(rate.header.sci), update=True)
    header["BUNIT"] = "DN/s"
    return kind(
        rate.data,
        uncertainty=StdDevUncertainty(rate.err, unit=_UNIT, copy=False),
        mask=((rate.dq & np.uint32(dq.DO_NOT_USE)) != 0) | ~np.isfinite(rate.data),
        flags=rate.dq,
        meta=header,
        unit=_UNIT,
        wcs=celestial_wcs(rate.header, rate.data.shape),
    )


def celestial_wcs(header: ExposureHeader | None, shape: tuple[int, ...]) -> Any:  # noqa: ANN401  (a WCS, or None)
    """Return the celestial coordinates of an image of this shape, or None; a header that makes no sense has none."""
    if header is None or len(shape) != 2:  # noqa: PLR2004  (rows and columns)
        return None
    from astropy.wcs import WCS

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = WCS(header.sci, naxis=2)
            if not found.has_celestial:
                return None
            middle = found.pixel_to_world_values(shape[1] / 2, shape[0] / 2)
    except Exception as error:  # noqa: BLE001  (rates without coordinates are better than none)
        log.info("The header's coordinates cannot be used: %s", error)
        return None
    return found if np.isfinite(middle).all() else None
