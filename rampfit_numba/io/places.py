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
