"""Many files on their way through a job, and what has become of them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from rampfit_numba.engine.interrupts import interrupts_not_lost
from rampfit_numba.files.attempts import Outcome, attempt
from rampfit_numba.files.clients import client_of
from rampfit_numba.files.cluster import fit_on_cluster, rows_on_cluster
from rampfit_numba.files.lanes import fit_in_lanes
from rampfit_numba.files.plan import file_size, make_plan
from rampfit_numba.files.processes import NoWorkersError, fit_in_processes
from rampfit_numba.messages import RampFileError
from rampfit_numba.progress import job as progress_job

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rampfit_numba.files.job import Job
    from rampfit_numba.files.results import FileResult

log = logging.getLogger(__package__)


class Batch:
    """Files to fit.

    Attributes
    ----------
    results : list of FileResult or None
        What became of each file so far.
    """

    def __init__(self, files: Sequence[Path], job: Job, on_error: str | Callable[[FileResult], None]) -> None:
        self.results: list[FileResult | None] = [None] * len(files)
        self._files = files
        self._job = job
        self._on_error = on_error
        self._client = client_of(job.options.get("executor"))

    def run(self) -> list[FileResult]:
        """Fit the files; return what became of them, or raise the first one's error if that is to be raised."""
        with interrupts_not_lost():
            if len(self._files) == 1:
                self._fit_here()
            elif self._files:
                self._fit_many_or_say_how_many()
        if self._on_error == "raise":
            for result in self.results:
                if result is not None and result.error is not None:
                    raise result.error
        return [result for result in self.results if result is not None]

    def _fit_here(self) -> None:
        """Fit a single file, in this thread and with the bar of its rows."""
        (path,) = self._files
        # A cluster that cannot be used is no failure of a file.
        job = self._job if self._client is None else rows_on_cluster(path, self._job, self._client)
        outcome = attempt(path, job)
        assert outcome is not None  # noqa: S101  (there is nobody to stop it)
        self._take(0, outcome)

    def _fit_many_or_say_how_many(self) -> None:
        try:
            self._fit_many()
        except KeyboardInterrupt:
            done = sum(result is not None and result.error is None for result in self.results)
            log.error(  # noqa: TRY400  (where it was pressed says nothing)
                "Interrupted: %d of %d files are done; go on with skip_existing=True (--skip-existing)",
                done,
                len(self._files),
            )
            raise

    def _fit_many(self) -> None:
        files = list(enumerate(self._files))
        sizes = [file_size(path) for path in self._files]
        how: dict[str, Any] = {"announce": self._announce, "stop_at_error": self._on_error == "raise"}
        shown = bool(self._job.options.get("progress"))
        if self._client is not None:
            with progress_job(sizes, shown=shown) as bar:
                fit_on_cluster(files, self._job, bar, self._take, client=self._client, **how)
            return
        plan = make_plan(sizes, self._job.options, fits_wanted=self._job.on_fit is not None)
        if plan.files > 1:
            log.info("The files are fitted %s", plan)
        job = self._job if plan.files == 1 else self._job.for_each_of(plan.files, plan.budget)
        with progress_job(sizes, shown=shown) as bar:
            if plan.kind == "threads":
                fit_in_lanes(files, job, bar, self._take, at_once=plan.files, budget=plan.budget, **how)
                return
            # The first one here: what must be compiled is compiled once, where it is seen.
            fit_in_lanes(files[:1], job, bar, self._take, at_once=1, budget=plan.budget, **how)
            if self._on_error != "raise" or not (self.results[0] and self.results[0].error):
                try:
                    fit_in_processes(files[1:], job, bar, self._take, workers=plan.files, **how)
                except NoWorkersError as error:
                    log.warning("No worker processes can be started (%s): the files are fitted in threads", error)
                    left = [file for file in files if self.results[file[0]] is None]
                    fit_in_lanes(left, job, bar, self._take, at_once=plan.files, budget=plan.budget, **how)

    def _announce(self, number: int, path: Path) -> None:
        log.info("File %d of %d: %s", number + 1, len(self._files), path)

    def _take(self, number: int, outcome: Outcome) -> None:
        """Keep what became of a file, hand on its fit, and report a failure."""
        result = outcome.handed_to(self._job.on_fit)
        self.results[number] = result
        if result.error is None or self._on_error == "raise":
            return
        if callable(self._on_error):
            self._on_error(result)
        else:
            of_a_file = isinstance(result.error, RampFileError)  # its message begins with the file
            log.error("%s", result.error if of_a_file else f"{result.path}: {result.error}")
