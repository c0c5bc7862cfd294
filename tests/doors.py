"""The options of a fit in Python, the command and the pipeline step; ``python -m tests.doors`` writes the table."""

from __future__ import annotations

import argparse
import ast
import inspect
import re
from pathlib import Path

from rampfit_numba import fit_file, fit_files, fit_ramps
from rampfit_numba.cli import fit
from rampfit_numba.io.formats import FORMATS
from rampfit_numba.options import FitOptions

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "doors.md"
BEGIN, END = "<!-- doors:start -->\n", "<!-- doors:end -->\n"
#: Arguments of the Python functions that are no options: what is fitted, and where results go.
DATA = {"exposure", "path", "paths", "readnoise", "gain", "out", "on_error", "options"}

#: Options that only another kind of file than JWST's has; its page of the documentation describes them.
OF_FORMATS = {name for kind in FORMATS[:-1] for name in kind.own_options} - {*FORMATS[-1].own_options}
#: Options whose default the command leaves to the kind of file.
BY_KIND = {"algorithm", "readnoise_kind"}


def of_python():
    """Return the defaults of the functions' options, and refuse two that differ."""
    found = {}
    for function in (fit_ramps, fit_file, fit_files):
        for name, parameter in inspect.signature(function).parameters.items():
            if name not in DATA:
                assert found.setdefault(name, parameter.default) == parameter.default, (function, name)
    return found | dict.fromkeys(FORMATS[-1].own_options)


def of_options():
    """Return the defaults of FitOptions."""
    return {name: parameter.default for name, parameter in inspect.signature(FitOptions).parameters.items()}


def of_command():
    """Return the defaults of the options of ``rampfit fit``, but those of single kinds of files."""
    parser = fit.add_parser(argparse.ArgumentParser().add_subparsers())
    return {
        action.dest: action.default
        for action in parser._actions
        if action.option_strings and action.dest not in {"help", *DATA, *OF_FORMATS}
    }


def of_step():
    """Return the defaults in the step's specification, read from its source: the pipeline need not be installed."""
    source = (ROOT / "rampfit_numba" / "jwst" / "ramp_fit_step.py").read_text(encoding="utf-8")
    (spec,) = [
        node.value.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assign)
        and getattr(node.targets[0], "id", "") == "spec"
        and isinstance(node.value, ast.Constant)
    ]
    lines = re.findall(r"^\s*(\w+) = .*default=([^,)]*)\)\s*(?:#.*)?$", spec, flags=re.MULTILINE)
    assert len(lines) == len([line for line in spec.splitlines() if line.strip()]), spec
    return {name: ast.literal_eval(default) for name, default in lines}


def same(name, one, other):
    """Whether two defaults mean the same: the doors spell some values in their own ways."""
    if name in BY_KIND and other is None:
        return getattr(FORMATS[-1], name) == one
    if name == "algorithm":
        return FitOptions(one).algorithm == FitOptions(other).algorithm
    return one == other or not (one or other)


def table():
    """Return the table of all options."""
    python, command, step = of_python(), of_command(), of_step()
    rows = [("option", "Python", "command", "step")]
    for name in dict.fromkeys((*python, *command, *step)):
        cells = [f"`{door[name]!r}`" if name in door else "-" for door in (python, command, step)]
        if name in command:
            cells[1] = f"`--{name.replace('_', '-')}` {cells[1]}"
        rows.append((f"`{name}`", *cells))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines) + "\n"


def on_page():
    """Return the table that the page has."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]


if __name__ == "__main__":
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.partition(END)[2], encoding="utf-8")
