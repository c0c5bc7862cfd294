"""What is said while the kernels are compiled, to whom, and where nothing is."""

from __future__ import annotations

import io
import logging
import re
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from rampfit_numba import first_run
from rampfit_numba.first_run import compile_or_load, is_interactive, moving_bar
from rampfit_numba.machine_code import note_warm, places
from rampfit_numba.messages import RampFitWarning


class Terminal(io.StringIO):
    """A standard error with somebody in front of it."""

    def isatty(self):
        return True


@pytest.fixture
def base(tmp_path, monkeypatch):
    """Give this process an empty cache folder."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(first_run, "_warned_of_places", [])
    monkeypatch.setattr("numba.config.DISABLE_JIT", 0)
    for cached in (places.usable_places, places.all_places):
        cached.cache_clear()
    yield tmp_path / "cache" / "rampfit_numba"
    for cached in (places.usable_places, places.all_places):
        cached.cache_clear()


@pytest.fixture
def terminal(monkeypatch):
    """Put a terminal in the place of standard error, and no log anywhere."""
    shown = Terminal()
    # Not in `sys` itself: pytest changes standard error after the fixtures have run.
    monkeypatch.setattr(first_run, "sys", SimpleNamespace(stderr=shown, modules={}))
    monkeypatch.setattr(logging.getLogger("rampfit_numba"), "propagate", False)
    return shown


@pytest.mark.usefixtures("base")
def test_the_first_run_says_what_happens_and_how_long_it_is_likely_to_take(terminal, base):
    start = time.perf_counter()
    compile_or_load("ols", "'ols'", lambda: time.sleep(0.2))
    most = time.perf_counter() - start
    first, last = terminal.getvalue().splitlines()
    assert first.startswith("rampfit_numba: Compiling the kernels for 'ols', once for this machine: about 8 s")
    assert first.endswith(f"; the code is kept in {places.usable_places()[0].folder}")
    seconds = (base / "ols.seconds").read_text(encoding="ascii").strip()
    assert last == f"rampfit_numba: Compiled in {seconds} s"
    assert 0.2 <= float(seconds) <= most + 0.1  # it is rounded


def test_the_next_run_is_silent_and_the_next_version_knows_the_time(base, terminal):
    compile_or_load("ols", "'ols'", lambda: time.sleep(0.2))
    terminal.truncate(0)
    compile_or_load("ols", "'ols'", lambda: None)
    assert terminal.getvalue().strip("\0") == ""
    for note in base.rglob("ols.warm"):
        note.unlink()
    (base / "ols.seconds").write_text("33.3\n", encoding="ascii")
    compile_or_load("ols", "'ols'", lambda: None)
    assert "once for this machine: about 33 s, as last time;" in terminal.getvalue()


@pytest.mark.usefixtures("base")
def test_a_library_is_silent_but_for_its_log(monkeypatch, caplog):
    nobody = io.StringIO()
    monkeypatch.setattr(sys, "stderr", nobody)
    caplog.set_level(logging.INFO)
    compile_or_load("ols", "'ols'", lambda: None)
    assert nobody.getvalue() == ""
    assert "Compiling the kernels for 'ols'" in caplog.text


@pytest.mark.usefixtures("base")
@pytest.mark.parametrize("level", ["INFO", "WARNING"])
def test_who_has_set_a_level_for_the_log_has_chosen(terminal, level):
    package = logging.getLogger("rampfit_numba")
    before = package.level
    package.setLevel(level)
    try:
        compile_or_load("ols", "'ols'", lambda: None)
    finally:
        package.setLevel(before)
    assert terminal.getvalue() == ""


def test_notebooks_and_prompts_are_interactive(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.delattr(sys, "ps1", raising=False)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not is_interactive()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=object))
    assert is_interactive()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not is_interactive()
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    assert is_interactive()
    monkeypatch.setattr(sys, "stderr", None)  # closed before the start
    assert not is_interactive()


def percentages(shown):
    return [int(number) for number in re.findall(r"(\d+)%", shown.getvalue())]


def wait_for(condition):
    """Wait until something is so: it is, however long a busy machine takes for it."""
    end = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_bar_moves_while_the_block_runs_and_ends_full(terminal):
    threads = threading.active_count()
    with moving_bar(20.0, "Compiling", shown=True):
        wait_for(lambda: len(set(percentages(terminal))) >= 4)
    seen = percentages(terminal)
    assert seen == sorted(seen)
    assert len(set(seen)) >= 4
    assert seen[-1] == 100
    assert threading.active_count() <= threads + 1  # tqdm may keep a monitor


def test_the_bar_goes_on_when_it_takes_longer_and_ends_after_a_failure(terminal):
    with pytest.raises(RuntimeError, match="spoilt"), moving_bar(0.2, "Compiling", shown=True):  # noqa: PT012
        wait_for(lambda: percentages(terminal)[-1] > 90)
        raise RuntimeError("spoilt")
    seen = percentages(terminal)
    assert 90 < seen[-1] < 100
    assert not [thread for thread in threading.enumerate() if thread.name == "rampfit-bar"]


@pytest.mark.parametrize("time_over_expected", [0.5, 1.0, 4.5, 10.0, 1e6])
def test_a_bar_says_100_only_at_the_end(time_over_expected):
    assert float(f"{100 * first_run._fraction(time_over_expected):.0f}") < 100


def test_no_bar_where_none_was_asked_for(terminal):
    with moving_bar(1.0, "Compiling", shown=False):
        pass
    assert terminal.getvalue() == ""


@pytest.mark.usefixtures("base")
def test_who_waits_for_another_process_says_so_and_does_not_compile(terminal):
    """Two processes in two threads: the lock is of the open file, not of the process."""
    begun = threading.Event()

    def compile_one():
        begun.set()
        wait_for(lambda: "waiting for it" in terminal.getvalue())

    other = threading.Thread(target=compile_or_load, args=("ols", "'ols'", compile_one))
    other.start()
    assert begun.wait(60)
    loads = []
    compile_or_load("ols", "'ols'", lambda: loads.append(True))
    other.join()
    assert loads == [True]
    text = terminal.getvalue()
    assert text.count("Compiling the kernels") == text.count("Compiled in") == 1
    assert re.search(r"The kernels are being compiled by process \d+ on \S+ already: waiting for it", text)


@pytest.mark.usefixtures("base")
def test_a_wait_for_another_process_ends(terminal, monkeypatch):
    monkeypatch.setattr(first_run, "_PATIENCE", 0.3)
    begun, end = threading.Event(), threading.Event()

    def stuck():
        begun.set()
        assert end.wait(60)

    other = threading.Thread(target=compile_or_load, args=("ols", "'ols'", stuck))
    other.start()
    assert begun.wait(60)
    compile_or_load("ols", "'ols'", lambda: None)
    end.set()
    other.join()
    assert "After 0.3 s they are still not ready, and this process compiles them as well" in terminal.getvalue()


def test_a_folder_that_is_not_trusted_is_told_once(base, monkeypatch):
    base.parent.mkdir()
    monkeypatch.setattr(places, "_refusal", lambda folder: f"{folder}: it belongs to another user")
    with pytest.warns(RampFitWarning, match=f"cache of machine code: {base}: it belongs to another user"):
        compile_or_load("ols", "'ols'", lambda: None)
    compile_or_load("likely", "'likely'", lambda: None)  # a second warning would be an error


@pytest.mark.usefixtures("base")
def test_what_is_noted_but_missing_is_announced(terminal):
    """For instance files that somebody has removed one by one."""
    from rampfit_numba.machine_code import store

    note_warm("ols")
    compile_or_load("ols", "'ols'", lambda: [missing() for missing in store._on_miss * 2])
    assert terminal.getvalue().count("Some kernels for 'ols' are missing from the cache; they are compiled anew") == 1
