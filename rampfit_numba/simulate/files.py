"""A simulation as three FITS files: the exposure after the jump step, and its two reference files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rampfit_numba.messages import RampFileError
from rampfit_numba.simulate.headers import reference_header

if TYPE_CHECKING:
    from astropy.io import fits

    from rampfit_numba.exposure import Exposure, ExposureHeader
    from rampfit_numba.simulate.ramps import Simulation

_ENDINGS = (".fits", ".fits.gz")


def simulation_paths(path: str | os.PathLike[str], *, overwrite: bool = True) -> tuple[Path, Path, Path]:
    """Return the paths of the exposure, the gain and the readnoise file that belong to `path`.

    Parameters
    ----------
    path : path-like
        Name of the exposure's file, ``<base>_jump.fits``.
    overwrite : bool
        Whether the files may exist.

    Raises
    ------
    RampFileError
        The name does not end in .fits or .fits.gz, its folder does not exist, or a file exists and may not.

    Examples
    --------
    >>> [path.name for path in simulation_paths("demo_jump.fits")]
    ['demo_jump.fits', 'demo_gain.fits', 'demo_readnoise.fits']
    """
    path = Path(path)
    ending = next((ending for ending in _ENDINGS if path.name.endswith(ending)), "")
    base = path.name.removesuffix(ending).removesuffix("_jump")
    if not ending or not base:
        raise RampFileError(f"{path}: expected a name like demo_jump.fits or demo_jump.fits.gz")
    if not path.parent.is_dir():
        raise RampFileError(f"{path}: the folder {path.parent} does not exist; make it first")
    paths = path, path.with_name(f"{base}_gain{ending}"), path.with_name(f"{base}_readnoise{ending}")
    for existing in paths if not overwrite else ():
        if existing.exists():
            raise RampFileError(f"{existing}: exists already, nothing was written; overwrite it or take another name")
    return paths


def write_simulation(
    simulation: Simulation, path: str | os.PathLike[str], *, overwrite: bool = False
) -> tuple[Path, Path, Path]:
    """Write the exposure to `path`, and its gain and readnoise files beside it.

    Each file is written under a temporary name and renamed: it is whole or absent.

    Parameters
    ----------
    simulation : Simulation
        What to write.
    path : path-like
        Name of the exposure's file, ``<base>_jump.fits``; the others become ``<base>_gain.fits`` and
        ``<base>_readnoise.fits``.
    overwrite : bool
        Replace files that exist.

    Returns
    -------
    tuple of pathlib.Path
        Paths of the exposure, the gain and the readnoise file.

    Raises
    ------
    RampFileError
        A file exists and `overwrite` is off, the folder does not exist, or the name does not end in .fits or .fits.gz.
    OSError
        A file cannot be written.
    """
    paths = simulation_paths(path, overwrite=overwrite)
    header = simulation.exposure.header
    if header is None:
        raise ValueError("simulation.exposure.header: expected an ExposureHeader; got None")
    hdulists = (
        _exposure_hdulist(simulation.exposure, header),
        _reference_hdulist(simulation.gain, reference_header("gain", header.primary)),
        _reference_hdulist(simulation.readnoise, reference_header("readnoise", header.primary)),
    )
    for hdulist, target in zip(hdulists, paths, strict=True):
        _write(hdulist, target)
    return paths


def _exposure_hdulist(exposure: Exposure, header: ExposureHeader) -> fits.HDUList:
    from astropy.io import fits

    hdus = [
        fits.PrimaryHDU(header=header.primary),
        fits.ImageHDU(exposure.data, header=header.sci, name="SCI"),
        fits.ImageHDU(exposure.pixeldq, name="PIXELDQ"),
        fits.ImageHDU(exposure.groupdq, name="GROUPDQ"),
    ]
    if exposure.zeroframe is not None:
        hdus.append(fits.ImageHDU(exposure.zeroframe, name="ZEROFRAME"))
    return fits.HDUList(hdus)


def _reference_hdulist(image: object, header: fits.Header) -> fits.HDUList:
    from astropy.io import fits

    return fits.HDUList([fits.PrimaryHDU(header=header), fits.ImageHDU(image, name="SCI")])


def _write(hdulist: fits.HDUList, path: Path) -> None:
    hdulist[0].header["FILENAME"] = (path.name, "Name of the file")
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        hdulist.writeto(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
