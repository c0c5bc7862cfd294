"""The arrays that a fit fills: new ones, or those that the caller hands in as `out`."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.algorithms.method import Results
from rampfit_numba.registry import ALGORITHMS
from rampfit_numba.result import FitOpt, RampFit, Rate, RateInts, plane_types

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rampfit_numba.engine.memory_pool import Allocator
    from rampfit_numba.options import FitOptions

    MakeAllocator = Callable[[int, int], Allocator]

#: Bytes of a value, and arrays in a fitopt.
_SAMPLE, _FITOPT_ARRAYS = 4, 9
#: Steps of NumPy's search for a shared element, which takes none for ordinary arrays.
_MOST_WORK = 100_000


def allocate_results(
    shape: tuple[int, int, int, int], options: FitOptions, out: RampFit | None, allocator: MakeAllocator
) -> Results:
    """Return the arrays for an exposure's results, without the fits of the segments.

    Parameters
    ----------
    shape : tuple of int
        Of the exposure: (nints, ngroups, nrows, ncols).
    options : FitOptions
    out : RampFit or None
        An earlier result whose arrays are to be used again.
    allocator : callable
        Called with numbers of bytes and arrays, returns an :class:`Allocator` for them.

    Raises
    ------
    TypeError, ValueError
        An array of `out` cannot be used.
    """
    if out is not None:
        return _reuse(shape, options, out)
    image, cube = shape[2:], (shape[0], *shape[2:])
    types = plane_types(options.own_planes)

    def empty(planes: tuple[int, ...]) -> Callable[..., np.ndarray]:
        return allocator(len(types) * math.prod(planes) * _SAMPLE, len(types)).empty

    # Apart: who keeps the rate alone does not keep the memory of the integrations.
    rate = Rate.allocate(*image, own_planes=options.own_planes, empty=empty(image))
    rateints = RateInts.allocate(*cube, own_planes=options.own_planes, empty=empty(cube))
    finds_jumps = ALGORITHMS[options.algorithm].finds_jumps
    flags = allocator(math.prod(shape), 1).empty(shape, np.uint8) if finds_jumps else None
    return Results(rate, rateints, None, flags)


def allocate_fitopt(shape: tuple[int, int, int, int], nsegments: int, njumps: int, allocator: MakeAllocator) -> FitOpt:
    """Return arrays for the fits of the segments of an exposure of this shape."""
    nints, _, nrows, ncols = shape
    planes = nints * (7 * nsegments + njumps + 1)
    empty = allocator(planes * nrows * ncols * _SAMPLE, _FITOPT_ARRAYS).empty
    return FitOpt.allocate(nints, nsegments, njumps, nrows, ncols, empty=empty)


def _reuse(shape: tuple[int, int, int, int], options: FitOptions, out: RampFit) -> Results:
    """Return the arrays of an earlier result, if this one's fit in there."""
    if not isinstance(out, RampFit):
        raise TypeError(f"out: expected a RampFit; got {type(out).__name__}")
    image, cube = shape[2:], (shape[0], *shape[2:])
    types = plane_types(options.own_planes)
    for kind, planes, expected in (("rate", out.rate, image), ("rateints", out.rateints, cube)):
        for name, dtype in types.items():
            _check_array(f"out.{kind}.{name}", getattr(planes, name), expected, dtype)
    # An array that this algorithm does not fill would keep the values of the earlier fit.
    unused: dict[str, Any] = {name: None for name in vars(out.rate) if name not in types}
    rate, rateints = out.rate, out.rateints
    if any(getattr(planes, name) is not None for planes in (rate, rateints) for name in unused):
        rate, rateints = replace(rate, **unused), replace(rateints, **unused)
    finds_jumps = ALGORITHMS[options.algorithm].finds_jumps
    if finds_jumps:
        _check_array("out.groupdq", out.groupdq, shape, np.dtype(np.uint8))
    return Results(rate, rateints, None, out.groupdq if finds_jumps else None)


def _check_array(name: str, array: np.ndarray | None, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    expected = f"{name}: expected a writeable array of {dtype}, shape {shape} as the exposure"
    if array is None:
        raise ValueError(f"{expected}; got None, as results of another algorithm, or without chisq, have it")
    if array.shape != shape or array.dtype != dtype or not array.flags.writeable:
        raise ValueError(f"{expected}; got {array.dtype}, shape {array.shape}")


def check_apart(results: Results, inputs: Mapping[str, np.ndarray | None]) -> None:
    """Refuse results whose memory is also that of an input, of another result, or of another element of the same one.

    Raises
    ------
    ValueError
        One of them would overwrite the other.
    """
    planes = {f"out.rate.{name}": plane for name, plane in vars(results.rate).items()}
    planes |= {f"out.rateints.{name}": plane for name, plane in vars(results.rateints).items()}
    planes |= {"out.groupdq": results.groupdq}
    arrays = {name: plane for name, plane in planes.items() if isinstance(plane, np.ndarray)}
    for name, plane in arrays.items():
        if _overlaps_itself(plane):
            raise ValueError(
                f"{name}: expected an element of its own for each pixel; got strides {plane.strides} for shape "
                f"{plane.shape}, with which some share one"
            )
        for source, array in inputs.items():
            if array is not None and _overlap(plane, array):
                raise ValueError(
                    f"{name}: expected memory of its own, since inputs are not modified; got that of {source}"
                )
    for (name, plane), (other, array) in combinations(arrays.items(), 2):
        if _overlap(plane, array):
            raise ValueError(f"{other}: expected memory of its own; got that of {name}")


def _overlap(one: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether two arrays share an element, as columns of one table do not; True where that is too hard to tell."""
    if not np.may_share_memory(one, other):
        return False
    try:
        return np.shares_memory(one, other, max_work=_MOST_WORK)  # type: ignore[arg-type]  # numbers are documented
    except np.exceptions.TooHardError:
        return True


def _overlaps_itself(array: np.ndarray) -> bool:
    """Tell whether elements of an array share memory: some step is shorter than all that stands within it."""
    extent = array.itemsize
    for stride, size in sorted((abs(stride), size) for stride, size in zip(array.strides, array.shape, strict=True)):
        if size > 1:
            if stride < extent:
                return True
            extent += (size - 1) * stride
    return False
