"""Compare ``algorithm="likely"`` with the installed stcal: ``python -m tests.differential_likely --exposures 400``.

Ramps may differ only where the reference's outcome hinges on rounding: it started with two or three differences, the
naive oracle finds a decision closer than 1e-6, its rate is zero but for rounding, the reference divides by a coupling
that is (T22), or its chi-square is the difference of terms a thousand million times as large. Ramps with samples that
are not finite are left out: here these are flagged groups (T2).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tests.differential import silence
from tests.likely_cases import (
    LikelyCase,
    LikelyFit,
    deviation,
    differing,
    fit_kernel,
    fit_package,
    fit_reference,
)
from tests.naive import naive_likely
from tests.naive.likely.ramps import Hinges
from tests.random_likely import random_likely_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

MARGIN = 1e-6
COUPLING = 1e-9
CANCELLED = 1e-9
LEAST_SEARCHED, LEAST_USED = 2, 4
REPORTED = 20


@dataclass
class Outcome:
    """The score of a run."""

    exposures: int = 0
    ramps: int = 0
    not_finite: int = 0
    excused: Counter[str] = field(default_factory=Counter)
    compared: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    largest: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def report(self) -> str:
        """Return the table and the first failures."""
        lines = [
            f"{self.exposures} exposures, {self.ramps} ramps, {self.not_finite} of them left out: samples not finite",
            "ramps that differ and hinge on rounding: "
            + (", ".join(f"{n} ({why})" for why, n in sorted(self.excused.items())) or "none"),
            f"{'plane':22}{'compared':>12}{'wrong':>8}{'largest / tolerance':>22}",
        ]
        lines += [
            f"{name:22}{self.compared[name]:12}{self.wrong[name]:8}{self.largest.get(name, 0.0):22.3g}"
            for name in self.compared
        ]
        return "\n".join([*lines, *self.failures[:REPORTED]])


def compare(case: LikelyCase, expected: LikelyFit, found: LikelyFit, outcome: Outcome) -> None:
    """Add the comparison of one exposure."""
    outcome.exposures += 1
    nints, _, nrows, ncols = case.shape
    outcome.ramps += nints * nrows * ncols
    skipped = ~np.isfinite(case.data).all(axis=1)
    if case.splits and case.zeroframe is not None:
        skipped |= ~np.isfinite(case.zeroframe)
    outcome.not_finite += int(skipped.sum())
    wrong = differing(expected, found)
    differs = wrong["groupdq"].any(axis=1)
    for name, where in wrong.items():
        if name.startswith("rateints") and not name.endswith("chisq"):
            differs |= where
    excuse_ramps(case, differs & ~skipped, excuse, skipped, outcome)
    excuse_ramps(case, wrong["rateints.chisq"] & ~skipped, excuse_for_chisq, skipped, outcome)
    # Where the integrations agree, so must the rate of all, unless the reference divides by one that is rounding.
    differs = np.logical_or.reduce([where for name, where in wrong.items() if name.startswith("rate.")])
    differs = np.broadcast_to(differs & ~skipped.any(axis=0), skipped.shape)
    excuse_ramps(case, differs, excuse_for_rate, skipped, outcome)
    count(case, wrong, expected, found, skipped, outcome)


def excuse_ramps(
    case: LikelyCase,
    differ: NDArray[np.bool_],
    excuse_of: Callable[[Hinges], str],
    skipped: NDArray[np.bool_],
    outcome: Outcome,
) -> None:
    """Count the ramps that differ and may, and leave them out: ``skipped`` is changed."""
    for i, row, col in np.argwhere(differ):
        _, hinges = naive_likely(case.cut(slice(row, row + 1), slice(col, col + 1)))
        why = excuse_of(Hinges(*(plane[i, 0, 0] for plane in vars(hinges).values())))
        if why:
            outcome.excused[why] += 1
            skipped[i, row, col] = True


def excuse(ramp: Hinges) -> str:
    """Return why the reference's outcome of a ramp hinges on rounding; empty if it does not."""
    # One difference is its own rate, and none has no rate: there nothing is searched.
    if LEAST_SEARCHED <= ramp.used < LEAST_USED:
        return "two or three differences"
    if ramp.margin < MARGIN:
        return "a close decision"
    return excuse_for_rate(ramp) or ("a vanishing coupling" if ramp.coupling < COUPLING else "")


def excuse_for_chisq(ramp: Hinges) -> str:
    """Return why the chi-square alone hinges on rounding, that of two large terms; empty if it does not."""
    return "a chi-square that cancels" if ramp.remains < CANCELLED else excuse(ramp)


def excuse_for_rate(ramp: Hinges) -> str:
    """Return why an integration that agrees may make the rate of all hinge on rounding; empty if it does not."""
    return "a rate that cancels" if ramp.cancelled < CANCELLED else ""


def count(  # noqa: PLR0917
    case: LikelyCase,
    wrong: dict[str, NDArray[np.bool_]],
    expected: LikelyFit,
    found: LikelyFit,
    skipped: NDArray[np.bool_],
    outcome: Outcome,
) -> None:
    """Count what was compared and what is wrong."""
    for name, where in wrong.items():
        kind, _, plane = name.partition(".")
        leave = np.broadcast_to(skipped[:, None], where.shape) if kind == "groupdq" else skipped
        leave = skipped.any(axis=0) if kind == "rate" else leave
        bad = where & ~leave
        outcome.compared[name] += int((~leave).sum())
        outcome.wrong[name] += int(bad.sum())
        if plane not in {"", "dq"}:
            wanted, got = getattr(expected, kind), getattr(found, kind)
            ratio = np.where(leave, 0.0, deviation(plane, wanted[plane], got[plane], wanted["err"]))
            outcome.largest[name] = max(outcome.largest.get(name, 0.0), float(ratio.max(initial=0.0)))
        for index in map(tuple, np.argwhere(bad)[:5]):
            values = (
                (expected.groupdq[index], found.groupdq[index])
                if kind == "groupdq"
                else (getattr(expected, kind)[plane][index], getattr(found, kind)[plane][index])
            )
            outcome.failures.append(f"{case.label} {case.shape} {name}{list(map(int, index))}: {values}")


def compare_cases(cases: Iterable[LikelyCase], fit: Callable[[LikelyCase], LikelyFit] = fit_package) -> Outcome:
    """Fit every case with the reference and with ``fit``."""
    outcome = Outcome()
    for case in cases:
        compare(case, fit_reference(case), fit(case), outcome)
    return outcome


def main(argv: list[str] | None = None) -> int:
    """Run the comparison and return the exit status: 1 where anything differs that must not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exposures", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0, help="number of the first exposure")
    parser.add_argument("--kernel", action="store_true", help="call the kernels without the package around them")
    chosen = parser.parse_args(argv)
    begin = time.perf_counter()
    with silence():
        outcome = compare_cases(
            (random_likely_case(seed) for seed in range(chosen.seed, chosen.seed + chosen.exposures)),
            fit_kernel if chosen.kernel else fit_package,
        )
    sys.stdout.write(outcome.report() + f"\n\n{time.perf_counter() - begin:.1f} s\n")
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
