"""Functions that helpers compile, and whose code stands once beside that of their callers."""

from __future__ import annotations

from types import SimpleNamespace

import numba
import pytest

from rampfit_numba.machine_code.own_code import can_be_kept
from tests.scripts import finished, started

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")

#: A module, since helpers import what they compile.
MODULE = """
import numba
from numba import types
from rampfit_numba.machine_code import KeptCode, OwnCodeCompiler, compile_apart

def kept(function, **how):
    compiled = numba.njit(**how)(function)
    compiled._cache = KeptCode(function)
    return compiled

def apart(returns):
    def decorate(function):
        compiled = kept(function, pipeline_class=OwnCodeCompiler, no_cpython_wrapper=True)
        compile_apart(compiled, returns)
        return compiled
    return decorate

@apart(types.int64)
def plus_seven(number):
    return number + 7

@apart(types.int64)
def times_three(number):
    return plus_seven(number) * 3

@kept
def entry(number):
    return times_three(number) + plus_seven(number)

@kept
def other(number):
    return times_three(number) + 1

@apart(types.int64)
def half(number):
    return number / 2

@kept
def wrong(number):
    return half(number)
"""
COMPILE = """
import os, sys
from rampfit_numba.machine_code import helpers, watch_misses, with_helpers

helpers._cores = lambda: 2  # a helper on any machine

def compile_here(function=None):
    import functions
    missed = []
    with watch_misses(lambda: missed.append(True)), with_helpers():
        print((function or functions.entry)(1), end=" ")
    return len(missed)
"""
#: Who needs a function waits until the helper has it, and compiles nothing meanwhile.
PATIENT = """
def wait(team, task):
    with team._news:
        while task not in team._ended:
            assert team._news.wait(100)

helpers._Team.settle = wait
"""


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a script beside the module, with a cache of its own."""
    (tmp_path / "functions.py").write_text(MODULE, encoding="ascii")

    def run(*script):
        environment = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
        return finished(started(tmp_path, COMPILE, *script, environment=environment)).split()

    return run


def test_helpers_compile_what_is_apart_and_the_code_is_found_in_one_file(run, tmp_path):
    # The entry alone is compiled here; what it calls is loaded.
    assert run(PATIENT, "print(compile_here())") == ["32", "1"]
    files = {path.name.partition("-")[0]: path for path in tmp_path.rglob("*.nbc")}
    assert sorted(files) == ["entry", "plus_seven", "times_three"]
    for name in ("plus_seven", "times_three"):
        files[name].unlink()
    assert run("print(compile_here())") == ["32", "0"]


def test_what_came_with_one_caller_goes_with_the_next(run):
    # Without helpers, one of which may be the quicker one: then less is compiled here.
    assert run("helpers._cores = lambda: 1\nprint(compile_here())") == ["32", "3"]
    assert run("print(compile_here())\nimport functions\nprint(compile_here(functions.other))") == [
        "32",
        "0",
        "25",
        "1",
    ]
    assert run("import functions\nprint(compile_here(functions.other))") == ["25", "0"]


def test_callers_have_no_copy(run):
    script = """
        print(compile_here())
        import functions
        (compiled,) = functions.entry.overloads.values()
        defined = [f.name for f in compiled.library._final_module.functions if not f.is_declaration]
        called = [f.name for f in compiled.library._final_module.functions if f.is_declaration]
        print(*(any(name in f for f in where) for where in (defined, called) for name in ("plus_seven", "entry")))
    """
    assert run(script)[2:] == ["False", "True", "True", "False"]


@pytest.mark.parametrize(
    "without",
    [
        "helpers._cores = lambda: 1",
        "sys.executable = ''",
        "sys.executable = '/nowhere/python'",
        "helpers._PROGRAM = 'raise SystemExit(1)'",
        "helpers._READY = b'x'",
        "helpers.version_key = lambda: 'another'",
    ],
    ids=["one core", "no Python", "another program", "it fails", "it is left alone", "it has other settings"],
)
def test_without_helpers_all_is_compiled_here(run, without):
    assert run(f"{without}\nprint(compile_here())") == ["32", "3"]


def test_a_helper_that_dies_at_its_work_is_not_waited_for(run):
    script = """
        helpers._PROGRAM = (
            "import sys, pickle, os; pickle.load(sys.stdin.buffer), pickle.load(sys.stdin.buffer);"
            "os.write(1, b'r'); pickle.load(sys.stdin.buffer); os._exit(9)"
        )
        print(compile_here())
    """
    assert run(script) == ["32", "3"]


def test_what_a_helper_cannot_compile_is_compiled_here(run):
    script = """
        less = "import functions; del functions.plus_seven; help_out()"
        helpers._PROGRAM = helpers._PROGRAM.replace("help_out()", less)
        print(compile_here())
    """
    assert run(PATIENT, script)[0] == "32"


def test_no_helper_outlives_the_compilation(run):
    script = """
        started, start = [], helpers._start
        helpers._start = lambda: started.append(start()) or started[-1]
        print(compile_here())
        print(*(process.returncode is not None for process in started))
    """
    assert run(script)[2:] == ["True"]


def test_what_a_function_returns_must_be_what_it_says(run):
    script = """
        import functions
        try:
            compile_here(functions.wrong)
        except Exception as error:
            print("half: expected to return int64; it returns float64" in str(error))
    """
    assert run(script) == ["True"]


def test_what_calls_code_that_cannot_be_kept_is_not_kept():
    def function(*called, dynamic=False):
        return SimpleNamespace(library=SimpleNamespace(_linking_libraries=called, has_dynamic_globals=dynamic))

    fine, addressed = function(), function(dynamic=True)
    assert can_be_kept(fine)
    assert not can_be_kept(addressed)
    caller = function(fine.library, addressed.library)
    assert not can_be_kept(caller)
    assert not can_be_kept(function(caller.library))
