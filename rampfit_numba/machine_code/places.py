"""Where machine code is kept, and whom this process trusts to have put it there."""

from __future__ import annotations

import hashlib
import os
import platform
import stat
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

import llvmlite
import numba
import numpy as np

_PACKAGE = Path(__file__).parent.parent
_ONLY_US = 0o700
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Place(NamedTuple):
    """A folder with the machine code of this version.

    Attributes
    ----------
    folder : Path
        It need not exist where it can be made.
    writable : bool
        New machine code can be kept there. What only can be read is used all the same.
    lasting : bool
        Later processes look there first; a folder for temporary files is a makeshift.
    problem : str
        Why it is not used, or cannot be written; empty where all is well.
    refused : bool
        It is not used because others could have written what stands there.
    """

    folder: Path
    writable: bool
    lasting: bool
    problem: str = ""
    refused: bool = False


def cache_folder() -> str:
    """Return the folder that machine code is kept in for later processes; empty where none can be written."""
    return next((str(place.folder) for place in usable_places() if place.writable and place.lasting), "")


@cache
def usable_places() -> tuple[Place, ...]:
    """Return where machine code is looked for, in this order; only the last one can be written, if any can.

    First what ``NUMBA_CACHE_DIR``, ``XDG_CACHE_HOME`` or the home folder say. Where that cannot be written, a folder
    for temporary files, so that worker processes find what their parent has compiled.
    """
    return tuple(place for place in all_places() if place.writable or _is_served(place))


@cache
def all_places() -> tuple[Place, ...]:
    """Return the places that were considered, those with problems too; the folders are made where they can be."""
    found = []
    for base, lasting in ((lasting_base(), True), (temporary_base(), False)):
        if base is None:
            continue
        found.append(_examine(base, lasting=lasting))
        if found[-1].writable:
            break
    return tuple(found)


def lasting_base() -> Path | None:
    """Return the folder above those of all versions, as the environment has it."""
    configured = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(configured or Path.home() / ".cache").absolute() / "rampfit_numba"
    except (OSError, RuntimeError):  # a user without a home, a working folder that is gone
        return None


def temporary_base() -> Path | None:
    """Return the same among temporary files: one for each user, which all of his processes find."""
    user = f"-{os.getuid()}" if hasattr(os, "getuid") else ""  # on Windows each user has a folder of his own
    for folder in (os.environ.get("TMPDIR"), os.environ.get("TEMP"), "/tmp", "/var/tmp"):  # noqa: S108  (examined)
        if folder and Path(folder).is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return Path(folder).absolute() / f"rampfit_numba{user}"
    return None


def is_trusted(information: os.stat_result) -> bool:
    """Whether only this user, the administrator or who installed this package could have written a file or folder.

    Machine code is executed, and unpickled before: what anybody else can write could do as it likes in our name. On
    Windows neither owner nor permissions can be seen here: the folder, that of a user's home, is trusted as it stands.
    """
    if not hasattr(os, "geteuid"):
        return True
    return information.st_uid in _trusted_owners() and not information.st_mode & _OTHERS_WRITE


@cache
def version_key() -> str:
    """Return a hash of all that machine code depends on: the sources of kernels, versions, flags and this processor.

    It does not depend on the place of the package: installations of one version in several environments share the code.
    """
    from numba.core.registry import cpu_target

    digest = hashlib.sha256()
    # The last one decides how code is optimised and put together.
    sources = [_PACKAGE / "dq.py", *sorted((_PACKAGE / "kernels").rglob("*.py")), _PACKAGE / "machine_code/own_code.py"]
    for source in sources:
        digest.update(str(source.relative_to(_PACKAGE)).encode() + source.read_bytes())
    versions = (sys.version, platform.machine(), numba.__version__, llvmlite.__version__, np.__version__)
    flags = (numba.config.BOUNDSCHECK, numba.config.OPT, cpu_target.target_context.codegen().magic_tuple())
    digest.update(repr((versions, flags)).encode())
    return digest.hexdigest()[:16]


def _trusted_owners() -> frozenset[int]:
    administrator = 0
    return frozenset({administrator, os.geteuid(), _installer()})


@cache
def _installer() -> int:
    return Path(__file__).stat().st_uid


def _examine(base: Path, *, lasting: bool) -> Place:
    folder = base / version_key()
    problem = ""
    try:
        make_private(folder)
    except OSError as error:  # it may still be there to be read
        problem = f"{error.filename or base}: {error.strerror or error}"
    try:
        for path in (base, folder):
            if refusal := _refusal(path):
                return Place(folder, writable=False, lasting=lasting, problem=refusal, refused=True)
    except OSError as error:
        problem = problem or f"{error.filename}: {error.strerror}"
        return Place(folder, writable=False, lasting=lasting, problem=problem)
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        return Place(folder, writable=False, lasting=lasting, problem=problem or f"{folder}: it cannot be written")
    return Place(folder, writable=True, lasting=lasting)


def make_private(folder: Path) -> None:
    """Make a folder, and those above it, for this user alone."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_private(folder.parent)
    with suppress(FileExistsError):  # another process was faster, or a file stands there: the look at it tells
        folder.mkdir(_ONLY_US)


def _refusal(folder: Path) -> str:
    """Return why what stands in a folder must not be executed, or nothing; our own is closed to others."""
    information = folder.stat()
    if not stat.S_ISDIR(information.st_mode):
        return f"{folder}: it is no folder"
    if is_trusted(information):
        return ""
    if information.st_uid == os.geteuid() and information.st_mode & _OTHERS_WRITE:
        with suppress(OSError):  # the next line sees it
            folder.chmod(stat.S_IMODE(information.st_mode) & ~_OTHERS_WRITE)
        information = folder.stat()
    if information.st_uid not in _trusted_owners():
        return f"{folder}: it belongs to another user (uid {information.st_uid}), whose machine code is not executed"
    if information.st_mode & _OTHERS_WRITE:
        return f"{folder}: others can write to it (mode {stat.S_IMODE(information.st_mode):04o}): it is not trusted"
    return ""


def _is_served(place: Place) -> bool:
    """Whether a place that cannot be written can be read, and may be."""
    try:
        trusted = all(is_trusted(path.stat()) for path in (place.folder.parent, place.folder))
        return trusted and os.access(place.folder, os.R_OK | os.X_OK)
    except OSError:
        return False
