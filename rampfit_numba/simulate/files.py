"""A simulation as FITS files: the exposure after the jump step, its two reference files, and the truth on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rampfit_numba.checks import check_path
from rampfit_numba.messages import RampFileError
from rampfit_numba.simulate.headers import reference_header, truth_headers
from rampfit_numba.simulate.raw_files import reads_hdulist

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from astropy.io import fits

    from rampfit_numba.exposure import Exposure
    from rampfit_numba.exposure_header import ExposureHeader
    from rampfit_numba.simulate.ramps import Simulation

#: What the file of a simulated exposure can be like.
LIKENESSES = ("jwst", "reads")
_ENDINGS = (".fits", ".fits.gz")


def simulation_paths(path: str | os.PathLike[str], *, overwrite: bool = True, truth: bool = False) -> tuple[Path, ...]:
    """Return the paths of the exposure, the gain and the readnoise file that belong to `path`, and of the truth.

    Parameters
    ----------
    path : path-like
        Name of the exposure's file, ``<base>_jump.fits``.
    overwrite : bool
        Whether the files may exist.
    truth : bool
        Whether there is a file of the truth.

    Returns
    -------
    tuple of pathlib.Path
        Paths of the exposure, the gain and the readnoise file, and of the truth where it is asked for.

    Raises
    ------
    RampFileError
        The name does not end in .fits or .fits.gz, its folder does not exist, or a file exists and may not, or could
        not be written.

    Examples
    --------
    >>> [path.name for path in simulation_paths("demo_jump.fits")]
    ['demo_jump.fits', 'demo_gain.fits', 'demo_readnoise.fits']
    """
    from rampfit_numba.io.outputs import check_outputs

    path = check_path("path", path)
    ending = next((ending for ending in _ENDINGS if path.name.endswith(ending)), "")
    base = path.name.removesuffix(ending).removesuffix("_jump")
    if not ending or not base:
        raise RampFileError(f"{path}: expected a name like demo_jump.fits or demo_jump.fits.gz")
    if not path.parent.is_dir():
        raise RampFileError(f"{path}: the folder {path.parent} does not exist; make it first")
    kinds = ("gain", "readnoise", "truth") if truth else ("gain", "readnoise")
    paths = path, *(path.with_name(f"{base}_{kind}{ending}") for kind in kinds)
    check_outputs(paths, overwrite=overwrite)
    return paths


def write_simulation(
    simulation: Simulation,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    truth: bool = False,
    like: str = "jwst",
) -> tuple[Path, ...]:
    """Write the exposure to `path`, and its gain and readnoise files beside it: all of them, whole, or none.

    Parameters
    ----------
    simulation : Simulation
        What to write.
    path : path-like
        Name of the exposure's file, ``<base>_jump.fits``; the others become ``<base>_gain.fits``,
        ``<base>_readnoise.fits`` and ``<base>_truth.fits``.
    overwrite : bool
        Replace files that exist.
    truth : bool
        Write the truth too: RATE, the true count rate in DN/s (nrows, ncols), and JUMPS, 1 where a cosmic ray hit,
        flagged or not, else 0 (nints, ngroups, nrows, ncols).
    like : str
        What the exposure's file is like: ``"jwst"``, a jump-step file; ``"reads"``, plain reads of a detector in a cube
        of uint16, without flags.

    Returns
    -------
    tuple of pathlib.Path
        Paths of the exposure, the gain and the readnoise file, and of the truth where it was asked for.

    Raises
    ------
    RampFileError
        A file exists and `overwrite` is off, the folder does not exist, the name does not end in .fits or .fits.gz, or
        a file cannot be written.
    ValueError
        `like` is unknown.

    Examples
    --------
    >>> from rampfit_numba import simulate_exposure
    >>> [path.name for path in write_simulation(simulate_exposure(1, 4, 8, 8), "x_jump.fits")]
    ['x_jump.fits', 'x_gain.fits', 'x_readnoise.fits']
    """
    from rampfit_numba.io.product_headers import header_text
    from rampfit_numba.io.whole_files import write_all

    paths = simulation_paths(path, overwrite=overwrite, truth=truth)
    header = simulation.exposure.header
    if header is None:
        raise ValueError("simulation.exposure.header: expected an ExposureHeader; got None")
    if like not in LIKENESSES:
        raise ValueError(f"like: expected one of {', '.join(LIKENESSES)}; got {like!r}")
    hdulists = [
        reads_hdulist(simulation) if like == "reads" else _exposure_hdulist(simulation.exposure, header),
        _hdulist(reference_header("gain", header.primary), SCI=simulation.gain),
        _hdulist(reference_header("readnoise", header.primary), SCI=simulation.readnoise),
    ]
    if truth:
        primary, rate = truth_headers(header.primary)
        hdulist = _hdulist(primary, RATE=simulation.true_rate, JUMPS=simulation.hits.view(np.uint8))
        hdulist["RATE"].header.update(rate)
        hdulists.append(hdulist)
    for hdulist, target in zip(hdulists, paths, strict=True):
        hdulist[0].header["FILENAME"] = (header_text(target.name), "Name of the file")
    write_all(list(zip(paths, hdulists, strict=True)), overwrite=overwrite)
    return paths


def _exposure_hdulist(exposure: Exposure, header: ExposureHeader) -> fits.HDUList:
    from rampfit_numba.io.product_parts import EmptyAsdf

    images = {"SCI": exposure.data, "PIXELDQ": exposure.pixeldq, "GROUPDQ": exposure.groupdq}
    if exposure.zeroframe is not None:
        images["ZEROFRAME"] = exposure.zeroframe
    hdulist = _hdulist(header.primary, **images)
    hdulist["SCI"].header.update(header.sci)
    hdulist.append(EmptyAsdf.hdu())
    return hdulist


def _hdulist(primary: fits.Header, **images: np.ndarray | None) -> fits.HDUList:
    from astropy.io import fits

    from rampfit_numba.io.product_parts import image_hdu

    return fits.HDUList([fits.PrimaryHDU(header=primary), *(image_hdu(name, image) for name, image in images.items())])
