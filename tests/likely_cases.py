"""One exposure for the likelihood fits as plain arrays, and ways to fit it: kernels, package, installed stcal."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.cases import flag_missing_rates, with_usable_range
from tests.reference import DQ_FLAGS, Model, step_group_range

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from rampfit_numba import RampFit

PLANES = ("data", "err", "var_poisson", "var_rnoise", "chisq", "dq")
Planes = dict[str, "NDArray[Any]"]


@dataclass(frozen=True, eq=False)
class LikelyFit:
    """Results as dictionaries of arrays, whoever computed them."""

    rate: Planes
    rateints: Planes
    groupdq: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class LikelyCase:
    """Everything a likelihood fit depends on; shapes and units are those of `tests.cases.Case`."""

    data: NDArray[np.float32]
    groupdq: NDArray[np.uint8]
    pixeldq: NDArray[np.uint32]
    readnoise: NDArray[np.float32]
    gain: NDArray[np.float32]
    dark: NDArray[np.float32] | None = None
    zeroframe: NDArray[np.float32] | None = None
    frame_time: float = 3.0
    nframes: int = 1
    groupgap: int = 0
    read_times: list[list[float]] | None = None
    rejection_threshold: float | None = None
    firstgroup: int | None = None
    lastgroup: int | None = None
    pedestal: tuple[float, float] | None = None
    label: str = ""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the data."""
        nints, ngroups, nrows, ncols = self.data.shape
        return nints, ngroups, nrows, ncols

    @property
    def times(self) -> list[list[float]]:
        """Times of the frames of all groups."""
        if self.read_times is not None:
            return [list(np.atleast_1d(times)) for times in self.read_times]
        step = self.nframes + self.groupgap
        return [[(j + 1 + g * step) * self.frame_time for j in range(self.nframes)] for g in range(self.data.shape[1])]

    @property
    def splits(self) -> bool:
        """Whether the zeroframe is a group of its own."""
        return self.zeroframe is not None and len(self.times[0]) > 1

    def but(self, **changes: Any) -> LikelyCase:
        """Return a case whose arrays share no memory with this one, with some fields replaced."""
        copied = {n: v.copy() if isinstance(v, np.ndarray) else v for n, v in self.__dict__.items()}
        return replace(self, **(copied | changes))

    def cut(self, rows: Any, cols: Any) -> LikelyCase:
        """Return the case cut down to some rows and columns."""
        arrays = {n: v[..., rows, cols] for n, v in self.__dict__.items() if isinstance(v, np.ndarray)}
        return replace(self, **arrays)


def fit_kernel(case: LikelyCase, *, joint: bool = False) -> LikelyFit:
    """Fit with the kernels alone."""
    from rampfit_numba.algorithms.likely.rows import fit_likely_rows
    from rampfit_numba.algorithms.likely.rules import LikelyOutputs, LikelyRules
    from rampfit_numba.algorithms.likely.thresholds import thresholds
    from rampfit_numba.algorithms.read_pattern import read_pattern
    from rampfit_numba.algorithms.rows import RowInputs

    nints, ngroups, nrows, ncols = case.shape
    first = 0 if case.firstgroup is None else case.firstgroup
    last = ngroups - 1 if case.lastgroup is None else case.lastgroup
    mean, sigma = (np.nan, np.nan) if case.pedestal is None else case.pedestal
    rules = LikelyRules(
        read_pattern(case.times, split_first=case.splits),
        *thresholds(case.rejection_threshold),
        joint=joint,
        split_zeroframe=case.splits,
        nframes=len(case.times[0]),
        first_used=first,
        last_used=last,
        pedestal_mean=mean,
        pedestal_sigma=sigma,
    )
    rate, rateints = (
        {n: np.full(shape, 7, {"dq": np.uint32, "dof": np.int32}.get(n, np.float32)) for n in (*PLANES, "dof")}
        for shape in ((nrows, ncols), (nints, nrows, ncols))
    )
    groupdq = np.full_like(case.groupdq, 7)
    outputs = LikelyOutputs(
        *(planes[n] for planes in (rate, rateints) for n in ("data", "err", "var_poisson", "var_rnoise", "dq")),
        *(planes[n] for n in ("chisq", "dof") for planes in (rate, rateints)),
        groupdq,
    )
    zeroframe = case.zeroframe if case.splits else None
    inputs = RowInputs(case.data, case.groupdq, case.readnoise, case.gain, case.pixeldq, case.dark, zeroframe)
    with np.errstate(all="ignore"):
        fit_likely_rows(inputs, outputs, rules)
    return LikelyFit(rate, rateints, groupdq)


def fit_package(case: LikelyCase, algorithm: str = "likely", **options: Any) -> LikelyFit:
    """Fit with `fit_ramps`; return its arrays."""
    fit = run_engine(case, algorithm, **options)
    rate, rateints = ({n: getattr(kind, n) for n in (*PLANES, "dof")} for kind in (fit.rate, fit.rateints))
    return LikelyFit(rate, rateints, fit.groupdq)


def run_engine(case: LikelyCase, algorithm: str = "likely", **options: Any) -> RampFit:
    """Fit with `fit_ramps`; its own warnings are expected here, any other one is an error."""
    from rampfit_numba import Exposure, RampFitWarning, fit_ramps

    case = with_usable_range(case)
    times: dict[str, Any] = {"read_times": case.read_times}
    if case.read_times is None:
        times = {"frame_time": case.frame_time, "nframes": case.nframes, "groupgap": case.groupgap}
        times["group_time"] = (case.nframes + case.groupgap) * case.frame_time
    exposure = Exposure(
        case.data,
        case.groupdq,
        pixeldq=case.pixeldq,
        **times,
        average_dark_current=case.dark,
        zeroframe=case.zeroframe,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", RampFitWarning)
        return fit_ramps(
            exposure,
            case.readnoise,
            case.gain,
            algorithm=algorithm,
            rejection_threshold=case.rejection_threshold,
            firstgroup=case.firstgroup,
            lastgroup=case.lastgroup,
            pedestal=case.pedestal,
            **options,
        )


def reference_ramps(case: LikelyCase) -> Any:
    """Return stcal's own object of a case; the fit writes into its flags."""
    from stcal.ramp_fitting.ramp_fit import create_ramp_fit_class

    exposure = SimpleNamespace(
        frame_time=case.frame_time,
        group_time=(case.nframes + case.groupgap) * case.frame_time,
        groupgap=case.groupgap,
        nframes=case.nframes,
        drop_frames1=0,
        read_times=None,
    )
    dark = np.zeros(case.shape[2:], np.float32) if case.dark is None else case.dark
    model = Model(
        data=case.data,
        groupdq=case.groupdq.copy(),
        pixeldq=case.pixeldq,
        average_dark_current=dark,
        zeroframe=case.zeroframe,
        meta=SimpleNamespace(exposure=exposure, instrument=SimpleNamespace(name="NIRCAM")),
    )
    step_group_range(model.groupdq, case.firstgroup, case.lastgroup)
    ramps = create_ramp_fit_class(model, "LIKELY", DQ_FLAGS)
    ramps.nframes = len(case.times[0])  # T8: with other read times it would subtract another number of frames
    if case.read_times is not None:
        ramps.read_pattern = [np.array(times) for times in case.times]
    ramps.rejection_threshold = case.rejection_threshold
    return ramps


def run_reference(ramps: Any, readnoise: Any, gain: Any) -> tuple[Planes, Planes]:
    """Call stcal's whole ``ramp_fit_data``."""
    from stcal.ramp_fitting.ramp_fit import ramp_fit_data

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        rate, rateints, _ = ramp_fit_data(ramps, False, readnoise, gain, "LIKELY", "optimal", "none")
    kinds = ({("data" if n == "slope" else n): plane for n, plane in kind.items()} for kind in (rate, rateints))
    rate, rateints = kinds
    return rate, rateints


def fit_reference(case: LikelyCase) -> LikelyFit:
    """Fit copies of the arrays with the installed stcal."""
    ramps = reference_ramps(case.but())
    before = ramps.groupdq.copy()
    rate, rateints = run_reference(ramps, case.readnoise.copy(), case.gain.copy())
    flag_missing_rates(rate, rateints)
    return LikelyFit(rate, rateints, case.groupdq | (ramps.groupdq & ~before))


def number(value: float | str | None) -> float:
    """Return a number of the golden file, where null is NaN."""
    return np.nan if value is None else float(value)


def case_from_likely_golden(example: Mapping[str, Any]) -> LikelyCase:
    """Return the inputs of one golden example, one pixel."""
    inputs = example["inputs"]
    data = np.array([[number(v) for v in ramp] for ramp in inputs["data"]], np.float32)[..., None, None]

    def plane(name: str, dtype: type[np.generic] = np.float32) -> NDArray[Any]:
        return np.full((1, 1), number(inputs[name]), dtype)

    zeroframe = inputs["zeroframe"]
    if zeroframe is not None:
        zeroframe = np.array([number(v) for v in np.atleast_1d(zeroframe)], np.float32).reshape(-1, 1, 1)
    return LikelyCase(
        data=data,
        groupdq=np.array(inputs["groupdq"], np.uint8)[..., None, None],
        pixeldq=plane("pixeldq", np.uint32),
        readnoise=plane("readnoise_cds"),
        gain=plane("gain"),
        dark=plane("average_dark_current"),
        zeroframe=zeroframe,
        frame_time=inputs["frame_time"],
        nframes=inputs["nframes"],
        groupgap=inputs["groupgap"],
        read_times=inputs["read_times"],
        rejection_threshold=inputs["rejection_threshold"],
        label=example["name"],
    )


def likely_golden_expected(example: Mapping[str, Any]) -> LikelyFit:
    """Return the outputs of one golden example."""
    kinds = [
        {
            ("data" if n == "slope" else n): np.array(
                [number(v) for v in np.atleast_1d(values)], np.uint32 if n == "dq" else np.float64
            ).reshape(*(-1,) * (kind == "rateints"), 1, 1)
            for n, values in example["expected"][kind].items()
        }
        for kind in ("rate", "rateints")
    ]
    flag_missing_rates(*kinds)
    return LikelyFit(*kinds, np.array(example["expected"]["groupdq"], np.uint8)[..., None, None])


def differing(expected: LikelyFit, found: LikelyFit) -> dict[str, NDArray[np.bool_]]:
    """Return for every plane where it differs by more than the project's tolerances.

    |rate| 1e-4 err (and the last digit of single precision); variances, err and chisq 2e-5 relative, chisq also 1e-6;
    flags and NaNs the same.
    """
    wrong = {"groupdq": expected.groupdq != found.groupdq}
    for kind in ("rate", "rateints"):
        wanted, got = getattr(expected, kind), getattr(found, kind)
        for name in wanted:
            w, g = wanted[name], got[name]
            if name in {"dq", "dof"}:
                wrong[f"{kind}.{name}"] = w != g
                continue
            wrong[f"{kind}.{name}"] = ~(deviation(name, w, g, wanted["err"]) <= 1)
    return wrong


def deviation(name: str, wanted: NDArray[Any], got: NDArray[Any], err: NDArray[Any]) -> NDArray[np.float64]:
    """Return how far values of a plane are from what is wanted, in tolerances; infinite where only one is NaN."""
    w, g = np.asarray(wanted, np.float64), np.asarray(got, np.float64)
    e = np.nan_to_num(np.asarray(err, np.float64))  # NaN for an indefinite covariance, beside a finite rate
    with np.errstate(all="ignore"):
        # Two roundings to single precision of nearly the same number may be neighbours.
        tolerance = 1e-4 * e + 1.2e-7 * np.abs(w) if name == "data" else 2e-5 * np.abs(w)
        tolerance = tolerance + 1e-6 if name == "chisq" else tolerance
        ratio = np.abs(w - g) / np.where(tolerance > 0, tolerance, np.finfo(np.float32).tiny)
    same = (w == g) | (np.isnan(w) & np.isnan(g))
    return np.where(same, 0.0, np.where(np.isnan(ratio), np.inf, ratio))


def assert_same_bits(expected: LikelyFit, found: LikelyFit) -> None:
    """Check that two fits are equal in every bit; NaN equals NaN."""
    np.testing.assert_array_equal(found.groupdq, expected.groupdq, err_msg="groupdq")
    for kind in ("rate", "rateints"):
        for name, plane in getattr(expected, kind).items():
            np.testing.assert_array_equal(getattr(found, kind)[name], plane, err_msg=f"{kind}.{name}", strict=True)


def assert_agree(expected: LikelyFit, found: LikelyFit, label: object = "") -> None:
    """Check that two fits agree within the project's tolerances."""
    wrong = {name: np.argwhere(where)[:3].tolist() for name, where in differing(expected, found).items() if where.any()}
    assert not wrong, f"{label}: {wrong}"


def one_ramp(samples: Any, *, flags: Any = 0, noise: float = 8.0, gain: float = 2.0, **options: Any) -> LikelyCase:
    """Return the case of one pixel; ``samples`` of one integration, or of several."""
    data = np.atleast_2d(np.asarray(samples, np.float32))[..., None, None]
    groupdq = np.zeros(data.shape[:2], np.uint8) | np.asarray(flags, np.uint8)
    plane = np.ones((1, 1), np.float32)
    return LikelyCase(
        data, groupdq[..., None, None], np.zeros((1, 1), np.uint32), plane * noise, plane * gain, **options
    )
