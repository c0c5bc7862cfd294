"""The kernels, their twins in tests/naive, and how two calls with equal arguments are compared."""

from __future__ import annotations

import ast
import importlib
import inspect
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

import rampfit_numba
from rampfit_numba.kernels.vectors import WIDTH, load, load_places, store
from tests.compiled import from_python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KERNELS = Path(rampfit_numba.__file__).parent / "kernels"
#: Modules that hold no formula and no rule of the method, and so need no twin.
PLUMBING = {
    "_jit.py": "the decorators themselves",
    "vectors.py": "vectors as values: operators, loads and stores; test_likely_kernels.py has NumPy's beside them",
    "bits.py": "masks of 64 ramps as the bits of a number; test_bits.py has NumPy's beside them",
    "lists.py": "lists of what is set in masks; test_bits.py has plain ones beside them",
    "memory.py": "copies by address; each has a checked form, which test_pointers.py runs",
    "blocks.py": "copies an exposure to blocks, bit by bit",
    "ols/copying.py": "moves pixels between an exposure, blocks and outputs, bit by bit",
}


@dataclass(frozen=True)
class Example:
    """Arguments of a kernel, and what of them and of what it returns is looked at.

    ``ignored``: what it works in, or leaves in no order. ``vectors``: how many vectors it returns, and ``lanes``: the
    arguments that are vectors, of shape (WIDTH,); ``places``: those that are whole numbers. ``chosen`` makes of
    arguments and result what counts of them.
    """

    arguments: Callable[[np.random.Generator], dict[str, Any]]
    ignored: tuple[str, ...] = ()
    lanes: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    vectors: int = 0
    chosen: Callable[[dict[str, Any], Any], Any] | None = None
    rtol: float = 1e-9


def compiled_functions(source: str) -> Iterator[str]:
    """Yield the names of the functions of a module that are compiled, and that other modules may call."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            decorators = [getattr(d.func if isinstance(d, ast.Call) else d, "id", "") for d in node.decorator_list]
            if any(name.startswith("jit") for name in decorators):
                yield node.name


def find_kernels(folder: Path = KERNELS) -> list[str]:
    """Return the names of all kernels, as ``ols.combine.bounded``."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        place = path.relative_to(folder)
        if place.as_posix() not in PLUMBING:
            module = ".".join(place.with_suffix("").parts)
            found += [f"{module}.{name}" for name in compiled_functions(path.read_text(encoding="utf-8"))]
    return found


def function_at(package: str, name: str) -> Any:
    """Return a function by its package and name, None where there is none."""
    module, _, function = name.rpartition(".")
    try:
        return getattr(importlib.import_module(f"{package}.{module}"), function, None)
    except ModuleNotFoundError:
        return None


def kernel_of(name: str) -> Any:
    return function_at("rampfit_numba.kernels", name)


def twin_of(name: str) -> Any:
    """Return the twin of a kernel, None where there is none that is plain Python of its own."""
    twin = function_at("tests.naive", name)
    own = inspect.isfunction(twin) and twin.__module__ == f"tests.naive.{name.rpartition('.')[0]}"
    return twin if own else None


def parameters_of(function: Any) -> list[str]:
    return list(inspect.signature(getattr(function, "py_func", function)).parameters)


@cache
def caller_of(name: str, example: Example) -> Callable[..., Any]:
    """Return a function that calls a kernel; vectors go in and out as arrays."""
    kernel = kernel_of(name)
    if not example.lanes and not example.vectors:
        return from_python(kernel)
    names = parameters_of(kernel)
    loads = dict.fromkeys(example.lanes, "load") | dict.fromkeys(example.places, "load_places")
    handed = [f"{loads[name]}({name}, 0)" if name in loads else name for name in names]
    stores = [f"store(out[{i}], 0, found{f'[{i}]' if example.vectors > 1 else ''})" for i in range(example.vectors)]
    lines = [f"def call({', '.join(names)}, out):", f"found = kernel({', '.join(handed)})", *stores]
    namespace: dict[str, Any] = {"kernel": kernel, "load": load, "load_places": load_places, "store": store}
    exec("\n    ".join(lines), namespace)  # noqa: S102  (it has no code that takes Python's objects)
    compiled = numba.njit(error_model="numpy")(namespace["call"])

    def call(**arguments: Any) -> Any:
        out = np.full((max(example.vectors, 1), WIDTH), np.nan)
        compiled(*(arguments[name] for name in names), out)
        return tuple(out) if example.vectors > 1 else out[0] if example.vectors else None

    return call


def compare_with_twin(name: str, example: Example, rng: np.random.Generator) -> None:
    """Call a kernel and its twin with equal arguments, and compare what they return and what they wrote."""
    arguments = example.arguments(rng)
    kernel_arguments, twin_arguments = copies_of(arguments), copies_of(arguments)
    found = caller_of(name, example)(**kernel_arguments)
    with np.errstate(all="ignore"):
        expected = twin_of(name)(**twin_arguments)
    if example.chosen is not None:
        outcomes = [example.chosen(kernel_arguments, found), example.chosen(twin_arguments, expected)]
    else:
        outcomes = [(kernel_arguments, found), (twin_arguments, expected)]
    compare(*outcomes, name, example)


def copies_of(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return copies of arguments; what is the same memory in a tuple stays so."""
    return {name: _copied(value) for name, value in arguments.items()}


def _copied(value: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_replace"):
        fields: dict[str, Any] = {}
        seen: dict[int, Any] = {}
        for name, field in zip(value._fields, value, strict=True):
            fields[name] = _copied(field)
            if isinstance(field, np.ndarray) and field.size:
                first = seen.setdefault(field.ctypes.data, fields[name])
                fields[name] = first.view(field.dtype)
        return value._replace(**fields)
    return value.copy() if isinstance(value, np.ndarray) else value


def compare(found: Any, expected: Any, where: str, example: Example) -> None:
    """Compare numbers, arrays, and all in tuples and dictionaries, but for what is ignored."""
    if where.rpartition(":")[2] in example.ignored or expected is None:
        return
    if isinstance(expected, dict):
        for key, value in expected.items():
            compare(found[key], value, f"{where}:{key}", example)
    elif isinstance(expected, tuple):
        names = getattr(expected, "_fields", range(len(expected)))
        for name, one, other in zip(names, found, expected, strict=True):
            compare(one, other, f"{where}.{name}" if ":" in where else f"{where}:{name}", example)
    else:
        one, other = np.asarray(found), np.asarray(expected)
        if other.dtype.kind != "f":
            np.testing.assert_array_equal(one, other, err_msg=where)
            return
        finite = np.abs(other[np.isfinite(other)])
        rtol = 3e-7 if one.dtype == np.float32 else example.rtol
        atol = 1e-3 * rtol * finite.max(initial=0)
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol, err_msg=where)
