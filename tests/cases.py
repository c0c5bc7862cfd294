"""One exposure with its fit options as plain arrays: the common language of all comparisons."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from rampfit_numba import Exposure, RampFit

Planes = dict[str, "NDArray[Any]"]

RATE_PLANES = ("data", "err", "dq", "var_poisson", "var_rnoise")
SEGMENT_PLANES = ("slope", "sigslope", "var_poisson", "var_rnoise", "yint", "sigyint", "weights")
FITOPT_PLANES = (*SEGMENT_PLANES, "pedestal", "crmag")


@dataclass(frozen=True, eq=False)
class Case:
    """Everything a fit depends on.

    Shapes: ``data`` and ``groupdq`` (nints, ngroups, nrows, ncols), ``zeroframe`` (nints, nrows, ncols), all others
    (nrows, ncols). ``data`` and ``zeroframe`` in DN, ``readnoise`` CDS noise in DN, ``gain`` in e-/DN, times in s.
    """

    data: NDArray[np.float32]
    groupdq: NDArray[np.uint8]
    pixeldq: NDArray[np.uint32]
    readnoise: NDArray[np.float32]
    gain: NDArray[np.float32]
    group_time: float = 3.0
    frame_time: float = 3.0
    nframes: int = 1
    groupgap: int = 0
    drop_frames1: int = 0
    average_dark_current: NDArray[np.float32] | None = None
    zeroframe: NDArray[np.float32] | None = None
    instrument: str = "NIRCAM"
    suppress_one_group: bool = False
    firstgroup: int | None = None
    lastgroup: int | None = None
    save_opt: bool = True
    label: str = ""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the data."""
        nints, ngroups, nrows, ncols = self.data.shape
        return nints, ngroups, nrows, ncols

    def copy(self, **changes: Any) -> Case:
        """Return a case whose arrays share no memory with this one, with some fields replaced."""
        fields = {
            name: value.copy() if isinstance(value, np.ndarray) else value for name, value in self.__dict__.items()
        }
        return replace(self, **(fields | changes))

    def pixel(self, row: int, col: int) -> Case:
        """Return the case cut down to one pixel, as the minimal input of a failure report."""
        cut = (..., slice(row, row + 1), slice(col, col + 1))
        fields = {name: value[cut] for name, value in self.__dict__.items() if isinstance(value, np.ndarray)}
        return replace(self, **fields)

    def describe(self) -> str:
        """Return the case as Python text that can be pasted (meant for single pixels)."""
        lines = [f"{name}={value!r}" for name, value in self.__dict__.items() if not isinstance(value, np.ndarray)]
        lines += [
            f"{name}={value.tolist()}  # {value.shape} {value.dtype}"
            for name, value in self.__dict__.items()
            if isinstance(value, np.ndarray)
        ]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class PlainFit:
    """Results as dictionaries of arrays, whoever computed them; ``fitopt`` None where it was not asked for."""

    rate: Planes
    rateints: Planes
    fitopt: Planes | None


def flag_missing_rates(*kinds: Planes) -> None:
    """Do what the package does on purpose (deviation 6): a rate that is not there has DO_NOT_USE, in place."""
    for planes in kinds:
        planes["dq"][...] |= np.where(np.isfinite(planes["data"]), 0, 1).astype(np.uint32)


def plain(fit: RampFit) -> PlainFit:
    """Return the planes of a `RampFit`."""
    rate = {name: getattr(fit.rate, name) for name in RATE_PLANES}
    rateints = {name: getattr(fit.rateints, name) for name in RATE_PLANES}
    fitopt = None if fit.fitopt is None else {name: getattr(fit.fitopt, name) for name in FITOPT_PLANES}
    return PlainFit(rate, rateints, fitopt)


def make_exposure(case: Case) -> Exposure:
    """Return the case's exposure as the package's own object."""
    from rampfit_numba import Exposure

    return Exposure(
        case.data,
        case.groupdq,
        case.group_time,
        pixeldq=case.pixeldq,
        frame_time=case.frame_time,
        nframes=case.nframes,
        groupgap=case.groupgap,
        drop_frames1=case.drop_frames1,
        average_dark_current=case.average_dark_current,
        zeroframe=case.zeroframe,
        instrument=case.instrument,
    )


def with_usable_range(case: Any) -> Any:
    """Return a case whose range of groups the package takes: what the pipeline makes of one that it does not."""
    ngroups = case.data.shape[1]
    first, last = case.firstgroup, case.lastgroup
    first = None if first is None else max(first, 0)
    low, high = first or 0, ngroups - 1 if last is None else last
    if (first, last) == (None, None) or low >= high:
        return replace(case, firstgroup=None, lastgroup=None)
    if low >= ngroups:
        return replace(case, firstgroup=None, lastgroup=None, groupdq=case.groupdq | np.uint8(1))
    return replace(case, firstgroup=first, lastgroup=None if high >= ngroups else last)


def run_engine(case: Case, **options: Any) -> RampFit:
    """Fit the case with the package; its own warnings are expected here, any other one is an error."""
    from rampfit_numba import RampFitWarning, fit_ramps

    case = with_usable_range(case)
    chosen = {
        "suppress_one_group": case.suppress_one_group,
        "firstgroup": case.firstgroup,
        "lastgroup": case.lastgroup,
        "save_opt": case.save_opt,
    } | options
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", RampFitWarning)
        return fit_ramps(make_exposure(case), case.readnoise, case.gain, **chosen)


def bad_readnoise(case: Case) -> NDArray[np.bool_]:
    """Return where the read noise is NaN or not positive, shape (nrows, ncols)."""
    return ~(case.readnoise > 0)


def bad_samples(case: Case) -> NDArray[np.bool_]:
    """Return where a sample is not finite although its group is not flagged SATURATED."""
    return ~np.isfinite(case.data) & ((case.groupdq & 2) == 0)


def case_from_golden(example: Mapping[str, Any]) -> Case:
    """Return the inputs of one golden example."""
    inputs, meta = example["inputs"], example["inputs"]["meta"]
    arrays = {
        name: golden_array(inputs[name])
        for name in ("data", "groupdq", "pixeldq", "readnoise", "gain", "average_dark_current", "zeroframe")
        if inputs[name] is not None
    }
    return Case(
        **arrays,
        group_time=meta["group_time"],
        frame_time=meta["frame_time"],
        nframes=meta["nframes"],
        groupgap=meta["groupgap"],
        drop_frames1=meta["drop_frames1"] or 0,
        instrument=meta["instrument"],
        suppress_one_group=inputs["suppress_one_group"],
        save_opt=inputs["save_opt"],
        label=example["id"],
    )


def golden_expected(example: Mapping[str, Any], *, as_reference: bool = False) -> PlainFit | None:
    """Return the outputs of one golden example, with deviation 6 or without; None where the reference has None."""
    expected = example["expected"]
    if expected is None:
        return None
    groups = {
        group: {
            ("data" if name == "slope" and group != "fitopt" else name): golden_array(a) for name, a in found.items()
        }
        for group, found in expected.items()
        if found is not None
    }
    if not as_reference:
        flag_missing_rates(groups["rate"], groups["rateints"])
    return PlainFit(groups["rate"], groups["rateints"], groups.get("fitopt"))


def golden_array(packed: Mapping[str, Any]) -> NDArray[Any]:
    """Return an array of the golden file; null stands for NaN, strings for infinities."""
    values = [np.nan if v is None else float(v) if isinstance(v, str) else v for v in packed["data"]]
    return np.array(values, dtype=packed["dtype"]).reshape(packed["shape"])
