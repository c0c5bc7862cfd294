"""What stands in the folders of machine code, of all versions; and its removal."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, NamedTuple

from rampfit_numba.machine_code.places import version_key

if TYPE_CHECKING:
    from pathlib import Path

    from rampfit_numba.machine_code.places import Place

_NAME = re.compile(r"[0-9a-f]{16}")


class Version(NamedTuple):
    """The machine code of one version of the package, Python, Numba and processor.

    Attributes
    ----------
    folder : Path
    size : int
        In bytes.
    files : int
        How many.
    ready : tuple of str
        Names of the kernels that are complete.
    current : bool
        It is what this process uses.
    """

    folder: Path
    size: int
    files: int
    ready: tuple[str, ...]
    current: bool


def find_versions(place: Place) -> list[Version]:
    """Return what stands beside a place, the code of this version first."""
    try:
        folders = [path for path in place.folder.parent.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()]
    except OSError:  # there is none, or it cannot be read
        return []
    versions = [_look_at(folder) for folder in folders]
    return sorted((version for version in versions if version.files), key=lambda version: not version.current)


def remove_version(version: Version) -> None:
    """Remove a version's folder. Processes that use the code have loaded it, and go on."""
    shutil.rmtree(version.folder)


def _look_at(folder: Path) -> Version:
    sizes = {}
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                sizes[path] = path.stat().st_size
        except OSError:  # removed meanwhile, or not readable
            continue
    ready = sorted(path.stem for path in sizes if path.suffix == ".warm")
    return Version(folder, sum(sizes.values()), len(sizes), tuple(ready), folder.name == version_key())
