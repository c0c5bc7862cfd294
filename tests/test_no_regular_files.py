"""Named pipes and devices: no command waits for what never comes, and none takes their place."""

from __future__ import annotations

import os
import signal
from importlib import import_module

import pytest

from rampfit_numba import RampFileError, fit_file, fit_files, read_exposure, read_reference, read_roman
from rampfit_numba.cli import main
from rampfit_numba.io.outputs import check_outputs
from tests.make_files import listing, ramp_hdulist, save

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
REFERENCES = ["--readnoise", "10", "--gain", "2"]
TOLD = "pipe.fits: is no regular file"


@pytest.fixture(autouse=True)
def pipe(tmp_path, monkeypatch):
    """Make a pipe that nobody writes to; whoever waits for it fails, after more than a busy machine compiles."""

    def give_up(*_):
        pytest.fail("waits for a pipe")

    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.fits")
    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(200)
    try:
        yield tmp_path / "pipe.fits"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def exposure_file(tmp_path):
    return save(ramp_hdulist(), tmp_path / "x_jump.fits")


@pytest.mark.parametrize(
    "words",
    [
        ["fit", "pipe.fits", *REFERENCES],
        ["fit", "pipe.fits", "x_jump.fits", *REFERENCES],
        ["fit", "x_jump.fits", "--readnoise", "pipe.fits", "--gain", "2"],
        ["fit", "x_jump.fits", "--readnoise", "10", "--gain", "pipe.fits"],
        ["fit", "x_jump.fits", *REFERENCES, "--flat", "pipe.fits"],
        ["report", "pipe.fits", *REFERENCES],
        ["plot", "ramp", "pipe.fits", "1", "1", *REFERENCES],
        ["plot", "rate", "pipe.fits"],
        ["plot", "dq", "pipe.fits"],
        ["plot", "jumps", "pipe.fits", *REFERENCES],
        ["plot", "rate", "x_jump.fits", "--readnoise", "pipe.fits", "--gain", "2"],
        ["view", "pipe.fits", "--no-browser", *REFERENCES],
        ["reads", "pipe.fits", *REFERENCES, "--frame-time", "2"],
        ["reads", "x_jump.fits", "--readnoise", "pipe.fits", "--gain", "2", "--frame-time", "2"],
        ["reads", "x_jump.fits", *REFERENCES, "--frame-time", "2", "--saturation", "pipe.fits"],
        ["reads", "x_jump.fits", *REFERENCES, "--frame-time", "2", "--pedestal", "pipe.fits"],
        ["reads", "x_jump.fits", *REFERENCES, "--frame-time", "2", "--linearity", "pipe.fits"],
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("exposure_file")
def test_no_command_waits_for_a_pipe(words, capsys, monkeypatch):
    if words[0] == "view":
        monkeypatch.setattr(import_module("rampfit_numba.view"), "load", lambda: None)  # needs the extra
    extras = {"report": ("jinja2", "matplotlib"), "plot": ("matplotlib",)}
    for extra in extras.get(words[0], ()):
        pytest.importorskip(extra)
    if words[0] == "plot":
        pytest.importorskip("matplotlib").use("Agg")
    assert main(words) in (1, 2)
    lines = capsys.readouterr().err.splitlines()
    assert TOLD in next(line for line in lines if "pipe.fits" in line and "ERROR" in line.upper())


def test_nor_does_any_function(pipe, exposure_file):
    for function in (read_exposure, read_roman):
        with pytest.raises(RampFileError, match=TOLD):
            function(pipe)
    with pytest.raises(RampFileError, match=TOLD):
        read_reference(pipe, read_exposure(exposure_file), "gain")
    for arguments in ((pipe, 10.0, 2.0), (exposure_file, pipe, 2.0), (exposure_file, 10.0, str(pipe))):
        with pytest.raises(RampFileError, match=TOLD):
            fit_file(*arguments, output_dir="out")
    good, bad = fit_files([exposure_file, pipe], 10.0, 2.0, output_dir="out", on_error="continue", skip_existing=True)
    assert good.status == "fitted"
    assert TOLD in str(bad.error)


def test_no_output_takes_the_place_of_a_pipe_or_a_device(pipe, exposure_file, tmp_path, capsys):
    for path in (pipe, type(pipe)(os.devnull)):
        with pytest.raises(RampFileError, match=f"{path.name}: is no regular file; choose another output_dir or name"):
            check_outputs([path], overwrite=True)
    assert main([str(exposure_file), *REFERENCES, "--overwrite", "--summary", "pipe.fits"]) == 2
    assert "is no regular file" in capsys.readouterr().err
    assert pipe.is_fifo()
    assert listing(tmp_path) == ["pipe.fits", "x_jump.fits"]


def test_a_log_that_nobody_reads_is_told(exposure_file, capsys):
    assert main([str(exposure_file), *REFERENCES, "--log-file", "pipe.fits"]) == 2
    assert "argument --log-file: pipe.fits: cannot be written" in capsys.readouterr().err
