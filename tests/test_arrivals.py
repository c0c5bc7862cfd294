"""Futures that are waited for: an interrupt at any lock ends the fit, and leaves none of them taken."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

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
        Locks.count, Locks.last = 0, last
        try:
            assert fit() == wanted
        except KeyboardInterrupt:
            return True
        finally:
            Locks.last = 0
        return False

    faulthandler.dump_traceback_later(120, exit=True)
    wanted = fit()
    Locks.count = 0
    fit()
    count = Locks.count
    assert count > 5
    found = []
    for last in range(1, count + 1, max(1, count // MOST)):
        found.append(interrupted(last))
        assert fit() == wanted
    print(all(found), flush=True)
"""


@LINUX
@pytest.mark.parametrize(("executor", "most"), [("threads", 1000), ("processes", 8)])
def test_an_interrupt_at_a_lock_leaves_it_free(executor, most, tmp_path):
    script = started(tmp_path, PREAMBLE, f"EXECUTOR, MOST = {executor!r}, {most}", AT_LOCKS)
    assert finished(script) == "True\n"


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
        start = time.monotonic()
        arrivals.wait_for_all()
        assert all(future.done() for future in futures)
        assert time.monotonic() - start < 30
