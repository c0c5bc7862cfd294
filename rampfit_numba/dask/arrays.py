"""From dask arrays to lazy results: what is checked at once, and the graph of what is done later."""

from __future__ import annotations

import inspect
import math
import uuid
import warnings
from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import numpy as np
from dask.base import clone_key
from dask.graph_manipulation import clone

from rampfit_numba.algorithms.method import load_method
from rampfit_numba.algorithms.rows import RowInputs
from rampfit_numba.allocation import allocate_fitopt, allocate_results
from rampfit_numba.api import noise_and_gain, reference_image, skipped_steps
from rampfit_numba.checks import is_quantity
from rampfit_numba.dask.blocks import (
    BlockArrays,
    Fit,
    count_block,
    fit_block,
    largest_counts,
    make_block_plan,
    pick_plane,
    planes_of,
    survey_block,
)
from rampfit_numba.dask.result import LazyRampFit, LazyRate
from rampfit_numba.engine.memory_pool import Allocator
from rampfit_numba.exposure import Exposure
from rampfit_numba.messages import RampFitWarning
from rampfit_numba.options import FitOptions, checked_weighting
from rampfit_numba.registry import ALGORITHMS
from rampfit_numba.result import FitOpt
from rampfit_numba.units import ELECTRON

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, DTypeLike

    from rampfit_numba.reads import ReadCorrections

#: The axes of the arrays: integrations, groups, rows, columns, and coefficients of a polynomial.
_AXES = {"data": "igyx", "groupdq": "igyx", "zeroframe": "iyx", "linearity": "cyx"}
_IMAGE = "yx"
#: Flags, and the types that they are kept in.
_FLAGS = {"groupdq": np.uint8, "pixeldq": np.uint32}
_FIT_OPTIONS = tuple(option.name for option in fields(FitOptions))
_ONE_INTEGRATION = 3
#: Bytes of the blocks that blocks of single groups or integrations are made into, at least.
_LEAST_BLOCK = 64 << 20


def fit_ramps(
    data: da.Array,
    groupdq: da.Array | ArrayLike | None,
    readnoise: da.Array | ArrayLike,
    gain: da.Array | ArrayLike,
    group_time: float | None = None,
    *,
    pixeldq: da.Array | ArrayLike | None = None,
    average_dark_current: da.Array | ArrayLike | None = None,
    zeroframe: da.Array | ArrayLike | None = None,
    **options: Any,  # noqa: ANN401  (checked against those of Exposure and of fit_ramps)
) -> LazyRampFit:
    """Fit the ramps of an exposure that stands in dask arrays, lazily: nothing is read or fitted yet.

    Each block of rows and columns is fitted by the function that fits them in :func:`rampfit_numba.fit_ramps`, and the
    results are equal in every bit, whatever the blocks. All groups and integrations of a pixel must be in one.

    Parameters
    ----------
    data : dask.array.Array, shape (nints, ngroups, nrows, ncols), or (ngroups, nrows, ncols): one integration
        Ramps, as for :class:`rampfit_numba.Exposure`; its blocks of rows and columns are those of the fit.
    groupdq : dask.array.Array or array_like, shape of `data`, or None
        Flags of the groups.
    readnoise, gain : dask.array.Array, or what :func:`rampfit_numba.fit_ramps` takes
        Read noise in DN and gain in e-/DN, of shape (nrows, ncols), or numbers, or reference files.
    group_time : float, optional
        Time from group to group in s; it may be left out beside `read_times` only.
    pixeldq, average_dark_current : dask.array.Array or array_like, shape (nrows, ncols), optional
        As for :class:`rampfit_numba.Exposure`.
    zeroframe : dask.array.Array or array_like, shape (nints, nrows, ncols), optional
        As for :class:`rampfit_numba.Exposure`.
    **options
        The other arguments of :class:`rampfit_numba.Exposure` (frame_time, nframes, groupgap, drop_frames1, read_times,
        instrument, header, corrections, data_unit, dark_current_unit) and of :func:`rampfit_numba.fit_ramps`
        (algorithm, suppress_one_group, firstgroup, lastgroup, save_opt, rejection_threshold, pedestal, readnoise_kind,
        weighting, errors, chisq). Where the fit runs, Dask's scheduler decides.

    Returns
    -------
    LazyRampFit
        Planes as dask arrays; its ``compute()`` returns a :class:`rampfit_numba.RampFit`.

    Raises
    ------
    TypeError, ValueError
        An argument is unusable; the message names it, what was expected and what came. What only the values can tell
        (flags beyond eight bits, say) is raised when they are computed.

    Warns
    -----
    RampFitWarning
        Integrations or groups are spread over several blocks, or the flags' blocks are others than the data's: they are
        put together, which takes memory. And what :class:`rampfit_numba.Exposure` and
        :func:`rampfit_numba.fit_ramps` warn of.

    Notes
    -----
    Which groups count can depend on all flags of an exposure (``"ols"``: is every ramp saturated at once) and, for
    MIRI, on all samples (which edge groups are flagged everywhere); so does the number of segments, for ``save_opt``.
    What is needed for that is read twice, so that no block waits in memory for the last one. Where making the arrays
    takes longer than reading them, persist them first.

    Examples
    --------
    >>> import dask.array as da
    >>> from rampfit_numba.dask import fit_ramps
    >>> ramps = da.arange(10, chunks=10).reshape(1, 10, 1, 1) * da.ones((1, 10, 64, 64), chunks=(1, 10, 16, 64)) * 30
    >>> fit = fit_ramps(ramps, None, readnoise=14.0, gain=5.5, group_time=3.0)
    >>> fit
    <LazyRampFit: 1 integration x 64 rows x 64 columns; algorithm 'ols'; lazy, in 4 blocks>
    >>> float(fit.rate.data.mean().compute())
    10.0
    """
    of_exposure, of_fit = _parted(options)
    samples = _lazy_data(data)
    given = {"groupdq": groupdq, "pixeldq": pixeldq}
    given |= {"average_dark_current": average_dark_current, "zeroframe": zeroframe}
    stand_ins = {name: _stand_in(name, value) for name, value in given.items()}
    flags = stand_ins.pop("groupdq")
    exposure = Exposure(_stand_in("data", samples), flags, group_time, **stand_ins, **of_exposure)
    if any(map(is_quantity, given.values())):
        raise TypeError("average_dark_current, zeroframe: expected arrays without a unit, and the unit beside them")
    asked = FitOptions(**of_fit)
    asked.check_groups(exposure.ngroups)
    chosen = asked.for_groups(exposure.ngroups, even=exposure.evenly_read)
    _warn(exposure, asked, chosen)

    references: dict[str, Any] = {"readnoise": readnoise, "gain": gain}
    for name, value in references.items():
        if not isinstance(value, da.Array):
            references[name] = reference_image(value, exposure, name)
    noise, electrons = (_stand_in(name, value) for name, value in references.items())
    noise_and_gain(noise, electrons, exposure, chosen)  # checks them
    noise_unit, gain_unit = (value.unit if is_quantity(value) else None for value in references.values())
    bare = {name: value.value if is_quantity(value) else value for name, value in references.items()}

    fit = Fit(
        _one_pixel(exposure),
        of_exposure.get("data_unit"),
        of_exposure.get("dark_current_unit"),
        noise_unit,
        gain_unit,
        chosen,
    )
    arrays = _aligned(samples, given | bare, exposure.corrections)
    return _graph(fit, arrays, exposure)


def _parted(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arguments of an exposure, and those of a fit; refuses others."""
    positional = {"self", "data", "groupdq", "group_time", *BlockArrays._fields}
    known = [name for name in inspect.signature(Exposure.__init__).parameters if name not in positional]
    for name in options:
        if name not in (*known, *_FIT_OPTIONS):
            raise TypeError(f"{name}: unknown option; expected some of {', '.join((*known, *_FIT_OPTIONS))}")
    of_fit = {name: value for name, value in options.items() if name in _FIT_OPTIONS}
    if "weighting" in of_fit:
        of_fit["weighting"] = checked_weighting(of_fit["weighting"])
    return {name: value for name, value in options.items() if name in known}, of_fit


def _lazy_data(data: Any) -> da.Array:  # noqa: ANN401
    if not isinstance(data, da.Array):
        raise TypeError(
            f"data: expected a dask array; got {type(data).__name__} (rampfit_numba.fit_ramps is for arrays in memory)"
        )
    if any(map(np.isnan, data.shape)):
        raise ValueError(f"data: expected a known shape; got {data.shape} (call its compute_chunk_sizes() before)")
    if data.ndim == _ONE_INTEGRATION:
        data = data[np.newaxis]
    return data


def _stand_in(name: str, value: Any) -> Any:  # noqa: ANN401
    """Return an array of the same shape and dtype that takes no memory, for what is not here yet."""
    if not isinstance(value, da.Array):
        return value
    if any(map(np.isnan, value.shape)):
        raise ValueError(f"{name}: expected a known shape; got {value.shape} (call its compute_chunk_sizes() before)")
    if value.dtype.kind == "O":
        raise TypeError(f"{name}: expected an array of real numbers; got dtype {value.dtype}")
    # Flags of another type are checked, and converted, block by block: here that would take a whole array of them.
    dtype = _FLAGS[name] if name in _FLAGS and value.dtype.kind in "iub" else value.dtype
    return np.broadcast_to(np.ones((), dtype), value.shape)


def _warn(exposure: Exposure, asked: FitOptions, chosen: FitOptions) -> None:
    """Warn of what fit_ramps warns of before it begins."""
    needed = ALGORITHMS[asked.algorithm].fewest_groups
    if exposure.ngroups < needed:
        instead = "" if chosen == asked else f"it is fitted with {chosen.algorithm!r}, and "
        message = f"{asked.algorithm!r} needs {needed} groups, the exposure has {exposure.ngroups}: "
        warnings.warn(f"{message}{instead}no jump is searched for", RampFitWarning, stacklevel=3)
    if complaint := skipped_steps(exposure, ALGORITHMS[chosen.algorithm]):
        warnings.warn(complaint, RampFitWarning, stacklevel=3)


def _one_pixel(exposure: Exposure) -> Exposure:
    """Return an exposure of one pixel with the same times and groups, as tasks take it along."""
    pixel = exposure.rows(slice(0, 1))
    cuts = {"data": (1, exposure.ngroups, 1, 1), "groupdq": (1, exposure.ngroups, 1, 1), "pixeldq": (1, 1)}
    cuts |= {"average_dark_current": (1, 1), "zeroframe": (1, 1, 1)}
    for name, shape in cuts.items():
        array = getattr(pixel, name)
        if array is not None:
            object.__setattr__(pixel, name, np.zeros(shape, array.dtype))
    corrections = exposure.corrections
    if corrections is not None:
        object.__setattr__(pixel, "corrections", replace(corrections, saturation=None, pedestal=None, linearity=None))
    object.__setattr__(pixel, "header", None)
    return pixel


def _aligned(data: da.Array, given: dict[str, Any], corrections: ReadCorrections | None) -> BlockArrays:
    """Return all arrays as dask arrays in the blocks of data: all integrations and groups of some rows and columns."""
    if data.numblocks[0] > 1 or data.numblocks[1] > 1:
        warnings.warn(
            f"data: {data.numblocks[0]} x {data.numblocks[1]} blocks of integrations and groups are put together, "
            "which takes memory; make one block of all of them, and blocks of rows instead",
            RampFitWarning,
            stacklevel=3,
        )
        # A block as large as those that came: what is put together along two axes is parted along the rows.
        limit = max(_largest_block(data), _LEAST_BLOCK)
        data = data.rechunk({0: -1, 1: -1, 2: "auto", 3: -1}, block_size_limit=limit)
    rows, columns = data.chunks[2:]
    if corrections is not None:
        planes = {name: getattr(corrections, name) for name in ("saturation", "pedestal", "linearity")}
        given = given | planes
    aligned: dict[str, Any] = {"data": data}
    for name, value in given.items():
        if value is None:
            continue
        axes = _AXES.get(name, _IMAGE)
        array = value if isinstance(value, da.Array) else np.asanyarray(value)
        if array.ndim == len(axes) - 1 and len(axes) > len(_IMAGE):  # one integration
            array = array[np.newaxis]
        if array.ndim == 0:
            array = np.broadcast_to(array, data.shape[2:])
        chunks = (*((size,) for size in array.shape[:-2]), rows, columns)
        if not isinstance(array, da.Array):
            array = da.from_array(array, chunks=chunks)
        elif array.chunks != chunks:
            if name == "groupdq":
                warnings.warn(
                    "groupdq: its blocks are others than those of data; they are cut and put together anew, which "
                    "takes memory",
                    RampFitWarning,
                    stacklevel=3,
                )
            array = array.rechunk(chunks)
        aligned[name] = array
    return BlockArrays(**aligned)


def _largest_block(array: da.Array) -> int:
    largest: int = math.prod(max(sizes) for sizes in array.chunks) * array.dtype.itemsize
    return largest


def _graph(fit: Fit, arrays: BlockArrays, exposure: Exposure) -> LazyRampFit:
    """Return the results of all blocks, which depend on a plan, as that does on surveys of all of them."""
    method, given = load_method(fit.options.algorithm), arrays._asdict()
    # What is wrong with times and options together is said at once.
    trial = method.plan(*_without_instrument(fit))
    names = method.surveyed(fit.one_pixel)
    if "data" in names and exposure.data_unit == ELECTRON:
        names = (*names, "gain")
    looked_at = {name: given[name] for name in names if given[name] is not None}
    surveys = _each_block(partial(survey_block, fit, tuple(looked_at)), looked_at) if looked_at else []
    plan = dask.delayed(partial(make_block_plan, fit), pure=False)(surveys)
    counts = None
    if trial.count_rows is not None:
        counts = dask.delayed(largest_counts, pure=False)(_each_block(partial(count_block, fit), given, plan))
    blocks = _blocks(partial(fit_block, fit), given, plan, counts)

    stand_ins = Allocator(_no_memory)
    results = allocate_results(exposure.shape, fit.options, None, lambda *_: stand_ins)
    if counts is not None:
        results = results._replace(fitopt=allocate_fitopt(exposure.shape, 1, 1, lambda *_: stand_ins))
    planes = {name: _plane(blocks, name, plane) for name, plane in planes_of(results)}

    def of(kind: str) -> dict[str, Any]:
        return {name.partition(".")[2]: plane for name, plane in planes.items() if name.startswith(f"{kind}.")}

    return LazyRampFit(
        LazyRate(**of("rate"), header=exposure.header),
        LazyRate(**of("rateints"), header=exposure.header),
        None if counts is None else FitOpt(**of("fitopt")),
        exposure.header,
        fit.options,
        plan.nothing_to_fit,
        planes.get("groupdq"),
    )


def _without_instrument(fit: Fit) -> tuple[Exposure, FitOptions, RowInputs]:
    """Return what a plan is made of that looks for no edge groups, and says nothing of them."""
    pixel = fit.one_pixel.rows(slice(0, 1))
    object.__setattr__(pixel, "instrument", "")
    return pixel, fit.options, RowInputs(pixel.data, pixel.groupdq, None, None, None, None, pixel.zeroframe)


def _each_block(function: Callable[..., Any], arrays: dict[str, Any], *others: Any) -> list[Any]:  # noqa: ANN401
    """Return what a function finds in each block, of arrays that are read for it alone."""
    again = {name: None if array is None else _read_again(array) for name, array in arrays.items()}
    found: list[Any] = _blocks(function, again, *others).to_delayed().ravel().tolist()
    return found


def _read_again(array: da.Array) -> da.Array:
    """Return the same array, made apart from `array`, so that neither waits in memory for the other."""
    seed = uuid.uuid4().hex
    copied = clone(array, seed=seed)
    graph, left = dict(copied.__dask_graph__()), False
    for key, task in graph.items():
        # Dask's clone, from 2024.12 to 2026.8 at least, leaves the tasks of some operations as they were.
        # What is in a cluster's memory already (a Future, which has no dependencies) is right as it is.
        if hasattr(task, "dependencies") and task.key != key:
            names = {other: clone_key(other, seed) for other in task.dependencies}
            graph[key], left = task.substitute(names, key=key), True
    return da.Array(graph, copied.name, copied.chunks, meta=copied._meta) if left else copied  # noqa: SLF001


def _blocks(function: Callable[..., Any], arrays: dict[str, Any], *others: Any) -> da.Array:  # noqa: ANN401
    """Return an array with a block of rows and columns for each call of a function: no array of numbers."""
    pairs: list[Any] = []
    for value in others:
        pairs += [value, None]
    for name, array in arrays.items():
        pairs += [array, None if array is None else _AXES.get(name, _IMAGE)]
    return da.blockwise(function, _IMAGE, *pairs, meta=np.empty((0, 0), object))


def _plane(blocks: da.Array, name: str, like: np.ndarray) -> da.Array:
    """Return one plane of all blocks."""
    kind, _, own = name.partition(".")
    many = {"fitopt": "is", "rateints": "i", "groupdq": "ig"}.get(kind, "")
    axes = many[: like.ndim - len(_IMAGE)] + _IMAGE
    sizes = dict(zip(axes, like.shape, strict=True))
    new: dict[str, Any] = {axis: sizes[axis] for axis in axes if axis not in _IMAGE}
    if "s" in new:
        new["s"] = np.nan  # known when all ramps have been looked at
    meta = np.empty((0,) * like.ndim, like.dtype)
    return da.blockwise(pick_plane, axes, blocks, _IMAGE, name, None, new_axes=new, meta=meta, token=f"{kind}-{own}")


def _no_memory(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    return np.broadcast_to(np.zeros((), dtype), shape)
