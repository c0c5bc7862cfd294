"""Files fitted by the workers of a Dask cluster: a real scheduler, real workers, and what may go wrong with them."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import RampFileError, fit_file, fit_files, simulate_exposure
from rampfit_numba.cli import main
from rampfit_numba.engine.arrivals import Arrivals
from rampfit_numba.files import batch, clients, cluster
from rampfit_numba.files.job import Job, make_destination
from rampfit_numba.simulate import write_simulation
from rampfit_numba.simulate.wfc3 import simulate_ima, write_ima
from tests.clusters import PYTHONPATH, Cluster, Gate

pytestmark = pytest.mark.dask
distributed = pytest.importorskip("distributed", reason="needs the extra dask")

REFERENCES = {"readnoise": 14.0, "gain": 1.8}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    made = [folder / f"e{number:02d}_jump.fits" for number in range(12)]
    for number, path in enumerate(made):
        write_simulation(simulate_exposure(2, 10, 128, 128, seed=number), path)
    return made


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """Start a scheduler with two workers of one thread each."""
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        made.add_worker()
        made.add_worker()
        yield made
    finally:
        made.close()


@pytest.fixture
def client(started):
    with distributed.Client(scheduler_file=str(started.file), timeout=200, set_as_default=False) as found:
        found.wait_for_workers(2, timeout=200)
        yield found


def assert_same_products(expected, folder):
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in expected)
    for path in expected:
        with fits.open(path) as one, fits.open(folder / path.name) as other:
            assert [hdu.name for hdu in one] == [hdu.name for hdu in other]
            for hdu, twin in zip(one, other, strict=True):
                assert hdu.header.tostring() == twin.header.tostring() or hdu.name == "PRIMARY"
                if hdu.data is not None:
                    assert hdu.data.tobytes() == twin.data.tobytes()


@contextmanager
def when_saved(action):
    """Do something as soon as the first product is there."""

    class Watching(logging.Handler):
        def emit(self, record):
            if record.getMessage().startswith("Saved") and not done:
                done.append(True)
                action()

    done, watching, log = [], Watching(), logging.getLogger("rampfit_numba.files")
    log.addHandler(watching)
    before = log.level
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(watching)
        log.setLevel(before)


@pytest.mark.slow
def test_one_worker_is_killed_and_the_products_are_those_of_this_process(started, client, files, tmp_path):
    expected = [
        product for result in fit_files(files, **REFERENCES, output_dir=tmp_path / "here") for product in result
    ]
    victim = started.workers.pop()
    with when_saved(victim.kill):  # it has work, and more waits for it
        results = fit_files(files, **REFERENCES, output_dir=tmp_path / "there", executor=client)
    assert victim.wait() == -signal.SIGKILL
    started.wait_for(lambda: len(client.nthreads()) == 1)  # the scheduler has heard of it
    assert [result.path for result in results] == files
    assert all(result and result.seconds > 0 for result in results)
    assert_same_products(expected, tmp_path / "there")
    again = fit_files(files, **REFERENCES, output_dir=tmp_path / "there", skip_existing=True)
    assert all(result.skipped for result in again)  # the products are those of any process, in any folder
    started.add_worker()


@pytest.mark.slow
def test_rows_of_one_file_are_read_and_fitted_by_the_workers(files, client, tmp_path, monkeypatch):
    from rampfit_numba.file_arrays import FileArray

    expected = list(fit_file(files[0], **REFERENCES, save_opt=True, output_dir=tmp_path / "here"))
    read, true_read = [], FileArray.read
    monkeypatch.setattr(FileArray, "read", lambda array, *room: read.append(array.nbytes) or true_read(array, *room))
    result = fit_file(files[0], **REFERENCES, save_opt=True, output_dir=tmp_path / "there", executor=client)
    assert_same_products(expected, tmp_path / "there")
    assert sum(read) < files[0].stat().st_size / 100  # but for a look at some rows, all is read there
    assert len(result.products) == 3
    monkeypatch.chdir(files[0].parent)  # a relative path: the workers have another working folder
    fit_files([files[0].name], **REFERENCES, output_dir=tmp_path / "relative", executor=client, progress=True)
    assert (tmp_path / "relative" / "e00_rate.fits").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["ols", "likely_joint"])
def test_rows_of_one_file_larger_than_memory_are_fitted_section_by_section(algorithm, files, client, tmp_path, caplog):
    options = REFERENCES | {"save_opt": True, "save_jumps": True, "algorithm": algorithm}
    expected = list(fit_file(files[0], **options, output_dir=tmp_path / "here"))
    with caplog.at_level(logging.INFO, logger="rampfit_numba"):
        fit_file(files[0], **options, output_dir=tmp_path / "there", max_memory="120kB", executor=client)
    assert_same_products(expected, tmp_path / "there")
    assert "sections of" in caplog.text
    assert "do not hold" not in caplog.text  # what workers work in is on their machines


@pytest.mark.slow
def test_a_file_that_changes_while_its_rows_are_fitted_is_refused(files, client, tmp_path, monkeypatch):
    path = tmp_path / "own_jump.fits"
    path.write_bytes(files[0].read_bytes())

    def then_changed(path, job, client, original=batch.rows_on_cluster):
        job = original(path, job, client)
        submit = job.options["executor"].submit

        def changed_before(*arguments):
            os.utime(path, (1, 1))
            return submit(*arguments)

        job.options["executor"].submit = changed_before
        return job

    monkeypatch.setattr(batch, "rows_on_cluster", then_changed)
    with pytest.raises(RampFileError, match=r"own_jump\.fits: was changed while it was read"):
        fit_files([path], **REFERENCES, output_dir=tmp_path / "out", executor=client)
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.slow
def test_a_file_that_fails_is_reported_and_the_others_are_done(  # noqa: PLR0917  (fixtures)
    files, client, tmp_path, caplog, capfd, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    bad = tmp_path / "bad_jump.fits"
    bad.write_bytes(b"no FITS file")
    done = tmp_path / "e02_rate.fits"
    done.write_bytes(b"somebody's product")
    three = [os.path.relpath(path) for path in (files[1], bad, files[2])]
    with caplog.at_level(logging.INFO, logger="rampfit_numba"):
        results = fit_files(three, **REFERENCES, on_error="continue", executor=client.get_executor(), progress=True)
    assert [result.status for result in results] == ["fitted", "failed", "failed"]
    assert [str(result.path) for result in results] == three
    assert [product.name for product in results[0]] == ["e01_rate.fits", "e01_rateints.fits"]
    assert "bad_jump.fits" in str(results[1].error)
    assert "e02_rate.fits" in str(results[2].error)
    assert done.read_bytes() == b"somebody's product"
    assert "3 files for 2 threads of 2 Dask workers" in caplog.text
    assert "100%" in capfd.readouterr().err
    with pytest.raises(RampFileError, match=r"bad_jump\.fits"):
        fit_files([bad, files[3]], **REFERENCES, output_dir=tmp_path / "other", executor=client)
    with pytest.raises(ValueError, match="on_fit: expected None with a Dask client"):  # it would be called elsewhere
        fit_files(files[:2], **REFERENCES, on_fit=print, executor=client)
    (tmp_path / "e02_rateints.fits").write_bytes(b"half a set")
    last, *others = fit_files([*files[1:3], files[0]], **REFERENCES, skip_existing=True, executor=client)[::-1]
    assert (last.status, [result.status for result in others]) == ("fitted", ["fitted", "skipped"])


@pytest.mark.slow
def test_a_scheduler_that_is_lost_midway_is_one_sentence(client, files, tmp_path):
    lost = "executor: the Dask scheduler was lost; the client is closed"
    with when_saved(client.close), pytest.raises(RuntimeError, match=lost):
        fit_files(files, **REFERENCES, output_dir=tmp_path, executor=client, on_error="continue")


@pytest.mark.slow
def test_a_scheduler_that_dies_midway_is_one_sentence_and_products_are_whole(files, tmp_path):
    (tmp_path / "cluster").mkdir()
    own, out = Cluster(tmp_path / "cluster"), tmp_path / "out"
    gate = Gate(tmp_path / "gate", "e04")  # or all could be done before the scheduler is

    def kill():
        own.scheduler.kill()
        own.scheduler.wait()
        gate.wait_from("e06")

    try:
        worker = own.add_worker(gate.folder)
        with distributed.Client(scheduler_file=str(own.file), timeout=200, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=200)
            with when_saved(kill), pytest.raises(RuntimeError, match="the Dask scheduler was lost"):
                fit_files(files, **REFERENCES, output_dir=out, executor=client, on_error="continue")
            assert client.status == "connecting"  # for 200 s it will; nobody waited for that
        gate.open()
        own.wait_for(lambda: worker.poll() is not None)  # without a scheduler, when all is written that was begun
        assert not list(out.glob(".*"))
        written = sorted(path.name for path in out.iterdir())
        assert 2 <= len(written) < 2 * len(files)
        results = fit_files(files, **REFERENCES, output_dir=out, skip_existing=True)
        assert sum(result.skipped for result in results) * 2 == len(written)
    finally:
        own.close()


@pytest.mark.slow
def test_workers_of_other_versions_are_refused_by_name(started, client, files, tmp_path):
    """One worker believes in another numba."""
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import importlib.metadata as m\n"
        "true = m.version\n"
        "def version(name): return '0.1' if name == 'numba' else true(name)\n"
        "m.version = version\n"
    )
    odd = started.add_worker(folder)
    try:
        client.wait_for_workers(3, timeout=200)
        (address,) = [worker for worker, pid in client.run(os.getpid).items() if pid == odd.pid]
        with pytest.raises(
            RuntimeError, match="executor: Dask workers have other versions than this process"
        ) as caught:
            fit_files(files[:2], **REFERENCES, output_dir=tmp_path / "out", executor=client)
        assert f"{address}: numba 0.1 (here {clients.versions_here()['numba']})" in str(caught.value)
        assert not (tmp_path / "out").exists()
    finally:
        odd.kill()
        odd.wait()
        started.workers.remove(odd)
        started.wait_for(lambda: len(client.nthreads()) == 2)


@pytest.mark.slow
def test_ctrl_c_cancels_what_waits_and_says_what_is_done(files, tmp_path):
    many = []
    for number in range(200):
        many.append(tmp_path / f"m{number:03d}_jump.fits")
        many[-1].symlink_to(files[0])
    (tmp_path / "cluster").mkdir()
    own, out = Cluster(tmp_path / "cluster"), tmp_path / "out"
    gate = Gate(tmp_path / "gate", "m004")  # or all could be done before the signal is heard
    command = [sys.executable, "-m", "rampfit_numba", *map(str, many), "--readnoise", "14", "--gain", "1.8"]
    command += ["--output-dir", str(out), "--scheduler", str(own.file)]
    environment = os.environ | {"PYTHONPATH": PYTHONPATH}
    try:
        for _ in range(2):
            own.add_worker(gate.folder)
        with distributed.Client(scheduler_file=str(own.file), timeout=200, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=200)  # the command's own patience is that of users
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment) as process:
            said = ""
            for line in process.stderr:
                said += line
                if "Saved" in line:
                    process.send_signal(signal.SIGINT)
                    gate.wait_from("m010")  # some are fitted and written while the job ends
                    break
            said += process.stderr.read()
        assert process.returncode == 130, said
        assert "of 200 files are done; go on with skip_existing=True (--skip-existing)" in said
        assert "Traceback" not in said
        gate.open()
        with distributed.Client(scheduler_file=str(own.file), timeout=200, set_as_default=False) as client:
            own.wait_for(lambda: not any(client.processing().values()))
            # Nor does a worker go on with what the scheduler has forgotten.
            own.wait_for(lambda: not any(client.run(lambda dask_worker: len(dask_worker.state.executing)).values()))
        # What was being written is written whole, and no temporary file stays.
        written = [path.name for path in out.iterdir()]
        assert not [name for name in written if name.startswith(".")]
        assert 2 <= len(written) < 400
        assert len([name for name in written if name.endswith("_rate.fits")]) * 2 == len(written)
    finally:
        own.close()


@pytest.mark.slow
def test_ctrl_c_while_a_result_comes_is_all_that_is_raised(client, caplog, monkeypatch):
    """Whatever the client's loop is doing."""

    class Interrupted(Arrivals):
        def next(self):
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()  # while one waits, most likely
            return super().next()

    future = client.submit(len, "abc")
    assert client.gather(future) == 3
    tasks = object.__new__(cluster._Tasks)
    tasks._client = client
    assert tasks._result(future, Path("x.fits")) == 3
    monkeypatch.setattr(cluster, "Arrivals", Interrupted)
    over = threading.Event()
    client.loop.add_callback(over.wait, 60)  # no result comes before the signal
    try:
        with pytest.raises(KeyboardInterrupt):
            tasks._result(future, Path("x.fits"))
    finally:
        over.set()
    assert client.submit(len, "abcd").result() == 4
    assert "Exception in callback" not in caplog.text


def test_what_cannot_be_cancelled_does_not_hide_the_interrupt(caplog):
    class Silent:
        status = "running"

        def cancel(self, _):
            raise TimeoutError("no answer")

    tasks = object.__new__(cluster._Tasks)
    tasks._client, tasks._running = Silent(), {}
    tasks.end()  # what it raised would stand in the place of the interrupt
    assert "What waits on the cluster could not be cancelled: TimeoutError: no answer" in caplog.text


def job_for(path, folder, **options):
    destination = make_destination(folder, overwrite=False, save_jumps=False, names=("", ""))
    return Job.checked([path], 14.0, 1.8, destination, options)


class Elsewhere:
    """A client of one worker that sees other files, or has other packages."""

    asynchronous, status = False, "running"

    def __init__(self, answer):
        self._answer = answer

    def wait_for_workers(self, number, timeout):
        pass

    def run(self, function, *arguments, on_error, workers=None):
        assert on_error == "return"
        addresses = [f"tcp://10.0.0.{number}:4000" for number in (1, 2, 3, 4, 5)] if workers is None else workers
        return {address: self._answer(function, *arguments) for address in addresses}

    def nthreads(self):
        return {f"tcp://10.0.0.{number}:4000": 1 for number in (1, 2, 3, 4, 5)}


def test_workers_that_do_not_see_the_files_are_refused(files, tmp_path):
    mark = tmp_path / "mark"
    mark.touch()

    def lost(change):
        def answer(function, sizes, mark):
            return function(*change(sizes, mark))

        with pytest.raises(RampFileError, match="executor: Dask workers must see all files and folders") as caught:
            clients.check_files(Elsewhere(answer), [files[0]], [], mark)
        return str(caught.value)

    def elsewhere(sizes, mark):
        return {Path("/nowhere") / path.name: size for path, size in sizes.items()}, mark

    told = lost(elsewhere)
    assert "tcp://10.0.0.1:4000, tcp://10.0.0.2:4000, tcp://10.0.0.3:4000 and 2 more: no /nowhere/e00_jump.fits" in told
    told = lost(lambda sizes, mark: ({path: size + 1 for path, size in sizes.items()}, mark))
    assert "e00_jump.fits is another file there" in told
    (tmp_path / "twin").mkdir()
    told = lost(lambda sizes, mark: (sizes, tmp_path / "twin" / mark.name))
    assert "twin is another folder there" in told
    assert "no /nowhere" in lost(lambda sizes, mark: (sizes, Path("/nowhere") / mark.name))
    clients.check_files(Elsewhere(lambda function, *arguments: function(*arguments)), [files[0]], [], mark)


def test_workers_that_die_while_they_are_asked_are_not_complained_of(files, tmp_path):
    """Others do the work; one that is there and cannot look at the file is named."""

    class Dying(Elsewhere):
        def nthreads(self):
            return {f"tcp://10.0.0.{number}:4000": 1 for number in (1, 2, 4)}

        def run(self, function, *arguments, on_error, workers=None):
            answers = super().run(function, *arguments, on_error=on_error, workers=workers)
            assert "tcp://10.0.0.3:4000" not in (workers or [])  # it would take its time
            answers["tcp://10.0.0.2:4000"] = distributed.comm.CommClosedError("Stream is closed")
            if workers is None:
                del answers["tcp://10.0.0.5:4000"]
                answers["tcp://10.0.0.3:4000"] = OSError("Timed out trying to connect")
            return answers

    mark = tmp_path / "mark"
    mark.touch()
    cluster_of_three = Dying(lambda function, *arguments: function(*arguments))
    clients.check_files(cluster_of_three, [files[0]], [], mark)
    clients.check_cluster(cluster_of_three)
    clients.check_workers(cluster_of_three, lambda: None)
    with pytest.raises(RampFileError, match=r"share: tcp://10\.0\.0\.1:4000, tcp://10\.0\.0\.4:4000: not permitted$"):
        clients.check_files(Dying(lambda *_: PermissionError("not permitted")), [files[0]], [], mark)


@pytest.mark.parametrize(
    "error", [distributed.comm.CommClosedError("Stream is closed"), OSError("Timed out trying to connect")]
)
def test_a_worker_whose_connection_breaks_once_is_checked_all_the_same(files, error):
    class Breaking(Elsewhere):
        def run(self, function, *arguments, on_error, workers=None):
            asked.append(workers)
            answers = super().run(function, *arguments, on_error=on_error, workers=workers)
            return answers if workers else answers | {"tcp://10.0.0.4:4000": error}

    asked = []
    clients.check_files(Breaking(lambda function, *arguments: function(*arguments)), [files[0]], [])
    assert asked == [None, ["tcp://10.0.0.4:4000"]]
    with pytest.raises(RampFileError, match=r"10\.0\.0\.3:4000 and 2 more: it is not there$"):
        clients.check_files(Breaking(lambda *_: "it is not there"), [files[0]], [])


def test_versions_are_compared_worker_by_worker():
    from importlib.metadata import PackageNotFoundError

    here = clients.versions_here()
    clients.check_cluster(Elsewhere(lambda _, *name: here[name[0] if name else "python"]))

    def other(_, *name):
        return PackageNotFoundError() if name == ("rampfit_numba",) else here[name[0] if name else "python"]

    with pytest.raises(RuntimeError, match=r"10\.0\.0\.3:4000 and 2 more: rampfit_numba none \(here"):
        clients.check_cluster(Elsewhere(other))


def test_a_worker_that_joins_later_with_other_versions_fits_nothing(files, tmp_path):
    run = cluster.Run(clients.versions_here() | {"numpy": "1.0"}, files[0], 0)
    result = cluster.fit_there(files[0], job_for(files[0], tmp_path / "out"), run)
    assert str(result.error).startswith("a Dask worker of other versions has joined: numpy ")
    assert not (tmp_path / "out").exists()


def test_a_job_whose_mark_is_gone_says_so(files, tmp_path):
    """Somebody has removed it, or its process has ended in order while a task was on its way."""
    mark = tmp_path / "mark"
    result = cluster.fit_there(
        files[0], job_for(files[0], tmp_path / "out"), cluster.Run(clients.versions_here(), mark, 0)
    )
    assert str(result.error) == f"{files[0]}: was not fitted: {mark}, the mark of its run, is gone"
    assert not (tmp_path / "out").exists()


def test_what_a_lost_worker_has_left_is_replaced_and_what_was_there_before_is_not(files, tmp_path):
    job = job_for(files[0], tmp_path)
    half = tmp_path / "e00_rate.fits"
    half.write_bytes(b"half of a set")
    versions, before = clients.versions_here(), half.stat().st_mtime_ns - 1
    result = cluster.fit_there(files[0], job, cluster.Run(versions, half, before + 2))
    assert "e00_rate.fits" in str(result.error)
    assert half.read_bytes() == b"half of a set"
    result = cluster.fit_there(files[0], job, cluster.Run(versions, half, before))
    assert "e00_rate.fits" in str(result.error)  # nor what somebody else has put there meanwhile
    assert half.read_bytes() == b"half of a set"
    half.unlink()
    fit_file(files[0], **REFERENCES, suppress_one_group=False, output_dir=tmp_path)
    result = cluster.fit_there(files[0], job, cluster.Run(versions, half, before))
    assert "e00_rate.fits" in str(result.error)  # nor what was made with other options
    fit_file(files[0], **REFERENCES, output_dir=tmp_path, overwrite=True)
    whole = half.read_bytes()
    (tmp_path / "e00_rateints.fits").unlink()
    result = cluster.fit_there(files[0], job, cluster.Run(versions, half, before))
    assert result.error is None
    assert [product.name for product in result] == ["e00_rate.fits", "e00_rateints.fits"]
    assert len(half.read_bytes()) == len(whole)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [str, Path])
def test_a_flat_field_is_found_by_workers_of_other_folders(client, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    files = [write_ima(simulate_ima(5, (24, 26), seed=seed), f"{seed}_ima.fits") for seed in (1, 2)]
    fits.writeto("flat.fits", np.full((24, 26), 0.5, np.float32))
    expected = [product for result in fit_files(files, flat=kind("flat.fits"), output_dir="here") for product in result]
    fit_files(files, flat=kind("flat.fits"), output_dir="there", executor=client)
    assert_same_products(expected, tmp_path / "there")


@pytest.mark.parametrize("kind", [str, Path])
def test_a_flat_field_is_one_of_the_files_of_a_job(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    path = write_ima(simulate_ima(5, (24, 26), seed=1), tmp_path / "1_ima.fits")
    fits.writeto("flat.fits", np.full((24, 26), 0.5, np.float32))
    job = cluster._absolute(job_for(path, tmp_path, flat=kind("flat.fits")))
    assert cluster._named_files(job) == [tmp_path / "flat.fits"]
    assert tmp_path / "flat.fits" in cluster.job_of_one(path, job).destination.inputs


@pytest.mark.slow
@pytest.mark.parametrize("how", [fit_file, lambda path, **options: fit_files([path], **options)[0]])
def test_a_single_file_that_is_not_there_is_told_as_everywhere(client, tmp_path, how):
    path = tmp_path / "missing_jump.fits"
    with pytest.raises(RampFileError, match=r"missing_jump\.fits: no such file") as there:
        how(path, **REFERENCES, output_dir=tmp_path / "out", executor=client)
    with pytest.raises(RampFileError) as here:
        how(path, **REFERENCES, output_dir=tmp_path / "out")
    assert str(there.value) == str(here.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_single_file_that_fails_is_noted(client, files, tmp_path, monkeypatch):
    """What is wrong with the cluster is raised all the same: no file can be fitted."""
    options = {**REFERENCES, "output_dir": tmp_path / "out", "on_error": "continue", "executor": client}
    (result,) = fit_files([tmp_path / "missing_jump.fits"], **options, summary=tmp_path / "all.csv")
    assert result.status == "failed"
    assert "missing_jump.fits: no such file" in (tmp_path / "all.csv").read_text()
    unseen = RampFileError("executor: Dask workers must see all files")
    with monkeypatch.context() as context:
        context.setattr(cluster, "check_files", Mock(side_effect=unseen))
        with pytest.raises(RampFileError, match="must see all files"):
            fit_files(files[:1], **options)
    with monkeypatch.context() as context:
        context.setattr(cluster, "check_cluster", Mock(side_effect=RuntimeError("executor: nobody is there")))
        with pytest.raises(RuntimeError, match="nobody is there"):
            fit_files(files[:1], **options)


@pytest.mark.parametrize("asked", ["none", "NONE", " None"])
def test_rows_are_shared_out_however_none_is_written(files, tmp_path, asked):
    class Five(Elsewhere):
        def get_executor(self, **_):
            return None

    five = Five(lambda function, *arguments: function(*arguments))
    with pytest.MonkeyPatch.context() as context:
        context.setattr(cluster, "check_cluster", lambda _: None)
        job = cluster.rows_on_cluster(files[0], job_for(files[0], tmp_path, maximum_cores=asked), five)
    assert job.options["maximum_cores"] == 10  # two for each thread


@pytest.mark.slow
def test_two_clients_at_once_write_each_product_once(started, client, files, tmp_path):
    """Each file is fitted for one of the two, and refused for the other, or the products are the same for both."""
    with (
        distributed.Client(scheduler_file=str(started.file), timeout=200, set_as_default=False) as other,
        ThreadPoolExecutor(2) as threads,
    ):
        runs = [
            threads.submit(
                fit_files, files, **REFERENCES, output_dir=tmp_path, executor=one, on_error="continue",
                suppress_one_group=suppress,
            )
            for one, suppress in ((client, True), (other, False))
        ]  # fmt: skip
        pairs = list(zip(*(run.result() for run in runs), strict=True))
    assert all(bool(one) != bool(two) for one, two in pairs)
    for number, pair in enumerate(pairs):
        (refused,) = (result for result in pair if result.error is not None)
        assert f"e{number:02d}_rate" in str(refused.error)
        for product in next(filter(None, pair)):
            assert np.isfinite(fits.getdata(product, "SCI")).any()
    assert len(list(tmp_path.iterdir())) == 2 * len(files)


@pytest.mark.slow
@pytest.mark.usefixtures("client")  # which waits for the workers
def test_reports_are_made_by_the_workers(started, files, tmp_path, monkeypatch, caplog):
    pytest.importorskip("jinja2", reason="needs the extra report")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rampfit", "of these tests"])
    command = [*map(str, files[:2]), "--readnoise", "14", "--gain", "1.8", "--scheduler", str(started.file)]
    assert main([*command, "--report", "--output-dir", "out"]) == 0
    assert len(list(Path("out").iterdir())) == 6
    for file in files[:2]:
        page = Path(f"out/{file.stem}_report.html").read_text(encoding="utf-8")
        assert file.name in page
        assert "of these tests" in page
        assert f"{file.stem}_report.html" in caplog.text
    Path("out/e00_jump_report.html").unlink()
    assert main([*command, "--report", "--output-dir", "out", "--skip-existing"]) == 0
    assert "1 of 2 files fitted, 1 skipped" in caplog.text
    assert len(list(Path("out").iterdir())) == 6


def test_workers_without_the_extra_are_named():
    def check():
        raise ImportError("reports need matplotlib")

    def run(function):
        try:
            return function()
        except ImportError as error:  # what Dask does with on_error="return"
            return error

    clients.check_workers(Elsewhere(run), lambda: None)
    with pytest.raises(RuntimeError, match=r"10\.0\.0\.3:4000 and 2 more: reports need matplotlib"):
        clients.check_workers(Elsewhere(run), check)


def test_errors_travel_whatever_their_class(files, tmp_path, monkeypatch):
    class OddError(Exception):
        def __init__(self, one, two):
            super().__init__(f"{one} and {two}")

    def fail(*_arguments):
        raise OddError(1, 2)

    monkeypatch.setattr("rampfit_numba.files.attempts.read_fit_write", fail)
    with pytest.raises(OddError):
        fail()
    run = cluster.Run(clients.versions_here(), files[0], 0)
    result = pickle.loads(pickle.dumps(cluster.fit_there(files[0], job_for(files[0], tmp_path), run)))  # noqa: S301
    assert str(result.error) == "OddError: 1 and 2"


def test_a_task_of_a_run_that_has_ended_fits_nothing(files, tmp_path):
    run = cluster.Run(clients.versions_here(), tmp_path / "gone", 0)
    result = cluster.fit_there(files[0], job_for(files[0], tmp_path), run)
    assert "was not fitted" in str(result.error)
    assert not list(tmp_path.iterdir())


def test_only_paths_and_options_travel(files, tmp_path):
    job = job_for(files[0], tmp_path)
    many = [tmp_path / f"{number}_jump.fits" for number in range(10_000)]
    job = replace(job, destination=replace(job.destination, inputs=(files[0], *many)))
    assert len(pickle.dumps(cluster.job_of_one(files[0], job))) < 3000


def test_a_client_without_workers_or_closed_is_one_sentence(files, tmp_path, monkeypatch):
    monkeypatch.setattr(clients, "_PATIENCE", 0.2)
    alone = Cluster(tmp_path)
    try:
        with distributed.Client(scheduler_file=str(alone.file), timeout=200, set_as_default=False) as client:
            nobody = r"executor: no worker has joined the Dask scheduler tcp://.* within 0 s"
            with pytest.raises(RuntimeError, match=nobody):
                fit_files(files[:2], **REFERENCES, output_dir=tmp_path / "out", executor=client)
        with pytest.raises(
            RuntimeError, match="executor: expected a Dask client that is connected; got one that is cl"
        ):
            fit_files(files[:2], **REFERENCES, output_dir=tmp_path / "out", executor=client)
    finally:
        alone.close()
    assert not (tmp_path / "out").exists()


def test_other_executors_are_no_clients():
    with ThreadPoolExecutor(1) as threads:
        assert clients.client_of(threads) is None
    assert clients.client_of("threads") is None
    assert clients.client_of(None) is None


@pytest.mark.parametrize("scheduler", ["tcp://127.0.0.1:9", "scheduler.json", "nonsense"])
def test_a_scheduler_that_does_not_answer_is_one_line_at_once(scheduler, files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("scheduler.json").write_text("{}", encoding="utf-8")
    client = Mock()  # Dask's own would try for 30 s
    monkeypatch.setattr(distributed, "Client", client)
    assert_refused(scheduler, files, capsys, "")
    client.assert_not_called()


@pytest.mark.parametrize(
    ("greeting", "told"), [(b"", "timed out"), (b"HTTP/1.1 400 Bad", "is no Dask scheduler"), (b"no", "is no Dask")]
)
def test_a_server_of_another_kind_is_no_scheduler(greeting, told, files, monkeypatch, capsys):
    """The port of the dashboard, say, which waits for a question."""
    monkeypatch.setattr("rampfit_numba.cli.scheduler._KNOCK", 60 if greeting else 1)

    def greet(server):
        connection, _ = server.accept()
        connection.sendall(greeting)
        if greeting:
            connection.close()
        return connection

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(greet, server)
        assert_refused(f"tcp://127.0.0.1:{server.getsockname()[1]}", files, capsys, told)
        waiting.result().close()


def assert_refused(scheduler, files, capsys, told):
    assert main([str(files[0]), "--readnoise", "14", "--gain", "1.8", "--scheduler", scheduler]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "--scheduler: expected the address of a Dask scheduler" in line
    assert f"nothing answers at {scheduler}" in line
    assert told in line


def test_the_command_needs_the_extra(files, tmp_path):
    code = (
        "import sys; sys.modules['distributed'] = None; from rampfit_numba.cli import main; "
        f"sys.exit(main([{str(files[0])!r}, '--readnoise', '14', '--gain', '1.8', '--scheduler', 'tcp://a:1']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "--scheduler needs Dask, which is not installed: pip install '.[dask]'" in done.stderr
