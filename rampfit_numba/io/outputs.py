"""Names of the products, and how they are written: all of an exposure's, whole, or none."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rampfit_numba.checks import check_path
from rampfit_numba.io.product_headers import Provenance
from rampfit_numba.io.products import build_products
from rampfit_numba.io.temporary_files import TemporaryFile, sweep_once
from rampfit_numba.io.whole_files import write_all
from rampfit_numba.messages import RampFileError, remedy
from rampfit_numba.registry import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rampfit_numba.result import RampFit


# What the pipeline appends to the names of files that a ramp fit can start from, or that a product's name can end in.
_SUFFIXES = (
    "uncal|ramp|jump|rate|rateints|fitopt|likely_chisq|cal|calints|dark|ramp_fit|ramp_fitting|rampfitstep|jumpstep|dq_init|dqinitstep"
    "|group_scale|groupscalestep|saturation|saturationstep|ipc|ipcstep|superbias|superbiasstep|refpix|refpixstep|rscd|rscdstep"
    "|firstframe|firstframestep|lastframe|lastframestep|linearity|linearitystep|dark_current|darkcurrentstep|emicorr"
    "|emicorrstep|reset|resetstep|persistence|persistencestep|charge_migration|chargemigrationstep|clean_flicker_noise"
    "|cleanflickernoisestep|picture_frame|pictureframestep|gain_scale|gainscalestep|guider_cds|guidercdsstep"
)
_BASE = re.compile(rf"(?P<base>.+?)(?:[_-](?:{_SUFFIXES}))?(?:\.fits?)?(?:\.[gf]z)?", re.IGNORECASE)
# What is left of a name that has a suffix or an ending and nothing else, or that is "." or "..".
_EMPTY_BASE = re.compile(rf"\.*|(?:[_-](?:{_SUFFIXES}))?(?:\.fits?)?(?:\.[gf]z)?", re.IGNORECASE)


def product_paths(
    basename: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    save_opt: bool = False,
    save_jumps: bool = False,
    optional: str = "fitopt",
    int_name: str = "",
    opt_name: str = "",
) -> dict[str, Path]:
    """Return the paths of the products of an exposure, by kind.

    Parameters
    ----------
    basename : path-like
        Name (or path) of the exposure's file: its folder, its extension and a known suffix like ``_jump`` are left out.
    output_dir : path-like
        Folder of the products.
    save_opt : bool
        Whether there is an optional product.
    save_jumps : bool
        Whether there is a table of the jumps.
    optional : str
        Its suffix, which the algorithm tells (see :mod:`rampfit_numba.registry`).
    int_name, opt_name : str
        Names to use in place of `basename` for rateints and the optional product; treated in the same way.

    Raises
    ------
    TypeError
        A name to use is no string.
    ValueError
        A name contains a folder, or is empty without its ending and suffix.

    Examples
    --------
    >>> product_paths("data/jw01_nrca1_jump.fits", "out")["rate"].as_posix()
    'out/jw01_nrca1_rate.fits'
    """
    for argument, name in (("int_name", int_name), ("opt_name", opt_name)):
        if not isinstance(name, str):
            raise TypeError(f"{argument}: expected a string; got {name!r}")
        if Path(name).name != name:
            raise ValueError(
                f"{argument}: expected a file name without a folder (output_dir is for that); got {name!r}"
            )
        if not name.isprintable():
            raise ValueError(f"{argument}: expected a file name without control characters; got {name!r}")
    folder, base = check_path("output_dir", output_dir), check_path("basename", basename).name
    if os.fspath(basename) and not base:
        raise ValueError(f"basename: expected a file name; got the folder {os.fspath(basename)!r}")
    names = {"rate": base, "rateints": int_name or base}
    if save_opt:
        names[optional] = opt_name or base
    if save_jumps:
        names["jumps"] = base
    given = {"rateints": "int_name" if int_name else "", optional: "opt_name" if opt_name else ""}
    return {kind: folder / f"{_base(name, given.get(kind) or 'basename')}_{kind}.fits" for kind, name in names.items()}


def _base(name: str, argument: str) -> str:
    match = _BASE.fullmatch(name)
    if match is None or "\0" in name:
        raise ValueError(f"{argument}: expected a file name; got {name!r}")
    if _EMPTY_BASE.fullmatch(match["base"]):
        raise ValueError(
            f"{argument}: expected a name that the products' names can begin with, like x_jump.fits; got {name!r}"
        )
    return match["base"]


@dataclass(frozen=True)
class Inputs:
    """Files that no output may take the place of, under whatever name.

    They are looked at once: a job has thousands of them, and two checks for each of its products.
    """

    files: tuple[Path, ...]

    @classmethod
    def of(cls, files: Iterable[str | os.PathLike[str]]) -> Inputs:
        """Return files as such an object, which they may be already."""
        return files if isinstance(files, cls) else cls(tuple(Path(file) for file in files))

    def __iter__(self) -> Iterator[Path]:
        return iter(self.files)

    def at(self, path: Path) -> Path | None:
        """Return the one that stands at a path that exists; None where none does."""
        places, inodes = self._identities
        status = path.stat()
        for file in (places.get(os.path.realpath(path)), inodes.get((status.st_dev, status.st_ino))):
            if file is not None and file.exists() and path.samefile(file):
                return file
        return None

    @cached_property
    def _identities(self) -> tuple[dict[str, Path], dict[tuple[int, int], Path]]:
        statuses = {file: file.stat() for file in self.files if file.exists()}
        inodes = {(status.st_dev, status.st_ino): file for file, status in statuses.items()}
        return {os.path.realpath(file): file for file in self.files}, inodes

    def __reduce__(self) -> tuple[type[Inputs], tuple[tuple[Path, ...]]]:
        return Inputs, (self.files,)


def check_outputs(
    paths: Iterable[Path], *, overwrite: bool = False, inputs: Iterable[str | os.PathLike[str]] = ()
) -> None:
    """Refuse outputs that could not or must not be written; to be called before a long fit.

    Parameters
    ----------
    paths : iterable of Path
        The files to write.
    overwrite : bool
        Whether they may exist.
    inputs : iterable of path-like
        Files that must not be overwritten in any case.

    Raises
    ------
    RampFileError
        An output exists, is an input, or its folder cannot be written to.
    """
    protected = Inputs.of(inputs)
    probed: set[Path] = set()
    for path in paths:
        try:
            folder = _check_output(path, protected, overwrite=overwrite)
            if folder not in probed:
                sweep_once(folder)
                _probe(folder)
                probed.add(folder)
        except OSError as error:  # a name that is too long, for instance
            raise RampFileError(f"{path}: cannot be written ({error.strerror or error}){remedy(error)}") from error


def _check_output(path: Path, protected: Inputs, *, overwrite: bool) -> Path:
    """Return the folder, one that exists, that will hold the output or the first folder to be made for it."""
    if path.exists() and (file := protected.at(path)) is not None:
        raise RampFileError(f"{path}: would overwrite the input {file}; choose another output_dir or name")
    if path.is_dir():
        raise RampFileError(f"{path}: is a directory; choose another output_dir or name")
    if path.exists() and not path.is_file():
        raise RampFileError(f"{path}: is no regular file; choose another output_dir or name")
    if path.is_symlink() and not path.exists():
        raise RampFileError(f"{path}: is a link to {path.readlink()}, which does not exist; remove it")
    if path.exists() and not overwrite:
        raise RampFileError(f"{path}: exists; allow overwriting (overwrite=True, --overwrite) or move it away")
    folder = next(folder for folder in path.absolute().parents if folder.exists())
    if not folder.is_dir():
        raise RampFileError(f"{path}: cannot be written, {folder} is no directory")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RampFileError(f"{path}: no permission to write in {folder}; choose another output_dir")
    return folder


def _probe(folder: Path) -> None:
    """Make something in a folder: permissions alone do not tell whether that is possible (root has all, in /proc)."""
    trial = TemporaryFile(folder)
    try:
        trial.create().close()
    finally:
        trial.remove()


def write_products(
    fit: RampFit,
    output_dir: str | os.PathLike[str],
    basename: str | os.PathLike[str],
    *,
    readnoise_name: str = "",
    gain_name: str = "",
    gain_factor: float | None = None,
    overwrite: bool = False,
    save_jumps: bool = False,
    int_name: str = "",
    opt_name: str = "",
    history: Sequence[str] = (),
    inputs: Iterable[str | os.PathLike[str]] = (),
) -> list[Path]:
    """Write rate, rateints and, with ``save_opt=True``, fitopt or likely_chisq: all of them, whole, or none.

    Parameters
    ----------
    fit : RampFit
        Result of a fit.
    output_dir : path-like
        Folder of the products; made where it does not exist.
    basename : path-like
        Name of the exposure's file, see :func:`product_paths`.
    readnoise_name, gain_name : str
        What the headers say about the references (R_READNO, R_GAIN); empty: what the input's say.
    gain_factor : float, optional
        GAINFACT; None: what the input's header says.
    overwrite : bool
        Whether existing products are replaced.
    save_jumps : bool
        Also write the table of the jumps.
    int_name, opt_name : str
        Names to use in place of `basename` for rateints and the optional product.
    history : sequence of str
        Lines for HISTORY, after the software's own.
    inputs : iterable of path-like
        Files that must not be overwritten in any case.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    RampFileError
        A product exists (without `overwrite`), is one of `inputs`, or cannot be written.

    Examples
    --------
    >>> from rampfit_numba import fit_ramps, simulate_exposure
    >>> simulation = simulate_exposure(1, 6, 8, 8)
    >>> fit = fit_ramps(simulation.exposure, simulation.readnoise, simulation.gain)
    >>> [path.name for path in write_products(fit, "out", "jw01_nrca1_jump.fits")]
    ['jw01_nrca1_rate.fits', 'jw01_nrca1_rateints.fits']
    """
    provenance = Provenance(readnoise_name, gain_name, gain_factor, tuple(history))
    optional = ALGORITHMS[fit.options.algorithm].optional_product
    paths = product_paths(
        basename,
        output_dir,
        save_opt=fit.fitopt is not None or (fit.options.save_opt and optional != "fitopt"),
        save_jumps=save_jumps,
        optional=optional,
        int_name=int_name,
        opt_name=opt_name,
    )
    check_outputs(paths.values(), overwrite=overwrite, inputs=inputs)
    products = build_products(fit, paths, provenance)
    write_all([(path, products[kind]) for kind, path in paths.items()], overwrite=overwrite)
    return list(paths.values())
