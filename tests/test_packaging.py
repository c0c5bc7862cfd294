"""What a package index and conda-forge are told: one truth, in pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RECIPE = yaml.safe_load((ROOT / "packaging" / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8"))
#: conda-forge's names where they are others: astropy itself depends on all that is optional.
CONDA = {"astropy": "astropy-base"}


def by_name(requirements):
    parts = [re.fullmatch(r"([\w.-]+)\s*(.*)", requirement).groups() for requirement in requirements]
    return {CONDA.get(name, name): bound for name, bound in parts}


def test_the_conda_recipe_asks_for_what_the_project_needs():
    run = by_name(RECIPE["requirements"]["run"])
    assert run.pop("python") == ">=${{ python_min }}"
    assert run == by_name(PROJECT["project"]["dependencies"])
    host = by_name(RECIPE["requirements"]["host"])
    assert host.items() >= by_name(PROJECT["build-system"]["requires"]).items()
    assert PROJECT["project"]["requires-python"] == f">={RECIPE['context']['python_min']}"


def test_the_conda_recipe_is_of_this_version_and_has_the_command():
    assert RECIPE["context"]["version"] == PROJECT["project"]["version"]
    (command,) = RECIPE["build"]["python"]["entry_points"]
    assert dict([command.split(" = ")]) == PROJECT["project"]["scripts"]
    assert RECIPE["about"]["license"] == PROJECT["project"]["license"]


def test_the_versions_of_python_are_the_same_everywhere():
    classified = re.findall(r":: (3\.\d+)'", str(PROJECT["project"]["classifiers"]))
    assert WORKFLOW["jobs"]["package"]["strategy"]["matrix"]["python"] == classified
    gate = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert f"for version in {' '.join(classified[1:])}; do" in gate


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("[page](docs/a.md)", "[page](https://github.com/OWNER/rampfit_numba/blob/main/docs/a.md)"),
        ("![x](docs/x.svg)", "![x](https://raw.githubusercontent.com/OWNER/rampfit_numba/main/docs/x.svg)"),
        ("[other](https://a.b/c) [here](#limits)", "[other](https://a.b/c) [here](#limits)"),
    ],
)
def test_links_of_the_readme_lead_somewhere_on_an_index(here, there):
    hook = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    for substitution in hook["substitutions"]:
        here = re.sub(substitution["pattern"], substitution["replacement"], here)
    assert here == there
