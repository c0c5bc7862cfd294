"""Workers that are killed during a fit: what they left is fitted once more; a second death is one clear error."""

from __future__ import annotations

import pytest

from tests.scripts import FIT, LINUX, PREAMBLE, STOPPED_WORKERS, WARM_WORKERS, finished, started

LOGGED = """
    import logging
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(levelname)s %(message)s")
"""
# Before the fit begins a second time no worker can have finished, since those that were there are stopped. They are not
# killed before something was sent to them: a worker that is idle when it is killed is nobody's loss.
KILL = """
    from rampfit_numba.engine.pool import pool

    def kill(sent=pool._executor._pending_work_items):
        while not sent:
            time.sleep(0.01)
        for worker in workers{which}:
            os.kill(worker, signal.SIGKILL)
    threading.Thread(target=kill, daemon=True).start()
"""


@LINUX
@pytest.mark.parametrize("which", ["[:1]", ""], ids=["one", "all"])
def test_what_a_killed_worker_left_is_fitted_once_more(tmp_path, which):
    output = finished(started(tmp_path, PREAMBLE, LOGGED, WARM_WORKERS, STOPPED_WORKERS, KILL.format(which=which), FIT))
    first, warning, last = output.splitlines()
    assert (first, last) == ("started", "equal True")
    assert warning.startswith("WARNING A worker process was killed (")
    assert "SIGKILL(-9)" in warning
    assert warning.endswith("4 of 4 slices are fitted once more")


@LINUX
def test_what_was_done_before_a_worker_was_killed_is_kept(tmp_path):
    """The bar goes to its end, and never beyond.

    The worker is killed when this process knows of the first three slices, however slow the other worker is.
    """
    code = """
        import collections
        from pathlib import Path
        from rampfit_numba.engine import processes

        Arrays = collections.namedtuple("Arrays", "rows")
        done, moved = [], []

        def task(inputs, outputs):
            if inputs.rows[0, 0] == 5 and not os.path.exists("killed"):
                while not all(os.path.exists(f"moved_{number}") for number in range(3)):
                    time.sleep(0.01)
                Path("killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            outputs.rows[...] = inputs.rows * 2
            Path(f"done_{time.time()}_{int(inputs.rows[0, 0])}").touch()
            return int(inputs.rows[0, 0])

        parts = [(Arrays(np.full((1, 4), float(n))), Arrays(np.zeros((1, 4)))) for n in range(8)]

        def move(number):
            moved.append(number)
            Path(f"moved_{number}").touch()

        results = processes.run_in_processes(task, parts, 2, move, lambda: None)
        print([result for result, in results], sorted(moved) == list(range(8)))
        print(all((outputs.rows == 2 * inputs.rows).all() for inputs, outputs in parts))
        print([len(list(Path().glob(f"done_*_{number}"))) for number in range(3)])
    """
    output = finished(started(tmp_path, PREAMBLE, code))
    assert output.splitlines() == ["[0, 1, 2, 3, 4, 5, 6, 7] True", "True", "[1, 1, 1]"]


@LINUX
def test_a_second_death_is_an_error_that_names_remedies_and_the_next_fit_works(tmp_path):
    """No worker ends its task before it is killed, however late that is."""
    code = """
    from rampfit_numba.engine import transfer

    run_shared, stop = transfer.run_shared, threading.Event()
    transfer.run_shared = lambda *_: time.sleep(1000)

    def kill():
        while not stop.wait(0.01):
            for worker in find_workers():
                try:
                    os.kill(worker, signal.SIGKILL)
                except OSError:
                    pass

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        fit_ramps(exposure, 12.0, 2.0, maximum_cores=2, executor="processes")
    except RuntimeError as error:
        print("error", error, flush=True)
    stop.set()
    killer.join()
    transfer.run_shared = run_shared
    """
    lines = finished(started(tmp_path, PREAMBLE, WARM_WORKERS, STOPPED_WORKERS, code, FIT)).splitlines()
    assert lines[0].startswith("error a worker process was killed twice (")
    for remedy in ("memory ran out", "maximum_cores", "executor='threads'"):
        assert remedy in lines[0]
    assert lines[1:] == ["started", "equal True"]


@LINUX
def test_a_mistake_in_a_task_is_not_tried_again(tmp_path):
    code = """
        import collections
        from pathlib import Path
        from rampfit_numba.engine import processes

        Arrays = collections.namedtuple("Arrays", "rows")

        def task(inputs, outputs):
            Path(f"call_{time.time()}").touch()
            raise RuntimeError("a mistake")

        try:
            processes.run_in_processes(task, [(Arrays(np.zeros((1, 4))), None)], 2, print, print)
        except RuntimeError as error:
            print(error, len(list(Path().glob("call_*"))))
    """
    assert finished(started(tmp_path, PREAMBLE, code)) == "a mistake 1\n"
