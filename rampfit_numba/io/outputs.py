"""Names of the products, and how they are written: all of an exposure's, whole, or none."""

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rampfit_numba.io.products import (
    Provenance,
    chisq_hdulist,
    fitopt_hdulist,
    jumps_hdulist,
    rate_hdulist,
    rateints_hdulist,
)
from rampfit_numba.io.temporary_files import TemporaryFile, sweep_once
from rampfit_numba.messages import RampFileError
from rampfit_numba.registry import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import BinaryIO, Protocol

    from astropy.io import fits

    from rampfit_numba.result import RampFit

    class Document(Protocol):
        """A file of another format than FITS."""

        def write_to(self, file: BinaryIO) -> None:
            """Write it whole."""


# What the pipeline appends to the names of files that a ramp fit can start from, or that a product's name can end in.
_SUFFIXES = (
    "uncal|ramp|jump|rate|rateints|fitopt|likely_chisq|cal|calints|dark|ramp_fit|ramp_fitting|rampfitstep|jumpstep|dq_init|dqinitstep"
    "|group_scale|groupscalestep|saturation|saturationstep|ipc|ipcstep|superbias|superbiasstep|refpix|refpixstep|rscd|rscdstep"
    "|firstframe|firstframestep|lastframe|lastframestep|linearity|linearitystep|dark_current|darkcurrentstep|emicorr"
    "|emicorrstep|reset|resetstep|persistence|persistencestep|charge_migration|chargemigrationstep|clean_flicker_noise"
    "|cleanflickernoisestep|picture_frame|pictureframestep|gain_scale|gainscalestep|guider_cds|guidercdsstep"
)
_BASE = re.compile(rf"(?P<base>.+?)(?:[_-](?:{_SUFFIXES}))?(?:\.fits?)?(?:\.gz)?", re.IGNORECASE)
# What is left of a name that has a suffix or an ending and nothing else, or that is "." or "..".
_EMPTY_BASE = re.compile(rf"\.*|(?:[_-](?:{_SUFFIXES}))?(?:\.fits?)?(?:\.gz)?", re.IGNORECASE)
_BLOCK = 2880
# Higher levels take half as much time again, and make ramps with their noise smaller by 1 % only.
_GZIP_LEVEL = 1
_FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


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
    ValueError
        A name contains a folder, or is empty without its ending and suffix.

    Examples
    --------
    >>> product_paths("data/jw01_nrca1_jump.fits", "out")["rate"].as_posix()
    'out/jw01_nrca1_rate.fits'
    """
    for argument, name in (("int_name", int_name), ("opt_name", opt_name)):
        if Path(name).name != name:
            raise ValueError(
                f"{argument}: expected a file name without a folder (output_dir is for that); got {name!r}"
            )
        if not name.isprintable():
            raise ValueError(f"{argument}: expected a file name without control characters; got {name!r}")
    names = {"rate": Path(basename).name, "rateints": int_name or Path(basename).name}
    if save_opt:
        names[optional] = opt_name or Path(basename).name
    if save_jumps:
        names["jumps"] = Path(basename).name
    given = {"rateints": "int_name" if int_name else "", optional: "opt_name" if opt_name else ""}
    return {
        kind: Path(output_dir) / f"{_base(name, given.get(kind) or 'basename')}_{kind}.fits"
        for kind, name in names.items()
    }


def _base(name: str, argument: str) -> str:
    match = _BASE.fullmatch(name)
    if match is None:
        raise ValueError(f"{argument}: expected a file name; got {name!r}")
    if _EMPTY_BASE.fullmatch(match["base"]):
        raise ValueError(
            f"{argument}: expected a name that the products' names can begin with, like x_jump.fits; got {name!r}"
        )
    return match["base"]


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
    protected = [Path(file) for file in inputs]
    probed: set[Path] = set()
    for path in paths:
        try:
            folder = _check_output(path, protected, overwrite=overwrite)
            if folder not in probed:
                sweep_once(folder)
                _probe(folder)
                probed.add(folder)
        except OSError as error:  # a name that is too long, for instance
            raise RampFileError(f"{path}: cannot be written ({error.strerror or error})") from error


def _check_output(path: Path, protected: Sequence[Path], *, overwrite: bool) -> Path:
    """Return the folder, one that exists, that will hold the output or the first folder to be made for it."""
    for file in protected:
        if path.exists() and file.exists() and path.samefile(file):
            raise RampFileError(f"{path}: would overwrite the input {file}; choose another output_dir or name")
    if path.is_dir():
        raise RampFileError(f"{path}: is a directory; choose another output_dir or name")
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
    builders = {
        "rate": rate_hdulist,
        "rateints": rateints_hdulist,
        "fitopt": fitopt_hdulist,
        "likely_chisq": chisq_hdulist,
        "jumps": jumps_hdulist,
    }
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
    write_all([(path, builders[kind](fit, path.name, provenance)) for kind, path in paths.items()], overwrite=overwrite)
    return list(paths.values())


def write_all(files: Sequence[tuple[Path, fits.HDUList | bytes | Document]], *, overwrite: bool = False) -> None:
    """Write several files, all of them or none, each under its name only when it is whole and on disk.

    Names that end in .gz are compressed. Whatever stops it, an interrupt included, what was there before is there again
    and nothing else. Of two processes that write the same file at once each puts a whole one there, and the last one's
    stays.

    Raises
    ------
    RampFileError
        A file cannot be written, or exists (without `overwrite`).
    """
    writings = [_Writing(path, content) for path, content in files]
    path = Path()
    made: list[Path] = []
    try:
        for writing in writings:
            path = writing.path
            made += make_folder(path.parent)
        for writing in writings:
            path = writing.path
            writing.write()
        for writing in writings:
            path = writing.path
            writing.place(overwrite=overwrite)
        for folder in {writing.path.parent for writing in writings}:
            _sync_folder(folder)
    except BaseException as error:
        # Old products beside new ones would be worse than none.
        for writing in writings:
            writing.undo()
            writing.clean()
        remove_folders(made)
        if isinstance(error, FileExistsError):
            raise RampFileError(f"{path}: has come to exist in the meantime; nothing was written") from error
        if isinstance(error, OSError):
            # Windows replaces no file that somebody has open.
            in_use = "; is it open in another program?" if isinstance(error, PermissionError) and path.exists() else ""
            reason = f"{error.strerror or error}{in_use}"
            raise RampFileError(f"{path}: cannot be written ({reason}); nothing is kept") from error
        raise
    finally:
        for writing in writings:
            writing.clean()


def make_folder(folder: Path) -> list[Path]:
    """Make a folder, and those above it, where they do not exist; return the ones made, the outermost first."""
    made = [place for place in reversed((folder, *folder.parents)) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return made


def remove_folders(made: Sequence[Path]) -> None:
    """Remove the folders that :func:`make_folder` returned, those that are empty."""
    with contextlib.suppress(OSError):
        for folder in reversed(made):
            folder.rmdir()


class _Writing:
    """One file on its way: written under a temporary name, put into place, taken back."""

    def __init__(self, path: Path, content: fits.HDUList | bytes | Document) -> None:
        self.path = path
        self._content = content
        self._temporary = TemporaryFile(path.parent)
        self._placing = False

    def write(self) -> None:
        with self._temporary.create() as file:
            if hasattr(self._content, "write_to"):
                self._content.write_to(file)
            elif self.path.suffix == ".gz":
                with gzip.GzipFile(self.path.stem, "wb", _GZIP_LEVEL, file) as packed:
                    self._fill(packed)
            else:
                _allocate(file, self._size())
                self._fill(file)
                file.truncate()
            file.flush()
            os.fsync(file.fileno())

    def _fill(self, file: BinaryIO | gzip.GzipFile) -> None:
        if isinstance(self._content, bytes):
            file.write(self._content)
        else:
            hdulist: Any = self._content
            hdulist.writeto(_Stream(file), output_verify="silentfix+ignore")

    def _size(self) -> int:
        if isinstance(self._content, bytes):
            return len(self._content)
        hdulist: Any = self._content
        return sum(len(hdu.header.tostring()) + -(-hdu.size // _BLOCK) * _BLOCK for hdu in hdulist)

    def place(self, *, overwrite: bool) -> None:
        self._placing = True
        if overwrite:
            # Second names cost nothing; where the file system has none, a failure from here on can lose the old file.
            with contextlib.suppress(OSError):
                os.link(self.path, self._temporary.old)
            self._temporary.path.replace(self.path)
            return
        try:
            os.link(self._temporary.path, self.path)  # unlike a renaming, this fails where the file exists by now
        except FileExistsError:
            raise
        except OSError:
            if self.path.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self.path)) from None
            self._temporary.path.replace(self.path)

    def undo(self) -> None:
        if self._temporary.old.exists():
            if not (self.path.exists() and self.path.samefile(self._temporary.old)):
                self._temporary.old.replace(self.path)
        elif self._placing and self.path.exists() and self._is_placed():
            self.path.unlink()

    def _is_placed(self) -> bool:
        return not self._temporary.path.exists() or self.path.samefile(self._temporary.path)

    def clean(self) -> None:
        self._temporary.remove()


class _Stream:
    """What astropy may see of a file: given the file itself, it refuses one whose space is allocated as not empty."""

    def __init__(self, file: BinaryIO | gzip.GzipFile) -> None:
        self.write = file.write
        self.tell = file.tell


def _allocate(file: BinaryIO, size: int) -> None:
    """Claim the disk space first, so that a full disk is an error before anything is written."""
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        # Other errors mean that the file system cannot do this: writing then shows whether the space is enough.
        if error.errno in _FULL_DISK:
            raise


def _sync_folder(folder: Path) -> None:
    """Bring the new names to disk, where the system lets a folder be opened."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
