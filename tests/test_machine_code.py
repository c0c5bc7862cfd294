"""Machine code on disk: whole, trusted, compiled once, and used where it can only be read."""

from __future__ import annotations

import os
import pickle
import resource
import shutil
import stat
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import pytest

import rampfit_numba
from rampfit_numba import warm_up
from rampfit_numba.engine.executors import usable_kind
from rampfit_numba.machine_code import (
    Held,
    KeptCode,
    alone,
    cache_folder,
    compiling_alone,
    everything_kept,
    is_warm,
    last_seconds,
    note_warm,
    places,
    store,
    take_problems,
    usable_places,
    watch_misses,
)
from tests.scripts import LINUX, PREAMBLE, finished, started

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")


def forget():
    for cached in (places.usable_places, places.all_places, places._installer):
        cached.cache_clear()
    store._problems.clear()
    store._not_kept.clear()


@pytest.fixture
def base(tmp_path, monkeypatch):
    """Give this process an empty cache folder; the makeshift is empty too."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    forget()
    yield tmp_path / "cache" / "rampfit_numba"
    forget()


def add_seven(number):
    return number + 7


uncached = numba.njit(add_seven)


def compiled():
    """Return a function as a new process has it: nothing is loaded."""
    function = numba.njit(add_seven)
    function._cache = KeptCode(add_seven)
    return function


def call():
    """Call the function in what is a new process for it; return whether it was compiled, and the problems."""
    missed = []
    with watch_misses(lambda: missed.append(True)):
        assert compiled()(3) == 10
    return bool(missed), take_problems()


def the_file(base):
    (file,) = base.rglob("add_seven-*.nbc")
    return file


def half_flipped(content):
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 4
    return bytes(changed)


# ------------------------------------------------------------------------------------------------------------- damage
@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda content: content[: len(content) // 2],
        lambda content: bytes(len(content)),
        half_flipped,
        lambda content: content[:40] + half_flipped(content[40:60]) + content[60:],
        lambda content: content + b"more",
        lambda _: pickle.dumps(print),
    ],
    ids=["empty", "cut", "zeros", "one bit", "a bit of the seal", "longer", "no code"],
)
def test_damaged_code_is_compiled_anew_and_replaced(base, damage):
    assert call() == (True, [])
    assert call() == (False, [])
    file = the_file(base)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    missed, problems = call()
    assert missed
    assert problems == [f"{file}: it is damaged"]
    assert call() == (False, [])


def test_code_of_another_function_is_not_taken(base):
    call()
    file = the_file(base)
    function = numba.njit(_add_eight)
    function._cache = KeptCode(_add_eight)
    assert function(1) == 9
    (other,) = base.rglob("_add_eight-*.nbc")
    shutil.copy(other, file)
    assert call() == (True, [f"{file}: it is damaged"])


def _add_eight(number):
    return number + 8


def test_what_cannot_be_unpickled_is_compiled_anew(base):
    """The seal is right, but the content is that of a Numba that has changed without changing its version."""
    call()
    file = the_file(base)
    seal_in(file, (1, 2))
    missed, (problem,) = call()
    assert missed
    assert problem.startswith(f"{file}: it cannot be loaded (")
    assert call() == (False, [])


def seal_in(file, value):
    """Write a file as whoever knows the program could."""
    uncached(3)
    (signature,) = uncached.signatures
    key, path = KeptCode(add_seven)._key(signature)
    assert path.name == file.name
    content = pickle.dumps(value)
    file.write_bytes(store._MAGIC + store._seal(key, content) + content)


@LINUX
def test_a_pipe_in_the_place_of_a_file_does_not_hang(base):
    call()
    file = the_file(base)
    file.unlink()
    os.mkfifo(file)
    missed, (problem,) = call()
    assert missed
    assert str(file) in problem


def test_files_that_are_removed_are_made_again(base):
    call()
    shutil.rmtree(base)
    assert call() == (True, [])
    assert call() == (False, [])


def test_a_full_disk_costs_the_cache_not_the_fit(base):
    """And worker processes, which would each compile, are not started."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    assert usable_kind("processes", 2) == "processes"
    usable_places()
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        missed, (problem,) = call()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert missed
    assert "it cannot be written (File too large)" in problem
    assert not [path for path in base.rglob("*") if path.is_file()]
    assert not everything_kept()
    assert usable_kind("processes", 2) == "threads"


def test_an_interrupt_while_code_is_written_leaves_nothing(base, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(store.Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            call()
    assert not [path for path in base.rglob("*") if path.is_file()]
    assert call() == (True, [])


def test_how_code_is_put_together_decides_about_its_folder(monkeypatch):
    """Code of other rules is another version."""
    before, read = places.version_key(), places.Path.read_bytes
    for name in ("own_code.py", "vectors.py", "block.py", "dq.py"):
        with monkeypatch.context() as patched:
            patched.setattr(places.Path, "read_bytes", lambda path, name=name: read(path) + b"#" * (path.name == name))
            assert places.version_key.__wrapped__() != before
    assert places.version_key.__wrapped__() == before


# -------------------------------------------------------------------------------------------------------------- trust
def give_away(path, monkeypatch):
    """Let `path` belong to another user than this process."""
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    else:  # then it is us who are another user
        mine = os.geteuid()
        monkeypatch.setattr(places.os, "geteuid", lambda: mine + 1)
        monkeypatch.setattr(places, "_installer", lambda: mine + 1)


class Evil:
    """What somebody could put into a folder that we look into."""

    def __init__(self, trace):
        self.trace = str(trace)

    def __reduce__(self):
        return os.mkdir, (self.trace,)


def test_planted_code_would_run_where_it_is_trusted(base, tmp_path):
    """So the tests that follow can fail."""
    call()
    seal_in(the_file(base), Evil(tmp_path / "trace"))
    call()
    assert (tmp_path / "trace").exists()


def test_code_of_another_user_is_not_executed(base, tmp_path, monkeypatch):
    call()
    file = the_file(base)
    seal_in(file, Evil(tmp_path / "trace"))
    give_away(file, monkeypatch)
    missed, (problem,) = call()
    assert missed
    assert problem == f"{file}: another user could have written it; it is not trusted"
    assert not (tmp_path / "trace").exists()


def test_code_that_others_can_write_is_not_executed(base, tmp_path):
    call()
    file = the_file(base)
    seal_in(file, Evil(tmp_path / "trace"))
    file.chmod(0o620)
    missed, (problem,) = call()
    assert missed
    assert "it is not trusted" in problem
    assert not (tmp_path / "trace").exists()
    assert call() == (False, [])  # replaced by our own
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("level", [0, 1])
def test_a_folder_of_another_user_is_not_used(base, tmp_path, monkeypatch, level):
    call()
    file = the_file(base)
    seal_in(file, Evil(tmp_path / "trace"))
    give_away([base, file.parents[1]][level], monkeypatch)
    forget()
    assert cache_folder() == ""
    (refused, *_) = places.all_places()
    assert refused.refused
    assert "belongs to another user" in refused.problem
    call()
    assert not (tmp_path / "trace").exists()
    assert base not in [place.folder.parent for place in usable_places()]


def test_our_own_folder_is_closed_to_others(base):
    call()
    for folder in (base, the_file(base).parents[1]):
        folder.chmod(0o777)
    forget()
    assert call() == (False, [])
    assert [stat.S_IMODE(path.stat().st_mode) for path in (base, the_file(base).parents[1])] == [0o755] * 2


def test_folders_are_made_for_us_alone_whatever_the_umask(base):
    before = os.umask(0)
    try:
        call()
    finally:
        os.umask(before)
    made = [base.parent, base, the_file(base).parents[1], the_file(base).parent]
    assert [stat.S_IMODE(path.stat().st_mode) for path in made] == [0o700] * 4
    assert stat.S_IMODE(the_file(base).stat().st_mode) == 0o600


# ------------------------------------------------------------------------------------------------------------- places
def test_without_a_cache_folder_code_is_kept_among_temporary_files(base, tmp_path):
    """So that worker processes find it, and the next process too."""
    base.parent.write_text("not a folder", encoding="utf-8")
    assert call() == (True, [])
    assert cache_folder() == ""
    (place,) = usable_places()
    assert place.folder.parent == tmp_path / "temporary" / f"rampfit_numba-{os.getuid()}"
    assert not place.lasting
    forget()
    assert call() == (False, [])


def test_nowhere_to_write_is_no_failure(base, monkeypatch):
    base.parent.write_text("not a folder", encoding="utf-8")
    monkeypatch.setattr(places, "temporary_base", lambda: None)
    assert call() == (True, [])
    assert not everything_kept()
    assert usable_kind("processes", 2) == "threads"
    assert not is_warm("ols")


def test_notes_tell_what_is_complete_and_what_it_took(base):
    assert not is_warm("ols")
    assert last_seconds("ols") is None
    note_warm("ols", 12.34)
    assert is_warm("ols")
    assert not is_warm("likely")
    assert last_seconds("ols") == 12.3
    shutil.rmtree(usable_places()[0].folder)  # as for a new version: the time is still a good guess
    assert not is_warm("ols")
    assert last_seconds("ols") == 12.3
    (base / "ols.seconds").write_text("nonsense", encoding="utf-8")
    assert last_seconds("ols") is None


# --------------------------------------------------------------------------------------------------------------- lock
def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)


@pytest.mark.usefixtures("base")
def test_one_compiles_while_the_others_wait():
    """The first one has the lock, and has said who it is, before the others come, and until they have looked."""
    order, said, inside = [], [], threading.Event()

    def compile_something(number):
        with compiling_alone("ols", 250, said.append) as held:
            assert held is Held.OURS
            order.append(number)
            inside.set()
            wait_for(lambda: len(said) == 2)
            time.sleep(0.3)
            order.append(number)

    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(compile_something, 0)
        assert inside.wait(60)
        list(threads.map(compile_something, range(1, 3)))
        first.result()
    assert order[::2] == order[1::2]  # never two at once
    assert len(said) == 2
    assert set(said) == {f"process {os.getpid()} on {alone.socket.gethostname()}"}


@LINUX
def test_the_lock_of_a_dead_process_is_free(base, tmp_path):
    code = """
        from rampfit_numba.machine_code import compiling_alone
        with compiling_alone("ols", 1, print) as held:
            print(held.name, flush=True)
            time.sleep(600)
    """
    script = started(tmp_path, PREAMBLE, code, environment={"NUMBA_CACHE_DIR": str(base.parent)})
    script.wait_for("OURS")
    said = []
    for patience in (0.3, 3.0, 30.0):  # a process that is held up for as long only looks once
        with compiling_alone("ols", patience, said.append) as held:
            assert held is Held.GIVEN_UP  # a wait that ends
        if said:
            break
    assert said[0].startswith("process ")
    script.kill()
    script.process.communicate()
    with compiling_alone("ols", 100, said.append) as held:
        assert held is Held.OURS


@pytest.mark.usefixtures("base")
def test_a_file_system_without_locks_stops_nobody(monkeypatch):
    import fcntl

    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with compiling_alone("ols", 60, print) as held:
        assert held is Held.NO_LOCK


# ---------------------------------------------------------------------------------------------------- whole processes
LOGGED = """
    import logging
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
"""
FITTED = """
    fit = fit_ramps(exposure, 12.0, 2.0, maximum_cores=2, executor="processes")
    print("right", bits(fit) == bits(fit_ramps(exposure, 12.0, 2.0)))
    print(os.access(os.environ["NUMBA_CACHE_DIR"], os.W_OK))
"""


@pytest.fixture
def warm(tmp_path):
    """Return a folder with the kernels of ``"ols"``, copied from the cache of these tests."""
    warm_up(["ols"])
    source = usable_places()[-1].folder
    shutil.copytree(source, tmp_path / "warm" / "rampfit_numba" / source.name)
    return tmp_path / "warm"


@LINUX
def test_a_warm_cache_that_can_only_be_read_is_used(tmp_path, warm):
    """As in a container: mounted read-only where that can be tried, else without permission to write."""
    environment = {"NUMBA_CACHE_DIR": str(warm), "TMPDIR": str(tmp_path), "HOME": str(tmp_path / "home")}
    before = {path: path.stat().st_mtime_ns for path in warm.rglob("*.nbc")}
    prefix = []
    if os.geteuid() == 0:
        mount = f"mount --bind {warm} {warm} && mount -o remount,ro,bind {warm} && "
        prefix = ["unshare", "--mount", "sh", "-c", mount + 'exec "$@"', "sh"]
        if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode:
            pytest.skip("the administrator of this machine may not mount")
    else:
        for path in [warm, *warm.rglob("*")]:
            path.chmod(0o500 if path.is_dir() else 0o400)
    output = finished(started(tmp_path, PREAMBLE, LOGGED, FITTED, environment=environment, prefix=prefix))
    for path in [warm, *warm.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    assert "right True" in output
    assert "Compiling" not in output
    assert output.splitlines()[-1] == "False"
    assert {path: path.stat().st_mtime_ns for path in warm.rglob("*.nbc")} == before
    assert not list(tmp_path.glob(f"rampfit_numba-{os.getuid()}/*/*/*.nbc"))


@LINUX
def test_another_installation_of_the_same_version_is_served(tmp_path, warm):
    package = tmp_path / "other" / "rampfit_numba"
    shutil.copytree(Path(rampfit_numba.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {"NUMBA_CACHE_DIR": str(warm), "PYTHONPATH": str(package.parent)}
    code = """
        import rampfit_numba
        print(rampfit_numba.__file__)
    """
    output = finished(started(tmp_path, PREAMBLE, LOGGED, code, FITTED, environment=environment))
    assert str(package) in output
    assert "right True" in output
    assert "Compiling" not in output


@LINUX
def test_a_damaged_cache_gives_one_warning_and_the_right_fit(tmp_path, warm):
    for path in warm.rglob("fit_tile-*.nbc"):
        path.write_bytes(bytes(1000))
    code = """
        import warnings
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fit_ramps(exposure, 12.0, 2.0)
            fit_ramps(exposure, 12.0, 2.0)
        print(len(caught), caught[0].category.__name__, caught[0].message)
    """
    output = finished(
        started(tmp_path, PREAMBLE, LOGGED, code, FITTED, environment={"NUMBA_CACHE_DIR": str(warm)}), timeout=280
    )
    assert "1 RampFitWarning cache of machine code: " in output
    assert "it is damaged" in output
    assert "Some kernels for 'ols' are missing from the cache; they are compiled anew" in output
    assert "right True" in output
