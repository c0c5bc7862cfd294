"""The package as a whole: names, imports, docstrings, and that the documents tell the truth."""

from __future__ import annotations

import importlib.metadata
import inspect
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import rampfit_numba

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PUBLIC = [name for name in rampfit_numba.__all__ if not name.startswith("__")]

# Where the package under test lies, installed or not: new interpreters must import that one.
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(Path(rampfit_numba.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
}


def run(*arguments, cwd, code=0):
    """Run a new interpreter and return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == code, f"{shlex.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def blocks(path, language):
    """List the contents of the fenced code blocks of `language` in a Markdown file."""
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


# -------------------------------------------------------------------------------------------------------------- import
@pytest.mark.parametrize(
    "heavy", ["numba", "llvmlite", "astropy", "loky", "tqdm", "asdf", "matplotlib", "jwst", "dask"]
)
def test_import_is_light(heavy, tmp_path):
    names = run("-c", "import sys, rampfit_numba; print(*sys.modules)", cwd=tmp_path).split()
    assert "rampfit_numba" in names
    assert heavy not in names


def test_containers_do_not_import_numba_or_astropy(tmp_path):
    code = """
import sys, numpy as np, rampfit_numba as r
r.Exposure(np.zeros((1, 2, 3, 4), np.float32), None, 2.5, pixeldq=np.zeros((3, 4), np.uint32))
r.FitOptions(), r.RampFit, r.Rate, r.RateInts, r.FitOpt, r.RampFitWarning, r.RampFileError, r.ExposureHeader
print(*sys.modules)
"""
    names = run("-c", code, cwd=tmp_path).split()
    assert not {"numba", "astropy", "loky", "tqdm"} & set(names)


def test_all_is_complete():
    wanted = """Exposure ExposureHeader RampFit Rate RateInts FitOpt FitOptions fit_ramps read_exposure read_reference
                write_products fit_file fit_files simulate_exposure RampFitWarning RampFileError __version__"""
    assert set(wanted.split()) <= set(rampfit_numba.__all__)
    assert len(rampfit_numba.__all__) == len(set(rampfit_numba.__all__))
    assert set(rampfit_numba.__all__) <= set(dir(rampfit_numba))
    for name in rampfit_numba.__all__:
        assert getattr(rampfit_numba, name) is not None


def test_star_import(tmp_path):
    code = "from rampfit_numba import *\nprint(fit_ramps.__name__, Exposure.__name__, __version__)"
    assert run("-c", code, cwd=tmp_path).split() == ["fit_ramps", "Exposure", rampfit_numba.__version__]


def test_unknown_name():
    with pytest.raises(AttributeError, match="fit_lamps"):
        rampfit_numba.fit_lamps  # noqa: B018  (the access is the test)


def test_version():
    assert rampfit_numba.__version__ == importlib.metadata.version("rampfit_numba") == PROJECT["version"]


def test_typed():
    assert (Path(rampfit_numba.__file__).parent / "py.typed").is_file()


def test_runtime_dependencies_are_few():
    names = {re.match(r"[\w.-]+", requirement).group() for requirement in PROJECT["dependencies"]}
    assert names == {"numpy", "numba", "astropy", "loky", "psutil", "tqdm"}
    assert set(PROJECT["optional-dependencies"]) == {
        "jwst",
        "dask",
        "plot",
        "view",
        "report",
        "asdf",
        "roman",
        "completion",
        "test",
        "docs",
    }


# ---------------------------------------------------------------------------------------------------------- docstrings
def sections(doc):
    """List the titles of the numpydoc sections of a docstring."""
    return re.findall(r"^([A-Z][\w ]+)\n-{3,}$", inspect.cleandoc(doc), flags=re.MULTILINE)


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring(name):
    public = getattr(rampfit_numba, name)
    doc = public.__doc__ or ""
    first = doc.strip().split("\n\n")[0]
    assert first.endswith("."), f"the first paragraph is no sentence: {first!r}"
    if inspect.isclass(public) and issubclass(public, Exception):
        return
    if inspect.isclass(public):  # with what it inherits: RateInts has the arrays of Rate
        doc = "\n\n".join(inspect.cleandoc(base.__doc__) for base in public.__mro__[:-1] if base.__doc__)
    found = sections(doc)
    if inspect.isclass(public):
        assert {"Parameters", "Attributes"} & set(found), found
        described = doc
        names = [field for field in public.__dataclass_fields__ if not field.startswith("_")]
    else:
        names = list(inspect.signature(public).parameters)
        wanted = {"Parameters", "Raises"} if names else set()
        assert wanted | {"Returns", "Examples"} <= set(found), found
        described = doc.split("Returns\n")[0]
    missing = [parameter for parameter in names if not re.search(rf"\b{parameter}\b", described)]
    assert not missing, f"not described: {missing}"


# ----------------------------------------------------------------------------------------------------------- documents
def test_readme_example_is_right(tmp_path):
    (code,) = blocks(ROOT / "README.md", "python")
    numbers = run("-c", code, cwd=tmp_path).split()
    assert float(numbers[0]) == 10.0
    assert 0 < float(numbers[1]) < 10
    assert "(2, 64, 64)" in " ".join(numbers)


def test_console_script_is_the_command():
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="rampfit")
    assert script.value == PROJECT["scripts"]["rampfit"]
    assert callable(script.load())


def test_readme_has_the_gates_lines():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in ("run", "test"):
        (line,) = re.findall(rf"<!-- ci:{name} -->\n```bash\n(.*)\n```\n", text)
        assert line.startswith("pip install ")
    assert text.index("<!-- bench:start -->") < text.index("<!-- bench:end -->")


def test_changelog_has_the_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(PROJECT['version'])}\]", text, flags=re.MULTILINE)
    entries = re.split(r"^- ", text, flags=re.MULTILINE)[1:]
    assert entries
    assert all(re.search(r"\*changes\s+numbers:\s+(yes|no)\*", entry) for entry in entries)


def test_deviations_name_existing_tests():
    text = (ROOT / "docs" / "agreement.md").read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+)\.py::(test_\w+)`", text)
    rows = [int(number) for number in re.findall(r"^\| (\d+) \|", text, flags=re.MULTILINE)]
    assert rows == list(range(1, len(rows) + 1))
    assert len(named) >= len(rows) >= 5
    for module, test in named:
        source = (ROOT / "tests" / f"{module}.py").read_text(encoding="utf-8")
        assert f"def {test}(" in source, f"{module}::{test}"
