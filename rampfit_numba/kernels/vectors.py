"""Vectors of WIDTH pixels as values of compiled code: numbers side by side that stay in registers.

The compiler's own vectorisation needs loops over arrays that it can prove not to overlap, and a fit's recursions have
too many: it gives up, or goes through memory at every step. Here a recursion runs over the differences with its state
in registers: a search round over 19 differences takes 15 ns a ramp instead of 75.

Arithmetic is that of IEEE 754, lane by lane, so a pixel's result does not depend on its neighbours or its place.
Without compilation the same functions work on NumPy arrays of WIDTH values. Write ``a = a + b``, not ``a += b``, which
would change such an array under another name.
"""

# ruff: noqa: ANN401, ARG001  (the compiler's own objects; intrinsics get them in one tuple)
from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from llvmlite import ir
from llvmlite.binding import get_host_cpu_name
from numba.core import cgutils, types
from numba.core.codegen import get_host_cpu_features
from numba.extending import lower_builtin, models, register_model, type_callable

from rampfit_numba.kernels._jit import LANES, jit_intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable

#: What the machine's registers suggest, widest first.
_WIDTHS = ((("+avx512f",), 16), (("+avx", "+avx2", "+f16c", "+fma"), 8))  # a feature brings what it is built on
_LEAST_WIDTH = 4


def known_features() -> set[str]:
    """Return LLVM's names of what the target machine's processor can do, each with a plus before it."""
    features = numba.config.CPU_FEATURES
    return set((get_host_cpu_features() if features is None else features).split(","))


def _width() -> int:
    """Return twice the numbers that a register of the target machine holds: two chains hide each other's latency.

    With AVX-512, 8 take 1.5 times as long as 16, and so do 32, for which there are too few registers; 16 without it
    take five times as long, and a minute to compile.
    """
    known = known_features()
    return min(LANES, next((width for features, width in _WIDTHS if set(features) & known), _LEAST_WIDTH))


def _processor() -> str:
    """Return LLVM's name of the target machine's processor."""
    return str(numba.config.CPU_NAME or get_host_cpu_name())


#: Pixels side by side; LANES is a multiple. No result depends on it.
WIDTH = _width()
#: Whether values from all over memory are gathered by one instruction, about as quickly as the memory has them. AMD's
#: Zen 4 has the instruction, but takes them one after the other: with 99 % of the ramps flagged, fits take a tenth
#: longer with it (``bench/compare_speed.py --only hits``). Zen 5 was not measured.
QUICK_GATHER = max(width for _, width in _WIDTHS) == WIDTH and _processor() != "znver4"

_FIRST = ir.Constant(ir.IntType(32), 0)
_VECTOR = ir.VectorType(ir.DoubleType(), WIDTH)
_SINGLES = ir.VectorType(ir.FloatType(), WIDTH)
_BYTES = ir.VectorType(ir.IntType(8), WIDTH)
_INTEGERS = ir.VectorType(ir.IntType(32), WIDTH)
_MASK = ir.VectorType(ir.IntType(1), WIDTH)


class VectorType(types.Type):
    """Type of WIDTH numbers of float64."""

    def __init__(self) -> None:
        super().__init__("RampVector")


class MaskType(types.Type):
    """Type of WIDTH truth values."""

    def __init__(self) -> None:
        super().__init__("RampMask")


class PlacesType(types.Type):
    """Type of WIDTH whole numbers of 32 bits: places in arrays, and small counts."""

    def __init__(self) -> None:
        super().__init__("RampPlaces")


VECTOR, MASK, PLACES = VectorType(), MaskType(), PlacesType()


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


@register_model(PlacesType)
class _PlacesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _INTEGERS)


@register_model(MaskType)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _MASK)


# ------------------------------------------------------------------------------------------------------- the operators
def everywhere(builder: Any, value: Any, kind: Any) -> Any:
    """Return a number as a vector of `kind`."""
    undefined = ir.Constant(kind, ir.Undefined)
    places = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
    return builder.shuffle_vector(builder.insert_element(undefined, value, _FIRST), undefined, places)


def _widened(context: Any, builder: Any, kind: Any, value: Any, vector: Any = VECTOR) -> Any:
    """Return a vector or a number of any type as a vector: of floats, or of places."""
    if kind == vector:
        return value
    element, wide = (types.float64, _VECTOR) if vector == VECTOR else (types.int32, _INTEGERS)
    return everywhere(builder, context.cast(builder, value, kind, element), wide)


def _register(
    function: Callable[..., Any], result: types.Type, instruction: Callable[..., Any], vector: types.Type = VECTOR
) -> None:
    """Let a binary operator work on two vectors, and on a vector and a number."""
    number = types.Number if vector == VECTOR else types.Integer

    @type_callable(function)
    def _type(_context: Any) -> Any:
        def typer(a: Any, b: Any) -> Any:
            kinds = a == vector, b == vector
            numbers = isinstance(a, number), isinstance(b, number)
            fitting = any(kinds) and all(v or n for v, n in zip(kinds, numbers, strict=True))
            return result if fitting else None

        return typer

    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b = (_widened(context, builder, *pair, vector) for pair in zip(signature.args, arguments, strict=True))
        return instruction(builder, a, b)

    kind = type(vector)
    for kinds in ((kind, kind), (kind, number), (number, kind)):
        lower_builtin(function, *kinds)(lower)


def _arithmetic(name: str) -> Callable[..., Any]:
    return lambda builder, a, b: getattr(builder, name)(a, b)


def _comparison(symbol: str) -> Callable[..., Any]:
    return lambda builder, a, b: builder.fcmp_ordered(symbol, a, b)


for _operator, _name in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _register(_operator, VECTOR, _arithmetic(_name))
for _operator, _name in (
    (operator.gt, ">"),
    (operator.ge, ">="),
    (operator.lt, "<"),
    (operator.le, "<="),
    (operator.eq, "=="),
):
    _register(_operator, MASK, _comparison(_name))
for _operator, _name in ((operator.add, "add"), (operator.sub, "sub"), (operator.mul, "mul")):
    _register(_operator, PLACES, _arithmetic(_name), PLACES)
for _operator, _name in ((operator.gt, ">"), (operator.le, "<=")):
    _register(_operator, MASK, lambda builder, a, b, symbol=_name: builder.icmp_signed(symbol, a, b), PLACES)


@type_callable(operator.and_)
def _type_and(_context: Any) -> Any:
    return lambda a, b: MASK if isinstance(a, MaskType) and isinstance(b, MaskType) else None


@lower_builtin(operator.and_, MaskType, MaskType)
def _lower_and(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
    return builder.and_(*arguments)


# ------------------------------------------------------------------------------------------------------- the functions
def pointer(context: Any, builder: Any, kind: Any, vector: Any, array: Any, first: Any) -> Any:
    """Return a pointer to element `first` of an array, as one to a vector."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [first], inbounds=True), vector.as_pointer())


@jit_intrinsic(lambda number: np.full(WIDTH, number, np.float64))
def spread(_context: Any, number: Any) -> Any:
    """Return a vector that is `number` in every lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _widened(context, builder, signature.args[0], arguments[0])

    return VECTOR(number), generate


@jit_intrinsic(np.where)
def select(_context: Any, mask: Any, chosen: Any, other: Any) -> Any:
    """Return, lane by lane, `chosen` where `mask` holds and `other` elsewhere; both may be numbers.

    Of a truth value and two numbers it returns one number: so a formula is written once for both.
    """
    of_vectors = isinstance(mask, MaskType)
    result = (PLACES if PLACES in (chosen, other) else VECTOR) if of_vectors else types.float64

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pairs = zip(signature.args[1:], arguments[1:], strict=True)
        if of_vectors:
            both = [_widened(context, builder, *pair, result) for pair in pairs]
        else:
            both = [context.cast(builder, value, kind, types.float64) for kind, value in pairs]
        return builder.select(arguments[0], *both)

    return result(mask, chosen, other), generate


@jit_intrinsic(lambda mask: bool(np.any(mask)))
def anywhere(_context: Any, mask: Any) -> Any:
    """Tell whether `mask` holds in any lane."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        bits = builder.bitcast(arguments[0], ir.IntType(WIDTH))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(WIDTH), 0))

    return types.boolean(mask), generate


@jit_intrinsic(np.sqrt)
def root(_context: Any, values: Any) -> Any:
    """Return the square roots, NaN of what is negative."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{WIDTH}f64"), arguments)

    return VECTOR(values), generate


@jit_intrinsic(lambda array, first: array[first : first + WIDTH].copy())
def load(_context: Any, array: Any, first: Any) -> Any:
    """Return WIDTH values of a one-dimensional array of float64, from place `first` on, as a vector."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(pointer(context, builder, signature.args[0], _VECTOR, *arguments), align=8)

    return VECTOR(array, types.int64), generate


@jit_intrinsic(lambda array, first, values: operator.setitem(array, slice(first, first + WIDTH), values))
def store(_context: Any, array: Any, first: Any, values: Any) -> Any:
    """Write a vector to a one-dimensional array of float64 from place `first` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], pointer(context, builder, signature.args[0], _VECTOR, *arguments[:2]), align=8)
        return context.get_dummy_value()

    return types.void(array, types.int64, values), generate


@jit_intrinsic(lambda array, first: array[first : first + WIDTH].astype(np.float64))
def load_single(_context: Any, array: Any, first: Any) -> Any:
    """Return WIDTH values of a one-dimensional array of float32 as a vector."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = builder.load(pointer(context, builder, signature.args[0], _SINGLES, *arguments), align=4)
        return builder.fpext(values, _VECTOR)

    return VECTOR(array, types.int64), generate


@jit_intrinsic(lambda array, first, values: operator.setitem(array, slice(first, first + WIDTH), values))
def store_single(_context: Any, array: Any, first: Any, values: Any) -> Any:
    """Write a vector to a one-dimensional array of float32, rounded."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = pointer(context, builder, signature.args[0], _SINGLES, *arguments[:2])
        builder.store(builder.fptrunc(arguments[2], _SINGLES), place, align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, values), generate


@jit_intrinsic(
    lambda after, before, first: (after[first : first + WIDTH] - before[first : first + WIDTH]).astype(np.float64)
)
def load_difference(_context: Any, after: Any, before: Any, first: Any) -> Any:
    """Return WIDTH differences of two one-dimensional arrays of float32, taken in single precision, as a vector."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        late, early = (
            builder.load(pointer(context, builder, kind, _SINGLES, array, arguments[2]), align=4)
            for kind, array in zip(signature.args[:2], arguments[:2], strict=True)
        )
        return builder.fpext(builder.fsub(late, early), _VECTOR)

    return VECTOR(after, before, types.int64), generate


@jit_intrinsic(lambda array, first, bits: (array[first : first + WIDTH] & bits) == 0)
def load_unset(_context: Any, array: Any, first: Any, bits: Any) -> Any:
    """Return a mask of the WIDTH bytes of a one-dimensional array in which none of `bits` is set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        flags = builder.load(pointer(context, builder, signature.args[0], _BYTES, *arguments[:2]), align=1)
        wanted = everywhere(builder, arguments[2], _BYTES)
        return builder.icmp_unsigned("==", builder.and_(flags, wanted), ir.Constant(_BYTES, [0] * WIDTH))

    return MASK(array, types.int64, types.uint8), generate


@jit_intrinsic(lambda array, first: array[first : first + WIDTH].astype(np.int32))
def load_places(_context: Any, array: Any, first: Any) -> Any:
    """Return WIDTH whole numbers below 2^31, of a one-dimensional array of uint32, as places."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(pointer(context, builder, signature.args[0], _INTEGERS, *arguments), align=4)

    return PLACES(array, types.int64), generate


@jit_intrinsic(lambda array, first, values: operator.setitem(array, slice(first, first + WIDTH), values))
def store_places(_context: Any, array: Any, first: Any, values: Any) -> Any:
    """Write places, none below 0, to a one-dimensional array of uint32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = pointer(context, builder, signature.args[0], _INTEGERS, *arguments[:2])
        builder.store(arguments[2], place, align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, values), generate


@jit_intrinsic(lambda values: values.astype(np.int32))
def as_places(_context: Any, values: Any) -> Any:
    """Return a vector of whole numbers below 2^31 as places."""
    return PLACES(values), lambda _context, builder, _signature, arguments: builder.fptosi(arguments[0], _INTEGERS)


@jit_intrinsic(lambda places: places.astype(np.float64))
def as_numbers(_context: Any, places: Any) -> Any:
    """Return places as a vector."""
    return VECTOR(places), lambda _context, builder, _signature, arguments: builder.sitofp(arguments[0], _VECTOR)


_GATHERED = {types.float32: ir.FloatType(), types.float64: ir.DoubleType(), types.uint32: ir.IntType(32)}


def _gather_plainly(array: np.ndarray, places: np.ndarray) -> np.ndarray:
    return np.asarray(array[places], np.int32 if array.dtype == np.uint32 else np.float64)


@jit_intrinsic(_gather_plainly)
def gather(_context: Any, array: Any, places: Any) -> Any:
    """Return, lane by lane, the value of a one-dimensional array that stands at `places`.

    A vector of floats, or places of whole numbers below 2^31 of uint32.
    """
    result = PLACES if array.dtype == types.uint32 else VECTOR

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        dtype = signature.args[0].dtype
        element = _GATHERED[dtype]
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        pointers = ir.VectorType(element.as_pointer(), WIDTH)
        base = everywhere(builder, data, pointers)
        where = builder.gep(base, [arguments[1]], source_etype=element)
        kind = ir.VectorType(element, WIDTH)
        letter = "i" if dtype == types.uint32 else "f"
        name = f"llvm.masked.gather.v{WIDTH}{letter}{dtype.bitwidth}.v{WIDTH}p0"
        mask = ir.VectorType(ir.IntType(1), WIDTH)
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(kind, [pointers, ir.IntType(32), mask, kind]), name
        )
        all_lanes = ir.Constant(mask, [1] * WIDTH)
        size = ir.Constant(ir.IntType(32), dtype.bitwidth // 8)
        values = builder.call(function, [where, size, all_lanes, ir.Constant(kind, ir.Undefined)])
        return builder.fpext(values, _VECTOR) if dtype == types.float32 else values

    return result(array, places), generate
