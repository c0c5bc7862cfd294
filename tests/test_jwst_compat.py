"""Without the pipeline, or with another one than is needed, one sentence says so. Most of this needs no pipeline."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib import metadata
from types import ModuleType

import pytest

from rampfit_numba import RampFitWarning
from tests.pipeline import require_pipeline


def import_compat():
    """Import the module that checks, without the check of the package around it."""
    from importlib.util import module_from_spec, spec_from_file_location
    from pathlib import Path

    import rampfit_numba

    path = Path(rampfit_numba.__file__).parent / "jwst" / "compat.py"
    spec = spec_from_file_location("compat_alone", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pretend(monkeypatch):
    """Return what lets a pipeline of some version be there, with the modules that it is given."""
    compat = import_compat()

    def act(version, **modules):
        monkeypatch.setattr(compat, "find_spec", lambda _: object())
        monkeypatch.setattr(compat, "version", lambda _: version)
        if modules:
            monkeypatch.setattr(compat, "import_module", lambda name: modules[name.replace(".", "_")])
        return compat

    return act


ABSENT = """
import sys
sys.modules["jwst"] = None
import rampfit_numba.jwst
"""


def test_absent():
    done = subprocess.run([sys.executable, "-c", ABSENT], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ImportError: rampfit_numba.jwst needs the JWST pipeline (jwst>=3.0,<4); install it with: "
        "pip install '.[jwst]' in a clone of rampfit_numba"
    )


@pytest.mark.parametrize("version", ["1.20.2", "2.0.1", "2.9.9.dev3+g0123456"])
def test_too_old(pretend, version):
    with pytest.raises(ImportError, match=r"needs jwst>=3.0,<4 and found jwst .*, whose ramp fit weights segments"):
        pretend(version).check_ramp_fit()


def stand_in(compat, leave_out=""):
    """Return modules that have every name in use but one."""
    modules = {}
    for module, names in (compat._FOR_RAMP_FIT | compat._FOR_DETECTOR1).items():
        found = ModuleType(module)
        for name in names:
            if f"{module}.{name}" == leave_out:
                continue
            node = found
            *way, last = name.split(".")
            for word in way:
                if not hasattr(node, word):
                    setattr(node, word, ModuleType(word))
                node = getattr(node, word)
            setattr(node, last, None)
        modules[module.replace(".", "_")] = found
    return modules


def test_too_new_in_a_way_that_breaks(pretend):
    compat = pretend("4.2.0")
    for part, check in (
        (compat._FOR_RAMP_FIT, compat.check_ramp_fit),
        (compat._FOR_DETECTOR1, compat.check_detector1),
    ):
        for missing in [f"{module}.{name}" for module, names in part.items() for name in names]:
            pretend("4.2.0", **stand_in(compat, missing))
            with pytest.raises(ImportError, match=rf"does not work with jwst 4.2.0, which has no {missing}; it needs"):
                check()


def test_a_module_is_gone(pretend, monkeypatch):
    compat = pretend("4.0.0")

    def fail(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(compat, "import_module", fail)
    with pytest.raises(ImportError, match=r"jwst 4.0.0, which has no jwst.lib.reffile_utils; it needs"):
        compat.check_ramp_fit()


def test_a_broken_installation_speaks_for_itself(pretend, monkeypatch):
    compat = pretend("3.0.0")

    def fail(_):
        raise ModuleNotFoundError("No module named 'gwcs'", name="gwcs")

    monkeypatch.setattr(compat, "import_module", fail)
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'gwcs'$"):
        compat.check_ramp_fit()


def test_new_but_whole(pretend):
    compat = pretend("4.0.0")
    with pytest.warns(RampFitWarning, match=r"jwst 4.0.0 is newer than any version"):
        pretend("4.0.0", **stand_in(compat)).check_ramp_fit()


@pytest.mark.parametrize("version", ["3.0.0", "3.1.0rc1", "3.0.1.dev7+gabc"])
def test_right(pretend, version):
    pretend(version, **stand_in(import_compat())).check_ramp_fit()


def test_without_metadata(pretend, monkeypatch):
    compat = pretend("3.0.0", **stand_in(import_compat()))

    def fail(_):
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(compat, "version", fail)
    compat.check_ramp_fit()


@pytest.mark.jwst
def test_the_installed_one():
    require_pipeline()
    compat = import_compat()
    compat.check_ramp_fit()
    compat.check_detector1()
    assert importlib.import_module("rampfit_numba.jwst").RampFitStep.__module__ == "rampfit_numba.jwst"


ENTRY_POINT = """
import sys
from importlib.metadata import entry_points
(found,) = entry_points(group="stpipe.steps", name="rampfit_numba")
steps = found.load()()
heavy = {name.partition(".")[0] for name in sys.modules} & {"jwst", "stcal", "stpipe", "numba", "numpy", "astropy"}
print(found.value, len(steps), sorted(heavy))
"""


def test_the_entry_point_imports_neither_the_pipeline_nor_numba():
    done = subprocess.run([sys.executable, "-c", ENTRY_POINT], capture_output=True, text=True, check=True)
    assert done.stdout == "rampfit_numba.stpipe_steps:get_steps 2 []\n"
