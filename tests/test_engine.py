"""Workers: how many, which rows, and that neither they nor their end are ever noticed."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest

from rampfit_numba import Exposure, fit_ramps
from rampfit_numba.engine import executors
from rampfit_numba.engine.arrivals import cancel_all
from rampfit_numba.engine.cores import count_workers, threads_worth
from rampfit_numba.engine.executors import run_rows, usable_kind
from rampfit_numba.engine.interrupts import without_interrupts
from rampfit_numba.engine.slices import row_slices
from tests.cases import plain, run_engine
from tests.random_exposures import random_case
from tests.scripts import FIT, LINUX, PREAMBLE, STOPPED_WORKERS, WARM_WORKERS, finished, started


# --------------------------------------------------------------------------------------------------------------- cores
@pytest.mark.parametrize(
    ("maximum_cores", "available", "workers"),
    [
        ("none", 8, 1),
        ("none", 1, 1),
        ("quarter", 8, 2),
        ("quarter", 7, 1),
        ("quarter", 3, 1),
        ("quarter", 1, 1),
        ("half", 8, 4),
        ("half", 7, 3),
        ("half", 2, 1),
        ("half", 1, 1),
        ("all", 8, 8),
        ("all", 1, 1),
        (1, 8, 1),
        (3, 8, 3),
        ("3", 8, 3),
        (np.int64(3), 8, 3),
        (100, 8, 8),
        ("100", 8, 8),
        (10**30, 8, 8),
    ],
)
def test_number_of_workers(maximum_cores, available, workers):
    assert count_workers(maximum_cores, 1024, available) == workers


@pytest.mark.parametrize(("nrows", "workers"), [(1, 1), (3, 3), (8, 8), (9, 8)])
def test_never_more_workers_than_rows(nrows, workers):
    assert count_workers("all", nrows, 8) == workers
    assert count_workers(8, nrows, 8) == workers


WRONG_CORES = [
    ("", ValueError),
    ("0", ValueError),
    ("-1", ValueError),
    ("+2", ValueError),
    ("1.5", ValueError),
    ("2 cores", ValueError),
    ("two", ValueError),
    ("halves", ValueError),
    ("²", ValueError),
    (0, ValueError),
    (-1, ValueError),
    (1.0, TypeError),
    (1.5, TypeError),
    (True, TypeError),
    (False, TypeError),
    (None, TypeError),
    (["half"], TypeError),
    (b"half", TypeError),
]


@pytest.mark.parametrize(("maximum_cores", "error"), WRONG_CORES, ids=repr)
def test_wrong_number_of_workers(maximum_cores, error):
    with pytest.raises(error) as caught:
        count_workers(maximum_cores, 1024, 8)
    message = str(caught.value)
    assert message.startswith("maximum_cores")
    assert all(word in message for word in ("none", "quarter", "half", "all", "positive integer"))
    assert repr(maximum_cores) in message


def test_wrong_number_of_workers_is_refused_by_the_fit():
    exposure = Exposure(np.zeros((1, 3, 1, 1), np.float32), None, 1.0)
    for maximum_cores, error in WRONG_CORES:
        with pytest.raises(error, match="maximum_cores"):
            fit_ramps(exposure, 10.0, 1.0, maximum_cores=maximum_cores)


def test_cores_are_those_of_this_process(monkeypatch):
    monkeypatch.setattr("loky.cpu_count", lambda: 6)
    assert count_workers("all", 1024) == 6
    assert count_workers("half", 1024) == 3
    assert count_workers(4, 1024) == 4


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_cores_heed_affinity(tmp_path):
    code = """
        import os
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        from rampfit_numba.engine.cores import count_workers, threads_worth
        print(count_workers("all", 1024), count_workers(7, 1024))
    """
    assert finished(started(tmp_path, code)).split() == ["1", "1"]


# -------------------------------------------------------------------------------------------------------------- slices
@pytest.mark.parametrize("nrows", [1, 2, 3, 7, 64, 1024, 2048])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 5000])
def test_slices_cover_all_rows_once(nrows, count):
    slices = row_slices(nrows, count)
    assert len(slices) == min(nrows, count)
    assert [row for part in slices for row in range(nrows)[part]] == list(range(nrows))
    heights = [part.stop - part.start for part in slices]
    assert max(heights) - min(heights) <= 1
    assert heights == sorted(heights, reverse=True)


# ----------------------------------------------------------------------------------------------------------- executors
def same_bits(one, other):
    """Check that all planes of two results are equal bit for bit, shapes and types included."""
    first, second = plain(one), plain(other)
    assert (first.fitopt is None) == (second.fitopt is None)
    for mine, theirs in zip(vars(first).values(), vars(second).values(), strict=True):
        for name in mine or ():
            assert mine[name].dtype == theirs[name].dtype, name
            assert mine[name].shape == theirs[name].shape, name
            assert mine[name].tobytes() == theirs[name].tobytes(), name


@pytest.fixture
def four_cores(monkeypatch):
    """Let the engine believe in four cores, so that pools are used on any machine."""
    monkeypatch.setattr("loky.cpu_count", lambda *_, **__: 4)


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize("maximum_cores", ["half", "all", 3, "4"])
def test_nobody_starts_processes_who_did_not_ask_for_them(maximum_cores, monkeypatch):
    """Threads copy no array, and are there at once."""
    kinds = []
    monkeypatch.setattr("rampfit_numba.engine.processes.pool.take", lambda _: pytest.fail("workers are started"))
    monkeypatch.setattr(executors, "usable_kind", lambda *given: kinds.append(usable_kind(*given)) or kinds[-1])
    exposure = Exposure(np.broadcast_to(np.float32(1), (1, 20, 2100, 250)), None, 3.0)
    fit_ramps(exposure, 12.0, 2.0, maximum_cores=maximum_cores)
    assert kinds == ["threads"]


@pytest.mark.parametrize(("mib", "threads"), [(0, 1), (31, 1), (32, 2), (202, 12), (20_000, 1250)])
def test_every_thread_has_some_work(mib, threads):
    nbytes = mib << 20
    assert threads_worth(nbytes) == threads
    assert count_workers("all", 1024, 64, nbytes=nbytes) == min(threads, 64)
    assert count_workers(2, 1024, 64, nbytes=nbytes) == min(threads, 2)
    assert count_workers("all", 1, 64, nbytes=nbytes) == 1


def test_cores_are_not_counted_for_one_worker(monkeypatch):
    """Nor is loky imported, which takes longer than such a fit."""
    monkeypatch.setattr("loky.cpu_count", lambda: pytest.fail("cores are counted"))
    assert count_workers("all", 1024, nbytes=1 << 20) == count_workers(8, 1) == count_workers("none", 1024) == 1


@pytest.mark.usefixtures("four_cores")
def test_no_more_threads_are_started_than_an_exposure_is_worth(monkeypatch):
    started = []
    real = executors._run_in_threads

    def note(task, inputs, outputs, slices, workers, *others):
        started.append((workers, len(slices)))
        return real(task, inputs, outputs, slices, workers, *others)

    monkeypatch.setattr(executors, "_run_in_threads", note)
    sample = np.float32(1)
    for nrows in (64, 2100):
        exposure = Exposure(np.broadcast_to(sample, (1, 20, nrows, 250)), None, 3.0)
        fit_ramps(exposure, 12.0, 2.0, maximum_cores="all")
    assert started == [(3, 6)]  # of 1.6 MB none, of 52 MB three of four
    fit_ramps(Exposure(*ramps(8), 3.0), 12.0, 2.0, maximum_cores=3, executor="threads")
    assert started[1:] == [(3, 6)]  # whoever insists has them


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize("executor", ["processes", "threads", None])
@pytest.mark.parametrize("seed", [5, 6, 7])
def test_executors_give_the_same_bits(executor, seed, monkeypatch):
    monkeypatch.setattr("rampfit_numba.engine.cores.threads_worth", lambda _: 64)  # these are worth one
    case = random_case(seed)
    alone = run_engine(case, maximum_cores="none")
    for maximum_cores in ("half", "all", 3, "4"):
        same_bits(run_engine(case, maximum_cores=maximum_cores, executor=executor), alone)


def ramps(nrows, ncols=33):
    """Make an exposure of noisy ramps with a few flags of every kind."""
    rng = np.random.default_rng(nrows)
    shape = (2, 9, nrows, ncols)
    data = np.cumsum(rng.poisson(60.0, shape), axis=1).astype(np.float32)
    groupdq = rng.choice(np.array([0, 1, 2, 4], np.uint8), shape, p=[0.91, 0.03, 0.03, 0.03])
    return data, groupdq


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize("executor", ["processes", "threads"])
@pytest.mark.parametrize("nrows", [1, 2, 3, 5, 97])
def test_few_rows(executor, nrows):
    exposure = Exposure(*ramps(nrows), 3.0)
    alone = fit_ramps(exposure, 12.0, 2.0, save_opt=True)
    same_bits(fit_ramps(exposure, 12.0, 2.0, save_opt=True, maximum_cores="all", executor=executor), alone)


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize("executor", ["processes", "threads"])
def test_forms_of_input_reach_the_workers(executor, tmp_path):
    data, groupdq = ramps(21)
    pixeldq = np.zeros(data.shape[2:], np.uint32)
    pixeldq[3] = 1
    readnoise = np.linspace(5, 20, pixeldq.size).reshape(pixeldq.shape)
    alone = fit_ramps(Exposure(data, groupdq, 3.0, pixeldq=pixeldq), readnoise, 2.0)
    data.astype(">f4").tofile(tmp_path / "ramps")
    mapped = np.memmap(tmp_path / "ramps", dtype=">f4", mode="r", shape=data.shape)
    read_only = data.copy()
    read_only.flags.writeable = False
    for form in (mapped, read_only, data.astype(np.float64), np.asfortranarray(data), data[..., ::-1][..., ::-1]):
        exposure = Exposure(form, groupdq, 3.0, pixeldq=pixeldq)
        before = form.tobytes(), groupdq.tobytes(), pixeldq.tobytes(), readnoise.tobytes()
        same_bits(fit_ramps(exposure, readnoise, 2.0, maximum_cores=3, executor=executor), alone)
        assert (form.tobytes(), groupdq.tobytes(), pixeldq.tobytes(), readnoise.tobytes()) == before


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize("executor", ["processes", "threads"])
def test_several_threads_may_fit_at_once(executor):
    exposures = [Exposure(*ramps(nrows), 3.0) for nrows in (5, 8, 13, 21)]
    wanted = [fit_ramps(exposure, 12.0, 2.0) for exposure in exposures]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda one: fit_ramps(one, 12.0, 2.0, maximum_cores=2, executor=executor), exposures * 3)
        for one, other in zip(found, wanted * 3, strict=True):
            same_bits(one, other)


class Rows(NamedTuple):
    rows: np.ndarray


def run_in_two_threads(task, nrows=8):
    return run_rows(task, Rows(np.zeros((nrows, 3))), None, nrows=nrows, workers=2, executor="threads")


def test_what_cannot_be_sent_leaves_nothing_behind():
    """Neither tasks that wait, nor signals that are held back."""

    class Two(Executor):
        def __init__(self):
            self.futures = []

        def submit(self, *_, **__):
            if len(self.futures) == 2:
                raise OSError("no more")
            self.futures.append(Future())
            return self.futures[-1]

    executor, handler = Two(), signal.getsignal(signal.SIGINT)
    with pytest.raises(OSError, match="no more"):
        run_rows(len, Rows(np.zeros((8, 3))), None, nrows=8, workers=4, executor=executor)
    assert [future.cancelled() for future in executor.futures] == [True, True]
    assert signal.getsignal(signal.SIGINT) is handler
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGINT}


def test_this_thread_is_one_of_the_workers():
    """The system often begins with two new threads on one core."""
    both, workers = threading.Barrier(2, timeout=60), []

    def task(inputs, _):
        workers.append(threading.current_thread())
        if len(workers) <= 2:  # one of them waits until there is another one
            both.wait()
        return inputs.rows.shape

    assert run_in_two_threads(task) == [(2, 3)] * 4
    assert len(set(workers)) == 2
    assert threading.current_thread() in workers


@pytest.mark.parametrize("fails", ["here", "there"])
def test_a_failure_in_any_thread_is_raised(fails, monkeypatch):
    here, both, begun = threading.current_thread(), threading.Barrier(2, timeout=60), []
    cancelled = threading.Event()

    def cancel(futures):
        cancel_all(futures)
        cancelled.set()

    def task(*_):
        begun.append(threading.current_thread())
        if len(begun) <= 2:
            both.wait()
        if (threading.current_thread() is here) is (fails == "here"):
            raise ValueError(fails)
        if fails == "here":
            assert cancelled.wait(60)  # what is left is, while the others go on
        else:
            time.sleep(0.5)  # the failure is seen when what is done here is done

    monkeypatch.setattr(executors, "cancel_all", cancel)
    with pytest.raises(ValueError, match=f"^{fails}$"):
        run_in_two_threads(task)
    assert 2 <= len(begun) <= 4
    if fails == "here":  # the others learn of it when what they do is done
        assert len(begun) < 4


@pytest.mark.parametrize("executor", ["mpi", "", "PROCESSES ", 2, True])
@pytest.mark.parametrize("maximum_cores", ["none", "all"])
def test_wrong_executor(executor, maximum_cores):
    exposure = Exposure(np.zeros((1, 3, 2, 2), np.float32), None, 1.0)
    with pytest.raises((TypeError, ValueError)) as caught:
        fit_ramps(exposure, 10.0, 1.0, executor=executor, maximum_cores=maximum_cores)
    message = str(caught.value)
    assert message.startswith("executor")
    assert "processes" in message
    assert "threads" in message
    assert repr(executor) in message


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize("executor", ["processes", "threads"])
@pytest.mark.parametrize("maximum_cores", ["none", "all"])
def test_progress_changes_nothing_but_the_screen(executor, maximum_cores, capfd):
    exposure = Exposure(*ramps(40), 3.0)
    quiet = fit_ramps(exposure, 12.0, 2.0, maximum_cores=maximum_cores, executor=executor)
    assert capfd.readouterr() == ("", "")
    same_bits(fit_ramps(exposure, 12.0, 2.0, maximum_cores=maximum_cores, executor=executor, progress=True), quiet)
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "100%" in shown.err


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize(
    "options", [{}, *({"maximum_cores": 3, "executor": kind} for kind in ("threads", "processes"))], ids=str
)
def test_out_is_filled(options):
    exposure = Exposure(*ramps(30), 3.0)
    wanted = fit_ramps(exposure, 12.0, 2.0)
    out = fit_ramps(exposure, 99.0, 1.0)
    assert out.rate.data.tobytes() != wanted.rate.data.tobytes()
    fit = fit_ramps(exposure, 12.0, 2.0, out=out, **options)
    assert np.shares_memory(fit.rate.data, out.rate.data)
    assert np.shares_memory(fit.rateints.err, out.rateints.err)
    same_bits(fit, wanted)
    same_bits(out, wanted)


# ------------------------------------------------------------------------------------------------ scripts and their end
@LINUX
@pytest.mark.parametrize("how", ["file", "-c", "stdin"])
def test_unguarded_scripts_work(how, tmp_path):
    output = finished(started(tmp_path, PREAMBLE, FIT, how=how))
    assert output.splitlines() == ["started", "equal True"]


@LINUX
def test_scripts_with_threads_work(tmp_path):
    output = finished(started(tmp_path, PREAMBLE, FIT.replace("processes", "threads")))
    assert output.splitlines() == ["started", "equal True"]


@LINUX
def test_the_pool_is_reused(tmp_path):
    code = """
        for _ in range(5):
            fit_ramps(exposure, 12.0, 2.0, maximum_cores=2, executor="processes")
            print(find_workers() == workers, len(workers))
    """
    assert finished(started(tmp_path, PREAMBLE, WARM_WORKERS, code)).splitlines() == ["True 2"] * 5


@LINUX
@pytest.mark.parametrize("to_all", [True, False], ids=["terminal", "parent-only"])
@pytest.mark.parametrize("executor", ["processes", "threads"])
def test_interrupt_leaves_nothing(executor, to_all, tmp_path):
    code = f"""
        for turn in itertools.count():
            fit_ramps(exposure, 12.0, 2.0, maximum_cores=2, executor="{executor}")
            if turn == 3:
                print("running", flush=True)
    """
    script = started(tmp_path, PREAMBLE, code)
    script.wait_for("running")
    time.sleep(0.2)  # at some time or other
    (os.killpg if to_all else os.kill)(script.process.pid, signal.SIGINT)  # a terminal signals the whole group
    _, errors = script.end(100)
    assert script.process.returncode in (-signal.SIGINT, 130, 1), errors
    assert "KeyboardInterrupt" in errors
    script.leaves_nothing()


@LINUX
def test_an_interrupt_that_another_thread_gets_does_not_cut_off_the_start_of_workers():
    ready, over, reached = threading.Event(), threading.Event(), []
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    other = threading.Thread(target=lambda: (ready.set(), over.wait(60)))
    other.start()

    def starting():
        with without_interrupts():
            os.kill(os.getpid(), signal.SIGINT)  # blocked in this thread
            assert os.read(reading, 1) == bytes([signal.SIGINT])  # Python has it from the other one
            time.sleep(0.01)  # time enough to handle it, were that done at once
            reached.append("the end")

    before = signal.set_wakeup_fd(writing)
    try:
        ready.wait(60)
        with pytest.raises(KeyboardInterrupt):
            starting()
    finally:
        signal.set_wakeup_fd(before)
        over.set()
        other.join()
        os.close(reading)
        os.close(writing)
    assert reached == ["the end"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@LINUX
def test_of_several_signals_that_came_all_are_handled():
    def raising(number, _):
        handled.append(number)
        raise KeyboardInterrupt

    def starting():
        with without_interrupts():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)

    handled, before = [], {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, raising)
    try:
        with pytest.raises(KeyboardInterrupt):
            starting()
        assert handled == [signal.SIGTERM, signal.SIGINT]
        assert [signal.getsignal(number) for number in before] == [raising, raising]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@LINUX
def test_interrupt_in_a_callback_of_python_is_not_lost(tmp_path):
    # Python prints and forgets what is raised there; the threads of a pool have such callbacks when they go.
    code = """
        import weakref
        from concurrent.futures import ThreadPoolExecutor

        class Gone:
            pass

        class Pool(ThreadPoolExecutor):
            def submit(self, *arguments):
                future = super().submit(*arguments)
                result = future.result

                def late(*timeout):
                    gone = Gone()
                    seen = weakref.ref(gone, lambda _: os.kill(os.getpid(), signal.SIGINT))
                    del gone
                    return result(*timeout)

                future.result = late
                return future

        for turn in "first", "second":
            try:
                fit_ramps(exposure, 12.0, 2.0, executor=Pool(1))
            except KeyboardInterrupt:
                print(turn, flush=True)
        print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    """
    script = started(tmp_path, PREAMBLE, code)
    output, errors = script.end(200)
    assert output.splitlines() == ["first", "second", "True"]
    assert "Exception ignored" in errors  # else the signal was not where it was to be


@LINUX
def test_interrupt_while_workers_hang(tmp_path):
    code = """
        from rampfit_numba.engine.arrivals import Arrivals

        wait = Arrivals.next

        def waiting(arrivals):
            print("waiting", flush=True)
            return wait(arrivals)

        Arrivals.next = waiting
        fit_ramps(exposure, 12.0, 2.0, maximum_cores=2, executor="processes")
    """
    script = started(tmp_path, PREAMBLE, WARM_WORKERS, STOPPED_WORKERS, code)
    script.wait_for("waiting")
    os.kill(script.process.pid, signal.SIGINT)
    _, errors = script.end(100)
    assert "KeyboardInterrupt" in errors
    script.leaves_nothing()
