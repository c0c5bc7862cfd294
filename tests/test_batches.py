"""Many files: what becomes of each, and of a batch that is cut short."""

from __future__ import annotations

import csv
import ctypes
import errno
import os
import pickle
import re
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import Mock

import cloudpickle
import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import Exposure, RampFileError, dq, fit_file, fit_files, fit_ramps
from rampfit_numba.cli import main
from rampfit_numba.files import Job, batch, fit_one, fitting, lanes, plan, processes, tables
from rampfit_numba.files.job import make_destination
from rampfit_numba.files.results import FilesOfFits
from rampfit_numba.io import temporary_files
from rampfit_numba.progress import Stopped
from rampfit_numba.progress import job as progress_job
from rampfit_numba.report import report_path
from rampfit_numba.simulate.roman import simulate_roman, write_roman_simulation
from rampfit_numba.simulate.wfc3 import simulate_ima, write_ima
from tests.make_files import listing, ramp_hdulist, reference_hdulist, save

#: So long a test waits for what would come at once.
LONG = 60.0


@pytest.fixture
def files(tmp_path):
    """Return three ramp files of different sizes."""
    shapes = {"a": (1, 5, 4, 6), "b": (2, 5, 6, 5), "c": (1, 6, 3, 4)}
    return [save(ramp_hdulist(shape), tmp_path / f"{name}_jump.fits") for name, shape in shapes.items()]


def test_a_file_can_be_fitted_by_another_process(files, tmp_path):
    destination = make_destination(tmp_path / "out", overwrite=False, save_jumps=False, names=("", ""))
    job = Job.checked(files, 10.0, 2.0, destination, {"progress": True, "maximum_cores": 2})
    part = pickle.loads(pickle.dumps(job.for_file(files[1])))  # noqa: S301
    assert list(part.formats) == [files[1]]
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        result = executor.submit(fit_one, files[1], part).result()
    assert [product.name for product in result.products] == ["b_rate.fits", "b_rateints.fits"]
    assert (result.status, result.pixels, result.groups) == ("fitted", 30, 5)


def test_a_result_says_what_was_fitted(tmp_path):
    hdulist = ramp_hdulist((2, 5, 4, 6))
    hdulist["GROUPDQ"].data[:] = 0
    hdulist["GROUPDQ"].data[0, 2, 1, :3] = dq.JUMP_DET
    hdulist["GROUPDQ"].data[1, 2, 1, :2] = dq.JUMP_DET
    result = fit_file(save(hdulist, tmp_path / "x_jump.fits"), 10.0, 2.0, output_dir=tmp_path)
    assert (result.pixels, result.groups, result.hits) == (24, 5, 3)
    assert result.seconds > 0
    assert result.status == "fitted"


def write(folder, names, **cards):
    """Write a ramp file for each letter of `names`."""
    files = []
    for seed, name in enumerate(names):
        hdulist = ramp_hdulist(seed=seed)
        hdulist[0].header.update(cards)
        files.append(save(hdulist, folder / f"{name}_jump.fits"))
    return files


def table(path):
    """Return the rows of a summary."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def records(path):
    """Return the rows of a summary as dictionaries."""
    header, *rows = table(path)
    return [dict(zip(header, row, strict=True)) for row in rows]


def planes(folder):
    """Return the data of all products in a folder, as bytes."""
    found = {}
    for path in sorted(Path(folder).glob("*.fits")):
        with fits.open(path) as hdulist:
            found[path.name] = [(hdu.name, hdu.data.tobytes()) for hdu in hdulist if hdu.data is not None]
    return found


class TestLanes:
    def test_the_next_file_is_read_and_the_last_one_written_while_one_is_fitted(self, tmp_path, monkeypatch):
        """Were it not so, the waiting would last until its end."""
        files = write(tmp_path, "abc")
        events = {name: threading.Event() for name in ("c read", "b fitted", "a written")}
        seen = []

        def read(path, *how):
            exposure = real_read(path, *how)
            events["c read"].set() if path.name.startswith("c") else None
            return exposure

        def fit(exposure, *args, **options):
            name = exposure.header.filename[0]
            if name == "b":
                seen.append(events["c read"].wait(LONG))
                events["b fitted"].set()
                seen.append(events["a written"].wait(LONG))
            return fit_ramps(exposure, *args, **options)

        def written(fit, folder, path, **options):
            if path.name.startswith("a"):
                seen.append(events["b fitted"].wait(LONG))
                events["a written"].set()
            return real_write(fit, folder, path, **options)

        from rampfit_numba.io import jwst_files

        real_read, real_write = jwst_files.exposure_in, jwst_files.write_products
        monkeypatch.setattr(jwst_files, "exposure_in", read)
        monkeypatch.setattr(jwst_files, "write_products", written)
        monkeypatch.setattr(fitting, "fit_ramps", fit)
        assert all(fit_files(files, 10.0, 2.0, output_dir=tmp_path / "out"))
        assert seen == [True, True, True]

    def test_one_file_is_fitted_at_a_time_by_one_worker_and_in_order(self, tmp_path, monkeypatch):
        files, order, busy = write(tmp_path, "abcdef"), [], threading.Lock()

        def fit(exposure, *args, **options):
            assert busy.acquire(blocking=False)
            order.append(exposure.header.filename[0])
            time.sleep(0.02)
            try:
                return fit_ramps(exposure, *args, **options)
            finally:
                busy.release()

        monkeypatch.setattr(fitting, "fit_ramps", fit)
        assert all(fit_files(files, 10.0, 2.0, output_dir=tmp_path / "out"))
        assert "".join(order) == "abcdef"

    def test_several_are_fitted_at_once_by_several_workers(self, tmp_path, monkeypatch, caplog):
        files, meeting = write(tmp_path, "abcd"), threading.Barrier(2)

        def fit(*args, **options):
            meeting.wait(LONG)
            assert options["maximum_cores"] == "none"
            return fit_ramps(*args, **options)

        monkeypatch.setattr(fitting, "fit_ramps", fit)
        with caplog.at_level("INFO", "rampfit_numba"):
            results = fit_files(files, 10.0, 2.0, output_dir=tmp_path / "out", maximum_cores=2, executor="threads")
        assert [result.status for result in results] == ["fitted"] * 4
        assert "The files are fitted 2 files at a time, in threads" in caplog.text

    def test_a_budget_limits_how_many_are_worked_on(self, tmp_path, monkeypatch):
        files, working, most = write(tmp_path, "abcd"), set(), []

        def attempt(path, job, turn):
            working.add(path)
            most.append(len(working))
            try:
                return real(path, job, turn)
            finally:
                working.remove(path)

        real = lanes.attempt
        monkeypatch.setattr(lanes, "attempt", attempt)
        monkeypatch.setattr(plan, "memory_budget", lambda _: 1)
        assert all(fit_files(files, 10.0, 2.0, output_dir=tmp_path / "out"))
        assert max(most) == 1

    @pytest.mark.parametrize("how", [{}, {"maximum_cores": 2, "executor": "threads"}])
    def test_every_file_fails_for_itself(self, tmp_path, how):
        files = write(tmp_path, "abcd")
        files[1].write_bytes(files[1].read_bytes()[:-4000])
        files[3].unlink()
        results = fit_files(files, 10.0, 2.0, output_dir=tmp_path / "out", on_error="continue", **how)
        assert [result.status for result in results] == ["fitted", "failed", "fitted", "failed"]
        assert listing(tmp_path / "out") == ["a_rate.fits", "a_rateints.fits", "c_rate.fits", "c_rateints.fits"]

    def test_a_full_disk_costs_the_files_that_do_not_fit(self, tmp_path, monkeypatch):
        files, count = write(tmp_path, "abc"), []

        def allocate(*args):
            count.append(args)
            if len(count) == 4:  # the second product of the second file
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "posix_fallocate", allocate)
        results = fit_files(files, 10.0, 2.0, output_dir=tmp_path / "out", on_error="continue")
        failed = [result for result in results if result.error]
        assert len(failed) == 1
        assert "No space left on device" in str(failed[0].error)
        assert len(listing(tmp_path / "out")) == 4

    def test_what_is_done_with_a_fit_is_done_by_the_caller(self, tmp_path):
        threads = []
        files = write(tmp_path, "abcd")
        fit_files(
            files,
            *(10.0, 2.0),
            output_dir=tmp_path / "out",
            maximum_cores=2,
            on_fit=lambda fitted: threads.append((threading.current_thread(), fitted.path.name)),
        )
        assert {thread for thread, _ in threads} == {threading.main_thread()}
        assert sorted(name[0] for _, name in threads) == list("abcd")

    def test_filters_of_warnings_are_as_they_were(self, tmp_path):
        import warnings

        before = list(warnings.filters)
        fit_files(write(tmp_path, "abcd"), 10.0, 2.0, output_dir=tmp_path / "out", maximum_cores=2)
        assert warnings.filters == before


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_files_at_once_share_the_budget(tmp_path, monkeypatch, executor):
    """Each decides by its share whether its results are to be written section by section."""
    seen = []

    def look(*args, **_options):
        seen.append(args[1].options["max_memory"])

    monkeypatch.setattr(batch, "fit_in_lanes", look)
    monkeypatch.setattr(batch, "fit_in_processes", look)
    files = write(tmp_path, "abcd")
    fit_files(files, 10.0, 2.0, output_dir=tmp_path, maximum_cores=2, executor=executor, max_memory="1 GiB")
    assert set(seen) == {1 << 29}


@pytest.mark.parametrize(
    ("sizes", "options", "says"),
    [
        ([10**8] * 100, {}, "one file after the other"),
        ([10**8] * 100, {"maximum_cores": 2}, "2 files at a time, in threads"),
        ([10**4] * 1000, {"maximum_cores": 2}, "2 files at a time, in processes"),
        ([10**4] * 1000, {"maximum_cores": 2, "executor": "threads"}, "2 files at a time, in threads"),
        ([10**4] * 230, {"maximum_cores": 2}, "2 files at a time, in processes"),
        ([10**4] * 190, {"maximum_cores": 2}, "2 files at a time, in threads"),
        ([10**4] * 80, {"maximum_cores": 2}, "2 files at a time, in threads"),
        ([10**4] * 8, {"maximum_cores": 2}, "2 files at a time, in threads"),
        ([10**4] * 8, {"maximum_cores": 2, "executor": "processes"}, "2 files at a time, in processes"),
        ([10**8] * 3, {"maximum_cores": 2}, "one file after the other"),
        ([10**8] * 2, {"maximum_cores": 2}, "2 files at a time, in threads"),
        ([10**8] * 2, {"maximum_cores": 2, "executor": "processes"}, "one file after the other"),
        ([10**8, 10**7], {"maximum_cores": 2}, "one file after the other"),
        ([10**12] * 100, {"maximum_cores": 2}, "one file after the other"),
    ],
)
def test_files_are_fitted_at_once_where_that_is_faster(sizes, options, says, monkeypatch):
    monkeypatch.setattr("loky.cpu_count", lambda: 2)
    monkeypatch.setattr(plan.pool, "runs", lambda _: False)
    assert says in str(plan.make_plan(sizes, options))


@pytest.mark.parametrize(("count", "files"), [(1, 1), (2, 1), (7, 1), (8, 8), (9, 1), (15, 1), (16, 8)])
def test_no_worker_is_left_without_a_file(monkeypatch, count, files):
    monkeypatch.setattr("loky.cpu_count", lambda: 8)
    monkeypatch.setattr(plan.pool, "runs", lambda _: False)
    assert plan.make_plan([2 * 10**8] * count, {"maximum_cores": "all", "max_memory": 10**10}).files == files


@pytest.mark.parametrize(("count", "cores", "files"), [(1, 64, 1), (3, 2, 2), (100, 64, 64), (5, 64, 5), (100, 1, 1)])
def test_files_that_are_too_small_to_share_out_are_fitted_at_once(monkeypatch, count, cores, files):
    monkeypatch.setattr("loky.cpu_count", lambda: cores)
    monkeypatch.setattr(plan.pool, "runs", lambda _: False)
    assert plan.make_plan([5 << 20] * count, {"maximum_cores": "all", "max_memory": 10**10}).files == files


def test_workers_that_run_already_need_not_be_started(monkeypatch):
    monkeypatch.setattr("loky.cpu_count", lambda: 2)
    options = {"maximum_cores": 2}
    monkeypatch.setattr(plan.pool, "runs", lambda _: False)
    assert plan.make_plan([10**4] * 20, options).kind == "threads"
    monkeypatch.setattr(plan.pool, "runs", lambda workers: workers == 2)
    assert plan.make_plan([10**4] * 20, options).kind == "processes"
    assert plan.make_plan([2 * 10**8] * 4, options).kind == "threads"  # the first one is fitted before the others


@pytest.mark.parametrize("count", [1, 4], ids=["rows", "files"])
def test_workers_that_run_already_find_files_of_another_working_folder(tmp_path, monkeypatch, count):
    """Not those of the same names where they were started."""
    names = [Path(f"{letter}_jump.fits") for letter in "abcd"[:count]]
    rates = []
    for factor, folder in ((1.0, tmp_path / "one"), (2.0, tmp_path / "two")):
        folder.mkdir()
        monkeypatch.chdir(folder)
        for name in names:
            hdulist = ramp_hdulist()
            hdulist["SCI"].data *= factor
            save(hdulist, name)
        results = fit_files(names, 10.0, 2.0, output_dir="out", maximum_cores=2, executor="processes")
        assert all(result.products[0].resolve().parent == folder / "out" for result in results)
        rates.append(fits.getdata(folder / "out" / f"{names[-1].stem[0]}_rate.fits", "SCI"))
    np.testing.assert_allclose(rates[1], 2 * rates[0], rtol=0.01)  # weights depend on the signal
    assert len(listing(tmp_path / "one" / "out")) == 2 * count


@pytest.mark.skipif(os.name == "nt", reason="a working folder cannot be removed there")
def test_a_working_folder_that_was_removed_is_not_needed(tmp_path, monkeypatch):
    """Where all paths are absolute: not by whoever asks, and workers do not stay in it."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    files = [tmp_path / f"{letter}_jump.fits" for letter in "abcd"]
    for file in files:
        save(ramp_hdulist(), file)
    fit_files(files[:4], 10.0, 2.0, output_dir=tmp_path / "before", maximum_cores=2, executor="processes")
    gone.rmdir()
    fit_files(files, 10.0, 2.0, output_dir=tmp_path / "after", maximum_cores=2, executor="processes")
    assert len(listing(tmp_path / "after")) == len(listing(tmp_path / "before")) == 2 * len(files)


def test_the_pool_knows_whether_it_runs(monkeypatch):
    monkeypatch.setattr("loky.cpu_count", lambda: 2)
    executor, count = plan.pool.take(2)
    try:
        executor.submit(int).result()
        assert plan.pool.runs(count)
        assert not plan.pool.runs(count + 1)
    finally:
        plan.pool.drop(executor)
    assert not plan.pool.runs(1)


def test_fits_that_are_wanted_here_are_made_here():
    assert (
        plan.make_plan([10**4] * 8, {"maximum_cores": 2, "executor": "processes"}, fits_wanted=True).kind == "threads"
    )


#: Whole files in two worker processes.
TWO = {"maximum_cores": 2, "executor": "processes"}


def let_wait(monkeypatch, behind, told):
    """Let the files behind one wait, in threads and in worker processes, until another file is there.

    A worker that starts late, or is not let run, would else have its file done as the last one.
    """
    cloudpickle.register_pickle_by_value(sys.modules[__name__])

    def waiting(real):
        def wait(path, *others):
            end = time.monotonic() + LONG
            while path.name > behind.name and not told.exists() and time.monotonic() < end:
                time.sleep(0.01)
            return real(path, *others)

        return wait

    monkeypatch.setattr(processes, "_work", waiting(processes._work))
    monkeypatch.setattr(lanes, "attempt", waiting(lanes.attempt))


class TestProcesses:
    def test_give_what_one_worker_gives(self, tmp_path, caplog):
        files = write(tmp_path, "abcde")
        files[2].write_text("no FITS file")
        fit_files(files, 10.0, 2.0, output_dir=tmp_path / "one", on_error="continue")
        with caplog.at_level("INFO", "rampfit_numba"):
            results = fit_files(files, 10.0, 2.0, output_dir=tmp_path / "two", on_error="continue", **TWO)
        assert planes(tmp_path / "one") == planes(tmp_path / "two")
        assert [result.status for result in results] == ["fitted", "fitted", "failed", "fitted", "fitted"]
        assert isinstance(results[2].error, RampFileError)
        assert "The files are fitted 2 files at a time, in processes" in caplog.text
        assert f"Saved {tmp_path / 'two' / 'e_rate.fits'}" in caplog.text

    @pytest.mark.slow
    @pytest.mark.parametrize(("always", "status"), [(False, "fitted"), (True, "failed")])
    def test_a_killed_worker_costs_its_file_at_most(self, tmp_path, monkeypatch, always, status):
        """It is tried again, alone; the neighbours that were lost with it are done too."""
        cloudpickle.register_pickle_by_value(sys.modules[__name__])
        files = write(tmp_path, "abcdef")
        real = processes._work

        def work(path, job, *others):
            mark = path.with_suffix(".killed")
            if path.name.startswith("c") and (always or not mark.exists()):
                mark.touch()
                os._exit(9)
            return real(path, job, *others)

        monkeypatch.setattr(processes, "_work", work)
        results = fit_files(files, 10.0, 2.0, output_dir=tmp_path / "out", on_error="continue", **TWO)
        assert [result.status for result in results] == ["fitted", "fitted", status, "fitted", "fitted", "fitted"]
        assert len(listing(tmp_path / "out")) == 12 - 2 * always
        if always:
            assert str(results[2].error).startswith(f"{files[2]}: the worker process that fitted it was killed, twice")

    @pytest.mark.parametrize("where", ["take", "submit"])
    def test_that_cannot_be_started_are_done_without(self, tmp_path, monkeypatch, caplog, where):
        def refuse(*_args, **_options):
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

        if where == "take":
            monkeypatch.setattr(processes.pool, "take", refuse)
        else:
            monkeypatch.setattr("loky.process_executor.ProcessPoolExecutor.submit", refuse)
        results = fit_files(write(tmp_path, "abcd"), 10.0, 2.0, output_dir=tmp_path / "out", **TWO)
        assert [result.status for result in results] == ["fitted"] * 4
        assert "No worker processes can be started" in caplog.text

    def test_files_are_not_forgotten_where_somebody_empties_the_temporary_folder(self, tmp_path, monkeypatch):
        """By a mark there, workers know that the job goes on."""
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
        (tmp_path / "temporary").mkdir()
        files = write(tmp_path, "abcdefgh")
        files[1].write_text("no FITS file")
        let_wait(monkeypatch, files[1], tmp_path / "told")
        failed = []

        def empty(result):
            for mark in (tmp_path / "temporary").iterdir():
                mark.unlink()
            failed.append(result)
            (tmp_path / "told").touch()

        results = fit_files(files, 10.0, 2.0, output_dir=tmp_path / "out", on_error=empty, **TWO)
        assert [result.path for result in results] == files
        assert results[-1] in failed
        assert all("the mark of its job, is gone" in str(result.error) for result in failed[1:])
        assert len(listing(tmp_path / "out")) == 2 * (8 - len(failed))

    def test_a_job_shows_that_it_goes_on(self, tmp_path, monkeypatch):
        """Where no lock tells, what lies untouched for a day in the temporary folder is swept."""
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
        monkeypatch.setattr(temporary_files, "_LIVING", 0.0)
        (tmp_path / "temporary").mkdir()
        files = write(tmp_path, "abcdef")
        files[1].write_text("no FITS file")
        let_wait(monkeypatch, files[1], tmp_path / "told")
        times = []

        def make_old(_):
            (mark,) = (tmp_path / "temporary").iterdir()
            os.utime(mark, (0, 0))
            real = processes.TemporaryFile.live
            monkeypatch.setattr(
                processes.TemporaryFile, "live", lambda file: (real(file), times.append(file.path.stat().st_mtime))
            )
            (tmp_path / "told").touch()

        fit_files(files, 10.0, 2.0, output_dir=tmp_path / "out", on_error=make_old, **TWO)
        assert len(times) > 1
        assert min(times) > time.time() - 3600

    def test_warnings_and_errors_travel(self, tmp_path, recwarn):
        files = write(tmp_path, "abcde", S_JUMP="SKIPPED")
        results = fit_files(files, 10.0, 2.0, output_dir=tmp_path / "out", **TWO)
        assert all("S_JUMP, the jump step" in result.warnings[0] for result in results)
        assert len(recwarn) == 5


class TestSkipExisting:
    @pytest.fixture
    def fitted(self, tmp_path, monkeypatch):
        """Return files that were fitted, and a function that goes on and returns their states."""
        monkeypatch.chdir(tmp_path)
        files = write(tmp_path, "abc")
        gain = save(reference_hdulist(np.full((6, 7), 2.0), start=(11, 21)), tmp_path / "gain.fits")

        def go_on(**options):
            arguments = {"readnoise": 10.0, "gain": gain, "output_dir": "out", "skip_existing": True} | options
            return [result.status for result in fit_files(files, **arguments)]

        assert go_on() == ["fitted"] * 3
        return files, go_on

    def test_skips_what_is_whole(self, fitted):
        _, go_on = fitted
        before = [(path, path.stat().st_mtime_ns) for path in sorted(Path("out").iterdir())]
        assert go_on() == ["skipped"] * 3
        assert [(path, path.stat().st_mtime_ns) for path in sorted(Path("out").iterdir())] == before

    def test_completes_half_sets(self, fitted):
        _, go_on = fitted
        Path("out/b_rateints.fits").unlink()
        Path("out/c_rate.fits").write_bytes(Path("out/c_rate.fits").read_bytes()[:-5000])
        assert go_on() == ["skipped", "fitted", "fitted"]
        assert go_on() == ["skipped"] * 3

    @pytest.mark.parametrize(
        "options",
        [
            {"readnoise": 11.0},
            {"readnoise": np.full((6, 7), 10.0)},
            {"suppress_one_group": False},
            {"readnoise_kind": "single"},
            {"algorithm": "likely"},
            {"firstgroup": 1},
            {"weighting": "uniform"},
            {"dark_current_unit": "electron/s"},
            {"save_opt": True},
            {"save_jumps": True},
        ],
        ids=str,
    )
    def test_fits_again_with_other_options(self, fitted, options):
        _, go_on = fitted
        assert go_on(**options) == ["fitted"] * 3
        assert go_on(**options) == ["skipped"] * 3

    def test_fits_again_by_another_version(self, fitted, monkeypatch):
        _, go_on = fitted
        monkeypatch.setattr("rampfit_numba.files.records.__version__", "9.9")
        assert go_on() == ["fitted"] * 3

    def test_fits_again_with_another_reference_of_the_same_name(self, fitted):
        _, go_on = fitted
        save(reference_hdulist(np.full((6, 7), 2.5), start=(11, 21)), Path("gain.fits"))
        assert go_on() == ["fitted"] * 3

    def test_keeps_to_the_content_of_references_wherever_they_are(self, fitted):
        _, go_on = fitted
        Path("elsewhere").mkdir()
        Path("elsewhere/gain.fits").write_bytes(Path("gain.fits").read_bytes())
        assert go_on(gain="elsewhere/gain.fits") == ["skipped"] * 3

    def test_fits_again_what_was_replaced(self, fitted):
        files, go_on = fitted
        save(ramp_hdulist(seed=9), files[1])
        assert go_on() == ["skipped", "fitted", "skipped"]

    def test_how_it_is_run_does_not_matter(self, fitted):
        _, go_on = fitted
        assert go_on(maximum_cores=2, executor="threads") == ["skipped"] * 3

    def test_replaces_products_of_others(self, fitted):
        _, go_on = fitted
        save(ramp_hdulist(), Path("out/a_rate.fits"))
        assert go_on() == ["fitted", "skipped", "skipped"]

    def test_without_it_existing_products_are_refused(self, fitted):
        _, go_on = fitted
        with pytest.raises(RampFileError, match="exists; allow overwriting"):
            go_on(skip_existing=False)

    @pytest.mark.usefixtures("fitted")
    def test_of_the_command_makes_missing_reports_too(self, capsys):
        words = ["--readnoise", "10", "--gain", "gain.fits", "--output-dir", "out", "--skip-existing"]
        assert main(["a_jump.fits", "b_jump.fits", "c_jump.fits", *words]) == 0
        assert "0 of 3 files fitted, 3 skipped" in capsys.readouterr().err
        pytest.importorskip("jinja2")
        assert main(["a_jump.fits", "b_jump.fits", *words, "--report", "--quiet"]) == 0
        Path("out/b_jump_report.html").unlink()
        assert main(["a_jump.fits", "b_jump.fits", *words, "--report"]) == 0
        assert "1 of 2 files fitted, 1 skipped" in capsys.readouterr().err
        assert Path("out/b_jump_report.html").is_file()

    def test_of_wfc3_files(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        files = [write_ima(simulate_ima(5, (24, 26), seed=seed), f"{seed}_ima.fits") for seed in (1, 2)]
        states = [[result.status for result in fit_files(files, skip_existing=True)] for _ in range(2)]
        assert states == [["fitted"] * 2, ["skipped"] * 2]
        assert [result.status for result in fit_files(files, skip_existing=True, exclude_reads=[1])] == ["fitted"] * 2

    def test_of_romans_files(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        files = [write_roman_simulation(simulate_roman(5, 20, 24, seed=n), f"r{n}_linearity.asdf") for n in (1, 2)]
        (ramp, gain, noise), (other, *_) = files
        states = [[r.status for r in fit_files([ramp, other], noise, gain, skip_existing=True)] for _ in range(2)]
        assert states == [["fitted"] * 2, ["skipped"] * 2]
        product = Path("r2_rampfit.asdf")
        for lost in (1, 100, 2000):
            product.write_bytes(product.read_bytes()[:-lost])
            results = fit_files([ramp, other], noise, gain, skip_existing=True, maximum_cores=2)
            assert [result.status for result in results] == ["skipped", "fitted"]


class TestInterrupted:
    def test_says_how_many_are_done_and_how_to_go_on(self, tmp_path, monkeypatch, caplog):
        files = write(tmp_path, "abcde")

        def fit(exposure, *args, **options):
            if exposure.header.filename.startswith("d"):
                raise KeyboardInterrupt
            return fit_ramps(exposure, *args, **options)

        monkeypatch.setattr(fitting, "fit_ramps", fit)
        with pytest.raises(KeyboardInterrupt):
            fit_files(files, 10.0, 2.0, output_dir=tmp_path / "out", summary=tmp_path / "out.csv")
        assert "Interrupted: 3 of 5 files are done; go on with skip_existing=True (--skip-existing)" in caplog.text
        assert len(listing(tmp_path / "out")) == 6
        rows = records(tmp_path / "out.csv")
        assert [row["status"] for row in rows] == ["fitted"] * 3 + ["not done"] * 2
        monkeypatch.setattr(fitting, "fit_ramps", fit_ramps)
        options = {"summary": tmp_path / "out.csv", "skip_existing": True, "output_dir": tmp_path / "out"}
        results = fit_files(files, 10.0, 2.0, **options)
        assert [result.status for result in results] == ["skipped"] * 3 + ["fitted"] * 2
        rows = records(tmp_path / "out.csv")
        assert [row["status"] for row in rows] == ["skipped"] * 3 + ["fitted"] * 2

    @pytest.mark.parametrize("options", [{}, TWO], ids=["here", "processes"])
    def test_in_a_callback_of_python_it_is_not_lost(self, tmp_path, monkeypatch, caplog, capfd, options):
        """Python prints and forgets what is raised there, and the batch would go on to its end."""
        monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)  # pytest has its own
        files = write(tmp_path, "abcdefghijklmnop")
        callback = ctypes.CFUNCTYPE(None)(lambda: os.kill(os.getpid(), signal.SIGINT))
        files[2].write_text("no FITS file")
        told = tmp_path / "told"
        let_wait(monkeypatch, files[2], told)

        def interrupt(_):
            told.touch()
            callback()

        with pytest.raises(KeyboardInterrupt):
            fit_files(files, 10.0, 2.0, output_dir=tmp_path / "out", on_error=interrupt, **options)
        assert "Exception ignored" in capfd.readouterr().err  # else the signal was not where it was to be
        assert "go on with skip_existing=True" in caplog.text
        assert len(listing(tmp_path / "out")) < 30
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_a_second_one_does_not_keep_the_first_from_cleaning_up(self, tmp_path, monkeypatch):
        monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
        monkeypatch.setattr("rampfit_numba.engine.interrupts.PATIENCE", 600.0)  # however late it is
        files, told = write(tmp_path, "abcdefgh"), tmp_path / "told"
        let_wait(monkeypatch, files[1], told)  # or all could be done before the second one is told
        callback = ctypes.CFUNCTYPE(None)(lambda: os.kill(os.getpid(), signal.SIGINT))
        cleaned = []

        def clean(bar, after=-1):
            if after < 0:
                signal.raise_signal(signal.SIGINT)
                cleaned.append(bar)

        monkeypatch.setattr("rampfit_numba.progress.Job.stop", clean)
        files[1].write_text("no FITS file")

        def interrupt(_):
            told.touch()
            callback()

        with pytest.raises(KeyboardInterrupt):
            fit_files(files, 10.0, 2.0, output_dir=tmp_path / "out", on_error=interrupt)
        assert cleaned

    def test_what_runs_is_stopped_at_the_next_rows(self):
        """Or Ctrl-C would wait for the end of a large file."""
        exposure = Exposure(np.ones((1, 4, 64, 3), np.float32), None, 2.0)
        with progress_job([1, 1], shown=False) as bar, bar.file(0) as first, bar.file(1) as second:
            bar.stop(after=0)
            fit_ramps(exposure, 10.0, 2.0, progress=first)
            with pytest.raises(Stopped):
                fit_ramps(exposure, 10.0, 2.0, progress=second)
            with first.rows(64) as advance:
                advance(1)
                bar.stop()
                with pytest.raises(Stopped):
                    advance(1)


class TestSummary:
    def test_has_a_row_for_each_file(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        files = [Path(name) for name in ("a_jump.fits", "ta\tb,_jump.fits", "c_jump.fits")]
        save(ramp_hdulist(), files[0])
        hdulist = ramp_hdulist((2, 5, 4, 6))
        hdulist["GROUPDQ"].data[:] = 0
        hdulist["GROUPDQ"].data[0, 2, 1, :3] = dq.JUMP_DET
        hdulist[0].header["S_JUMP"] = "SKIPPED"
        save(hdulist, files[1])
        files[2].write_text("no FITS file")
        with pytest.warns(UserWarning, match="S_JUMP"):
            fit_files(files, 10.0, 2.0, summary="all.csv", on_error="continue")
        rows = table("all.csv")
        assert rows[0] == ["file", "status", "seconds", "pixels", "groups", "hits", "warnings", "products", "error"]
        assert rows[2][:2] == ["ta\\tb,_jump.fits", "fitted"]
        assert rows[2][3:6] == ["24", "5", "3"]
        assert "S_JUMP, the jump step" in rows[2][6]
        assert rows[2][7] == "; ".join(f"{tmp_path}{os.sep}ta\\tb,_{kind}.fits" for kind in ("rate", "rateints"))
        assert rows[3][:2] == ["c_jump.fits", "failed"]
        assert rows[3][3:6] == ["", "", ""]
        assert "c_jump.fits" in rows[3][8]
        assert len(rows) == 4

    def test_lists_warnings_that_are_not_shown(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        write(tmp_path, "ab", S_JUMP="SKIPPED")
        words = ["--readnoise", "10", "--gain", "2", "--quiet", "--summary", "all.csv"]
        assert main(["a_jump.fits", "b_jump.fits", *words]) == 0
        assert capsys.readouterr().err == ""
        assert all("S_JUMP" in row["warnings"] for row in records("all.csv"))

    def test_that_cannot_be_written_does_not_hide_what_stopped_the_job(self, tmp_path, monkeypatch, caplog):
        files = write(tmp_path, "ab")

        def fit(*_args, **_options):
            (tmp_path / "all.csv").mkdir()
            raise KeyboardInterrupt

        monkeypatch.setattr(fitting, "fit_ramps", fit)
        with pytest.raises(KeyboardInterrupt):
            fit_files(files, 10.0, 2.0, output_dir=tmp_path / "out", summary=tmp_path / "all.csv")
        assert "all.csv: cannot be written" in caplog.text

    def test_that_cannot_be_written_costs_no_product(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        files = write(tmp_path, "ab")
        write_all = tables.write_all
        full = OSError(errno.ENOSPC, "No space left on device")

        def fail(paths, **options):
            with monkeypatch.context() as context:
                context.setattr("os.posix_fallocate", Mock(side_effect=full), raising=False)
                write_all(paths, **options)

        monkeypatch.setattr(tables, "write_all", fail)
        words = ["--readnoise", "10", "--gain", "2", "--summary", "all.csv"]
        assert main([*map(str, files), *words, "--output-dir", "one"]) == 1
        *_, before, last = capsys.readouterr().err.splitlines()
        assert "2 of 2 files fitted" in before
        told = "all.csv: cannot be written (No space left on device); products are kept; make room on that disk"
        assert last.endswith(told)
        with pytest.raises(RampFileError, match=re.escape(told)) as caught:
            fit_files(files, 10.0, 2.0, output_dir="two", summary="all.csv")
        travelled = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  (ours)
        assert str(travelled) == str(caught.value)
        assert travelled.results == caught.value.results
        assert len(listing(tmp_path / "one")) == len(listing(tmp_path / "two")) == 4

    @pytest.mark.parametrize("name", ["a_jump.fits", "out/a_rate.fits", "there.csv", "no/folder.csv/"])
    def test_takes_no_other_files_place(self, tmp_path, monkeypatch, name):
        monkeypatch.chdir(tmp_path)
        files = write(tmp_path, "ab")
        Path("there.csv").touch()
        Path("no/folder.csv").mkdir(parents=True)
        monkeypatch.setattr(batch, "fit_in_lanes", lambda *_args, **_options: pytest.fail("a file was fitted"))
        with pytest.raises(ValueError, match=r"summary|would overwrite|exists|directory"):
            fit_files(files, 10.0, 2.0, output_dir="out", summary=name)
        assert Path("there.csv").stat().st_size == 0

    @pytest.mark.parametrize(
        "name",
        [
            *("link/a_rate.fits", "./out/../out/a_rate.fits", "out/A_RATE.fits", "link/b_rateints.fits"),
            *("out/a_jump_report.html", "link/B_jump_report.html", "to_a_rate.fits"),
        ],
    )
    @pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"skip_existing": True}], ids=str)
    def test_takes_no_products_place_whatever_it_is_called(self, tmp_path, monkeypatch, name, options):
        monkeypatch.chdir(tmp_path)
        files = write(tmp_path, "ab")
        Path("link").symlink_to("out")
        if options:
            Path("out").mkdir()
            Path("out/a_rate.fits").write_text("old")
        Path("to_a_rate.fits").symlink_to("out/a_rate.fits")
        before = listing(tmp_path)
        monkeypatch.setattr(batch, "fit_in_lanes", lambda *_args, **_options: pytest.fail("a file was fitted"))
        reports = Reports(Path("out"), overwrite=bool(options))
        with pytest.raises(ValueError, match=r"summary: expected the name of no product; got|is a link to"):
            fit_files(files, 10.0, 2.0, output_dir="out", summary=name, on_fit=reports, **options)
        assert listing(tmp_path) == before

    @pytest.mark.parametrize("stops", [False, True])
    def test_replaces_no_file_that_came_to_exist_meanwhile(self, tmp_path, monkeypatch, caplog, stops):
        monkeypatch.chdir(tmp_path)
        files = write(tmp_path, "ab")

        def fit(*arguments, **options):
            Path("all.csv").write_text("somebody's")
            if stops:
                raise KeyboardInterrupt
            return fit_ramps(*arguments, **options)

        monkeypatch.setattr(fitting, "fit_ramps", fit)
        with pytest.raises(KeyboardInterrupt if stops else tables.TableError) as caught:
            fit_files(files, 10.0, 2.0, output_dir="out", summary="all.csv")
        told = caplog.text if stops else str(caught.value)
        assert "all.csv: has come to exist in the meantime; products are kept" in told
        assert Path("all.csv").read_text() == "somebody's"
        if not stops:
            assert len(listing(tmp_path / "out")) == 4
            fit_files(files, 10.0, 2.0, output_dir="out", summary="all.csv", skip_existing=True)
            assert [row["status"] for row in records("all.csv")] == ["skipped"] * 2


@dataclass(frozen=True)
class Reports(FilesOfFits):
    """Reports, but for what is in them."""

    def check(self):
        """Need nothing."""

    def products(self, path):
        return (report_path(path, self.folder),)

    def __call__(self, fitted):
        (path,) = self.products(fitted.path)
        path.write_text("a report")


def test_no_two_files_have_the_same_report(tmp_path, monkeypatch):
    """Their products have other names."""
    monkeypatch.chdir(tmp_path)
    (ramp, gain, noise) = write_roman_simulation(simulate_roman(5, 20, 24), tmp_path / "x_linearity.asdf")
    other = save(ramp_hdulist(), tmp_path / "x_linearity.fits")
    with pytest.raises(
        ValueError, match=r"paths: \S*asdf and \S*fits would both be written to x_linearity_report.html"
    ):
        fit_files([ramp, other], noise, gain, on_fit=Reports(tmp_path / "out", overwrite=False))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"on_fit": "x"}, "on_fit: expected a function or None; got 'x'"),
        ({"paths": ["a_jump.fits", None]}, "paths: expected a path; got None"),
        ({"paths": [b"a_jump.fits"]}, "paths: expected a path; got b'a_jump.fits'"),
        ({"paths": None}, "paths: expected several paths; got None"),
        ({"paths": b"a_jump.fits"}, "paths: expected several paths; got one, b'a_jump.fits' (fit_file is for one)"),
        ({"output_dir": 5}, "output_dir: expected a path; got 5"),
        ({"summary": 5}, "summary: expected a path; got 5"),
        ({"paths": ["a_jump.fits"], "int_name": 5}, "int_name: expected a string; got 5"),
        ({"opt_name": None}, "opt_name: expected a string; got None"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_by_name_before_anything_is_fitted(tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "ab")
    monkeypatch.setattr(batch, "fit_in_lanes", lambda *_args, **_options: pytest.fail("a file was fitted"))
    given = {"paths": ["a_jump.fits", "b_jump.fits"], "readnoise": 10.0, "gain": 2.0} | arguments
    with pytest.raises(TypeError, match=f"^{re.escape(told)}$"):
        fit_files(given.pop("paths"), given.pop("readnoise"), given.pop("gain"), **given)
    assert listing(tmp_path) == ["a_jump.fits", "b_jump.fits"]


@pytest.mark.parametrize("path", [None, 5, b"a_jump.fits"], ids=str)
@pytest.mark.parametrize("function", [fit_file, fitting.read_and_fit])
def test_what_is_no_path_is_told_by_name(path, function):
    with pytest.raises(TypeError, match=f"^path: expected a path; got {path!r}$"):
        function(path, 10.0, 2.0)


@pytest.mark.parametrize("argument", ["output_dir", "summary"])
def test_what_no_file_can_be_called_is_told_by_name(tmp_path, monkeypatch, argument):
    monkeypatch.chdir(tmp_path)
    files = write(tmp_path, "a")
    with pytest.raises(ValueError, match=rf"^{argument}: expected a name that a \w+ can have; got 'a\\x00b'$"):
        fit_files(files, 10.0, 2.0, **{argument: "a\0b"})
    assert listing(tmp_path) == ["a_jump.fits"]
