"""Medians: of LANES lists side by side by a sorting network, or of one list where that does not pay."""

# ruff: noqa: ANN401, ARG001  (the compiler's own objects; intrinsics get them in one tuple)
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba.core import types

from rampfit_numba.kernels._jit import LANES, jit, jit_intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable

_BOTH, _SMALLER, _LARGER = range(3)
_SINGLE = 4
#: Bytes that are compared at once: the widest registers. The compiler parts them for narrower ones.
_BYTES = 64


def _exchange_plainly(values: np.ndarray, i: int, j: int, needed: int) -> None:
    low, high = values[i].copy(), values[j].copy()
    if needed != _LARGER:
        values[i] = np.where(low < high, low, high)
    if needed != _SMALLER:
        values[j] = np.where(low < high, high, low)


def _exchange(needed: int) -> Callable[..., Any]:
    """Return what exchanges two rows of values, shape (length, LANES), or the half of that which is `needed`.

    As a loop, it becomes masked stores where vectors are those of AVX2: the fit of ramps without flags takes half as
    long again then. These comparisons are single instructions, of which NaN and zeros of both signs come out as from a
    loop.
    """

    def typed(_context: Any, values: Any, i: Any, j: Any) -> Any:
        size = values.dtype.bitwidth // 8
        number = _BYTES // size
        kind = ir.VectorType(ir.FloatType() if size == _SINGLE else ir.DoubleType(), number)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            rows = [builder.mul(row, ir.Constant(row.type, LANES)) for row in arguments[1:]]
            for lane in range(0, LANES, number):
                places = [builder.gep(data, [builder.add(row, ir.Constant(row.type, lane))]) for row in rows]
                low_place, high_place = (builder.bitcast(place, kind.as_pointer()) for place in places)
                low, high = builder.load(low_place, align=size), builder.load(high_place, align=size)
                smaller = builder.fcmp_ordered("<", low, high)
                if needed != _LARGER:
                    builder.store(builder.select(smaller, low, high), low_place, align=size)
                if needed != _SMALLER:
                    builder.store(builder.select(smaller, high, low), high_place, align=size)
            return context.get_dummy_value()

        return types.void(values, types.int64, types.int64), generate

    return jit_intrinsic(lambda values, i, j: _exchange_plainly(values, i, j, needed))(typed)


_exchange_both, _keep_smaller, _keep_larger = (_exchange(needed) for needed in (_BOTH, _SMALLER, _LARGER))


@jit
def bring_to_middle(values, network):
    """Exchange rows of `values`, shape (length, LANES), until each column has its middle ranks in the middle rows."""
    for e in range(network.shape[0]):
        if network[e, 2] == _BOTH:
            _exchange_both(values, network[e, 0], network[e, 1])
        elif network[e, 2] == _SMALLER:
            _keep_smaller(values, network[e, 0], network[e, 1])
        else:
            _keep_larger(values, network[e, 0], network[e, 1])


@jit
def middle_two(values, count):
    """Return the two values in the middle of the first `count`, twice the same of an odd number; `values` is reordered.

    Hoare's selection: NumPy's sort would cost a second of compiling.
    """
    rank = count // 2
    low, high = 0, count - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    upper = values[rank]
    if count % 2 == 1:
        return upper, upper
    lower = values[0]
    for i in range(1, rank):
        lower = max(lower, values[i])
    return lower, upper
