"""What a jump-step file says about itself: header cards that JWST data models accept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rampfit_numba.exposure_header import ExposureHeader

if TYPE_CHECKING:
    from astropy.io import fits

    from rampfit_numba.simulate.options import SimulationOptions

# Detector, exposure type, filter, and the shape of a full frame (rows, columns).
_INSTRUMENTS = {
    "NIRCAM": ("NRCA1", "NRC_IMAGE", "F200W", (2048, 2048)),
    "MIRI": ("MIRIMAGE", "MIR_IMAGE", "F1000W", (1024, 1032)),
}

# NIRCam's readout patterns by (nframes, groupgap).
_READOUT_PATTERNS = {
    (1, 0): "RAPID",
    (1, 1): "BRIGHT1",
    (2, 0): "BRIGHT2",
    (2, 3): "SHALLOW2",
    (4, 1): "SHALLOW4",
    (2, 8): "MEDIUM2",
    (8, 2): "MEDIUM8",
    (2, 18): "DEEP2",
    (8, 12): "DEEP8",
}


def exposure_header(shape: tuple[int, ...], options: SimulationOptions, seed: int) -> ExposureHeader:
    """Return the headers of a simulated exposure of `shape` (nints, ngroups, nrows, ncols)."""
    from astropy.io import fits

    nints, ngroups, nrows, ncols = shape
    detector, exposure_type, optics, full = _INSTRUMENTS[options.instrument]
    primary = fits.Header()
    primary["DATAMODL"] = ("RampModel", "Type of data model")
    primary["TELESCOP"] = ("JWST", "Telescope that this exposure imitates")
    primary["DATE-OBS"] = ("2022-07-12", "[yyyy-mm-dd] UTC date at start of exposure")
    primary["TIME-OBS"] = ("00:00:00.000", "[hh:mm:ss.sss] UTC time at start of exposure")
    primary["INSTRUME"] = (options.instrument, "Instrument that this exposure imitates")
    primary["DETECTOR"] = (detector, "Detector that this exposure imitates")
    primary["FILTER"] = (optics, "Filter")
    primary["EXP_TYPE"] = (exposure_type, "Type of data in the exposure")
    pattern = "FASTR1" if options.instrument == "MIRI" else _READOUT_PATTERNS.get((options.nframes, options.groupgap))
    if pattern is not None:
        primary["READPATT"] = (pattern, "Readout pattern")
    primary["NINTS"] = (nints, "Number of integrations in exposure")
    primary["NGROUPS"] = (ngroups, "Number of groups in integration")
    primary["NFRAMES"] = (options.nframes, "Number of frames averaged per group")
    primary["GROUPGAP"] = (options.groupgap, "Number of frames dropped between groups")
    primary["DRPFRMS1"] = (options.drop_frames1, "Frames dropped before the first group")
    primary["TFRAME"] = (options.frame_time, "[s] Time between frames")
    primary["TGROUP"] = (options.group_time, "[s] Time between groups")
    primary["EFFINTTM"] = (ngroups * options.group_time, "[s] Effective integration time")
    primary["EFFEXPTM"] = (nints * ngroups * options.group_time, "[s] Effective exposure time")
    primary["ZEROFRAM"] = (options.zeroframe, "Zero frame was downlinked separately")
    primary.update(subarray_cards(nrows, ncols, "FULL" if (nrows, ncols) == full else "GENERIC"))
    primary["S_SATURA"] = ("COMPLETE", "Saturation flags are set")
    primary["S_JUMP"] = ("COMPLETE", "Jump flags are set")
    primary["HISTORY"] = f"Simulated by rampfit_numba with seed {seed}: no telescope has seen this."
    for name in options.names():
        primary["HISTORY"] = f"simulated with {name} = {getattr(options, name)!r}"
    sci = fits.Header()
    sci["BUNIT"] = ("DN", "physical units of the array values")
    return ExposureHeader(primary=primary, sci=sci)


def reference_header(kind: str, exposure: fits.Header) -> fits.Header:
    """Return the primary header of the reference file for the exposure with this primary header.

    Parameters
    ----------
    kind : str
        ``"gain"`` or ``"readnoise"``.
    exposure : astropy.io.fits.Header
        Primary header of the exposure.
    """
    from astropy.io import fits

    header = fits.Header()
    header["DATAMODL"] = ({"gain": "GainModel", "readnoise": "ReadnoiseModel"}[kind], "Type of data model")
    header["REFTYPE"] = (kind.upper(), "Reference file type")
    header["PEDIGREE"] = ("DUMMY", "The pedigree of the reference file")
    header["DESCRIP"] = (f"Simulated {kind}", "Description of the reference file")
    header["AUTHOR"] = ("rampfit_numba", "Author of the reference file")
    header["USEAFTER"] = ("2022-01-01T00:00:00", "Use after date of the reference file")
    copied = ["TELESCOP", "INSTRUME", "DETECTOR", "SUBARRAY", "SUBSTRT1", "SUBSTRT2", "SUBSIZE1", "SUBSIZE2"]
    if kind == "readnoise":  # it depends on how the frames are read, the gain does not
        copied.append("READPATT")
    for name in (*copied, "FASTAXIS", "SLOWAXIS"):
        if name in exposure:
            header.append(exposure.cards[name])
    return header


def truth_headers(exposure: fits.Header) -> tuple[fits.Header, fits.Header]:
    """Return the headers of the file of the truth, its primary one and that of RATE, for an exposure's primary one."""
    from astropy.io import fits

    primary = fits.Header()
    primary["DESCRIP"] = ("Truth of a simulation", "Description of the file")
    for name in ("INSTRUME", "DETECTOR"):
        primary.append(exposure.cards[name])
    for line in exposure["HISTORY"]:
        primary["HISTORY"] = line
    return primary, fits.Header([("BUNIT", "DN/s", "physical units of the array values")])


def subarray_cards(nrows: int, ncols: int, name: str) -> list[tuple[str, str | int, str]]:
    """Return the cards that place an array of this size on the detector."""
    return [
        ("SUBARRAY", name, "Subarray used"),
        ("SUBSTRT1", 1, "Starting pixel in axis 1 direction"),
        ("SUBSTRT2", 1, "Starting pixel in axis 2 direction"),
        ("SUBSIZE1", ncols, "Number of pixels in axis 1 direction"),
        ("SUBSIZE2", nrows, "Number of pixels in axis 2 direction"),
        ("FASTAXIS", 1, "Fast readout axis direction"),
        ("SLOWAXIS", 2, "Slow readout axis direction"),
    ]
