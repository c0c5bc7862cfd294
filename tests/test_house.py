"""The shape of the package: what is one object, one list, one folder."""

from __future__ import annotations

import ast
import importlib
from dataclasses import fields
from pathlib import Path

import pytest

import rampfit_numba
from rampfit_numba import FitOptions
from rampfit_numba.algorithms.method import Kernels, load_method
from rampfit_numba.registry import ALGORITHMS, SHORT_RAMPS, find_algorithm
from rampfit_numba.result import Rate

PACKAGE = Path(rampfit_numba.__file__).parent
#: What holds arguments of compiled functions and no function.
ARGUMENTS = {
    "ols/arrays.py",
    "ols/general_settings.py",
    "ols/settings.py",
    "ols/weighting.py",
    "ols/workspace.py",
    "likely/arrays.py",
    "likely/columns.py",
}
MODULES = sorted(
    path.relative_to(PACKAGE / "kernels").as_posix()
    for path in (PACKAGE / "kernels").rglob("*.py")
    if path.name != "__init__.py"
)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_algorithm_is_one_object(name):
    """What the registry says of it is true of its code, and of what all algorithms share."""
    algorithm, method = ALGORITHMS[name], load_method(name)
    assert algorithm.name == name
    for member in ("plan", "outputs", "finish", "kernels", "fit_smallest"):
        assert callable(getattr(method, member)), member
    assert all(isinstance(kernels, Kernels) and kernels.algorithm == name for kernels in method.kernels(name))
    assert {option.name for option in fields(FitOptions)} >= set(algorithm.own_options)
    assert {plane.name for plane in fields(Rate)} >= set(algorithm.own_planes)
    for folder in ("algorithms", "kernels"):
        assert (PACKAGE / folder / algorithm.package / "__init__.py").is_file()
    for spelling in (name, name.upper(), algorithm.pipeline_name.lower() or name):
        assert find_algorithm(spelling) is algorithm
    options = FitOptions(name).for_groups(algorithm.fewest_groups - 1)
    assert options.algorithm == (name if algorithm.fewest_groups == 1 else SHORT_RAMPS)


def test_every_algorithms_folder_is_in_the_registry():
    packages = {algorithm.package for algorithm in ALGORITHMS.values()}
    for folder in ("algorithms", "kernels"):
        found = {path.parent.name for path in (PACKAGE / folder).glob("*/__init__.py")}
        assert found == packages, folder


@pytest.mark.parametrize(
    "module", ["api.py", "allocation.py", "compilation.py", "files/fitting.py", "files/job.py", "io/outputs.py"]
)
def test_nobody_asks_which_algorithm_it_is(module):
    """They ask the object: no comparison names an algorithm."""
    names = set(ALGORITHMS)
    for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Compare):
            constants = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
            assert not constants & names, f"{module}, line {node.lineno}"


@pytest.mark.parametrize("module", [name for name in MODULES if name not in ARGUMENTS])
def test_kernels_are_compiled_code(module):
    """Each module has a function with one of the decorators of kernels/_jit.py, or makes them."""
    if module == "_jit.py":
        return
    text = (PACKAGE / "kernels" / module).read_text(encoding="utf-8")
    decorators = {
        getattr(decorator.func if isinstance(decorator, ast.Call) else decorator, "id", "")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
    }
    assert any(name.startswith("jit") for name in decorators), f"{module} belongs to algorithms/"
    importlib.import_module(f"rampfit_numba.kernels.{module[:-3].replace('/', '.')}")
