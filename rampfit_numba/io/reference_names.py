"""What a reference may be called: a number, or the name of a file.

The one rule for the command and for Python. Nothing here imports NumPy or astropy: a wrong name is refused at once.
"""

from __future__ import annotations

import math
import stat
import struct
from pathlib import Path

from rampfit_numba.messages import RampFileError

# Characters of a text that a message shows.
_LONGEST = 300
_DIRECTORY = "is a directory"


def number_or_path(text: str) -> float | Path:
    """Return the file that `text` names or, where there is no such file, the number that it is.

    Raises
    ------
    RampFileError
        It is neither; the message says why it is no file.

    Examples
    --------
    >>> number_or_path("5.5")
    5.5
    """
    complaint = _why_no_file(text)
    if not complaint:
        return Path(text)
    try:
        return float(text)
    except ValueError:
        advice = f"; {file_in(Path(text))}" if complaint == _DIRECTORY else ""
        raise RampFileError(f"{_shown(text)}: {complaint}, and no number{advice}") from None


def check_file(path: Path) -> None:
    """Refuse a path under which there is no file, with a RampFileError."""
    if complaint := _why_no_file(str(path)):
        advice = file_in(path) if path.is_dir() else "give the name of a FITS file"
        raise RampFileError(f"{_shown(str(path))}: {complaint}; {advice}")


def file_in(folder: Path) -> str:
    """Return the advice to give a file in a folder, with the name of one if there is any."""
    # The first kind of which there is a file: exposures rather than what else may stand there.
    for pattern in ("*_jump.fits", "*_ramp.fits", "*.fits", "*.fits.gz", "*.fits.fz"):
        try:
            names = sorted(path.name for path in folder.glob(pattern))
        except OSError:
            break
        if names:
            return f"give the name of a file in it, such as {_shown(names[0])}, or of several, {folder / pattern}"
    return "give the name of a FITS file (there is none in it)"


def check_number(value: float) -> None:
    """Refuse a number that cannot be a gain or a read noise, with a ValueError."""
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"expected a finite number > 0; got {value}")
    try:
        (single,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        single = 0.0
    if not single:
        raise ValueError(f"expected a number that single precision can hold; got {value}")


def _why_no_file(text: str) -> str:
    """Return why no file has this name, an empty string where there is one; a pipe or a device is none."""
    try:
        mode = Path(text).stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "no such file"
    except OSError as error:
        return f"cannot be the name of a file, or not be read ({error.strerror or error})"
    except ValueError:  # a zero byte
        return "cannot be the name of a file"
    return _DIRECTORY if stat.S_ISDIR(mode) else "" if stat.S_ISREG(mode) else "is no regular file"


def _shown(text: str) -> str:
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return short if short.isprintable() and short else repr(short)
