"""What a product was made from, as its history keeps it: what tells whether it must be made again."""

from __future__ import annotations

import hashlib
import os
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba._version import __version__
from rampfit_numba.messages import RampFileError, remedy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rampfit_numba.files.job import Job
    from rampfit_numba.io.formats import Format
    from rampfit_numba.options import FitOptions

_BEGINNING = "rampfit_numba record: "
# A history's line holds 72 characters.
_BYTES = 20
#: Of a large file only so much of its beginning and its end is looked at, beside its size and its time.
_ENDS = 256 << 10


def make_record(path: Path, job: Job, kind: Format, options: FitOptions) -> str:
    """Return the line of history that tells products from those of other files, references, options and versions.

    It covers the version of this package; every option of the fit, and those of the kind of file; the content of the
    references' files, or their numbers; name, size and time of modification of the exposure's file, and what it begins
    and ends with (the whole of it would take as long to read as the fit). Not covered is what changes no product:
    workers, memory, folders.

    Raises
    ------
    RampFileError
        A file cannot be read.
    """
    parts: list[Any] = [__version__, kind.name]
    parts += [(option.name, repr(getattr(options, option.name))) for option in fields(options)]
    parts += [(name, _identity(value)) for name, value in sorted(job.format_options(kind).items())]
    parts += [(name, _identity(value)) for name, value in sorted(job.references.items())]
    parts.append(_identity_of_exposure(path))
    digest = hashlib.blake2b(repr(parts).encode("utf-8", "surrogateescape"), digest_size=_BYTES)
    return _BEGINNING + digest.hexdigest()


def is_up_to_date(kind: Format, products: Mapping[str, Path], record: str) -> bool:
    """Tell whether all products exist, are whole and have this record."""
    return all(has_record(kind, path, record) for path in products.values())


def has_record(kind: Format, product: Path, record: str) -> bool:
    """Tell whether a product exists, is whole and has this record."""
    try:
        return product.is_file() and _record_in(kind.history(product)) == record
    except (RampFileError, OSError):
        return False


def _record_in(history: list[str]) -> str:
    # The exposure's own history stands before that of the fit.
    return next((line for line in reversed(history) if line.startswith(_BEGINNING)), "")


def _identity(value: Any) -> str:  # noqa: ANN401  (a path, number, array or whatever an option is)
    if isinstance(value, str | os.PathLike) and Path(value).is_file():
        status = Path(value).stat()
        return _digest_of_file(str(value), status.st_ino, status.st_size, status.st_mtime_ns)
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        content = hashlib.blake2b(array.view(np.uint8).data if array.size else b"", digest_size=_BYTES).hexdigest()
        return f"{array.dtype.str} {array.shape} {getattr(value, 'unit', '')} {content}"
    return repr(value)


@lru_cache(maxsize=64)
def _digest_of_file(path: str, *_: int) -> str:
    """Return the digest of a file's content; what follows the path tells one content from another."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=_BYTES)).hexdigest()
    except OSError as error:
        raise RampFileError(f"{path}: cannot be read ({error.strerror or error}){remedy(error)}") from error


def _identity_of_exposure(path: Path) -> tuple[str, ...]:
    """Return what tells an exposure's file; nothing of a file that cannot be read: reading it says why."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return (path.name,)
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            ends = file.read(_ENDS)
            file.seek(max(status.st_size - _ENDS, 0))
            ends += file.read(_ENDS)
    except (OSError, ValueError):
        return (path.name,)
    content = hashlib.blake2b(ends, digest_size=_BYTES).hexdigest()
    return (path.name, str(status.st_size), str(status.st_mtime_ns), content)
