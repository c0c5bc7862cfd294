"""How fast is ``rampfit_numba.fitramp``? Beside stcal's ``mask_jumps`` and ``fit_ramps``, the same method in NumPy.

The original package is not on PyPI; stcal's functions descend from it line by line, and pipelines call both row by row,
as is done here: a search in every row, then a fit with the differences that it left. The results are compared before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from common import Contender, Times, duration, interleave, parse_arguments, warm_up
from reporting import Report
from shared import SEED, Table

ROWS, IMAGE, TWO, THEIRS = "rows", "image", "image, two threads", "stcal, rows"
HIT_RATE = 0.01


@dataclass(frozen=True)
class Pattern:
    """Times of the reads, and the image."""

    name: str
    times: list[Any]
    image: tuple[int, int]


PATTERNS = (
    Pattern("16 reads", [5.24 * k for k in range(1, 17)], (256, 2048)),
    Pattern("16 groups of 4 reads", [[5.24 * (4 * g + k) for k in range(1, 5)] for g in range(16)], (256, 2048)),
    Pattern("60 reads", [5.24 * k for k in range(1, 61)], (64, 2048)),
)


def make_differences(pattern: Pattern, image: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return differences in e-/s with hits in one group of a hundred, and the noise of a read in e-."""
    generator = np.random.default_rng(SEED)
    rate = 10 ** generator.uniform(-1, 2, image)
    sigma = generator.uniform(5, 10, image)
    total, last, groups = np.zeros(image), 0.0, []
    for group in pattern.times:
        reads = np.atleast_1d(group)
        mean = np.zeros(image)
        total += (generator.random(image) < HIT_RATE) * generator.exponential(500, image)
        for time in reads:
            total += generator.poisson(rate * (time - last))
            mean += total / reads.size
            last = time
        groups.append(mean + generator.normal(0, sigma / np.sqrt(reads.size)))
    times = np.array([np.mean(group) for group in pattern.times])
    return np.diff(groups, axis=0) / np.diff(times)[:, None, None], sigma


def compare(pattern: Pattern, repeats: int, *, quick: bool) -> tuple[dict[str, Times], int]:
    """Time the contenders; return their times, and the number of ramps."""
    from stcal.ramp_fitting import likely_fit
    from stcal.ramp_fitting.likely_algo_classes import Covar

    from rampfit_numba import fitramp

    image = (4, 41) if quick else pattern.image
    diffs, sigma = make_differences(pattern, image)
    ours, theirs = fitramp.Covar(pattern.times), Covar(pattern.times)

    def whole(cores: int) -> Any:  # noqa: ANN401
        used, guess = fitramp.mask_jumps(diffs, ours, sigma, maximum_cores=cores)
        fit = fitramp.fit_ramps(diffs, ours, sigma, guess * (guess > 0), used, maximum_cores=cores)
        return used, fit.countrate, fit.uncert, fit.chisq

    def rows() -> Any:  # noqa: ANN401
        planes = []
        for i in range(image[0]):
            used, guess = fitramp.mask_jumps(diffs[:, i], ours, sigma[i])
            fit = fitramp.fit_ramps(diffs[:, i], ours, sigma[i], guess * (guess > 0), used)
            planes.append((used, fit.countrate, fit.uncert, fit.chisq))
        return [np.stack(plane, axis=-2) for plane in zip(*planes, strict=True)]

    def reference() -> Any:  # noqa: ANN401
        planes, gain = [], np.ones(image[1])
        for i in range(image[0]):
            used, guess = likely_fit.mask_jumps(diffs[:, i], theirs, sigma[i], gain)
            fit = likely_fit.fit_ramps(
                diffs[:, i], theirs, gain, sigma[i], count_rate_guess=guess * (guess > 0), diffs2use=used
            )
            planes.append((used, fit.countrate, fit.uncert, fit.chisq))
        return [np.stack(plane, axis=-2) for plane in zip(*planes, strict=True)]

    contenders = [
        Contender(ROWS, rows),
        Contender(IMAGE, lambda: whole(1)),
        Contender(TWO, lambda: whole(2)),
        Contender(THEIRS, reference),
    ]
    with np.errstate(all="ignore"):
        results = warm_up(contenders)
        check(results)
        return interleave(contenders, repeats), image[0] * image[1]


def check(results: dict[str, Any]) -> None:
    """Refuse results that differ: times of something else would mean nothing."""
    used, rate, err, chisq = results[IMAGE]
    for name in (ROWS, TWO):
        if not all(np.array_equal(*pair) for pair in zip(results[name], results[IMAGE], strict=True)):
            raise SystemExit(f"The results disagree, so their times mean nothing: {name}")
    their_used, their_rate, their_err, their_chisq = results[THEIRS]
    # Which of two equal gains is dropped may hinge on rounding; no ramp here did.
    same = (used == their_used).all()
    close = (np.abs(rate - their_rate) <= 1e-6 * err).all() and (np.abs(err - their_err) <= 1e-8 * err).all()
    if not (same and close and (np.abs(chisq - their_chisq) <= 1e-6 * (1 + chisq)).all()):
        raise SystemExit("The results disagree, so their times mean nothing: stcal's are others")


def main() -> None:
    """Compare on all patterns."""
    arguments = parse_arguments(__doc__ or "", 3, quick_repeats=1)
    report = Report("fitramp", arguments)
    table = Table(
        "Search and fit: us a ramp, minimum (median)",
        ["pattern", ROWS, IMAGE, TWO, THEIRS, "stcal / rows", "stcal / image"],
        note="One ramp in 100 is hit in each group. The differences used are equal in all ramps, the rates within 1e-6 "
        "of their errors, as is checked before the timing.",
    )
    report.tables.append(table)
    for pattern in PATTERNS:
        times, ramps = compare(pattern, arguments.repeats, quick=arguments.quick)
        each = {name: Times([1e3 * seconds / ramps for seconds in t.seconds]) for name, t in times.items()}
        row = [pattern.name, *(f"{t.text()}" for t in each.values())]
        row += [times[THEIRS].ratio(times[ROWS]), times[THEIRS].ratio(times[IMAGE])]
        table.rows.append(row)
        report.keep(pattern.name, times)
        if pattern is PATTERNS[0]:
            seconds = [f"{duration(times[name].minimum, 's')} s" for name in (ROWS, THEIRS)]
            quotient = times[THEIRS].minimum / times[ROWS].minimum
            report.gist.append([f"fitramp's functions row by row, {pattern.name}", *seconds, f"{quotient:.0f}x"])
        print(f"{row}", flush=True)
    print()
    report.finish()


if __name__ == "__main__":
    main()
