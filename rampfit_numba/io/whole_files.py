"""Files that are written whole or not at all, several of them together."""

from __future__ import annotations

import contextlib
import errno
import gzip
import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rampfit_numba.engine.interrupts import interrupts_later
from rampfit_numba.io.temporary_files import TemporaryFile
from rampfit_numba.messages import RampFileError, printable, remedy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO, Protocol

    from astropy.io import fits

    class Document(Protocol):
        """A file of another format than FITS."""

        def write_to(self, file: BinaryIO) -> None:
            """Write it whole."""


log = logging.getLogger(__name__)

_BLOCK = 2880
# Higher levels take half as much time again, and make ramps with their noise smaller by 1 % only.
_GZIP_LEVEL = 1
_FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
#: What is kept where a file cannot be written.
NOTHING = "nothing is kept"


def write_all(
    files: Sequence[tuple[Path, fits.HDUList | bytes | Document]], *, overwrite: bool = False, kept: str = NOTHING
) -> None:
    """Write several files, all of them or none, each under its name only when it is whole and on disk.

    Names that end in .gz are compressed. Whatever stops it, an interrupt included, what was there before is there again
    and nothing else; what the system refuses to put back is kept under another name, which the complaint tells. Of two
    processes that write the same file at once each puts a whole one there, and the last one's stays.

    Raises
    ------
    RampFileError
        A file cannot be written, or exists (without `overwrite`).
    """
    with written_together([path for path, _ in files], overwrite=overwrite, kept=kept) as writings:
        for writing, (_, content) in zip(writings, files, strict=True):
            writing.write(content)


@contextmanager
def written_together(
    paths: Sequence[Path], *, overwrite: bool = False, kept: str = NOTHING
) -> Iterator[list[WholeFile]]:
    """Give files to be written, which have their names when the block has ended: all of them, or none.

    Parameters
    ----------
    paths : sequence of Path
        Their folders are made where they do not exist.
    overwrite : bool
        Whether files of these names are replaced.
    kept : str
        What complaints say of what there is nevertheless.

    Yields
    ------
    list of WholeFile
        Each of them to be written in the block, by :meth:`WholeFile.write` or :meth:`WholeFile.open`.

    Raises
    ------
    RampFileError
        A file cannot be written, or exists (without `overwrite`).
    """
    writings = [WholeFile(path, kept) for path in paths]
    made: list[Path] = []
    done = False
    try:
        for writing in writings:
            with writing.telling():
                made += make_folder(writing.path.parent)
        yield writings
        for writing in writings:
            writing.close()
        for writing in writings:
            with writing.telling():
                writing.place(overwrite=overwrite)
        for writing in {writing.path.parent: writing for writing in writings}.values():
            with writing.telling():
                _sync_folder(writing.path.parent)
        done = True
    except BaseException as error:
        done = False
        # Old products beside new ones would be worse than none.
        with interrupts_later():
            _put_back(writings, error)
        for writing in writings:
            writing.clean()
        remove_folders(made)
        raise
    finally:
        for writing in writings:
            writing.clean(settled=done)


def _put_back(writings: Sequence[WholeFile], error: BaseException) -> None:
    """Put back what was there before each file; the error that made it necessary tells of what that was impossible."""
    complaints = []
    for writing in writings:
        try:
            writing.undo()
        except Exception as obstacle:  # noqa: BLE001  (the others are put back, whatever comes)
            complaints += writing.keep(obstacle)
    if not complaints:
        return
    told = printable("; ".join(complaints))
    if isinstance(error, RampFileError):
        error.args = (f"{error}; {told}",)
    else:
        error.add_note(told)
        log.error("%s", told)


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


class WholeFile:
    """One file on its way: written under a temporary name, put into place, taken back."""

    def __init__(self, path: Path, kept: str) -> None:
        self.path = path
        self._kept = kept
        self._temporary = TemporaryFile(path.parent)
        self._file: BinaryIO | None = None
        self._placing = False

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Tell of which file a failure is; raises a RampFileError."""
        try:
            yield
        except FileExistsError as error:
            kept = "nothing was written" if self._kept == NOTHING else self._kept
            raise RampFileError(f"{self.path}: has come to exist in the meantime; {kept}") from error
        except OSError as error:
            # Windows replaces no file that somebody has open.
            in_use = isinstance(error, PermissionError) and self.path.exists()
            reason = f"{error.strerror or error}{'; is it open in another program?' if in_use else ''}"
            raise RampFileError(f"{self.path}: cannot be written ({reason}); {self._kept}{remedy(error)}") from error

    def write(self, content: fits.HDUList | bytes | Document) -> None:
        """Write all of it."""
        with self.telling():
            file = self._file = self._temporary.create()
            if not isinstance(content, bytes) and hasattr(content, "write_to"):
                content.write_to(file)
            elif self.path.suffix == ".gz":
                with gzip.GzipFile(self.path.stem, "wb", _GZIP_LEVEL, file) as packed:
                    _fill(packed, content)
            else:
                allocate(file, _size(content))
                _fill(file, content)
                file.truncate()
        self.close()

    def open(self) -> BinaryIO:
        """Make the file, to be filled in any order under :meth:`telling`, and return it."""
        with self.telling():
            self._file = self._temporary.create()
            return self._file

    def close(self) -> None:
        """Bring to disk what was written."""
        if self._file is None:
            return
        with self.telling():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None

    def place(self, *, overwrite: bool) -> None:
        """Give the file its name."""
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
            if self.path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(self.path)) from None
            raise
        except OSError:
            if self.path.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self.path)) from None
            self._temporary.path.replace(self.path)

    def undo(self) -> None:
        """Put back what was there before."""
        if self._temporary.old.exists():
            if not (self.path.exists() and self.path.samefile(self._temporary.old)):
                self._temporary.old.replace(self.path)
        elif self._placing and self.path.exists() and self._is_placed():
            self.path.unlink()
        self._placing = False

    def keep(self, obstacle: Exception) -> list[str]:
        """Keep what was there before where :meth:`undo` has failed; return what there is to tell of it."""
        reason = getattr(obstacle, "strerror", None) or str(obstacle) or type(obstacle).__name__
        if (kept := self._temporary.keep_old()) is not None:
            return [f"{self.path}: could not be put back ({reason}); what was there is {kept}"]
        with contextlib.suppress(OSError):
            if not (self.path.exists() and self._is_placed()):
                return []
        return [f"{self.path}: could not be taken away again ({reason})"]

    def _is_placed(self) -> bool:
        return not self._temporary.path.exists() or self.path.samefile(self._temporary.path)

    def clean(self, *, settled: bool = False) -> None:
        """Leave nothing under a temporary name, but for what was there before, unless all files are `settled`."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # of a full disk, which has been told
                self._file.close()
            self._file = None
        self._temporary.old_is_needed = self._placing and not settled
        self._temporary.remove()


def _fill(file: BinaryIO | gzip.GzipFile, content: Any) -> None:  # noqa: ANN401  (an HDU list, or bytes)
    if isinstance(content, bytes):
        file.write(content)
    else:
        content.writeto(_Stream(file), output_verify="silentfix+ignore")


def _size(content: Any) -> int:  # noqa: ANN401
    if isinstance(content, bytes):
        return len(content)
    return sum(len(hdu.header.tostring()) + -(-hdu.size // _BLOCK) * _BLOCK for hdu in content)


class _Stream:
    """What astropy may see of a file: given the file itself, it refuses one whose space is allocated as not empty."""

    def __init__(self, file: BinaryIO | gzip.GzipFile) -> None:
        self.write = file.write
        self.tell = file.tell


def allocate(file: BinaryIO, size: int) -> bool:
    """Claim the disk space first, so that a full disk is an error before anything is written; tell whether it is."""
    if not hasattr(os, "posix_fallocate"):
        return False
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        # Other errors mean that the file system cannot do this: writing then shows whether the space is enough.
        if error.errno in _FULL_DISK:
            raise
        return False
    return True


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
