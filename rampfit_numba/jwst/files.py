"""What is wrong with a file: the pipeline's models complain in their own terms, mostly without its name."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rampfit_numba.io import hdus
from rampfit_numba.io.exposures import read_exposure
from rampfit_numba.io.reference_files import check_reference
from rampfit_numba.messages import RampFileError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def exposure_named(source: Any, kind: type[Exception] = Exception) -> Iterator[None]:  # noqa: ANN401
    """Let complaints about an exposure begin with its file's name, and say what the package's own reader says of it.

    Parameters
    ----------
    source : path-like or data model
        What the step was given; complaints about a model stay as they are.
    kind : class
        Of the complaints.

    Raises
    ------
    RampFileError
        Instead of whatever was raised in the block about a file that is there.
    """
    try:
        yield
    except kind as error:
        if not isinstance(source, str | os.PathLike) or not Path(source).is_file():
            raise
        raise _explained(Path(source), error, read_exposure) from error


def has_group_flags(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file has flags of its groups, where it is a FITS file: a RampModel makes those that are absent."""
    with Path(path).open("rb") as file:
        if file.read(6) != b"SIMPLE":
            return True
    return hdus.find(hdus.scan(Path(path), ("GROUPDQ",)), "GROUPDQ") is not None


@contextmanager
def reference_named(source: Any, name: str) -> Iterator[None]:  # noqa: ANN401
    """Let complaints about a reference begin with its file's name; `name` is "readnoise" or "gain".

    Raises
    ------
    RampFileError
        Instead of whatever was raised in the block about a file.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(source, str | os.PathLike):
            raise
        raise _explained(Path(source), error, lambda path: check_reference(path, name)) from error


def _explained(path: Path, error: Exception, examine: Any) -> RampFileError:  # noqa: ANN401
    try:
        examine(path)
    except RampFileError as explanation:
        return explanation
    text = " ".join(str(error).split())
    if isinstance(error, RampFileError) or path.name in text:
        return RampFileError(text)
    return RampFileError(f"{path}: {text or type(error).__name__}")
