"""What the prompt says to somebody who asks: help, examples, completion."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from rampfit_numba.cli import main
from rampfit_numba.cli.commands import COMMANDS, make_parser

SCREEN = 40, 120  # lines and columns of a terminal


def test_the_first_help_fits_a_screen(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(SCREEN[1]))
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= SCREEN[0]
    assert max(map(len, lines)) <= SCREEN[1]
    for command in COMMANDS:
        assert any(line.strip().startswith(command) for line in lines), command


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example_that_parses(command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([command, "--help"]) == 0
    _, _, examples = capsys.readouterr().out.rpartition("example")
    lines = [line.strip() for line in examples.splitlines()[1:] if line.strip()]
    assert lines
    for line in lines:
        words = shlex.split(line)
        assert words[0] == "rampfit"
        words = words[1:] if words[1] in COMMANDS else ["fit", *words[1:]]
        assert words[0] == command
        for word in words:
            if word.endswith((".fits", ".asdf")):
                (tmp_path / word).touch()
        make_parser().parse_args(words)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_scripts_name_commands_and_options(shell, capsys):
    pytest.importorskip("shtab", reason="needs shtab, of the extra test")
    assert main(["--print-completion", shell]) == 0
    script = capsys.readouterr().out
    for word in (*COMMANDS, "--readnoise", "--maximum-cores"):
        assert word in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)  # noqa: S607  (the shell that it is for)
        assert "_shtab_compgen_files" in script


def test_completion_without_its_package_is_one_sentence(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["--print-completion", "bash"]) == 2
    assert "pip install shtab" in capsys.readouterr().err
