"""The entry point ``stpipe.steps``: what ``stpipe list`` shows and ``strun`` finds by a short name.

stpipe loads this module and calls its function whenever it starts, so it imports nothing: importing jwst takes seconds.
"""

from __future__ import annotations


def get_steps() -> list[tuple[str, str, bool]]:
    """Return class, short name, and whether it is a pipeline, of all that :mod:`rampfit_numba.jwst` offers.

    The short names are this package's own: the classes share theirs (``class_alias``) with the pipeline's, and stpipe
    refuses a name that two packages have.

    Examples
    --------
    >>> get_steps()[0]
    ('rampfit_numba.jwst.RampFitStep', 'rampfit_numba', False)
    """
    return [
        ("rampfit_numba.jwst.RampFitStep", "rampfit_numba", False),
        ("rampfit_numba.jwst.Detector1Pipeline", "rampfit_numba_detector1", True),
    ]
