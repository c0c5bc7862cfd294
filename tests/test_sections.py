"""Results that take more memory than they may: written section by section, to the same bytes."""

from __future__ import annotations

import logging
import math
import os
import re
import time
from dataclasses import dataclass
from types import SimpleNamespace

import numba
import numpy as np
import pytest
from astropy.io import fits

import rampfit_numba.sections
from rampfit_numba import RampFileError, RampFitWarning, fit_file, fit_files, read_exposure
from rampfit_numba.algorithms.rows import MOST_SAMPLES
from rampfit_numba.cli import main
from rampfit_numba.engine.chunks import CHUNK_BYTES
from rampfit_numba.files.results import FilesOfFits
from rampfit_numba.io import section_writer
from rampfit_numba.io.product_parts import Image, Product, planned
from rampfit_numba.io.section_writer import SectionedFile
from rampfit_numba.io.whole_files import written_together
from rampfit_numba.kernels._jit import LANES
from rampfit_numba.kernels.ols import tile
from rampfit_numba.options import FitOptions
from rampfit_numba.sections import cut
from tests.make_files import listing, ramp_hdulist, reference_hdulist, save

SHAPE = (5, 7, 9, 21)
#: Bytes that hold some rows, one row, and some columns of this exposure.
BUDGETS = {"rows": 30_000, "row": 8_000, "columns": 1_000, "pixel": 1}
#: What a report says of its own run.
_OF_THE_RUN = re.compile(r"[0-9]+ MiB|[0-9.]+ s\b")
_DATE = re.compile(rb"DATE    = '[0-9T:.-]{23}'")


@pytest.fixture(autouse=True)
def no_workspace(monkeypatch):
    """Let the budgets be for the arrays alone: what kernels work in is more than all of a small exposure."""
    monkeypatch.setattr(rampfit_numba.sections.cut, "workspace_size", lambda *_: 0)


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """Return the file of a small time series, with all that an exposure can have, and its references."""
    folder = tmp_path_factory.mktemp("series")
    hdulist = ramp_hdulist(SHAPE, {"NINTS": SHAPE[0], "NGROUPS": SHAPE[1]}, optional=True)
    random = np.random.default_rng(4)
    flags = hdulist["GROUPDQ"].data
    flags[:, 4:, 2, 3] = 2  # saturated
    flags[1, :, 3, 4] = 1
    flags[:, :, 5, 5] = 1  # nothing to fit
    flags[random.random(SHAPE) < 0.05] |= 4
    image = random.uniform(5, 20, SHAPE[2:])
    start = {"SUBSTRT1": 11, "SUBSTRT2": 21}
    for key, value in start.items():
        hdulist[0].header[key] = value
    noise = reference_hdulist(image, start=(11, 21))
    gain = reference_hdulist(1 + image / 10, start=(11, 21))
    return (
        save(hdulist, folder / "x_jump.fits"),
        save(noise, folder / "noise.fits"),
        save(gain, folder / "gain.fits"),
    )


def test_two_chunks_are_counted_where_an_exposure_is_fitted_in_one_piece():
    """One is read while the other one is fitted."""
    nints, _, nrows, ncols = shape = 2, 20, 1024, 1032
    arrays = SimpleNamespace(nbytes=4 * np.prod(shape)), SimpleNamespace(nbytes=np.prod(shape))
    exposure = SimpleNamespace(shape=shape, data=arrays[0], groupdq=arrays[1])
    options = FitOptions()
    results = cut.result_size(exposure, options) + nints * nrows * ncols * 4
    assert cut.memory_needed(exposure, options, 0) == results + 2 * CHUNK_BYTES


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="in plain Python blocks are shorter")
def test_workspaces_are_counted_as_kernels_make_them():
    """To count them, no kernel is loaded, nor Numba."""
    assert cut.LANES == LANES
    assert cut._MOST_GATHERED == tile._MOST_GATHERED
    assert cut._MOST_SAMPLES == MOST_SAMPLES


def contents(folder):
    """Return the products in a folder as bytes, without the time at which they were made."""
    return {path.name: _DATE.sub(b"DATE", path.read_bytes()) for path in sorted(folder.iterdir())}


def fit_both(series, tmp_path, max_memory, **options):
    """Fit a file in one piece and section by section; return the products of both."""
    fit_file(*series, output_dir=tmp_path / "whole", **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rampfit_numba.files.large, "memory_needed", lambda *_: 1 << 60)
        fit_file(*series, output_dir=tmp_path / "sections", max_memory=max_memory, **options)
    return contents(tmp_path / "whole"), contents(tmp_path / "sections")


OPTIONS = {
    "ols": {},
    "fitopt": {"save_opt": True},
    "ols with chisq and jumps": {"chisq": True, "save_jumps": True},
    "ols of one rule": {"weighting": "uniform", "errors": "weights"},
    "likely": {"algorithm": "likely", "save_opt": True, "save_jumps": True},
    "likely_joint": {"algorithm": "likely_joint", "save_opt": True, "save_jumps": True},
    "names": {"int_name": "a", "opt_name": "b_jump.fits", "save_opt": True},
}


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("options", OPTIONS)
def test_products_have_the_same_bytes(series, tmp_path, options, budget):
    whole, sections = fit_both(series, tmp_path, BUDGETS[budget], **OPTIONS[options])
    assert len(whole) > 1
    assert list(sections) == list(whole)
    for name, content in whole.items():
        assert sections[name] == content, name


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_workers_do_not_change_them(series, tmp_path, executor):
    whole, sections = fit_both(series, tmp_path, 40_000, maximum_cores=2, executor=executor, save_opt=True)
    assert sections == whole


def test_a_section_gets_the_threads_that_it_is_worth(series, tmp_path, monkeypatch):
    workers, run = [], rampfit_numba.sections.fitting.run_rows
    monkeypatch.setattr(
        "rampfit_numba.sections.fitting.run_rows",
        lambda *given, **options: workers.append((options["nrows"], options["workers"])) or run(*given, **options),
    )
    monkeypatch.setattr("loky.cpu_count", lambda *_, **__: 8)
    a_row = 5 * math.prod(SHAPE[:2]) * SHAPE[3]  # bytes
    monkeypatch.setattr("rampfit_numba.engine.cores._BYTES_PER_THREAD", 2 * a_row)
    whole, sections = fit_both(series, tmp_path, 40_000, maximum_cores="all")
    assert sections == whole
    assert workers
    assert all(found == max(1, rows // 2) for rows, found in workers)


def test_an_exposure_of_nothing_says_so_in_its_headers(series, tmp_path):
    """What the headers say is known only after the last section."""
    path = tmp_path / "x_jump.fits"
    with fits.open(series[0]) as hdulist:
        hdulist["GROUPDQ"].data[...] = 1
        hdulist.writeto(path)
    with pytest.warns(RampFitWarning, match="no ramp can be fitted: no ramp has a valid fit; all rates are NaN"):
        whole, sections = fit_both((path, *series[1:]), tmp_path, BUDGETS["rows"])
    assert sections == whole
    assert b"no pixel could be fitted" in whole["x_rate.fits"]


def test_sections_that_are_fitted_once_more_have_one_bar(series, tmp_path, capsys):
    with fits.open(series[0]) as hdulist:
        hdulist["GROUPDQ"].data[...] = 1
        hdulist.writeto(tmp_path / "x_jump.fits")
    job = {"output_dir": tmp_path / "out", "max_memory": BUDGETS["rows"], "progress": True}
    with pytest.warns(RampFitWarning, match="no ramp can be fitted"):
        fit_file(tmp_path / "x_jump.fits", *series[1:], **job)
    assert capsys.readouterr().err.count("100%|") == 1


def test_a_rule_for_all_of_the_exposure_holds_in_every_section(series, tmp_path):
    path = tmp_path / "x_jump.fits"
    with fits.open(series[0]) as hdulist:
        hdulist["GROUPDQ"].data[:, 0] = 2
        hdulist.writeto(path)
    with pytest.warns(RampFitWarning, match="every ramp is saturated in its first group"):
        whole, sections = fit_both((path, *series[1:]), tmp_path, BUDGETS["rows"], save_opt=True)
    assert sections == whole


def test_groups_that_are_dropped_are_those_of_the_whole_exposure(series, tmp_path):
    """MIRI drops edge groups without a usable sample anywhere: one section does not tell."""
    path = tmp_path / "x_jump.fits"
    with fits.open(series[0]) as hdulist:
        hdulist[0].header["INSTRUME"] = "MIRI"
        hdulist["GROUPDQ"].data[:, -1] = 1
        hdulist["GROUPDQ"].data[:, 0] = 1
        hdulist["GROUPDQ"].data[0, 0, -1, -1] = 0
        hdulist["GROUPDQ"].data[:, 1:3] |= 4
        hdulist.writeto(path)
    whole, sections = fit_both((path, 14.0, 1.8), tmp_path, BUDGETS["rows"], save_jumps=True)
    assert sections == whole


def test_the_log_says_how_the_detector_is_cut(series, tmp_path, caplog):
    caplog.set_level(logging.INFO, "rampfit_numba")
    fit_both(series, tmp_path, BUDGETS["row"])
    assert re.search(r"In 7\.81 KiB of memory: 9 sections of 1 rows x 21 columns", caplog.text)


def test_a_budget_that_cannot_be_kept_is_said(series, tmp_path, caplog):
    fit_both(series, tmp_path, 1)
    assert "max_memory: 1 B do not hold these, the fit will take" in caplog.text


def test_memory_that_no_section_bounds_is_said(tmp_path, monkeypatch, caplog):
    """Kernels work on blocks with all integrations, however few pixels there are."""
    monkeypatch.undo()
    monkeypatch.setattr("loky.cpu_count", lambda *_, **__: 2)  # on any machine
    path = tmp_path / "x_jump.fits"
    save(ramp_hdulist((500, 6, 3, 4)), path)
    fit_file(path, 14.0, 1.8, output_dir=tmp_path / "whole", maximum_cores=2, executor="threads")
    assert "max_memory" not in caplog.text
    caplog.set_level(logging.INFO, "rampfit_numba")
    options = {"maximum_cores": 2, "executor": "threads", "max_memory": "4 MiB"}
    fit_file(path, 14.0, 1.8, output_dir=tmp_path / "sections", **options)
    assert "max_memory: 4 MiB have room for 1 of 2 workers" in caplog.text
    assert re.search(
        r"the fit will take 11.* or more: 1 worker\(s\) work in 10\.3 MiB for 500 integrations", caplog.text
    )
    assert contents(tmp_path / "sections") == contents(tmp_path / "whole")


def test_what_fits_into_the_budget_is_fitted_in_one_piece(series, tmp_path, monkeypatch):
    monkeypatch.setattr(rampfit_numba.files.large, "fit_by_sections", None)
    fit_file(*series, output_dir=tmp_path, max_memory="100 MiB")
    assert listing(tmp_path) == ["x_rate.fits", "x_rateints.fits"]
    assert len(fit_file(*series, output_dir=tmp_path, overwrite=True)) == 2
    with pytest.raises(TypeError, match="not callable"):  # by sections it would have been seen
        fit_file(*series, output_dir=tmp_path, overwrite=True, max_memory=1000)


def test_what_takes_long_to_write_is_written_while_it_is_fitted(series, tmp_path, monkeypatch, caplog):
    """Sections stand in memory two at a time; a fit in one piece would be written at its end."""
    fit_file(*series, output_dir=tmp_path / "whole")
    caplog.set_level(logging.INFO, "rampfit_numba")
    monkeypatch.setattr(rampfit_numba.files.large, "LONG", 1)
    monkeypatch.setattr(cut, "ENOUGH", BUDGETS["rows"])
    put, fitted, written = SectionedFile.put, [], []
    fit = rampfit_numba.sections.fitting.run_rows

    def note_fit(*args, **options):
        fitted.append(len(written))
        return fit(*args, **options)

    def note_write(self, *args):
        while len(fitted) < min(len(written) // 2 + 2, 5):  # two products
            time.sleep(0.01)
        written.append(args)
        put(self, *args)

    monkeypatch.setattr(rampfit_numba.sections.fitting, "run_rows", note_fit)
    monkeypatch.setattr(SectionedFile, "put", note_write)
    fit_file(*series, output_dir=tmp_path / "sections")
    assert "of memory: 5 sections of 2 rows x 21 columns" in caplog.text
    assert len(written) == 2 * len(fitted) == 10
    assert contents(tmp_path / "sections") == contents(tmp_path / "whole")


def test_sections_of_the_longest_series_have_whole_rows(monkeypatch):
    """Where memory allows: the columns of one row are many short pieces of a file."""
    monkeypatch.undo()
    exposure, options = SimpleNamespace(shape=(20_000, 6, 64, 512)), FitOptions()
    found = cut.Memory(16 << 30, 1, read=30 * 20_000, copies=1, reads_ahead=True).cut(exposure, options, (2, 1))
    assert (found.height, found.width, found.behind) == (2, 512, True)
    assert cut.workers_held(exposure, options, 16 << 30) > 20


@pytest.fixture
def in_electrons(series, tmp_path):
    """Return the series with data in electrons, and its references."""
    path = tmp_path / "in" / "x_jump.fits"
    path.parent.mkdir()
    with fits.open(series[0]) as hdulist:
        hdulist["SCI"].header["BUNIT"] = "electron"
        hdulist.writeto(path)
    return path, *series[1:]


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("options", ["fitopt", "ols with chisq and jumps", "likely_joint"])
def test_data_in_electrons_have_the_same_products(in_electrons, tmp_path, options, budget):
    whole, sections = fit_both(in_electrons, tmp_path, BUDGETS[budget], **OPTIONS[options])
    assert sections == whole
    assert len(whole) > 1


def test_data_in_electrons_that_do_not_fit_are_converted_to_a_file(in_electrons, tmp_path, caplog):
    with caplog.at_level("INFO", "rampfit_numba"):
        fit_file(*in_electrons, output_dir=tmp_path / "out", max_memory=BUDGETS["rows"])
    assert "x_jump.fits: what is in electron, divided by the gain, 25.8 KiB, stands in a temporary file" in caplog.text
    assert "sections of" in caplog.text
    assert listing(tmp_path / "out") == ["x_rate.fits", "x_rateints.fits"]


@dataclass(frozen=True)
class Planes(FilesOfFits):
    """Writes what a fit has into a file of NumPy, and the jumps."""

    def check(self):
        pass

    def products(self, path):
        return (self.folder / f"{path.stem}.npz",)

    def __call__(self, fitted):
        fit = fitted.fit
        found = {
            f"{kind}_{name}": plane for kind in ("rate", "rateints") for name, plane in vars(getattr(fit, kind)).items()
        }
        found = {name: plane for name, plane in found.items() if isinstance(plane, np.ndarray)}
        if fit.groupdq is not None:
            found["groupdq"] = fit.groupdq
        jumps = fit.jumps()
        found |= {f"jumps_{name}": np.asarray(jumps[name]) for name in jumps.colnames}
        found |= {"header": np.array(fit.rate.header.primary.tostring()), "nothing": np.array(fit.nothing_to_fit)}
        found["options"] = np.array(repr(fit.options))
        np.savez(self.products(fitted.path)[0], **found)


def looked_at(files, tmp_path, budget, **options):
    """Fit a file in one piece and section by section; return what stands in the fits that are handed on."""
    found = []
    for name, needed in (("whole", 0), ("sections", 1 << 60)):
        folder = tmp_path / f"{name} handed on"
        folder.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rampfit_numba.files.large, "memory_needed", lambda *_, needed=needed: needed)
            memory = budget if needed else None
            job = {"output_dir": folder, "on_fit": Planes(folder, overwrite=False), "max_memory": memory}
            (result,) = fit_files(files[:1], *files[1:], **job, **options)
        assert not result.error
        with np.load(folder / "x_jump.npz") as planes:
            found.append(dict(planes))
        assert len(listing(folder)) == 3 + bool(options.get("save_opt"))
    return found


@pytest.mark.parametrize("budget", ["rows", "columns"])
@pytest.mark.parametrize("options", ["fitopt", "ols with chisq and jumps", "likely_joint"])
@pytest.mark.parametrize("unit", ["series", "in_electrons"])
def test_what_looks_at_the_fit_afterwards_sees_the_same(request, tmp_path, unit, options, budget):
    chosen = {key: value for key, value in OPTIONS[options].items() if key != "save_jumps"}
    whole, sections = looked_at(request.getfixturevalue(unit), tmp_path, BUDGETS[budget], **chosen)
    assert sections.keys() == whole.keys()
    for name, plane in whole.items():
        np.testing.assert_array_equal(sections[name], plane, err_msg=name)
        assert sections[name].dtype == plane.dtype


def test_report_on_sections_is_that_on_the_whole(series, tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    reports = []
    for name, memory in (("whole", "1GB"), ("sections", str(BUDGETS["rows"]))):
        words = [str(series[0]), "--readnoise", str(series[1]), "--gain", str(series[2]), "--max-memory", memory]
        folder = tmp_path / name
        assert main([*words, "--algorithm", "likely", "--report", "--quiet", "--output-dir", str(folder)]) == 0
        text = (folder / "x_jump_report.html").read_text(encoding="utf-8")
        reports.append(_OF_THE_RUN.sub("", text))
    assert len(reports[0]) > 10_000
    assert reports[1] == reports[0]


@pytest.mark.parametrize("budget", [None, "rows", "columns"])
def test_seconds_of_a_fit_are_without_its_last_writing(series, tmp_path, monkeypatch, budget):
    """In one piece or by sections; the result of the file has them with all of it."""
    handed_on, sync = [], os.fsync

    def sync_slowly(number):
        time.sleep(0.3)
        sync(number)

    monkeypatch.setattr(os, "fsync", sync_slowly)
    monkeypatch.setattr(Planes, "__call__", lambda _, fitted: handed_on.append(fitted.seconds))
    job = {"output_dir": tmp_path, "on_fit": Planes(tmp_path, overwrite=False)}
    (result,) = fit_files(series[:1], *series[1:], max_memory=budget and BUDGETS[budget], **job)
    assert not result.error
    assert 0 < handed_on[0] < result.seconds - 2 * 0.3


def test_a_function_gets_the_fit_in_one_piece(series, tmp_path, caplog):
    fitted = []
    fit_files(series[:1], *series[1:], output_dir=tmp_path, max_memory=BUDGETS["rows"], on_fit=fitted.append)
    assert "a function (on_fit) needs them all" in caplog.text
    assert fitted[0].fit.rateints.data.shape == (SHAPE[0], *SHAPE[2:])


def test_what_exists_is_not_replaced(series, tmp_path):
    (tmp_path / "x_rate.fits").write_text("mine")
    with pytest.raises(RampFileError, match=r"x_rate\.fits: exists"):
        fit_file(*series, output_dir=tmp_path, max_memory=1000)
    assert listing(tmp_path) == ["x_rate.fits"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError(28, "No space left on device"), ZeroDivisionError])
def test_whatever_stops_it_leaves_nothing(series, tmp_path, monkeypatch, failure):
    """What was there before is there again."""
    (tmp_path / "x_rate.fits").write_text("mine")
    written = []
    write = SectionedFile._write

    def fail(self, *args):
        written.append(args)
        if len(written) > 60:  # headers are written, and some sections
            raise failure
        write(self, *args)

    monkeypatch.setattr(SectionedFile, "_write", fail)
    kind = RampFileError if isinstance(failure, OSError) else failure
    with pytest.raises(kind, match=r"x_.*\.fits: cannot be written \(No space" if kind is RampFileError else None):
        fit_file(*series, output_dir=tmp_path, overwrite=True, max_memory=BUDGETS["rows"])
    assert len(written) > 60
    assert listing(tmp_path) == ["x_rate.fits"]
    assert (tmp_path / "x_rate.fits").read_text() == "mine"


def test_a_full_disk_is_an_error_before_anything_is_fitted(series, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(section_writer, "allocate", full)
    monkeypatch.setattr(rampfit_numba.sections.fitting, "run_rows", None)
    with pytest.raises(RampFileError, match=r"x_rate\.fits: cannot be written \(No space left"):
        fit_file(*series, output_dir=tmp_path / "new", max_memory=BUDGETS["rows"])
    assert listing(tmp_path) == []


def test_a_file_that_changes_between_two_sections_is_refused(series, tmp_path, monkeypatch):
    path = tmp_path / "x_jump.fits"
    path.write_bytes(series[0].read_bytes())
    put = SectionedFile.put

    def change(self, *args):
        put(self, *args)
        with path.open("r+b") as file:  # never shorter: the next section may just be read
            file.write(series[0].read_bytes())

    monkeypatch.setattr(SectionedFile, "put", change)
    with pytest.raises(RampFileError, match=r"x_jump\.fits: was changed while it was read"):
        fit_file(path, 14.0, 1.8, output_dir=tmp_path / "new", max_memory=BUDGETS["rows"])
    assert listing(tmp_path) == ["x_jump.fits"]


@pytest.mark.parametrize("kind", ["f4", "i4", "u4"])
@pytest.mark.parametrize("shape", [(6, 8), (3, 6, 8), (2, 3, 6, 8)])
def test_sections_of_any_shape_stand_where_they_belong(tmp_path, kind, shape):
    values = np.random.default_rng(1).integers(0, 1 << 31, shape).astype(kind)
    primary = fits.PrimaryHDU().header
    Product(primary, [Image("A", values)]).hdulist().writeto(tmp_path / "whole.fits")
    with written_together([tmp_path / "a.fits"]) as (file,):
        sectioned = SectionedFile(file, Product(primary, [Image("A", planned(shape, kind))]))
        for rows, columns in (
            (slice(0, 2), slice(0, 8)),
            (slice(2, 6), slice(0, 3)),
            (slice(2, 5), slice(3, 8)),
            (slice(5, 6), slice(3, 8)),
        ):
            sectioned.put({"A": values[..., rows, columns].copy()}, rows.start, columns.start)
    assert (tmp_path / "a.fits").read_bytes() == (tmp_path / "whole.fits").read_bytes()


def test_an_exposure_can_be_cut_by_columns(series):
    exposure = read_exposure(series[0])
    part = exposure.rows(slice(2, 5), slice(3, 9))
    assert part.shape == (*SHAPE[:2], 3, 6)
    assert np.array_equal(part.data, exposure.data[..., 2:5, 3:9])
    assert np.array_equal(part.zeroframe, exposure.zeroframe[..., 2:5, 3:9])
