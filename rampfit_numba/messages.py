"""The project's own warning and error classes."""


class RampFitWarning(UserWarning):
    """The fit went on, but its result may not be what the caller expects."""


class RampFileError(ValueError):
    """A file cannot be used: the message names the file, the extension or keyword, and what to do."""
