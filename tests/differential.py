"""Compare the package with the installed stcal: ``python -m tests.differential --exposures 600``."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rampfit_numba.result import NO_VALID_FIT
from tests.cases import Case, PlainFit, plain, run_engine
from tests.compare import Comparison, Failure, anything_fitted, nothing_to_fit_failures
from tests.random_exposures import random_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

REPORTED = 20


@dataclass
class Outcome:
    """The score of a run and what failed in it."""

    comparison: Comparison = field(default_factory=Comparison)
    failures: list[tuple[Case, Failure]] = field(default_factory=list)

    def report(self) -> str:
        """Return the table, and the first failures with their pixel as a minimal input."""
        text = [self.comparison.table()]
        for case, failure in self.failures[:REPORTED]:
            text.append(f"\n{case.label} {case.shape}: {failure}")
            if failure.index is not None:
                text.append(case.pixel(*failure.index[-2:]).describe())
        return "\n".join(text)


@contextmanager
def silence() -> Iterator[None]:
    """Keep the logs of hundreds of odd exposures off the screen."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def require(outcome: Outcome) -> None:
    """Raise an AssertionError with the report where anything failed.

    Not an assert statement in the tests: pytest would print thousands of failures with all their arrays.
    """
    if outcome.failures:
        raise AssertionError(outcome.report())


def compare_cases(cases: Iterable[Case], expected_fit: Callable[[Case], PlainFit | None], **options: Any) -> Outcome:
    """Fit every case with the package and with ``expected_fit``; ``options`` go to `fit_ramps`."""
    outcome = Outcome()
    for case in cases:
        expected = expected_fit(case)
        fit = run_engine(case, **options)
        if expected is None:
            outcome.comparison.nothing += 1
            failures = nothing_to_fit_failures(case, plain(fit))
            if not fit.nothing_to_fit:
                failures.append(Failure("nothing_to_fit", None, "a reason", fit.nothing_to_fit))
        else:
            failures = outcome.comparison.add(case, expected, plain(fit))
            reason = "" if anything_fitted(expected) else NO_VALID_FIT
            if fit.nothing_to_fit != reason:
                failures.append(Failure("nothing_to_fit", None, reason, fit.nothing_to_fit))
        outcome.failures += [(case, failure) for failure in failures]
    return outcome


def main(argv: list[str] | None = None) -> int:
    """Run the comparison and return the exit status: 1 where anything differs."""
    from tests.reference import reference_fit

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exposures", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0, help="number of the first exposure")
    parser.add_argument("--oracle", choices=("stcal", "naive"), default="stcal")
    chosen = parser.parse_args(argv)
    cases = (random_case(seed) for seed in range(chosen.seed, chosen.seed + chosen.exposures))
    oracle: Callable[[Case], PlainFit | None] = reference_fit
    if chosen.oracle == "naive":
        from tests.naive import naive_fit

        oracle = naive_fit
        cases = (random_case(seed, small=True) for seed in range(chosen.seed, chosen.seed + chosen.exposures))
    begin = time.perf_counter()
    with silence():
        outcome = compare_cases(cases, oracle)
    sys.stdout.write(outcome.report() + f"\n\n{time.perf_counter() - begin:.1f} s\n")
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
