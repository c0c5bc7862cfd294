"""What the tasks of a lazy fit do: survey, count and fit the pixels of one block, with the unchanged row functions."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rampfit_numba.algorithms import corrections
from rampfit_numba.algorithms.method import Kernels, Plan, Results, load_method
from rampfit_numba.algorithms.rows import RowInputs
from rampfit_numba.allocation import allocate_fitopt, allocate_results
from rampfit_numba.api import noise_and_gain, read_planes
from rampfit_numba.compilation import make_ready
from rampfit_numba.engine.memory_pool import Allocator
from rampfit_numba.exposure import Exposure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rampfit_numba.options import FitOptions
    from rampfit_numba.reads import ReadCorrections

#: Blocks are fitted in threads; one of them compiles, the others wait.
_COMPILING = threading.Lock()
#: What an exposure has beside its arrays, their units and its corrections.
_TIMES = ("frame_time", "nframes", "groupgap", "drop_frames1", "read_times")


class BlockArrays(NamedTuple):
    """The arrays of one block, or of all of them: what is not given is None.

    Attributes
    ----------
    data, groupdq : array, shape (nints, ngroups, nrows, ncols)
    readnoise, gain, pixeldq, average_dark_current : array, shape (nrows, ncols)
    zeroframe : array, shape (nints, nrows, ncols)
    saturation, pedestal : array, shape (nrows, ncols)
        Of :class:`rampfit_numba.reads.ReadCorrections`, as `linearity`.
    linearity : array, shape (ncoefficients, nrows, ncols)
    """

    data: Any
    groupdq: Any = None
    readnoise: Any = None
    gain: Any = None
    pixeldq: Any = None
    average_dark_current: Any = None
    zeroframe: Any = None
    saturation: Any = None
    pedestal: Any = None
    linearity: Any = None


@dataclass(frozen=True, eq=False)
class Fit:
    """What is the same for all blocks.

    Attributes
    ----------
    one_pixel : Exposure
        The exposure without its arrays: times, groups, instrument.
    data_unit, dark_current_unit : str or None
        As they were stated.
    noise_unit, gain_unit : astropy.units.Unit or None
        Of read noise and gain, where they are Quantities.
    options : FitOptions
    """

    one_pixel: Exposure
    data_unit: str | None
    dark_current_unit: str | None
    noise_unit: Any
    gain_unit: Any
    options: FitOptions

    def exposure(self, arrays: BlockArrays) -> Exposure:
        """Return the exposure of a block."""
        like = self.one_pixel
        made = Exposure(
            arrays.data,
            arrays.groupdq,
            like.group_time,
            pixeldq=arrays.pixeldq,
            average_dark_current=arrays.average_dark_current,
            zeroframe=arrays.zeroframe,
            instrument=like.instrument,
            data_unit=self.data_unit,
            dark_current_unit=self.dark_current_unit,
            corrections=_corrections(like.corrections, arrays),
        )
        for name in _TIMES:  # settled, and complained about, when the graph was made
            object.__setattr__(made, name, getattr(like, name))
        return made

    def references(self, readnoise: Any, gain: Any, exposure: Exposure) -> tuple[np.ndarray, np.ndarray]:  # noqa: ANN401
        """Return read noise and gain of a block as the row functions take them."""
        with_units = (_with_unit(readnoise, self.noise_unit), _with_unit(gain, self.gain_unit))
        return noise_and_gain(*with_units, exposure, self.options)

    def inputs(self, arrays: BlockArrays) -> RowInputs:
        """Return what the row functions take."""
        exposure = self.exposure(arrays)
        noise, gain = self.references(arrays.readnoise, arrays.gain, exposure)
        exposure = exposure.in_dn(gain)
        planes = (noise, gain, exposure.pixeldq, exposure.average_dark_current, exposure.zeroframe)
        return RowInputs(exposure.data, exposure.groupdq, *planes, *read_planes(exposure))


class BlockPlan(NamedTuple):
    """A :class:`rampfit_numba.algorithms.method.Plan` without the arrays of an exposure.

    Attributes
    ----------
    fit_rows, count_rows : callable
    kernels : Kernels
    use_zeroframe : bool
    nothing_to_fit : str
    """

    fit_rows: Callable[[RowInputs, Any], Any]
    count_rows: Callable[[RowInputs, None], tuple[int, int]] | None
    kernels: Kernels
    use_zeroframe: bool
    nothing_to_fit: str

    def of(self, inputs: RowInputs) -> Plan:
        """Return the plan of some rows."""
        inputs = inputs if self.use_zeroframe else inputs._replace(zeroframe=None)
        return Plan(inputs, self.fit_rows, self.kernels, self.count_rows, self.nothing_to_fit)


def survey_block(fit: Fit, names: Sequence[str], *blocks: np.ndarray) -> Any:  # noqa: ANN401  (the algorithm's own)
    """Survey one block, given the arrays that the algorithm looks at."""
    given = {name: _sole(block) for name, block in zip(names, blocks, strict=True)}
    if "data" not in given:  # only flags matter
        given["data"] = np.broadcast_to(np.float32(0), given["groupdq"].shape)
    exposure = fit.exposure(BlockArrays(**given))
    if "gain" in given:
        _, gain = fit.references(1.0, given["gain"], exposure)
        exposure = exposure.in_dn(gain)
    return load_method(fit.options.algorithm).survey(exposure, fit.options)


def make_block_plan(fit: Fit, surveys: Sequence[Any]) -> BlockPlan:
    """Plan the fit of all blocks."""
    like = fit.one_pixel
    inputs = RowInputs(like.data, like.groupdq, None, None, None, None, like.zeroframe)
    plan = load_method(fit.options.algorithm).plan(like, fit.options, inputs, surveys)
    use_zeroframe = plan.inputs.zeroframe is not None
    return BlockPlan(plan.fit_rows, plan.count_rows, plan.kernels, use_zeroframe, plan.nothing_to_fit)


def count_block(fit: Fit, plan: BlockPlan, *blocks: Any) -> tuple[int, int]:  # noqa: ANN401  (lists of one array)
    """Return the largest numbers of segments and of jumps of any ramp in one block."""
    found = _ready(fit, plan, blocks)
    assert found.count_rows is not None  # noqa: S101  (for mypy)
    return found.count_rows(found.inputs, None)


def largest_counts(counts: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Return the largest numbers of segments and of jumps of all blocks."""
    segments, jumps = zip(*counts, strict=True)
    return max(segments), max(jumps)


def fit_block(fit: Fit, plan: BlockPlan, counts: tuple[int, int] | None, *blocks: Any) -> dict[str, np.ndarray]:  # noqa: ANN401
    """Fit the ramps of one block; returns its planes by the names of :class:`rampfit_numba.RampFit`."""
    found = _ready(fit, plan, blocks)
    method, shape = load_method(fit.options.algorithm), found.inputs.data.shape
    results = allocate_results(shape, fit.options, None, _new_memory)
    if counts is not None:
        results = results._replace(fitopt=allocate_fitopt(shape, *counts, _new_memory))
    returned = found.fit_rows(found.inputs, method.outputs(results))
    method.tell([returned])
    method.finish(found, [returned], results)
    return dict(planes_of(results))


def planes_of(results: Results) -> Iterator[tuple[str, np.ndarray]]:
    """Yield names, ``"rate.data"`` say, and arrays of what a fit fills."""
    for kind, planes in zip(results._fields, results, strict=True):
        if isinstance(planes, np.ndarray):
            yield kind, planes
        elif planes is not None:
            yield from ((f"{kind}.{name}", plane) for name, plane in vars(planes).items() if plane is not None)


def pick_plane(planes: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Return one plane of a block."""
    return planes[name]


def _ready(fit: Fit, plan: BlockPlan, blocks: Sequence[Any]) -> Plan:
    """Return the plan of one block, whose kernels are compiled."""
    inputs = fit.inputs(BlockArrays(*(_sole(block) for block in blocks)))
    with _COMPILING:
        make_ready(plan.kernels)
        if fit.one_pixel.corrections is not None:
            corrections.make_ready()
    return plan.of(inputs)


def _sole(block: Any) -> Any:  # noqa: ANN401
    """Return the array of a block: Dask puts it into a list for each axis that the results do not have."""
    while isinstance(block, list):
        (block,) = block
    return block


def _new_memory(_nbytes: int, _arrays: int) -> Allocator:
    """Return what makes new arrays: those of a block live as long as the scheduler wants them."""
    return Allocator()


def _with_unit(values: Any, unit: Any) -> Any:  # noqa: ANN401
    if unit is None:
        return values
    from astropy import units

    return units.Quantity(values, unit, copy=False)


def _corrections(like: ReadCorrections | None, arrays: BlockArrays) -> ReadCorrections | None:
    if like is None:
        return None
    return replace(like, saturation=arrays.saturation, pedestal=arrays.pedestal, linearity=arrays.linearity)
