"""The same names, kinds of values and defaults in Python, the command and the step."""

from __future__ import annotations

import pytest

from tests.doors import of_command, of_options, of_python, of_step, on_page, same, table

#: What a door has a reason to do otherwise; docs/doors.md gives the reasons.
NOT_IN_COMMAND = {"progress", "on_fit"}
ONLY_IN_COMMAND = {"report", "scheduler"}
ONLY_FILES = {"output_dir", "overwrite"}
OTHER_DEFAULT = {("step", "executor")}  # and progress: None is False where there is no terminal


def test_the_table_in_the_documents_is_that_of_the_code():
    """``python -m tests.doors`` writes it."""
    assert on_page() == table()


def test_python_has_every_option_with_the_default_of_fit_options():
    python = of_python()
    assert {name: python[name] for name in of_options()} == of_options()


@pytest.mark.parametrize(("door", "defaults"), [("command", of_command()), ("step", of_step())])
def test_names_and_defaults_are_the_same(door, defaults):
    python = of_python()
    for name in defaults.keys() & python.keys():
        assert same(name, python[name], defaults[name]) != ((door, name) in OTHER_DEFAULT), name


def test_no_door_has_an_option_of_its_own():
    assert of_command().keys() - of_python().keys() == ONLY_IN_COMMAND
    assert of_python().keys() - of_command().keys() == NOT_IN_COMMAND
    assert of_step().keys() <= of_python().keys()
    assert not of_step().keys() & ONLY_FILES
