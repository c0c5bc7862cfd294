"""Misspelt commands and options, and the words that other programs know."""

from __future__ import annotations

import pytest

import rampfit_numba
from rampfit_numba.cli import main


@pytest.mark.parametrize("word", ["-V", "--version"])
def test_version(word, capsys):
    assert main([word]) == 0
    assert capsys.readouterr().out.startswith(f"rampfit {rampfit_numba.__version__} (numba ")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["fti"], "'fti' is neither a file nor a command (fit, reads, plot, view, report, "),
        (["fti"], "; did you mean fit?"),
        (["warm-up"], "; did you mean warmup?"),
        (
            ["x.fits", "--readnois", "5", "--gain", "2"],
            "unrecognized arguments: --readnois 5; did you mean --readnoise?",
        ),
        (["x.fits", "--gian=2"], "unrecognized arguments: --gian=2; did you mean --gain?"),
        (["x.fits", "--save_otp"], "unrecognized arguments: --save-otp; did you mean --save-opt?"),
        (["x.fits", "-gain", "2"], "unrecognized arguments: -gain 2; did you mean --gain?"),
        (["x.fits", "--max", "half"], "unrecognized arguments: --max half; did you mean --maximum-cores?"),
        (["fit", "--frobnicate"], "unrecognized arguments: --frobnicate (see rampfit fit --help)"),
        (["demo", "--sed", "1"], "unrecognized arguments: --sed 1; did you mean --seed?"),
    ],
)
def test_what_is_misspelt_is_told_before_what_is_missing(words, complaint, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ["--readnoise", "5", "--gain", "2", "--pedestal", "-5", "2", "--algorithm", "likely_joint", "gone.fits"],
        ["--readnoise", "5", "--gain", "2", "--", "--gone.fits"],
        ["--no-save-opt", "--readnoise=5", "--gain=2", "gone.fits"],
    ],
)
def test_what_is_known_is_not_refused(words, capsys):
    assert main(["fit", *words]) == 1
    assert "no such file" in capsys.readouterr().err
