"""Fits to the products rate, rateints, fitopt, likely_chisq and jumps.

The HDUs, their names and their order are those of the pipeline's data models ImageModel (IFUImageModel), CubeModel and
RampFitOutputModel, which open them. Differences, all on purpose:

- Rates with chi-squares also have CHISQ (and, where it is counted, DOF) behind the planes that the models know.

- The ASDF extension is empty. The input's must not be copied: its tree describes the ramp, and refers to extensions
  that a product does not have. Nothing need stand there: data models fill their metadata from the FITS keywords, and
  in a ramp file only explicit read times, which mean nothing any more after the fit, exist in ASDF alone. But the
  extension must be there: later pipeline steps (``Step.call`` with a file name) refuse files without it.
- Cards that no data model knows are carried over too, and so are comments and history.
- An axis of length 0 (fitopt, where no ramp has a segment or a jump) is stored as such: FITS allows NAXISn = 0, the
  extension has no data then, and astropy and the data models return an array of that shape.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from astropy.io import fits

from rampfit_numba.io.product_headers import ProductHeaders, Provenance
from rampfit_numba.io.product_parts import EmptyAsdf, Image, Product, Table
from rampfit_numba.io.table_hdus import table_hdu
from rampfit_numba.registry import ALGORITHMS
from rampfit_numba.result import RampFit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from astropy.table import QTable

    from rampfit_numba.result import Rate

_IFU_TYPES = frozenset({"NRS_IFU", "MIR_MRS"})
_IFU_LAMP_TYPES = frozenset({"NRS_AUTOWAVE", "NRS_LAMP"})
#: Tables with a row for each integration (or stripe of one): they go with the rates of these.
_OF_INTEGRATIONS = frozenset({"INT_TIMES_STRIPE"})


def build_products(fit: RampFit, paths: Mapping[str, Path], provenance: Provenance) -> dict[str, Product]:
    """Return the products of a fit.

    Parameters
    ----------
    fit : RampFit
        Result of a fit; the products hold its arrays.
    paths : mapping of str to Path
        Files to come, by kinds of :func:`rampfit_numba.io.outputs.product_paths`.
    provenance : Provenance
        What the headers say about the references.
    """
    builders = {
        "rate": rate_product,
        "rateints": rateints_product,
        "fitopt": fitopt_product,
        "likely_chisq": chisq_product,
        "jumps": jumps_product,
    }
    headers = ProductHeaders(fit, provenance)
    return {kind: builders[kind](fit, path.name, headers) for kind, path in paths.items()}


def rate_hdulist(fit: RampFit, filename: str = "", provenance: Provenance | None = None) -> fits.HDUList:
    """Return the rate product: SCI, ERR, DQ, VAR_POISSON, VAR_RNOISE (and CHISQ, DOF) of shape (nrows, ncols).

    Parameters
    ----------
    fit : RampFit
        Result of a fit; the HDUs hold read-only views of its arrays.
    filename : str
        FILENAME, the base name of the file to come.
    provenance : Provenance, optional
        What the headers say about the references.

    Examples
    --------
    >>> from rampfit_numba import fit_ramps, simulate_exposure
    >>> simulation = simulate_exposure(1, 6, 8, 8)
    >>> fit = fit_ramps(simulation.exposure, simulation.readnoise, simulation.gain)
    >>> rate_hdulist(fit)["SCI"].header["BUNIT"]
    'DN/s'
    """
    return rate_product(fit, filename, ProductHeaders(fit, provenance)).hdulist()


def rateints_hdulist(fit: RampFit, filename: str = "", provenance: Provenance | None = None) -> fits.HDUList:
    """Return the rateints product: the images of :func:`rate_hdulist` with a leading axis of nints, and INT_TIMES.

    Parameters are those of :func:`rate_hdulist`; INT_TIMES is there where the input had it.
    """
    return rateints_product(fit, filename, ProductHeaders(fit, provenance)).hdulist()


def fitopt_hdulist(fit: RampFit, filename: str = "", provenance: Provenance | None = None) -> fits.HDUList:
    """Return the fitopt product: SLOPE, SIGSLOPE, VAR_POISSON, VAR_RNOISE, YINT, SIGYINT, PEDESTAL, WEIGHTS, CRMAG.

    Parameters are those of :func:`rate_hdulist`. What the input's SCI header says stands in an SCI HDU without data, as
    the pipeline writes it: there the data models look for the times and the pointing of any product.

    Raises
    ------
    ValueError
        The fit has no ``fitopt``.
    """
    return fitopt_product(fit, filename, ProductHeaders(fit, provenance)).hdulist()


def chisq_hdulist(fit: RampFit, filename: str = "", provenance: Provenance | None = None) -> fits.HDUList:
    """Return the likely_chisq product: the chi-square of the rate image in SCI, as the pipeline writes it.

    Parameters are those of :func:`rate_hdulist`.

    Raises
    ------
    ValueError
        The fit has no chi-square.
    """
    return chisq_product(fit, filename, ProductHeaders(fit, provenance)).hdulist()


def rate_product(fit: RampFit, filename: str, headers: ProductHeaders) -> Product:
    """Return what :func:`rate_hdulist` describes."""
    primary = headers.primary("IFUImageModel" if _is_ifu(fit) else "ImageModel", filename, fitted=True)
    images = _rate_images(fit.rate, headers)
    return Product(primary, [*images, *_tables(fit, but=_OF_INTEGRATIONS), EmptyAsdf()])


def rateints_product(fit: RampFit, filename: str, headers: ProductHeaders) -> Product:
    """Return what :func:`rateints_hdulist` describes."""
    parts: list[Image | Table | EmptyAsdf] = [*_rate_images(fit.rateints, headers)]
    if fit.header is not None and fit.header.int_times is not None:
        # A copy, since astropy may change the rows that it writes.
        times = table_hdu(fit.header.int_times.copy(), name="INT_TIMES")
        times.ver = 1
        parts.insert(3, Table(times))
    return Product(headers.primary("CubeModel", filename, fitted=True), [*parts, *_tables(fit), EmptyAsdf()])


def fitopt_product(fit: RampFit, filename: str, headers: ProductHeaders) -> Product:
    """Return what :func:`fitopt_hdulist` describes; raises as it does."""
    if fit.fitopt is None:
        raise ValueError("fit: expected one with fitopt; it was made with save_opt=False")
    cards = headers.science
    science = [Image("SCI", None, cards)] if len(cards) else []
    planes = [Image(plane.name.upper(), getattr(fit.fitopt, plane.name)) for plane in fields(fit.fitopt)]
    # The pipeline marks rate and rateints as fitted (S_RAMP), not this one.
    primary = headers.primary("RampFitOutputModel", filename, fitted=False)
    return Product(primary, [*science, *planes, EmptyAsdf()])


def chisq_product(fit: RampFit, filename: str, headers: ProductHeaders) -> Product:
    """Return what :func:`chisq_hdulist` describes; raises as it does."""
    if fit.rate.chisq is None:
        raise ValueError(f"fit: expected one with a chi-square; the algorithm {fit.options.algorithm!r} has none")
    # Always an ImageModel, and not marked as fitted: both as in the pipeline.
    primary = headers.primary("ImageModel", filename, fitted=False)
    return Product(primary, [Image("SCI", fit.rate.chisq, headers.science), EmptyAsdf()])


def jumps_product(fit: RampFit, filename: str, headers: ProductHeaders, jumps: QTable | None = None) -> Product:
    """Return the jumps as a table, JUMPS: what :func:`rampfit_numba.find_jumps` returns, or `jumps`.

    Raises
    ------
    ValueError
        The fit does not know what was fitted.
    """
    from astropy import table as tables

    from rampfit_numba.jumps import find_jumps

    table = tables.Table(find_jumps(fit) if jumps is None else jumps)
    hdu = fits.table_to_hdu(tables.Table({name: table[name].value for name in table.colnames}))
    hdu.name, hdu.ver = "JUMPS", 1
    for number, name in enumerate(table.colnames, 1):
        if name == "size":
            # FITS knows DN as adu, and electrons not at all: their comment says what they are.
            hdu.columns[name].unit = "adu"
        hdu.header.comments[f"TTYPE{number}"] = table[name].info.description[:47]
    return Product(headers.primary("", filename, fitted=False), [Table(hdu)])


def _tables(fit: RampFit, but: frozenset[str] = frozenset()) -> list[Table]:
    """Return the input's tables that go on, as they are."""
    if fit.header is None:
        return []
    carried = [table for table in fit.header.tables if table.name not in but]
    # Copies, since astropy may change the rows that it writes.
    return [Table(table_hdu(table.rows.copy(), table.header.copy(), name=table.name)) for table in carried]


def _is_ifu(fit: RampFit) -> bool:
    if fit.header is None:
        return False
    kind = _text(fit.header.primary, "EXP_TYPE")
    return kind in _IFU_TYPES or (kind in _IFU_LAMP_TYPES and _text(fit.header.primary, "OPMODE") == "IFU")


def _text(header: fits.Header, key: str) -> str:
    try:
        return str(header.get(key, ""))
    except fits.VerifyError:  # a card that breaks the standard says nothing
        return ""


def _rate_images(rate: Rate, headers: ProductHeaders) -> list[Image]:
    science = headers.science.copy()
    science.update([headers.unit])
    images = [
        Image("SCI", rate.data, science),
        Image("ERR", rate.err, (headers.unit,)),
        Image("DQ", rate.dq),
        Image("VAR_POISSON", rate.var_poisson),
        Image("VAR_RNOISE", rate.var_rnoise),
    ]
    optional = (("CHISQ", rate.chisq), ("DOF", rate.dof))
    return images + [Image(name, plane) for name, plane in optional if plane is not None]


def to_hdulists(fit: RampFit) -> dict[str, fits.HDUList]:
    """Return the products of a fit as HDU lists: what the files would hold.

    Also as ``fit.to_hdulists()``.

    Parameters
    ----------
    fit : RampFit
        Result of a fit.

    Returns
    -------
    dict of str to astropy.io.fits.HDUList
        ``"rate"``, ``"rateints"``, and what the fit has beside them: ``"fitopt"``, ``"likely_chisq"``. The arrays are
        read-only views of those of the fit.

    Raises
    ------
    TypeError
        `fit` is no RampFit.

    Examples
    --------
    >>> import numpy as np
    >>> from rampfit_numba import Exposure, fit_ramps
    >>> ramp = np.arange(10, dtype=np.float32).reshape(1, 10, 1, 1) * 30
    >>> fit = fit_ramps(Exposure(ramp, None, group_time=3.0), readnoise=14.0, gain=5.5)
    >>> list(fit.to_hdulists())
    ['rate', 'rateints']
    """
    if not isinstance(fit, RampFit):
        raise TypeError(f"fit: expected a RampFit; got {type(fit).__name__}")
    made = {"rate": rate_hdulist(fit), "rateints": rateints_hdulist(fit)}
    if fit.fitopt is not None:
        made["fitopt"] = fitopt_hdulist(fit)
    if ALGORITHMS[fit.options.algorithm].optional_product == "likely_chisq":
        made["likely_chisq"] = chisq_hdulist(fit)
    return made
