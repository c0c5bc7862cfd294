"""One bar for a whole job, and a log that a library keeps to itself and a command writes where it is told."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import types

import numpy as np
import pytest

from rampfit_numba import Exposure, fit_files, fit_ramps
from rampfit_numba.api import run_rows
from rampfit_numba.cli import main
from rampfit_numba.progress import Stopped, job
from tests.make_files import ramp_hdulist, save
from tests.test_package import ENVIRONMENT

PERCENT = re.compile(r"(\d+)%\|")


@pytest.fixture
def files(tmp_path):
    """Return three ramp files, the second of which is none, and the third of which is the largest."""
    paths = [save(ramp_hdulist(), tmp_path / "a_jump.fits"), tmp_path / "b_jump.fits"]
    paths[1].write_text("no FITS file")
    return [*paths, save(ramp_hdulist((2, 5, 40, 50)), tmp_path / "c_jump.fits")]


@pytest.fixture
def fitted_twice():
    """Return an exposure that is fitted twice: a sample that is not finite parts a ramp."""
    data = np.cumsum(np.ones((1, 10, 37, 3), np.float32), axis=1)
    data[0, 5, 1, 1] = np.nan
    return Exposure(data, None, 2.0)


def bars(text):
    """Return the last state of each bar that was shown."""
    return [line.rsplit("\r", 1)[-1] for line in text.split("\n") if "%|" in line]


class TestBar:
    @pytest.mark.parametrize(("cores", "executor"), [("none", None), (2, "threads"), (2, "processes")])
    def test_of_one_exposure_counts_its_rows(self, cores, executor, capsys):
        exposure = Exposure(np.ones((1, 4, 37, 3), np.float32), None, 2.0)
        fit_ramps(exposure, 10.0, 2.0, progress=True, maximum_cores=cores, executor=executor)
        (bar,) = bars(capsys.readouterr().err)
        assert bar.startswith("Fitting ramps: 100%|")
        assert " 37/37 " in bar

    def test_of_several_files_is_one_also_where_one_fails(self, files, tmp_path, capsys):
        results = fit_files(files, 10.0, 2.0, output_dir=tmp_path, progress=True, on_error="continue")
        assert [bool(result.error) for result in results] == [False, True, False]
        (bar,) = bars(capsys.readouterr().err)
        assert bar.startswith("Fitting ramps, file 3 of 3: 100%|")

    def test_of_several_files_gives_each_as_much_as_it_is_large_and_moves_with_its_rows(self, capsys):
        shown = []

        def look(bar):
            bar._bar.refresh()
            shown.append(int(PERCENT.findall(capsys.readouterr().err)[-1]))

        with job([100, 0, 299], shown=True) as bar:
            for number, steps in enumerate([4, 0, 2]):
                with bar.file(number) as part:
                    if steps:
                        with part.rows(8 * steps) as advance:
                            for _ in range(steps):
                                advance(8)
                                look(bar)
                    else:
                        look(bar)
        assert shown == [6, 12, 19, 25, 25, 63, 100]

    @pytest.mark.parametrize(("cores", "executor"), [("none", None), (2, "threads")])
    def test_of_what_is_fitted_once_more_is_one(self, fitted_twice, cores, executor, capsys):
        options = {"save_opt": True, "maximum_cores": cores, "executor": executor}
        fit_ramps(fitted_twice, 10.0, 2.0, progress=True, **options)
        (bar,) = bars(capsys.readouterr().err)
        assert " 37/37 " in bar

    def test_of_several_files_does_not_go_back_where_one_is_fitted_once_more(self, fitted_twice, monkeypatch):
        """That can be stopped as the first fit can."""
        fits, moved = [], []

        def note(*args, **options):
            if "progress" in options:
                fits.append(options["progress"])
            return run_rows(*args, **options)

        monkeypatch.setattr("rampfit_numba.api.run_rows", note)
        with job([10, 10], shown=False) as bar, bar.file(1) as part:
            monkeypatch.setattr(bar, "move", lambda _, done: moved.append(done))
            fit_ramps(fitted_twice, 10.0, 2.0, save_opt=True, progress=part)
            assert len(fits) == 2
            assert moved == sorted(set(moved))
            assert moved[-1] == 1.0
            with fits[1].rows(37) as advance:
                advance(1)
                bar.stop(after=0)
                with pytest.raises(Stopped):
                    advance(1)

    def test_is_not_shown_unasked(self, files, tmp_path, capsys):
        fit_files(files[::2], 10.0, 2.0, output_dir=tmp_path)
        fit_files(files[::2], 10.0, 2.0, output_dir=tmp_path, progress=False, overwrite=True)
        assert not capsys.readouterr().err

    def test_is_a_widget_where_the_front_end_has_one(self, monkeypatch):
        """``tqdm.auto`` decides: its bar is used, whatever it is."""
        made = []

        class Widget:
            n = 0

            def __init__(self, **options):
                made.append(options)

            def __enter__(self):
                return self

            def __exit__(self, *_):
                made.append(self.n)

            def update(self, count):
                self.n += count

        monkeypatch.setitem(sys.modules, "tqdm.auto", types.SimpleNamespace(tqdm=Widget))
        fit_ramps(Exposure(np.ones((1, 4, 9, 3), np.float32), None, 2.0), 10.0, 2.0, progress=True)
        assert [made[0]["total"], made[1]] == [9, 9]


class TestLog:
    def test_a_library_is_silent(self, tmp_path):
        """Python itself prints warnings of loggers without a handler."""
        code = (
            "import logging, rampfit_numba\n"
            "logging.getLogger('rampfit_numba.anything').error('unasked')\n"
            "assert logging.getLogger('rampfit_numba').level == logging.NOTSET\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert (done.stdout, done.stderr) == ("", "")

    def test_has_the_packages_name(self, caplog):
        with caplog.at_level(logging.INFO, logger="rampfit_numba"):
            fit_ramps(Exposure(np.ones((1, 4, 9, 3), np.float32), None, 2.0), 10.0, 2.0)
        assert caplog.records
        assert all(record.name.startswith("rampfit_numba.") for record in caplog.records)

    def test_lines_stand_above_the_bar(self, files, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        words = ["--readnoise", "10", "--gain", "2", "--output-dir", str(tmp_path)]
        assert main([*map(str, files), *words]) == 1
        # A terminal shows what was written last on each line.
        lines = [line.rsplit("\r", 1)[-1] for line in capsys.readouterr().err.split("\n")]
        assert len([line for line in lines if "Saved" in line]) == 4
        assert all(re.match(r"\d{4}-\d\d-\d\d ", line) for line in lines if " - rampfit_numba" in line)
        assert len([line for line in lines if "%|" in line]) == 1

    @pytest.mark.parametrize("loudness", [[], ["--quiet"], ["--verbose"]])
    def test_file_has_all_lines_and_is_appended_to(self, files, tmp_path, loudness, capsys):
        log = tmp_path / "fits.log"
        log.write_text("an earlier line\n")
        words = ["--readnoise", "10", "--gain", "2", "--output-dir", str(tmp_path), "--log-file", str(log)]
        assert main([*map(str, files), *words, *loudness]) == 1
        lines = log.read_text(encoding="utf-8").splitlines()
        assert lines[0] == "an earlier line"
        text = "\n".join(lines)
        for said in ("File 3 of 3", "Saved", "b_jump.fits", "1 of 3 files failed", "Traceback (most recent call last)"):
            assert said in text
        shown = capsys.readouterr().err
        assert ("Saved" in shown) == (loudness != ["--quiet"])
        assert ("Traceback" in shown) == (loudness == ["--verbose"])
        assert not [
            handler
            for handler in logging.getLogger("rampfit_numba").handlers
            if not isinstance(handler, logging.NullHandler)
        ]

    @pytest.mark.parametrize("command", [["simulate", "s_jump.fits", "--shape", "1x5x8x8"], ["warmup", "ols"]])
    def test_file_is_for_every_command(self, command, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert main([*command, "--log-file", "x.log", "--quiet"]) == 0
        assert "rampfit_numba" in (tmp_path / "x.log").read_text(encoding="utf-8")

    def test_file_that_cannot_be_is_wrong_usage(self, files, tmp_path, capsys):
        words = [str(files[0]), "--readnoise", "10", "--gain", "2", "--output-dir", str(tmp_path)]
        before = files[0].read_bytes()
        for bad, complaint in (
            (tmp_path / "no" / "x.log", "cannot be written (No such file or directory)"),
            (tmp_path, "cannot be written (Is a directory)"),
            (files[0], "is one of the files to work on"),
        ):
            assert main([*words, "--log-file", str(bad)]) == 2
            error = capsys.readouterr().err
            assert f"argument --log-file: {bad}" in error
            assert complaint in error
            assert error.count("\n") == 1
        assert files[0].read_bytes() == before
        assert not list(tmp_path.glob("*_rate*"))

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")  # noqa: PTH110
    def test_file_on_a_full_disk_is_said_once_and_costs_no_fit(self, files, tmp_path, capsys):
        words = [str(files[0]), "--readnoise", "10", "--gain", "2", "--output-dir", str(tmp_path)]
        assert main([*words, "--log-file", "/dev/full"]) == 0
        error = capsys.readouterr().err
        assert error.count("/dev/full: cannot be written any more") == 1
        assert "Traceback" not in error
        assert (tmp_path / "a_rate.fits").exists()
