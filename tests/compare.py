"""Compare two fits plane by plane under the project's tolerances, and keep the score.

Tolerances: DQ exact; NaN and infinities in the same places; slope 1e-6 relative + 1e-3 err; variances 2e-6 relative +
1e-6 err^2; err 2e-6 relative; the optional product 2e-6 relative, its slope also + 1e-3 of the segment's error, yint,
pedestal and crmag also + 1e-6 of the pixel's largest sample.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.cases import FITOPT_PLANES, RATE_PLANES, Case, PlainFit, Planes

if TYPE_CHECKING:
    from numpy.typing import NDArray

VALUE_FROM_DATA = ("yint", "pedestal", "crmag")
# float32 holds nothing smaller: where the reference has such a residue instead of zero, its digits mean nothing
SMALLEST = float(np.finfo(np.float32).smallest_subnormal)


@dataclass
class Score:
    """What was seen of one plane."""

    compared: int = 0
    wrong: int = 0
    nan_mismatches: int = 0
    inf_mismatches: int = 0
    largest_relative: float = 0.0
    largest_of_tolerance: float = 0.0


@dataclass(frozen=True)
class Failure:
    """One value that differs; ``index`` is None where the shapes differ."""

    plane: str
    index: tuple[int, ...] | None
    expected: Any
    got: Any
    tolerance: float = 0.0

    def __str__(self) -> str:
        """Return one line for a report."""
        return (
            f"{self.plane}{list(self.index or ())}: expected {self.expected}, got {self.got} (tol {self.tolerance:.3g})"
        )


@dataclass
class Comparison:
    """Scores of all planes over many exposures, and the first failures of each."""

    scores: dict[str, Score] = field(default_factory=dict)
    exposures: int = 0
    nothing: int = 0
    pixels: int = 0
    ramps: int = 0
    failed_exposures: int = 0

    def add(self, case: Case, expected: PlainFit, got: PlainFit, *, exact: bool = False) -> list[Failure]:
        """Compare one exposure and return its failures, at most five a plane; ``exact``: every tolerance is zero."""
        self.exposures += 1
        self.pixels += case.shape[2] * case.shape[3]
        self.ramps += case.shape[0] * case.shape[2] * case.shape[3]
        failures: list[Failure] = []
        for group, found in (("rate", got.rate), ("rateints", got.rateints)):
            wanted = getattr(expected, group)
            error = plane_error(wanted)
            for name in RATE_PLANES:
                tolerance = rate_tolerance(name, wanted, error)
                failures += self.plane(f"{group}.{name}", wanted[name], found[name], tolerance, exact=exact)
        if (expected.fitopt is None) != (got.fitopt is None):
            failures.append(Failure("fitopt", None, expected.fitopt is not None, got.fitopt is not None))
        elif expected.fitopt is not None and got.fitopt is not None:
            largest = largest_sample(case)
            for name in FITOPT_PLANES:
                tolerance = fitopt_tolerance(name, expected.fitopt, largest, case.group_time)
                failures += self.plane(
                    f"fitopt.{name}", expected.fitopt[name], got.fitopt[name], tolerance, exact=exact
                )
        self.failed_exposures += bool(failures)
        return failures

    def plane(
        self, name: str, wanted: NDArray[Any], got: NDArray[Any], tolerance: NDArray[np.float64], *, exact: bool
    ) -> list[Failure]:
        """Compare one plane."""
        score = self.scores.setdefault(name, Score())
        if wanted.shape != got.shape or wanted.dtype != got.dtype:
            score.wrong += 1
            return [Failure(name, None, (wanted.shape, wanted.dtype), (got.shape, got.dtype))]
        score.compared += wanted.size
        if exact:
            tolerance = np.zeros(wanted.shape)
        if wanted.dtype.kind in "ui":
            wrong = wanted != got
        else:
            wrong = self._floats(score, wanted.astype(np.float64), got.astype(np.float64), tolerance)
        score.wrong += int(wrong.sum())
        places = [tuple(int(k) for k in place) for place in np.argwhere(wrong)[:5]]
        return [Failure(name, place, wanted[place], got[place], float(tolerance[place])) for place in places]

    @staticmethod
    def _floats(
        score: Score, wanted: NDArray[np.float64], got: NDArray[np.float64], tolerance: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        other_nan = np.isnan(wanted) != np.isnan(got)
        infinite = np.isinf(wanted) | np.isinf(got)
        other_inf = infinite & (wanted != got) & ~other_nan
        score.nan_mismatches += int(other_nan.sum())
        score.inf_mismatches += int(other_inf.sum())
        finite = np.isfinite(wanted) & np.isfinite(got)
        deviation = np.abs(np.where(finite, wanted, 0) - np.where(finite, got, 0))
        different = deviation > 0
        if different.any():
            # a value below its tolerance is all cancellation: it has no digit to compare
            telling = different & (np.abs(wanted) > tolerance)
            relative = deviation[telling] / np.abs(wanted[telling])
            score.largest_relative = max(score.largest_relative, float(relative.max(initial=0)))
            units = deviation[different] / np.maximum(tolerance[different], SMALLEST)
            score.largest_of_tolerance = max(score.largest_of_tolerance, float(units.max()))
        # not (a <= b), so that a tolerance that became NaN accepts nothing
        return other_nan | other_inf | (different & ~(deviation <= tolerance))

    def table(self) -> str:
        """Return the score as text."""
        dq = sum(s.wrong for name, s in self.scores.items() if name.endswith(".dq"))
        nan = sum(s.nan_mismatches for s in self.scores.values())
        lines = [
            f"exposures compared        {self.exposures:>12,}",
            f"  nothing to fit (None)   {self.nothing:>12,}",
            f"  with a failure          {self.failed_exposures:>12,}",
            f"pixels                    {self.pixels:>12,}",
            f"integration ramps         {self.ramps:>12,}",
            f"DQ mismatches             {dq:>12,}",
            f"NaN mismatches            {nan:>12,}",
            "",
            f"{'plane':<22}{'values':>12}{'wrong':>9}{'NaN':>7}{'inf':>7}{'largest relative':>18}{'/ tolerance':>13}",
        ]
        lines += [
            f"{name:<22}{s.compared:>12,}{s.wrong:>9,}{s.nan_mismatches:>7,}{s.inf_mismatches:>7,}"
            f"{s.largest_relative:>18.2e}{s.largest_of_tolerance:>13.3g}"
            for name, s in self.scores.items()
        ]
        return "\n".join(lines)


def plane_error(planes: Planes) -> NDArray[np.float64]:
    """Return the error that scales the tolerances of a rate.

    Negative dark makes err NaN, and err is 0 where a variance passed 1e6 or the fit is flagged; there the variances
    that are left (clipped at 0) take its place.
    """
    err = planes["err"].astype(np.float64)
    with np.errstate(invalid="ignore"):
        parts = np.maximum(np.nan_to_num(planes["var_poisson"].astype(np.float64), posinf=0), 0)
        parts = parts + np.maximum(np.nan_to_num(planes["var_rnoise"].astype(np.float64), posinf=0), 0)
        usable = np.isfinite(err) & (err > 0)
    return np.where(usable, err, np.sqrt(parts))


def rate_tolerance(name: str, wanted: Planes, error: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the tolerance of each value of a plane of rate or rateints."""
    size = _size(wanted[name])
    if name == "data":
        return 1e-6 * size + 1e-3 * error
    if name == "err":
        return 2e-6 * size
    if name == "dq":
        return np.zeros(size.shape)
    return 2e-6 * size + 1e-6 * error**2


def fitopt_tolerance(name: str, wanted: Planes, largest: NDArray[np.float64], group_time: float) -> NDArray[np.float64]:
    """Return the tolerance of each value of a plane of fitopt; ``largest`` (nrows, ncols) in DN.

    An unusable gain leaves segments without any variance, so without an error to scale the slope's tolerance. Slopes
    that should be 0 are then the rounding residue of sums of samples, and as large as float64 lets it be.
    """
    size = 2e-6 * _size(wanted[name])
    if name == "slope":
        variance = _size(wanted["var_rnoise"]) + np.maximum(np.nan_to_num(wanted["var_poisson"].astype(float)), 0)
        residue = np.where(variance > 0, 0, 1e-12 * largest / group_time)
        return size + 1e-3 * np.sqrt(variance) + residue
    return size + 1e-6 * largest if name in VALUE_FROM_DATA else size


def _size(plane: NDArray[Any]) -> NDArray[np.float64]:
    return np.abs(np.nan_to_num(plane.astype(np.float64), posinf=0, neginf=0))


def largest_sample(case: Case) -> NDArray[np.float64]:
    """Return the largest finite absolute sample of each pixel, zeroframe included, in DN, shape (nrows, ncols)."""
    largest = _size(case.data).max(axis=(0, 1))
    return largest if case.zeroframe is None else np.maximum(largest, _size(case.zeroframe).max(axis=0))


def anything_fitted(fit: PlainFit) -> bool:
    """Tell whether any pixel has a rate: a 0 without an error stands for a ramp without a segment."""
    return bool((np.isfinite(fit.rate["data"]) & (fit.rate["err"] > 0)).any())


def nothing_to_fit_failures(case: Case, got: PlainFit) -> list[Failure]:
    """Check the arrays that stand for the reference's None: full, rates NaN, errors 0, DO_NOT_USE everywhere."""
    nints, _, nrows, ncols = case.shape
    failures = []
    for group, planes, shape in (("rate", got.rate, (nrows, ncols)), ("rateints", got.rateints, (nints, nrows, ncols))):
        for name in RATE_PLANES:
            plane = planes[name]
            if plane.shape != shape:
                failures.append(Failure(f"{group}.{name}", None, shape, plane.shape))
            elif name == "data" and not np.isnan(plane).all():
                failures.append(Failure(f"{group}.data", None, "NaN everywhere", np.unique(plane)[:5]))
            elif name == "dq" and not np.all(plane & 1):
                failures.append(Failure(f"{group}.dq", None, "DO_NOT_USE everywhere", np.unique(plane)[:5]))
            elif name == "dq" and np.any(case.pixeldq & ~plane):
                failures.append(Failure(f"{group}.dq", None, "the bits of pixeldq", np.unique(plane)[:5]))
            elif name not in ("data", "dq") and np.any(plane != 0):
                failures.append(Failure(f"{group}.{name}", None, "0 everywhere", np.unique(plane)[:5]))
    return failures


def assert_same(case: Case, expected: PlainFit, got: PlainFit) -> None:
    """Compare every plane bit for bit (NaN equals NaN)."""
    failures = Comparison().add(case, expected, got, exact=True)
    assert not failures, f"{case.label}: {failures[0]}"
