"""Futures that are waited for: an interrupt at any lock ends the fit, and leaves none of them taken."""

from __future__ import annotations

import re
import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import rampfit_numba
from rampfit_numba import Exposure, fit_ramps
from rampfit_numba.engine.arrivals import Arrivals
from tests.scripts import LINUX, PREAMBLE, finished, started

# Python looks for signals after each call: the last moment at which one may come before the block of a lock begins is
# when the lock's own method, which took it, returns.
AT_LOCKS = """
    import faulthandler

    enter = threading.Condition.__enter__

    class Locks:
        count = last = 0

    def taken(condition):
        result = enter(condition)
        if threading.get_ident() == threading.main_thread().ident:
            Locks.count += 1
            if Locks.count == Locks.last:
                signal.raise_signal(signal.SIGINT)
        return result

    threading.Condition.__enter__ = taken

    def fit():
        return bits(fit_ramps(exposure, 12.0, 2.0, maximum_cores=2, executor=EXECUTOR))

    def interrupted(last):
        for _ in range(20):  # which slices are fitted here, and so how many locks, differs: once more where it was none
            Locks.count, Locks.last = 0, last
            try:
                assert fit() == wanted
            except KeyboardInterrupt:
                return True
            finally:
                Locks.last, came = 0, Locks.count >= last
            if came:
                return False
        return None

    def count_locks():
        Locks.count = 0
        fit()
        return Locks.count

    faulthandler.dump_traceback_later(120, exit=True)
    wanted = fit()
    count = min(count_locks() for _ in range(5))
    assert count > 5
    found = []
    for last in range(1, count + 1, max(1, count // MOST)):
        faulthandler.dump_traceback_later(120, exit=True)  # from now on: a machine may be busy for long
        found.append(interrupted(last))
        assert fit() == wanted
    print(False not in found and found.count(True) > len(found) / 2, flush=True)
"""


@LINUX
@pytest.mark.parametrize(("executor", "most"), [("threads", 1000), ("processes", 8)])
def test_an_interrupt_at_a_lock_leaves_it_free(executor, most, tmp_path):
    script = started(tmp_path, PREAMBLE, f"EXECUTOR, MOST = {executor!r}, {most}", AT_LOCKS)
    assert finished(script, timeout=800) == "True\n"


AT_CANCEL = """
    from concurrent.futures import ThreadPoolExecutor
    from rampfit_numba.engine.arrivals import cancel_all

    enter = threading.Condition.__enter__

    def taken(condition):
        result = enter(condition)
        if sys._getframe(1).f_code.co_name == "cancel":
            signal.raise_signal(signal.SIGINT)
        return result

    over, begun = threading.Event(), threading.Event()

    def work():
        begun.set()
        over.wait(60)

    pool = ThreadPoolExecutor(1)
    future = pool.submit(work)
    begun.wait(60)
    threading.Condition.__enter__ = taken
    try:
        cancel_all([future])
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    free = []
    other = threading.Thread(target=lambda: free.append(future._condition.acquire(timeout=10)))
    other.start()
    other.join()
    print("free" if free == [True] else "taken", flush=True)
    over.set()
    os._exit(0)  # a thread that looked still has the lock
"""


@LINUX
def test_an_interrupt_while_futures_are_cancelled_leaves_no_lock_taken(tmp_path):
    assert finished(started(tmp_path, PREAMBLE, AT_CANCEL)) == "interrupted\nfree\n"


AFTER_A_FAILURE = """
    import faulthandler
    from rampfit_numba.engine import executors

    enter, run_chunks = threading.Condition.__enter__, executors.run_chunks
    count = last = 0
    failed = threading.Event()

    def taken(condition):
        global count
        result = enter(condition)
        if threading.get_ident() == threading.main_thread().ident and failed.is_set():
            count += 1
            if count == last:
                signal.raise_signal(signal.SIGINT)
        return result

    turn = threading.Lock()
    numbers = iter(())

    def broken(*arguments):
        with turn:
            number = next(numbers)
        if number == 0:
            failed.set()
            raise ValueError("one slice fails")
        time.sleep(0.3)
        return run_chunks(*arguments)

    def fit():
        return bits(fit_ramps(exposure, 12.0, 2.0, maximum_cores=2, executor="threads"))

    faulthandler.dump_traceback_later(120, exit=True)
    threading.Condition.__enter__ = taken
    wanted, found = fit(), set()
    for last in range(1, 12):
        executors.run_chunks, numbers, count = broken, iter(range(100)), 0
        try:
            fit()
        except (KeyboardInterrupt, ValueError) as error:
            found.add(type(error).__name__)
        failed.clear()
        executors.run_chunks = run_chunks
        assert fit() == wanted
    print(sorted(found), flush=True)
"""


@LINUX
def test_an_interrupt_behind_a_failure_ends_the_fit(tmp_path):
    """Wherever it comes, while the other slices run."""
    assert "KeyboardInterrupt" in finished(started(tmp_path, PREAMBLE, AFTER_A_FAILURE))


def test_futures_are_cancelled_in_one_place():
    """By `cancel_all`: the method takes a lock in Python code, which an interrupt could leave taken."""
    package = Path(rampfit_numba.__file__).parent
    cancelled = re.compile(r"\bfuture\w*\.cancel\(\)")
    found = [path.name for path in package.rglob("*.py") if cancelled.search(path.read_text(encoding="utf-8"))]
    assert found == ["arrivals.py"]


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows has no signals of threads")
def test_threads_of_the_caller_hear_signals_after_a_fit():
    """As do the processes that they start."""
    both = threading.Barrier(2, timeout=60)  # neither thread has two of them

    def blocked():
        both.wait()
        return signal.pthread_sigmask(signal.SIG_BLOCK, [])

    data = np.cumsum(np.random.default_rng(1).poisson(60.0, (1, 5, 16, 8)), axis=1).astype(np.float32)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with ThreadPoolExecutor(2) as pool:
        fit_ramps(Exposure(data, None, 3.0), 12.0, 2.0, maximum_cores=2, executor=pool)
        assert [future.result() for future in [pool.submit(blocked) for _ in range(2)]] == [before, before]


def test_nobody_waits_for_what_is_not_coming():
    future = Future()
    future.set_result(1)
    arrivals = Arrivals([future])
    assert arrivals.next() is future
    with pytest.raises(LookupError, match="all have been given"):
        arrivals.next()
    with pytest.raises(LookupError):
        arrivals.some()


def test_futures_come_as_they_end():
    first, second, third = Future(), Future(), Future()
    third.set_result(3)
    arrivals = Arrivals([first, second, third])
    assert arrivals.next() is third
    second.set_result(2)
    assert arrivals.next() is second
    assert len(arrivals) == 1
    first.cancel()
    assert arrivals.some() == {first}
    assert len(arrivals) == 0
    assert list(arrivals) == []


def test_several_are_given_at_once():
    futures = [Future() for _ in range(3)]
    arrivals = Arrivals(futures)
    for future in futures[:2]:
        future.set_result(None)
    assert arrivals.some() == set(futures[:2])
    assert len(arrivals) == 1


def test_the_end_of_all_is_waited_for_whatever_was_taken_from_the_queue():
    over = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(over.wait, 60), pool.submit(int)]
        arrivals = Arrivals(futures)
        arrivals._ended.get()  # as an interrupt does, behind which nobody knows of it
        threading.Timer(0.2, over.set).start()
        arrivals.wait_for_all()
        assert all(future.done() for future in futures)
        assert futures[0].result() is True  # it was let go: nobody waited until it gave up
