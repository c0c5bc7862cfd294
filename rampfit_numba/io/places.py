"""Where a file stands, whatever it is called: one file can have many names."""

from __future__ import annotations

import os
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def place_of(path: Path) -> str:
    """Return what is the same for all names of a file, which need not exist; links are followed.

    Examples
    --------
    >>> from pathlib import Path
    >>> place_of(Path("out/a_rate.fits")) == place_of(Path("./out/../OUT/a_rate.fits"))
    True
    """
    return one_name(os.path.realpath(path))


def one_name(name: str) -> str:
    """Return what is the same for names that are one on many systems: case, or how letters are composed, differs."""
    return unicodedata.normalize("NFC", name).casefold()


class Places:
    """The places of many outputs, whose folders, of which there are few, are looked at once."""

    def __init__(self) -> None:
        self._folders: dict[Path, str] = {}

    def of(self, path: Path) -> tuple[str, str]:
        """Return what is the same for all names of a file in all names of its folder; it is no link that is followed.

        Examples
        --------
        >>> from pathlib import Path
        >>> places = Places()
        >>> places.of(Path("out/a_rate.fits")) == places.of(Path("./out/../out/A_rate.fits"))
        True
        """
        if path.parent not in self._folders:
            self._folders[path.parent] = place_of(path.parent)
        return self._folders[path.parent], one_name(path.name)
