"""Names of files, values in headers and words that were typed are data, in every place where they are shown."""

from __future__ import annotations

import csv
import io
import logging
import os
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import Exposure, ExposureHeader, RampFileError, RampFitWarning, fit_file, fit_files, fit_ramps
from rampfit_numba.cli import main
from rampfit_numba.files.results import FileResult
from rampfit_numba.files.tables import write_table
from rampfit_numba.messages import printable
from tests.make_files import ramp_hdulist, save

#: It clears a terminal, sets its title, links to a program, rings, parts lines, turns the direction of text; and a byte
#: that is no UTF-8, as Python has it.
EVIL = "x\x1b[2J\x1b]0;title\a\x1b]8;;file:///bin/sh\x1b\\y\r\nroot:\u202ecod\u2066\x9b1m\x7f\u2028\udcff"
SHOWN = r"x\x1b[2J\x1b]0;title\x07\x1b]8;;file:///bin/sh\x1b\y\r\nroot:\u202ecod\u2066\x9b1m\x7f\u2028\udcff"
#: No file name holds a slash, and one of two lines is refused.
NAME = EVIL.replace("/", "_").replace("\n", "") + "_jump.fits"
POSIX = pytest.mark.skipif(os.name != "posix", reason="names that this system does not have")


def is_plain(text):
    return all(char.isprintable() or char == "\n" for char in text)


class Header(dict):
    """A header whose values are what they are: one of FITS could not hold them."""

    def copy(self):
        return self

    @property
    def cards(self):
        return [fits.Card("HISTORY", "none")]


def test_what_can_be_printed_stays():
    assert printable("Größe 5 µm, 星.fits \\n") == "Größe 5 µm, 星.fits \\n"
    assert printable(EVIL) == SHOWN
    assert printable(SHOWN) == SHOWN
    assert printable("a\n\x1b", keep="\n") == "a\n\\x1b"


@pytest.mark.parametrize("kind", [RampFileError, RampFitWarning])
def test_errors_and_warnings_can_be_printed(kind):
    assert str(kind(f"{EVIL}:\nis damaged")) == f"{SHOWN}:\nis damaged".replace(r"\n", "\n")


@pytest.mark.parametrize("name", ["rampfit_numba", "rampfit_numba.files", "stpipe.rampfit_numba.jwst.fitting"])
def test_log_lines_can_be_printed_whoever_listens(name):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    try:
        logging.getLogger(name).error("Saved %s", EVIL)
        logging.getLogger(name).error("Saved %s", "x.fits")
    finally:
        logging.getLogger().removeHandler(handler)
    assert stream.getvalue() == f"Saved {SHOWN}\nSaved x.fits\n"


TWO = ["--maximum-cores", "2"]


@POSIX
class TestNamesOfFiles:
    @pytest.fixture
    def file(self, tmp_path, monkeypatch):
        """Return an exposure of such a name, in the working folder."""
        monkeypatch.chdir(tmp_path)
        return save(ramp_hdulist(), Path(NAME))

    @pytest.mark.parametrize(
        "words", [[], ["--verbose"], TWO, [*TWO, "--executor", "processes"], ["--summary", "\x1b[2J.csv"]]
    )
    def test_of_the_command(self, file, capsys, words):
        """Fitted, then refused since the products exist, then damaged."""
        save(ramp_hdulist(), Path("b_jump.fits"))
        command = [str(file), "b_jump.fits", "--readnoise", "5", "--gain", "2", *words]
        assert main(command) == 0
        assert main(command) in {1, 2}  # a summary that exists is refused before the files
        file.write_bytes(file.read_bytes()[:9000])
        assert main([*command, "--overwrite"]) == 1
        said = capsys.readouterr()
        assert is_plain(said.out)
        assert is_plain(said.err)
        assert re.search(r"Saved \S+/x\\x1b\[2J", said.err)
        assert "exists; allow overwriting" in said.err
        assert re.search(r"ERROR - x\S+_jump\.fits: the file is truncated", said.err)

    def test_of_two_lines_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match=r"expected a file name; got 'a\\nb_jump\.fits'"):
            fit_file(save(ramp_hdulist(), tmp_path / "a\nb_jump.fits"), 5.0, 2.0, output_dir=tmp_path)

    def test_in_the_products(self, file, tmp_path):
        for path in fit_file(file, 5.0, 2.0, output_dir=tmp_path / "out", save_opt=True):
            with fits.open(path) as hdulist:
                for hdu in hdulist:
                    assert hdu.header.tostring().isascii()
                    assert hdu.header.tostring().isprintable()

    @pytest.mark.parametrize("words", [["{}"], ["{}", "--readnoise", "{}", "--gain", "2"], ["--{}"], ["fit", "--no{}"]])
    def test_of_what_was_typed(self, words, tmp_path, monkeypatch, capsys):
        """No such file, reference or option."""
        monkeypatch.chdir(tmp_path)
        assert main([word.format(EVIL) for word in words]) in {1, 2}
        said = capsys.readouterr()
        assert is_plain(said.out + said.err)
        assert r"\x1b[2J" in said.err
        assert len(said.err.splitlines()) == 1

    @pytest.mark.parametrize("option", ["--algorithm", "--executor", "--maximum-cores", "--shape", "--max-memory"])
    def test_of_options(self, file, option, capsys):
        command = ["simulate", "y_jump.fits"] if option == "--shape" else [str(file), "--readnoise", "5", "--gain", "2"]
        assert main([*command, option, EVIL]) == 2
        said = capsys.readouterr().err
        assert is_plain(said)
        assert r"\x1b[2J" in said

    def test_of_errors_in_python(self, file):
        for options, error in (({"summary": NAME.replace("jump", "rate")}, ValueError), ({}, ValueError)):
            with pytest.raises(error) as caught:
                fit_files([file, *([] if options else [file])], 5.0, 2.0, **options)
            assert is_plain(str(caught.value))
            assert r"\x1b[2J" in str(caught.value)


class TestHeaders:
    @pytest.fixture
    def fit(self):
        """Return a fit of an exposure with such a header."""
        values = dict.fromkeys(("TARGNAME", "TARGPROP", "INSTRUME", "EXP_TYPE", "FILTER"), f"=cmd()<b>{EVIL}")
        header = ExposureHeader(Header(values | {"FILENAME": EVIL}), {})
        ramps = np.cumsum(np.random.default_rng(1).poisson(50, (1, 6, 8, 8)), axis=1).astype(np.float32)
        return fit_ramps(Exposure(ramps, None, 2.0, instrument=EVIL, header=header), 5.0, 2.0)

    def test_introduce_themselves(self, fit):
        for thing in (fit, fit.inputs.exposure):
            assert is_plain(repr(thing))
            assert is_plain(thing._repr_html_())

    def test_in_reports(self, fit):
        pytest.importorskip("jinja2", reason="extra report")
        pytest.importorskip("matplotlib", reason="extra report")
        from rampfit_numba.report import IndexLine, RunFacts, render_index
        from rampfit_numba.report.page import render_report

        facts = RunFacts(name=EVIL, readnoise=EVIL, gain=EVIL, command=EVIL, messages=[EVIL], products=[EVIL])
        page, content = render_report(fit, facts)
        index = render_index([IndexLine(EVIL, EVIL, content.summary, EVIL)])
        for text in (page, index):
            assert is_plain(text)
            assert r"\u202ecod" in text
        assert "=cmd()&lt;b&gt;" in page
        assert "<b>x" not in page

    def test_in_the_viewer(self, fit):
        from rampfit_numba.view.facts import describe

        facts = dict(describe(fit.inputs.exposure, fit))
        assert facts["Target"].startswith(r"=cmd()<b>x\x1b[2J")
        assert all(map(is_plain, facts.values()))

    def test_in_plots(self, fit):
        pytest.importorskip("matplotlib", reason="extra plot")
        from rampfit_numba.plot.sources import name_of

        assert is_plain(name_of(fit))


class TestTables:
    @pytest.mark.parametrize("name", ["=cmd|' _C calc'!A0", "+1", "-1", "@SUM(1)", "\t=1", "a\n=1"])
    def test_hold_no_formulas(self, tmp_path, name):
        path = Path(name)
        result = FileResult(path, (path,), error=ValueError(name), warnings=(name, "second"))
        write_table(tmp_path / "t.csv", [path, path], [result, None])
        with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 2
        for cell in (cell for row in rows for cell in row.values()):
            assert not re.match(r"[=+\-@\t\r]", cell)
            assert is_plain(cell)
            assert "\n" not in cell
        if name.isprintable():  # the same file
            assert Path(rows[0]["file"]) == path

    def test_tell_other_names_as_they_are(self, tmp_path):
        path = Path("a=b-c.fits")
        write_table(tmp_path / "t.csv", [path], [FileResult(path, (path,))])
        assert "\na=b-c.fits,fitted," in (tmp_path / "t.csv").read_text(encoding="utf-8")


@POSIX
def test_tracebacks_can_be_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def fail(*_args, **_options):
        raise RecursionError(EVIL)

    monkeypatch.setattr("rampfit_numba.files.fitting.read_fit_write", fail)
    monkeypatch.setattr("rampfit_numba.files.attempts.read_fit_write", fail)
    save(ramp_hdulist(), Path("x_jump.fits"))
    assert main(["x_jump.fits", "--readnoise", "5", "--gain", "2", "--verbose"]) == 1
    said = capsys.readouterr().err
    assert "Traceback (most recent call last)" in said
    assert is_plain(said)
