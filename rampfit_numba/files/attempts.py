"""One file of many: done, or failed; in any case the others go on."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from rampfit_numba.files.fitting import read_fit_write, stop_here_if_asked
from rampfit_numba.files.results import FileResult, FittedFile
from rampfit_numba.files.warned import warnings_of_this_file
from rampfit_numba.progress import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from rampfit_numba.files.job import Job


class Outcome(NamedTuple):
    """What became of a file, and the fit where somebody wants it."""

    result: FileResult
    fitted: FittedFile | None = None

    def handed_to(self, on_fit: Callable[[FittedFile], None] | None) -> FileResult:
        """Hand on the fit, if there is one; return what became of the file: what is raised is its failure."""
        if on_fit is None or self.fitted is None:
            return self.result
        try:
            on_fit(self.fitted)
        except Exception as error:  # noqa: BLE001  (each file fails for itself)
            return replace(self.result, products=(), error=error)
        return self.result


def attempt(path: Path, job: Job, turn: AbstractContextManager[object] | None = None) -> Outcome | None:
    """Fit a file as :func:`read_fit_write` does; a failure is an outcome too. None: the job was stopped before."""
    begin, fitted = time.perf_counter(), None
    with warnings_of_this_file() as warned:
        try:
            stop_here_if_asked(job)
            result, fitted = read_fit_write(path, job, turn)
        except Stopped:
            return None
        except Exception as error:  # noqa: BLE001  (each file fails for itself)
            result = FileResult(path, error=error, seconds=time.perf_counter() - begin)
    return Outcome(replace(result, warnings=tuple(warned)), fitted)
