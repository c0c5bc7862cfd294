"""Every public name has a complete docstring, and every example in one runs."""

from __future__ import annotations

import doctest
import importlib
import inspect
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits

import rampfit_numba
from rampfit_numba.simulate import simulate_exposure, write_simulation
from rampfit_numba.simulate.roman import simulate_roman, write_roman_simulation
from rampfit_numba.simulate.wfc3 import simulate_ima, write_ima

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.docs]

if os.environ.get("RAMPFIT_REQUIRE_DOCS") == "1":
    validate = importlib.import_module("numpydoc.validate").validate
else:
    validate = pytest.importorskip("numpydoc.validate", reason="needs numpydoc, of the extra docs").validate

#: Modules whose ``__all__`` users import from, and the extras' modules that they need.
MODULES = {
    "rampfit_numba": None,
    "rampfit_numba.dask": "dask",
    "rampfit_numba.fitramp": None,
    "rampfit_numba.plot": "matplotlib",
    "rampfit_numba.report": "jinja2",
    "rampfit_numba.simulate": None,
    "rampfit_numba.jwst": "jwst",
}

#: What numpydoc can ask for and is not asked for here.
EXCEPTIONS = {
    "ES01": "no extended summary: one sentence is enough where it says all",
    "SA01": "no See Also: the site's pages lead on",
    "EX01": "no example: methods and exceptions have theirs in the class; functions are asked for one below",
    "GL08": "no docstring: of what numpydoc does not see, as fields of a dataclass, described in their class",
    "SS06": "a summary of more than one line, where the sentence is that long",
    "RT02": "a named return value: tuples are clearer with names",
}
#: The same for classes, most of which are dataclasses.
OF_CLASSES = EXCEPTIONS | {
    "PR01": "parameters without description: a result describes its fields as attributes",
    "PR02": "unknown parameters: likewise",
}


def _public() -> Iterator[tuple[str, object]]:
    for module, extra in MODULES.items():
        if extra is not None and importlib.util.find_spec(extra) is None:
            continue
        loaded = importlib.import_module(module)
        for name in loaded.__all__:
            value = getattr(loaded, name)
            if name.startswith("__") or not callable(value):
                continue
            yield f"{module}.{name}", value


PUBLIC = dict(_public())


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring_is_complete(name):
    exceptions = OF_CLASSES if inspect.isclass(PUBLIC[name]) else EXCEPTIONS
    found = [error for error in validate(name)["errors"] if error[0] not in exceptions]
    assert not found, found


@pytest.mark.parametrize("name", [name for name, value in PUBLIC.items() if inspect.isfunction(value)])
def test_function_has_an_example(name):
    assert ">>> " in (PUBLIC[name].__doc__ or "")


@pytest.mark.parametrize("name", [name for name, value in PUBLIC.items() if ">>> " in (value.__doc__ or "")])
def test_examples_run(name, tmp_path, monkeypatch):
    """The examples find small files in the working folder: demo_jump.fits and its references, and others."""
    monkeypatch.chdir(tmp_path)
    write_simulation(simulate_exposure(2, 8, 16, 16, seed=1), "demo_jump.fits")
    write_ima(simulate_ima(8, (24, 24)), "demo_ima.fits")
    write_roman_simulation(simulate_roman(5, 20, 24, seed=1), "demo_linearity.asdf")
    reads = np.arange(8)[:, None, None] * 100 + np.zeros((8, 16, 16))
    fits.PrimaryHDU(reads.astype(np.uint16)).writeto("demo_reads.fits")
    value = PUBLIC[name]
    names = dict(vars(importlib.import_module(value.__module__))) | {"rampfit_numba": rampfit_numba}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for test in doctest.DocTestFinder(exclude_empty=True, recurse=True).find(value, name, globs=names):
        runner.run(test)
    assert runner.failures == 0
    assert runner.tries > 0
