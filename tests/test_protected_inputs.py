"""Whatever a command reads is still there when it has written: no output takes an input's place."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import RampFileError, fit_file, fit_reads
from rampfit_numba.cli import main
from rampfit_numba.simulate import simulate_exposure, write_simulation
from rampfit_numba.simulate.wfc3 import simulate_ima, write_ima
from tests.make_files import listing

REFERENCES = ["--readnoise", "demo_readnoise.fits", "--gain", "demo_gain.fits"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in a folder with a simulated exposure, twice, and its references."""
    monkeypatch.chdir(tmp_path)
    write_simulation(simulate_exposure(1, 5, 8, 9, seed=1), "demo_jump.fits")
    shutil.copy("demo_jump.fits", "other_jump.fits")
    (tmp_path / "link").symlink_to(".")
    return tmp_path


def refused(folder, words, capsys, told="would overwrite the input"):
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert main(list(map(str, words))) in (1, 2)
    assert told in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    "words",
    [
        *(["demo_jump.html", "-o", name] for name in ("demo_readnoise.html", "link/demo_gain.html", "demo_jump.html")),
        *(["demo_jump.html", "other_jump.fits", "-o", name] for name in ("demo_readnoise.html", "demo_gain.html")),
    ],
    ids=" ".join,
)
def test_of_a_report(folder, words, capsys):
    """Whatever the inputs are called: a report's name ends in .html."""
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    for name in ("demo_jump", "demo_readnoise", "demo_gain"):
        (folder / f"{name}.fits").rename(folder / f"{name}.html")
    references = ["--readnoise", "demo_readnoise.html", "--gain", "demo_gain.html"]
    refused(folder, ["report", *words, *references, "--overwrite"], capsys)
    refused(
        folder, ["report", "other_jump.fits", *references, "-o", "x.txt"], capsys, "expected a name ending in .html"
    )


@pytest.mark.parametrize("option", ["--overwrite", "--skip-existing"])
def test_of_the_report_beside_the_products(folder, option, capsys):
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    shutil.copy("demo_gain.fits", "demo_jump_report.html")
    words = ["fit", "demo_jump.fits", "--readnoise", "10", "--gain", "demo_jump_report.html", "--report", option]
    refused(folder, words, capsys)


@pytest.mark.parametrize("name", ["demo_gain.fits", "demo_readnoise.fits", "other_jump.fits"])
def test_of_the_table(folder, name, capsys):
    words = ["fit", "demo_jump.fits", "other_jump.fits", *REFERENCES, "--overwrite", "--summary", name]
    refused(folder, words, capsys)


def test_of_a_picture(folder, capsys):
    pytest.importorskip("matplotlib").use("Agg")
    shutil.copy("demo_gain.fits", "gain.png")
    words = ["demo_jump.fits", "--readnoise", "10", "--gain", "gain.png", "-o", "gain.png", "--overwrite"]
    refused(folder, ["plot", "rate", *words], capsys)


@pytest.mark.parametrize("option", ["saturation", "pedestal", "linearity", "gain", "readnoise"])
@pytest.mark.parametrize("name", ["", "x"])
def test_of_reads(folder, option, name, capsys):
    reads = np.random.default_rng(1).integers(100, 200, (5, 8, 9)).astype(np.uint16)
    fits.writeto(folder / "r.fits", reads)
    image = np.full((8, 9), 3.0, np.float32)
    own = f"{name or 'r'}_rate.fits"
    fits.writeto(folder / own, np.stack([image, image]) if option == "linearity" else image)
    given = {"readnoise": "10", "gain": "2", "frame-time": "2", option: own}
    words = [f"--{key}={value}" for key, value in given.items()]
    refused(folder, ["reads", "r.fits", *words, "--overwrite", f"--name={name}"], capsys)
    if option not in ("gain", "readnoise"):
        with pytest.raises(RampFileError, match="would overwrite the input"):
            fit_reads("r.fits", 10, 2, frame_time=2, name=name, overwrite=True, **{option: own})


@pytest.mark.parametrize("kind", [str, None])
def test_of_a_flat_field(folder, kind, capsys):
    write_ima(simulate_ima(5, (24, 26), seed=1), "x_ima.fits")
    flat = folder / "x_flt.fits"
    fits.writeto(flat, np.ones((24, 26), np.float32))
    refused(folder, ["fit", "x_ima.fits", "--flat", flat, "--overwrite"], capsys)
    with pytest.raises(RampFileError, match="would overwrite the input"):
        fit_file("x_ima.fits", flat=flat if kind is None else kind(flat), overwrite=True)
    with pytest.raises(RampFileError, match=r"^none\.fits: no such file"):
        fit_file("x_ima.fits", flat="none.fits")


@pytest.mark.parametrize("name", ["run.log", "link/run.log", "RUN.log"])
def test_of_the_log(folder, name, capsys):
    """Which is not there yet."""
    words = ["fit", "demo_jump.fits", *REFERENCES, "--overwrite", "--summary", name, "--log-file", "run.log"]
    refused(folder, words, capsys, "argument --log-file: run.log is one of the files to work on")
    assert "run.log" not in listing(folder)
