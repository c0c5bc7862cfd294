"""The project's own warning and error classes."""


class RampFitWarning(UserWarning):
    """The fit went on, but its result may not be what the caller expects."""


class RampFileError(ValueError):
    """A file cannot be used: the message names the file, the extension or keyword, and what to do."""


def how_to_install(extra: str) -> str:
    """Return the command that installs an extra; it works where the package is: in a clone, and not on PyPI yet."""
    return f"pip install '.[{extra}]' in a clone of rampfit_numba"
