"""Small synthetic FITS files: ramps, references, and what can be wrong with them."""

from __future__ import annotations

import dataclasses
import gzip
import importlib
import io
import os
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import FitOpt, FitOptions, RampFileError, RampFit, Rate, RateInts, read_exposure

SHAPE = (2, 5, 6, 7)
# The images of rate and rateints, and the arrays that they hold.
PLANES = {"SCI": "data", "ERR": "err", "DQ": "dq", "VAR_POISSON": "var_poisson", "VAR_RNOISE": "var_rnoise"}
KEYWORDS = {
    "DATAMODL": "RampModel",
    "TELESCOP": "JWST",
    "INSTRUME": "NIRCAM",
    "DETECTOR": "NRCA1",
    "EXP_TYPE": "NRC_IMAGE",
    "NINTS": 2,
    "NGROUPS": 5,
    "NFRAMES": 1,
    "GROUPGAP": 1,
    "DRPFRMS1": 0,
    "TFRAME": 1.5,
    "TGROUP": 3.0,
    "SUBSTRT1": 11,
    "SUBSTRT2": 21,
    "SUBSIZE1": 7,
    "SUBSIZE2": 6,
}


def int_times(rows):
    """Return the columns of an INT_TIMES table."""
    names = ["int_start_MJD_UTC", "int_mid_MJD_UTC", "int_end_MJD_UTC"]
    names += ["int_start_BJD_TDB", "int_mid_BJD_TDB", "int_end_BJD_TDB"]
    number = fits.Column("integration_number", "J", array=np.arange(1, rows + 1))
    return [number, *(fits.Column(name, "D", unit="d", array=59000.5 + np.arange(rows)) for name in names)]


def ramp_hdulist(shape=SHAPE, keywords=None, *, optional=False, seed=1):
    """Return a ramp file; a keyword that is None in `keywords` is left out.

    `optional` adds ZEROFRAME, AVDRKCUR and INT_TIMES, and header cards of all kinds.
    """
    random = np.random.default_rng(seed)
    nints, ngroups, nrows, ncols = shape
    slopes = random.uniform(10, 500, (nints, 1, nrows, ncols))
    data = 100 + slopes * np.arange(ngroups)[:, None, None] + random.normal(0, 5, shape)
    groupdq = np.where(random.random(shape) < 0.03, 4, 0).astype(np.uint8)
    pixeldq = np.zeros((nrows, ncols), np.uint32)
    pixeldq[0, 0], pixeldq[1, 2], pixeldq[2, 1] = 1, 1024, 1 << 31

    primary = fits.PrimaryHDU()
    for key, value in (KEYWORDS | (keywords or {})).items():
        if value is not None:
            primary.header[key] = value
    sci = fits.ImageHDU(data.astype(">f4"), name="SCI")
    sci.header["BUNIT"] = "DN"
    hdulist = fits.HDUList(
        [primary, sci, fits.ImageHDU(pixeldq, name="PIXELDQ"), fits.ImageHDU(groupdq, name="GROUPDQ")]
    )
    if optional:
        sci.header["CRVAL1"] = (12.5, "[deg] RA at reference pixel")
        sci.header["VA_SCALE"] = 1.00002
        sci.header["MJD-BEG"] = 59000.25
        header = primary.header
        header["S_JUMP"] = ("COMPLETE", "Jump Detection")
        header["R_DARK"] = "crds://dark.fits"
        header["TARGNAME"] = ("HD 12345 " + "and more " * 12, "a long one")
        header.add_comment("first comment")
        header.add_history("first history")
        header.add_blank("Section title")
        header["LASTCARD"] = 1.25e-7
        header.add_comment("second comment")
        hdulist.append(fits.ImageHDU(data[:, 0].astype(">f4"), name="ZEROFRAME"))
        hdulist.append(fits.ImageHDU(np.full((nrows, ncols), 0.25, ">f4"), name="AVDRKCUR"))
        hdulist.append(fits.BinTableHDU.from_columns(int_times(nints), name="INT_TIMES"))
    return hdulist


def reference_hdulist(values, keywords=None, *, start=(1, 1)):
    """Return a reference file of `values`, whose first column and row on the detector are `start`."""
    values = np.asarray(values, np.float32)
    primary = fits.PrimaryHDU()
    defaults = {"INSTRUME": "NIRCAM", "DETECTOR": "NRCA1", "SUBSTRT1": start[0], "SUBSTRT2": start[1]}
    defaults |= {"SUBSIZE1": values.shape[-1], "SUBSIZE2": values.shape[-2]} if values.ndim > 1 else {}
    for key, value in (defaults | (keywords or {})).items():
        if value is not None:
            primary.header[key] = value
    return fits.HDUList([primary, fits.ImageHDU(values, name="SCI")])


def asdf_hdu(text):
    """Return an ASDF extension with `text` as its tree."""
    content = f"#ASDF 1.0.0\n#ASDF_STANDARD 1.5.0\n%YAML 1.1\n--- \n{text}...\n".encode()
    column = fits.Column("ASDF_METADATA", f"{len(content)}B", array=np.frombuffer(content, np.uint8)[None])
    return fits.BinTableHDU.from_columns([column], name="ASDF")


def to_bytes(hdulist):
    """Return the file as it stands on disk."""
    buffer = io.BytesIO()
    hdulist.writeto(buffer)
    return buffer.getvalue()


def compressed_by_tiles(hdulist, ints="RICE_1", floats="GZIP_2", **options):
    """Return a file whose images are tile-compressed, without a loss where `options` do not say otherwise."""
    options = {"quantize_level": 0} | options

    def packed(hdu):
        kind = floats if hdu.data.dtype.kind == "f" else ints
        return fits.CompImageHDU(hdu.data, hdu.header, compression_type=kind, **options)

    return fits.HDUList([packed(hdu) if isinstance(hdu, fits.ImageHDU) else hdu for hdu in hdulist])


def save(hdulist, path):
    """Write a file, compressed where its name says so, and return its path."""
    content = to_bytes(hdulist)
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)
    return path


def wait_for_another_time(path):
    """Wait until what is written from now on has another time than a file.

    The clock of file systems moves some hundred times a second; a small file is read and fitted in less than that.
    """
    probe = path.with_name("time")
    while not probe.exists() or probe.stat().st_ctime_ns <= path.stat().st_ctime_ns:
        probe.unlink(missing_ok=True)
        time.sleep(0.001)
        probe.touch()
    probe.unlink()


def some_fit(header=None, shape=SHAPE, *, segments=None, jumps=0, seed=3):
    """Return a fit of random values; with fitopt where `segments` is given."""
    random = np.random.default_rng(seed)
    nints, _, nrows, ncols = shape

    def planes(kind, *size):
        images = [random.normal(size=size).astype(np.float32) for _ in range(4)]
        images[0].flat[3] = np.nan
        dq = random.integers(0, 1 << 32, size, dtype=np.uint32)
        return kind(data=images[0], err=images[1], dq=dq, var_poisson=images[2], var_rnoise=images[3])

    fitopt = None
    if segments is not None:
        fitopt = FitOpt.allocate(nints, segments, jumps, nrows, ncols)
        for plane in dataclasses.fields(fitopt):
            array = getattr(fitopt, plane.name)
            array[...] = random.normal(size=array.shape)
    rate, rateints = planes(Rate, nrows, ncols), planes(RateInts, nints, nrows, ncols)
    return RampFit(rate, rateints, fitopt, header, FitOptions(save_opt=fitopt is not None))


def pipeline_datamodels():
    """Return the pipeline's data models; without them the test is skipped, or fails where they were promised."""
    name = "stdatamodels.jwst.datamodels"
    promised = os.environ.get("RAMPFIT_REQUIRE_JWST") == "1"
    return importlib.import_module(name) if promised else pytest.importorskip(name)


def open_files():
    """Return the files that this process holds open or mapped through a descriptor (Linux)."""
    return {os.path.realpath(descriptor) for descriptor in Path("/proc/self/fd").iterdir()}


def listing(folder):
    """Return the names in a folder."""
    return sorted(path.name for path in folder.iterdir())


def header_of(path, extension=0):
    """Return a header of a file."""
    return fits.getheader(path, extension)


def ramp_refused(path, *parts):
    """Check that the file is refused in one line, which names the file and says everything in `parts`."""
    with pytest.raises(RampFileError) as caught:
        read_exposure(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    for part in parts:
        assert part in message
